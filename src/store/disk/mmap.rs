//! The two things that are mapped: files whose bytes never change once written (sealed segments, receipts), read-only; and the
//! catalog, a page of words that one process writes and others read.
#![allow(unsafe_code)]

use memmap2::{Mmap, MmapRaw};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::atomic::AtomicU64;

/// A file whose bytes never change: a sealed segment, or receipts, which are only appended to. It may be unlinked, which leaves
/// a mapping as it is.
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// Maps the file as long as it is now; fails if it is empty.
    pub fn map(file: &File) -> io::Result<Mapped> {
        // SAFETY: the bytes of these files are immutable by the store's rules: segments are mapped once they are sealed, receipts
        // are appended to behind what is mapped, and expiry unlinks without truncating. Whoever changes one by hand while it is mapped breaks this, as for every mapped file.
        Ok(Mapped(unsafe { Mmap::map(file) }?))
    }

    /// The same for a file of which little is needed, here and there: no page is read but those that are touched.
    pub fn scattered(file: &File) -> io::Result<Mapped> {
        let mapped = Mapped::map(file)?;
        // Advice only: what comes of it is the kernel's.
        let _ = mapped.0.advise(memmap2::Advice::Random);
        Ok(mapped)
    }

    /// Has a part of it read, if it is not in memory.
    pub fn will_need(&self, part: std::ops::Range<usize>) {
        if part.end <= self.0.len() && part.start < part.end {
            let _ = self.0.advise_range(memmap2::Advice::WillNeed, part.start, part.len());
        }
    }
}

impl Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Shared words: a mapped file of atomics.
#[derive(Debug)]
pub struct Words(MmapRaw);

impl Words {
    /// Maps a file whose length is a multiple of 8; `write`: for the one process that publishes.
    pub fn map(file: &File, write: bool) -> io::Result<Words> {
        let options = memmap2::MmapOptions::new();
        let raw = if write { options.map_raw(file) } else { options.map_raw_read_only(file) }?;
        Ok(Words(raw))
    }

    /// The words. Of a read-only mapping they must not be written.
    pub fn get(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, hence aligned for u64, and `len / 8` words lie in it. AtomicU64 has the layout
        // of u64 and every bit pattern is valid; other processes access the words by atomic stores of the same size only.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast::<AtomicU64>(), self.0.len() / 8) }
    }
}
