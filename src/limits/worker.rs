//! A worker: what it hands to others, how much it does between two batches, and when it sleeps.

use super::SNAPLEN;

/// Workers of one recorder.
pub const WORKERS_MAX: usize = 64;
/// Packets of one parcel between workers.
pub const PARCEL_PACKETS: usize = 256;
/// Bytes of one parcel; a packet of the largest snap length fits.
pub const PARCEL_BYTES: usize = 256 << 10;
/// Parcels in each worker's mailbox: full ones hold a quarter of a second of 150 thousand packets/s.
pub const PARCELS_PER_WORKER: usize = 160;
/// Receipts in one letter from a worker to the scribe.
pub const RECEIPTS_PER_LETTER: usize = 1024;
/// Letters of receipts of one worker, empty and full together.
pub const LETTERS_PER_WORKER: usize = 64;
/// The sweep goes once round the connection table in this time.
pub const SWEEP_ROUND_NS: u64 = 4_000_000_000;
/// Slots of the connection table that are swept after each batch, at least ...
pub const SWEEP_SLOTS: usize = 256;
/// ... and as many as go round the table in so many batches: 2,048 a second in [`SWEEP_ROUND_NS`].
pub const SWEEP_ROUNDS: usize = 8192;
/// The same when there are no packets.
pub const SWEEP_SLOTS_IDLE: usize = 4096;
/// The same when there are no packets: an idle worker comes by 200 times a second.
pub const SWEEP_ROUNDS_IDLE: usize = 512;
/// While packets come, a worker that has worked off what was there sleeps this long, where its rings allow it ...
pub const NAP_NS: u64 = 1_000_000;
/// ... that is, for each frame of the smallest ring so long: at 20 million packets/s a nap fills a quarter of it.
pub const NAP_FRAME_NS: u64 = 12;
/// After this long without a packet it sleeps until one wakes it up.
pub const NAPS_NS: u64 = 10_000_000;
/// An idle worker whose source allows no naps polls this long before it sleeps.
pub const SPIN_NS: u64 = 50_000;
/// An idle worker sleeps at most this long: others may hand packets to it, and blocks come of age.
pub const SLEEP_NS: u64 = 5_000_000;

const _: () = assert!(PARCEL_BYTES >= SNAPLEN as usize);
