//! What writers and the keeper have between them: spare segments one way, events the other. Lock-free and bounded, because
//! writers are on the packet path.

use super::roll::Roll;
use super::shelf::{Holding, Retention};
use crate::metrics::latency::Histogram;
use crate::store::event::StoreEvent;
use crate::store::format::StoreId;
use crate::store::inbox::Inbox;
use crate::store::segment::OpenSegment;
use crate::window::{Window, WriterProgress};
use crossbeam_queue::ArrayQueue;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// Events that wait for the keeper, at most.
const EVENTS_MAX: usize = 1024;

/// The supply of one store.
#[derive(Debug)]
pub struct Supply {
    store: StoreId,
    vlan_in_key: bool,
    classes: Roll,
    spares: ArrayQueue<Arc<OpenSegment>>,
    events: ArrayQueue<StoreEvent>,
    events_lost: AtomicU64,
    keeper: OnceLock<Thread>,
    /// Between the keeper and the control thread; no writer touches it.
    holdings: Mutex<(Vec<Holding>, KeeperCounts)>,
    /// What is to be kept from now on, for the keeper.
    keep: Mutex<Option<(Retention, u64)>>,
    starved: AtomicBool,
    full: AtomicBool,
    /// From the arrival of a packet until a query finds it, ns: the oldest of each publication of the catalog.
    queryable_ns: Histogram,
    /// Where written blocks go to stay in memory.
    inbox: Option<Arc<Inbox>>,
    /// Where unsealed segments and writers are shown.
    window: Arc<Window>,
    /// The ledger has the start of this recording.
    recording: AtomicBool,
}

/// What the keeper has done and has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeeperCounts {
    /// Segments sealed since the start.
    pub sealed: u64,
    /// Segments indexed since the start.
    pub indexed: u64,
    /// Segments dropped to keep the budget, since the start.
    pub expired: u64,
    /// Their bytes.
    pub expired_bytes: u64,
    /// Preallocated segments that no writer has taken yet.
    pub spare: u64,
    /// Sealed segments that wait for their index.
    pub unindexed: u64,
    /// How long the oldest of them has waited, ns.
    pub index_lag_ns: u64,
}

impl Supply {
    /// For a store with these classes; the keeper holds so many spare segments ready.
    pub fn new(store: StoreId, classes: Roll, spares: usize, inbox: Option<Arc<Inbox>>, window: Arc<Window>) -> Supply {
        Supply {
            store,
            vlan_in_key: true,
            classes,
            spares: ArrayQueue::new(spares.max(1)),
            events: ArrayQueue::new(EVENTS_MAX),
            events_lost: AtomicU64::new(0),
            keeper: OnceLock::new(),
            holdings: Mutex::default(),
            keep: Mutex::default(),
            starved: AtomicBool::new(false),
            full: AtomicBool::new(false),
            queryable_ns: Histogram::default(),
            inbox,
            window,
            recording: AtomicBool::new(false),
        }
    }

    /// Whether VLAN ids tell connections apart in what is written.
    pub fn with_vlans(self, vlan_in_key: bool) -> Supply {
        Supply { vlan_in_key, ..self }
    }

    /// The same, for the headers of segments.
    pub fn vlan_in_key(&self) -> bool {
        self.vlan_in_key
    }

    /// Writer: a spare segment, if there is one.
    pub fn take(&self) -> Option<Arc<OpenSegment>> {
        let spare = self.spares.pop();
        // Where none can be made the keeper looks again by itself.
        if spare.is_some() || !self.starved() {
            self.wake();
        }
        spare
    }

    /// Writer: something happened.
    pub fn tell(&self, event: StoreEvent) {
        if self.events.push(event).is_err() {
            self.events_lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets the keeper look around now.
    pub fn wake(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.unpark();
        }
    }

    /// Identity of the store.
    pub fn store_id(&self) -> &StoreId {
        &self.store
    }

    /// The classes by id.
    pub fn classes(&self) -> &Roll {
        &self.classes
    }

    /// Another thread than the keeper's: what is to be kept from now on, and in segments of which length.
    pub fn keep(&self, keep: Retention, segment_bytes: u64) {
        *self.keep.lock().unwrap_or_else(PoisonError::into_inner) = Some((keep, segment_bytes));
        self.wake();
    }

    pub(super) fn take_keep(&self) -> Option<(Retention, u64)> {
        self.keep.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the last spare segment could not be made: no budget or no disk.
    pub fn starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }

    /// Of these, that there was no disk.
    pub fn full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    pub(super) fn set_starved(&self, is: bool, full: bool) {
        self.starved.store(is, Ordering::Relaxed);
        self.full.store(full, Ordering::Relaxed);
    }

    /// What each class holds, as the keeper saw it within the last second.
    pub fn holdings(&self) -> Vec<Holding> {
        self.holdings.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// What the keeper has done, as of the last second.
    pub fn keeper_counts(&self) -> KeeperCounts {
        self.holdings.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// From arrival to queryable; filled by the keeper.
    pub fn queryable_ns(&self) -> &Histogram {
        &self.queryable_ns
    }

    /// Where written blocks go, if they stay in memory.
    pub fn inbox(&self) -> Option<&Arc<Inbox>> {
        self.inbox.as_ref()
    }

    /// What questions see of this.
    pub fn window(&self) -> &Arc<Window> {
        &self.window
    }

    /// The ledger has the start of this recording: from now on the catalog's heartbeat covers time.
    pub fn recording(&self) {
        self.recording.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Acquire)
    }

    /// A writer begins. `None`: there are too many.
    pub fn begin(&self) -> Option<WriterProgress> {
        self.window.begin()
    }

    pub(super) fn publish(&self, holdings: Vec<Holding>, counts: KeeperCounts) {
        *self.holdings.lock().unwrap_or_else(PoisonError::into_inner) = (holdings, counts);
    }

    /// The wall clock, Unix ns.
    pub fn unix_now(&self) -> u64 {
        unix_now()
    }

    pub(super) fn serve_from_here(&self) {
        let _ = self.keeper.set(std::thread::current());
    }

    /// Whether another spare segment is wanted.
    pub(super) fn wants(&self) -> bool {
        !self.spares.is_full()
    }

    /// Hands a spare out; gives it back if nobody wants it.
    pub(super) fn put(&self, spare: Arc<OpenSegment>) -> Result<(), Arc<OpenSegment>> {
        self.spares.push(spare)
    }

    pub(super) fn next_event(&self) -> Option<StoreEvent> {
        self.events.pop()
    }
}

/// The wall clock, Unix ns.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}
