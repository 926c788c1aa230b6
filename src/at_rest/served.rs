//! One store at rest: answered about until a recorder begins there. Owns its server, and looks at the store's lock, which it never holds but while it
//! makes indexes.

use super::{AtRestError, Serving};
use crate::control::{Server, SocketError, whereabouts};
use crate::index::Indexer;
use crate::store::layout::Layout;
use crate::store::list;
use crate::store::lock::{self, Lock};
use crate::store::store_id;
use crate::units;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// Asked between two indexes.
type GoOn<'a> = &'a dyn Fn() -> bool;

/// A store.
pub struct Served {
    store: PathBuf,
    layout: Layout,
    id: String,
    /// `None`: a recorder has it.
    server: Option<Server>,
    /// Gives the last answers.
    ending: Option<JoinHandle<()>>,
}

impl Served {
    /// Answers from now on; an error where somebody records. `index`: first makes the indexes that are missing.
    pub fn start(
        store: &Path,
        socket: PathBuf,
        serving: &Serving,
        index: Option<GoOn<'_>>,
    ) -> Result<Served, AtRestError> {
        let id = store_id(store)?;
        let layout = Layout::new(store);
        if let Some(holder) = holder(&layout)? {
            let at = whereabouts::said(store).map_or("nowhere".to_owned(), |at| format!("at {}", at.display()));
            return Err(AtRestError::Recorded { store: store.to_owned(), holder, at });
        }
        // Before the lock is taken, which whoever answers would take for a recorder's.
        if let Some(at) = whereabouts::said(store) {
            return Err(SocketError::Answered { store: store.to_owned(), at }.into());
        }
        if let Some(go_on) = index {
            let lock = Lock::take(&layout)?;
            Indexer::new(store).index_missing_while(go_on);
            drop(lock);
        }
        let server = Server::at_rest(socket, &serving.access, store, serving.limits.clone())?;
        let shown = store.display();
        match server.tcp() {
            Some(tcp) => tracing::info!("{shown}: nobody records; answers at {} and at {tcp}", server.path().display()),
            None => tracing::info!("{shown}: nobody records; answers at {}", server.path().display()),
        }
        let missing = list::sealed(&layout)?.iter().filter(|s| !s.index().exists()).count() as u64;
        if missing > 0 {
            let segments = units::several(missing, "segment");
            tracing::info!("{shown}: {segments} without an index: questions read them whole (--index makes it)");
        }
        Ok(Served { store: store.to_owned(), layout, id, server: Some(server), ending: None })
    }

    /// The store.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Its identity.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Who answers; `None`: a recorder does.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// Leaves the store to a recorder that has begun there.
    pub fn look(&mut self) {
        // What can't be found out now may be later.
        let Ok(Some(holder)) = lock::holder(&self.layout) else { return };
        let Some(server) = self.server.take() else { return };
        tracing::info!("{}: {holder} records into it from now on: what is asked is its own", self.store.display());
        // On a thread: the last answers may take a while, and the other stores are to be looked at.
        let ending = std::thread::Builder::new().name("ending".into()).spawn(move || server.stop());
        self.ending = ending.ok();
    }

    /// Puts another configuration in force.
    pub fn adopt(&self, serving: &Serving) -> Result<(), String> {
        let Some(server) = &self.server else { return Ok(()) };
        let access = server.access(&serving.access)?;
        server.set_limits(serving.limits.clone());
        server.set_access(access);
        Ok(())
    }

    /// Answers no more.
    pub fn end(self) {
        self.server.into_iter().for_each(Server::stop);
        self.ending.into_iter().for_each(|ending| drop(ending.join()));
    }
}

fn holder(layout: &Layout) -> Result<Option<String>, AtRestError> {
    lock::holder(layout).map_err(|source| AtRestError::Look { store: layout.lock(), source })
}
