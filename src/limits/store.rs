//! Blocks, segments and the disk: sizes, times, and what is left free.

use super::{CLASSES_MAX, SNAPLEN};

/// The unit of writing: header, packets, statistics and trailer together.
pub const BLOCK_BYTES: usize = 1 << 20;
/// O_DIRECT granularity: offsets and lengths of writes are multiples of this.
pub const SECTOR_BYTES: usize = 4096;
/// Bytes covered by one CRC32C in a block's trailer.
pub const STRIPE_BYTES: usize = 64 << 10;
/// Bytes covered by one CRC32C in an index's table of blocks: the least that a query reads of a block.
pub const PIECE_BYTES: usize = 16 << 10;
/// Largest padding block that common pcapng readers accept.
pub const PAD_BYTES_MAX: usize = 64 << 10;
/// Preallocated size of a segment unless configured.
pub const SEGMENT_BYTES: u64 = 128 << 20;
/// Smallest segment that the configuration accepts.
pub const SEGMENT_BYTES_MIN: u64 = 4 << 20;
/// An open block is written after this time even if it is not full.
pub const FLUSH_NS: u64 = 100_000_000;
/// fdatasync at least this often while data is written.
pub const SYNC_NS: u64 = 1_000_000_000;
/// An open segment is sealed when it is this old.
pub const SEAL_AGE_NS: u64 = 60_000_000_000;
/// Entries of the ledger that wait for a disk that refuses them.
pub const ENTRIES_WAITING: usize = 4096;
/// Memory of each worker's blocks unless configured: as much as its rings, so that the disk may pause as long as the worker.
pub const BUFFERS_BYTES: u64 = 256 << 20;
/// The same where packets come from files.
pub const BUFFERS_FILES_BYTES: u64 = 64 << 20;
/// What the disk has must be this old before it says how much past a budget will hold.
pub const OUTLOOK_NS: u64 = 60_000_000_000;
/// The least `max_age` of a class: a segment is written for up to a minute.
pub const MAX_AGE_NS_MIN: u64 = 120_000_000_000;
/// Block buffers of a worker, at least: a batch fits and as much again can be on its way to the disk.
pub const BLOCKS_MIN: usize = 32;
/// Open blocks of one writer: one for each class and link type in use, but for half of its buffers at most.
pub const STREAMS_MAX: usize = CLASSES_MAX + 16;
/// Segments of one writer that are open or still have writes under way.
pub const OPEN_SEGMENTS_MAX: usize = 2 * STREAMS_MAX;
/// A block whose write failed is written anew, elsewhere, after this time.
pub const WRITE_RETRY_NS: u64 = 250_000_000;
/// A block that could not be written for this long is given up, so that its memory holds newer packets.
pub const WRITE_GIVE_UP_NS: u64 = 60_000_000_000;
/// Of a store's filesystem so much is left free as long as something of the store can go: this part, at least ...
pub const RESERVE_PERCENT: u64 = 2;
/// ... these bytes, but of a small one ...
pub const RESERVE_BYTES: u64 = 1 << 30;
/// ... at most this part.
pub const RESERVE_PERCENT_MAX: u64 = 5;
/// A segment that has expired waits this long for its entry in the ledger before it is deleted.
pub const ENTER_NS: u64 = 1_000_000_000;
/// The end of a recording waits this long for a segment where the filesystem has no room for one.
pub const FINISH_FULL_NS: u64 = 1_000_000_000;
/// The end of a recording waits this long for the disk, and for memory to take in the last blocks.
pub const FINISH_NS: u64 = 30_000_000_000;

const _: () = assert!(BLOCK_BYTES.is_multiple_of(SECTOR_BYTES) && STRIPE_BYTES.is_multiple_of(SECTOR_BYTES));
// A query has a bit for each piece of a block.
const _: () = assert!(PIECE_BYTES.is_multiple_of(SECTOR_BYTES) && BLOCK_BYTES / PIECE_BYTES <= 64);
// A packet of the largest snap length fits a block with its header, statistics and trailer.
const _: () = assert!(BLOCK_BYTES > SNAPLEN as usize + 64 + 2 * SECTOR_BYTES + PAD_BYTES_MAX);
const _: () = assert!(SEGMENT_BYTES_MIN > 2 * BLOCK_BYTES as u64);
