//! The way of a block from a writer into memory: written blocks go in, in the order of their segment, buffers come back. Owns the two
//! queues; lock-free and bounded, because writers are on the packet path. Where the queue is full a block is not in memory,
//! and the disk has it.

use super::disk::buffers::Buffer;
use super::scan::BlockRef;
use super::segment::OpenSegment;
use crate::window::Window;
use crossbeam_queue::ArrayQueue;
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

/// A block that is durable with all before it in its segment.
#[derive(Debug)]
pub struct Filled {
    /// Its bytes.
    pub buffer: Buffer,
    /// Where it lies in its segment, how long it is, and what is in it, as its writer knows it.
    pub about: BlockRef,
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
    /// Where blocks that do not get into memory are counted.
    window: Arc<Window>,
}

impl Inbox {
    /// So many blocks can wait.
    pub fn new(blocks: usize, window: Arc<Window>) -> Arc<Inbox> {
        Arc::new(Inbox { queue: ArrayQueue::new(blocks.max(1)), reader: OnceLock::new(), window })
    }

    /// Writer: gives a block, or has it back where there is no room.
    pub fn give(&self, block: Filled) -> Result<(), Filled> {
        self.queue.push(block)?;
        self.wake();
        Ok(())
    }

    /// Whoever has no room for a block: it is on disk only.
    pub fn miss(&self) {
        self.window.missed();
    }

    /// Reader: from now on this thread is woken.
    pub fn serve_from_here(&self) {
        let _ = self.reader.set(std::thread::current());
    }

    /// Has the reader look, whatever for.
    pub fn wake(&self) {
        if let Some(reader) = self.reader.get() {
            reader.unpark();
        }
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
