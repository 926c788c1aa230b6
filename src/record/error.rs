//! Why a recording could not start, or not go on with other settings. Shown as it is; the command line turns it into an exit code.

use crate::class::ClassError;
use crate::conn::TrackerError;
use crate::filter::FilterError;
use crate::ledger::LedgerError;
use crate::source::file::FileError;
use crate::source::live;
use crate::store::StoreError;
use std::io;

/// Why other settings were not taken: an HTTP status and the reason. All is as it was.
pub type Refused = (u16, String);

/// Why it could not start.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The global filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A class.
    #[error(transparent)]
    Class(#[from] ClassError),
    /// The size of the connection table, or a cutoff.
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// A capture file.
    #[error(transparent)]
    File(#[from] FileError),
    /// An interface, or the kernel.
    #[error(transparent)]
    Live(#[from] live::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger or the receipts.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The metrics endpoint.
    #[error(transparent)]
    Metrics(#[from] crate::metrics::http::Error),
    /// A disk budget that no disk here holds.
    #[error("{0}")]
    Budget(String),
    /// The API's socket.
    #[error(transparent)]
    Api(#[from] crate::control::SocketError),
    /// A thread, a signal, randomness.
    #[error("{what}: {source}")]
    System {
        /// What was asked of the system.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
}

impl RecordError {
    /// The user's settings are wrong, not the system.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            RecordError::Filter(_)
                | RecordError::Class(_)
                | RecordError::Tracker(_)
                | RecordError::Budget(_)
                | RecordError::Store(StoreError::Budget { .. } | StoreError::ClassName { .. })
        )
    }

    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> RecordError {
        move |source| RecordError::System { what, source }
    }
}
