//! The keeper: the thread that does all that writers must not wait for. Makes segments ahead, syncs them, seals them, has them
//! indexed, keeps the disk budget, publishes the catalog. One for each open store; started and stopped by it. It reads no file of the store:
//! what it knows of segments writers and recovery have told it.

mod indexes;
pub mod outlook;
mod retention;
pub mod roll;
pub mod shelf;
pub mod sizes;
pub mod space;
mod supply;

pub use supply::{KeeperCounts, Supply, unix_now};

use super::catalog::Publisher;
use super::disk::files;
use super::event::StoreEvent;
use super::layout::{self, Layout};
use super::recover::OldTimes;
use super::seal::{self, SealedSegment};
use super::segment::{OpenSegment, Stage};
use crate::limits::SEGMENT_SLOTS;
use crate::window::SealedInWindow;
use indexes::Indexes;
use shelf::{PacketTimes, Retention, Shelf, Shelved};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::TryRecvError;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often the keeper looks around when nobody wakes it: also how old the catalog can be.
const ROUND: Duration = Duration::from_millis(20);
/// How often it counts what the classes hold.
const HOLDINGS: Duration = Duration::from_millis(900);
/// After a failure to preallocate it waits this long.
const SPACE_RETRY: Duration = Duration::from_millis(250);
/// A segment that could not be sealed is tried again after this time.
const SEAL_RETRY: Duration = Duration::from_secs(60);

/// The keeper's work is short, and a worker that finds no segment drops packets: it does not come after the workers.
const KEEPER_NICE: i32 = -20;
/// The indexer takes what is left: less than all that runs at normal priority.
const INDEXER_NICE: i32 = 5;

/// Of this thread; where it is not allowed, the thread runs as it is.
fn nice(to: i32) {
    let _ = rustix::process::setpriority_process(None, to);
}

/// Builds the index of a sealed segment beside it; runs on a thread of its own.
pub type IndexHook = Box<dyn Fn(&Path) + Send>;
/// Takes the store's events; runs on the keeper's thread.
pub type EventHook = Box<dyn Fn(StoreEvent) + Send>;
/// Returns when the events told so far are in the ledger, or after a moment.
pub type EnteredHook = Box<dyn Fn() + Send>;

/// What a keeper needs to know.
pub(super) struct Plan {
    pub layout: Layout,
    pub segment_bytes: u64,
    pub keep: Retention,
    pub sync: Duration,
    pub next_number: u64,
}

struct Keeper {
    plan: Plan,
    supply: Arc<Supply>,
    catalog: Publisher,
    shelf: Shelf,
    /// When the packets of older segments came, until all is told.
    old_times: Option<OldTimes>,
    /// Unsealed segments, spare ones included.
    open: Vec<Arc<OpenSegment>>,
    /// For each of these, how much the last fdatasync covered.
    synced: HashMap<u64, u64>,
    last_sync: Instant,
    retry_space: Option<Instant>,
    /// Since when what was deleted is not free yet.
    room_late: Option<Instant>,
    indexes: Indexes,
    on_event: EventHook,
    entered: EnteredHook,
    told_buffered: bool,
    told_catalog: bool,
    told_holdings: Option<Instant>,
    /// Arrival of the oldest packets that the next catalog makes queryable.
    arrived: Vec<u64>,
    /// Segments by number that could not be sealed, since when.
    unsealable: HashMap<u64, Instant>,
    /// Since the start.
    counts: KeeperCounts,
}

/// What was there before.
pub(super) struct Before {
    /// The sealed segments; those without an index are indexed first.
    pub sealed: Vec<SealedSegment>,
    /// When the packets came of those that don't know.
    pub times: OldTimes,
}

/// The running threads.
#[derive(Debug)]
pub(super) struct Running {
    stop: Arc<AtomicBool>,
    supply: Arc<Supply>,
    keeper: Option<JoinHandle<()>>,
    indexer: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts keeper and indexer.
    pub(super) fn start(
        plan: Plan,
        supply: Arc<Supply>,
        catalog: Publisher,
        before: Before,
        (index, on_event, entered): (Option<IndexHook>, EventHook, EnteredHook),
    ) -> io::Result<Running> {
        let stop = Arc::new(AtomicBool::new(false));
        let wake = supply.clone();
        let (indexes, indexer) = Indexes::start(index, move || wake.wake())?;
        let mut keeper = Keeper {
            plan,
            supply: supply.clone(),
            catalog,
            shelf: Shelf::default(),
            old_times: Some(before.times),
            open: Vec::new(),
            synced: HashMap::new(),
            last_sync: Instant::now(),
            retry_space: None,
            room_late: None,
            indexes,
            on_event,
            entered,
            told_buffered: false,
            told_catalog: false,
            told_holdings: None,
            arrived: Vec::new(),
            unsealable: HashMap::new(),
            counts: KeeperCounts::default(),
        };
        for s in before.sealed {
            let times = s.times.map_or(PacketTimes::Awaited, |t| Some(t).into());
            keeper.shelve(s, times);
        }
        let stopping = stop.clone();
        let keeper = std::thread::Builder::new().name("keeper".into()).spawn(move || {
            nice(KEEPER_NICE);
            keeper.run(&stopping);
        })?;
        Ok(Running { stop, supply, keeper: Some(keeper), indexer })
    }

    /// Seals what is closed, removes spares, waits for the indexer.
    pub(super) fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.supply.wake();
        for thread in [self.keeper.take(), self.indexer.take()].into_iter().flatten() {
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Keeper {
    fn run(mut self, stop: &AtomicBool) {
        self.supply.serve_from_here();
        while !stop.load(Ordering::Acquire) {
            self.round();
            std::thread::park_timeout(ROUND);
        }
        self.close();
    }

    fn round(&mut self) {
        if let Some((keep, segment_bytes)) = self.supply.take_keep() {
            (self.plan.keep, self.plan.segment_bytes) = (keep, segment_bytes);
        }
        self.note_times();
        self.restock();
        self.seal_closed();
        self.sync();
        self.note_indexes();
        self.expire(0);
        self.publish();
        self.pass_events();
        if self.told_holdings.is_none_or(|t| t.elapsed() >= HOLDINGS) {
            self.tell_holdings();
        }
    }

    /// Publishes the catalog: what it names can be queried from now on.
    fn publish(&mut self) {
        self.arrived.extend(self.open.iter().filter_map(|s| s.take_arrived()));
        match self.catalog.publish(&self.open, self.supply.is_recording(), unix_now()) {
            Ok(()) => self.told_catalog = false,
            Err(e) if !std::mem::replace(&mut self.told_catalog, true) => {
                (self.on_event)(StoreEvent::CatalogFailed { error: e.to_string() });
            }
            Err(_) => {}
        }
        let now = unix_now();
        for first in self.arrived.drain(..) {
            self.supply.queryable_ns().record(now.saturating_sub(first));
        }
    }

    fn tell_holdings(&mut self) {
        self.told_holdings = Some(Instant::now());
        let open: Vec<_> = self.open.iter().filter(|s| s.stage() != Stage::Spare).cloned().collect();
        let spare = (self.open.len() - open.len()) as u64;
        let mut holdings = self.shelf.holdings(self.supply.classes(), &open);
        outlook::fill(&mut holdings, &self.plan.keep, unix_now());
        let ((unindexed, index_lag_ns), indexed) = (self.indexes.waiting(), self.indexes.count());
        self.supply.publish(holdings, KeeperCounts { spare, indexed, unindexed, index_lag_ns, ..self.counts });
    }

    fn close(&mut self) {
        // Spares go back; what a writer still holds is left to recovery.
        while let Some(spare) = self.supply.take() {
            let _ = std::fs::remove_file(self.plan.layout.open_segment(spare.number));
            self.open.retain(|s| s.number != spare.number);
        }
        self.unsealable.clear();
        self.seal_closed();
        self.expire(0);
        // What is to go now goes now.
        while self.shelf.waits() && self.wait_for_times() {
            self.expire(0);
        }
        self.publish();
        // If not, its heartbeat grows old.
        let _ = self.catalog.retire();
        self.pass_events();
        self.tell_holdings();
    }

    fn pass_events(&self) {
        while let Some(event) = self.supply.next_event() {
            (self.on_event)(event);
        }
    }

    /// Takes in what recovery has told.
    fn note_times(&mut self) {
        while let Some(list) = &self.old_times {
            match list.take() {
                Ok(batch) => batch.into_iter().for_each(|(number, times)| self.shelf.note_times(number, times)),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.no_more_times(),
            }
        }
    }

    /// The same, and waits for it. False: there is nothing to wait for.
    fn wait_for_times(&mut self) -> bool {
        let Some(list) = &self.old_times else { return false };
        match list.wait() {
            Some(batch) => batch.into_iter().for_each(|(number, times)| self.shelf.note_times(number, times)),
            None => self.no_more_times(),
        }
        true
    }

    fn no_more_times(&mut self) {
        self.old_times = None;
        self.shelf.no_more_times();
    }

    fn restock(&mut self) {
        if self.retry_space.is_some_and(|t| t.elapsed() < SPACE_RETRY) {
            return;
        }
        while self.supply.wants() {
            self.expire(self.plan.segment_bytes);
            self.make_room();
            let made = match self.make_spare() {
                // Somebody else was faster, or a quota says less than the filesystem.
                Err(e) if space::is_full(&e) && self.drop_oldest(self.plan.segment_bytes) > 0 => self.make_spare(),
                // There is something that will go in a moment.
                Err(e) if space::is_full(&e) && self.shelf.waits() => Ok(false),
                made => made,
            };
            self.supply.set_starved(!matches!(made, Ok(true)), made.is_err());
            match made {
                Ok(true) => {
                    if self.retry_space.take().is_some() {
                        (self.on_event)(StoreEvent::SpaceAgain);
                    }
                }
                Ok(false) => return,
                Err(e) => {
                    if self.retry_space.replace(Instant::now()).is_none() {
                        (self.on_event)(StoreEvent::NoSpace { error: self.why_none(&e) });
                    }
                    return;
                }
            }
        }
    }

    /// Makes a spare segment and hands it out; false: the budget does not allow it now.
    fn make_spare(&mut self) -> io::Result<bool> {
        let bytes = self.plan.segment_bytes;
        let used = self.shelf.bytes() + self.open.iter().map(|s| s.bytes).sum::<u64>();
        // Over by one segment at most: better than to stop.
        if self.plan.keep.total.is_some_and(|total| used > total) {
            return Ok(false);
        }
        let number = self.plan.next_number;
        let generation = super::random()?;
        // Before the file: of what has no slot nobody would know.
        let Some(shown) = self.supply.window().segment(number) else {
            let why = format!(
                "{SEGMENT_SLOTS} segments are there that are not sealed, and more can't be shown: why they are not sealed was said"
            );
            return Err(io::Error::other(why));
        };
        let (file, direct) = files::create_segment(&self.plan.layout.open_segment(number), bytes)?;
        self.plan.next_number += 1;
        if !direct && !std::mem::replace(&mut self.told_buffered, true) {
            (self.on_event)(StoreEvent::NotDirect);
        }
        let spare = Arc::new(OpenSegment::new(number, generation, bytes, file, shown));
        self.open.push(spare.clone());
        if self.supply.put(spare).is_err() {
            // Only this thread puts, and there was room.
            return Ok(false);
        }
        Ok(true)
    }

    fn seal_closed(&mut self) {
        let waits = |s: &OpenSegment| self.unsealable.get(&s.number).is_some_and(|t| t.elapsed() < SEAL_RETRY);
        let closed: Vec<_> = self.open.iter().filter(|s| s.stage() == Stage::Closed && !waits(s)).cloned().collect();
        for s in closed {
            self.arrived.extend(s.take_arrived());
            let sealed = match seal::seal(&self.plan.layout, &s) {
                Err(e) => {
                    // It stays where it is: listed, readable, in the budget, and tried again.
                    if self.unsealable.insert(s.number, Instant::now()).is_none() {
                        (self.on_event)(StoreEvent::SealFailed { segment: s.number, error: e.to_string() });
                    }
                    continue;
                }
                Ok(sealed) => sealed,
            };
            self.unsealable.remove(&s.number);
            self.open.retain(|o| o.number != s.number);
            // It has moved: who looks at the window first and then at the directories finds it in one of the two.
            s.hide();
            self.synced.remove(&s.number);
            if let Some(sealed) = sealed {
                // By its name, which is made of the same.
                let first = layout::first_time(&sealed.path).unwrap_or(0);
                self.supply.window().sealed(&SealedInWindow {
                    number: sealed.number,
                    class: s.class(),
                    worker: s.worker(),
                    first,
                });
                self.counts.sealed += 1;
                (self.on_event)(StoreEvent::Sealed { path: sealed.path.clone(), packets: sealed.packets });
                let times = sealed.times.into();
                self.shelve(sealed, times);
            }
        }
    }

    fn shelve(&mut self, s: SealedSegment, times: PacketTimes) {
        let index = std::fs::metadata(layout::index_of(&s.path)).map(|m| m.len());
        let written = std::fs::metadata(&s.path).and_then(|m| m.modified()).ok();
        let since_epoch = |t: SystemTime| t.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        let ended = written.map_or_else(unix_now, since_epoch);
        let bytes = s.bytes + index.as_ref().map_or(0, |len| *len);
        if index.is_err() {
            self.indexes.wait_for(s.number, s.path.clone());
        }
        self.shelf.put(s.number, Shelved { path: s.path, class: s.class, times, bytes, ended });
    }

    fn note_indexes(&mut self) {
        for (number, path) in self.indexes.made() {
            let len = |p: &Path| std::fs::metadata(p).map_or(0, |m| m.len());
            self.shelf.resize(number, len(&path) + len(&layout::index_of(&path)));
        }
    }

    fn sync(&mut self) {
        if self.last_sync.elapsed() < self.plan.sync {
            return;
        }
        self.last_sync = Instant::now();
        for s in self.open.iter().filter(|s| s.stage() == Stage::Open) {
            let durable = s.durable();
            if self.synced.get(&s.number).copied().unwrap_or(0) == durable {
                continue;
            }
            match s.file.sync_data() {
                Ok(()) => drop(self.synced.insert(s.number, durable)),
                Err(e) => (self.on_event)(StoreEvent::SyncFailed { error: e.to_string() }),
            }
        }
    }
}
