//! The arena as serve has it: mapped read-only, and looked at chunk by chunk while that is pinned. What capture has counted in a pinned chunk stays as it
//! is, so it is given out as slices.
#![allow(unsafe_code)]

use super::super::entry::{BLOCKS_OF_CHUNK, BlockEntry};
use super::super::pins::PinWords;
use super::super::shared::SharedMemory;
use super::{
    ARENA_VERSION, ArenaPlan, CHANGES_AT, CHUNK_BYTES, CHUNKS_AT, CONTROL_BYTES, COUNT_BITS, ENTRIES_AT, HEAD_BYTES,
    POOLS_AT,
};
use crate::limits::POOLS_MAX;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;

/// The arena as serve has it.
#[derive(Debug)]
pub struct ArenaView {
    memory: SharedMemory,
    plan: ArenaPlan,
    pins: PinWords,
}

impl ArenaView {
    /// Maps an arena that somebody has made, and the pins that were made for it.
    pub fn open(blocks: OwnedFd, pins: OwnedFd) -> io::Result<Arc<ArenaView>> {
        let memory = SharedMemory::read_only(blocks)?;
        let word = |at| memory.words(at, 1).and_then(<[AtomicU64]>::first).map_or(0, |w| w.load(Acquire));
        let (version, chunks) = (word(0), usize::try_from(word(CHUNKS_AT)).unwrap_or(0));
        if version != ARENA_VERSION || chunks > memory.bytes() / CHUNK_BYTES {
            return Err(io::Error::other(format!("recent blocks of layout {version} instead of {ARENA_VERSION}")));
        }
        let plan = ArenaPlan { chunks };
        if plan.bytes() != memory.bytes() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Arc::new(ArenaView { plan, pins: PinWords::open(pins, chunks)?, memory }))
    }

    fn word(&self, at: usize) -> u64 {
        self.memory.words(at, 1).and_then(<[AtomicU64]>::first).map_or(0, |w| w.load(Acquire))
    }

    /// Another number each time that a chunk has changed. To be asked before they are looked at.
    pub fn changes(&self) -> u64 {
        self.word(CHANGES_AT)
    }

    /// How many chunks a pool may have.
    pub fn quota(&self, pool: usize) -> usize {
        let own = if pool < POOLS_MAX { self.word(POOLS_AT + 8 * pool) } else { 0 };
        usize::try_from(own).unwrap_or(usize::MAX).min(self.plan.chunks)
    }

    /// Of each chunk its generation and how many blocks it has.
    pub fn states(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        let words = self.memory.words(CONTROL_BYTES, self.plan.chunks).unwrap_or_default();
        words.iter().map(|word| state(word.load(Acquire)))
    }

    /// Has a chunk stay as it is in this generation. `None`: it is of another by now.
    pub fn pin(self: &Arc<ArenaView>, chunk: u32, generation: u64) -> Option<ChunkPin> {
        self.pins.pin(chunk as usize, generation).then(|| ChunkPin { of: self.clone(), chunk: chunk as usize })
    }

    /// The pins.
    #[cfg(test)]
    pub fn pins(&self) -> &PinWords {
        &self.pins
    }
}

fn state(word: u64) -> (u64, usize) {
    (word >> COUNT_BITS, ((word & ((1 << COUNT_BITS) - 1)) as usize).min(BLOCKS_OF_CHUNK))
}

/// A chunk that stays as it is as long as this is there.
#[derive(Debug)]
pub struct ChunkPin {
    of: Arc<ArenaView>,
    chunk: usize,
}

impl Drop for ChunkPin {
    fn drop(&mut self) {
        self.of.pins.unpin(self.chunk);
    }
}

impl ChunkPin {
    /// The how manieth chunk it was that was taken, and for which pool.
    pub fn taken(&self) -> (u64, usize) {
        let head = self.of.plan.head(self.chunk);
        (self.of.word(head), usize::try_from(self.of.word(head + 8)).unwrap_or(usize::MAX))
    }

    /// Blocks that it has by now.
    pub fn blocks(&self) -> usize {
        state(self.of.word(CONTROL_BYTES + 8 * self.chunk)).1
    }

    /// What its head says of a block that it has.
    pub fn entry(&self, n: usize) -> Option<BlockEntry> {
        if n >= self.blocks() {
            return None;
        }
        let at = self.of.plan.head(self.chunk) + ENTRIES_AT + n * size_of::<BlockEntry>();
        let at = self.of.memory.at(at, size_of::<BlockEntry>())?;
        // SAFETY: the entry lies in the mapping, is aligned, and any bytes are one. It was written before it was counted, which is seen, and
        // nobody writes there again before the generation changes, which the pin forbids.
        Some(unsafe { at.cast::<BlockEntry>().read() })
    }

    /// The bytes of a block that it has.
    pub fn block(&self, n: usize) -> Option<&[u8]> {
        let entry = self.entry(n)?;
        self.counted(self.of.plan.chunk(self.chunk), CHUNK_BYTES, entry.from as usize, entry.len as usize)
    }

    /// The header of its segment.
    pub fn header(&self, n: usize) -> Option<&[u8]> {
        let entry = self.entry(n)?;
        let (at, len) = (entry.header_at as usize, entry.header_len as usize);
        match at.checked_sub(HEAD_BYTES) {
            None => self.counted(self.of.plan.head(self.chunk), HEAD_BYTES, at, len),
            Some(from) => self.counted(self.of.plan.chunk(self.chunk), CHUNK_BYTES, from, len),
        }
    }

    /// Bytes that an entry names, of the chunk or of its head.
    fn counted(&self, of: usize, all: usize, from: usize, len: usize) -> Option<&[u8]> {
        let inside = from.checked_add(len).is_some_and(|end| end <= all);
        let at = self.of.memory.at(of + from, len).filter(|_| inside)?;
        // SAFETY: the range lies in the mapping and was written before its entry was counted, which is seen; capture writes there again only
        // when it has changed the generation, which the pin, as long as this is borrowed, forbids.
        Some(unsafe { std::slice::from_raw_parts(at.as_ptr(), len) })
    }
}
