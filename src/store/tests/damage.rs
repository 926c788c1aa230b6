//! Readers and damaged files: no panic, and never a packet that was not recorded.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;

type Packets = BTreeMap<u64, (u64, u32, Vec<u8>, Mark)>;

/// A sealed segment of a few blocks and its packets by offset.
fn segment() -> &'static (Vec<u8>, Packets) {
    static SEGMENT: OnceLock<(Vec<u8>, Packets)> = OnceLock::new();
    SEGMENT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut w = store.writer(0, 32).unwrap();
        let ifaces = ethernet(&["eth0", "eth1"]);
        for n in 0..150u64 {
            let mark = [Mark::None, Mark::CutHere, Mark::Untracked][n as usize % 3];
            let iface = ifaces[n as usize % 2].name.clone();
            let data = vec![n as u8; n as usize * 13];
            let p = Kept { time: n, wire_len: n as u32 * 20, iface, link_type: 1, data, mark };
            put(&mut w, 0, &p, &ifaces);
            w.tick(n * crate::limits::FLUSH_NS / 20);
        }
        w.finish();
        store.close();
        let list = segments(dir.path()).unwrap();
        assert_eq!(list.len(), 1);
        let reader = list[0].open().unwrap().unwrap();
        assert!(reader.blocks().len() > 4);
        let mut all = BTreeMap::new();
        for b in reader.blocks() {
            for p in reader.block(b).unwrap().packets().map(Result::unwrap) {
                all.insert(p.offset, (p.time, p.wire_len, p.data.to_vec(), p.mark));
            }
        }
        assert_eq!(all.len(), 150);
        (fs::read(&list[0].path).unwrap(), all)
    })
}

/// What a reader gives of a file, after checking that each packet was recorded there. `None`: it does not open.
fn read(path: &Path, unsealed: bool) -> Option<usize> {
    let good = &segment().1;
    let reader =
        if unsealed { SegmentReader::open_unsealed(path, None).ok()?? } else { SegmentReader::open(path).ok()? };
    for (offset, want) in good {
        if let Ok(p) = reader.packet_at(*offset) {
            assert_eq!((p.time, p.wire_len, &*p.data, p.mark), (want.0, want.1, &want.2[..], want.3));
        }
        // Offsets that an index never names.
        if let Ok(p) = reader.packet_at(offset + 4) {
            panic!("a packet at {offset} + 4: {p:?}");
        }
    }
    let mut n = 0;
    for b in reader.blocks() {
        let Ok(block) = reader.block(b) else { continue };
        for p in block.packets() {
            let p = p.unwrap();
            let want = &good[&p.offset];
            assert_eq!((p.time, p.wire_len, p.data, p.mark), (want.0, want.1, &want.2[..], want.3));
            n += 1;
        }
    }
    Some(n)
}

#[derive(Clone, Debug)]
enum Hurt {
    Flip(prop::sample::Index, u8),
    Zero(prop::sample::Index, usize),
    Copy(prop::sample::Index, prop::sample::Index, usize),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
}

fn hurt() -> impl Strategy<Value = Hurt> {
    use any as a;
    prop_oneof![
        4 => (a::<prop::sample::Index>(), 1u8..).prop_map(|(i, x)| Hurt::Flip(i, x)),
        2 => (a::<prop::sample::Index>(), 1usize..9000).prop_map(|(i, n)| Hurt::Zero(i, n)),
        2 => (a::<prop::sample::Index>(), a::<prop::sample::Index>(), 1usize..20_000).prop_map(|(i, j, n)| Hurt::Copy(i, j, n)),
        1 => a::<prop::sample::Index>().prop_map(Hurt::Cut),
        1 => (a::<prop::sample::Index>(), prop::collection::vec(a::<u8>(), 1..5000)).prop_map(|(i, b)| Hurt::Insert(i, b)),
    ]
}

fn apply(bytes: &mut Vec<u8>, hurt: &Hurt) {
    let len = bytes.len();
    if len == 0 {
        return;
    }
    match hurt {
        Hurt::Flip(i, x) => bytes[i.index(len)] ^= x,
        Hurt::Zero(i, n) => {
            let at = i.index(len);
            bytes[at..(at + n).min(len)].fill(0);
        }
        Hurt::Copy(i, j, n) => {
            // Whole sectors, as misdirected writes copy them.
            let (from, to) = (i.index(len) / 4096 * 4096, j.index(len) / 4096 * 4096);
            let n = n.next_multiple_of(4096).min(len - from.max(to));
            bytes.copy_within(from..from + n, to);
        }
        Hurt::Cut(i) => bytes.truncate(i.index(len)),
        Hurt::Insert(i, b) => {
            let at = i.index(len);
            bytes.splice(at..at, b.iter().copied());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_noticed_and_only_what_was_recorded_comes_back(
        hurts in prop::collection::vec(hurt(), 1..5), unsealed: bool,
    ) {
        let (good, all) = segment();
        let mut bytes = good.clone();
        hurts.iter().for_each(|h| apply(&mut bytes, h));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pcapng");
        fs::write(&path, &bytes).unwrap();
        if let Some(n) = read(&path, unsealed) {
            prop_assert!(n <= all.len());
            if n < all.len() && !unsealed {
                let reader = SegmentReader::open(&path).unwrap();
                let broken = reader.blocks().iter().any(|b| reader.block(b).is_err());
                // A file cut between two blocks is a good, shorter file.
                let shorter = reader.end() == bytes.len() as u64;
                prop_assert!(broken || shorter || !reader.bad().is_empty(), "{n} packets and nothing said");
            }
        }
    }
}

#[test]
fn the_whole_file_reads_the_same_sealed_and_unsealed() {
    let (good, all) = segment();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcapng");
    fs::write(&path, good).unwrap();
    assert_eq!((read(&path, false), read(&path, true)), (Some(all.len()), Some(all.len())));
}

#[test]
fn verify_names_the_broken_block_and_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut w = store.writer(0, 32).unwrap();
    let ifaces = ethernet(&["eth0"]);
    for n in 0..40u64 {
        let p = Kept { time: n, wire_len: 60, iface: "eth0".into(), link_type: 1, data: vec![1; 60], mark: Mark::None };
        put(&mut w, 0, &p, &ifaces);
        w.tick(n * crate::limits::FLUSH_NS / 5);
    }
    w.finish();
    store.close();
    let verify = || crate::store::verify::verify(dir.path(), &|_, _| Ok(())).unwrap();
    let clean = verify();
    assert_eq!((clean.packets, clean.segments, clean.problems.len()), (40, 1, 1), "{:?}", clean.problems);
    assert!(clean.problems[0].what.contains("index is missing"));
    let s = segments(dir.path()).unwrap().remove(0);
    fs::write(s.index(), "").unwrap();
    assert_eq!(verify().problems, []);
    let block = s.open().unwrap().unwrap().blocks()[2];
    let mut bytes = fs::read(&s.path).unwrap();
    bytes[block.offset as usize + 200] ^= 4;
    fs::write(&s.path, bytes).unwrap();
    let report = verify();
    assert_eq!(report.packets, 40 - u64::from(block.totals.packets));
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert_eq!((&report.problems[0].file, report.problems[0].offset), (&s.path, block.offset));
}

/// By its index a segment gives every packet that no damage touches, also those that end just before it.
#[test]
fn only_packets_in_a_damaged_piece_are_lost() {
    use crate::index::Index;
    use crate::limits::PIECE_BYTES;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("segment.pcapng");
    let (bytes, good) = segment();
    fs::write(&path, bytes).unwrap();
    let whole = SegmentReader::open(&path).unwrap();
    let table = Index::make(&whole).unwrap().blocks().unwrap().unwrap();
    let block = whole.blocks().iter().max_by_key(|b| b.trailer_at).unwrap();
    assert!(block.trailer_at > 2 * PIECE_BYTES);
    let mut damaged = bytes.clone();
    damaged[block.offset as usize + PIECE_BYTES + 5] ^= 1;
    fs::write(&path, damaged).unwrap();
    let reader = SegmentReader::open_by(&path, whole.end(), table).unwrap();
    let piece = block.offset + PIECE_BYTES as u64..block.offset + 2 * PIECE_BYTES as u64;
    let mut lost = 0;
    for (offset, want) in good {
        // A packet block has 32 bytes and more beside the packet, and is a multiple of 4.
        let end = offset + 32 + want.2.len() as u64;
        match reader.packet_at(*offset) {
            Ok(p) => assert_eq!((p.time, &*p.data), (want.0, &want.2[..])),
            Err(_) => {
                assert!(*offset < piece.end && end + 64 > piece.start, "{offset}..{end} is lost, {piece:?} is damaged");
                lost += 1;
            }
        }
    }
    assert!(lost > 0, "the damage is found");
}

/// Without an index, too: what lies before the damage and behind it is found by the lengths of packet blocks, and nothing else is.
#[test]
fn a_scan_loses_only_packets_in_a_damaged_stripe() {
    use crate::limits::STRIPE_BYTES;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut w = store.writer(0, 32).unwrap();
    let ifaces = ethernet(&["eth0"]);
    for n in 0..300u64 {
        let data = vec![n as u8; 700 + n as usize];
        put(
            &mut w,
            0,
            &Kept { time: n, wire_len: 1000, iface: "eth0".into(), link_type: 1, data, mark: Mark::None },
            &ifaces,
        );
    }
    w.finish();
    store.close();
    let path = segments(dir.path()).unwrap().remove(0).path;
    let good = fs::read(&path).unwrap();
    let whole = SegmentReader::open(&path).unwrap();
    let block = whole.blocks()[0];
    assert!(block.trailer_at > 3 * STRIPE_BYTES && block.totals.packets == 300);
    // As salvage sees it: offset, end, time, bytes.
    let all: Vec<(u64, u64, u64, Vec<u8>)> = whole
        .block(&block)
        .unwrap()
        .found()
        .map(Result::unwrap)
        .map(|p| (p.offset, p.offset + 32 + (p.data.len() as u64).next_multiple_of(4), p.time, p.data.to_vec()))
        .collect();
    assert_eq!(whole.salvage(&block).len(), 300, "nothing is damaged");
    let salvaged = |stripes: &[usize]| {
        let mut bytes = good.clone();
        stripes.iter().for_each(|s| bytes[block.offset as usize + s * STRIPE_BYTES + 700] ^= 1);
        fs::write(&path, bytes).unwrap();
        let reader = SegmentReader::open(&path).unwrap();
        let found = reader.salvage(&reader.blocks()[0]);
        assert!(reader.block(&block).is_err());
        found.iter().map(|p| (p.offset, p.time, p.data.to_vec())).collect::<Vec<_>>()
    };
    let last = block.trailer_at.div_ceil(STRIPE_BYTES) - 1;
    for (stripes, hidden) in [(&[1][..], 1..2), (&[0], 0..1), (&[last], last..last + 1), (&[0, 2], 0..3)] {
        let hidden =
            block.offset + (hidden.start * STRIPE_BYTES) as u64..block.offset + (hidden.end * STRIPE_BYTES) as u64;
        let left = all.iter().filter(|(from, end, ..)| *end <= hidden.start || *from >= hidden.end);
        let left: Vec<_> = left.map(|(from, _, time, data)| (*from, *time, data.clone())).collect();
        assert!(!left.is_empty() && left.len() < 300);
        assert!(salvaged(stripes) == left, "stripes {stripes:?}: others than those {} are found", left.len());
    }
}
