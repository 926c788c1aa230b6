//! What the chunks' heads say becomes runs: looks which chunks have changed, lets go of what was in those that capture has taken, and adds the blocks that
//! have come since. A chunk is pinned only while its head is read; no block is looked at.

use super::pools::ReadPools;
use crate::store::format::SegmentHeader;
use crate::store::reader::MemoryBlock;
use crate::store::scan::BlockRef;
use crate::window::arena::{ArenaView, ChunkPin};
use std::collections::HashMap;
use std::sync::Arc;

/// What is known of a chunk: its generation, and how many of its blocks were taken in.
type Known = (u64, usize);

/// What was taken in, and what is shown of it.
pub struct Intake {
    arena: Arc<ArenaView>,
    chunks: Vec<Known>,
    /// The runs.
    pub pools: ReadPools,
    headers: HashMap<u64, Arc<SegmentHeader>>,
}

/// What came of a look.
#[derive(Default)]
pub struct TakenIn {
    /// Class and latest packet of each run that is shown no more.
    pub went: Vec<(String, u64)>,
    /// There are blocks here that can't be read.
    pub lost: bool,
}

impl Intake {
    /// Nothing yet.
    pub fn new(arena: Arc<ArenaView>, pools: ReadPools) -> Intake {
        let chunks = arena.states().map(|_| (0, 0)).collect();
        Intake { arena, chunks, pools, headers: HashMap::new() }
    }

    /// Brings it up to date.
    pub fn take_in(&mut self) -> TakenIn {
        // Which chunks there are, and then how many blocks they have: what a pool had filled before it took a chunk that is seen here is seen whole,
        // so that the blocks of a segment come in their order.
        let there: Vec<u64> = self.arena.states().map(|(generation, _)| generation).collect();
        let (mut gone, mut fresh) = (Vec::new(), Vec::new());
        let now = self.arena.states().zip(there).zip(&mut self.chunks);
        for (chunk, (((generation, blocks), before), known)) in (0u32..).zip(now) {
            if known.0 != before {
                gone.extend((known.1 > 0).then_some(chunk));
                *known = (before, 0);
            }
            fresh.extend((generation == before && blocks > known.1).then_some((chunk, generation, blocks)));
        }
        let mut taken = TakenIn { went: self.pools.drop_chunks(&gone), lost: false };
        // What capture has taken since is looked at next time.
        let pin = |(chunk, generation, blocks)| Some((self.arena.pin(chunk, generation)?, chunk, generation, blocks));
        let mut pinned: Vec<_> = fresh.into_iter().filter_map(pin).collect();
        pinned.sort_by_key(|(pin, ..)| pin.taken().0);
        for (pin, chunk, generation, blocks) in pinned {
            let Some(known) = self.chunks.get_mut(chunk as usize) else { continue };
            let from = std::mem::replace(&mut known.1, blocks);
            for n in from..blocks {
                taken.lost |= self.add(&pin, (chunk, generation, n)).is_none();
            }
        }
        self.pools.renew();
        if self.headers.len() > 2 * self.pools.segments() + 16 {
            let there = self.pools.numbers();
            self.headers.retain(|number, _| there.contains(number));
        }
        taken
    }

    fn add(&mut self, pin: &ChunkPin, (chunk, generation, n): (u32, u64, usize)) -> Option<()> {
        let entry = pin.entry(n)?;
        let at = BlockRef::of_entry(&entry)?;
        let header = match self.headers.get(&entry.segment) {
            Some(header) => header.clone(),
            None => {
                let (header, _) = SegmentHeader::decode(pin.header(n)?).ok()?;
                let header = Arc::new(header);
                self.headers.insert(entry.segment, header.clone());
                header
            }
        };
        let block = MemoryBlock::new(at, &self.arena, (chunk, generation, u32::try_from(n).ok()?));
        self.pools.add(pin.taken().1, header, block);
        Some(())
    }
}
