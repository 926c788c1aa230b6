//! What answers may take in memory: a list of connections that finds no room is refused, a count that finds none says so, and below the bounds
//! nothing changes. Each bound of `docs/bounds.md` that has its test here is reached with small numbers; the product's are in `src/limits`.

mod common;

use common::Retrotap;
use retrotap::limits::COUNT_BYTES_SURE;
use retrotap::query::pace::Freely;
use retrotap::query::{Answer, Engine, IncompleteReason, OutputError, PacketSink, Query, QueryError, Sort, listed};
use std::path::{Path, PathBuf};

const CONNECTIONS: u32 = 12_000;

struct Nothing;

impl PacketSink for Nothing {
    fn packet(&mut self, _: &Answer<'_>) -> Result<(), OutputError> {
        Ok(())
    }
}

/// So many UDP connections of two packets; each comes again ten minutes later if `again`.
fn capture(dir: &Path, again: bool) -> PathBuf {
    let mut pcap = Vec::new();
    for v in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 65535, 1] {
        pcap.extend(v.to_le_bytes());
    }
    for round in 0..if again { 2 } else { 1 } {
        for n in 0..CONNECTIONS * 2 {
            let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 36, 0, 0, 0, 0, 64, 17, 0, 0];
            frame.extend([10, 0, ((n / 2) >> 8) as u8, (n / 2) as u8, 192, 0, 2, 1, 0x80, 0, 0, 53, 0, 16, 0, 0]);
            frame.resize(60, 0);
            for v in [1_700_000_000 + round * 600 + n / 10_000, n % 10_000 * 100_000, 60, 60] {
                pcap.extend(v.to_le_bytes());
            }
            pcap.extend(frame);
        }
    }
    let path = dir.join("c.pcap");
    std::fs::write(&path, pcap).expect("the capture");
    path
}

fn query(r: &Retrotap, filter: &str) -> Query {
    Query { store: r.store(), filter: filter.into(), ..Query::default() }
}

const MIB: u64 = 1 << 20;

#[test]
fn a_list_that_finds_no_room_is_refused() {
    let r = Retrotap::default();
    assert_eq!(r.record(&[&capture(r.dir(), false)], &[]).0.code, Some(0));
    let all = query(&r, "");
    let engine = Engine::new(&r.store());
    let whole = engine.connections(&all, &[], &Freely).expect("a list");
    assert_eq!(whole.connections.len() as u32, CONNECTIONS);
    let [taken, counts] = engine.taken();
    assert!(taken > 0 && counts == 0, "{taken} {counts}");
    drop(whole);
    assert_eq!(engine.taken(), [0, 0], "all of it is given back");

    // One list may have less than it takes: for whoever asks to narrow it down.
    let engine = Engine::new(&r.store()).with_bounds([100 * MIB, taken - MIB], [MIB, MIB]);
    let e = engine.connections(&all, &[], &Freely).expect_err("no room");
    assert!(matches!(e, QueryError::TooMany(..)) && e.to_string().contains("narrow it down"), "{e}");
    assert_eq!(engine.taken(), [0, 0]);
    let few = engine.connections(&query(&r, "net 10.0.1.0/24"), &[], &Freely).expect("fewer");
    assert_eq!(few.connections.len(), 256);
    drop(few);

    // All together may have as much as one takes: the second is told to come again, and then has the same list.
    let engine = Engine::new(&r.store()).with_bounds([taken, taken], [MIB, MIB]);
    let first = engine.connections(&all, &[], &Freely).expect("room");
    let e = engine.connections(&all, &[], &Freely).expect_err("no room");
    assert!(matches!(e, QueryError::NoRoom), "{e}");
    let names = |of: Vec<_>| listed(of, Sort::Last, None).collect::<Vec<_>>();
    let mut first = first;
    let got = names(std::mem::take(&mut first.connections));
    assert!(engine.connections(&all, &[], &Freely).is_err(), "as long as it is being sent");
    drop(first);
    let second = engine.connections(&all, &[], &Freely).expect("room").connections;
    assert!(got == names(second) && got.len() as u32 == CONNECTIONS);
}

#[test]
fn a_count_that_finds_no_room_says_so() {
    let r = Retrotap::default();
    assert_eq!(r.record(&[&capture(r.dir(), true)], &[]).0.code, Some(0));
    let all = query(&r, "udp");
    let ask = |engine: &Engine, q: &Query| engine.answer(q, &[], &Freely, &mut Nothing).expect("an answer");
    let engine = Engine::new(&r.store());
    let whole = ask(&engine, &all);
    assert_eq!((whole.packets, whole.connections), (u64::from(CONNECTIONS) * 4, u64::from(CONNECTIONS) * 2));
    assert!(whole.complete && whole.counts_all_connections(), "{whole:?}");
    assert_eq!(engine.taken(), [0, 0]);

    // Names have room, their receipts have not; then names have none either.
    for (bytes, names) in [(7 * MIB, u64::from(CONNECTIONS)), (2 * MIB, 6_144)] {
        let engine = Engine::new(&r.store()).with_bounds([MIB, MIB], [bytes, bytes]);
        let some = ask(&engine, &all);
        assert_eq!((some.packets, some.bytes), (whole.packets, whole.bytes), "packets are all there");
        assert!(some.connections >= names && some.connections <= whole.connections, "{some:?}");
        assert_eq!(some.uncounted_packets > 0, names < u64::from(CONNECTIONS), "{some:?}");
        assert!(!some.complete && some.uncounted_receipts > 0, "{some:?}");
        let told = IncompleteReason::Uncounted { packets: some.uncounted_packets, receipts: some.uncounted_receipts };
        assert!(some.incomplete.contains(&told), "{some:?}");
        let text = retrotap::query::text(&some);
        assert!(text.contains("at least") && text.contains("not counted:"), "{text}");
        assert_eq!(engine.taken(), [0, 0]);

        // A list that goes by packets needs to know all of them: it is refused, never cut.
        let listed = engine.connections(&query(&r, "len > 0"), &[], &Freely);
        if names < u64::from(CONNECTIONS) {
            assert!(matches!(listed, Err(QueryError::TooMany(..))), "{listed:?}");
        }
    }

    // What is sure is there whatever others have.
    let engine = Engine::new(&r.store()).with_bounds([MIB, MIB], [0, 0]);
    let few = ask(&engine, &query(&r, "net 10.0.0.0/24 or net 10.0.1.0/24"));
    assert!(few.connections == 1024 && few.complete, "{few:?}");
    let many = ask(&engine, &all);
    assert!(many.connections >= COUNT_BYTES_SURE / 1024 && many.uncounted_packets > 0, "{many:?}");
}
