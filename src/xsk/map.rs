//! A mapping that unmaps itself. Owns address ranges of rings and of user memory; never reads or writes them.

use rustix::mm::{MapFlags, ProtFlags};
use std::ffi::c_void;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

/// A readable and writable mapping of `len` bytes, unmapped when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is an address range of the process, not of a thread; all access goes through raw pointers whose
// users (ring, umem) state their own synchronisation.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&Mapping` gives out nothing but the address.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `fd` at `offset`, shared with the kernel.
    pub(super) fn of_fd(fd: BorrowedFd<'_>, len: usize, offset: u64) -> io::Result<Mapping> {
        // SAFETY: the address is the kernel's choice, so no existing mapping is replaced.
        let base = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::POPULATE,
                fd,
                offset,
            )
        }?;
        Mapping::new(base, len)
    }

    /// Maps `len` bytes of zeroed memory, present from the start, with `extra` flags.
    pub(super) fn anonymous(len: usize, extra: MapFlags) -> io::Result<Mapping> {
        // SAFETY: the address is the kernel's choice, so no existing mapping is replaced.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | extra,
            )
        }?;
        Mapping::new(base, len)
    }

    fn new(base: *mut c_void, len: usize) -> io::Result<Mapping> {
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Mapping { base, len })
    }

    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the one that mmap returned, and whoever holds pointers into it also holds this value.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
