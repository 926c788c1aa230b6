//! A recording from start to end: makes the store, the source, the workers; watches them; stops them; adds up. Called by
//! the command line with resolved settings. Nothing here is on the packet path: workers get everything they need at the start.

pub mod advice;
mod ages;
mod books;
pub mod budgets;
mod capture;
mod control;
pub mod detail;
mod error;
mod floods;
mod imports;
pub mod memory;
mod names;
mod recent;
mod reload;
pub mod scrape;
mod scribe;
mod signals;
pub mod statistics;
mod store_events;
mod threads;
mod trend;
mod workers;

pub use error::RecordError;
pub use reload::Reader;

use crate::config::{From, Settings, SourceChoice};
use crate::conn::shunt::{NoShunt, Shunt};
use crate::control::{Engine, Server, Totals};
use crate::iface::Request;
use crate::ledger::{Book, LEDGER_BYTES, Pulse, RECEIPTS_BYTES, Receipts, SideMaker};
use crate::messages::{Socket, ToCapture, ToServe};
use crate::metrics::account::{Broken, SourceKind};
use crate::metrics::http::Endpoint;
use crate::source::Source;
use crate::source::file::{FileReport, FileSource, Progress};
use crate::source::live::{Live, LivePlan, Survey};
use crate::steer::Answering;
use crate::store::Store;
use crate::units;
use crate::window::Window;
use crate::worker::filter::Filters;
use books::Books;
use capture::Capture;
use control::{Control, Running};
use detail::Facts;
use memory::Sizes;
use recent::RecentMemory;
use scribe::Scribe;
use signals::Signals;
use statistics::Sample;
use std::sync::Arc;
use store_events::StoreEvents;
use workers::{Common, Workers};

/// Shown how it goes, from the control thread; may take its time, packets do not wait for it.
pub trait Observer {
    /// How often, ns.
    fn interval_ns(&self) -> u64;
    /// An interval has passed. `read`: bytes read of bytes in all, for files.
    fn interval(&mut self, before: &Sample, now: &Sample, read: Option<(u64, u64)>);
}

/// How a recording ended.
#[derive(Debug)]
pub struct Outcome {
    /// Everything at rest.
    pub last: Sample,
    /// Monotonic start, ns.
    pub started: u64,
    /// The equation of the sum law that does not hold.
    pub broken: Option<Broken>,
    /// Each file, in order.
    pub files: Vec<FileReport>,
    /// Sources that gave up, and threads that panicked.
    pub failures: Vec<String>,
}

impl Outcome {
    /// Nothing is missing that should be there. Losses of a live capture are not held against it: they are in the account.
    pub fn is_whole(&self) -> bool {
        self.broken.is_none()
            && self.failures.is_empty()
            && self.files.iter().all(FileReport::is_whole)
            && self.last.account.store.write_failed == 0
            && self.last.account.store.pending == 0
    }
}

/// Records until the files end, the time is over, or a signal comes. `reader`: where a reload finds new settings.
pub fn run(settings: &Settings, reader: &Reader<'_>, observer: &mut dyn Observer) -> Result<Outcome, RecordError> {
    match &settings.from {
        From::Files { paths, pace } => {
            let source = FileSource::open(paths, *pace)?;
            if settings.filter.is_some() {
                Filters::new(settings.filter.as_deref(), &source.first_interfaces())?;
            }
            let progress = source.progress();
            let start = Start::new(settings, Sizes::files(settings))?;
            start.run(units::now(), vec![(source, NoShunt)], Capture::Files(progress), reader, observer)
        }
        From::Interfaces { .. } => {
            let survey = survey(settings)?;
            let start = Start::new(settings, Sizes::live(settings, &survey))?;
            let workers = start.common.sizes.workers;
            if let Some(wanted) = settings.workers.filter(|w| *w > workers) {
                tracing::warn!(
                    "{wanted} workers were asked for and {workers} work: a queue has one worker, and no interface has more \
                     queues than that (ethtool -L gives it more, where the NIC can)"
                );
            }
            let plan = LivePlan {
                workers: Some(workers),
                cpus: threads::cpus(workers, &settings.worker_cpus),
                frames: settings.frames,
                state: Some(start.store.layout().root().join("interfaces.toml")),
                ..LivePlan::new(start.common.parser)
            };
            let began = units::now();
            let mut live = Live::start(&survey, &plan)?;
            for note in &live.notes {
                tracing::info!("{note}");
            }
            let sources = std::mem::take(&mut live.workers);
            start.run(began, sources, Capture::Live(Box::new(live)), reader, observer)
        }
    }
}

/// The same from sources that the caller has made, one for each worker; they are [patient](Source::patient) and count in `progress` what
/// they have given out. So that what several workers make of a tap's queues can be tried without a wire.
pub fn run_sources<S: Source + Send + 'static>(
    settings: &Settings,
    sources: Vec<S>,
    progress: Arc<Progress>,
    reader: &Reader<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome, RecordError> {
    let start = Start::new(settings, Sizes::sources(settings, sources.len()))?;
    let sources = sources.into_iter().map(|s| (s, NoShunt)).collect();
    start.run(units::now(), sources, Capture::Files(progress), reader, observer)
}

/// A recording whose store is open and whose source is not.
struct Start<'a> {
    settings: &'a Settings,
    common: Common<'a>,
    recent: Option<RecentMemory>,
    store: Store,
    store_events: StoreEvents,
    signals: Signals,
    endpoint: Option<Endpoint>,
}

impl<'a> Start<'a> {
    fn new(settings: &'a Settings, sizes: Sizes) -> Result<Start<'a>, RecordError> {
        if let Some(why) = budgets::too_large(settings).into_iter().next() {
            return Err(RecordError::Budget(why));
        }
        for why in advice::of(settings) {
            tracing::warn!("{why}");
        }
        let common = Common::new(settings, sizes)?;
        let endpoint = settings.metrics.as_ref().map(Endpoint::bind).transpose()?;
        let window = Window::create().map_err(RecordError::system("shared memory"))?;
        let start = || RecentMemory::start(settings, &window);
        let recent = (settings.memory > 0).then(start).transpose();
        let recent = recent.map_err(RecordError::system("the memory of recent packets"))?;
        let (store, store_events) = common.store(&window, recent.as_ref())?;
        let signals = Signals::new().map_err(RecordError::system("signals"))?;
        Ok(Start { settings, common, recent, store, store_events, signals, endpoint })
    }

    /// `began`: before the source could see a packet, Unix ns.
    fn run<Src, K>(
        self,
        began: u64,
        sources: Vec<(Src, K)>,
        capture: Capture,
        reader: &Reader<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, RecordError>
    where
        Src: Source + Send + 'static,
        K: Shunt + Send + 'static,
    {
        let Start { settings, common, recent, store, store_events, signals, endpoint } = self;
        let kind = match capture.kind() {
            SourceKind::Xdp => "xdp",
            SourceKind::Packet => "packet",
            SourceKind::File => "file",
        };
        let (layout, window) = (store.layout(), store.window());
        let config = reload::in_force(settings, &common.roster);
        let books =
            Books::open(&layout.ledger(), LEDGER_BYTES, began, kind, config, Pulse::written(window, Book::Ledger))?;
        // In this order: no packet can be stored before the ledger covers its time.
        store.recording();
        let receipts = Receipts::open(&layout.receipts(), RECEIPTS_BYTES)?.vlan_in_key(settings.vlan_in_key);
        let receipts = receipts.with_pulse(Pulse::written(window, Book::Receipts));
        let workers = Workers::start(&common, &store, sources)?;
        let steering = workers.steering(&common);
        let orders = crate::steer::Keeping::start(&steering, layout.root());
        let orders = orders.map_err(RecordError::system("the thread of orders"))?;
        let scribe = Scribe::start(workers.posts().to_vec(), receipts)?;
        let to_serve = ToServe::default();
        to_serve.classes(common.roster.in_force());
        let answering = Answering::start(&steering, &to_serve);
        let answering = answering.map_err(RecordError::system("the threads that answer requests"))?;
        let (ours, theirs) = Socket::pair().map_err(RecordError::system("the socket of requests"))?;
        to_serve.attach(ours);
        let to_capture = ToCapture::new(theirs).map_err(RecordError::system("the thread of reports"))?;
        let shown = to_capture.clone();
        let page = move || shown.page().map_or("# the recording begins\n".to_owned(), |page| page.to_string());
        let serve = |e: Endpoint| e.serve(page);
        // Until the account is closed.
        let _server = endpoint.map(serve).transpose().map_err(RecordError::system("the metrics' threads"))?;
        let facts = facts(settings, &common, kind, capture.shunt_slots());
        let live = store.live().map_err(RecordError::system("shared memory"))?;
        let sides = SideMaker::start(&layout.receipts(), Pulse::read(live.window(), Book::Receipts));
        let sides = sides.map_err(RecordError::system("the thread of side files"))?;
        let engine = Engine::new(live, recent.as_ref().map(|r| r.reading.recent().clone()))
            .with_books()
            .with_running(Arc::new(Totals::new(to_capture.clone())));
        let api = Server::start(&settings.api, &settings.api_access, engine, to_capture, settings.api_limits.clone())?;
        let running = Running {
            api,
            recent,
            capture,
            workers,
            steering,
            orders,
            scribe,
            sides,
            store,
            store_events,
            books,
            signals,
            roster: common.roster,
            facts,
            to_serve,
            answering,
        };
        Ok(Control::new(running, settings.clone()).run(reader, observer))
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
        shares: reload::shares(settings),
        budget: settings.disk,
        connections: [sizes.tracker.connections_v4, sizes.tracker.connections_v6].map(|n| n as u64 * workers),
        shunt_slots,
    }
}

/// A look at the interfaces, which changes nothing.
fn survey(settings: &Settings) -> Result<Survey, RecordError> {
    let From::Interfaces { names, choice } = &settings.from else { return Ok(Survey::new(&[], Request::Auto)?) };
    let request = match choice {
        SourceChoice::Auto | SourceChoice::File => Request::Auto,
        SourceChoice::Xdp => Request::Xdp,
        SourceChoice::Packet => Request::Packet,
    };
    Ok(Survey::new(names, request)?)
}
