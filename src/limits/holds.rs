//! Holds, and those that follow.

/// What holds may take together where nobody has said otherwise.
pub const HELD_BYTES: u64 = 10 << 30;
/// Holds that follow are given what has come this often.
pub const HOLD_FOLLOW: std::time::Duration = std::time::Duration::from_secs(1);
/// What comes is given to them this much later, so that what is late is among it.
pub const HOLD_LATE_NS: u64 = 1_000_000_000;
/// The last slices of a recording take no longer: the next recording goes on where they stood.
pub const HOLD_LAST_NS: u64 = 1_000_000_000;
/// Holds that follow, at most: each is looked after each second.
pub const HOLDS_FOLLOWING_MAX: usize = 256;
/// Whoever makes a hold waits no longer for another that is being made.
pub const HOLD_TURN: std::time::Duration = std::time::Duration::from_secs(30);
/// A directory that has changed less than this before it was listed may change again without its time showing it.
pub const STAMP_GRAIN: std::time::Duration = std::time::Duration::from_millis(50);
