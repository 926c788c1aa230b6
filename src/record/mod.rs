//! A recording from start to end: makes the store, the source, the workers; watches them; stops them; adds up. Called by
//! the command line with resolved settings. Nothing here is on the packet path: workers get everything they need at the start.

pub mod advice;
mod ages;
pub mod budgets;
mod capture;
pub mod detail;
mod error;
mod handed;
mod leader;
pub mod memory;
mod recent;
mod reloading;
pub mod scrape;
mod serve;
pub mod signals;
pub mod statistics;
mod whole;

pub use error::{RecordError, Refused};
pub use leader::Reader;
pub use serve::confine as confine_serve;

use crate::config::{From, Settings, SourceChoice};
use crate::conn::shunt::{NoShunt, Shunt};
use crate::iface::Request;
use crate::metrics::account::Broken;
use crate::parent::ToParent;
use crate::source::Source;
use crate::source::file::{FileReport, FileSource, Progress};
use crate::source::live::{Live, LivePlan, Survey};
use crate::worker::filter::Filters;
use capture::{CaptureSource, Hooks, Start};
use leader::{Lead, Leader};
use memory::Sizes;
use serve::{Doors, Indexing, Serve};
use statistics::Sample;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use whole::Whole;

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
    /// A worker at a wire ended unasked, and the recording with it or soon after.
    pub crippled: bool,
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
    run_led(settings, Lead::Own(reader), observer)
}

/// The same in a process that the parent has started: it leads, knows the settings, and has started serve as well, or will.
pub fn run_half(settings: &Settings, parent: ToParent, observer: &mut dyn Observer) -> Result<Outcome, RecordError> {
    run_led(settings, Lead::Parent(parent), observer)
}

/// Serve in a process that the parent has started, over what capture has handed over; until it is to end.
pub fn serve_half(settings: &Settings, handed: Vec<OwnedFd>, parent: &ToParent) -> Result<(), RecordError> {
    serve::process::run(settings, handed, parent)
}

fn run_led(settings: &Settings, lead: Lead<'_>, observer: &mut dyn Observer) -> Result<Outcome, RecordError> {
    match &settings.from {
        From::Files { paths, pace } => {
            let source = FileSource::open(paths, *pace)?;
            if settings.filter.is_some() {
                Filters::new(settings.filter.as_deref(), &source.first_interfaces())?;
            }
            let progress = source.progress();
            let opened = Opened::new(settings, Sizes::files(settings), lead)?;
            opened.run(vec![(source, NoShunt)], CaptureSource::Files(progress), observer)
        }
        From::Interfaces { .. } => {
            let survey = survey(settings)?;
            let opened = Opened::new(settings, Sizes::live(settings, &survey), lead)?;
            let workers = opened.start.workers();
            if let Some(wanted) = settings.workers.filter(|w| *w > workers) {
                tracing::warn!(
                    "{wanted} workers were asked for and {workers} work: a queue has one worker, and no interface has more \
                     queues than that (ethtool -L gives it more, where the NIC can)"
                );
            }
            let plan = LivePlan {
                workers: Some(workers),
                cpus: capture::cpus(workers, &settings.worker_cpus),
                frames: settings.frames,
                state: Some(opened.start.layout().root().join("interfaces.toml")),
                ..LivePlan::new(opened.start.parser())
            };
            let mut live = Live::start(&survey, &plan)?;
            for note in &live.notes {
                tracing::info!("{note}");
            }
            let sources = std::mem::take(&mut live.workers);
            opened.run(sources, CaptureSource::Live(Box::new(live)), observer)
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
    let opened = Opened::new(settings, Sizes::sources(settings, sources.len()), Lead::Own(reader))?;
    let sources = sources.into_iter().map(|s| (s, NoShunt)).collect();
    opened.run(sources, CaptureSource::Files(progress), observer)
}

/// Both halves before the source is opened.
struct Opened<'a> {
    settings: &'a Settings,
    start: Start<'a>,
    doors: Doors,
    indexing: Option<Indexing>,
    leader: Leader<'a>,
}

impl<'a> Opened<'a> {
    fn new(settings: &'a Settings, sizes: Sizes, lead: Lead<'a>) -> Result<Opened<'a>, RecordError> {
        let with_serve = matches!(lead, Lead::Own(_));
        let (mut doors, mut indexing) = (Doors::default(), None);
        let bind = || {
            if with_serve {
                doors = Doors::open(settings)?;
            }
            Ok(())
        };
        let start = Start::new(settings, sizes, with_serve, bind, |recent| {
            let made = Indexing::new(&settings.store, recent);
            let times = made.times();
            // Another process looks for what is sealed by itself.
            let index = with_serve.then(|| indexing.insert(made).hook());
            Hooks { index, times }
        })?;
        let leader = Leader::new(lead)?;
        indexing.iter().for_each(Indexing::look);
        Ok(Opened { settings, start, doors, indexing, leader })
    }

    fn run<Src, K>(
        self,
        sources: Vec<(Src, K)>,
        source: CaptureSource,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, RecordError>
    where
        Src: Source + Send + 'static,
        K: Shunt + Send + 'static,
    {
        let (capture, handed) = self.start.run(sources, source)?;
        let serve = handed.map(|handed| Serve::start(self.settings, self.doors, handed)).transpose()?;
        // It ends with the keeper, which has the other hand on it.
        drop(self.indexing);
        let hand_over = || if serve.is_some() { Ok(Vec::new()) } else { capture.hand_over() };
        let works = hand_over().and_then(|handed| self.leader.works(&handed));
        works.map_err(RecordError::system("the parent"))?;
        Ok(Whole::new(capture, serve, self.leader).run(observer))
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
