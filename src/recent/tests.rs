//! Both sides together, without their threads: what capture puts in and takes back, and what serve shows of it.

use super::Shares;
use super::keep::KeepPools;
use super::read::{Recent, ShownRuns};
use crate::limits::PIECE_BYTES;
use crate::source::Interface;
use crate::store::format::{BlockTotals, SegmentHeader, header_bytes};
use crate::store::scan::BlockRef;
use crate::window::arena::{ArenaView, CHUNK_BYTES};
use crate::window::{PinWords, Window, WindowView};
use std::path::Path;
use std::sync::Arc;

const MIB: usize = 1 << 20;

/// Capture and serve.
struct Sides {
    window: Arc<Window>,
    pools: KeepPools,
    arena: Arc<ArenaView>,
    recent: Arc<Recent>,
    /// Blocks of each segment so far: where the next begins.
    ends: Vec<u64>,
    blocks: u64,
}

impl Sides {
    fn new(total: u64, own: &[(&str, u64)]) -> Sides {
        let shares = shares(total, own);
        let window = Window::create().unwrap();
        ["all", "dns"].iter().zip(0..).for_each(|(name, id)| window.name_class(id, name));
        let mut pools = KeepPools::new(&shares, window.clone()).unwrap();
        let (arena, recent) = admit(&mut pools, &window);
        Sides { window, pools, arena, recent, ends: vec![start(); 4], blocks: 0 }
    }

    /// The next block of a segment; of odd ones the class is `dns`. Whether it is in memory.
    fn put(&mut self, segment: usize, len: usize) -> bool {
        self.blocks += 1;
        let (offset, n) = (self.ends[segment], self.blocks);
        self.ends[segment] += len as u64;
        let totals = BlockTotals { packets: 1, runs: 1, first: n, last: n, ..BlockTotals::default() };
        let about = BlockRef { offset, len, trailer_at: len - 100, totals };
        let class = (segment % 2) as u8;
        let kept = self.pools.put(class, &header(segment), &about, &bytes(segment, &about));
        if kept {
            self.window.took_in()
        } else {
            self.window.missed()
        }
        kept
    }

    /// Serve is another from now on.
    fn restart_serve(&mut self) {
        (self.arena, self.recent) = admit(&mut self.pools, &self.window);
    }
}

fn shares(total: u64, own: &[(&str, u64)]) -> Shares {
    Shares { total: total << 20, own: own.iter().map(|(name, n)| ((*name).into(), n << 20)).collect() }
}

fn admit(pools: &mut KeepPools, window: &Arc<Window>) -> (Arc<ArenaView>, Arc<Recent>) {
    let pins = PinWords::create(pools.chunks()).unwrap();
    let arena = ArenaView::open(pools.file().unwrap(), pins.file().unwrap()).unwrap();
    pools.admit(pins);
    let window = WindowView::open(window.file().unwrap()).unwrap();
    (arena.clone(), Recent::new(arena, window, Path::new("/nowhere")))
}

fn header(segment: usize) -> SegmentHeader {
    SegmentHeader {
        version: 2,
        vlan_in_key: true,
        store: [7; 16],
        number: segment as u64,
        generation: 1,
        created: 0,
        worker: segment as u16,
        class: ["all", "dns"][segment % 2].into(),
        interfaces: vec![Interface::new("eth0", 1)],
    }
}

fn start() -> u64 {
    header_bytes(&header(0).interfaces) as u64
}

/// What a block has: bytes that no other has.
fn bytes(segment: usize, about: &BlockRef) -> Vec<u8> {
    let word = (segment as u64) << 56 | about.offset;
    word.to_le_bytes().iter().copied().cycle().take(about.len).collect()
}

/// All that is shown is as it was put in. Offsets by segment.
fn check(shown: &ShownRuns) -> Vec<Vec<u64>> {
    let mut all = vec![Vec::new(); 4];
    for reader in shown.iter().map(|r| r.reader()) {
        let segment = reader.header().number as usize;
        assert_eq!(*reader.header(), header(segment));
        for b in reader.blocks() {
            let want: Vec<u32> = bytes(segment, b)[..b.trailer_at].chunks(PIECE_BYTES).map(crc32c::crc32c).collect();
            let block = reader.block(b).expect("it is in memory");
            assert_eq!(block.sums(), want, "segment {segment}, offset {}", b.offset);
            all[segment].push(b.offset);
        }
    }
    all
}

/// What capture counts serve shows, in the order of each segment, whatever sizes come how mixed; and another serve shows the same.
#[test]
fn what_is_kept_is_shown() {
    let mut s = Sides::new(32, &[]);
    assert!(s.recent.shown().is_empty());
    let mut want = vec![Vec::new(); 4];
    for n in 0..120 {
        let (segment, len) = ([0, 0, 1, 2, 3, 1][n % 6], [4096, 40 * 4096, MIB, 8192][n % 4]);
        // As much as fits: nothing goes yet.
        if s.ends.iter().map(|e| e - start()).sum::<u64>() as usize + MIB > 8 * CHUNK_BYTES {
            break;
        }
        want[segment].push(s.ends[segment]);
        assert!(s.put(segment, len));
        if n % 5 == 0 {
            assert_eq!(check(&s.recent.shown()), want);
        }
    }
    assert_eq!(check(&s.recent.shown()), want);
    let runs = |s: &Sides| s.recent.shown().len();
    assert!(runs(&s) <= 30, "blocks that follow each other are one run: {}", runs(&s));
    s.restart_serve();
    assert_eq!(check(&s.recent.shown()), want, "and so does whoever comes later");
    assert!(s.recent.reach().iter().all(|(class, _)| class.is_none()), "nothing has gone");
}

/// A chunk has room for the header of each segment in it, wherever that is; for as many blocks as it can have.
#[test]
fn a_chunk_takes_small_blocks_of_many_segments() {
    let mut s = Sides::new(16, &[]);
    let all = CHUNK_BYTES / 4096;
    for n in 0..all {
        assert!(s.put(n % 4, 4096));
    }
    let shown = check(&s.recent.shown());
    assert_eq!(shown.iter().map(Vec::len).sum::<usize>(), all);
    assert_eq!(s.arena.states().filter(|(generation, _)| *generation > 0).count(), 1, "they are in one chunk");
}

/// Whoever reads and stands still keeps what he looks at, and nothing else: memory takes in every block.
#[test]
fn a_reader_that_stands_still_costs_memory_nothing() {
    let mut s = Sides::new(16, &[]);
    for _ in 0..12 {
        assert!(s.put(0, MIB));
    }
    // An answer that is not read on has runs, but looks at one block.
    let stalled = s.recent.shown();
    let (reader, chunks) = (stalled[0].reader(), s.arena.states().count());
    let looks_at = reader.blocks()[0];
    let block = reader.block(&looks_at).unwrap();
    let before = block.sums();
    for _ in 0..10 * chunks {
        assert!(s.put(0, MIB), "it takes in every block");
    }
    assert_eq!(s.window.counts(), (12 + 10 * chunks as u64, 0));
    assert_eq!(block.sums(), before, "what is looked at stays");
    assert!(!reader.is_gone(&looks_at) && reader.is_gone(&reader.blocks()[5]));
    let newest = s.ends[0] - MIB as u64;
    assert!(check(&s.recent.shown())[0].contains(&newest));
    // What was not in memory any more is said: all but what he looks at.
    let reach = s.recent.reach();
    let gone = reach.iter().find(|(class, _)| class.as_deref() == Some("all")).map(|(_, from)| *from);
    assert!(gone > Some(12) || reach[0].1 > 12, "{reach:?}");
    drop(block);
    for _ in 0..2 * chunks {
        assert!(s.put(0, MIB));
    }
    assert!(reader.is_gone(&looks_at), "he looks no more");
}

/// A class with memory of its own keeps it, whatever comes of others; when it is shared otherwise chunks go where they are needed.
#[test]
fn pools_have_their_own_chunks() {
    let mut s = Sides::new(32, &[("dns", 12)]);
    let dns: Vec<u64> = (0..4).map(|n| start() + n * MIB as u64).collect();
    for _ in 0..4 {
        assert!(s.put(1, MIB));
    }
    for _ in 0..40 {
        assert!(s.put(0, MIB));
    }
    assert_eq!(check(&s.recent.shown())[1], dns);
    let held = |s: &Sides, class: &str| s.window.held().get(class).map_or(0, |h| h.bytes as usize / MIB);
    let of_all = held(&s, "all");
    assert!((8..=20).contains(&of_all), "{of_all}");
    s.pools.share(&shares(32, &[]));
    assert_eq!(check(&s.recent.shown())[1], dns, "nothing goes before its place is needed");
    for _ in 0..60 {
        assert!(s.put(0, MIB));
    }
    assert_eq!((held(&s, "dns"), check(&s.recent.shown())[1].len()), (0, 0));
    assert!(held(&s, "all") > of_all);
    // And back: a pool that has fewer than it may have gets them from those that have more.
    s.pools.share(&shares(32, &[("dns", 12)]));
    for _ in 0..4 {
        assert!(s.put(1, MIB) && s.put(0, MIB));
    }
    for _ in 0..40 {
        assert!(s.put(0, MIB));
    }
    assert_eq!(check(&s.recent.shown())[1].len(), 4);
    assert_eq!(s.window.counts().1, 0);
}

/// Whatever serve writes into the pins costs capture the chunk, and nothing else; with the pins of the next serve it has them back.
#[test]
fn hostile_pins_cost_memory_alone() {
    let mut s = Sides::new(16, &[]);
    let chunks = s.arena.states().count();
    for _ in 0..2 * chunks {
        assert!(s.put(0, MIB));
    }
    let generation = |s: &Sides, chunk: usize| s.arena.states().nth(chunk).unwrap().0;
    let now = generation(&s, 2) << 24;
    for value in [0, 1, u64::MAX, now | 1, now + (1 << 24), now - (1 << 24), now | 0xff_ffff, 1 << 63 | now] {
        s.arena.pins().write(2, value);
        let before = generation(&s, 2);
        for _ in 0..4 * chunks {
            assert!(s.put(0, MIB));
        }
        // What that serve reads there is its own affair.
        assert_eq!(generation(&s, 2), before, "{value:x}: it is left alone");
        assert!(!s.recent.shown().is_empty());
    }
    for chunk in 0..chunks {
        s.arena.pins().write(chunk, u64::MAX);
    }
    let kept = (0..10).filter(|_| s.put(0, MIB)).count();
    assert!(kept < 3, "no more than the chunk that is being filled has room for: {kept}");
    assert_eq!(s.window.counts().1, 10 - kept as u64, "all others are counted");
    // Nothing of before can be told from memory then.
    assert!(s.recent.reach()[0].1 > 1_000_000);
    s.restart_serve();
    let shown = check(&s.recent.shown());
    assert!(shown[0].len() >= 2 * chunks - 2);
    for _ in 0..4 * chunks {
        assert!(s.put(0, MIB));
    }
    assert!(generation(&s, 2) > now >> 24);
    check(&s.recent.shown());
}
