//! Serve's side: recent blocks as questions see them. Takes in what the chunks' heads say, by itself each 10 ms and before each question, so that nobody
//! is shown less than what capture says is there; makes runs and indexes of it. Knows no more of capture than the shared memory; capture may
//! die, and whoever does this may die, at any moment.

mod indexer;
mod intake;
mod pools;
mod reach;
mod runs;

use crate::index::Run;
use crate::privilege;
use crate::window::WindowView;
use crate::window::arena::ArenaView;
use intake::Intake;
use pools::ReadPools;
use reach::MemoryReach;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What memory holds at one moment: of each class in the order in which it came.
pub type ShownRuns = Arc<[Arc<Run>]>;

/// How often it takes in what has come, if nobody asks.
const ROUND: Duration = Duration::from_millis(10);

/// Recent blocks.
pub struct Recent {
    arena: Arc<ArenaView>,
    /// How often chunks had changed when they were looked at last.
    seen: AtomicU64,
    intake: Mutex<Intake>,
    shown: Mutex<ShownRuns>,
    more: Condvar,
    ending: AtomicBool,
    reach: MemoryReach,
}

/// The threads that keep them up to date.
pub struct Reading {
    recent: Arc<Recent>,
    threads: Vec<JoinHandle<()>>,
}

impl Recent {
    /// Of this arena; nothing is taken in yet. `store`: where the files of its segments are.
    pub fn new(arena: Arc<ArenaView>, window: Arc<WindowView>, store: &Path) -> Arc<Recent> {
        let pools = ReadPools::new(arena.clone(), store.to_owned());
        Arc::new(Recent {
            intake: Mutex::new(Intake::new(arena.clone(), pools)),
            arena,
            // A count that no arena begins with.
            seen: AtomicU64::new(u64::MAX),
            shown: Mutex::new(Arc::new([])),
            more: Condvar::new(),
            ending: AtomicBool::new(false),
            reach: MemoryReach::new(window),
        })
    }

    /// Starts its threads.
    pub fn start(self: &Arc<Recent>) -> io::Result<Reading> {
        let (taking, indexing) = (self.clone(), self.clone());
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        let threads = vec![
            thread("recent-take").spawn(move || {
                privilege::without_capabilities();
                while !taking.ending.load(Ordering::Acquire) {
                    taking.take_in();
                    std::thread::park_timeout(ROUND);
                }
            })?,
            thread("recent-index").spawn(move || {
                indexer::comes_before_questions();
                privilege::without_capabilities();
                indexer::run(&indexing);
            })?,
        ];
        Ok(Reading { recent: self.clone(), threads })
    }

    /// What is there now: all that capture had put there before this was asked.
    pub fn shown(&self) -> ShownRuns {
        self.take_in();
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is in memory of a segment, in the order of its offsets.
    pub fn of_segment(&self, number: u64) -> Vec<Arc<Run>> {
        let mut runs: Vec<Arc<Run>> =
            self.shown().iter().filter(|r| r.reader().header().number == number).cloned().collect();
        runs.sort_by_key(|r| r.reader().span().start);
        runs
    }

    /// From when on (Unix ns) memory has all packets of a class, and (`None`) of all other classes. To be asked after what is shown was read.
    pub fn reach(&self) -> Vec<(Option<String>, u64)> {
        self.reach.reach(crate::units::now())
    }

    fn take_in(&self) {
        if self.seen.load(Ordering::Acquire) == self.arena.changes() {
            return;
        }
        let mut intake = self.lock();
        // In this order: what changes meanwhile is looked at next time.
        let changes = self.arena.changes();
        if self.seen.load(Ordering::Acquire) == changes {
            return;
        }
        let taken = intake.take_in();
        taken.went.iter().for_each(|(class, last)| self.reach.went(class, *last));
        if taken.lost {
            self.reach.lost(crate::units::now());
        }
        self.show(&intake);
        self.seen.store(changes, Ordering::Release);
        drop(intake);
        self.more.notify_one();
    }

    fn show(&self, intake: &Intake) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = intake.pools.shown();
    }

    fn lock(&self) -> MutexGuard<'_, Intake> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    /// What questions are answered from.
    pub fn recent(&self) -> &Arc<Recent> {
        &self.recent
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.recent.ending.store(true, Ordering::Release);
        self.recent.more.notify_all();
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
