//! What makes packets evidence: a manifest beside them, which says what was asked, by whom and when, of which store, which segments the packets
//! come from, how much it is, what is missing, and the SHA-256 of the file; and the check that all of that is still so. Owns the manifest's
//! format (`docs/evidence.md` tells it) and its check. Called by the CLI, the API and holds; nothing that records needs it.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod check;
mod manifest;
mod noted;
mod packets;
mod sources;
mod sum;
mod who;

pub use check::{Checked, check};
pub use manifest::{FileSum, HoldNote, KIND, Manifest, PacketFormat, Question, VERSION, stamp};
pub use noted::{Noted, Noting};
pub use sources::{Asker, Origin, Segments, SourceSegment};
pub use sum::{Summing, sum_of};
pub use who::Who;

use std::path::PathBuf;

/// Why a manifest can't be made or checked.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The system refused something.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is no manifest, or one of another version.
    #[error("{path}: {why}", path = path.display())]
    NoManifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// A segment.
    #[error(transparent)]
    Read(#[from] crate::store::ReadError),
}

fn at(path: &std::path::Path) -> impl Fn(std::io::Error) -> EvidenceError + use<> {
    let path = path.to_owned();
    move |source| EvidenceError::Io { path: path.clone(), source }
}
