//! The ledger: what was lost, when, where and why; and what was in force, so that "nothing found" can be told from "not
//! recording". Beside it the receipts: what is known of each connection when it ends. Both have budgets of their own and outlive
//! the packets. Written by the control thread and the scribe, read by queries; FORMAT.md tells the bytes.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod codec;
mod coverage;
mod days;
mod digest;
mod each;
mod entry;
mod fresh;
mod held;
mod journal;
mod lookup;
mod missed;
mod pulse;
mod receipts;
pub mod search;
mod sides;
mod summary;
#[cfg(test)]
mod tests;
mod timeline;
mod told;

pub use coverage::{Coverage, broken_imports, coverage, entries, latest, losses, only_imported};
pub use each::each_connection;
pub use entry::{Entry, What};
pub use held::Held;
pub use journal::Ledger;
pub use missed::{Losses, Slice, missed};
pub use pulse::{Book, Pulse};
pub use receipts::Receipts;
pub use search::{ReceiptsReport, lookup};
pub use sides::SideMaker;
pub use summary::{ExpiredSpan, LedgerSummary};
pub use timeline::{Gap, GapCause, LinkDown};
pub use told::{Ahead, Covered, Files, LossSum, Told};

use std::io;
use std::path::{Path, PathBuf};

/// Disk budget of the ledger unless configured.
pub const LEDGER_BYTES: u64 = 64 << 20;
/// Disk budget of the receipts unless configured.
pub const RECEIPTS_BYTES: u64 = 1 << 30;

/// Why ledger or receipts can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = path.display())]
pub struct LedgerError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

fn at(path: &Path) -> impl Fn(io::Error) -> LedgerError {
    let path = path.to_owned();
    move |source| LedgerError { path: path.clone(), source }
}

/// Removes the first files of a sorted list until the rest fits the budget; the last one always stays.
fn keep_budget(files: &[PathBuf], budget: u64) {
    let side = |p: &Path| lookup::side_of(p);
    let one = |p: &Path| std::fs::metadata(p).map_or(0, |m| m.len());
    let len = |p: &PathBuf| one(p) + one(&side(p));
    let mut total: u64 = files.iter().map(len).sum();
    for old in files.iter().take(files.len().saturating_sub(1)) {
        if total <= budget {
            return;
        }
        let bytes = len(old);
        if std::fs::remove_file(old).is_ok() {
            let _ = std::fs::remove_file(side(old));
            total -= bytes;
        }
    }
}

/// The files of a directory with this extension, sorted by name; none if there is no directory.
fn files_of(dir: &Path, extension: &str) -> Result<Vec<PathBuf>, LedgerError> {
    let read = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(at(dir))?,
    };
    let mut list = Vec::new();
    for entry in read {
        let path = entry.map_err(at(dir))?.path();
        if path.extension().is_some_and(|e| e == extension) {
            list.push(path);
        }
    }
    list.sort();
    Ok(list)
}
