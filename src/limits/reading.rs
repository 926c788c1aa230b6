//! A query that reads: how much it looks at together, and what is held of the store's books.

/// Damaged places that a summary names; more are only counted.
pub const DAMAGE_NAMED: usize = 16;
/// Segments whose indexes a query looks into at a time, on as many threads: each is a chain of small reads.
pub const LOOKS: usize = 16;
/// Segments that are looked at together.
pub const LOOKS_AT_ONCE: usize = 32;
/// Blocks whose few candidates a query reads at a time, on as many threads.
pub const GATHERERS: usize = 32;
/// So many candidates of a segment are read with the look.
pub const GATHERED_PACKETS: usize = 256;
/// Of these not much more bytes.
pub const GATHERED_BYTES: usize = 1 << 20;
/// Blocks of one segment that are sifted before they are needed ...
pub const BLOCKS_AHEAD: usize = 8;
/// ... and of all segments of a query: of each its hits are held, a block's bytes at most ...
pub const BLOCKS_AHEAD_MAX: usize = 12;
/// ... by so many threads, each with a block's buffer: more than processors, since most of them wait for the disk.
pub const AHEAD_THREADS: usize = 4;
/// Frames of receipts that are looked into together: what is wanted of them is held until then ...
pub const FRAMES_SEARCHED: usize = 128;
/// ... on so many threads, at most.
pub const SEARCH_THREADS: usize = 4;
/// So few connections have their receipts looked for while their packets are read.
pub const FORESEEN_KEYS: usize = 256;
/// Files of receipts that a query has open at a time.
pub const RECEIPT_FILES_AT_ONCE: usize = 16;
/// Entries of losses that are held for queries; of older ones the files tell.
pub const LOSSES_HELD: usize = 16_384;
/// Bytes of the latest receipts that are held for queries; of older ones the files tell.
pub const RECEIPTS_HELD_BYTES: usize = 32 << 20;
/// First fragments of datagrams that a query knows at least.
pub const DATAGRAMS_KNOWN: usize = 1 << 18;
/// Packets in the rings may be this much older than those that the writer has: followers wait for them so long.
pub const LATE_NS: u64 = 100_000_000;
/// A sign of life is given once a second: a gap that is shorter is none.
pub const GAP_MIN_NS: u64 = 2_000_000_000;
