//! The arena as capture has it: it alone writes. Knows each chunk for itself, whatever the shared memory says, and takes one only if nobody has it
//! pinned; which it takes, others decide.
#![allow(unsafe_code)]

use super::super::entry::{BLOCKS_OF_CHUNK, BlockEntry};
use super::super::pins::PinWords;
use super::super::shared::{SharedMemory, Writable};
use super::{
    ARENA_VERSION, ArenaPlan, CHANGES_AT, CHUNK_BYTES, CHUNKS_AT, CONTROL_BYTES, COUNT_BITS, ENTRIES_AT, HEAD_BYTES,
    HEADERS_AT, POOLS_AT,
};
use crate::limits::POOLS_MAX;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// A chunk as capture knows it: for itself, whatever the shared memory says.
#[derive(Clone, Debug, Default)]
struct OwnChunk {
    generation: u64,
    /// Blocks, bytes of them, bytes of headers in the head.
    count: usize,
    used: usize,
    headers: usize,
    /// Segments whose headers it has: number, where, how long.
    segments: Vec<(u64, u32, u32)>,
    touched: bool,
}

/// The arena as capture has it.
#[derive(Debug)]
pub struct ArenaWriter {
    memory: SharedMemory,
    plan: ArenaPlan,
    own: Vec<OwnChunk>,
    /// Chunks that were touched and are not in huge pages yet.
    small: Vec<usize>,
    /// Who reads says here what he looks at; `None`: nobody reads.
    pins: Option<PinWords>,
}

impl ArenaWriter {
    /// Of so many chunks; pages are taken as they are first written.
    pub fn create(chunks: usize) -> io::Result<ArenaWriter> {
        let plan = ArenaPlan { chunks };
        let memory = SharedMemory::create("retrotap-recent", plan.bytes(), Writable::ByOne)?;
        let arena = ArenaWriter { memory, plan, own: vec![OwnChunk::default(); chunks], small: Vec::new(), pins: None };
        arena.control(CHUNKS_AT, chunks as u64);
        arena.control(0, ARENA_VERSION);
        Ok(arena)
    }

    /// For those who read it.
    pub fn file(&self) -> io::Result<OwnedFd> {
        self.memory.file()
    }

    /// From now on these pins count, and no others: who had the ones before is gone.
    pub fn admit(&mut self, pins: PinWords) {
        for (chunk, own) in self.own.iter().enumerate() {
            pins.begin(chunk, own.generation);
        }
        self.pins = Some(pins);
    }

    /// How many chunks.
    pub fn chunks(&self) -> usize {
        self.plan.chunks
    }

    /// Says how many chunks a pool may have.
    pub fn set_quota(&self, pool: usize, chunks: usize) {
        if pool < POOLS_MAX {
            self.control(POOLS_AT + 8 * pool, chunks as u64);
        }
    }

    fn control(&self, at: usize, value: u64) {
        if let Some([word]) = self.memory.words(at, 1) {
            word.store(value, Release);
        }
    }

    /// Says what a chunk has, and that something has changed.
    fn show(&self, chunk: usize) {
        if let (Some([word]), Some(own)) = (self.memory.words(CONTROL_BYTES + 8 * chunk, 1), self.own.get(chunk)) {
            word.store(own.generation << COUNT_BITS | own.count as u64, Release);
        }
        if let Some([word]) = self.memory.words(CHANGES_AT, 1) {
            word.fetch_add(1, Release);
        }
    }

    /// Has a chunk put into a huge page, if one waits for that: for moments in which nothing else is to be done. True: there may be more.
    pub fn collapse_one(&mut self) -> bool {
        let Some(chunk) = self.small.pop() else { return false };
        let done = self.memory.collapse(self.plan.chunk(chunk), CHUNK_BYTES);
        if !done {
            // Where there is none now, or never will be, the others need not be tried.
            self.small.clear();
        }
        done
    }

    /// Whether a chunk could be taken at this moment.
    pub fn is_free(&self, chunk: usize) -> bool {
        let Some(own) = self.own.get(chunk) else { return false };
        self.pins.as_ref().is_none_or(|pins| pins.is_free(chunk, own.generation))
    }

    /// Takes a chunk for a pool, the `sequence`th that is taken: what was in it is gone. False: somebody looks at it.
    pub fn take(&mut self, chunk: usize, pool: usize, sequence: u64) -> bool {
        let Some(own) = self.own.get_mut(chunk) else { return false };
        if self.pins.as_ref().is_some_and(|pins| !pins.take(chunk, own.generation)) {
            return false;
        }
        let (generation, touched) = (own.generation + 1, own.touched);
        *own = OwnChunk { generation, touched, ..OwnChunk::default() };
        if let Some([when, whose]) = self.memory.words(self.plan.head(chunk), 2) {
            when.store(sequence, Relaxed);
            whose.store(pool as u64, Relaxed);
        }
        self.show(chunk);
        true
    }

    /// Puts a block into a chunk that was taken, behind those that are there. `header`: encodes the header of its segment, which the chunk may have
    /// already. False: it finds no room.
    pub fn put(&mut self, chunk: usize, entry: &BlockEntry, bytes: &[u8], header: &[u8]) -> bool {
        let (head, data) = (self.plan.head(chunk), self.plan.chunk(chunk));
        let Some(own) = self.own.get_mut(chunk).filter(|own| own.generation > 0 && own.count < BLOCKS_OF_CHUNK) else {
            return false;
        };
        let known = own.segments.iter().find(|s| s.0 == entry.segment).copied();
        let in_head = known.is_none() && HEADERS_AT + own.headers + header.len() <= HEAD_BYTES;
        let in_chunk = if known.is_none() && !in_head { header.len() } else { 0 };
        if own.used + in_chunk + bytes.len() > CHUNK_BYTES {
            return false;
        }
        if !std::mem::replace(&mut own.touched, true) {
            self.small.push(chunk);
        }
        let (_, header_at, header_len) = known.unwrap_or_else(|| {
            let at = if in_head { HEADERS_AT + own.headers } else { HEAD_BYTES + own.used };
            (entry.segment, at as u32, header.len() as u32)
        });
        if known.is_none() {
            // SAFETY: see `copy`: behind all that the chunk, or its head, has.
            unsafe {
                copy(&self.memory, if in_head { head + HEADERS_AT + own.headers } else { data + own.used }, header)
            };
            (own.headers, own.used) =
                if in_head { (own.headers + header.len(), own.used) } else { (own.headers, own.used + header.len()) };
            own.segments.push((entry.segment, header_at, header_len));
        }
        let entry = BlockEntry { from: own.used as u32, len: bytes.len() as u32, header_at, header_len, ..*entry };
        // SAFETY: see `copy`: the block is put behind all that the chunk has, the entry into the first place that is not counted.
        unsafe {
            copy(&self.memory, data + own.used, bytes);
            let at = head + ENTRIES_AT + own.count * size_of::<BlockEntry>();
            if let Some(to) = self.memory.at(at, size_of::<BlockEntry>()) {
                to.cast::<BlockEntry>().write(entry);
            }
        }
        own.used += bytes.len();
        own.count += 1;
        self.show(chunk);
        true
    }
}

/// # Safety
/// The range must be of a chunk, or its head, that this process has taken, and behind all that it has counted there: nobody reads it, and
/// `&mut ArenaWriter` makes the only writer.
unsafe fn copy(to: &SharedMemory, at: usize, bytes: &[u8]) {
    if let Some(to) = to.at(at, bytes.len()) {
        // SAFETY: the range lies in the mapping, is this writer's alone, and is other memory than what is copied.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
    }
}
