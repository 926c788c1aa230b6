//! What the daemon answers from: its store, and what it holds of it between questions. Shared by the query threads; holds nothing that
//! capture waits on.

use crate::query::pace::Pace;
use crate::query::{self, PacketSink, Query, QueryError, Summary};
use std::path::{Path, PathBuf};

/// The store as the recorder's own process sees it.
pub struct Engine {
    store: PathBuf,
    held: query::Engine,
}

impl Engine {
    /// Of this store.
    pub fn new(store: &Path) -> Engine {
        Engine { store: store.to_owned(), held: query::Engine::new(store) }
    }

    /// The store.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Answers.
    pub fn answer(&self, query: &Query, pace: &dyn Pace, out: &mut dyn PacketSink) -> Result<Summary, QueryError> {
        self.held.answer(query, &[], pace, out)
    }
}
