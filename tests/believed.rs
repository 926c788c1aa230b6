//! An index, or an entry of the file of filters, counts only for the segment that it was made of: people copy segments from store to store,
//! with the index and without, over others and beside them. Whatever they do, an answer is what a full scan gives.

mod common;

use common::Retrotap;
use retrotap::query::{Answer, OutputError, PacketSink, Query, Summary, run};
use std::path::{Path, PathBuf};

/// A capture of so many UDP packets of this host, a second apart from 2023-11-14T22:13:20Z on.
fn capture(path: &Path, host: u8, packets: u32) {
    let mut out = 0xA1B2_C3D4_u32.to_le_bytes().to_vec();
    out.extend([2, 0, 4, 0]);
    for word in [0u32, 0, 65535, 1] {
        out.extend(word.to_le_bytes());
    }
    for n in 0..packets {
        let mut p = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0];
        p.extend([10, 0, 0, host, 10, 9, 9, 9, 0x13, host, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4]);
        for word in [1_700_000_000 + n, 0, p.len() as u32, p.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(p);
    }
    std::fs::write(path, out).expect("writes");
}

/// A store of one capture of each of these hosts, each in a segment of its own.
fn store(hosts: &[u8]) -> Retrotap {
    let r = Retrotap::default();
    for host in hosts {
        let path = r.dir().join(format!("{host}.pcap"));
        capture(&path, *host, 40);
        let (ran, _) = r.record(&[&path], &["--segment-size", "4MiB"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }
    r
}

#[derive(Default)]
struct Count(Vec<(u64, Vec<u8>)>);

impl PacketSink for Count {
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
        self.0.push((p.time, p.data.to_vec()));
        Ok(())
    }
}

fn ask(store: &Path, filter: &str, full_scan: bool) -> (usize, Summary) {
    let q = Query { store: store.to_owned(), filter: filter.to_owned(), full_scan, ..Query::default() };
    let mut got = Count::default();
    let s = run(&q, &mut got).expect("an answer");
    (got.0.len(), s)
}

fn segments(store: &Path, extension: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(store.join("all")).expect("the class").map(|e| e.expect("an entry").path());
    let mut all: Vec<PathBuf> = all.filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
    all.sort();
    all
}

/// `host`, and what only lists can rule out, by index and by connection: as often as a full scan finds it.
fn holds(store: &Path, hosts: &[(u8, usize)], what: &str) {
    for (host, packets) in hosts {
        for filter in [
            format!("host 10.0.0.{host}"),
            format!("host 10.0.0.{host} and port 53"),
            format!("host 10.0.0.{host} and host 10.9.9.9"),
            format!("src port {}", 0x1300 + u16::from(*host)),
        ] {
            assert_eq!(ask(store, &filter, true).0, *packets, "{what}: {filter}, all scanned");
            assert_eq!(ask(store, &filter, false).0, *packets, "{what}: {filter}");
        }
    }
}

#[test]
fn a_segment_over_another_is_found() {
    let (a, b) = (store(&[1]), store(&[2]));
    let (from, to) = (&segments(&b.store(), "pcapng")[0], &segments(&a.store(), "pcapng")[0]);
    assert_eq!(from.file_name(), to.file_name(), "the same time, worker and number");
    assert_eq!(std::fs::metadata(from).expect("there").len(), std::fs::metadata(to).expect("there").len());
    holds(&a.store(), &[(1, 40), (2, 0)], "before");
    assert_eq!(ask(&a.store(), "host 10.0.0.2", false).1.pruning.by_filter, 1, "a filter rules it out");
    std::fs::copy(from, to).expect("copies");
    holds(&a.store(), &[(1, 0), (2, 40)], "another's segment behind an index and an entry");
    std::fs::remove_file(a.store().join("filters")).expect("removes");
    holds(&a.store(), &[(1, 0), (2, 40)], "behind an index");
    std::fs::remove_file(to.with_extension("idx")).expect("removes");
    holds(&a.store(), &[(1, 0), (2, 40)], "alone");
    std::fs::copy(from.with_extension("idx"), to.with_extension("idx")).expect("copies");
    holds(&a.store(), &[(1, 0), (2, 40)], "with its own index");
    assert_eq!(ask(&a.store(), "host 10.0.0.1", false).1.pruning.by_filter, 1, "which is believed");
}

#[test]
fn segments_of_two_stores_are_all_found() {
    for with_index in [true, false] {
        let (a, b) = (store(&[1, 2]), store(&[3, 4, 5]));
        for from in segments(&b.store(), "pcapng") {
            // The same numbers; other names, so that none is lost.
            let name = from.file_name().expect("a name").to_string_lossy().replacen("-0-", "-1-", 1);
            let to = a.store().join("all").join(name);
            std::fs::copy(&from, &to).expect("copies");
            if with_index {
                std::fs::copy(from.with_extension("idx"), to.with_extension("idx")).expect("copies");
            }
        }
        let hosts = [(1, 40), (2, 40), (3, 40), (4, 40), (5, 40), (6, 0)];
        holds(&a.store(), &hosts, &format!("two stores in one, with their indexes: {with_index}"));
        // The other's filters in place of its own.
        for name in ["filters", "filters-address", "filters-joint"] {
            std::fs::copy(b.store().join(name), a.store().join(name)).expect("copies");
        }
        holds(&a.store(), &hosts, &format!("and their filters, with their indexes: {with_index}"));
        // Recorded into again: what is of no segment of its own is not entered for one.
        let path = a.dir().join("6.pcap");
        capture(&path, 6, 40);
        let (ran, _) = a.record(&[&path], &["--segment-size", "4MiB"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let hosts = [(1, 40), (2, 40), (3, 40), (4, 40), (5, 40), (6, 40), (7, 0)];
        holds(&a.store(), &hosts, &format!("recorded on, with their indexes: {with_index}"));
    }
}

/// A copy changes times, not what is in the file: filters are believed as before.
#[test]
fn a_copied_store_is_asked_as_before() {
    let a = store(&[1, 2]);
    let copy = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(copy.path().join("all")).expect("a class");
    for name in ["store.toml", "filters", "filters-address", "filters-joint"] {
        std::fs::copy(a.store().join(name), copy.path().join(name)).expect("copies");
    }
    for from in [segments(&a.store(), "pcapng"), segments(&a.store(), "idx")].concat() {
        std::fs::copy(&from, copy.path().join("all").join(from.file_name().expect("a name"))).expect("copies");
    }
    holds(copy.path(), &[(1, 40), (2, 40), (3, 0)], "a copy");
    let s = ask(copy.path(), "host 10.0.0.3", false).1;
    assert_eq!((s.pruning.by_filter, s.damaged_indexes), (2, 0), "{s:?}");
}
