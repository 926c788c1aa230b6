//! Queries: an expression and a time window in, packets in time order and an honest summary out. Called by the CLI; reads the
//! store, its index and the ledger, and never holds anything that capture waits on.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod addresses;
mod ahead;
mod community;
mod conn;
mod connections;
mod counted;
mod cursor;
mod engine;
mod extensions;
mod extent;
mod follow;
mod foreseen;
mod gathered;
mod interfaces;
mod judge;
pub mod lang;
mod listed;
mod lives;
mod merge;
pub mod output;
pub mod pace;
mod part;
mod plans;
pub mod priority;
mod read_so_far;
mod refused;
mod room;
mod run;
mod running;
mod sealed;
mod select;
mod sift;
mod stands;
mod statement;
mod summary;
#[cfg(test)]
mod unlisted;
pub mod view;
mod whose;
mod words;

pub use crate::conn::receipt::LookedUp;
pub use addresses::{Addresses, AddressesError};
pub use community::{CommunityId, CommunityIdError};
pub use conn::{ConnSpec, ConnSpecError};
pub use connections::{Connection, Found};
pub use cursor::{Cursor, SegmentMarks};
pub use engine::{Engine, Reach};
pub use follow::Follower;
pub use listed::{Listed, Sort, Tunnel, listed};
pub use run::{known_names, run, run_with};
pub use running::{Running, running};
pub use sealed::Sealed;
pub use stands::Recording;
pub use statement::{Statement, sentences};
pub use summary::{IncompleteReason, NothingFound, Place, Pruning, Refused, SoFar, StoredTimes, Summary, WindowPlace};
pub use words::{explained, missing, text};

/// Whether an index finds what answers this expression, or everything has to be looked at.
pub fn prunes(filter: &str) -> bool {
    lang::plan::Plan::of(filter) != lang::plan::Plan::All
}

use crate::filter::FilterError;
use crate::ledger::LedgerError;
use crate::source::Interface;
use crate::store::StoreError;
use crate::store::format::SegmentHeader;
use crate::store::reader::ReadError;
use crate::units;
use std::path::PathBuf;

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The store.
    pub store: PathBuf,
    /// pcap-filter expression; empty: everything.
    pub filter: String,
    /// Apply it at each decoded layer, too.
    pub any_layer: bool,
    /// Only this connection.
    pub conn: Option<ConnSpec>,
    /// Only the connection with this community ID.
    pub community: Option<CommunityId>,
    /// Only these classes; empty: all.
    pub classes: Vec<String>,
    /// Only packets that came in by these interfaces, each with all of its queues; empty: all.
    pub interfaces: Vec<String>,
    /// Packets from this time on, Unix ns.
    pub since: Option<u64>,
    /// Packets before this time, Unix ns.
    pub until: Option<u64>,
    /// Packets of the last so many ns: back from now, or in a store of imported traces from its newest packet.
    pub last: Option<u64>,
    /// At most so many packets, the earliest.
    pub limit: Option<u64>,
    /// Only what is in the recorder's memory.
    pub memory_only: bool,
    /// Answer without index and plan: for tests and for comparison.
    pub full_scan: bool,
}

/// A packet of the answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Unix time, ns.
    pub time: u64,
    /// Length on the wire.
    pub wire_len: u32,
    /// Captured bytes.
    pub data: &'a [u8],
    /// What its block in a pcapng file said of it: whole options, little-endian, without the end.
    pub options: &'a [u8],
    /// Where it arrived.
    pub interface: &'a Interface,
    /// Where it lies.
    pub segment: &'a SegmentHeader,
}

/// Takes the packets of an answer, in time order.
pub trait PacketSink {
    /// One packet.
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError>;

    /// Of a follower: where it stands behind the packet that it has just given, for whoever wants to go on from there.
    fn given(&mut self, _stands: &dyn Fn() -> Option<(Cursor, SoFar)>) -> Result<(), OutputError> {
        Ok(())
    }
}

/// Why an answer can't be delivered.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// The file.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// pcap has one link type a file: the first and another, each with an interface.
    #[error(
        "the answer has packets of link types {} ({}) and {} ({}), and a pcap file holds one: write pcapng, or narrow the query down \
        with --interface NAME (interfaces) or by class", .0.0, .0.1, .1.0, .1.1
    )]
    LinkTypes((u16, String), (u16, String)),
    /// pcap has 32 bits of seconds.
    #[error(
        "the answer has a packet of {}, and times of a pcap file end at 2106-02-07T06:28:15Z: write pcapng, or narrow the query down", units::time(*.0)
    )]
    Time(u64),
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The expression.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A segment.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The ledger or the receipts.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The output.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A follower can't go on from there.
    #[error("the cursor does not fit: {0}; follow anew, without after")]
    Cursor(String),
    /// The caller's pace ended it.
    #[error("{0}")]
    Stopped(pace::Stopped),
    /// An index, where nothing else can answer.
    #[error("{0}")]
    Index(String),
    /// More connections than fit the memory of one answer: how many did, and what it may take.
    #[error(
        "the answer has more connections than fit the {} that one list may take in memory ({} by then): narrow it down, by time or by filter",
        units::size(*.1), units::count(*.0 as u64)
    )]
    TooMany(usize, u64),
    /// Others have the memory that is for lists of connections.
    #[error(
        "other lists of connections take all the memory that there is for them: ask again in a moment, or for less, by time or by filter"
    )]
    NoRoom,
    /// No such interface.
    #[error("no packet in the store came in by an interface {interface:?}; there are {have}")]
    Interface {
        /// What was asked for.
        interface: String,
        /// What there is.
        have: String,
    },
    /// No such class.
    #[error("the store has no class {class:?}; it has {have}")]
    Class {
        /// What was asked for.
        class: String,
        /// What there is.
        have: String,
    },
}
