//! Why nobody is answered about a store. Shown as it is; the command line turns it into an exit code.

use crate::control::SocketError;
use crate::limits::STORES_AT_REST;
use crate::metrics::http;
use crate::store::StoreError;
use std::io;
use std::path::PathBuf;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AtRestError {
    /// Too many at once.
    #[error("{0} stores: one process answers about {STORES_AT_REST} at most")]
    Many(usize),
    /// One place for several.
    #[error("several stores have no {0} in common: name one store, or leave it out")]
    OnePlace(&'static str),
    /// The same again.
    #[error("{store}: it is named twice", store = .0.display())]
    Twice(PathBuf),
    /// It can't be looked at.
    #[error("{store}: {source}", store = store.display())]
    Look {
        /// The store.
        store: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A recorder has it.
    #[error("{store}: {holder} records into it, and answers {at}", store = store.display())]
    Recorded {
        /// The store.
        store: PathBuf,
        /// Who.
        holder: String,
        /// Where.
        at: String,
    },
    /// It is none, or of another version.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The API.
    #[error(transparent)]
    Api(#[from] SocketError),
    /// The metrics page.
    #[error(transparent)]
    Metrics(#[from] http::Error),
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl AtRestError {
    /// Of what the system refused.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> AtRestError {
        move |source| AtRestError::System { what, source }
    }

    /// What was asked for makes no sense.
    pub fn is_usage(&self) -> bool {
        matches!(self, AtRestError::Many(_) | AtRestError::OnePlace(_) | AtRestError::Twice(_))
    }
}
