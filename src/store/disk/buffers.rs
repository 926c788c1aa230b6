//! Block buffers: page-aligned memory, all of it taken at the start, in huge pages where there are some. A buffer has one
//! owner at any time (the free list, the open block, the disk), which the type system holds: it can't be cloned, and moves.
#![allow(unsafe_code)]

use crate::limits::BLOCK_BYTES;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

#[derive(Debug)]
struct Region {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the region is plain memory without thread affinity; who may touch which part is the business of `Buffer`.
unsafe impl Send for Region {}
// SAFETY: as above; a shared `Region` gives no access to its bytes.
unsafe impl Sync for Region {}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: base and len are those that mmap returned, and no `Buffer` is left, because each holds an `Arc` of this.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// One block's memory: [`BLOCK_BYTES`], aligned to a page, zero at first.
#[derive(Debug)]
pub struct Buffer {
    region: Arc<Region>,
    index: u16,
}

impl Buffer {
    /// Takes `n` buffers (at most 65,535) at once; the memory is touched, so that no page fault comes later.
    pub fn allocate(n: usize) -> io::Result<Vec<Buffer>> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let len = (n.clamp(1, usize::from(u16::MAX)) * BLOCK_BYTES).next_multiple_of(2 << 20);
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::POPULATE);
        // SAFETY: an anonymous mapping at an address that the kernel chooses touches no other memory.
        let base = unsafe {
            mmap_anonymous(std::ptr::null_mut(), len, prot, flags | MapFlags::HUGETLB)
                .or_else(|_| mmap_anonymous(std::ptr::null_mut(), len, prot, flags))
        }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let region = Arc::new(Region { base, len });
        Ok((0..n.clamp(1, usize::from(u16::MAX))).map(|i| Buffer { region: region.clone(), index: i as u16 }).collect())
    }

    /// Number of the buffer among those allocated with it.
    pub fn index(&self) -> u16 {
        self.index
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the range lies in the region (index < n, region ≥ n blocks), is initialised (anonymous memory is zero),
        // and belongs to this buffer alone: indices are unique in a region and a buffer can't be cloned.
        unsafe {
            std::slice::from_raw_parts(
                self.region.base.as_ptr().add(usize::from(self.index) * BLOCK_BYTES),
                BLOCK_BYTES,
            )
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes the access exclusive.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.region.base.as_ptr().add(usize::from(self.index) * BLOCK_BYTES),
                BLOCK_BYTES,
            )
        }
    }
}

/// Page-aligned memory of any length, for O_DIRECT reads.
#[derive(Debug)]
pub struct Aligned(Region, usize);

impl Aligned {
    /// At least `len` zero bytes.
    pub fn new(len: usize) -> io::Result<Aligned> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let whole = len.max(1).next_multiple_of(4096);
        // SAFETY: an anonymous mapping at an address that the kernel chooses touches no other memory.
        let base = unsafe {
            mmap_anonymous(std::ptr::null_mut(), whole, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        }?;
        Ok(Aligned(Region { base: NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?, len: whole }, len))
    }
}

impl Deref for Aligned {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is at least this long, initialised, and owned by `self`.
        unsafe { std::slice::from_raw_parts(self.0.base.as_ptr(), self.1) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.0.base.as_ptr(), self.1) }
    }
}
