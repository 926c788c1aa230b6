//! The arena: memory for recent blocks, cut into chunks. Capture fills a chunk from front to back and counts each block when it is there; when it
//! needs the chunk for others its generation changes, and what was in it is gone. Serve maps all of it read-only and looks at a chunk only while
//! it has it pinned. One memfd: control words, a word for each chunk, heads, chunks.

mod view;
mod writer;

pub use view::{ArenaView, ChunkPin};
pub use writer::ArenaWriter;

use super::entry::{BLOCKS_OF_CHUNK, BlockEntry};
use super::shared::HUGE_PAGE_BYTES;
use crate::limits::POOLS_MAX;

/// Bytes of a chunk: two of the largest blocks, and a huge page.
pub const CHUNK_BYTES: usize = HUGE_PAGE_BYTES;
/// Bytes of a chunk's head: which it is, its blocks, and the headers of their segments as far as they find room.
pub const HEAD_BYTES: usize = 64 << 10;
/// A chunk with its head.
pub const CHUNK_ALL_BYTES: usize = CHUNK_BYTES + HEAD_BYTES;

/// Of this layout.
const ARENA_VERSION: u64 = 1;
/// Bytes of the control words: version, chunks, changes, then the pools' chunks.
const CONTROL_BYTES: usize = 4096;
const CHUNKS_AT: usize = 8;
const CHANGES_AT: usize = 16;
const POOLS_AT: usize = 24;
/// In a head: when it was taken, for which pool, then the blocks from here on.
const ENTRIES_AT: usize = 64;
/// Behind the blocks: headers of segments.
const HEADERS_AT: usize = ENTRIES_AT + BLOCKS_OF_CHUNK * size_of::<BlockEntry>();
/// Bits of a chunk's word that count its blocks; the others are its generation.
const COUNT_BITS: u32 = 16;

const _: () = assert!(POOLS_AT + 8 * POOLS_MAX <= CONTROL_BYTES && BLOCKS_OF_CHUNK < 1 << COUNT_BITS);
const _: () = assert!(HEADERS_AT + 2 * crate::limits::SECTOR_BYTES <= HEAD_BYTES, "two headers find room in a head");
const _: () = assert!(align_of::<BlockEntry>() == 8 && size_of::<BlockEntry>().is_multiple_of(8));

/// Where things lie in an arena of so many chunks.
#[derive(Clone, Copy, Debug)]
struct ArenaPlan {
    chunks: usize,
}

impl ArenaPlan {
    fn heads(&self) -> usize {
        (CONTROL_BYTES + 8 * self.chunks).next_multiple_of(4096)
    }

    fn head(&self, chunk: usize) -> usize {
        self.heads() + chunk * HEAD_BYTES
    }

    fn chunk(&self, chunk: usize) -> usize {
        (self.heads() + self.chunks * HEAD_BYTES).next_multiple_of(CHUNK_BYTES) + chunk * CHUNK_BYTES
    }

    fn bytes(&self) -> usize {
        self.chunk(self.chunks)
    }
}
