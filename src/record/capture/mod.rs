//! Capture: what takes packets in and writes them. Makes the store, starts the workers, keeps the books. Owns everything whose death would
//! lose packets, and knows nothing of those who ask: what they get of it is [`ForServe`], and nothing else. Never waits for serve.

mod books;
mod control;
mod floods;
mod imports;
mod names;
mod reload;
mod scribe;
mod source;
mod store_events;
mod threads;
mod trend;
mod workers;

pub use control::Control;
pub use reload::shares;
pub use source::CaptureSource;
pub use threads::cpus;

use super::detail::Facts;
use super::handed::ForServe;
use super::memory::{self, Sizes};
use super::recent::RecentMemory;
use super::{RecordError, advice, budgets};
use crate::config::Settings;
use crate::conn::shunt::Shunt;
use crate::ledger::{Book, LEDGER_BYTES, Pulse, RECEIPTS_BYTES, Receipts};
use crate::messages::{Socket, ToServe};
use crate::metrics::account::SourceKind;
use crate::packet::Parser;
use crate::recent::read::Recent;
use crate::source::Source;
use crate::steer::Answering;
use crate::store::Store;
use crate::store::keeper::IndexHook;
use crate::store::layout::Layout;
use crate::store::recover::TimesHook;
use crate::units;
use crate::window::Window;
use books::Books;
use control::Running;
use scribe::Scribe;
use std::sync::Arc;
use store_events::StoreEvents;
use workers::{Common, Workers};

/// Who reads what is stored: what runs beside workers never does.
pub struct Hooks {
    /// Makes the index of a segment that is sealed.
    pub index: Option<IndexHook>,
    /// Tells when the packets of a segment of before came.
    pub times: TimesHook,
}

/// A recording whose store is open and whose source is not.
pub struct Start<'a> {
    settings: &'a Settings,
    common: Common<'a>,
    recent: Option<RecentMemory>,
    store: Store,
    store_events: StoreEvents,
    /// Serve is in this process.
    with_serve: bool,
}

impl<'a> Start<'a> {
    /// Opens the store. What is wrong with the settings shows before anything is made: `first` is called in between, for what else can be.
    /// `hooks`: who reads what is stored; gets what is in memory of it. `with_serve`: it will be in this process.
    pub fn new(
        settings: &'a Settings,
        sizes: Sizes,
        with_serve: bool,
        first: impl FnOnce() -> Result<(), RecordError>,
        hooks: impl FnOnce(Option<&Arc<Recent>>) -> Hooks,
    ) -> Result<Start<'a>, RecordError> {
        if let Some(why) = budgets::too_large(settings).into_iter().next() {
            return Err(RecordError::Budget(why));
        }
        for why in advice::of(settings) {
            tracing::warn!("{why}");
        }
        let common = Common::new(settings, sizes)?;
        first()?;
        let window = Window::create().map_err(RecordError::system("shared memory"))?;
        let memory = || RecentMemory::start(settings, &window, with_serve);
        let recent = (settings.memory > 0).then(memory).transpose();
        let recent = recent.map_err(RecordError::system("the memory of recent packets"))?;
        let inbox = recent.as_ref().map(|r| r.keeping.keep().inbox().clone());
        let reading = recent.as_ref().and_then(|r| r.reading.as_ref());
        let (store, store_events) = common.store(&window, inbox, hooks(reading.map(|r| r.recent())))?;
        Ok(Start { settings, common, recent, store, store_events, with_serve })
    }

    /// How many workers there will be.
    pub fn workers(&self) -> usize {
        self.common.sizes.workers
    }

    /// The parser, whose seed the kernel's programs share.
    pub fn parser(&self) -> Parser {
        self.common.parser
    }

    /// Where things are in the store.
    pub fn layout(&self) -> &Layout {
        self.store.layout()
    }

    /// Records from now on. Beside it what serve gets, where it is in this process.
    pub fn run<Src, K>(
        self,
        sources: Vec<(Src, K)>,
        capture: CaptureSource,
    ) -> Result<(Control, Option<ForServe>), RecordError>
    where
        Src: Source + Send + 'static,
        K: Shunt + Send + 'static,
    {
        let Start { settings, common, recent, store, store_events, with_serve } = self;
        let kind = match capture.kind() {
            SourceKind::Xdp => "xdp",
            SourceKind::Packet => "packet",
            SourceKind::File => "file",
        };
        let (layout, window) = (store.layout(), store.window());
        let config = reload::in_force(settings, &common.roster);
        let receipts = Receipts::open(&layout.receipts(), RECEIPTS_BYTES)?.vlan_in_key(settings.vlan_in_key);
        let receipts = receipts.with_pulse(Pulse::written(window, Book::Receipts));
        let mut workers = Workers::prepare(&common, &store, sources)?;
        let steering = workers.steering(&common);
        let orders = || {
            let orders = crate::steer::Keeping::start(&steering, layout.root());
            orders.map_err(RecordError::system("the thread of orders"))
        };
        let to_serve = ToServe::default();
        to_serve.classes(common.roster.in_force());
        let answering = Answering::start(&steering, &to_serve);
        let answering = answering.map_err(RecordError::system("the threads that answer requests"))?;
        let (recent, keeping) = recent.map_or((None, None), |r| (r.reading, Some(r.keeping)));
        let for_serve = match with_serve {
            true => {
                let (ours, messages) = Socket::pair().map_err(RecordError::system("the socket of requests"))?;
                to_serve.attach(ours);
                let live = store.live().map_err(RecordError::system("shared memory"))?;
                Some(ForServe { live, recent, messages })
            }
            false => None,
        };
        let scribe = Scribe::start(workers.posts().to_vec(), receipts)?;
        let facts = facts(settings, &common, kind, capture.shunt_slots());
        // Of a wire all is ready before the first packet, what was ordered before this start included; files give packets to workers that run.
        let before = match capture.kind() {
            SourceKind::File => None,
            _ => {
                workers.go();
                Some(orders()?)
            }
        };
        let (pulse, now) = (Pulse::written(window, Book::Ledger), units::now());
        let books = Books::open(&layout.ledger(), LEDGER_BYTES, now, kind, config, pulse)?;
        // In this order: no packet can be stored before the ledger covers its time.
        store.recording();
        capture.begin()?;
        workers.go();
        let orders = before.map_or_else(orders, Ok)?;
        let running = Running {
            recent: keeping,
            capture,
            workers,
            steering,
            orders,
            scribe,
            store,
            store_events,
            books,
            roster: common.roster,
            facts,
            to_serve,
            answering: Some(answering),
        };
        Ok((Control::new(running, settings.clone()), for_serve))
    }
}

fn facts(settings: &Settings, common: &Common<'_>, source: &'static str, shunt_slots: u64) -> Facts {
    let sizes = &common.sizes;
    let workers = sizes.workers as u64;
    // What it says of interfaces is of now; they are there, or the recording had not begun.
    let plan = memory::plan(settings).unwrap_or_default();
    Facts {
        memory: plan.parts.iter().map(|p| (p.part, p.bytes)).collect(),
        source,
        started: units::now(),
        classes: reload::class_facts(&common.roster, settings),
        min_ages: reload::min_ages(settings),
        shares: shares(settings),
        budget: settings.disk,
        connections: [sizes.tracker.connections_v4, sizes.tracker.connections_v6].map(|n| n as u64 * workers),
        shunt_slots,
    }
}
