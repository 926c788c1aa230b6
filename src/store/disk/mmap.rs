//! The two things that are mapped, both read-only: files whose bytes never change once written (sealed segments, receipts); and the
//! catalog, words that the recorder writes into its file while others read.
#![allow(unsafe_code)]

use super::fault::Guard;
use memmap2::{Mmap, MmapRaw};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::atomic::AtomicU64;

/// A file whose bytes never change: a sealed segment, or receipts, which are only appended to. It may be unlinked, which leaves
/// a mapping as it is.
///
/// A page that can't be had (an unreadable sector, a file that was cut short by hand) reads as zeros, and [`has_faulted`](Mapped::has_faulted)
/// says so from then on.
#[derive(Debug)]
pub struct Mapped {
    // Dropped in this order.
    guard: Guard,
    map: Mmap,
    /// Of one whose length is looked at again.
    file: Option<File>,
}

impl Mapped {
    /// Maps the file as long as it is now; fails if it is empty.
    pub fn map(file: &File) -> io::Result<Mapped> {
        // SAFETY: the bytes of these files are immutable by the store's rules: segments are mapped once they are sealed, receipts
        // are appended to behind what is mapped, and expiry unlinks without truncating. Whoever changes one by hand while it is mapped breaks this, as for every mapped file.
        let map = unsafe { Mmap::map(file) }?;
        Ok(Mapped { guard: Guard::new(map.as_ptr(), map.len()), map, file: None })
    }

    /// The same for a file of which little is needed, here and there, for a long time: no page is read but those that are touched.
    pub fn scattered(file: &File) -> io::Result<Mapped> {
        let mapped = Mapped { file: Some(file.try_clone()?), ..Mapped::map(file)? };
        // Advice only: what comes of it is the kernel's.
        let _ = mapped.map.advise(memmap2::Advice::Random);
        Ok(mapped)
    }

    /// Whether bytes of it could not be had: what was read of it since it was mapped may be zeros.
    #[inline]
    pub fn has_faulted(&self) -> bool {
        self.guard.has_faulted()
    }

    /// Looks whether the file is still as long as what is mapped of it; if not, says from now on that bytes of it could not be had. What lies
    /// behind a file's new end reads as zeros up to the end of the page, and up to the next end if the file grows again, without a fault.
    pub fn look_again(&self) {
        let shorter = |f: &File| f.metadata().is_ok_and(|m| m.len() < self.map.len() as u64);
        if self.file.as_ref().is_some_and(shorter) {
            self.guard.mark();
        }
    }

    /// Has a part of it read, if it is not in memory.
    pub fn will_need(&self, part: std::ops::Range<usize>) {
        if part.end <= self.map.len() && part.start < part.end {
            let _ = self.map.advise_range(memmap2::Advice::WillNeed, part.start, part.len());
        }
    }
}

impl Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.map
    }
}

/// Shared words: a mapped file of atomics.
#[derive(Debug)]
pub struct Words(MmapRaw);

impl Words {
    /// Maps a file.
    pub fn map(file: &File) -> io::Result<Words> {
        memmap2::MmapOptions::new().map_raw_read_only(file).map(Words)
    }

    /// The words. The mapping is read-only: they must not be written.
    pub fn get(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, hence aligned for u64, and `len / 8` words lie in it. AtomicU64 has the layout
        // of u64 and every bit pattern is valid; they change by writes to the file only, which are the kernel's, not this program's.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast::<AtomicU64>(), self.0.len() / 8) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is cut short while it is mapped: what was there is read as it was, the rest as zeros, and the process lives.
    #[test]
    fn what_cannot_be_had_is_zeros_and_is_told() {
        let page = crate::memory::page_bytes();
        for pages in [4usize, 400] {
            let file = tempfile::tempfile().unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &vec![7; pages * page], 0).unwrap();
            let (map, other) = (Mapped::map(&file).unwrap(), Mapped::scattered(&file).unwrap());
            assert_eq!((map[0], map[pages * page - 1]), (7, 7));
            file.set_len(page as u64).unwrap();
            assert!(!map.has_faulted());
            let before = super::super::fault::count();
            let read: Vec<u8> = (0..pages).map(|n| map[n * page]).collect();
            assert_eq!((read[0], read[1..].iter().all(|b| *b == 0)), (7, true));
            assert!(map.has_faulted() && super::super::fault::count() > before);
            assert!(!other.has_faulted(), "nobody has read there");
            drop(map);
            assert_eq!(other[0], 7);
        }
    }

    /// A file that is cut short within a page, of which no read is a fault.
    #[test]
    fn a_shorter_file_is_seen_when_it_is_looked_at() {
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[7; 3000], 0).unwrap();
        let map = Mapped::scattered(&file).unwrap();
        map.look_again();
        assert!(!map.has_faulted());
        file.set_len(1000).unwrap();
        assert_eq!((map[999], map[1000], map.has_faulted()), (7, 0, false));
        map.look_again();
        assert!(map.has_faulted());
    }

    /// In threads, at once, again and again: places in the list are used again.
    #[test]
    fn many_at_once() {
        let page = crate::memory::page_bytes();
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..50 {
                        let file = tempfile::tempfile().unwrap();
                        file.set_len(3 * page as u64).unwrap();
                        let map = Mapped::map(&file).unwrap();
                        file.set_len(0).unwrap();
                        assert_eq!(map.iter().map(|b| u64::from(*b)).sum::<u64>(), 0);
                        assert!(map.has_faulted());
                    }
                });
            }
        });
    }
}
