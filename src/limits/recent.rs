//! Recent packets in memory.

/// Memory of recent packets unless configured: of interfaces; files are read from the disk again.
pub const RECENT_BYTES: u64 = 512 << 20;
/// The least that is worth it.
pub const RECENT_BYTES_MIN: u64 = 16 << 20;
/// Blocks that wait to be copied into memory, of all workers.
pub const INBOX_BLOCKS: usize = 256;
/// Blocks in memory that share one index, at most.
pub const RUN_BYTES: usize = 64 << 20;
/// So many neighbours become one.
pub const RUN_FAN: usize = 8;
