//! Memory for recent blocks: one mapping, cut into chunks that are filled from front to back, read by many while they are filled, and
//! come back by themselves when nobody holds them any more. Owned by whoever keeps recent blocks; a worker never touches it.
#![allow(unsafe_code)]

use crossbeam_queue::ArrayQueue;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

/// Bytes of a chunk: two of the largest blocks, and a huge page where there is one.
pub const CHUNK_BYTES: usize = 2 << 20;

#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    len: usize,
    free: ArrayQueue<usize>,
}

// SAFETY: plain memory without thread affinity; `Filler` and `Slice` say who may touch which part.
unsafe impl Send for Mapping {}
// SAFETY: as above; a shared `Mapping` gives no access to its bytes.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and len are those that mmap returned, and no chunk is left, because each holds an `Arc` of this.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[derive(Debug)]
struct Chunk {
    of: Arc<Mapping>,
    index: usize,
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // There are as many places as chunks.
        let _ = self.of.free.push(self.index);
    }
}

/// The chunk that is being filled; there is one at a time.
#[derive(Debug)]
struct Filler {
    chunk: Arc<Chunk>,
    used: usize,
}

/// All of the memory.
#[derive(Debug)]
pub struct Arena {
    of: Arc<Mapping>,
    open: Option<Filler>,
}

/// Bytes that were put into the arena; they stay as long as this does.
#[derive(Clone, Debug)]
pub struct Slice {
    chunk: Arc<Chunk>,
    from: usize,
    len: usize,
}

impl Arena {
    /// At most `bytes`; pages are taken as they are first written.
    pub fn new(bytes: usize) -> io::Result<Arena> {
        use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
        let chunks = (bytes / CHUNK_BYTES).max(2);
        let len = chunks * CHUNK_BYTES;
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: an anonymous mapping at an address that the kernel chooses touches no other memory.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), len, prot, flags) }?;
        // SAFETY: the range is the mapping just made; the advice changes no byte.
        let _ = unsafe { madvise(base, len, Advice::LinuxHugepage) };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let free = ArrayQueue::new(chunks);
        for i in 0..chunks {
            let _ = free.push(i);
        }
        Ok(Arena { of: Arc::new(Mapping { base, len, free }), open: None })
    }

    /// Copies `bytes`, at most a chunk of them; `None`: no chunk is free.
    pub fn put(&mut self, bytes: &[u8]) -> Option<Slice> {
        if bytes.len() > CHUNK_BYTES {
            return None;
        }
        if self.open.as_ref().is_none_or(|f| f.used + bytes.len() > CHUNK_BYTES) {
            self.open = None;
            let chunk = Arc::new(Chunk { of: self.of.clone(), index: self.of.free.pop()? });
            self.open = Some(Filler { chunk, used: 0 });
        }
        let filler = self.open.as_mut()?;
        let (from, len) = (filler.used, bytes.len());
        // SAFETY: the chunk lies in the mapping (index < chunks) and from + len ≤ CHUNK_BYTES. The bytes from `used` on belong
        // to this filler alone: it is the only one of its chunk, `&mut self` makes the access exclusive, and slices of the chunk
        // end before `used`. Source and destination are different memory.
        unsafe {
            let to = self.of.base.as_ptr().add(filler.chunk.index * CHUNK_BYTES + from);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, len);
        }
        filler.used += len;
        Some(Slice { chunk: filler.chunk.clone(), from, len })
    }

    /// Whether so many bytes would find room now.
    pub fn has_room(&self, len: usize) -> bool {
        !self.of.free.is_empty() || self.open.as_ref().is_some_and(|f| f.used + len <= CHUNK_BYTES)
    }

    /// Bytes of all chunks.
    pub fn bytes(&self) -> usize {
        self.of.len
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the range was written before this slice was made and is never written again while the chunk is held, which the
        // slice does; it lies in the chunk, and the chunk in the mapping.
        unsafe {
            let at = self.chunk.of.base.as_ptr().add(self.chunk.index * CHUNK_BYTES + self.from);
            std::slice::from_raw_parts(at, self.len)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_back_when_nobody_holds_them() {
        let mut arena = Arena::new(2 * CHUNK_BYTES).unwrap();
        let block = |n: u8| vec![n; CHUNK_BYTES / 2];
        let held: Vec<Slice> = (0..4).map(|n| arena.put(&block(n)).expect("room for four")).collect();
        assert!(arena.put(&block(9)).is_none());
        for (n, s) in held.iter().enumerate() {
            assert!(s.as_ref().iter().all(|b| *b == n as u8) && s.as_ref().len() == CHUNK_BYTES / 2);
        }
        // Half a chunk is not enough, a whole one is.
        let mut held = held.into_iter();
        drop(held.next());
        assert!(arena.put(&block(9)).is_none());
        drop(held.next());
        let again = arena.put(&block(7)).expect("the first chunk is free");
        assert!(again.as_ref().iter().all(|b| *b == 7));
        assert!(held.all(|s| s.as_ref()[0] == 2 || s.as_ref()[0] == 3));
    }
}
