//! An array map of the kernel, mapped: values that programs and this process read and write as atomics. Owns the mapping;
//! called by the shunt.

use super::Error;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};

const PAGE: usize = 4096;

/// A mapped array of `T`.
#[derive(Debug)]
pub(super) struct Array<T> {
    map: OwnedFd,
    base: NonNull<T>,
    len: u32,
}

// SAFETY: what it holds are atomics (`new`); the descriptor may be used from any thread.
unsafe impl<T> Send for Array<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Array<T> {}

impl<T> Array<T> {
    /// Bytes of `len` values.
    pub(super) fn bytes(len: u32) -> u64 {
        (len as usize * size_of::<T>()).next_multiple_of(PAGE) as u64
    }

    /// # Safety
    /// The map is an mmapable array of `len` > 0 values of `T`, which consists of atomics and whose size is a multiple of 8.
    pub(super) unsafe fn new(name: &'static str, map: OwnedFd, len: u32) -> Result<Array<T>, Error> {
        let (prot, bytes) = (libc::PROT_READ | libc::PROT_WRITE, Array::<T>::bytes(len) as usize);
        // SAFETY: a fresh mapping of the array's values at an address of the kernel's choice.
        let at = unsafe { libc::mmap(ptr::null_mut(), bytes, prot, libc::MAP_SHARED, map.as_raw_fd(), 0) };
        match NonNull::new(at.cast::<T>()) {
            Some(base) if at != libc::MAP_FAILED => Ok(Array { map, base, len }),
            _ => Err(Error::Map { map: name, source: io::Error::last_os_error() }),
        }
    }

    pub(super) fn map(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Value `i`, or the last.
    #[inline]
    pub(super) fn at(&self, i: u32) -> &T {
        let i = i.min(self.len - 1) as usize;
        // SAFETY: within the mapped values, of which there is at least one; their fields are atomics.
        unsafe { self.base.add(i).as_ref() }
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        // SAFETY: the range that mmap returned; nobody else holds a reference into it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), Array::<T>::bytes(self.len) as usize) };
    }
}
