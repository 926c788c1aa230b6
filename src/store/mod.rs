//! The store: blocks, segments, recovery, readers. FORMAT.md tells every byte; here is who does what:
//!
//! - [`writer`] takes packets from a worker and gives blocks to the [`disk`]; [`keeper`] does everything slow: makes segments
//!   ahead, syncs, seals, has them indexed, keeps the budget; [`open`] brings both together, after [`recover`]y. Of these only recovery
//!   reads what is stored.
//! - [`reader`] and [`list`] are for everybody who reads, in this process or another; they need no lock.
//! - [`format`] is the bytes, [`layout`] the names of files, [`catalog`] what a recorder publishes.

pub mod catalog;
pub mod disk;
pub mod event;
pub mod format;
pub mod inbox;
pub mod info;
pub mod keeper;
pub mod layout;
pub mod list;
pub mod live;
pub mod lock;
mod mend;
pub mod open;
pub mod reader;
pub mod recover;
pub mod scan;
mod seal;
pub mod segment;
pub mod sink;
#[cfg(test)]
mod tests;
pub mod verify;
pub mod writer;

use std::io;
use std::path::{Path, PathBuf};

/// Why a store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused something.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// What it was about.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not empty, and no store.toml.
    #[error("{path} is not a retrotap store (it has no store.toml); give the path of a store, or of an empty or new directory to record into", path = path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// store.toml can't be read.
    #[error("{path} is damaged: {why}", path = path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A store of another version.
    #[error("{path} is a store of version {version}, this program reads and writes version {ours}; use the program that made it", path = path.display(), ours = format::STORE_VERSION)]
    Version {
        /// The directory.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
    /// Somebody else records into it.
    #[error("{path} is in use: {holder} records into it; stop that, or record into another store", path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// What the lock says of its holder.
        holder: String,
    },
    /// A class name that can't be a directory.
    #[error(
        "{name:?} can't be the name of a class: 1 to 32 letters, digits, '-' and '_', and not open, ledger, receipts or held"
    )]
    ClassName {
        /// The name.
        name: String,
    },
    /// The disk budget holds too few segments.
    #[error("{what} of {budget} bytes is too small: with these workers and classes it must be at least {least}")]
    Budget {
        /// Which one.
        what: String,
        /// What was asked for.
        budget: u64,
        /// What is needed.
        least: u64,
    },
    /// No memory for block buffers.
    #[error("there is no memory for {blocks} block buffers of 1 MiB: {source}; ask for fewer")]
    Memory {
        /// How many were asked for.
        blocks: usize,
        /// What the system said.
        source: io::Error,
    },
}

/// Says what an error was about.
pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path: path.clone(), source }
}

/// 64 random bits.
pub(crate) fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

pub use keeper::KeeperCounts;
pub use keeper::shelf::Holding;
pub use list::{SegmentRef, segments, store_id};
pub use open::{Options, Store};
pub use reader::{ReadError, SegmentReader};
pub use writer::Writer;
