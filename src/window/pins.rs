//! The pins: a word for each chunk, generation and how many look at it, in a memfd of its own for each serve. Serve adds one to a word while it looks,
//! capture takes a chunk for new blocks by exchanging the word of that generation that nobody looks at. Both are exchanges of one word, which have
//! one order, so a pin never comes between capture's look and its taking. Serve may be hostile: capture keeps the generations for itself, and
//! any other value than the one it expects means that it may not have the chunk.

use super::shared::{SharedMemory, Writable};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Bits of a word that count who looks.
const PIN_BITS: u32 = 24;
/// More can't look at a chunk.
const PINS_MAX: u64 = (1 << PIN_BITS) - 1;

/// One word for each chunk.
#[derive(Debug)]
pub struct PinWords {
    memory: SharedMemory,
    chunks: usize,
}

impl PinWords {
    /// For so many chunks, none of which can be pinned before capture says its generation.
    pub fn create(chunks: usize) -> io::Result<PinWords> {
        let memory = SharedMemory::create("retrotap-pins", (chunks * 8).max(8), Writable::ByAll)?;
        // What serve punches into it stays capture's memory.
        memory.stay();
        Ok(PinWords { memory, chunks })
    }

    /// The other side's, of as many.
    pub fn open(file: OwnedFd, chunks: usize) -> io::Result<PinWords> {
        let memory = SharedMemory::writable(file)?;
        let enough = memory.words(0, chunks).is_some();
        enough.then_some(PinWords { memory, chunks }).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// For the other side.
    pub fn file(&self) -> io::Result<OwnedFd> {
        self.memory.file()
    }

    fn word(&self, chunk: usize) -> Option<&AtomicU64> {
        self.memory.words(0, self.chunks)?.get(chunk)
    }

    /// Capture: from now on the chunk can be pinned in this generation.
    pub(super) fn begin(&self, chunk: usize, generation: u64) {
        if let Some(word) = self.word(chunk) {
            word.store(generation << PIN_BITS, Release);
        }
    }

    /// Capture: whether the chunk could be taken at this moment.
    pub(super) fn is_free(&self, chunk: usize, generation: u64) -> bool {
        self.word(chunk).is_some_and(|word| word.load(Relaxed) == generation << PIN_BITS)
    }

    /// Capture: takes the chunk from its generation to the next. False: somebody looks at it.
    pub(super) fn take(&self, chunk: usize, generation: u64) -> bool {
        let (now, next) = (generation << PIN_BITS, (generation + 1) << PIN_BITS);
        // With the last who looked: his reads were before.
        self.word(chunk).is_some_and(|word| word.compare_exchange(now, next, AcqRel, Relaxed).is_ok())
    }

    /// Serve: has the chunk stay as it is. False: it is of another generation by now.
    pub(super) fn pin(&self, chunk: usize, generation: u64) -> bool {
        let of = |value: u64| value >> PIN_BITS == generation && value & PINS_MAX < PINS_MAX;
        let one_more = |value| of(value).then(|| value + 1);
        self.word(chunk).is_some_and(|word| word.fetch_update(Acquire, Relaxed, one_more).is_ok())
    }

    /// Serve: the look has ended.
    pub(super) fn unpin(&self, chunk: usize) {
        if let Some(word) = self.word(chunk) {
            word.fetch_sub(1, Release);
        }
    }

    /// What a hostile serve might do.
    #[cfg(test)]
    pub fn write(&self, chunk: usize, value: u64) {
        self.word(chunk).unwrap().store(value, Relaxed);
    }
}
