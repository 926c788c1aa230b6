//! Indexes in a store that is used: a damaged one is met by a query, which scans and says so, and is made again by the next recording;
//! the file of filters is there and is not needed.

mod common;

use common::Retrotap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A capture of TCP packets from 64 hosts to one server, a millisecond apart.
fn capture(dir: &Path, name: &str, first: u32) -> PathBuf {
    let mut pcap = Vec::new();
    for v in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 65535, 1] {
        pcap.extend(v.to_le_bytes());
    }
    for n in 0..2000u32 {
        let host = (n % 64) as u8;
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 104, 0, 0, 0, 0, 64, 6, 0, 0];
        frame.extend([10, first as u8, 0, host, 192, 0, 2, 1]);
        frame.extend([0x80, host, 1, 187]);
        frame.resize(118, 0);
        for v in [1_700_000_000 + first, n * 400_000, frame.len() as u32, frame.len() as u32] {
            pcap.extend(v.to_le_bytes());
        }
        pcap.extend(frame);
    }
    let path = dir.join(name);
    std::fs::write(&path, pcap).expect("the capture");
    path
}

fn indexes(store: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(store.join("all")).expect("a class").map(|e| e.expect("an entry").path()).collect();
    found.retain(|p| p.extension().is_some_and(|e| e == "idx"));
    found.sort();
    found
}

#[test]
fn a_damaged_index_is_made_again() {
    let r = Retrotap::default();
    let one = capture(r.dir(), "one.pcap", 1);
    assert_eq!(r.record(&[&one], &[]).0.code, Some(0));
    let index = indexes(&r.store()).remove(0);
    let mut bytes = std::fs::read(&index).expect("the index");
    // In the connections, the first section.
    bytes[300] ^= 0xff;
    std::fs::write(&index, &bytes).expect("writes");
    let ask = || r.run(&["query", "host 10.1.0.7", "--json"]).json();
    let answer = ask();
    assert_eq!((&answer["packets"], &answer["damaged_indexes"]), (&32.into(), &1.into()), "{answer}");
    assert_eq!(r.run(&["verify"]).code, Some(1));
    // The next recording looks through what is there. It may end before it is through: then the one after goes on.
    let until = Instant::now() + Duration::from_secs(60);
    let two = capture(r.dir(), "two.pcap", 2);
    while r.run(&["verify"]).code != Some(0) {
        assert!(Instant::now() < until, "not made again");
        assert_eq!(r.record(&[&two], &[]).0.code, Some(0));
    }
    let answer = ask();
    assert_eq!((&answer["packets"], &answer["damaged_indexes"]), (&32.into(), &0.into()), "{answer}");
}

/// An index that is made of a damaged segment lacks what nobody could read: it rules out nothing, and every answer says what is damaged.
#[test]
fn an_index_of_a_damaged_segment_rules_out_nothing() {
    let r = Retrotap::default();
    let one = capture(r.dir(), "one.pcap", 1);
    assert_eq!(r.record(&[&one], &[]).0.code, Some(0));
    let index = indexes(&r.store()).remove(0);
    let segment = index.with_extension("pcapng");
    let mut bytes = std::fs::read(&segment).expect("the segment");
    let half = bytes.len() / 2;
    bytes[half] ^= 1;
    std::fs::write(&segment, &bytes).expect("writes");
    std::fs::remove_file(&index).expect("the index goes");
    for name in ["filters", "filters-address", "filters-joint"] {
        std::fs::remove_file(r.store().join(name)).expect("the filters go");
    }
    let ask = |host: &str| r.run(&["query", &format!("host {host}"), "--json"]).json();
    let whole = ask("10.1.0.7");
    let found = |answer: &serde_json::Value| answer["packets"].as_u64().expect("a number");
    // The damage takes one of five parts of the block.
    assert!((24..32).contains(&found(&whole)), "{whole}");
    retrotap::index::build(&segment).expect("an index");
    for (host, packets) in [("10.1.0.7", found(&whole)), ("10.9.9.9", 0)] {
        let answer = ask(host);
        assert_eq!((found(&answer), &answer["damaged_blocks"]), (packets, &1.into()), "{answer}");
        assert_eq!((&answer["damaged_indexes"], &answer["complete"]), (&0.into(), &false.into()), "{answer}");
    }
    let list = r.run(&["connections", "host 10.1.0.7"]);
    let list = String::from_utf8_lossy(&list.out).into_owned();
    assert!(list.contains("10.1.0.7") && list.contains("damaged"), "{list}");
}

#[test]
fn the_file_of_filters_is_kept_and_not_needed() {
    let r = Retrotap::default();
    for n in 1..=3 {
        let path = capture(r.dir(), "some.pcap", n);
        assert_eq!(r.record(&[&path], &[]).0.code, Some(0));
    }
    let filters = r.store().join("filters");
    let ask = || r.run(&["query", "host 10.2.0.7", "--json"]).json();
    let first = ask();
    assert_eq!((&first["packets"], &first["pruning"]["by_filter"]), (&32.into(), &2.into()), "{first}");
    let bytes = std::fs::read(&filters).expect("the recorder wrote it");
    for damage in [None, Some(&bytes[..bytes.len() / 2]), Some(&[]), Some(b"nonsense")] {
        match damage {
            Some(bytes) => std::fs::write(&filters, bytes).expect("writes"),
            None => std::fs::remove_file(&filters).expect("removes"),
        }
        let answer = ask();
        assert_eq!((&answer["packets"], &answer["pruning"]["by_filter"]), (&32.into(), &2.into()), "{answer}");
    }
}

/// Hosts that are in a segment but have nothing to do with each other, and ports that they have not: no index is opened for most of them
/// (one in sixteen passes the filter wrongly), and none is missed. So it is with the file of joint filters, with a damaged one, and without.
#[test]
fn what_is_not_together_opens_no_index() {
    use retrotap::query::{Answer, OutputError, PacketSink, Query, run};
    struct Nothing;
    impl PacketSink for Nothing {
        fn packet(&mut self, _: &Answer<'_>) -> Result<(), OutputError> {
            Ok(())
        }
    }
    let r = Retrotap::default();
    for n in 1..=3 {
        let path = capture(r.dir(), "some.pcap", n);
        assert_eq!(r.record(&[&path], &[]).0.code, Some(0));
    }
    let joints = r.store().join("filters-joint");
    let ask = |filter: String| {
        let answer = run(&Query { store: r.store(), filter, ..Query::default() }, &mut Nothing).expect("an answer");
        assert_eq!(answer.pruning.segments, 3);
        (answer.packets, answer.pruning.by_filter)
    };
    let apart = || (0..40).map(|n| ask(format!("host 10.1.0.{n} and host 10.1.0.{}", n + 1)));
    let ports = || (0..40).map(|n| ask(format!("host 10.2.0.{n} and port {}", 20 + n)));
    let together = || {
        assert_eq!(ask("host 10.2.0.7 and host 192.0.2.1".into()), (32, 2));
        assert_eq!(ask("host 10.2.0.7 and port 443".into()), (32, 2));
        assert_eq!(ask("port 443 and (host 10.1.0.7 or host 10.2.0.7)".into()), (64, 1));
        // No port that the filter knows.
        assert_eq!(ask(format!("host 10.2.0.7 and port {}", 0x8007)), (32, 2));
    };
    let all_ruled_out = |of: &mut dyn Iterator<Item = (u64, u64)>| of.filter(|a| *a == (0, 3)).count();
    together();
    for of in [&mut apart() as &mut dyn Iterator<Item = _>, &mut ports()] {
        let none = all_ruled_out(of);
        assert!(none > 25, "{none} of 40");
    }
    let bytes = std::fs::read(&joints).expect("the recorder wrote it");
    let flipped: Vec<u8> = bytes.iter().map(|b| !b).collect();
    for damage in [None, Some(&bytes[..bytes.len() / 2]), Some(&[]), Some(&flipped)] {
        match damage {
            Some(bytes) => std::fs::write(&joints, bytes).expect("writes"),
            None => std::fs::remove_file(&joints).expect("removes"),
        }
        together();
        assert!(apart().all(|(packets, by)| packets == 0 && by >= 2), "the address filter is there");
    }
    // The next recording makes it anew.
    assert_eq!(r.record(&[&capture(r.dir(), "some.pcap", 9)], &[]).0.code, Some(0));
    let none = (0..40).filter(|n| {
        let filter = format!("host 10.1.0.{n} and host 10.1.0.{}", n + 1);
        let answer = run(&Query { store: r.store(), filter, ..Query::default() }, &mut Nothing).expect("an answer");
        answer.pruning.by_filter == 4
    });
    assert!(none.count() > 25);
}

/// An index without its filters, whose places that nobody looks at are filled at random, and without the sums over them; `communities`:
/// with its table of community IDs, which is another one in memory.
fn but_the_filters(index: &[u8], communities: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut at = 256;
    for (section, len) in index[96..168].chunks_exact(8).enumerate() {
        let len = u64::from_le_bytes(len.try_into().expect("eight bytes")) as usize;
        // The filter, the joint filter, the sums.
        if !matches!(section, 4 | 7 | 8) && (communities || section != 6) {
            bytes.extend(&index[at..at + len]);
        }
        at += len;
    }
    assert_eq!(at, index.len());
    [&index[..96], &bytes].concat()
}

/// The same of one of blocks in memory, or of one that is to be like one of these.
fn of(index: &retrotap::index::Index) -> Vec<u8> {
    but_the_filters(index.all(), true)
}

/// Indexes of the blocks of a segment, however they are taken together, and then these indexes together, are to the byte the index
/// that the segment alone gives.
#[test]
fn indexes_of_blocks_make_the_index_of_their_segment() {
    use common::memory::SharedBlocks;
    use retrotap::index::{Index, Run, Scope};
    use retrotap::store::reader::{MemoryBlock, SegmentReader};
    use std::sync::Arc;
    let r = Retrotap::default();
    let captures: Vec<PathBuf> =
        (1..=40).map(|n| capture(r.dir(), &format!("{n}.pcap"), n)).chain(common::captures("index")).collect();
    let all: Vec<&Path> = captures.iter().map(PathBuf::as_path).collect();
    // Some captures are cut off, which ends with 1.
    let ran = r.record(&all, &["--cutoff", "none", "--segment-size", "8MiB"]).0;
    assert!(ran.code <= Some(1), "{}", ran.err);
    let (mut merged, mut several) = (0, 0);
    for index in indexes(&r.store()) {
        let segment = index.with_extension("pcapng");
        let (bytes, reader) = (std::fs::read(&segment).expect("it"), SegmentReader::open(&segment).expect("a segment"));
        let filed = std::fs::read(&index).expect("its index");
        let made = Index::make(&reader).expect("an index");
        assert!(but_the_filters(made.all(), false) == but_the_filters(&filed, false), "{}", index.display());
        let want = but_the_filters(&filed, true);
        let mut shared = SharedBlocks::new(reader.blocks().len());
        let blocks: Vec<MemoryBlock> =
            reader.blocks().iter().map(|b| shared.put(b, &bytes[b.offset as usize..][..b.len])).collect();
        if blocks.is_empty() {
            continue;
        }
        several += usize::from(blocks.len() > 3);
        let run = |some: &[MemoryBlock]| SegmentReader::in_memory(reader.shared_header(), some.to_vec(), None);
        for each in [1, 2, 3, 7] {
            let some: Vec<Vec<MemoryBlock>> = blocks.chunks(each).map(<[_]>::to_vec).collect();
            let runs: Vec<Arc<Run>> = some.iter().map(|b| Arc::new(Run::indexed(run(b)).expect("a run"))).collect();
            let joined: Vec<Arc<Run>> = runs
                .chunks(2)
                .zip(some.chunks(2))
                .map(|(runs, blocks)| Arc::new(Run::joined(run(&blocks.concat()), runs).expect("a run")))
                .collect();
            for (joined, blocks) in joined.iter().zip(some.chunks(2)) {
                let packets = Run::indexed(run(&blocks.concat())).expect("a run");
                assert!(of(joined.index().expect("one")) == of(packets.index().expect("one")), "by {each}");
            }
            let parts: Vec<&Index> = joined.iter().filter_map(|r| r.index()).collect();
            assert!(
                of(&Index::merge(&parts, Scope::Segment).expect("an index")) == want,
                "{} by {each}",
                segment.display()
            );
            merged += 1;
            // What is no whole is not made.
            if parts.len() > 2 {
                assert!(Index::merge(&[parts[0], parts[2]], Scope::Segment).is_err());
            }
        }
    }
    assert!(merged > 0 && several > 0, "{merged} merged, {several} of several blocks");
}
