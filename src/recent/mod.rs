//! Recent packets in memory: written blocks are copied into arenas of fixed size, where questions find them through indexes of the
//! same format as a segment's. Owns the pools, their runs and two threads; fed by the writers through the store's inbox, which
//! they never wait for. What is evicted, or never got here, is on disk: memory holds nothing that a crash could take back.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod indexer;
mod pools;
mod reach;
mod runs;

pub use pools::{Held, Shares};

use crate::index::Run;
use crate::limits::INBOX_BLOCKS;
use crate::metrics::latency::{Distribution, Histogram};
use crate::privilege;
use crate::store::disk::arena::{CHUNK_BYTES, Slice};
use crate::store::inbox::{Filled, Inbox};
use crate::store::reader::MemoryBlock;
use pools::{Arenas, Pools};
use reach::MemoryGone;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What memory holds at one moment: of each class in the order in which it came.
pub type Shown = Arc<[Arc<Run>]>;

/// Recent blocks as questions see them.
pub struct Recent {
    inbox: Arc<Inbox>,
    pools: Mutex<Pools>,
    /// To be in force instead.
    shares: Mutex<Option<Shares>>,
    shown: Mutex<Shown>,
    more: Condvar,
    ending: AtomicBool,
    blocks: AtomicU64,
    gone: MemoryGone,
    queryable_ns: Histogram,
}

/// The threads that keep it.
pub struct Keeping {
    recent: Arc<Recent>,
    threads: Vec<JoinHandle<()>>,
}

/// How often it looks whether segments whose blocks it has were deleted.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks whether readers have let go.
const PATIENCE: usize = 4;

impl Recent {
    /// Starts with so much memory for blocks and their indexes.
    pub fn start(shares: &Shares) -> io::Result<Keeping> {
        let (pools, arenas) = Pools::new(shares)?;
        let recent = Arc::new(Recent {
            inbox: Inbox::new(INBOX_BLOCKS),
            pools: Mutex::new(pools),
            shares: Mutex::new(None),
            shown: Mutex::new(Arc::new([])),
            more: Condvar::new(),
            ending: AtomicBool::new(false),
            blocks: AtomicU64::new(0),
            gone: MemoryGone::new(crate::units::now()),
            queryable_ns: Histogram::default(),
        });
        let (copying, indexing) = (recent.clone(), recent.clone());
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        let threads = vec![
            thread("recent").spawn(move || {
                privilege::without_capabilities();
                copying.copy(arenas);
            })?,
            thread("recent-index").spawn(move || {
                privilege::without_capabilities();
                indexer::run(&indexing);
            })?,
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

    /// From when on (Unix ns) memory has all packets of a class, and (`None`) of all other classes. To be asked after what is shown.
    pub fn reach(&self) -> Vec<(Option<String>, u64)> {
        self.gone.reach(self.inbox.missed(), crate::units::now())
    }

    /// From arrival until a question finds it, the oldest packet of each block.
    pub fn queryable_ns(&self, to: &mut Distribution) {
        self.queryable_ns.add_to(to);
    }

    /// What is held of each class.
    pub fn held(&self) -> BTreeMap<String, Held> {
        self.lock().held()
    }

    /// Shares the memory otherwise, within a tenth of a second.
    pub fn share(&self, shares: Shares) {
        *self.shares.lock().unwrap_or_else(PoisonError::into_inner) = Some(shares);
    }

    fn copy(&self, mut arenas: Arenas) {
        self.inbox.serve_from_here();
        let mut looked = Instant::now();
        while !self.ending.load(Ordering::Acquire) {
            self.reshare(&mut arenas);
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.lock().close_deleted();
            }
            match self.inbox.take() {
                Some(block) => self.take_in(&mut arenas, block),
                None => std::thread::park_timeout(Duration::from_millis(100)),
            }
        }
        while let Some(block) = self.inbox.take() {
            self.take_in(&mut arenas, block);
        }
    }

    fn reshare(&self, arenas: &mut Arenas) {
        let Some(shares) = self.shares.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // Of a pool of another size what it held is on disk.
        self.gone.all_went(crate::units::now());
        let mut pools = self.lock();
        if let Err(e) = pools.share(arenas, &shares) {
            tracing::warn!("the memory of recent packets is shared as before: {e}");
        }
        self.show(&pools);
    }

    fn take_in(&self, arenas: &mut Arenas, block: Filled) {
        let header = block.segment.shared_header();
        let pool = header.as_ref().map_or(0, |h| self.lock().of(&h.class));
        let held = block.buffer.get(..block.len).and_then(|bytes| self.room(arenas, pool, bytes));
        let mut first = None;
        let held = held.and_then(|held| MemoryBlock::new(Arc::new(held)).ok());
        match held.map(|held| held.also_in(block.segment.file.clone())).zip(header) {
            Some((held, header)) => {
                first = Some(held.about().totals).filter(|t| t.packets > 0).map(|t| t.first);
                let mut pools = self.lock();
                pools.add(header, held);
                self.show(&pools);
                drop(pools);
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

    /// Copies a block; the oldest of its pool make room. Only what a question looks at in this moment stays: that is waited for a little, and
    /// if it does not help this block is on disk only. Whatever readers hold, half of the memory stays in use.
    fn room(&self, arenas: &mut Arenas, pool: usize, bytes: &[u8]) -> Option<Slice> {
        let arena = arenas.of(pool)?;
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
            let mut pools = self.lock();
            let runs = pools.runs(pool)?;
            if runs.bytes() <= arena.bytes() / 2 {
                return None;
            }
            let (bytes, header, last) = runs.evict()?;
            gone += bytes;
            self.gone.went(&header.class, last);
            self.show(&pools);
        }
    }

    fn show(&self, pools: &Pools) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = pools.shown();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
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
