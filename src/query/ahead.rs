//! Blocks that are sifted before they are needed: a few threads that read, check and put packets to the sieve, while the query gives out
//! what they have found. Owned by the merge of one query; started when first needed, ended with it. What waits is bounded, and so is
//! the memory.

use super::sift::{Asked, Sifted, Sifting};
use crate::limits::{AHEAD_THREADS, BLOCK_BYTES, BLOCKS_AHEAD_MAX};
use crate::store::disk::buffers::Aligned;
use crate::store::reader::SegmentReader;
use crate::store::scan::BlockRef;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A block to sift.
pub struct Job {
    /// Its segment.
    pub reader: Arc<SegmentReader>,
    /// Where it is.
    pub block: BlockRef,
    /// Offsets of the packets that can match; `None`: any.
    pub at: Option<Vec<u64>>,
    /// What they are asked.
    pub asked: Asked,
}

/// One of them: waiting, under way, or done; `None` in it: it could not be begun.
#[derive(Default)]
struct Slot {
    done: Mutex<Option<Option<Sifted>>>,
    comes: Condvar,
}

/// A block that is to be sifted. Counts among those of its query until it is dropped.
pub struct Coming {
    slot: Arc<Slot>,
    shared: Arc<Shared>,
}

impl Coming {
    /// Waits for what was found. `None`: it could not be begun.
    pub fn wait(self) -> Option<Sifted> {
        let mut done = locked(&self.slot.done);
        loop {
            match done.take() {
                Some(done) => return done,
                None => done = self.slot.comes.wait(done).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        locked(&self.shared.queue).out -= 1;
    }
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Arc<Slot>, Job)>,
    /// Blocks that were asked for and have not been taken.
    out: usize,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    comes: Condvar,
}

/// The threads of one query.
#[derive(Default)]
pub struct Readers {
    shared: Arc<Shared>,
    threads: RefCell<Vec<JoinHandle<()>>>,
}

impl Readers {
    /// Asks for a block. `None`: as much as may be is under way.
    pub fn sift(&self, job: impl FnOnce() -> Job) -> Option<Coming> {
        let slot = Arc::new(Slot::default());
        {
            let mut queue = locked(&self.shared.queue);
            if queue.out >= BLOCKS_AHEAD_MAX {
                return None;
            }
            let mut threads = self.threads.borrow_mut();
            if threads.len() < AHEAD_THREADS && queue.out >= threads.len() {
                let shared = self.shared.clone();
                threads.extend(std::thread::Builder::new().name("ahead".into()).spawn(move || work(&shared)).ok());
            }
            if threads.is_empty() {
                return None;
            }
            queue.out += 1;
            queue.jobs.push_back((slot.clone(), job()));
        }
        self.shared.comes.notify_one();
        Some(Coming { slot, shared: self.shared.clone() })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let mut queue = locked(&self.shared.queue);
        queue.ended = true;
        queue.jobs.clear();
        drop(queue);
        self.shared.comes.notify_all();
        for thread in self.threads.take() {
            let _ = thread.join();
        }
    }
}

fn work(shared: &Shared) {
    // One that can't be had: whoever waits does it without.
    let mut buffer = Aligned::new(BLOCK_BYTES).ok();
    loop {
        let mut queue = locked(&shared.queue);
        let (slot, Job { reader, block, at, asked }) = loop {
            if queue.ended {
                return;
            }
            match queue.jobs.pop_front() {
                Some(job) => break job,
                None => queue = shared.comes.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(queue);
        let sift = |buffer| Sifting::new(&reader, &block, &asked).fetched(at.as_deref(), buffer);
        let done = buffer.as_mut().map(sift);
        *locked(&slot.done) = Some(done);
        slot.comes.notify_one();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
