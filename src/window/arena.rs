//! The arena: memory for recent blocks, cut into chunks. Capture fills a chunk from front to back and counts each block when it is there; when it
//! needs the chunk for others its generation changes, and what was in it is gone. Serve maps all of it read-only and looks at a chunk only while
//! it has it pinned. One memfd: control words, a word for each chunk, heads, chunks.
#![allow(unsafe_code)]

use super::entry::{BLOCKS_OF_CHUNK, BlockEntry};
use super::pins::PinWords;
use super::shared::{HUGE_PAGE_BYTES, SharedMemory, Writable};
use crate::limits::POOLS_MAX;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Bytes of a chunk: two of the largest blocks, and a huge page.
pub const CHUNK_BYTES: usize = HUGE_PAGE_BYTES;
/// Bytes of a chunk's head: which it is, its blocks, and the headers of their segments as far as they find room.
pub const HEAD_BYTES: usize = 64 << 10;
/// A chunk with its head.
pub const CHUNK_ALL_BYTES: usize = CHUNK_BYTES + HEAD_BYTES;

/// Of this layout.
const ARENA_VERSION: u64 = 1;
/// Bytes of the control words: version, chunks, changes, then the pools' chunks.
const CONTROL_BYTES: usize = 4096;
const CHUNKS_AT: usize = 8;
const CHANGES_AT: usize = 16;
const POOLS_AT: usize = 24;
/// In a head: when it was taken, for which pool, then the blocks from here on.
const ENTRIES_AT: usize = 64;
/// Behind the blocks: headers of segments.
const HEADERS_AT: usize = ENTRIES_AT + BLOCKS_OF_CHUNK * size_of::<BlockEntry>();
/// Bits of a chunk's word that count its blocks; the others are its generation.
const COUNT_BITS: u32 = 16;

const _: () = assert!(POOLS_AT + 8 * POOLS_MAX <= CONTROL_BYTES && BLOCKS_OF_CHUNK < 1 << COUNT_BITS);
const _: () = assert!(HEADERS_AT + 2 * crate::limits::SECTOR_BYTES <= HEAD_BYTES, "two headers find room in a head");
const _: () = assert!(align_of::<BlockEntry>() == 8 && size_of::<BlockEntry>().is_multiple_of(8));

/// Where things lie in an arena of so many chunks.
#[derive(Clone, Copy, Debug)]
struct ArenaPlan {
    chunks: usize,
}

impl ArenaPlan {
    fn heads(&self) -> usize {
        (CONTROL_BYTES + 8 * self.chunks).next_multiple_of(4096)
    }

    fn head(&self, chunk: usize) -> usize {
        self.heads() + chunk * HEAD_BYTES
    }

    fn chunk(&self, chunk: usize) -> usize {
        (self.heads() + self.chunks * HEAD_BYTES).next_multiple_of(CHUNK_BYTES) + chunk * CHUNK_BYTES
    }

    fn bytes(&self) -> usize {
        self.chunk(self.chunks)
    }
}

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
