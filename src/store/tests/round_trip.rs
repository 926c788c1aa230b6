//! What goes in comes out: every length, mark, link type, class, order of times; in our reader and in the field's tools.

use super::*;
use crate::limits::SNAPLEN;
use crate::store::disk::buffers::Buffer;
use crate::store::disk::psync::Psync;
use std::process::Command;

fn sample() -> (Vec<Interface>, Vec<Kept>) {
    let mut ifaces = ethernet(&["eth0", "eth1:3", "ä-long-name-that-is-cut-nowhere-near-its-end"]);
    ifaces.push(Interface::new("sl", 113));
    let lengths = [0, 1, 2, 3, 4, 5, 59, 60, 64, 1499, 1500, 9000, 65_535, 262_143, SNAPLEN as usize];
    let marks = [Mark::None, Mark::CutHere, Mark::Untracked];
    let mut all = Vec::new();
    for n in 0..400usize {
        let len = lengths[n % lengths.len()];
        let i = &ifaces[n % ifaces.len()];
        all.push(Kept {
            // Times that jump back, one of 1970, one far ahead.
            time: match n % 7 {
                0 => 0,
                1 => u64::MAX - n as u64,
                2 => 5_000_000_000 - n as u64,
                _ => 1_763_696_345_123_456_789 + n as u64,
            },
            wire_len: if n % 11 == 0 { 3 } else { len as u32 + n as u32 },
            iface: i.name.clone(),
            link_type: i.link_type,
            data: (0..len).map(|k| (k * 7 + n) as u8).collect(),
            mark: marks[n % 3],
        });
    }
    (ifaces, all)
}

/// By link type, because each has segments of its own.
fn sorted(mut all: Vec<Kept>) -> Vec<Kept> {
    all.sort_by_key(|p| p.link_type);
    all
}

#[test]
fn everything_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (ifaces, all) = sample();
    let store = open(dir.path());
    let mut w = store.writer(3, 64).unwrap();
    for p in &all {
        put(&mut w, 0, p, &ifaces);
    }
    assert_eq!(w.counts().pending, 400);
    w.finish();
    let c = w.counts();
    assert_eq!((c.durable, c.pending, c.write_failed), (400, 0, 0));
    store.close();
    assert_same(&sorted(all_packets(dir.path())), &sorted(all));
    for s in segments(dir.path()).unwrap() {
        assert!(s.sealed && s.worker == Some(3) && s.class.as_deref() == Some("all"), "{s:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path().join("open")).unwrap().count(), 0, "spares are gone");
}

#[test]
fn a_helper_thread_writes_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (ifaces, all) = sample();
    let store = open(dir.path());
    let buffers = Buffer::allocate(40).unwrap();
    let mut w = Writer::on(0, buffers, Psync::new(40, 32), store.supply()).unwrap();
    for p in &all {
        put(&mut w, 0, p, &ifaces);
    }
    w.finish();
    assert_eq!(w.counts().durable, 400);
    store.close();
    assert_same(&sorted(all_packets(dir.path())), &sorted(all));
}

#[test]
fn blocks_are_readable_before_sealing_and_a_reopened_store_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (ifaces, mut all) = sample();
    all.retain(|p| p.link_type == 1);
    for round in 0..3u32 {
        let store = open(dir.path());
        let mut w = store.writer(0, 32).unwrap();
        let (first, rest) = all.split_at(100);
        first.iter().for_each(|p| put(&mut w, 0, p, &ifaces));
        // Of age: closed, written, published.
        let start = Instant::now();
        while w.counts().pending > 0 {
            w.tick(u64::from(round) + start.elapsed().as_nanos() as u64 + crate::limits::FLUSH_NS);
            std::thread::sleep(Duration::from_millis(1));
        }
        let expect = round as usize * all.len() + 100;
        while all_packets(dir.path()).len() != expect {
            assert!(start.elapsed() < Duration::from_secs(30), "what is durable is readable from outside");
            std::thread::sleep(Duration::from_millis(5));
        }
        rest.iter().for_each(|p| put(&mut w, 0, p, &ifaces));
        w.finish();
        store.close();
        let back = all_packets(dir.path());
        assert_eq!(back.len(), all.len() * (round as usize + 1));
        assert_same(&back[back.len() - all.len()..], &all);
    }
}

#[test]
fn an_interface_that_comes_later_begins_a_new_segment() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut w = store.writer(0, 32).unwrap();
    let mut ifaces = Vec::new();
    let mut all = Vec::new();
    for n in 0..5u64 {
        ifaces.push(Interface::new(format!("if{n}"), 1));
        for i in &ifaces {
            let p = Kept {
                time: n,
                wire_len: 60,
                iface: i.name.clone(),
                link_type: 1,
                data: vec![7; 60],
                mark: Mark::None,
            };
            put(&mut w, 0, &p, &ifaces);
            all.push(p);
        }
        w.rotate();
        w.tick(n);
    }
    w.finish();
    store.close();
    assert_same(&all_packets(dir.path()), &all);
}

/// The output of a tool, if it is there.
pub(in crate::store) fn tool(name: &str, args: &[&str]) -> Option<Vec<u8>> {
    match Command::new(name).args(args).output() {
        Ok(out) => {
            assert!(out.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
            Some(out.stdout)
        }
        Err(_) => {
            eprintln!("skipped: {name} is not installed");
            None
        }
    }
}

/// Records of a little-endian nanosecond pcap file.
fn pcap_records(pcap: &[u8]) -> Vec<(u64, u32, Vec<u8>)> {
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), 0xa1b2_3c4d);
    let (mut at, mut all) = (24, Vec::new());
    while at < pcap.len() {
        let len = word(at + 8) as usize;
        let time = u64::from(word(at)) * 1_000_000_000 + u64::from(word(at + 4));
        all.push((time, word(at + 12), pcap[at + 16..at + 16 + len].to_vec()));
        at += 16 + len;
    }
    all
}

#[test]
fn the_fields_tools_see_exactly_the_packets() {
    let dir = tempfile::tempdir().unwrap();
    let (ifaces, mut all) = sample();
    // capinfos and tshark take the times of this century only.
    all.iter_mut().enumerate().for_each(|(n, p)| p.time = 1_763_696_345_000_000_000 + n as u64);
    // libpcap refuses a captured length above the length on the wire nowhere, but prints it so; tshark cuts it.
    all.iter_mut().for_each(|p| p.wire_len = p.wire_len.max(p.data.len() as u32));
    let store = open(dir.path());
    let mut w = store.writer(0, 32).unwrap();
    all.iter().for_each(|p| put(&mut w, 0, p, &ifaces));
    w.finish();
    store.close();
    for s in segments(dir.path()).unwrap() {
        let path = s.path.to_str().unwrap();
        let mine = packets(&s.open().unwrap().unwrap());
        if let Some(pcap) = tool("tcpdump", &["-r", path, "--time-stamp-precision=nano", "-w", "-"]) {
            let expect: Vec<_> = mine.iter().map(|p| (p.time, p.wire_len, p.data.clone())).collect();
            assert!(pcap_records(&pcap) == expect, "tcpdump reads other packets from {path}");
        }
        let fields = [
            "-T",
            "fields",
            "-e",
            "frame.time_epoch",
            "-e",
            "frame.len",
            "-e",
            "frame.cap_len",
            "-e",
            "frame.interface_name",
        ];
        if let Some(out) = tool("tshark", &[&["-n", "-r", path][..], &fields].concat()) {
            let out = String::from_utf8(out).unwrap();
            let expect: Vec<String> = mine
                .iter()
                .map(|p| {
                    let (s, ns) = (p.time / 1_000_000_000, p.time % 1_000_000_000);
                    format!("{s}.{ns:09}\t{}\t{}\t{}", p.wire_len, p.data.len(), p.iface)
                })
                .collect();
            assert_eq!(out.lines().collect::<Vec<_>>(), expect);
        }
        if let Some(out) = tool("capinfos", &["-c", "-M", path]) {
            let out = String::from_utf8(out).unwrap();
            assert!(out.contains(&format!("Number of packets:   {}", mine.len())), "{out}");
        }
    }
}
