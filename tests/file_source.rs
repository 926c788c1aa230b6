//! The file source against libpcap: over all captures, over their mutilations, over generated files.

mod common;

use common::{Seen, captures, libpcap};
use proptest::prelude::*;
use retrotap::source::file::{FileReport, FileSource};
use retrotap::source::{Polled, Source};
use std::io::Write;
use std::path::{Path, PathBuf};

#[test]
fn stop_ends_it_without_a_fault() {
    let f = temp(&pcap_file(false, 0xa1b2c3d4, 4, 65535, &vec![(1, 2, vec![7; 60], 60); 1000]));
    let mut source = FileSource::open(&[f.path().to_owned(), f.path().to_owned()], None).expect("the files open");
    assert_eq!(source.poll(|_, _| {}).expect("a poll"), Polled::Packets(64));
    source.stop();
    assert_eq!(source.poll(|_, _| {}).expect("a poll"), Polled::End);
    let reports = source.progress().reports();
    assert!(reports.len() == 1 && reports[0].is_whole() && reports[0].packets == 64, "{reports:?}");
}

/// All packets of the files, and the reports.
fn read(paths: &[PathBuf]) -> (Vec<Seen>, Vec<FileReport>) {
    let mut source = FileSource::open(paths, None).expect("the files open");
    let progress = source.progress();
    let mut packets = Vec::new();
    loop {
        let polled = source
            .poll(|batch, interfaces| {
                for p in batch {
                    assert!(usize::from(p.iface) < interfaces.len());
                    packets.push(Seen { time: p.time, wire_len: p.wire_len, data: p.data.to_vec() });
                }
            })
            .expect("a poll");
        match polled {
            Polled::End => break,
            Polled::Idle => source.wait(1_000_000).expect("a wait"),
            Polled::Packets(_) => {}
        }
    }
    let (counts, reports) = (progress.counts(), progress.reports());
    assert_eq!(counts.seen.packets, packets.len() as u64 + counts.lost, "seen = received + lost");
    assert_eq!(counts.lost, reports.iter().map(|r| r.lost).sum::<u64>());
    assert_eq!(reports.len(), paths.len(), "one report a file");
    (packets, reports)
}

#[test]
fn every_capture_as_libpcap_reads_it() {
    let captures = captures("every_capture_as_libpcap_reads_it");
    let mut more = Vec::new();
    for path in &captures {
        let (want, refused) = libpcap(path);
        let (got, reports) = read(std::slice::from_ref(path));
        assert!(got.len() >= want.len(), "{}: {} of {} packets; {reports:?}", path.display(), got.len(), want.len());
        for (i, (g, w)) in got.iter().zip(&want).enumerate() {
            assert_eq!(g, w, "{} packet {i}", path.display());
        }
        match (&refused, reports[0].is_whole()) {
            (None, whole) => {
                assert!(whole, "{}: libpcap reads all of it: {reports:?}", path.display());
                assert_eq!(got.len(), want.len(), "{}", path.display());
            }
            (Some(why), true) => {
                more.push(format!("{}: {} packets for {} ({why})", path.display(), got.len(), want.len()))
            }
            (Some(_), false) => {}
        }
    }
    eprintln!("{} captures; whole although libpcap stops:\n  {}", captures.len(), more.join("\n  "));
}

#[test]
fn several_files_in_order() {
    let captures = captures("several_files_in_order");
    let some: Vec<PathBuf> = captures.iter().filter(|p| p.to_string_lossy().contains("/odd/")).cloned().collect();
    let (all, reports) = read(&some);
    let apart: Vec<Seen> = some.iter().flat_map(|p| read(std::slice::from_ref(p)).0).collect();
    assert_eq!(all, apart);
    assert_eq!(reports.iter().map(|r| &r.path).collect::<Vec<_>>(), some.iter().collect::<Vec<_>>());
}

fn temp(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut f = tempfile::NamedTempFile::new().expect("a temporary file");
    f.write_all(bytes).expect("its bytes");
    f
}

/// What libpcap reads is a beginning of what we read, whatever the bytes are; and both end.
fn compare(path: &Path) {
    let (want, _) = libpcap(path);
    let (got, _) = read(&[path.to_owned()]);
    assert!(got.len() >= want.len(), "{} of {} packets", got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        assert_eq!(g, w, "packet {i}");
    }
}

#[test]
fn a_length_that_lies_takes_no_memory_and_ends_the_file() {
    let mut f = pcap_file(false, 0xa1b2c3d4, 4, 65535, &[(1, 2, vec![7; 60], 60)]);
    f.extend([0; 8]);
    f.extend(u32::MAX.to_le_bytes());
    f.extend(u32::MAX.to_le_bytes());
    f.extend([9; 1000]);
    let f = temp(&f);
    let (got, reports) = read(&[f.path().to_owned()]);
    assert_eq!(got.len(), 1);
    assert_eq!((reports[0].lost, reports[0].broke_off), (1, Some(1016)));
    assert_eq!(reports[0].faults[0].offset, 24 + 16 + 60);
    assert!(reports[0].faults[0].why.contains("4294967295"), "{:?}", reports[0].faults);
}

#[test]
fn packets_of_256_kilobytes_and_none() {
    for len in [0usize, 1, 65_535, 65_536, 262_143, 262_144] {
        let f =
            temp(&pcap_file(true, 0xa1b23c4d, 4, 262_144, &[(1, 2, vec![5; len], len as u32), (3, 4, vec![6; 9], 9)]));
        let (got, reports) = read(&[f.path().to_owned()]);
        assert_eq!(got.iter().map(|p| p.data.len()).collect::<Vec<_>>(), [len, 9]);
        assert!(reports[0].is_whole());
        compare(f.path());
    }
}

#[test]
fn what_is_no_capture_is_named() {
    for (bytes, word) in [
        (&b""[..], "empty"),
        (&b"\xd4\xc3"[..], "cut off in the file header"),
        (&b"\x1f\x8b\x08\0rest"[..], "gzip -dc"),
        (&b"GET / HTTP/1.1"[..], "not pcap or pcapng"),
    ] {
        let f = temp(bytes);
        let (got, reports) = read(&[f.path().to_owned()]);
        assert!(got.is_empty());
        assert_eq!(reports[0].lost, 0);
        assert!(reports[0].faults[0].why.contains(word), "{:?} lacks {word}", reports[0].faults);
    }
}

#[test]
fn wrong_names_are_said_before_anything_is_read() {
    let e = FileSource::open(&["/does/not/exist.pcap".into()], None).expect_err("no such file");
    assert!(e.to_string().contains("/does/not/exist.pcap"), "{e}");
    let e = FileSource::open(&[std::env::temp_dir()], None).expect_err("a directory");
    assert!(e.to_string().contains("is a directory"), "{e}");
    assert!(FileSource::open(&[], Some(0.0)).is_err());
}

#[test]
fn a_pipe_is_read_as_it_is_written() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    use std::os::fd::AsRawFd;
    let path = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
    let bytes = pcap_file(false, 0xa1b2c3d4, 4, 65535, &[(1, 2, vec![7; 60], 60), (3, 4, vec![8; 61], 61)]);
    let mut source = FileSource::open(&[path], None).expect("the pipe opens");
    let mut lens = Vec::new();
    let mut poll =
        |source: &mut FileSource| source.poll(|b, _| lens.extend(b.iter().map(|p| p.data.len()))).expect("a poll");
    assert_eq!(poll(&mut source), Polled::Idle, "nothing written yet, and it did not block");
    drop(reader);
    writer.write_all(&bytes[..110]).expect("a write");
    assert_eq!(poll(&mut source), Polled::Packets(1));
    assert_eq!(poll(&mut source), Polled::Idle, "half a record");
    writer.write_all(&bytes[110..]).expect("a write");
    source.wait(1_000_000_000).expect("a wait");
    assert_eq!(poll(&mut source), Polled::Packets(1));
    drop(writer);
    assert_eq!(poll(&mut source), Polled::End);
    assert_eq!(lens, [60, 61]);
    assert!(source.progress().reports()[0].is_whole());
}

/// A pcap file, byte by byte.
fn pcap_file(big: bool, magic: u32, minor: u16, snaplen: u32, packets: &[(u32, u32, Vec<u8>, u32)]) -> Vec<u8> {
    let u32 = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let u16 = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut f = Vec::new();
    f.extend(u32(magic));
    f.extend(u16(2));
    f.extend(u16(minor));
    for n in [0, 0, snaplen, 1] {
        f.extend(u32(n));
    }
    for (sec, frac, data, wire) in packets {
        let (a, b) = if minor < 3 { (*wire, data.len() as u32) } else { (data.len() as u32, *wire) };
        for n in [*sec, *frac, a, b] {
            f.extend(u32(n));
        }
        if magic == 0xa1b2cd34 {
            f.extend([1, 0, 0, 0, 8, 0, 0, 0]);
        }
        f.extend(data);
    }
    f
}

/// A pcapng file: sections of interfaces (link type, snaplen, options) and blocks.
#[derive(Clone, Debug)]
enum Block {
    Enhanced { iface: u32, ticks: u64, data: Vec<u8>, more: u32 },
    Old { iface: u16, ticks: u64, data: Vec<u8>, more: u32 },
    Simple { data: Vec<u8> },
    Other { kind: u32, body: Vec<u8> },
}

fn pcapng_file(big: bool, ifaces: &[(Option<u8>, Option<i64>)], blocks: &[Block]) -> Vec<u8> {
    let u32 = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let u16 = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut f = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let len = (12 + body.len().next_multiple_of(4)) as u32;
        f.extend(u32(kind));
        f.extend(u32(len));
        f.extend(body);
        f.extend(vec![0; body.len().next_multiple_of(4) - body.len()]);
        f.extend(u32(len));
    };
    let section: Vec<u8> = [&u32(0x1a2b3c4d)[..], &u16(1), &u16(0), &[255; 8]].concat();
    block(0x0a0d0d0a, &section);
    for (resolution, offset) in ifaces {
        let mut b = [&u16(1)[..], &u16(0), &u32(262_144)].concat();
        if let Some(r) = resolution {
            b.extend([&u16(9)[..], &u16(1), &[*r, 0, 0, 0]].concat());
        }
        if let Some(o) = offset {
            let o = if big { o.to_be_bytes() } else { o.to_le_bytes() };
            b.extend([&u16(14)[..], &u16(8), &o].concat());
        }
        b.extend([0; 4]);
        block(1, &b);
    }
    for b in blocks {
        match b {
            Block::Enhanced { iface, ticks, data, more } => {
                let n = data.len() as u32;
                let head = [u32(*iface), u32((ticks >> 32) as u32), u32(*ticks as u32), u32(n), u32(n + more)].concat();
                block(6, &[head, data.clone()].concat());
            }
            Block::Old { iface, ticks, data, more } => {
                let n = data.len() as u32;
                let head = [
                    &u16(*iface)[..],
                    &u16(3),
                    &u32((ticks >> 32) as u32),
                    &u32(*ticks as u32),
                    &u32(n),
                    &u32(n + more),
                ];
                block(2, &[head.concat(), data.clone()].concat());
            }
            Block::Simple { data } => block(3, &[&u32(data.len() as u32)[..], data].concat()),
            Block::Other { kind, body } => block(*kind, body),
        }
    }
    f
}

fn block() -> impl Strategy<Value = Block> {
    let data = prop::collection::vec(any::<u8>(), 0..200);
    // libpcap overflows above 2^34 ticks of a second. Times that stay within 64 bits of nanoseconds at any resolution of the test.
    let ticks = 0u64..1 << 40;
    prop_oneof![
        4 => (0u32..3, ticks.clone(), data.clone(), 0u32..100).prop_map(|(iface, ticks, data, more)| Block::Enhanced { iface, ticks, data, more }),
        2 => (0u16..3, ticks, data.clone(), 0u32..100).prop_map(|(iface, ticks, data, more)| Block::Old { iface, ticks, data, more }),
        2 => data.clone().prop_map(|data| Block::Simple { data }),
        1 => (prop_oneof![Just(4u32), Just(5), Just(0xbad), Just(0x80000001)], data).prop_map(|(kind, body)| Block::Other { kind, body }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_pcap(
        big: bool, minor in 0u16..5, snaplen in prop_oneof![Just(0u32), 1u32..300, Just(262_144), Just(u32::MAX)],
        magic in prop_oneof![Just(0xa1b2c3d4u32), Just(0xa1b23c4d), Just(0xa1b2cd34)],
        packets in prop::collection::vec((any::<u32>(), 0u32..2_000_000, prop::collection::vec(any::<u8>(), 0..300), 0u32..100), 0..200),
    ) {
        let packets: Vec<_> = packets.into_iter().map(|(s, f, d, m)| { let n = d.len() as u32 + m; (s, f, d, n) }).collect();
        let f = temp(&pcap_file(big, magic, minor, snaplen, &packets));
        let (got, reports) = read(&[f.path().to_owned()]);
        prop_assert!(reports[0].is_whole());
        prop_assert_eq!(got.len(), packets.len());
        compare(f.path());
    }

    #[test]
    fn generated_pcapng(
        big: bool,
        ifaces in prop::collection::vec((prop::option::of(prop_oneof![Just(3u8), 6u8..13, 0x80u8..0xa3]), prop::option::of(0i64..2_000_000)), 3),
        blocks in prop::collection::vec(block(), 0..100),
    ) {
        let f = temp(&pcapng_file(big, &ifaces, &blocks));
        let (got, reports) = read(&[f.path().to_owned()]);
        prop_assert!(reports[0].is_whole(), "{:?}", reports);
        prop_assert_eq!(got.len(), blocks.iter().filter(|b| !matches!(b, Block::Other { .. })).count());
        compare(f.path());
    }

    /// Bytes overwritten and the end cut off at random: no panic, and no less than libpcap reads.
    #[test]
    fn mutilated(
        pcapng: bool, big: bool, cut in 0.0f64..1.2, hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        blocks in prop::collection::vec(block(), 1..30),
    ) {
        let mut bytes = match pcapng {
            true => pcapng_file(big, &[(Some(9), None), (None, None), (Some(0x8a), Some(5))], &blocks),
            false => {
                let packets: Vec<_> = blocks.iter().map(|b| match b {
                    Block::Enhanced { data, .. } | Block::Old { data, .. } | Block::Simple { data } => (9, 9, data.clone(), 300),
                    Block::Other { body, .. } => (8, 8, body.clone(), 400),
                }).collect();
                pcap_file(big, 0xa1b2c3d4, 4, 65535, &packets)
            }
        };
        for (at, byte) in hits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(((bytes.len() as f64) * cut) as usize);
        let f = temp(&bytes);
        compare(f.path());
    }
}
