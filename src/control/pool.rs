//! The query threads: a few, and a queue of bounded length before them. Owns the threads; the server gives them jobs and never
//! waits for one.

use crate::privilege;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What a query thread does.
pub type Job = Box<dyn FnOnce() + Send>;

struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    ending: bool,
}

/// The threads.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    waiting_max: usize,
}

impl Pool {
    /// So many threads of this name, which take this priority, and so many jobs that may wait.
    pub fn start(name: &str, priority: fn(), threads: usize, waiting_max: usize) -> io::Result<Pool> {
        let shared = Arc::new(Shared { state: Mutex::default(), more: Condvar::new() });
        let thread = |n| {
            let shared = shared.clone();
            std::thread::Builder::new().name(format!("{name}-{n}")).spawn(move || {
                privilege::without_capabilities();
                priority();
                while let Some(job) = shared.next() {
                    // A query that panics is a bug; it must not take the thread with it.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                }
            })
        };
        let threads = (0..threads.max(1)).map(thread).collect::<io::Result<_>>()?;
        Ok(Pool { shared, threads, waiting_max })
    }

    /// Queues a job. Where too many wait it comes back.
    pub fn run(&self, job: Job) -> Result<(), Job> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ending || state.jobs.len() >= self.waiting_max {
            return Err(job);
        }
        state.jobs.push_back(job);
        drop(state);
        self.shared.more.notify_one();
        Ok(())
    }

    /// Lets go of what waits, and waits for what runs: that has been told to end.
    pub fn stop(&mut self) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ending = true;
        state.jobs.clear();
        drop(state);
        self.shared.more.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.ending {
                return None;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    /// A query that panics takes neither its thread with it nor those that wait.
    #[test]
    fn a_panic_ends_nothing_but_itself() {
        let pool = Pool::start("query", || (), 1, 100).unwrap();
        let (tell, told) = channel();
        for n in 0..20 {
            let tell = tell.clone();
            let job = move || {
                assert!(n % 2 == 0, "a bug in query {n}");
                tell.send(n).unwrap();
            };
            assert!(pool.run(Box::new(job)).is_ok());
        }
        for n in (0..20).step_by(2) {
            assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(n));
        }
    }

    #[test]
    fn only_so_many_wait() {
        let mut pool = Pool::start("query", || (), 1, 3).unwrap();
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let job = move || {
            begun.send(()).unwrap();
            let _ = may_go_on.recv_timeout(Duration::from_secs(60));
        };
        assert!(pool.run(Box::new(job)).is_ok());
        has_begun.recv_timeout(Duration::from_secs(60)).unwrap();
        let taken = (0..5).filter(|_| pool.run(Box::new(|| ())).is_ok()).count();
        go_on.send(()).unwrap();
        assert_eq!(taken, 3);
        pool.stop();
        assert!(pool.run(Box::new(|| ())).is_err(), "it has ended");
    }
}
