//! Serve: what answers. The API, the metrics page, and the indexes of sealed segments. Owns the sockets and those who ask; has of capture what
//! [`ForServe`] has. Its end, whatever it comes from, costs no packet.

mod confined;
mod following;
pub mod process;

pub use confined::confine;

use super::handed::ForServe;
use super::{RecordError, Refused};
use crate::config::Settings;
use crate::control::{Engine, NewAccess, Reload, Server, Totals};
use crate::index::Indexer;
use crate::ledger::{Book, Pulse, SideMaker};
use crate::messages::ToCapture;
use crate::metrics::http::{self, Endpoint};
use crate::query::priority;
use crate::recent::read::{Reading, Recent};
use crate::store::keeper::IndexHook;
use crate::store::recover::TimesHook;
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

    /// To be called for each segment that was there before.
    pub fn times(&self) -> TimesHook {
        Box::new(crate::index::times_of)
    }

    /// Begins the look at the indexes that are there, once the store is open for recording.
    pub fn look(&self) {
        self.0.look(priority::idle);
    }
}

/// Who answers.
pub struct Serve {
    api: Option<Server>,
    recent: Option<Reading>,
    /// What makes the side files of receipts.
    sides: Option<SideMaker>,
    _metrics: Option<http::Server>,
}

impl Serve {
    /// Answers from now on.
    pub fn start(settings: &Settings, doors: Doors, from: ForServe) -> Result<Serve, RecordError> {
        let ForServe { live, recent, messages } = from;
        let to_capture = ToCapture::new(messages);
        let shown = to_capture.clone();
        let page = move || shown.page().map_or("# the recording begins\n".to_owned(), |page| page.to_string());
        let metrics = doors.0.map(|e: Endpoint| e.serve(page)).transpose();
        let metrics = metrics.map_err(RecordError::system("the metrics' threads"))?;
        let sides = SideMaker::start(&live.layout().receipts(), Pulse::read(live.window(), Book::Receipts));
        let sides = sides.map_err(RecordError::system("the thread of side files"))?;
        let engine = Engine::new(live, recent.as_ref().map(|r| r.recent().clone()))
            .with_books()
            .with_running(Arc::new(Totals::new(to_capture.clone())));
        let own = to_capture.clone();
        let api = Server::start(&settings.api, &settings.api_access, engine, own, settings.api_limits.clone())?;
        if api.is_none() {
            to_capture.receive_on_a_thread().map_err(RecordError::system("the thread of reports"))?;
        }
        Ok(Serve { api, recent, sides: Some(sides), _metrics: metrics })
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

    /// The next reload that a client asks for.
    pub fn reload_asked(&self) -> Option<Reload> {
        self.api.as_ref()?.reload_asked()
    }

    /// What came of a reload that a signal asked for.
    pub fn signalled(&self, status: u16, text: String) {
        if let Some(api) = &self.api {
            api.signalled(status, text);
        }
    }

    /// No question is answered any more; the metrics page is there until it is dropped.
    pub fn end(&mut self) {
        self.sides.iter().for_each(SideMaker::end);
        drop(self.api.take());
        drop(self.recent.take());
        // Waits for what it is at.
        drop(self.sides.take());
    }
}
