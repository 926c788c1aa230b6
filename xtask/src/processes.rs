//! A program as several processes: the one that was started and all below it. Who measures a recorder, or ends one, means all of them.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process that was killed may take to be gone.
const GONE: Duration = Duration::from_secs(20);

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
pub fn tasks(pid: u32) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().map(|t| t.path())
}

/// Kills it and all below it; none is left when it returns, so that the store is free.
pub fn kill(child: &mut Child) {
    let all = tree(child.id());
    // The first one first: it would start others again.
    let _ = child.kill();
    let below: Vec<String> = all.iter().skip(1).map(u32::to_string).collect();
    if !below.is_empty() {
        let _ = Command::new("kill").arg("-KILL").args(&below).stderr(Stdio::null()).status();
    }
    let _ = child.wait();
    let start = Instant::now();
    while !all.iter().skip(1).all(|pid| is_gone(*pid)) && start.elapsed() < GONE {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// No such process, or one that nobody has reaped; its last thread has ended, and with it what it had open.
pub fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z')) && tasks(pid).count() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_found_and_ended() {
        let script = "sleep 300 & sleep 300 & wait";
        let mut child = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).spawn().expect("a shell");
        let start = Instant::now();
        while tree(child.id()).len() < 3 {
            assert!(start.elapsed() < GONE, "two below it");
            std::thread::sleep(Duration::from_millis(1));
        }
        let all = tree(child.id());
        kill(&mut child);
        assert!(all.iter().all(|pid| is_gone(*pid)), "{all:?}");
    }
}
