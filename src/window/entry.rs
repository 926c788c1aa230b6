//! What the head of a chunk says of each block in it: enough to find and to prune it without a look at its bytes. Written by capture once, before the
//! block is counted; read by whoever has pinned the chunk.

/// Blocks of one chunk: as many as its smallest blocks fill it.
pub const BLOCKS_OF_CHUNK: usize = super::arena::CHUNK_BYTES / crate::limits::SECTOR_BYTES;

/// A block in a chunk. Any bytes are one: who reads it looks whether it can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct BlockEntry {
    /// Number of its segment.
    pub segment: u64,
    /// Where it begins in the segment.
    pub offset: u64,
    /// Its length.
    pub len: u32,
    /// End of its packets, from its beginning.
    pub trailer_at: u32,
    /// Where it begins in the chunk.
    pub from: u32,
    /// Where the header of its segment is: below [`HEAD_BYTES`](super::arena::HEAD_BYTES) in the chunk's head, else so much further in the chunk.
    pub header_at: u32,
    /// Length of that.
    pub header_len: u32,
    /// Its packets.
    pub packets: u32,
    /// Time-sorted runs that they form.
    pub runs: u32,
    /// Id of its class.
    pub class: u32,
    /// Earliest time, Unix ns.
    pub first: u64,
    /// Latest time.
    pub last: u64,
    /// Sum of lengths on the wire.
    pub wire_bytes: u64,
    /// Sum of captured lengths.
    pub data_bytes: u64,
    /// Packets that its writer had to drop since its start.
    pub stalled: u64,
}
