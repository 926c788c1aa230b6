//! A queue that the test fills: a source for each worker, all with the same interfaces, and a way to know that every worker has taken in
//! all that it was given.

use retrotap::limits::BATCH_PACKETS;
use retrotap::metrics::account::Tally;
use retrotap::source::file::Progress;
use retrotap::source::{InputOptions, Interface, Packet, Polled, Source};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::packets::Given;

/// A worker sleeps so long between two looks while somebody waits for it.
const HURRY: Duration = Duration::from_micros(200);

/// One queue, shared by the source and who fills it.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<VecDeque<Given>>,
    more: Condvar,
    closed: AtomicBool,
    /// Somebody waits for the worker.
    hurry: AtomicBool,
    /// Polls that found nothing.
    idle: AtomicU64,
}

/// What a worker takes from it.
pub struct QueueSource {
    queue: Arc<Queue>,
    interfaces: Vec<Interface>,
    progress: Arc<Progress>,
    stopped: bool,
}

impl QueueSource {
    pub fn new(queue: Arc<Queue>, links: &[u16], progress: Arc<Progress>) -> QueueSource {
        let interface = |(i, link): (usize, &u16)| Interface::new(format!("tap{i}"), *link);
        let interfaces = links.iter().enumerate().map(interface).collect();
        QueueSource { queue, interfaces, progress, stopped: false }
    }
}

impl Source for QueueSource {
    type Error = Infallible;

    fn poll(&mut self, step: impl FnOnce(&[Packet<'_>], &[Interface])) -> Result<Polled, Infallible> {
        let some: Vec<Given> = {
            let mut waiting = self.queue.waiting.lock().expect("a queue");
            let n = waiting.len().min(BATCH_PACKETS);
            waiting.drain(..n).collect()
        };
        if some.is_empty() {
            if self.stopped || self.queue.closed.load(SeqCst) {
                return Ok(Polled::End);
            }
            self.queue.idle.fetch_add(1, SeqCst);
            return Ok(Polled::Idle);
        }
        let lent = |p: &'_ Given| -> (u64, u32, u16) { (p.time, p.wire, p.link as u16) };
        let batch: Vec<Packet<'_>> = some
            .iter()
            .map(|p| {
                let (time, wire_len, iface) = lent(p);
                Packet { time, wire_len, iface, hash: None, data: &p.data, options: InputOptions::NONE }
            })
            .collect();
        step(&batch, &self.interfaces);
        let bytes = some.iter().map(|p| u64::from(p.wire)).sum();
        self.progress.add(Tally { packets: some.len() as u64, bytes }, 0, bytes);
        Ok(Polled::Packets(some.len()))
    }

    fn wait(&mut self, timeout_ns: u64) -> Result<(), Infallible> {
        let waiting = self.queue.waiting.lock().expect("a queue");
        if waiting.is_empty() && !self.queue.closed.load(SeqCst) {
            let long = if self.queue.hurry.load(SeqCst) { HURRY } else { Duration::from_nanos(timeout_ns) };
            let _ = self.queue.more.wait_timeout(waiting, long).expect("a queue");
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn patient(&self) -> bool {
        true
    }
}

/// All queues of a recorder.
pub struct Queues(pub Vec<Arc<Queue>>);

impl Queues {
    pub fn new(n: usize) -> Queues {
        Queues((0..n).map(|_| Arc::default()).collect())
    }

    /// Gives packets to their queues.
    pub fn give(&self, packets: &[(usize, Given)]) {
        for (queue, p) in packets {
            self.0[*queue].waiting.lock().expect("a queue").push_back(p.clone());
        }
        self.0.iter().for_each(|q| q.more.notify_all());
    }

    /// No more comes.
    pub fn close(&self) {
        for q in &self.0 {
            q.closed.store(true, SeqCst);
            q.more.notify_all();
        }
    }

    /// Waits until all workers have judged all that was given. A packet is handed over twice at most: each time its new worker has it after
    /// an idle round of the old one and one of its own. False: they do not get there, or `ended`.
    pub fn settle(&self, ended: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        self.0.iter().for_each(|q| q.hurry.store(true, SeqCst));
        let mut good = true;
        for _ in 0..4 {
            let before: Vec<u64> = self.0.iter().map(|q| q.idle.load(SeqCst)).collect();
            for (q, before) in self.0.iter().zip(before) {
                while good && q.idle.load(SeqCst) < before + 2 {
                    std::thread::sleep(Duration::from_micros(200));
                    good = start.elapsed() < crate::PATIENCE && !ended();
                }
            }
        }
        self.0.iter().for_each(|q| q.hurry.store(false, SeqCst));
        good
    }
}
