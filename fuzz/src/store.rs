//! A store of which one file is not what was written: what `info`, `verify`, queries and lists of connections make of it. Nothing is given out that
//! the segments do not have: an index, a filter or a ledger that lies can hide packets, and makes none.

use crate::{scratch, sums};
use retrotap::ledger;
use retrotap::query::pace::Freely;
use retrotap::query::{Answer, Engine, OutputError, PacketSink, Query, QueryError, run as ask};
use retrotap::store::{info, verify};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Files that are replaced, by their places in the store.
const FILES: [&str; 11] = [
    "all/20260101T000000.000000000Z-0-0.idx",
    "all/20260101T000000.000000000Z-0-0.pcapng",
    "store.toml",
    "catalog",
    "classes.json",
    "filters",
    "filters-address",
    "filters-joint",
    "ledger/summary.json",
    "receipts/01796066148152779312.receipts",
    "open/7.open",
];

/// The store as it was written, and what is in it.
static GOOD: OnceLock<(PathBuf, Vec<Packet>)> = OnceLock::new();

type Packet = (u64, Vec<u8>);

#[derive(Default)]
struct Collect(Vec<Packet>);

impl PacketSink for Collect {
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
        self.0.push((p.time, p.data.to_vec()));
        Ok(())
    }
}

/// Input: which file, whether its sums are put right; its bytes.
pub fn run(data: &[u8]) {
    let (how, bytes) = crate::options(data);
    let name = FILES[usize::from(how & 0x7f) % FILES.len()];
    let mut bytes = bytes.to_vec();
    if how & 0x80 != 0 {
        match name.rsplit('.').next() {
            Some("idx") => drop(sums::index(&mut bytes)),
            Some("pcapng" | "open") => sums::segment(&mut bytes),
            Some("receipts") => sums::receipts(&mut bytes),
            // A recorder that lives: its last sign of life is of now.
            Some("catalog") if bytes.len() >= 48 => {
                bytes[40..48].copy_from_slice(&retrotap::units::now().to_le_bytes());
            }
            _ => {}
        }
    }
    let (good, packets) = GOOD.get_or_init(|| {
        let good = crate::made::root().join("tests/golden/v6");
        let all = found(&good, "", false).expect("the store that is kept");
        (good, all)
    });
    let store = scratch::empty("store");
    copy(good, &store);
    std::fs::create_dir_all(store.join("open")).expect("a folder");
    std::fs::write(store.join(name), &bytes).expect("a file");
    // Of other packets than these the segment itself can tell.
    let known = |p: &Packet| name.ends_with("pcapng") || name.ends_with("open") || packets.contains(p);
    for filter in ["", "host 10.0.1.166", "tcp port 445", "mpls"] {
        for full_scan in [false, true] {
            if let Ok(all) = found(&store, filter, full_scan) {
                assert!(all.iter().all(known), "{filter:?}: a packet that nobody stored");
            }
        }
    }
    let query = Query { store: store.clone(), ..Query::default() };
    let _ = Engine::new(&store).connections(&query, &[], &Freely);
    let _ = info::info(&store, &[]);
    let _ = verify::verify(&store, &|segment: &Path, index: &Path| {
        retrotap::index::verify(segment, index).map_err(|e| e.to_string())
    });
    let _ = retrotap::store::list::class_names(&store);
    let _ = ledger::missed(&store.join("ledger"), None, u64::MAX, &[]);
}

fn found(store: &Path, filter: &str, full_scan: bool) -> Result<Vec<Packet>, QueryError> {
    let mut all = Collect::default();
    let query = Query { store: store.to_owned(), filter: filter.to_owned(), full_scan, ..Query::default() };
    ask(&query, &mut all)?;
    Ok(all.0)
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).into_iter().flatten().flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            std::fs::create_dir_all(&to).expect("a folder");
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("a copy");
        }
    }
}

/// Each file as it is, or as one might be.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let good = crate::made::root().join("tests/golden/v6");
    for (n, name) in (0u8..).zip(FILES) {
        let bytes = match name {
            "catalog" => {
                let words = [
                    u64::from_le_bytes(*b"RTCATLG1"),
                    1,
                    0,
                    0,
                    0,
                    5,
                    1,
                    2,
                    1,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    8,
                    1,
                    8192,
                    8192,
                    9,
                    1,
                    0,
                ];
                words.iter().flat_map(|w| w.to_le_bytes()).chain([0; 100]).collect()
            }
            "classes.json" => br#"{"version":1,"names":["all","dns"]}"#.to_vec(),
            "open/7.open" => crate::made::segment(1, &[vec![crate::made::tcp([10, 0, 0, 1], [10, 0, 0, 2], 2)]]),
            "filters" => [&b"rtfilter\x03\0\0\0\0\0\0\0"[..], &[7; 16], b"RTFE"].concat(),
            name => std::fs::read(good.join(name)).unwrap_or_default(),
        };
        add([&[n | 0x80], &bytes[..]].concat());
    }
}
