//! The processor time of a process and all below it by the scheduler's own account (`schedstat`, nanoseconds; the ticks of /proc/stat
//! don't see work in softirqs): all their threads, also those that ended, and on which CPU they ran.

use crate::processes::{tasks, tree};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it looks; a thread that lives shorter is not seen.
const INTERVAL: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Seen {
    /// ns that each thread has run.
    threads: HashMap<String, u64>,
    /// ns by the CPU that the thread was found on.
    by_cpu: HashMap<usize, u64>,
}

/// Watches a process and all below it until dropped.
pub struct Watch {
    pid: u32,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins; what the process used before does not count.
    pub fn start(pid: u32) -> Watch {
        let seen = Arc::new(Mutex::new(Seen::default()));
        look(pid, &seen);
        if let Ok(mut seen) = seen.lock() {
            seen.by_cpu.clear();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (seen, stop) = (seen.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(INTERVAL);
                    look(pid, &seen);
                }
            })
        };
        Watch { pid, seen, stop, thread: Some(thread) }
    }

    /// Seconds used so far, and the part of them on this CPU.
    pub fn used(&self, cpu: usize) -> (f64, f64) {
        look(self.pid, &self.seen);
        let Ok(seen) = self.seen.lock() else { return (f64::NAN, f64::NAN) };
        let all: u64 = seen.by_cpu.values().sum();
        (all as f64 / 1e9, seen.by_cpu.get(&cpu).copied().unwrap_or(0) as f64 / 1e9)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(pid: u32, seen: &Mutex<Seen>) {
    let Ok(mut seen) = seen.lock() else { return };
    for task in tree(pid).into_iter().flat_map(tasks) {
        let Some((ns, cpu)) = thread(&task) else { continue };
        let id = task.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let before = seen.threads.insert(id, ns).unwrap_or(0);
        *seen.by_cpu.entry(cpu).or_default() += ns.saturating_sub(before);
    }
}

/// ns run, and the CPU it last ran on (field 39 of `stat`).
fn thread(task: &Path) -> Option<(u64, usize)> {
    let ns = fs::read_to_string(task.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()?;
    let stat = fs::read_to_string(task.join("stat")).ok()?;
    let cpu = stat.rsplit_once(')')?.1.split_whitespace().nth(36)?.parse().ok()?;
    Some((ns, cpu))
}

/// Bytes that the process and all below it have caused to be written to disk so far (`/proc/PID/io`); `None` where the system does not tell of
/// one of them.
pub fn written(pid: u32) -> Option<u64> {
    let of = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
        text.lines().find_map(|l| l.strip_prefix("write_bytes: "))?.parse::<u64>().ok()
    };
    tree(pid).into_iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is below it counts as its own.
    #[test]
    fn a_program_below_uses_its_time() {
        let watch = Watch::start(std::process::id());
        let before = watch.used(0).0;
        let mut child = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("a shell");
        let start = std::time::Instant::now();
        while thread(Path::new(&format!("/proc/{0}/task/{0}", child.id()))).is_none_or(|(ns, _)| ns < 200_000_000) {
            assert!(start.elapsed() < Duration::from_secs(60), "a shell that does nothing");
            std::thread::sleep(Duration::from_millis(5));
        }
        let used = watch.used(0).0 - before;
        child.kill().and_then(|()| child.wait()).expect("its end");
        assert!(used >= 0.2, "{used} s");
    }

    #[test]
    fn this_process_uses_its_time() {
        let watch = Watch::start(std::process::id());
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(300) {
            std::hint::black_box(0);
        }
        let (used, _) = watch.used(0);
        assert!(used > 0.0 && used < 60.0, "{used} s");
    }
}
