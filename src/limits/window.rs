//! The window: what capture and serve both see.

use super::{CLASSES_MAX, OPEN_SEGMENTS_MAX, WORKERS_MAX};

/// Pools of the memory of recent blocks: of each class that has its own, and of all others.
pub const POOLS_MAX: usize = CLASSES_MAX + 1;
/// Writers of one recording: a worker has one.
pub const WRITERS_MAX: usize = 256;
/// Unsealed segments of a store, of all workers, spare ones and those that an earlier recorder left included. Where all slots are taken no segment is made.
pub const SEGMENT_SLOTS: usize = 16_384;
/// As long as capture has given no sign of life for no longer than this, time is recorded.
pub const BEAT_NS: u64 = 1_000_000_000;

const _: () = assert!(SEGMENT_SLOTS > WORKERS_MAX * (OPEN_SEGMENTS_MAX + 2) && WRITERS_MAX >= WORKERS_MAX);
