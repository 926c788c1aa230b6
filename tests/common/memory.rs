//! Blocks in memory as a recorder holds them: in shared memory, in chunks that can be taken back while somebody reads.

use retrotap::store::reader::MemoryBlock;
use retrotap::store::scan::BlockRef;
use retrotap::window::PinWords;
use retrotap::window::arena::{ArenaView, ArenaWriter};
use std::sync::Arc;

/// Memory for so many blocks, each in a chunk of its own.
pub struct SharedBlocks {
    arena: ArenaWriter,
    view: Arc<ArenaView>,
    next: usize,
}

impl SharedBlocks {
    /// Empty.
    pub fn new(blocks: usize) -> SharedBlocks {
        let mut arena = ArenaWriter::create(blocks).expect("shared memory");
        let pins = PinWords::create(blocks).expect("shared memory");
        let fds = (arena.file().expect("a file"), pins.file().expect("a file"));
        arena.admit(pins);
        SharedBlocks { arena, view: ArenaView::open(fds.0, fds.1).expect("a second mapping"), next: 0 }
    }

    /// One more, of these bytes.
    pub fn put(&mut self, at: &BlockRef, bytes: &[u8]) -> MemoryBlock {
        let chunk = self.next;
        assert!(self.arena.take(chunk, 0, chunk as u64) && self.arena.put(chunk, &at.to_entry(0, 0), bytes, &[]));
        self.next += 1;
        MemoryBlock::new(*at, &self.view, (chunk as u32, 1, 0))
    }

    /// Takes back all that nobody looks at.
    pub fn take_back(&mut self) {
        for chunk in 0..self.next {
            self.arena.take(chunk, 0, 0);
        }
    }
}
