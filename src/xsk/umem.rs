//! User memory: one range of equal frames that the kernel copies or DMAs packets into. Owns the range and its huge
//! pages; called by the socket. It never decides who may touch a frame: that is the batch's part.

use super::map::Mapping;
use rustix::mm::{Advice, MapFlags, madvise};
use std::io;
use std::ptr::NonNull;

/// Bytes in front of a packet in its frame that the kernel reserves (XDP_PACKET_HEADROOM); metadata ends there.
pub const HEADROOM: u32 = 256;

const HUGE: usize = 2 << 20;

/// How the memory is backed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Reserved huge pages (MAP_HUGETLB).
    Huge,
    /// Ordinary memory where the kernel was asked for transparent huge pages.
    Transparent,
}

/// Frames of one socket.
#[derive(Debug)]
pub struct Umem {
    map: Mapping,
    frame_size: u32,
    frames: u32,
    pages: Pages,
}

impl Umem {
    /// Maps `frames` frames of `frame_size` bytes, all present in memory: nothing is allocated later.
    pub fn new(frames: u32, frame_size: u32) -> io::Result<Umem> {
        let len = (frames as usize * frame_size as usize).next_multiple_of(HUGE);
        if let Ok(map) = Mapping::anonymous(len, MapFlags::HUGETLB | MapFlags::POPULATE) {
            return Ok(Umem { map, frame_size, frames, pages: Pages::Huge });
        }
        let map = Mapping::anonymous(len, MapFlags::empty())?;
        // SAFETY: the range is our own fresh mapping; advice about page size changes no content. Refused (no
        // transparent huge pages): ordinary pages do.
        let _ = unsafe { madvise(map.base().as_ptr().cast(), len, Advice::LinuxHugepage) };
        // SAFETY: as above; faults the pages in for writing. Refused (before Linux 5.14): registering faults them in.
        let _ = unsafe { madvise(map.base().as_ptr().cast(), len, Advice::LinuxPopulateWrite) };
        Ok(Umem { map, frame_size, frames, pages: Pages::Transparent })
    }

    /// Address of the first frame.
    pub fn base(&self) -> NonNull<u8> {
        self.map.base()
    }

    /// Bytes that hold frames, as registered with the kernel.
    pub fn bytes(&self) -> u64 {
        u64::from(self.frames) * u64::from(self.frame_size)
    }

    /// Bytes of memory in use.
    pub fn mapped(&self) -> usize {
        self.map.len()
    }

    /// Frames.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Bytes of a frame, [`HEADROOM`] included.
    pub fn frame_size(&self) -> u32 {
        self.frame_size
    }

    /// How the memory is backed.
    pub fn pages(&self) -> Pages {
        self.pages
    }

    /// Start of the frame that `addr` (an offset into the memory, as in a descriptor) lies in.
    #[inline]
    pub fn frame_of(&self, addr: u64) -> u64 {
        addr & !(u64::from(self.frame_size) - 1)
    }

    /// Address of `len` bytes at offset `addr`, if they lie within one frame, [`META_BYTES`](super::socket::META_BYTES)
    /// bytes past its start: what a descriptor of a sane kernel always does.
    #[inline]
    pub fn checked(&self, addr: u64, len: u32) -> Option<NonNull<u8>> {
        let within = addr & (u64::from(self.frame_size) - 1);
        let fits = addr < self.bytes()
            && within >= super::socket::META_BYTES as u64
            && within + u64::from(len) <= u64::from(self.frame_size);
        // SAFETY: `addr` is below `bytes()`, which is at most the length of the mapping.
        fits.then(|| unsafe { self.map.base().add(addr as usize) })
    }
}
