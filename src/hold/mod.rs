//! Holds: packets that an operator keeps, copied out of the segments before those expire, with their sum and with who, when and why.
//! Owns `held/` of a store: one folder a hold, a log that only grows, a limit. Called by the CLI; retention never looks in
//! here, so nothing but [`release`](Held::release) removes a hold.
//!
//! ```text
//! held/  limit        bytes that all holds together may take, in decimal; none: HELD_BYTES
//!        log.jsonl    one line for each hold, end of following, release and limit
//!        lock         held while a hold gets its place or is released
//!        .new-NAME/   a hold that is being made, locked by whoever makes it
//!        NAME/  packets.pcapng   the packets; what is missing in the comment of header and last block; a section for each slice of one that follows
//!               hold.json        what, who, when, why, SHA-256 of packets.pcapng (of its first `bytes`, while it follows); the
//!                                alert that it was made for; how far it has followed
//!               origin.json      the question as it was asked, and the segments that the packets come from, with their sums: for the manifest
//! ```
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod follow;
mod held;
mod make;
mod origin;
mod record;
mod said;
mod slice;
mod sum;
#[cfg(test)]
mod tests;

pub use crate::evidence::Who;
pub use follow::{Following, Follows, Means};
pub use held::{Held, packets_of};
pub use record::{Hold, HoldTerms, Why};
pub use said::{FollowsLine, HoldLine, HoldRecord, HoldsLimit};

use crate::limits::HOLDS_FOLLOWING_MAX;
use crate::query::QueryError;
use crate::units;
use std::path::PathBuf;

/// Longest name.
const NAME_MAX: usize = 64;

/// Why a hold can't be made, found or released.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The system refused something.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The packets.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// Where packets come from.
    #[error(transparent)]
    Evidence(#[from] crate::evidence::EvidenceError),
    /// A name that can't be a folder's.
    #[error(
        "{0:?} can't be the name of a hold: 1 to {NAME_MAX} letters, digits, '-', '_' and '.', beginning with a letter or digit"
    )]
    Name(String),
    /// There is one of that name.
    #[error("there is a hold {0}: choose another name, or release it")]
    Exists(String),
    /// There is none of that name.
    #[error("there is no hold {name}; there is {have}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        have: String,
    },
    /// It would exceed the limit.
    #[error(
        "the hold does not fit: {held} of {limit} are held already; release another, narrow this one down, or raise the limit (retrotap holds --limit SIZE)",
        held = units::size(*held), limit = units::size(*limit)
    )]
    Full {
        /// Bytes held by others.
        held: u64,
        /// The limit.
        limit: u64,
    },
    /// It would be larger than it may be.
    #[error("the hold takes more than the {most} that it may: narrow it down", most = units::size(*most))]
    TooLarge {
        /// What it may take.
        most: u64,
    },
    /// Holds that are let go by themselves would take more than their share.
    #[error(
        "the hold does not fit: holds that are let go by themselves take {held} of their {share} already; release one, or wait for one to end",
        held = units::size(*held), share = units::size(*share)
    )]
    Share {
        /// Bytes held by others of them.
        held: u64,
        /// What they may take.
        share: u64,
    },
    /// No more may follow.
    #[error("{HOLDS_FOLLOWING_MAX} holds follow already: release one, or wait for one to end")]
    Following,
    /// Another one is being made.
    #[error("another hold is being made, and that takes long: try again later")]
    Busy,
    /// The recorder ends: it goes on with the next.
    #[error("the recorder ends")]
    Interrupted,
    /// Nothing matches, so that nothing would be kept.
    #[error("no packet matches: nothing is held")]
    Empty,
    /// A file that is not as it was written.
    #[error("hold {name}: {why}")]
    Damaged {
        /// The hold.
        name: String,
        /// What is wrong.
        why: String,
    },
}

fn at(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> HoldError + use<> {
    let path = path.to_owned();
    move |source| HoldError::Io { path, source }
}
