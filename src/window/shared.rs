//! Shared memory: a memfd and where this process has mapped it. Nobody can change its length once it is made, so that no access is ever a
//! SIGBUS; only who made it writes to it, unless it is made for others too. Knows nothing of what lies in it.
#![allow(unsafe_code)]

use crate::memory::page_bytes;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mlock, mmap, mmap_anonymous, munmap};
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU64;

/// A huge page: mappings begin at a multiple of it, else none of their memory can be in one.
pub const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Who may write to shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writable {
    /// Whoever makes it; others read.
    ByOne,
    /// Whoever has it.
    ByAll,
}

/// A memfd, mapped.
#[derive(Debug)]
pub struct SharedMemory {
    file: OwnedFd,
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: plain memory without thread affinity; those in this folder who give access to its bytes say who may touch which part.
unsafe impl Send for SharedMemory {}
// SAFETY: as above; by itself it gives atomics alone.
unsafe impl Sync for SharedMemory {}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: base and len are those of the mapping that this owns, and whoever has an address in it borrows or owns this.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

impl SharedMemory {
    /// Makes `len` bytes, all zero; the system calls them `name`. Pages are taken as they are first touched.
    pub fn create(name: &str, len: usize, by: Writable) -> io::Result<SharedMemory> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Nobody runs it; kernels before 6.3 do not know how to say that.
        let made = memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL).or_else(|_| memfd_create(name, flags));
        let file = made?;
        ftruncate(&file, len as u64)?;
        // Before the seal that forbids to map it so.
        let memory = SharedMemory::map(file, ProtFlags::READ | ProtFlags::WRITE)?;
        let mut seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        if by == Writable::ByOne {
            seals |= SealFlags::FUTURE_WRITE;
        }
        fcntl_add_seals(&memory.file, seals)?;
        Ok(memory)
    }

    /// Maps what somebody else has made, to read it.
    pub fn read_only(file: OwnedFd) -> io::Result<SharedMemory> {
        SharedMemory::map(sealed(file)?, ProtFlags::READ)
    }

    /// Maps what somebody else has made for all to write.
    pub fn writable(file: OwnedFd) -> io::Result<SharedMemory> {
        SharedMemory::map(sealed(file)?, ProtFlags::READ | ProtFlags::WRITE)
    }

    fn map(file: OwnedFd, prot: ProtFlags) -> io::Result<SharedMemory> {
        let len =
            usize::try_from(fstat(&file)?.st_size).ok().filter(|len| *len > 0).ok_or(io::ErrorKind::InvalidData)?;
        let reserved = len.checked_add(HUGE_PAGE_BYTES).ok_or(io::ErrorKind::InvalidData)?;
        let (nothing, private) = (ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: an anonymous mapping at an address that the kernel chooses touches no other memory.
        let room = unsafe { mmap_anonymous(null_mut(), reserved, nothing, private) }?;
        let before = room.cast::<u8>().align_offset(HUGE_PAGE_BYTES).min(HUGE_PAGE_BYTES);
        let rest = HUGE_PAGE_BYTES - before;
        // SAFETY: the range lies within the addresses just reserved, which nobody else knows; what it replaces is nobody's memory.
        let mapped = unsafe {
            let at = room.cast::<u8>().add(before);
            mmap(at.cast(), len, prot, MapFlags::SHARED | MapFlags::FIXED, &file, 0)
        };
        // SAFETY: what is given back lies within the reserved addresses and outside of the mapping: `before` bytes in front of it, and, up to
        // the end of its last page, `rest` bytes behind it; of a mapping that was refused all.
        unsafe {
            match mapped {
                Ok(_) => {
                    let used = before + len.next_multiple_of(page_bytes());
                    let _ = (before > 0).then(|| munmap(room, before));
                    let _ = (used < before + len + rest)
                        .then(|| munmap(room.cast::<u8>().add(used).cast(), before + len + rest - used));
                }
                Err(_) => drop(munmap(room, reserved)),
            }
        }
        let base = NonNull::new(mapped?.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(SharedMemory { file, base, len })
    }

    /// The same once more, for somebody else.
    pub fn file(&self) -> io::Result<OwnedFd> {
        self.file.as_fd().try_clone_to_owned()
    }

    /// What it is known by.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Bytes of it.
    pub fn bytes(&self) -> usize {
        self.len
    }

    /// Words of it from this byte on; `None`: they are not all in it.
    pub fn words(&self, from: usize, count: usize) -> Option<&[AtomicU64]> {
        let at =
            self.at(from, count.checked_mul(size_of::<u64>())?).filter(|at| at.cast::<AtomicU64>().is_aligned())?;
        // SAFETY: the range lies in the mapping, which stays as long as `self` is borrowed, and is aligned. AtomicU64 has the layout of u64 and
        // every bit pattern is valid; whoever else has this memory touches these words by atomic accesses of the same size only.
        Some(unsafe { std::slice::from_raw_parts(at.as_ptr().cast::<AtomicU64>(), count) })
    }

    /// Where a range begins; `None`: it is not in the mapping. Whose bytes these are the caller has to know.
    pub(super) fn at(&self, from: usize, len: usize) -> Option<NonNull<u8>> {
        let inside = from.checked_add(len)? <= self.len;
        // SAFETY: `from` is at most the mapping's length.
        inside.then(|| unsafe { self.base.add(from) })
    }

    /// Has a range of which something was touched, which begins and ends with huge pages, put into huge pages. False: the system does not do that now;
    /// ordinary pages do as well. Takes as long as some of its pages' copying, and until each CPU has been asked.
    pub fn collapse(&self, from: usize, len: usize) -> bool {
        // SAFETY: the range lies in the mapping; its bytes stay as they are.
        let done = |at: NonNull<u8>| unsafe { libc::madvise(at.as_ptr().cast(), len, libc::MADV_COLLAPSE) } == 0;
        self.at(from, len).is_some_and(done)
    }

    /// Keeps all of it in memory from now on, if that is allowed.
    pub fn stay(&self) {
        // SAFETY: the range is the mapping; no byte changes.
        let _ = unsafe { mlock(self.base.as_ptr().cast(), self.len) };
    }
}

/// Of what could shrink under a reader every access may be a SIGBUS.
fn sealed(file: OwnedFd) -> io::Result<OwnedFd> {
    let seals = fcntl_get_seals(&file)?;
    let fixed = SealFlags::SHRINK | SealFlags::GROW;
    if seals.contains(fixed) { Ok(file) } else { Err(io::Error::other("shared memory whose length may change")) }
}

/// What is made of atomics alone, so that any bytes are a value of it, and any number of processes may touch it.
///
/// # Safety
/// `repr(C)`, of nothing but `AtomicU64` and arrays of such.
pub unsafe trait OfAtomics {}

/// Shared memory that begins with a `T`.
#[derive(Debug)]
pub struct Cells<T: OfAtomics> {
    memory: SharedMemory,
    of: PhantomData<T>,
}

impl<T: OfAtomics> Cells<T> {
    /// Of memory that is as long at least.
    pub fn new(memory: SharedMemory) -> io::Result<Cells<T>> {
        let long = memory.bytes() >= size_of::<T>();
        long.then_some(Cells { memory, of: PhantomData }).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The memory itself.
    pub fn memory(&self) -> &SharedMemory {
        &self.memory
    }
}

impl<T: OfAtomics> Deref for Cells<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the mapping begins at a multiple of a page, is as long as a `T`, and stays as long as `self` is borrowed; a `T` is of atomics
        // alone, so that any bytes are one and others may write it meanwhile. Of a read-only mapping nobody stores to them: `WindowView` loads.
        unsafe { self.memory.base.cast::<T>().as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn who_reads_sees_what_is_written_and_can_change_nothing() {
        let made = SharedMemory::create("test", 3 * HUGE_PAGE_BYTES, Writable::ByOne).unwrap();
        let read = SharedMemory::read_only(made.file().unwrap()).unwrap();
        for memory in [&made, &read] {
            assert_eq!(memory.base.as_ptr().align_offset(HUGE_PAGE_BYTES), 0);
            assert!(memory.words(3 * HUGE_PAGE_BYTES - 8, 1).is_some());
            for (from, count) in [(3 * HUGE_PAGE_BYTES - 8, 2), (4, 1), (usize::MAX, 1), (8, usize::MAX)] {
                assert!(memory.words(from, count).is_none(), "{from} {count}");
            }
        }
        let word = |m: &SharedMemory| m.words(HUGE_PAGE_BYTES, 1).unwrap()[0].load(Relaxed);
        made.words(HUGE_PAGE_BYTES, 1).unwrap()[0].store(7, Relaxed);
        made.collapse(HUGE_PAGE_BYTES, HUGE_PAGE_BYTES);
        assert_eq!((word(&made), word(&read)), (7, 7));
        assert!(SharedMemory::writable(made.file().unwrap()).is_err(), "nobody else writes");
        assert!(ftruncate(&read.file, 0).is_err() && ftruncate(&read.file, 1 << 30).is_err());
        assert!(rustix::io::write(read.as_fd(), b"x").is_err());
        assert!(fcntl_add_seals(&read.file, SealFlags::WRITE).is_err());
    }

    /// What is for all can be changed by all, but not in its length.
    #[test]
    fn what_all_write_keeps_its_length() {
        let made = SharedMemory::create("test", 4096, Writable::ByAll).unwrap();
        made.stay();
        let other = SharedMemory::writable(made.file().unwrap()).unwrap();
        other.words(0, 1).unwrap()[0].store(5, Relaxed);
        assert_eq!(made.words(0, 1).unwrap()[0].load(Relaxed), 5);
        assert!(ftruncate(&other.file, 0).is_err());
    }

    /// A memfd whose length may change is not mapped.
    #[test]
    fn what_may_shrink_is_refused() {
        let file = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&file, 4096).unwrap();
        assert!(SharedMemory::read_only(file).is_err());
    }
}
