//! Capture's side: the thread that copies written blocks into the arena. Fed by the writers through the store's inbox, which they never wait for; waits
//! for no reader. Owns the arena and its pools; asks nothing of whoever reads but his pins, and believes none of them.

mod pools;

pub use pools::KeepPools;

use super::Shares;
use crate::limits::INBOX_BLOCKS;
use crate::metrics::latency::{Distribution, Histogram};
use crate::privilege;
use crate::store::inbox::{Filled, Inbox};
use crate::window::{PinWords, Window};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Recent blocks as capture keeps them.
pub struct Keep {
    inbox: Arc<Inbox>,
    window: Arc<Window>,
    arena: OwnedFd,
    chunks: usize,
    /// To be in force instead.
    shares: Mutex<Option<Shares>>,
    /// Of whoever reads from now on.
    pins: Mutex<Option<PinWords>>,
    ending: AtomicBool,
    queryable_ns: Histogram,
}

/// The thread that does it.
pub struct Keeping {
    keep: Arc<Keep>,
    thread: Option<JoinHandle<()>>,
}

/// What it takes to read: the arena, and the pins that count.
pub struct Admission {
    /// Mapped read-only.
    pub arena: OwnedFd,
    /// Written by both.
    pub pins: OwnedFd,
}

impl Keep {
    /// Starts with so much memory for blocks and their indexes.
    pub fn start(shares: &Shares, window: &Arc<Window>) -> io::Result<Keeping> {
        let pools = KeepPools::new(shares, window.clone())?;
        let keep = Arc::new(Keep {
            inbox: Inbox::new(INBOX_BLOCKS, window.clone()),
            window: window.clone(),
            arena: pools.file()?,
            chunks: pools.chunks(),
            shares: Mutex::new(None),
            pins: Mutex::new(None),
            ending: AtomicBool::new(false),
            queryable_ns: Histogram::default(),
        });
        let copying = keep.clone();
        let thread = std::thread::Builder::new().name("recent".into()).spawn(move || {
            privilege::without_capabilities();
            copying.copy(pools);
        })?;
        Ok(Keeping { keep, thread: Some(thread) })
    }

    /// Where writers put blocks.
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// For one who reads from now on, instead of whoever did: his pins count no more.
    pub fn admit(&self) -> io::Result<Admission> {
        let arena = self.arena.as_fd().try_clone_to_owned()?;
        let new = PinWords::create(self.chunks)?;
        let pins = new.file()?;
        *self.pins.lock().unwrap_or_else(PoisonError::into_inner) = Some(new);
        self.inbox.wake();
        Ok(Admission { arena, pins })
    }

    /// Blocks that were taken in since the start, and blocks that are on disk only.
    pub fn counts(&self) -> (u64, u64) {
        self.window.counts()
    }

    /// From arrival until a question finds it, the oldest packet of each block.
    pub fn queryable_ns(&self, to: &mut Distribution) {
        self.queryable_ns.add_to(to);
    }

    /// Shares the memory otherwise, within a tenth of a second.
    pub fn share(&self, shares: Shares) {
        *self.shares.lock().unwrap_or_else(PoisonError::into_inner) = Some(shares);
        self.inbox.wake();
    }

    fn copy(&self, mut pools: KeepPools) {
        self.inbox.serve_from_here();
        loop {
            // In this order: what was given before the end is taken in.
            let ending = self.ending.load(Ordering::Acquire);
            if let Some(shares) = self.shares.lock().unwrap_or_else(PoisonError::into_inner).take() {
                pools.share(&shares);
            }
            if let Some(pins) = self.pins.lock().unwrap_or_else(PoisonError::into_inner).take() {
                pools.admit(pins);
            }
            match self.inbox.take() {
                Some(block) => self.take_in(&mut pools, block),
                None if ending => return,
                None if pools.rest() => {}
                None => std::thread::park_timeout(Duration::from_millis(100)),
            }
        }
    }

    fn take_in(&self, pools: &mut KeepPools, block: Filled) {
        let (about, header) = (block.about, block.segment.shared_header());
        let bytes = block.buffer.get(..about.len);
        let kept = header.zip(bytes).is_some_and(|(h, bytes)| pools.put(block.segment.class(), &h, &about, bytes));
        if kept {
            self.window.took_in();
        } else {
            self.inbox.miss();
        }
        // In this order: who sees the mark finds the block, in memory or in the file.
        block.segment.settle(about.offset + about.len as u64);
        if kept && about.totals.packets > 0 {
            self.queryable_ns.record(crate::units::now().saturating_sub(about.totals.first));
        }
        self.inbox.done(block);
    }
}

impl Keeping {
    /// What it keeps.
    pub fn keep(&self) -> &Arc<Keep> {
        &self.keep
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.keep.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
