//! A lane: a few threads, and a queue of bounded length before them. Owns the threads; the server gives them jobs and never waits for one.
//! A thread that waits for a slow client does not count as one of them: another takes its place, up to a bound, so that readers who do not
//! read keep nobody else waiting.

use crate::privilege;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What a thread does; it is told which lane it is of.
pub type Job = Box<dyn FnOnce(&Threads) + Send>;

/// How large a lane is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Threads that work.
    pub threads: usize,
    /// Threads that wait for slow clients, beside them.
    pub stalled: usize,
    /// Jobs that wait.
    pub waiting: usize,
}

struct Shared {
    name: &'static str,
    priority: fn(),
    size: Size,
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that there are, and those of them that wait for clients.
    alive: usize,
    stalled: usize,
    handles: Vec<JoinHandle<()>>,
    ending: bool,
}

/// A lane: its threads end with it.
pub struct Pool(Threads);

/// Its threads, for whoever is one of them.
#[derive(Clone)]
pub struct Threads(Arc<Shared>);

/// A thread that waits for a client, until this is dropped.
pub struct Stalled<'a>(&'a Threads);

impl Pool {
    /// Starts the threads, which have this name and take this priority.
    pub fn start(name: &'static str, priority: fn(), size: Size) -> io::Result<Pool> {
        let size = Size { threads: size.threads.max(1), ..size };
        let lane = Threads(Arc::new(Shared { name, priority, size, state: Mutex::default(), more: Condvar::new() }));
        let mut state = lane.0.lock();
        for _ in 0..size.threads {
            lane.grow(&mut state)?;
        }
        drop(state);
        Ok(Pool(lane))
    }

    /// Queues a job. Where too many wait it comes back.
    pub fn run(&self, job: Job) -> Result<(), Job> {
        let shared = &self.0.0;
        let mut state = shared.lock();
        if state.ending || state.jobs.len() >= shared.size.waiting {
            return Err(job);
        }
        state.jobs.push_back(job);
        drop(state);
        shared.more.notify_one();
        Ok(())
    }

    /// Lets go of what waits, and waits for what runs: that has been told to end.
    pub fn stop(&mut self) {
        let mut state = self.0.0.lock();
        state.ending = true;
        state.jobs.clear();
        let handles = std::mem::take(&mut state.handles);
        drop(state);
        self.0.0.more.notify_all();
        for thread in handles {
            let _ = thread.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Threads {
    /// This thread waits for a client from now on.
    pub fn stall(&self) -> Stalled<'_> {
        let mut state = self.0.lock();
        state.stalled += 1;
        let size = &self.0.size;
        if state.alive - state.stalled < size.threads && state.alive < size.threads + size.stalled && !state.ending {
            // Where no thread is to be had those that there are go on.
            if let Err(e) = self.grow(&mut state) {
                tracing::debug!("API: {}: no thread: {e}", self.0.name);
            }
        }
        Stalled(self)
    }

    /// Jobs wait for threads that wait for clients: who keeps them has little time.
    pub fn crowded(&self) -> bool {
        let state = self.0.lock();
        !state.jobs.is_empty() && state.alive - state.stalled < self.0.size.threads
    }

    fn grow(&self, state: &mut State) -> io::Result<()> {
        let lane = self.clone();
        let work = move || {
            privilege::without_capabilities();
            (lane.0.priority)();
            while let Some(job) = lane.0.next() {
                // A query that panics is a bug; it must not take the thread with it.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&lane)));
            }
        };
        state.handles.retain(|h| !h.is_finished());
        let name = format!("{}-{}", self.0.name, state.alive);
        state.handles.push(std::thread::Builder::new().name(name).spawn(work)?);
        state.alive += 1;
        Ok(())
    }
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        self.0.0.lock().stalled -= 1;
        // One that is idle may be too many now.
        self.0.0.more.notify_one();
    }
}

impl Shared {
    /// The next job; `None`: there are enough threads without this one.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.ending || state.alive - state.stalled > self.size.threads {
                state.alive -= 1;
                // What it was woken for another does.
                self.more.notify_one();
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(60);

    fn pool(threads: usize, stalled: usize, waiting: usize) -> Pool {
        Pool::start("query", || (), Size { threads, stalled, waiting }).unwrap()
    }

    /// A query that panics takes neither its thread with it nor those that wait.
    #[test]
    fn a_panic_ends_nothing_but_itself() {
        let pool = pool(1, 0, 100);
        let (tell, told) = channel();
        for n in 0..20 {
            let tell = tell.clone();
            let job = move |_: &Threads| {
                assert!(n % 2 == 0, "a bug in query {n}");
                tell.send(n).unwrap();
            };
            assert!(pool.run(Box::new(job)).is_ok());
        }
        for n in (0..20).step_by(2) {
            assert_eq!(told.recv_timeout(LONG), Ok(n));
        }
    }

    #[test]
    fn only_so_many_wait() {
        let mut pool = pool(1, 0, 3);
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let job = move |_: &Threads| {
            begun.send(()).unwrap();
            let _ = may_go_on.recv_timeout(LONG);
        };
        assert!(pool.run(Box::new(job)).is_ok());
        has_begun.recv_timeout(LONG).unwrap();
        let taken = (0..5).filter(|_| pool.run(Box::new(|_| ())).is_ok()).count();
        go_on.send(()).unwrap();
        assert_eq!(taken, 3);
        pool.stop();
        assert!(pool.run(Box::new(|_| ())).is_err(), "it has ended");
    }

    /// A job that waits for its client until it is told to go on.
    fn stalling(pool: &Pool, begun: &Sender<()>) -> Sender<()> {
        let (go_on, may_go_on): (_, Receiver<()>) = channel();
        let begun = begun.clone();
        let job = move |lane: &Threads| {
            let _stalled = lane.stall();
            begun.send(()).unwrap();
            let _ = may_go_on.recv_timeout(LONG);
        };
        assert!(pool.run(Box::new(job)).is_ok());
        go_on
    }

    /// Threads that wait for clients are replaced, so many as may be; then jobs wait, and those who keep the threads can know.
    #[test]
    fn who_waits_for_a_client_keeps_no_other_waiting() {
        let pool = pool(2, 5, 100);
        let (begun, has_begun) = channel();
        let slow: Vec<_> = (0..5).map(|_| stalling(&pool, &begun)).collect();
        slow.iter().for_each(|_| has_begun.recv_timeout(LONG).unwrap());
        let (tell, told) = channel();
        let count = |n: usize| {
            for n in 0..n {
                let tell = tell.clone();
                assert!(pool.run(Box::new(move |_| tell.send(n).unwrap())).is_ok());
            }
        };
        count(10);
        for _ in 0..10 {
            told.recv_timeout(LONG).expect("others go on");
        }
        let more: Vec<_> = (0..2).map(|_| stalling(&pool, &begun)).collect();
        more.iter().for_each(|_| has_begun.recv_timeout(LONG).unwrap());
        assert!(!pool.0.crowded(), "nobody waits");
        count(1);
        assert!(pool.0.crowded());
        drop(slow);
        told.recv_timeout(LONG).expect("its turn has come");
        drop(more);
        // As many threads as there should be are left, once each has looked.
        let begun = std::time::Instant::now();
        while pool.0.0.lock().alive > 2 {
            assert!(begun.elapsed() < LONG, "too many threads stay");
            count(4);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
