//! Blocks that are read before they are needed: a few threads that read and check, while the query judges what has been read. Owned by
//! the merge of one query; started when first needed, ended with it. What waits is bounded, and so is the memory.

use crate::limits::{AHEAD_THREADS, BLOCK_BYTES, BLOCKS_AHEAD_MAX};
use crate::store::disk::buffers::Aligned;
use crate::store::reader::{ReadError, SegmentReader};
use crate::store::scan::BlockRef;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How a read ended, and the buffer.
type Done = (Result<u64, ReadError>, Aligned);

/// One read: waiting, under way, or done.
#[derive(Default)]
struct Slot {
    done: Mutex<Option<Option<Done>>>,
    comes: Condvar,
}

impl Slot {
    fn put(&self, done: Option<Done>) {
        *locked(&self.done) = Some(done);
        self.comes.notify_one();
    }
}

/// A read that has been asked for.
pub struct Read(Arc<Slot>);

impl Read {
    /// Waits for its end. `None`: it could not be begun.
    pub fn wait(self) -> Option<Done> {
        let mut done = locked(&self.0.done);
        loop {
            match done.take() {
                Some(done) => return done,
                None => done = self.0.comes.wait(done).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

struct Job {
    slot: Arc<Slot>,
    reader: Arc<SegmentReader>,
    block: BlockRef,
    at: Option<Vec<u64>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Buffers that are free.
    spare: Vec<Aligned>,
    /// Buffers that are not.
    out: usize,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    comes: Condvar,
}

/// The readers of one query.
#[derive(Default)]
pub struct Readers {
    shared: Arc<Shared>,
    threads: RefCell<Vec<JoinHandle<()>>>,
}

impl Readers {
    /// Asks for a block, or for what these packets of it need. `None`: as much as may be is under way.
    pub fn read(&self, reader: Arc<SegmentReader>, block: BlockRef, at: Option<Vec<u64>>) -> Option<Read> {
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
            queue.jobs.push_back(Job { slot: slot.clone(), reader, block, at });
        }
        self.shared.comes.notify_one();
        Some(Read(slot))
    }

    /// A buffer that is no longer needed.
    pub fn give_back(&self, buffer: Aligned) {
        let mut queue = locked(&self.shared.queue);
        queue.out -= 1;
        queue.spare.push(buffer);
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
    loop {
        let mut queue = locked(&shared.queue);
        let job = loop {
            if queue.ended {
                return;
            }
            match queue.jobs.pop_front() {
                Some(job) => break job,
                None => queue = shared.comes.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        };
        let buffer = queue.spare.pop();
        drop(queue);
        let Some(mut buffer) = buffer.or_else(|| Aligned::new(BLOCK_BYTES).ok()) else {
            locked(&shared.queue).out -= 1;
            job.slot.put(None);
            continue;
        };
        let read = match &job.at {
            Some(at) => job.reader.fetch_at(&job.block, at, &mut buffer),
            None => job.reader.fetch(&job.block, u32::MAX, &mut buffer),
        };
        job.slot.put(Some((read, buffer)));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
