//! Stores of every version of the formats that was ever written, under `tests/golden/`: they are read for ever, through their indexes, and
//! say what they said when they were made. `v1`: index version 1; `v2`: index version 2; `v3`: index version 3; `v4`:
//! index version 4; `v5`: index version 5 and segment version 2, with a fragmented datagram; `v6`: index version 6, with a frame of 1,100 labels,
//! which the index does not list; `s3`: segment version 3, what a pcapng file said
//! beside its packets.

use retrotap::query::pace::Freely;
use retrotap::query::{Answer, Connection, Engine, OutputError, PacketSink, Query, Summary, run};
use std::path::{Path, PathBuf};

#[derive(Default)]
struct Collect(Vec<(u64, Vec<u8>)>);

impl PacketSink for Collect {
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
        self.0.push((p.time, p.data.to_vec()));
        Ok(())
    }
}

fn ask(store: &Path, filter: &str, full_scan: bool) -> (Vec<(u64, Vec<u8>)>, Summary) {
    let q = Query { store: store.to_owned(), filter: filter.to_owned(), full_scan, ..Query::default() };
    let mut got = Collect::default();
    let summary = run(&q, &mut got).expect("an answer");
    (got.0, summary)
}

/// Of the connections: key, first and last packet, packets.
fn connections(store: &Path) -> Vec<(String, u64, u64, u64)> {
    let q = Query { store: store.to_owned(), ..Query::default() };
    let found = Engine::new(store).connections(&q, &[], &Freely).expect("a list").connections;
    let told = |c: &Connection| (format!("{:?}", c.key), c.first, c.last, c.stored_packets);
    let mut all: Vec<_> = found.iter().map(told).collect();
    all.sort();
    all
}

fn stores() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut stores: Vec<PathBuf> =
        std::fs::read_dir(root).expect("the golden stores").map(|e| e.expect("an entry").path()).collect();
    stores.sort();
    stores
}

/// Whatever happens to the bytes of an index: it is found damaged, or it was not needed; no packet is missing.
#[test]
fn a_damaged_index_loses_no_packet() {
    for store in stores() {
        let copy = tempfile::tempdir().expect("a directory");
        let to = copy.path().join("all");
        std::fs::create_dir(&to).expect("a class");
        std::fs::copy(store.join("store.toml"), copy.path().join("store.toml")).expect("copies");
        let mut index = PathBuf::new();
        for file in std::fs::read_dir(store.join("all")).expect("segments") {
            let file = file.expect("an entry").path();
            let name = to.join(file.file_name().expect("a name"));
            std::fs::copy(&file, &name).expect("copies");
            if name.extension().is_some_and(|e| e == "idx") {
                index = name;
            }
        }
        let good = std::fs::read(&index).expect("the index");
        let filters = ["host 10.0.1.166", "tcp port 80", "net 198.18.0.0/16 and not udp", "host 192.0.2.1"];
        let whole = filters.map(|f| ask(copy.path(), f, true).0);
        let connections = connections(copy.path());
        let mut found = 0;
        for at in (0..good.len()).step_by(7) {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&index, &bytes).expect("writes");
            for (filter, whole) in filters.iter().zip(&whole) {
                let (got, s) = ask(copy.path(), filter, false);
                assert_eq!(&got, whole, "{}: byte {at}, {filter:?}", store.display());
                found += u64::from(s.damaged_indexes + s.pruning.without_index > 0);
            }
            assert_eq!(self::connections(copy.path()), connections, "{}: byte {at}", store.display());
        }
        for len in (0..good.len()).step_by(100) {
            std::fs::write(&index, &good[..len]).expect("writes");
            assert_eq!(&ask(copy.path(), filters[0], false).0, &whole[0], "{}: cut at {len}", store.display());
        }
        assert!(found > 100, "{}: damage was met {found} times", store.display());
    }
}

#[test]
fn every_version_is_read() {
    let stores = stores();
    assert!(stores.len() >= 5, "{stores:?}");
    for store in stores {
        // Of 400 packets of 40 connections the recorder kept these, with a cutoff of 1 KiB.
        for (filter, packets) in [
            ("", 57),
            ("host 10.0.1.166", 2),
            ("host 10.0.1.166 and port 445", 2),
            ("tcp port 80", 3),
            ("net 198.18.0.0/16 and not udp", 47),
            ("host 192.0.2.1", 0),
            ("host 10.0.1.166 and port 22", 0),
        ] {
            let (got, s) = ask(&store, filter, false);
            let (whole, _) = ask(&store, filter, true);
            let name = store.display();
            // A datagram in two fragments more, or a frame of labels.
            let more = match name.to_string() {
                name if filter.is_empty() && name.ends_with("v5") => 2,
                name if filter.is_empty() && name.ends_with("v6") => 1,
                _ => 0,
            };
            assert_eq!(got.len(), packets + more, "{name}: {filter:?}");
            assert_eq!(got, whole, "{name}: {filter:?}");
            let through = s.damaged_indexes + s.pruning.without_index + s.damaged_blocks + s.open_connections;
            assert_eq!(through, 0, "{name}: {filter:?} did not go through the index and the receipts: {s:?}");
            let joint = ["v3", "v4", "v5", "v6", "s3"].iter().any(|v| name.to_string().ends_with(v));
            let together = filter.contains("port") && joint;
            let ruled_out = s.pruning.by_filter == 1 || filter.contains("port") && !together;
            assert!(packets > 0 || ruled_out, "{name}: {filter:?} is ruled out by a filter: {s:?}");
        }
    }
}

/// What an index does not list is a candidate for each question about it, and for no other.
#[test]
fn what_is_not_listed_is_found() {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v6");
    for (filter, packets, candidates) in
        [("mpls 1000", 1, 1), ("mpls 1005", 0, 1), ("mpls 5 and host 10.0.1.166", 0, 0), ("host 10.0.1.166", 2, 2)]
    {
        let (got, s) = ask(&store, filter, false);
        assert_eq!((got.len(), s.pruning.candidates, s.damaged_indexes), (packets, candidates, 0), "{filter}: {s:?}");
        assert_eq!(got, ask(&store, filter, true).0, "{filter}");
    }
}

/// From segment version 2 on a later fragment has its connection's name; before it is found by its first.
#[test]
fn a_later_fragment_is_of_its_connection() {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v5");
    let conn = "udp 10.0.0.1:1000 10.0.0.2:53".parse().ok();
    let q = Query { store, conn, ..Query::default() };
    let summary = run(&q, &mut Collect::default()).expect("an answer");
    assert_eq!((summary.packets, summary.connections, summary.open_connections), (2, 1, 0), "{summary:?}");
}

/// Comments, direction, description, names and secrets of the input.
#[test]
fn what_the_input_said_is_read() {
    #[derive(Default)]
    struct Said(Vec<Vec<u8>>, Vec<retrotap::source::Interface>);
    impl PacketSink for Said {
        fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
            self.0.push(p.options.to_vec());
            self.1.push(p.interface.clone());
            Ok(())
        }
    }
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/s3");
    for full_scan in [false, true] {
        let (q, mut got) = (Query { store: store.clone(), full_scan, ..Query::default() }, Said::default());
        run(&q, &mut got).expect("an answer");
        for (n, options) in got.0.iter().enumerate() {
            let comment = format!("packet {n}");
            let mut want = vec![1, 0, comment.len() as u8, 0];
            want.extend(comment.as_bytes());
            want.resize(want.len().next_multiple_of(4), 0);
            want.extend([2, 0, 4, 0, 1 + (n % 2) as u8, 0, 0, 0]);
            assert_eq!(options, &want);
        }
        assert_eq!(got.0.len(), 57);
        let described = got.1[0].description.as_ref().expect("a description");
        assert_eq!(described.options, b"\x03\0\x06\0uplink\0\0");
        let section: Vec<_> = described.of_section().collect();
        assert_eq!(section, [(1, &b"of the section"[..]), (3, &b"Plan 9"[..])]);
        let beside = got.1[0].beside.as_ref().expect("names and secrets");
        let kinds: Vec<u8> = beside.each().map(|block| block[0]).collect();
        assert_eq!(kinds, [4, 10]);
        assert!(beside.bytes().windows(14).any(|w| w == b"client.example"));
        assert!(beside.bytes().windows(13).any(|w| w == b"CLIENT_RANDOM"));
    }
}
