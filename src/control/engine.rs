//! What a daemon answers from: its store, what it holds of it between questions, and what is in memory. At rest nobody records into the store: what
//! there is the files alone say, anew for each question. Shared by the query threads; holds nothing that capture waits on.

use crate::ledger::{Book, Pulse};
use crate::query::pace::{Freely, Pace};
use crate::query::view::View;
use crate::query::{
    self, Cursor, Follower, Found, PacketSink, Query, QueryError, Running, Statement, Summary, running,
};
use crate::recent::read::{Recent, ShownRuns};
use crate::store::layout::Layout;
use crate::store::live::{Live, Unsealed};
use crate::units;
use crate::window::WindowView;
use std::path::Path;
use std::sync::Arc;

/// A store as whoever answers about it sees it.
pub struct Engine {
    layout: Layout,
    /// `None`: at rest.
    live: Option<Live>,
    held: query::Engine,
    recent: Option<Arc<Recent>>,
    running: Option<Arc<dyn Running>>,
}

impl Engine {
    /// Of a store into which nobody records.
    pub fn at_rest(store: &Path) -> Engine {
        // Nothing is in memory.
        let reach = || vec![(None, units::now())];
        let held = query::Engine::new(store).with_reach(Arc::new(reach));
        Engine { layout: held.layout().clone(), held, live: None, recent: None, running: None }
    }

    /// Of the store of a recorder that runs; `recent`: what of it is in memory.
    pub fn new(live: Live, recent: Option<Arc<Recent>>) -> Engine {
        let memory = recent.clone();
        // Without memory nothing is in it.
        let reach = move || memory.as_ref().map_or_else(|| vec![(None, units::now())], |m| m.reach());
        let held = query::Engine::new(live.layout().root()).with_reach(Arc::new(reach));
        // Now: an answer that memory gives at once must not read a file.
        held.store_id();
        Engine { layout: live.layout().clone(), held, live: Some(live), recent, running: None }
    }

    /// What an answer to this question will say of itself.
    pub fn statement(&self, query: &Query) -> Statement {
        Statement::of(query, self.held.store_id())
    }

    /// The same with ledger and receipts in memory, whose writers beat the pulses of the window.
    pub fn with_books(self) -> Engine {
        let Some(window) = self.window() else { return self };
        let [ledger, receipts] = [Book::Ledger, Book::Receipts].map(|book| Pulse::read(window, book));
        Engine { held: self.held.with_books(&ledger, &receipts), ..self }
    }

    /// What it sees of capture, where somebody records.
    pub fn window(&self) -> Option<&Arc<WindowView>> {
        self.live.as_ref().map(Live::window)
    }

    /// Nobody records into its store.
    pub fn is_at_rest(&self) -> bool {
        self.live.is_none()
    }

    /// The same with who knows of connections that run.
    pub fn with_running(self, running: Arc<dyn Running>) -> Engine {
        Engine { held: self.held.with_running(running.clone()), running: Some(running), ..self }
    }

    /// The store.
    pub fn store(&self) -> &Path {
        self.layout.root()
    }

    /// What is in memory. To be asked first: what is not in it by then is in the files.
    fn shown(&self) -> ShownRuns {
        self.recent.as_ref().map_or_else(|| Arc::new([]) as ShownRuns, |r| r.shown())
    }

    /// What is not sealed, after that; and the numbers of segments that have nothing yet.
    fn open_and_made(live: &Live, shown: &ShownRuns) -> (Vec<Unsealed>, Vec<u64>) {
        live.open_and_made(|number| {
            let mut runs = shown.iter().map(|r| r.reader());
            runs.find(|r| r.header().number == number).map(|r| r.shared_header())
        })
    }

    /// Answers.
    pub fn answer(&self, query: &Query, pace: &dyn Pace, out: &mut dyn PacketSink) -> Result<Summary, QueryError> {
        let Some(live) = &self.live else { return self.held.answer(query, &[], pace, out) };
        let shown = self.shown();
        self.held.answer_live(query, &shown, Self::open_and_made(live, &shown).0, pace, out)
    }

    /// All packets before this time, Unix ns, can be found. To be asked before they are.
    pub fn complete_before(&self) -> u64 {
        self.live.as_ref().map_or(u64::MAX, Live::complete_before)
    }

    /// The connections, those that run with their totals of this moment.
    pub fn connections(&self, query: &Query, pace: &dyn Pace) -> Result<Found, QueryError> {
        let shown = self.shown();
        let mut found = self.held.connections_in(query, &self.view(&shown, query, pace)?)?;
        if let Some(workers) = &self.running {
            found.may_ask()?;
            found.summary.running_unknown = running(&mut found.connections, &**workers);
            found.summary = std::mem::take(&mut found.summary).concluded();
        }
        Ok(found)
    }

    /// By class: connections that have a receipt, and of these those that had not ended by it.
    pub fn counted(&self, pace: &dyn Pace) -> Result<Vec<(String, [u64; 2])>, QueryError> {
        self.held.counted(pace)
    }

    /// An error for a class or an interface that nobody has heard of.
    pub fn known_names(&self, query: &Query) -> Result<(), QueryError> {
        // Of segments that are not sealed only this process knows the class.
        let shown = self.shown();
        query::known_names(query, &self.view(&shown, query, &Freely)?)
    }

    /// Answers what memory alone answers at once: on one of the API's threads, which must never read from the disk. `None`: ask by
    /// [`answer`](Engine::answer).
    pub fn at_once(&self, query: &Query, pace: &dyn Pace, out: &mut dyn PacketSink) -> Option<Summary> {
        self.held.answer_at_hand(query, &self.shown(), pace, out).ok()
    }

    /// A follower, at the beginning of its past or where another one stood.
    pub fn follow(&self, query: &Query, after: Option<&Cursor>) -> Result<Follower, QueryError> {
        let shown = self.shown();
        self.held.follow(query, &self.view(&shown, query, &Freely)?, self.live.as_ref().map_or(0, Live::start), after)
    }

    /// What has come since its last round; true: that was the last. `rest`: nothing comes any more, nothing is held back.
    pub fn round(
        &self,
        follower: &mut Follower,
        query: &Query,
        rest: bool,
        pace: &dyn Pace,
        out: &mut dyn PacketSink,
    ) -> Result<bool, QueryError> {
        // In this order: all packets before that time are in what is looked at afterwards.
        let before = if rest { u64::MAX } else { self.complete_before() };
        let shown = self.shown();
        self.held.round(follower, &self.view(&shown, query, pace)?, before, out)
    }

    /// The end of a follower.
    pub fn finish(&self, follower: Follower, pace: &dyn Pace) -> Result<Summary, QueryError> {
        self.held.finish(follower, pace)
    }

    fn view<'a>(&self, shown: &'a ShownRuns, query: &Query, pace: &'a dyn Pace) -> Result<View<'a>, QueryError> {
        let Some(live) = &self.live else { return self.held.view(query, shown, pace) };
        let ended = live.ended();
        let (open, made) = if query.memory_only { Default::default() } else { Self::open_and_made(live, shown) };
        let sealed = if query.memory_only { Default::default() } else { self.held.shelf()? };
        let mut view = View { open, made, sealed, ended, recent: shown, pace };
        view.once();
        Ok(view)
    }
}
