//! The store that is being recorded into, as its own process reads it: segments that are not sealed with what can be read of them,
//! and the time before which everything is there. Handed to whoever answers questions; takes no lock that a writer takes.

use super::format::{self, SegmentHeader};
use super::keeper::{Supply, unix_now};
use super::layout::Layout;
use super::list::SegmentRef;
use super::segment::Stage;
use crate::limits::LATE_NS;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A segment that is not sealed.
#[derive(Clone, Debug)]
pub struct Unsealed {
    /// Where it is, and how far it can be read.
    pub segment: SegmentRef,
    /// Its header, if this process writes it.
    pub header: Option<Arc<SegmentHeader>>,
}

impl Unsealed {
    /// Where its first block begins.
    pub fn start(&self) -> u64 {
        self.header.as_ref().map_or(0, |h| format::header_bytes(&h.interfaces) as u64)
    }
}

/// How far one writer is; written by it, read by followers.
#[derive(Debug)]
pub struct Progress {
    /// Earliest time of a packet that can't be read yet, Unix ns; `u64::MAX`: there is none.
    unsettled: AtomicU64,
    /// When it looked, monotonic ns; `u64::MAX`: it has ended.
    looked: AtomicU64,
    /// How old packets were lately when they came, ns: others as old may be behind them, or on their way to another worker.
    lag: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress { unsettled: AtomicU64::new(u64::MAX), looked: AtomicU64::new(0), lag: AtomicU64::new(0) }
    }

    pub(super) fn set(&self, unsettled: u64, looked: u64, lag: u64) {
        self.lag.store(lag, Ordering::Release);
        self.unsettled.store(unsettled, Ordering::Release);
        self.looked.store(looked, Ordering::Release);
    }

    /// All packets before this time can be read; those that come are later.
    fn before(&self, unix: u64, mono: u64) -> u64 {
        // In this order: what is read of the rest is at least as new.
        let looked = self.looked.load(Ordering::Acquire);
        let (unsettled, lag) = (self.unsettled.load(Ordering::Acquire), self.lag.load(Ordering::Acquire));
        match (unsettled, looked) {
            (u64::MAX, u64::MAX) => u64::MAX,
            // What is in the rings may be this much older than what the writer has.
            (oldest, looked) => {
                oldest.min(unix.saturating_sub(mono.saturating_sub(looked).saturating_add(LATE_NS + lag)))
            }
        }
    }
}

/// The store of this process's recorder.
#[derive(Clone, Debug)]
pub struct Live {
    supply: Arc<Supply>,
    layout: Layout,
    /// Numbers of segments that the recorder before left, and that could not be sealed.
    left: Arc<[u64]>,
    /// When the store was opened, Unix ns.
    start: u64,
}

impl Live {
    pub(super) fn new(supply: Arc<Supply>, layout: Layout, left: Arc<[u64]>, start: u64) -> Live {
        Live { supply, layout, left, start }
    }

    /// When its recorder opened it, Unix ns: until it does so anew no number of a segment is given twice.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Paths of the store.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The segments that are not sealed, each readable up to its `durable`; one that another recorder left to its end.
    pub fn unsealed(&self) -> Vec<Unsealed> {
        self.open_and_made().0
    }

    /// The same, and the numbers of segments that are made and have nothing yet that can be read: there is none besides with a number that is not
    /// higher than all of these.
    pub fn open_and_made(&self) -> (Vec<Unsealed>, Vec<u64>) {
        let open = self.supply.open_segments();
        let settled: Vec<u64> = open.iter().map(|s| if s.stage() == Stage::Spare { 0 } else { s.settled() }).collect();
        let made = open.iter().zip(&settled).filter(|(_, settled)| **settled == 0).map(|(s, _)| s.number).collect();
        let left = self.left.iter().map(|&number| {
            let path = self.layout.open_segment(number);
            let segment = SegmentRef { path, class: None, worker: None, number, sealed: false, durable: None };
            Unsealed { segment, header: None }
        });
        let written = open.iter().zip(settled).filter(|(_, settled)| *settled > 0);
        let written = written.map(|(s, settled)| Unsealed {
            segment: SegmentRef {
                path: self.layout.open_segment(s.number),
                class: Some(self.supply.classes().name(s.class()).to_owned()),
                worker: Some(s.worker()),
                number: s.number,
                sealed: false,
                durable: Some(settled),
            },
            header: s.shared_header(),
        });
        (left.chain(written).collect(), made)
    }

    /// All packets before this time, Unix ns, can be read. To be asked BEFORE what is there is looked at.
    pub fn complete_before(&self) -> u64 {
        let mono = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let mono = (mono.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(mono.tv_nsec as u64);
        let unix = unix_now();
        self.supply.progress().iter().map(|p| p.before(unix, mono)).min().unwrap_or(u64::MAX)
    }
}
