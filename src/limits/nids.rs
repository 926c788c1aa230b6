//! What a NIDS sets going.

/// Longest record of a NIDS; payloads are in it.
pub const NIDS_LINE_MAX: usize = 1 << 20;
/// Connections of NIDSs at a time: each has a thread.
pub const NIDS_PEERS_MAX: usize = 32;
/// Orders of a NIDS that wait; who comes after is refused.
pub const NIDS_ORDERS_WAITING: usize = 1024;
/// Offenders whose limits are remembered, and things done that are not done again soon.
pub const NIDS_REMEMBERED: usize = 65_536;
/// Trouble with a NIDS is told once in this time, each kind of it.
pub const NIDS_TELL_NS: u64 = 10_000_000_000;
/// An order of a NIDS is tried again for this long while the recorder is away.
pub const NIDS_PATIENCE_NS: u64 = 120_000_000_000;
/// What a NIDS' orders have left when their coupling is ended: what is not done by then is counted and told.
pub const NIDS_DRAIN: std::time::Duration = std::time::Duration::from_secs(2);
/// A note for the audit log takes no longer.
pub const NIDS_NOTE: std::time::Duration = std::time::Duration::from_secs(1);
/// A packet can be read this long after its arrival: its block is closed and written.
pub const NIDS_SETTLE_NS: u64 = 250_000_000;
/// A Zeek that says nothing for this long is asked whether it is there; twice as long, and it is not.
pub const NIDS_SILENT_NS: u64 = 20_000_000_000;
/// A connection that is not found is looked for again for this long.
pub const NIDS_FIND_NS: u64 = 3_000_000_000;
/// A hold that a NIDS makes takes so much at most unless configured: a busy or spoofed host does not fill all that there is ...
pub const NIDS_HOLD_BYTES: u64 = 1 << 30;
/// ... is let go after this time ...
pub const NIDS_HOLD_AGE_NS: u64 = 30 * 86_400 * 1_000_000_000;
/// ... and with all others of the kind takes so much: what people hold has the other half.
pub const NIDS_HELD_BYTES: u64 = 5 << 30;
