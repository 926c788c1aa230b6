//! What the store tells of itself, for the ledger. Sent by writers through a bounded lock-free queue to the keeper, which hands
//! each to the callback given at the opening.

pub use super::keeper::shelf::Cause;
use std::path::PathBuf;

/// Something that happened to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// A write failed; its block is kept in memory and written elsewhere.
    WriteFailed {
        /// The worker whose block it is.
        worker: u16,
        /// The error number.
        errno: i32,
        /// Number of the segment.
        segment: u64,
        /// Offset in it.
        offset: u64,
    },
    /// Writes succeed again.
    WriteRecovered {
        /// The worker.
        worker: u16,
    },
    /// A block could not be written for a minute and was given up; or blocks that were not on the disk when the recording ended.
    GivenUp {
        /// The worker whose block it was.
        worker: u16,
        /// Its class.
        class: String,
        /// Its packets.
        packets: u64,
        /// When they arrived, first and last, Unix ns.
        times: (u64, u64),
    },
    /// No segment can be preallocated.
    NoSpace {
        /// What the system said.
        error: String,
    },
    /// Segments can be preallocated again.
    SpaceAgain,
    /// The page cache is in the way: the filesystem refuses O_DIRECT.
    NotDirect,
    /// io_uring is not allowed: a helper thread writes.
    NoUring {
        /// What the system said.
        error: String,
    },
    /// fdatasync failed: what was written since the last one may not survive a power loss.
    SyncFailed {
        /// What the system said.
        error: String,
    },
    /// The catalog can't be written: what is being recorded now is not seen by queries of other processes until it can.
    CatalogFailed {
        /// What the system said.
        error: String,
    },
    /// A segment was sealed.
    Sealed {
        /// The file.
        path: PathBuf,
        /// Packets in it.
        packets: u64,
    },
    /// Sealing failed; the segment stays readable as it is and is tried again, also at the next start.
    SealFailed {
        /// Number of the segment.
        segment: u64,
        /// What the system said.
        error: String,
    },
    /// A segment that a recorder had left unsealed was recovered.
    Recovered {
        /// The file; none if it held no packet.
        path: Option<PathBuf>,
        /// Packets in it.
        packets: u64,
        /// Bytes in its midst that no good block covers.
        bad_bytes: u64,
    },
    /// A sealed segment is dropped now: it is too old, or a budget is used up.
    Expired {
        /// The file.
        path: PathBuf,
        /// Times of its first and last packet, Unix ns; `None`: nobody could tell.
        times: Option<(u64, u64)>,
        /// Its class.
        class: String,
        /// Why.
        cause: Cause,
        /// How long ago it was recorded, ns.
        age: u64,
    },
    /// A segment that has expired could not be deleted: it takes room that no budget counts, until the next start.
    NotDeleted {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
}
