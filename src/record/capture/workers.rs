//! The workers: what each is made of, their threads, and what they publish. Owns the order in which memory is taken, all
//! of it before the first packet.

use super::store_events::{self, StoreEvents};
use super::{Hooks, names, threads};
use crate::class::{Class, Roster};
use crate::config::{ClassSettings, Settings};
use crate::conn::shunt::Shunt;
use crate::conn::{Secret, Tracker, TrackerStats};
use crate::limits::{CLASSES_MAX, SYNC_NS};
use crate::memory::near;
use crate::metrics::account::{Dropped, StoreCounts, WorkerCounts};
use crate::metrics::latency::Distribution;
use crate::metrics::publish::sum;
use crate::metrics::tallies::{Row, Tallies};
use crate::packet::Parser;
use crate::record::RecordError;
use crate::record::detail::WorkerDetail;
use crate::record::memory::Sizes;
use crate::source::{Interface, Source};
use crate::steer::Steering;
use crate::store::inbox::Inbox;
use crate::store::{Options, Store};
use crate::window::Window;
use crate::worker::dedup::Dedup;
use crate::worker::filter::Filters;
use crate::worker::handoff::{Exchange, Handoff};
use crate::worker::receipts::{Outbox, Post};
use crate::worker::run::{Line, SystemClock, Worker};
use crate::worker::step::Step;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What all workers share at the start.
pub struct Common<'a> {
    settings: &'a Settings,
    /// How many and how large.
    pub sizes: Sizes,
    /// The parser, whose seed the kernel's programs share.
    pub parser: Parser,
    secret: Secret,
    /// Names that the store had before.
    known: Roster,
    /// Ids of the classes.
    pub roster: Roster,
    classes: Vec<Class>,
}

/// Of each interface.
pub fn link_types(interfaces: &[Interface]) -> Vec<u16> {
    interfaces.iter().map(|i| i.link_type).collect()
}

impl<'a> Common<'a> {
    /// Draws the secrets and compiles the filters once, so that an error shows before anything is touched.
    pub fn new(settings: &'a Settings, sizes: Sizes) -> Result<Common<'a>, RecordError> {
        let classes = classes(settings);
        let known = names::load(&settings.store);
        let roster = known.with(classes.iter().map(|c| c.name.as_str()))?;
        roster.set(&classes)?;
        Filters::new(settings.filter.as_deref(), &[])?;
        let mut secret = Secret::default();
        let mut seed = [0; 8];
        for bytes in [&mut secret[..], &mut seed[..]] {
            random(bytes).map_err(RecordError::system("/dev/urandom"))?;
        }
        Ok(Common {
            settings,
            sizes,
            parser: Parser::new(u64::from_le_bytes(seed), settings.vlan_in_key),
            secret,
            known,
            roster,
            classes,
        })
    }

    /// Opens the store, or makes it. Its events come out of the receiver; written blocks go to `inbox`; who reads sees in the window how far
    /// everything is; `hooks`: who reads what is stored.
    pub fn store(
        &self,
        window: &Arc<Window>,
        inbox: Option<Arc<Inbox>>,
        hooks: Hooks,
    ) -> Result<(Store, StoreEvents), RecordError> {
        let (on_event, entered, events) = store_events::channel();
        let options = Options {
            on_event,
            entered,
            segment_bytes: self.settings.segment_bytes,
            budget: self.settings.disk,
            classes: self.settings.classes.iter().map(|c| (c.name.clone(), c.keep)).collect(),
            names: self.roster.names().to_vec(),
            workers: self.sizes.workers,
            sync: Duration::from_nanos(SYNC_NS),
            vlan_in_key: self.settings.vlan_in_key,
            inbox,
            window: Some(window.clone()),
            index: hooks.index,
            times: hooks.times,
        };
        let store = Store::create_or_open(&self.settings.store, options)?;
        names::save(&self.settings.store, &self.known, &self.roster);
        Ok((store, events))
    }
}

/// The classes as workers know them.
pub fn classes(settings: &Settings) -> Vec<Class> {
    let one = |c: &ClassSettings| Class {
        name: c.name.clone(),
        filter: c.filter.clone().unwrap_or_default(),
        precedence: c.precedence,
        policy: c.policy.clone(),
    };
    settings.classes.iter().map(one).collect()
}

/// Each worker's part of what one source may have open: its connections are spread over all.
pub fn flood_limit(settings: &Settings, workers: usize) -> Option<u32> {
    settings.flood_limit.map(|all| u32::try_from(all.div_ceil(workers.max(1))).unwrap_or(u32::MAX))
}

/// Whom a flood comes from, as it is published.
fn source([high, low]: [u64; 2]) -> Option<IpAddr> {
    let bits = u128::from(high) << 64 | u128::from(low);
    (bits != 0).then(|| Ipv6Addr::from_bits(bits).to_canonical())
}

fn random(bytes: &mut [u8]) -> std::io::Result<()> {
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, bytes)
}

/// The running workers.
pub struct Workers {
    lines: Vec<Arc<Line>>,
    posts: Vec<Arc<Post>>,
    /// Interfaces that were there at the start.
    interfaces: Vec<Interface>,
    threads: Vec<JoinHandle<Result<(), String>>>,
    waiting: Option<StartGate>,
}

/// The losses of one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerTotals {
    pub dropped: Dropped,
    /// Of `dropped`, what the disk was too slow for, by class.
    pub stalled: Vec<u64>,
    pub write_failed: u64,
    pub table_full: u64,
    pub flood_refused: u64,
    /// Whom most of these came from, while a source floods.
    pub flood_source: Option<IpAddr>,
}

/// The counters of all workers together.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub worker: WorkerCounts,
    /// By interface and class what `worker` is the sum of.
    pub rows: Vec<Row>,
    /// Each worker.
    pub workers: Vec<WorkerDetail>,
    pub step_ns: Distribution,
    pub durable_ns: Distribution,
    pub store: StoreCounts,
    pub tracker: TrackerStats,
    /// Whom a flood comes from, by the worker that has refused most.
    pub flood_source: Option<IpAddr>,
    pub newest: u64,
}

/// Threads that are there, and wait.
struct StartGate {
    arrived: Receiver<()>,
    go: Vec<Sender<()>>,
}

impl Workers {
    /// One for each source, with all the memory that it will have. They wait for [`go`](Workers::go).
    pub fn prepare<Src, K>(common: &Common<'_>, store: &Store, sources: Vec<(Src, K)>) -> Result<Workers, RecordError>
    where
        Src: Source + Send + 'static,
        K: Shunt + Send + 'static,
    {
        let exchange = Exchange::new(sources.len());
        let mut made = Vec::with_capacity(sources.len());
        let (mut lines, mut posts) = (Vec::new(), Vec::new());
        let interfaces: Vec<Interface> = sources.iter().flat_map(|(s, _)| s.interfaces().to_vec()).collect();
        Filters::new(common.settings.filter.as_deref(), &interfaces)?;
        common.roster.set(&common.classes)?.tell(&link_types(&interfaces));
        let cpus = threads::cpus(sources.len(), &common.settings.worker_cpus);
        for ((n, (source, shunt)), cpu) in sources.into_iter().enumerate().zip(&cpus) {
            let classes = common.roster.set(&common.classes)?;
            let mut tracker = near(*cpu, || Tracker::new(&common.sizes.tracker, classes, common.secret))?;
            tracker.limit_floods(flood_limit(common.settings, common.sizes.workers));
            for interface in source.interfaces() {
                tracker.prepare(interface.link_type);
            }
            let mut filters = Filters::new(common.settings.filter.as_deref(), source.interfaces())?;
            if !source.patient() {
                tracker.from_wire();
                // All interfaces of a wire are there: its worker never asks libpcap anything.
                tracker.all_known();
                filters.all_known();
            }
            let sink = near(*cpu, || store.writer(n as u16, common.sizes.blocks))?;
            let handoff = Handoff::new(&exchange, n);
            // A file's interfaces are not known before it is read: one row for all of them.
            let interfaces = if source.patient() { 1 } else { source.interfaces().len() };
            let tallies = Arc::new(Tallies::new(interfaces, CLASSES_MAX));
            let line = Line { tallies: tallies.clone(), durable_ns: sink.durable_ns(), ..Line::default() };
            let dedup = near(*cpu, || Dedup::new(common.settings.dedup_ns, common.secret));
            let step = Step::new(common.parser, tracker, shunt, sink, filters, dedup, handoff, tallies);
            let (line, post) = (Arc::new(line), Post::new());
            let outbox = Outbox::new(&post);
            made.push(Worker { source, step, outbox, line: line.clone(), clock: SystemClock });
            lines.push(line);
            posts.push(post);
        }
        let control = std::thread::current();
        let mut threads = Vec::with_capacity(made.len());
        let (tell, arrived) = channel();
        let mut all = Vec::with_capacity(made.len());
        for (n, (worker, cpu)) in made.into_iter().zip(cpus).enumerate() {
            let (control, tell, (go, wait)) = (control.clone(), tell.clone(), channel());
            all.push(go);
            let started = threads::worker(n, cpu, move || {
                // Nobody says so: the start has failed.
                if tell.send(()).is_err() || wait.recv().is_err() {
                    return Ok(());
                }
                let done = worker.run().map_err(|e| e.to_string());
                control.unpark();
                done
            });
            threads.push(started.map_err(RecordError::system("a worker's thread"))?);
        }
        Ok(Workers { lines, posts, interfaces, threads, waiting: Some(StartGate { arrived, go: all }) })
    }

    /// All of them run from now on; said twice it is nothing.
    pub fn go(&mut self) {
        let Some(StartGate { arrived, go }) = self.waiting.take() else { return };
        // Each has its CPU and its priority.
        for _ in &go {
            let _ = arrived.recv();
        }
        for go in go {
            let _ = go.send(());
        }
    }

    /// Tells all of them to stop receiving.
    pub fn stop(&self) {
        self.lines.iter().for_each(|l| l.stop.store(true, Relaxed));
    }

    /// How many have ended: before they are told to, one has died.
    pub fn gone(&self) -> usize {
        self.threads.iter().filter(|t| t.is_finished()).count()
    }

    /// All have ended.
    pub fn ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// What tells them what to do.
    pub fn steering(&self, common: &Common<'_>) -> Steering {
        let classes = common.roster.in_force();
        Steering::new(self.lines.clone(), common.parser, classes)
    }

    /// The interfaces of all of them at the start; none for files.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lines.len()
    }

    /// The receipts on their way.
    pub fn posts(&self) -> &[Arc<Post>] {
        &self.posts
    }

    /// Waits for the threads; what went wrong in them.
    pub fn join(&mut self) -> Vec<String> {
        let joined = self.threads.drain(..).enumerate().map(|(n, t)| {
            let end = t.join();
            // One of files ends by itself; nobody waits for an answer of it any more.
            self.lines.get(n).into_iter().for_each(|l| l.stop.store(true, Relaxed));
            (n, end)
        });
        joined
            .filter_map(|(n, end)| match end {
                Ok(Ok(())) => None,
                Ok(Err(e)) => Some(format!("worker {n}: the source gave up: {e}")),
                Err(_) => Some(format!("worker {n} panicked: this is a bug; what it had not written is lost")),
            })
            .collect()
    }

    /// Which part of its blocks the worker with the fewest has at the disk or on the way there.
    pub fn blocks_fill(&self) -> f64 {
        let one = |line: &Arc<Line>| {
            let w = line.counts.get().writer;
            (w.waiting + w.in_flight) as f64 / w.blocks.max(1) as f64
        };
        self.lines.iter().map(one).fold(0.0, f64::max)
    }

    /// The losses of each.
    pub fn each(&self) -> Vec<WorkerTotals> {
        let one = |line: &Arc<Line>| {
            let c = line.counts.get();
            WorkerTotals {
                dropped: line.tallies.total().dropped,
                stalled: line.tallies.stalled(),
                write_failed: c.store.write_failed,
                table_full: c.tracker.table_full,
                flood_refused: c.tracker.flood_refused,
                flood_source: source(c.flood_source).filter(|_| c.tracker.flooding > 0),
            }
        };
        self.lines.iter().map(one).collect()
    }

    /// What they have published.
    pub fn totals(&self) -> Totals {
        let (mut t, mut most) = (Totals::default(), 0);
        for line in &self.lines {
            let c = line.counts.get();
            if c.tracker.flooding > 0 && c.tracker.flood_refused > most {
                (t.flood_source, most) = (source(c.flood_source), c.tracker.flood_refused);
            }
            line.tallies.add_to(&mut t.rows);
            line.step_ns.add_to(&mut t.step_ns);
            line.durable_ns.add_to(&mut t.durable_ns);
            t.store += c.store;
            t.tracker = sum(&t.tracker, &c.tracker);
            t.newest = t.newest.max(c.newest);
            t.workers.push(WorkerDetail { store: c.store, writer: c.writer });
        }
        t.rows.iter().for_each(|r| t.worker += r.total());
        t
    }
}
