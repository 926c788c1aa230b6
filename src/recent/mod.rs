//! Recent packets in memory: written blocks are copied into an arena of fixed size, where questions find them through indexes of the
//! same format as a segment's. Owns the arena, the runs and two threads; fed by the writers through the store's inbox, which
//! they never wait for. What is evicted, or never got here, is on disk: memory holds nothing that a crash could take back.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod indexer;
mod runs;

use crate::index::Run;
use crate::limits::INBOX_BLOCKS;
use crate::metrics::latency::{Distribution, Histogram};
use crate::store::disk::arena::{Arena, CHUNK_BYTES, Slice};
use crate::store::inbox::{Filled, Inbox};
use crate::store::reader::MemoryBlock;
use runs::Runs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What memory holds at one moment, in the order in which it came.
pub type Shown = Arc<[Arc<Run>]>;

/// Recent blocks as questions see them.
pub struct Recent {
    inbox: Arc<Inbox>,
    runs: Mutex<Runs>,
    shown: Mutex<Shown>,
    more: Condvar,
    ending: AtomicBool,
    blocks: AtomicU64,
    queryable_ns: Histogram,
}

/// The threads that keep it.
pub struct Keeping {
    recent: Arc<Recent>,
    threads: Vec<JoinHandle<()>>,
}

/// Of the budget, this part is for the indexes.
const INDEX_SHARE: usize = 16;
/// How often it looks whether readers have let go.
const PATIENCE: usize = 4;

impl Recent {
    /// Starts with so many bytes for blocks and their indexes.
    pub fn start(bytes: usize) -> io::Result<Keeping> {
        let for_indexes = bytes / INDEX_SHARE;
        let arena = Arena::new(bytes - for_indexes)?;
        let recent = Arc::new(Recent {
            inbox: Inbox::new(INBOX_BLOCKS),
            runs: Mutex::new(Runs::new(bytes - for_indexes, for_indexes)),
            shown: Mutex::new(Arc::new([])),
            more: Condvar::new(),
            ending: AtomicBool::new(false),
            blocks: AtomicU64::new(0),
            queryable_ns: Histogram::default(),
        });
        let (copying, indexing) = (recent.clone(), recent.clone());
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        let threads = vec![
            thread("recent").spawn(move || copying.copy(arena))?,
            thread("recent-index").spawn(move || indexer::run(&indexing))?,
        ];
        Ok(Keeping { recent, threads })
    }

    /// Where writers put blocks.
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// What is there now.
    pub fn shown(&self) -> Shown {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is in memory of a segment, in the order of its offsets.
    pub fn of_segment(&self, number: u64) -> Vec<Arc<Run>> {
        let mut runs: Vec<Arc<Run>> =
            self.shown().iter().filter(|r| r.reader().header().number == number).cloned().collect();
        runs.sort_by_key(|r| r.reader().span().start);
        runs
    }

    /// Blocks that were taken in since the start, and blocks that are on disk only: too many waited, or readers left no room.
    pub fn counts(&self) -> (u64, u64) {
        (self.blocks.load(Ordering::Relaxed), self.inbox.missed())
    }

    /// From arrival until a question finds it, the oldest packet of each block.
    pub fn queryable_ns(&self, to: &mut Distribution) {
        self.queryable_ns.add_to(to);
    }

    /// Waits until all that the writers gave is readable, at most this long.
    pub fn drain(&self, limit: Duration) {
        let start = Instant::now();
        while !self.inbox.empty() && start.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn copy(&self, mut arena: Arena) {
        self.inbox.serve_from_here();
        while !self.ending.load(Ordering::Acquire) {
            match self.inbox.take() {
                Some(block) => self.take_in(&mut arena, block),
                None => std::thread::park_timeout(Duration::from_millis(100)),
            }
        }
        while let Some(block) = self.inbox.take() {
            self.take_in(&mut arena, block);
        }
    }

    fn take_in(&self, arena: &mut Arena, block: Filled) {
        let held = block.buffer.get(..block.len).and_then(|bytes| self.room(arena, bytes));
        let header = block.segment.shared_header();
        let mut first = None;
        match held.and_then(|held| Some((MemoryBlock::new(Arc::new(held)).ok()?, header?))) {
            Some((held, header)) => {
                first = Some(held.about().totals).filter(|t| t.packets > 0).map(|t| t.first);
                let mut runs = self.lock();
                runs.add(header, held);
                self.show(&runs);
                drop(runs);
                self.blocks.fetch_add(1, Ordering::Relaxed);
                self.more.notify_one();
            }
            None => self.inbox.miss(),
        }
        // In this order: who sees the mark finds the block, in memory or in the file.
        block.segment.settle(block.offset + block.len as u64);
        if let Some(first) = first {
            self.queryable_ns.record(crate::units::now().saturating_sub(first));
        }
        self.inbox.done(block);
    }

    /// Copies a block; the oldest make room. A question holds what it began with until it ends: that is waited for a little, and
    /// if it does not help this block is on disk only. Whatever readers hold, half of the memory stays in use.
    fn room(&self, arena: &mut Arena, bytes: &[u8]) -> Option<Slice> {
        let mut gone = 0;
        loop {
            if let Some(held) = arena.put(bytes) {
                return Some(held);
            }
            if gone >= CHUNK_BYTES {
                gone = 0;
                let free = (0..PATIENCE).any(|_| {
                    std::thread::sleep(Duration::from_micros(500));
                    arena.has_room(bytes.len())
                });
                if free {
                    continue;
                }
            }
            let mut runs = self.lock();
            if runs.bytes() <= arena.bytes() / 2 {
                return None;
            }
            gone += runs.evict()?;
            self.show(&runs);
        }
    }

    fn show(&self, runs: &Runs) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = runs.shown();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeping {
    /// What questions are answered from.
    pub fn recent(&self) -> &Arc<Recent> {
        &self.recent
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.recent.ending.store(true, Ordering::Release);
        self.recent.more.notify_all();
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
