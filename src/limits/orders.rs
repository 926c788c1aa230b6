//! What a running recorder is told and asked: orders, reloads, look-ups of connections that run.

/// Addresses and nets for which something can be ordered at a time.
pub const ORDERS_ADDRESSES: usize = 131_072;
/// Connections for which something can be ordered at a time.
pub const ORDERS_CONNECTIONS: usize = 16_384;
/// Longest list of assignments in one request.
pub const ORDERS_BYTES_MAX: usize = 32 << 20;
/// Orders that the log names when they end together; more are only counted.
pub const ORDERS_NAMED: usize = 16;
/// Commands that wait for a worker, at most.
pub const COMMANDS_WAITING: usize = 8192;
/// Commands that a worker takes between two batches.
pub const COMMANDS_PER_ROUND: usize = 512;
/// Connections that a worker looks up for others between two batches.
pub const TOTALS_PER_ROUND: usize = 128;
/// Connections of one box of a look-up: what a worker does in some rounds.
pub const TOTALS_OF_BOX: usize = 16 * TOTALS_PER_ROUND;
/// A look-up takes no longer; of what was not asked by then it says that nobody knows.
pub const TOTALS_NS: u64 = 5_000_000_000;
/// Connections of one summary that are looked up.
pub const TOTALS_MAX: usize = 65_536;
/// Connections whose totals are kept for the next who asks, and so many of one question.
pub const TOTALS_KEPT: usize = 4096;
/// See [`TOTALS_KEPT`].
pub const TOTALS_KEPT_OF_ONE: usize = 64;
/// Kept totals are good for this long where a worker can't be waited for.
pub const TOTALS_GOOD_NS: u64 = 1_000_000_000;
/// So many others that are wanted are asked for with those of a question.
pub const TOTALS_TOGETHER: usize = 1024;
/// Of questions that may not wait for a worker one in so long does.
pub const TOTALS_PAUSE_NS: u64 = 200_000_000;
/// A worker that has not answered is not asked for totals for so long.
pub const TOTALS_SILENT_NS: u64 = 10_000_000_000;
/// A worker that has not answered by then is taken for dead.
pub const ANSWER_NS: u64 = 2_000_000_000;
/// The walk over running connections goes all the way in this time ...
pub const WALK_NS: u64 = 400_000_000;
/// ... and over so many places at most between two batches.
pub const WALK_PLACES: usize = 32_768;
/// Reloads that wait for the control thread.
pub const RELOADS_WAITING: usize = 16;
