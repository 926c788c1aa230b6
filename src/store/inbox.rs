//! The way of a block from a writer into memory: written blocks go in, in the order of their segment, buffers come back. Owns the two
//! queues; lock-free and bounded, because writers are on the packet path. Where the queue is full a block is not in memory,
//! and the disk has it.

use super::disk::buffers::Buffer;
use super::segment::OpenSegment;
use crossbeam_queue::ArrayQueue;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

/// A block that is durable with all before it in its segment.
#[derive(Debug)]
pub struct Filled {
    /// Its bytes.
    pub buffer: Buffer,
    /// How many.
    pub len: usize,
    /// Where it begins in the segment.
    pub offset: u64,
    /// The segment.
    pub segment: Arc<OpenSegment>,
    /// Where the buffer goes when the bytes are copied.
    pub home: Arc<ArrayQueue<Buffer>>,
}

/// Blocks on their way to memory.
#[derive(Debug)]
pub struct Inbox {
    queue: ArrayQueue<Filled>,
    reader: OnceLock<Thread>,
    /// Blocks that did not get into memory.
    missed: AtomicU64,
}

impl Inbox {
    /// So many blocks can wait.
    pub fn new(blocks: usize) -> Arc<Inbox> {
        Arc::new(Inbox { queue: ArrayQueue::new(blocks.max(1)), reader: OnceLock::new(), missed: AtomicU64::new(0) })
    }

    /// Writer: gives a block, or has it back where there is no room.
    pub fn give(&self, block: Filled) -> Result<(), Filled> {
        self.queue.push(block)?;
        if let Some(reader) = self.reader.get() {
            reader.unpark();
        }
        Ok(())
    }

    /// Whoever has no room for a block: it is on disk only.
    pub fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Blocks that are on disk only, since the start.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Reader: from now on this thread is woken.
    pub fn serve_from_here(&self) {
        let _ = self.reader.set(std::thread::current());
    }

    /// Reader: the next block.
    pub fn take(&self) -> Option<Filled> {
        self.queue.pop()
    }

    /// Reader: a block is readable, and its buffer goes home.
    pub fn done(&self, block: Filled) {
        // There are as many places as the writer lets buffers go.
        let _ = block.home.push(block.buffer);
    }
}
