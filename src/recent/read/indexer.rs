//! The thread that makes indexes of recent blocks. Comes after all that captures and before the questions: what it has not done yet
//! they scan.

use super::Recent;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Niceness: less than what captures, more than what asks. Whoever asks looks through what has no index yet, and would take from this thread the time
/// in which it makes one: on a busy machine each question then is slower than the one before.
const NICE: i32 = -10;
/// How long it waits for more to do.
const WAIT: Duration = Duration::from_millis(100);

/// The calling thread has its place before those that ask, where that is allowed: to be called as long as it has capabilities.
pub fn comes_before_questions() {
    if let Err(e) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!("indexes of recent packets are made at normal priority: nice {NICE} is not allowed ({e})");
    }
}

/// Until the end.
pub fn run(recent: &Recent) {
    let mut failing = false;
    while !recent.ending.load(Ordering::Acquire) {
        let intake = recent.lock();
        let Some((pool, task)) = intake.pools.task() else {
            drop(recent.more.wait_timeout(intake, WAIT).unwrap_or_else(PoisonError::into_inner));
            continue;
        };
        drop(intake);
        match task.make() {
            Ok(run) => {
                let mut intake = recent.lock();
                for (class, last) in intake.pools.replace(pool, &task, run) {
                    recent.reach.went(&class, last);
                }
                recent.show(&intake);
            }
            Err(e) => {
                // Its blocks are scanned.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!("an index of recent packets cannot be made: {e}");
                }
                std::thread::sleep(WAIT);
            }
        }
    }
}
