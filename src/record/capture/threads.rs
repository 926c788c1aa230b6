//! Threads of the recorder: pinned and nice workers, a name for each thread. What the system does not allow is said once
//! and done without.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Niceness of workers.
const WORKER_NICE: i32 = -20;

/// CPUs for `workers`, one each as far as they go round: those wished for, else those that the process may use.
pub fn cpus(workers: usize, wished: &[usize]) -> Vec<Option<usize>> {
    let allowed = || core_affinity::get_core_ids().unwrap_or_default().iter().map(|c| c.id).collect();
    let ids: Vec<usize> = if wished.is_empty() { allowed() } else { wished.to_vec() };
    (0..workers).map(|w| ids.get(w.checked_rem(ids.len()).unwrap_or(0)).copied()).collect()
}

/// Starts a worker's thread on its CPU.
pub fn worker<T: Send + 'static>(
    number: usize,
    cpu: Option<usize>,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(format!("worker-{number}")).spawn(move || {
        if let Some(id) = cpu
            && !core_affinity::set_for_current(core_affinity::CoreId { id })
        {
            tracing::warn!("worker {number} cannot be pinned to CPU {id}; it goes where the scheduler puts it");
        }
        if let Err(e) = rustix::process::setpriority_process(None, WORKER_NICE) {
            tracing::debug!("worker {number} runs at normal priority: nice {WORKER_NICE} is not allowed ({e})");
        }
        run()
    })
}
