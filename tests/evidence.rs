//! An answer as evidence: the same question over the same packets gives the same bytes, wherever the packets lie by then, and the file says itself
//! what was asked and what is missing, to the tools of the trade as well.

mod common;

use common::Retrotap;
use common::memory::SharedBlocks;
use proptest::prelude::*;
use retrotap::conn::verdict::Mark;
use retrotap::index::{self, Run};
use retrotap::query::output::{Format, Writer};
use retrotap::query::{Answer, OutputError, PacketSink, Query, Statement, run_with};
use retrotap::source::{InputOptions, Interface, Packet};
use retrotap::store::list::SegmentRef;
use retrotap::store::reader::{MemoryBlock, SegmentFile, SegmentReader};
use retrotap::store::scan::BlockRef;
use retrotap::store::sink::{Appended, Recorder, Sink};
use retrotap::store::{Options, Store, segments, store_id};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a recorder does: a packet comes to a worker, or time goes on.
#[derive(Clone, Debug)]
enum Step {
    Packet { worker: usize, class: u8, iface: u16, later: u64, host: u8, len: usize },
    Flush { worker: usize },
    NewSegments { worker: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..3usize, 0..2u8, 0..4u16, 0..2u64, 0..5u8, 50..300usize)
            .prop_map(|(worker, class, iface, later, host, len)| Step::Packet { worker, class, iface, later, host, len }),
        3 => (0..3usize).prop_map(|worker| Step::Flush { worker }),
        1 => (0..3usize).prop_map(|worker| Step::NewSegments { worker }),
    ]
}

/// UDP from a host to one server.
fn frame(host: u8, len: usize, n: usize) -> Vec<u8> {
    let mut frame =
        vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, (len - 14) as u8, 0, 0, 0, 0, 64, 17, 0, 0];
    frame.extend([10, 0, 0, host, 192, 0, 2, 1, 4, host, 0, 53, 0, (len - 34) as u8, 0, 0]);
    frame.extend((n as u64).to_be_bytes());
    frame.resize(len, n as u8);
    frame
}

/// The answer as a file, what it says of itself included.
fn answer(query: &Query, recent: &[Arc<Run>]) -> (u64, Vec<u8>) {
    let mut writer = Writer::new(Vec::new(), "memory", Format::Pcapng);
    let summary = run_with(query, recent, &mut writer).expect("an answer");
    let text = Statement::of(query, &store_id(&query.store).expect("a store")).text(&summary);
    (summary.packets, writer.finish(&text).expect("it is written"))
}

/// The same where memory takes all of its blocks back once so many packets have been given out.
fn answer_while_memory_goes(query: &Query, (recent, blocks): Memory, after: usize) -> (u64, Vec<u8>) {
    let mut sink = TakingBack { writer: Writer::new(Vec::new(), "memory", Format::Pcapng), blocks, after };
    let summary = run_with(query, &recent, &mut sink).expect("an answer");
    let text = Statement::of(query, &store_id(&query.store).expect("a store")).text(&summary);
    (summary.packets, sink.writer.finish(&text).expect("it is written"))
}

struct TakingBack {
    writer: Writer<Vec<u8>>,
    blocks: SharedBlocks,
    after: usize,
}

impl PacketSink for TakingBack {
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
        if self.after == 0 {
            self.blocks.take_back();
        }
        self.after = self.after.wrapping_sub(1);
        self.writer.packet(p)
    }
}

type Memory = (Vec<Arc<Run>>, SharedBlocks);

/// Of some of its blocks what memory would hold; `how`: by segment, which of them and whether indexed.
fn in_memory(store: &Path, how: &[(bool, bool, u8)]) -> Memory {
    let open = |s: &SegmentRef| s.open().expect("a segment").map_or(0, |r| r.blocks().len());
    let (mut runs, all) = (Vec::new(), segments(store).expect("a store"));
    let mut shared = SharedBlocks::new(all.iter().map(open).sum());
    for (segment, (indexed, joined, mask)) in all.iter().zip(how.iter().cycle()) {
        let Some(reader) = segment.open().expect("a segment") else { continue };
        let path = reader.path();
        let bytes = std::fs::read(path).expect("its file");
        let file = Arc::new(SegmentFile::new(store, reader.header()));
        let mut block = |b: &BlockRef| shared.put(b, &bytes[b.offset as usize..][..b.len]);
        let held: Vec<Option<MemoryBlock>> =
            reader.blocks().iter().enumerate().map(|(n, b)| (mask >> (n % 8) & 1 == 1).then(|| block(b))).collect();
        for group in held.split(Option::is_none).filter(|g| !g.is_empty()) {
            let group: Vec<MemoryBlock> = group.iter().flatten().cloned().collect();
            let each = if *joined { group.len() } else { 1 };
            for some in group.chunks(each) {
                let reader = SegmentReader::in_memory(reader.shared_header(), some.to_vec(), Some(file.clone()));
                let run = if *indexed { Run::indexed(reader).expect("a run") } else { Run::new(reader) };
                runs.push(Arc::new(run));
            }
        }
    }
    (runs, shared)
}

fn until(what: &str, mut there: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !there() {
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Asks at each stage of the packets' lives, all the questions in all the ways.
fn same_bytes(steps: &[Step], how: &[(bool, bool, u8)]) {
    let dir = tempfile::tempdir().expect("a folder");
    let classes = ["all", "dns"].map(|n| (n.to_owned(), Default::default())).to_vec();
    let options = Options { workers: 3, classes, segment_bytes: 4 << 20, ..Options::default() };
    let store = Store::create_or_open(dir.path(), options).expect("a store");
    let mut writers: Vec<_> = (0..3).map(|n| store.writer(n, 32).expect("a writer")).collect();
    // Two link types, so that an answer has interfaces of several segments.
    let interface = |(name, link_type): (&str, u16)| Interface::new(name, link_type);
    let interfaces = [("b0", 1), ("a0", 1), ("c0", 113), ("a1", 1)].map(interface);
    let (mut time, mut mono, mut packets) = (1_700_000_000_000_000_000, 1_000_000_000, 0);
    for step in steps {
        match *step {
            Step::Packet { worker, class, iface, later, host, len } => {
                time += later;
                packets += 1;
                let mut data = frame(host, len, packets);
                if iface == 2 {
                    // Linux cooked: two bytes more before the same.
                    data.splice(..12, [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0]);
                }
                until("room", || {
                    writers[worker].tick(mono);
                    writers[worker].room()
                });
                let p = Packet {
                    time,
                    wire_len: data.len() as u32,
                    iface,
                    hash: None,
                    data: &data,
                    options: InputOptions::NONE,
                };
                assert_eq!(writers[worker].append(class, &p, &interfaces, &Mark::None.into()), Appended::Stored);
            }
            Step::Flush { worker } => {
                mono += 200_000_000;
                writers[worker].tick(mono);
            }
            Step::NewSegments { worker } => writers[worker].rotate(),
        }
    }
    until("all on the disk", || {
        mono += 200_000_000;
        writers.iter_mut().for_each(|w| w.tick(mono));
        writers.iter().all(|w| w.counts().pending == 0)
    });
    let dns = steps.iter().any(|s| matches!(s, Step::Packet { class: 1, .. }));
    let query = |filter: &str| Query { store: dir.path().to_owned(), filter: filter.into(), ..Query::default() };
    let asked = [
        query(""),
        query("host 10.0.0.3"),
        Query { limit: Some(packets as u64 / 2), ..query("") },
        Query { since: Some(1_700_000_000_000_000_003), ..query("port 53") },
        // A class that no packet is of is not known here.
        Query { classes: if dns { vec!["dns".into()] } else { Vec::new() }, ..query("") },
    ];
    until("all to be found", || answer(&asked[0], &[]).0 == packets as u64);
    let want: Vec<_> = asked.iter().map(|q| answer(q, &[])).collect();
    let compare = |stage: &str| {
        let (some, _shared) = in_memory(dir.path(), how);
        let memory = [vec![], some];
        for (n, (q, want)) in asked.iter().zip(&want).enumerate() {
            for recent in &memory {
                for full_scan in [false, true] {
                    let got = answer(&Query { full_scan, ..q.clone() }, recent);
                    assert!(got == *want, "{stage}, question {n}, {} in memory, full scan: {full_scan}", recent.len());
                }
            }
            for after in [0, 1, want.0 as usize / 2] {
                let got = answer_while_memory_goes(q, in_memory(dir.path(), how), after);
                assert!(got == *want, "{stage}, question {n}, memory goes after {after} packets");
            }
        }
    };
    compare("being written");
    writers.iter_mut().for_each(|w| w.finish());
    drop(writers);
    store.close();
    compare("sealed, without an index");
    for s in segments(dir.path()).expect("a store") {
        assert!(s.sealed);
        index::build(&s.path).expect("its index");
    }
    compare("sealed");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn wherever_packets_lie_the_answer_is_the_same_bytes(
        steps in prop::collection::vec(step(), 1..150),
        how in prop::collection::vec((any::<bool>(), any::<bool>(), any::<u8>()), 1..6),
    ) {
        same_bytes(&steps, &how);
    }
}

/// A capture of 300 UDP packets from four hosts, a millisecond apart.
fn capture(dir: &Path) -> PathBuf {
    let mut file: Vec<u8> = Vec::new();
    for v in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 65535, 1] {
        file.extend(v.to_le_bytes());
    }
    for n in 0..300u32 {
        let data = frame((n % 4) as u8, 100, n as usize);
        for v in [1_700_000_000, n * 1_000_000, 100, 100] {
            file.extend(v.to_le_bytes());
        }
        file.extend(data);
    }
    let path = dir.join("capture.pcap");
    std::fs::write(&path, file).expect("a capture");
    path
}

/// Asked twice, to files: the same bytes, which say in their header what was asked and what is missing.
#[test]
fn the_same_question_gives_the_same_file() {
    let r = Retrotap::default();
    let path = capture(r.dir());
    r.record(&[&path], &["--cutoff", "none"]);
    for format in ["pcapng", "pcap"] {
        let ask = |name: &str, more: &[&str]| {
            let file = r.dir().join(name).to_string_lossy().into_owned();
            let ran = r.run(&[&["query", "host 10.0.0.2", "--format", format, "-w", &file], more].concat());
            assert_eq!(ran.code, Some(0), "{}", ran.err);
            std::fs::read(file).expect("the answer")
        };
        let (one, two) = (ask(&format!("1.{format}"), &[]), ask(&format!("2.{format}"), &["--explain"]));
        assert!(one == two, "{format}");
        // Through a pipe: the same but for the place in the header.
        let piped = r.run(&["query", "host 10.0.0.2", "--format", format, "-w", "-"]).out;
        let differ = one.iter().zip(&piped).enumerate().filter(|(_, (a, b))| a != b).map(|(at, _)| at);
        let differ: Vec<usize> = differ.collect();
        let (first, last) = (differ.first().copied(), differ.last().copied());
        assert_eq!(one.len(), piped.len());
        match format {
            "pcap" => assert_eq!(first, None),
            _ => assert!(
                first >= Some(24) && last < Some(24 + retrotap::limits::ANSWER_PLACE_BYTES),
                "{first:?} {last:?}"
            ),
        }
    }
}

/// What a manifest says, and the check of it: of the packets, of the store that they came from, of a byte that is another.
#[test]
fn a_manifest_is_checked_and_one_other_byte_is_found() {
    let r = Retrotap::default();
    let path = capture(r.dir());
    r.record(&[&path], &["--cutoff", "none"]);
    let text = |name: &str| r.dir().join(name).to_string_lossy().into_owned();
    let (answer, manifest) = (text("a.pcapng"), text("a.json"));
    let ran = r.run(&["query", "host 10.0.0.2", "--until", "1700000001", "-w", &answer, "--manifest", &manifest]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let m: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest).expect("it")).expect("JSON");
    assert_eq!((&m["kind"], &m["format"]), (&"retrotap-manifest".into(), &1.into()));
    assert_eq!((&m["packets"], &m["bytes"], &m["complete"]), (&75.into(), &7500.into(), &true.into()), "{m}");
    assert_eq!(
        (&m["question"]["filter"], &m["until"]),
        (&"host 10.0.0.2".into(), &"2023-11-14T22:13:21.000000000Z".into())
    );
    assert_eq!(m["first"], "2023-11-14T22:13:20.002000000Z");
    assert_eq!(m["file"]["name"], "a.pcapng");
    assert_eq!(m["origin"]["store"], store_id(&r.store()).expect("a store"));
    let listed = m["origin"]["segments"]["list"].as_array().expect("segments");
    assert_eq!((listed.len(), &listed[0]["packets"], &listed[0]["class"]), (1, &75.into(), &"all".into()), "{m}");
    assert!(m["asked_by"]["host"].as_str().is_some_and(|h| !h.is_empty()), "{m}");
    let store = r.store().to_string_lossy().into_owned();
    let check = |more: &[&str]| r.run(&[&["verify", &manifest], more].concat());
    let right = check(&["--store", &store]);
    assert_eq!(right.code, Some(0), "{}{}", right.text(), right.err);
    for words in ["75 packets", "1 is what it was", "the answer was complete"] {
        assert!(right.text().contains(words), "{}", right.text());
    }
    // Each byte counts, in the header that says what is missing as well.
    let whole = std::fs::read(&answer).expect("the answer");
    for at in [30, 5000, whole.len() / 2, whole.len() - 40] {
        let mut other = whole.clone();
        other[at] ^= 1;
        std::fs::write(&answer, &other).expect("writes");
        let wrong = check(&[]);
        assert!(
            wrong.code == Some(1) && wrong.text().contains("SHA-256"),
            "byte {at}: {:?} {}",
            wrong.code,
            wrong.text()
        );
    }
    // A manifest that was changed, too.
    std::fs::write(&answer, &whole).expect("writes");
    let lie = std::fs::read_to_string(&manifest).expect("it").replace("\"packets\": 75", "\"packets\": 74");
    std::fs::write(text("lie.json"), lie).expect("writes");
    let ran = r.run(&["verify", &text("lie.json"), "--json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.json()["problems"][0].as_str().is_some_and(|p| p.contains("the file has 75")), "{}", ran.text());
    // What is no manifest, what is not there, and packets that lie elsewhere.
    std::fs::write(text("none.json"), "{}").expect("writes");
    assert_eq!(r.run(&["verify", &text("none.json")]).code, Some(2));
    assert_eq!(r.run(&["verify", &text("nowhere.json")]).code, Some(3));
    std::fs::rename(&answer, text("moved.pcapng")).expect("moves");
    assert_eq!(check(&[]).code, Some(3));
    assert_eq!(check(&["--packets", &text("moved.pcapng")]).code, Some(0));
    std::fs::rename(text("moved.pcapng"), &answer).expect("moves");
    // A packet in the store that is another, with the sum that its block had.
    let segment = common::segments(&r.store()).remove(0);
    let mut bytes = std::fs::read(&segment).expect("the segment");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&segment, &bytes).expect("writes");
    let wrong = check(&["--store", &store]);
    assert!(wrong.code == Some(1) && wrong.text().contains("at byte"), "{:?} {}", wrong.code, wrong.text());
    // Expired: the packets are what they were all the same.
    std::fs::remove_file(&segment).expect("removes");
    let gone = check(&["--store", &store]);
    assert!(gone.code == Some(0) && gone.text().contains("1 is not there any more"), "{:?} {}", gone.code, gone.text());
    // Another store.
    let other = Retrotap::default();
    other.record(&[&path], &[]);
    assert_eq!(check(&["--store", &other.store().to_string_lossy()]).code, Some(1));
}

/// Through a pipe, and as pcap: the manifest has the sum of what went by.
#[test]
fn a_pipe_has_a_manifest_as_well() {
    let r = Retrotap::default();
    let path = capture(r.dir());
    r.record(&[&path], &["--cutoff", "none"]);
    let text = |name: &str| r.dir().join(name).to_string_lossy().into_owned();
    let ran = r.run(&["query", "-w", "-", "--format", "pcap", "--manifest", &text("m.json")]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    std::fs::write(text("piped.pcap"), &ran.out).expect("a file");
    assert_eq!(r.run(&["verify", &text("m.json")]).code, Some(2), "it does not say where the packets are");
    let ran = r.run(&["verify", &text("m.json"), "--packets", &text("piped.pcap")]);
    assert!(ran.code == Some(0) && ran.text().contains("300 packets"), "{:?} {}{}", ran.code, ran.text(), ran.err);
    // Nothing is begun where the manifest can't be written.
    let refused = r.run(&["query", "-w", &text("x.pcapng"), "--manifest", &text("m.json")]);
    assert!(refused.code == Some(3) && refused.err.contains("--force"), "{:?} {}", refused.code, refused.err);
    assert!(!r.dir().join("x.pcapng").exists() && !r.dir().join("x.pcapng.part").exists());
}

/// A hold is exported with its manifest, also when its segments have gone.
#[test]
fn an_export_brings_its_manifest() {
    let r = Retrotap::default();
    let path = capture(r.dir());
    r.record(&[&path], &["--cutoff", "none"]);
    let hold = ["hold", "host 10.0.0.2", "--class", "all", "--name", "case-1", "--reason", "a test"];
    assert_eq!(r.run(&hold).code, Some(0));
    let text = |name: &str| r.dir().join(name).to_string_lossy().into_owned();
    let (file, manifest) = (text("case.pcapng"), text("case.pcapng.json"));
    let ran = r.run(&["export", "case-1", "-w", &file]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let m: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest).expect("it")).expect("JSON");
    assert_eq!((&m["hold"]["name"], &m["hold"]["reason"]), (&"case-1".into(), &"a test".into()));
    assert_eq!((&m["question"]["classes"][0], &m["file"]["name"]), (&"all".into(), &"case.pcapng".into()), "{m}");
    let store = r.store().to_string_lossy().into_owned();
    let ran = r.run(&["verify", &manifest, "--store", &store]);
    assert!(ran.code == Some(0) && ran.text().contains("1 is what it was"), "{:?} {}{}", ran.code, ran.text(), ran.err);
    let mut bytes = std::fs::read(&file).expect("the packets");
    let last = bytes.len() - 100;
    bytes[last] ^= 0x80;
    std::fs::write(&file, bytes).expect("writes");
    assert_eq!(r.run(&["verify", &manifest]).code, Some(1));
    assert_eq!(r.run(&["export", "case-1", "-w", &file]).code, Some(3), "it replaces nothing");
    assert_eq!(r.run(&["export", "case-1", "-w", &file, "--force"]).code, Some(0));
    assert_eq!(r.run(&["verify", &manifest]).code, Some(0));
    use std::os::unix::fs::PermissionsExt;
    for made in [&file, &manifest] {
        assert_eq!(std::fs::metadata(made).expect("it").permissions().mode() & 0o777, 0o600, "{made}");
    }
}
