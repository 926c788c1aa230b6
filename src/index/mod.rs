//! The index of a segment: what its packets can be found by. Derived from the segment's bytes alone, so that it can always
//! be made again. Made by the indexer, read by queries; knows nothing of the query language. FORMAT.md tells every byte.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod blocks;
pub(crate) mod bounds;
mod build;
pub mod community;
pub mod conns;
mod distinct;
pub mod file;
pub mod filters;
mod fuse;
mod hashes;
mod indexer;
mod joint;
mod keys;
mod list;
mod merge;
mod named;
mod posted;
mod read;
mod run;
mod skip;
pub mod term;
pub mod terms;
#[cfg(test)]
pub(crate) mod tests;
mod times;
mod varint;
pub mod view;
#[cfg(test)]
mod work;

pub use file::About;
pub use filters::read as read_filters;
pub use indexer::Indexer;
pub use read::Index;
pub use run::Run;
pub use skip::{Skip, address_filter, contains as filter_contains};
pub use times::times_of;

use crate::store::reader::{ReadError, SegmentReader};
use std::io;
use std::path::{Path, PathBuf};

/// Terms of one group of the dictionary.
const TERMS_PER_GROUP: usize = 16;

/// Bytes of a term's value in the directory, by kind: IPv4, IPv6, port, protocol, ethertype, VLAN, MPLS label.
fn value_bytes(kind: usize) -> usize {
    [4, 16, 2, 1, 2, 2, 4].get(kind).copied().unwrap_or(16)
}

/// What an index is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A whole segment: with its joint filter.
    Segment,
    /// Blocks in memory, or for one question: without, since what it spares is the reading of an index.
    Passing,
}

/// Why an index can't be made or used. The segment is readable without.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The system refused something.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes that are not what they should be.
    #[error("the index is damaged ({0}); delete it, and the next recording makes it again")]
    Damaged(&'static str),
    /// Of another version.
    #[error("the index is of version {0}, this program reads versions up to {ours}", ours = file::NEWEST)]
    Version(u32),
    /// Of another segment, or of another state of this one.
    #[error("the index is not that of its segment; delete it, and the next recording makes it again")]
    Stale,
    /// It was made of a segment in which something is damaged: what it lacks may be there.
    #[error("the index was made of a segment in which something is damaged")]
    Partial,
    /// Its segment can't be read.
    #[error(transparent)]
    Segment(#[from] ReadError),
    /// More than 4 GiB.
    #[error("the segment has too many connections for one index")]
    TooLarge,
    /// A filter can't be made.
    #[error("a filter of the segment: {0}")]
    Filter(&'static str),
}

/// Makes the index of a sealed segment, beside it.
pub fn build(segment: &Path) -> Result<(), IndexError> {
    let reader = SegmentReader::open(segment)?;
    file::write(&reader.index(), &build::bytes_of(&reader, Scope::Segment, &|_| true)?)
}

/// Checks the index at `index` against its segment.
pub fn verify(segment: &Path, index: &Path) -> Result<(), IndexError> {
    let reader = SegmentReader::open(segment)?;
    let found = Index::open(index)?;
    if !found.belongs_to(reader.header(), reader.end()) {
        return Err(IndexError::Stale);
    }
    found.check()
}
