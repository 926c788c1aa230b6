//! Packets of every link type that libpcap names: each of some seventy expressions has the answer that `tcpdump -r` gives for a file of
//! that type, packet by packet and refusal for refusal, from a store with all of them and an index for each, and from memory.
//!
//! libpcap is the judge for all of it, in this process; `tcpdump` itself for every tenth question, and for all of them where
//! RETROTAP_TCPDUMP is set.

#[path = "../common/mod.rs"]
mod common;
mod expressions;
mod frames;

use common::{Retrotap, Seen, libpcap};
use expressions::EXPRESSIONS;
use retrotap::index::Run;
use retrotap::query::{Answer, OutputError, PacketSink, Query, Summary, run, run_with};
use retrotap::store::list::segments;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Files that are recorded at once: each has segments of its own.
const AT_ONCE: usize = 24;

/// A judge's word: packets, or why it refuses.
type Word = Result<Vec<Seen>, String>;

/// What libpcap selects in a file.
fn judge(file: &Path, expression: &str) -> Word {
    let mut capture = pcap::Capture::from_file_with_precision(file, pcap::Precision::Nano).expect("libpcap opens it");
    match capture.filter(expression, true) {
        Err(pcap::Error::PcapError(message)) => return Err(message),
        other => other.expect("a filter"),
    }
    let mut packets = Vec::new();
    while let Ok(p) = capture.next_packet() {
        let time = p.header.ts.tv_sec as u64 * 1_000_000_000 + p.header.ts.tv_usec as u64;
        packets.push(Seen { time, wire_len: p.header.len, data: p.data.to_vec() });
    }
    Ok(packets)
}

/// libpcap's program for PPPoE in PPI reads a word of its scratch memory that it has never written (`tcpdump -y PPI -d pppoes`: M[0]), and finds what
/// lay on the stack: of one packet tcpdump says this or that.
fn is_undefined(link_type: u16, expression: &str) -> bool {
    const PPI: u16 = 192;
    link_type == PPI && expression.contains("pppoes")
}

/// What tcpdump selects in it.
fn tcpdump(file: &Path, expression: &str, out: &Path) -> Word {
    let mut c = Command::new("tcpdump");
    c.args(["-Z", "root", "--time-stamp-precision=nano", "-r"]).arg(file).arg("-w").arg(out);
    let done = c.arg(expression).output().expect("tcpdump runs");
    if done.status.success() {
        return Ok(libpcap(out).0);
    }
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let message = said.lines().find_map(|l| l.strip_prefix("tcpdump: ")).unwrap_or_default();
    Err(message.to_owned())
}

/// A file of each link type, in order.
fn files(dir: &Path) -> BTreeMap<u16, PathBuf> {
    let mut all = BTreeMap::new();
    for link_type in 0..=300u16 {
        let path = dir.join(format!("{link_type}.pcap"));
        std::fs::write(&path, frames::file(link_type, (1_700_000_000 + u64::from(link_type)) * 1_000_000_000))
            .expect("writes");
        let named = pcap::Capture::from_file(&path).is_ok_and(|c| c.get_datalink().get_name().is_ok());
        if named {
            all.insert(link_type, path);
        }
    }
    all
}

#[derive(Default)]
struct ByLinkType(BTreeMap<u16, Vec<Seen>>);

impl PacketSink for ByLinkType {
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
        let seen = Seen { time: p.time, wire_len: p.wire_len, data: p.data.to_vec() };
        self.0.entry(p.interface.link_type).or_default().push(seen);
        Ok(())
    }
}

/// A store of all the files, and its segments as a recorder has them in memory.
struct Store {
    rig: Retrotap,
    files: BTreeMap<u16, PathBuf>,
    recent: Vec<Arc<Run>>,
}

impl Store {
    fn new() -> Store {
        let rig = Retrotap::default();
        let files = files(rig.dir());
        let all: Vec<&Path> = files.values().map(|f| f.as_path()).collect();
        for some in all.chunks(AT_ONCE) {
            let (ran, _) = rig.record(some, &["--segment-size", "4MiB", "--cutoff", "none"]);
            assert_eq!(ran.code, Some(0), "{}", ran.err);
        }
        let readers = segments(&rig.store()).expect("segments");
        let recent =
            readers.iter().map(|s| Run::indexed(s.open().expect("opens").expect("is there")).expect("indexed"));
        let recent = recent.map(Arc::new).collect();
        Store { rig, files, recent }
    }

    fn ask(&self, filter: &str, memory_only: bool) -> Result<(ByLinkType, Summary), String> {
        let q = Query { store: self.rig.store(), filter: filter.into(), memory_only, ..Query::default() };
        let mut got = ByLinkType::default();
        let summary = if memory_only { run_with(&q, &self.recent, &mut got) } else { run(&q, &mut got) };
        summary.map(|s| (got, s)).map_err(|e| e.to_string())
    }
}

#[test]
fn answers_are_tcpdumps() {
    let store = Store::new();
    assert!(store.files.len() > 150, "libpcap names {} link types", store.files.len());
    let with_tcpdump = Command::new("tcpdump").arg("--version").output().is_ok();
    if !with_tcpdump {
        eprintln!("skipped: tcpdump is not installed: libpcap alone is asked");
    }
    let every = if std::env::var_os("RETROTAP_TCPDUMP").is_some() { 1 } else { 10 };
    let copy = store.rig.dir().join("tcpdump.pcap");
    let (mut asked, mut found, mut refused, mut by_tcpdump, mut failures) = (0, 0, 0, 0, Vec::new());
    let mut matched: BTreeMap<u16, usize> = BTreeMap::new();
    for (n, expression) in EXPRESSIONS.iter().enumerate() {
        let want: BTreeMap<u16, Word> = store.files.iter().map(|(&l, f)| (l, judge(f, expression))).collect();
        for (m, (link_type, file)) in store.files.iter().enumerate() {
            if with_tcpdump && (n + m) % every == 0 && !is_undefined(*link_type, expression) {
                by_tcpdump += 1;
                assert_eq!(
                    tcpdump(file, expression, &copy),
                    want[link_type],
                    "link type {link_type}, {expression:?}: tcpdump"
                );
            }
        }
        for memory_only in [false, true] {
            let got = store.ask(expression, memory_only);
            let nobody = want.values().all(Result::is_err);
            let (got, summary) = match got {
                Ok(got) => got,
                Err(e) if nobody => {
                    assert!(want.values().any(|w| matches!(w, Err(m) if e.contains(m))), "{expression:?}: {e}");
                    continue;
                }
                Err(e) => panic!("{expression:?}: {e}"),
            };
            for (link_type, want) in &want {
                if is_undefined(*link_type, expression) {
                    continue;
                }
                asked += 1;
                let got = got.0.get(link_type).map_or(&[][..], Vec::as_slice);
                match want {
                    Ok(want) => {
                        if let Some(told) = summary.refused.iter().find(|r| r.link_type == *link_type) {
                            failures.push(format!("{link_type} {expression:?}: {told:?}, and libpcap takes it"));
                        }
                        found += want.len();
                        *matched.entry(*link_type).or_default() += want.len();
                        if got != want {
                            failures.push(format!(
                                "{link_type} {expression:?}: {} packets, tcpdump {}",
                                got.len(),
                                want.len()
                            ));
                        }
                    }
                    Err(why) => {
                        refused += 1;
                        let told = summary.refused.iter().find(|r| r.link_type == *link_type);
                        // Where no packet can match none is missing.
                        let reason = (*why != "expression rejects all packets").then_some(why.as_str());
                        if told.map(|r| r.error.as_str()) != reason || told.is_some_and(|r| r.packets == 0) {
                            failures.push(format!("{link_type} {expression:?}: said {told:?}, and libpcap says {why}"));
                        }
                        if !got.is_empty() {
                            failures
                                .push(format!("{link_type} {expression:?}: {} packets, tcpdump refuses it", got.len()));
                        }
                    }
                }
            }
        }
    }
    println!(
        "{} link types, {} expressions: {asked} answers, {found} packets, {refused} refused; {by_tcpdump} asked of tcpdump",
        store.files.len(),
        EXPRESSIONS.len()
    );
    assert!(failures.is_empty(), "{} of {asked}:\n{}", failures.len(), failures.join("\n"));
    // Where libpcap looks into packets it has found some: the headers are right.
    for link_type in [
        0, 1, 6, 9, 10, 50, 51, 100, 101, 104, 105, 108, 109, 113, 117, 119, 122, 123, 127, 138, 163, 192, 228, 229,
        240, 276,
    ] {
        let ip = store.ask("ip host 10.1.2.3 or ip6 host 2001:db8::1", false).expect("an answer").0;
        assert!(ip.0.contains_key(&link_type), "link type {link_type}: no packet with IP was found");
    }
}

/// 1,000 packets of 1,000 bytes in a file, of 100 TCP connections behind this header.
fn long(dir: &Path, link_type: u16, header: &[u8]) -> PathBuf {
    let mut out = 0xA1B2_3C4D_u32.to_le_bytes().to_vec();
    out.extend([2, 0, 4, 0]);
    for word in [0, 0, 262_144, u32::from(link_type)] {
        out.extend(word.to_le_bytes());
    }
    for n in 0..1000u32 {
        let mut p = header.to_vec();
        p.extend([0x45, 0, 0x03, 0xe8, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        p.extend([0x10, (n % 100) as u8, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 4, 0, 0, 0, 0, 0]);
        p.resize(1000, 0x20);
        for word in [1_700_000_000, n * 1000, p.len() as u32, p.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(p);
    }
    let path = dir.join(format!("long-{link_type}.pcap"));
    std::fs::write(&path, out).expect("writes");
    path
}

/// What is not followed is not one connection, of which a cutoff keeps the beginning; what is followed is.
#[test]
fn what_is_not_followed_is_stored_whole() {
    let rig = Retrotap::default();
    let radiotap =
        [&[0, 0, 8, 0, 0, 0, 0, 0, 8, 2, 0, 0][..], &[2; 18], &[0x10, 0, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]].concat();
    let macsec = [&[2; 12][..], &[0x88, 0xe5]].concat();
    for (link_type, header, stored) in
        [(127, radiotap, 1000), (1, macsec, 1000), (1, [&[2; 12][..], &[8, 0]].concat(), 300)]
    {
        let file = long(rig.dir(), link_type, &header);
        let one = Retrotap::default();
        let (ran, account) = one.record(&[&file], &["--cutoff", "2KiB"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let unfollowed = if stored == 1000 { 1000 } else { 0 };
        assert_eq!(account["unfollowed"]["packets"], unfollowed, "{account}");
        assert_eq!(ran.err.contains("not followed"), unfollowed > 0, "{}", ran.err);
        // 2,000 bytes are below the cutoff: three packets of each of 100 connections.
        assert_eq!(account["stored"]["packets"], stored, "{account}");
        let (ran, account) = Retrotap::default().record(&[&file], &["--cutoff", "2KiB", "--cutoff-unknown", "3000"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(account["stored"]["packets"], if unfollowed > 0 { 3 } else { 300 }, "{account}");
    }
}

#[test]
fn a_refused_filter_records_nothing_silently() {
    let rig = Retrotap::default();
    let file = rig.dir().join("239.pcap");
    std::fs::write(&file, frames::file(239, 1_700_000_000_000_000_000)).expect("writes");
    let name = file.to_string_lossy().into_owned();
    for more in [["--filter", "not port 22"], ["--filter", "tcp and udp"]] {
        let ran = rig.run(&[&["record", "-r", &name][..], &more].concat());
        assert_eq!(ran.code, Some(2), "{more:?}: {}", ran.err);
        let why = if more[1] == "tcp and udp" { "rejects all packets" } else { "NFLOG (239)" };
        assert!(ran.err.contains(why), "{more:?}: {}", ran.err);
        assert!(!rig.store().exists(), "{more:?}: nothing was begun");
    }
    // A class is no condition for what is recorded: what it can't be asked for is in class `all`, whole, and that is told.
    let config = rig.dir().join("c.toml");
    std::fs::write(&config, "[class.web]\nfilter = \"port 80\"\n").expect("writes");
    let (ran, account) = rig.record(&[&file], &["--config", &config.to_string_lossy()]);
    assert_eq!(
        (ran.code, account["stored"]["packets"] == account["received"]["packets"]),
        (Some(0), true),
        "{}",
        ran.err
    );
    assert_eq!(ran.err.matches("class \"web\" gets no packet of link type NFLOG (239): ").count(), 1, "{}", ran.err);
    // Nothing else is there: the question is refused, in libpcap's words. With something else the answer says what is missing.
    let ask = |filter: &str| {
        let q = Query { store: rig.store(), filter: filter.into(), ..Query::default() };
        run(&q, &mut ByLinkType::default()).map_err(|e| e.to_string())
    };
    let at = |filter: &str, until: u64| {
        let q = Query { store: rig.store(), filter: filter.into(), until: Some(until), ..Query::default() };
        run(&q, &mut ByLinkType::default()).map_err(|e| e.to_string())
    };
    let (inside, before) = (1_700_000_000_900_000_000, 1_600_000_000_000_000_000);
    at("not port 22", before).expect_err("also where there is nothing: nobody's packets can be asked that");
    let error = ask("not port 22").expect_err("refused");
    assert!(error.contains("NFLOG (239)") && error.contains("not implemented"), "{error}");
    let ran = rig.run(&["query", "not port 22", "--count"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    let ethernet = rig.dir().join("1.pcap");
    std::fs::write(&ethernet, frames::file(1, 1_700_000_001_000_000_000)).expect("writes");
    rig.record(&[&ethernet], &[]);
    let s = ask("not port 22").expect("an answer");
    assert!(s.packets > 0);
    let [r] = s.refused.as_slice() else { panic!("{:?}", s.refused) };
    assert_eq!((r.link_type, r.interfaces.as_slice()), (239, &["239.pcap".to_owned()][..]));
    assert_eq!(r.packets, frames::packets(239).len() as u64);
    assert!(retrotap::query::text(&s).contains("refused:"), "{}", retrotap::query::text(&s));
    assert!(ask("host 10.1.2.3 and port 53").expect("an answer").refused.len() == 1, "whatever the index rules out");
    // A window that has nothing else: what is asked of it is missing, and the answer says so.
    let s = at("not port 22", inside).expect("an answer");
    assert!(s.packets == 0 && s.refused.len() == 1 && !s.complete, "{s:?}");
    let s = at("not port 22", before).expect("an answer: nobody's packets are asked");
    assert!(s.packets == 0 && s.refused.is_empty());
    // The same of segments without an index, which only tell their times if they are opened.
    for entry in std::fs::read_dir(rig.store().join("all")).expect("segments").map(|e| e.expect("an entry").path()) {
        if entry.extension().is_some_and(|e| e == "idx") {
            std::fs::remove_file(entry).expect("an index goes");
        }
    }
    for name in ["filters", "filters-address", "filters-joint"] {
        std::fs::remove_file(rig.store().join(name)).expect("the filters go");
    }
    let s = at("not port 22", inside).expect("an answer");
    let told: Vec<u64> = s.refused.iter().map(|r| r.packets).collect();
    assert_eq!((s.packets, told, s.complete), (0, vec![frames::packets(239).len() as u64], false), "{s:?}");
    assert!(at("not port 22", before).expect("an answer").refused.is_empty());
}

/// libpcap's `port` does not look behind IPv6 extension headers; an empty answer says that there is something.
#[test]
fn an_empty_answer_says_what_is_behind_extension_headers() {
    let rig = Retrotap::default();
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 28, 0, 64];
    for host in [1u8, 2] {
        frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
    }
    frame.extend([6, 0, 1, 4, 0, 0, 0, 0, 0x10, 0, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 4, 0, 0, 0, 0, 0]);
    let mut out = 0xA1B2_3C4D_u32.to_le_bytes().to_vec();
    out.extend([2, 0, 4, 0]);
    for word in [0, 0, 262_144, 1, 1_700_000_000, 0, frame.len() as u32, frame.len() as u32] {
        out.extend(word.to_le_bytes());
    }
    out.extend(frame);
    let file = rig.dir().join("hbh.pcap");
    std::fs::write(&file, out).expect("writes");
    rig.record(&[&file], &[]);
    let ask = |filter: &str| {
        let q = Query { store: rig.store(), filter: filter.into(), ..Query::default() };
        run(&q, &mut ByLinkType::default()).expect("an answer")
    };
    for (filter, packets, behind) in [
        ("port 443", 0, true),
        ("tcp", 0, true),
        ("host 2001:db8::1 and tcp port 443", 0, true),
        ("port 80", 0, false),
        ("udp", 0, false),
        ("ip6", 1, false),
        ("ip6 protochain 6", 1, false),
    ] {
        let s = ask(filter);
        assert_eq!((s.packets, s.behind_extensions), (packets, behind), "{filter}");
        assert_eq!(retrotap::query::text(&s).contains("extension headers"), behind, "{filter}");
    }
}
