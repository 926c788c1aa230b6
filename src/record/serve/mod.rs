//! Serve: what answers. The API, the metrics page, and the indexes of sealed segments. Owns the sockets and those who ask; has of capture what
//! [`ForServe`] has. Its end, whatever it comes from, costs no packet.

use super::RecordError;
use super::handed::{ForServe, Said};
use crate::config::Settings;
use crate::control::{Engine, NewAccess, Refused, ReloadAsked, Server};
use crate::index::Indexer;
use crate::metrics::http::{self, Endpoint};
use crate::query::priority;
use crate::recent::Recent;
use crate::steer::Totals;
use crate::store::keeper::IndexHook;
use std::path::Path;
use std::sync::Arc;

/// What can be refused before there is anything to serve: the metrics' address.
#[derive(Default)]
pub struct Doors(Option<Endpoint>);

impl Doors {
    /// Binds it.
    pub fn open(settings: &Settings) -> Result<Doors, RecordError> {
        Ok(Doors(settings.metrics.as_ref().map(Endpoint::bind).transpose()?))
    }
}

/// What makes the indexes of segments.
pub struct Indexing(Arc<Indexer>);

impl Indexing {
    /// In this store, from what is in memory where all of a segment is.
    pub fn new(store: &Path, recent: Option<&Arc<Recent>>) -> Indexing {
        let mut indexer = Indexer::new(store);
        if let Some(recent) = recent.cloned() {
            indexer = indexer.with_memory(Box::new(move |segment| recent.of_segment(segment)));
        }
        Indexing(Arc::new(indexer))
    }

    /// To be called for each segment that is sealed.
    pub fn hook(&self) -> IndexHook {
        let indexer = self.0.clone();
        Box::new(move |segment| indexer.index(segment))
    }

    /// Begins the look at the indexes that are there, once the store is open for recording.
    pub fn look(&self) {
        self.0.look(priority::idle);
    }
}

/// Who answers.
pub struct Serve {
    api: Option<Server>,
    said: Arc<Said>,
    _metrics: Option<http::Server>,
}

impl Serve {
    /// Answers from now on.
    pub fn start(settings: &Settings, doors: Doors, from: ForServe) -> Result<Serve, RecordError> {
        let shown = from.said.clone();
        let serve = |e: Endpoint| e.serve(move || shown.page());
        let metrics = doors.0.map(serve).transpose().map_err(RecordError::system("the metrics' threads"))?;
        let engine = Engine::new(from.live, from.recent)
            .with_books(&from.ledger, &from.receipts)
            .with_running(Arc::new(Totals::new(from.steering.clone())));
        let api =
            Server::start(&settings.api, &settings.api_access, engine, from.steering, settings.api_limits.clone())?;
        let mut serve = Serve { api, said: from.said, _metrics: metrics };
        serve.round();
        Ok(serve)
    }

    /// Hears what capture says: questions wait while rings or blocks fill.
    pub fn round(&mut self) {
        let Some(api) = &self.api else { return };
        api.load(self.said.load());
        if let Some(state) = self.said.take_state() {
            api.publish(state);
        }
    }

    /// The next reload that a client asks for.
    pub fn reload_asked(&self) -> Option<ReloadAsked> {
        self.api.as_ref()?.reload_asked()
    }

    /// Enters in the audit log that a signal asked for one, and what came of it.
    pub fn signalled(&self, refused: Option<&Refused>) {
        if let Some(api) = &self.api {
            api.enter_signal("SIGHUP", refused);
        }
    }

    /// Reads what other settings need of files. Nothing is changed yet.
    pub fn check(&self, settings: &Settings) -> Result<Option<NewAccess>, Refused> {
        let api = self.api.as_ref();
        api.map(|api| api.access(&settings.api_access)).transpose().map_err(|why| (422, why))
    }

    /// Puts them in force; whether the certificate is another.
    pub fn adopt(&self, settings: &Settings, access: Option<NewAccess>) -> bool {
        let Some(api) = &self.api else { return false };
        api.set_limits(settings.api_limits.clone());
        access.is_some_and(|access| api.set_access(access))
    }

    /// No question is answered any more; the metrics page is there until it is dropped.
    pub fn end(&mut self) {
        drop(self.api.take());
    }
}
