//! A recorder as it is seen from outside: one process, or several below the one that was started. So that a test finds what it looks for, and
//! leaves nothing behind, whichever it is.

use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

/// Kills by this signal, until it is gone: of a SIGSEGV and a SIGBUS that come from outside Rust's own handler takes the first.
pub fn strike(pid: u32, signal: Signal) {
    let raw = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    let start = Instant::now();
    while !is_gone(pid) && kill_process(raw, signal).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(60), "process {pid} lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process and all below it, the first the one that was asked for.
pub fn tree(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        next += 1;
        // Of all its threads: any of them may have started one.
        for task in tasks(pid) {
            let children = std::fs::read_to_string(task.join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|c| c.parse::<u32>().ok()));
        }
    }
    all
}

/// The folders of all threads of a process.
fn tasks(pid: u32) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().map(|t| t.path())
}

/// The thread of this name among all processes of a tree.
pub fn thread(pid: u32, name: &str) -> Option<u32> {
    let is = |task: &PathBuf| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
    let task = tree(pid).into_iter().flat_map(tasks).find(is)?;
    task.file_name()?.to_str()?.parse().ok()
}

/// The process of a tree that has this thread.
pub fn with_thread(pid: u32, name: &str) -> Option<u32> {
    let is = |task: PathBuf| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
    tree(pid).into_iter().find(|pid| tasks(*pid).any(is))
}

/// A signal to all of a tree, the one that was started first.
pub fn signal(pid: u32, signal: Signal) {
    let all = tree(pid);
    for pid in all.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
        // One that has ended meanwhile needs none.
        let _ = kill_process(pid, signal);
    }
}

/// SIGKILL to all of a tree: a machine that loses its power, as far as a test can be one. They are gone when it returns.
pub fn kill(child: &mut Child) {
    let all = tree(child.id());
    // The one that was started first: it would start others again. Those below learn of its end after their own.
    child.kill().expect("a signal");
    let below = all.iter().skip(1).filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?));
    for pid in below {
        let _ = kill_process(pid, Signal::KILL);
    }
    child.wait().expect("its end");
    let start = Instant::now();
    while !all.iter().skip(1).all(|pid| is_gone(*pid)) {
        assert!(start.elapsed() < Duration::from_secs(60), "a process that does not end: {all:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// No such process, or one that nobody has reaped; its last thread has ended, and with it what it had open.
pub fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z')) && tasks(pid).count() <= 1
}
