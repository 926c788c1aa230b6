//! Running other programs: where they are, as whom, with what output. Used by every command of xtask.

use crate::processes;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Makes the repository's root the working directory and `/usr/sbin` and `/sbin` part of the search path, where a
/// user's shell often lacks them.
pub fn enter_repository() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask has no parent folder")?;
    std::env::set_current_dir(root).map_err(|e| format!("{}: {e}", root.display()))?;
    let mut path: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    for extra in ["/usr/local/sbin", "/usr/sbin", "/sbin"] {
        if !path.iter().any(|p| p == Path::new(extra)) {
            path.push(extra.into());
        }
    }
    let path = std::env::join_paths(path).map_err(|e| e.to_string())?;
    // SAFETY: xtask has one thread here, at the start of main.
    unsafe { std::env::set_var("PATH", path) };
    Ok(())
}

/// The first of these programs that is on the search path.
pub fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(program)).find(|p| p.is_file())
}

/// True when this process has the effective user id 0.
pub fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|l| l.strip_prefix("Uid:")).and_then(|l| l.split_whitespace().nth(1));
    uid == Some("0")
}

/// The words to put before a command so that it runs as root without asking: nothing when this is root, `sudo -n -E`
/// when that works, else `None`.
pub fn as_root() -> Option<Vec<String>> {
    if is_root() {
        return Some(Vec::new());
    }
    let works = find("sudo").is_some() && quiet("sudo", &["-n", "true"]);
    works.then(|| ["sudo", "-n", "-E", "env", &path_word()].map(String::from).to_vec())
}

/// sudo resets the search path: `env PATH=...` keeps it.
fn path_word() -> String {
    format!("PATH={}", std::env::var("PATH").unwrap_or_default())
}

/// A command with words before it.
pub fn command(before: &[String], program: impl AsRef<std::ffi::OsStr>) -> Command {
    match before.split_first() {
        None => Command::new(program),
        Some((first, rest)) => {
            let mut c = Command::new(first);
            c.args(rest).arg(program);
            c
        }
    }
}

/// Runs without output; true when it succeeded.
pub fn quiet(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// Runs with this process's output; an error names the command.
pub fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("cannot run {}: {e}", text(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed ({status})", text(command))) }
}

/// Runs and returns standard output; an error carries what the command said.
pub fn output(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().map_err(|e| format!("cannot run {}: {e}", text(command)))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    Err(format!("{} failed ({status}):\n{}", text(command), String::from_utf8_lossy(&stderr).trim_end()))
}

/// How a child ended.
pub enum End {
    /// By itself; true: with success.
    Itself(bool),
    /// It was killed; what its threads were doing.
    Killed(String),
}

/// Waits for a child, at most this long; then kills it.
pub fn wait(child: &mut std::process::Child, at_most: Duration) -> Result<End, String> {
    let start = Instant::now();
    loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => return Ok(End::Itself(status.success())),
            None if start.elapsed() > at_most => {
                let doing = processes::tree(child.id()).into_iter().map(threads).collect();
                processes::kill(child);
                return Ok(End::Killed(doing));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Name, state and place in the kernel of each thread of a process: the threads of a test binary bear the tests' names.
fn threads(pid: u32) -> String {
    let read = |dir: &std::path::Path, what: &str| {
        std::fs::read_to_string(dir.join(what)).unwrap_or_default().trim().to_string()
    };
    let line = |dir: std::path::PathBuf| {
        let stat = read(&dir, "stat");
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim().chars().next()).unwrap_or('?');
        format!("  {} {state} {} {}\n", read(&dir, "comm"), read(&dir, "wchan"), read(&dir, "syscall"))
    };
    processes::tasks(pid).map(line).collect()
}

/// The command as one would type it.
pub fn text(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy()).filter(|w| !w.starts_with("PATH=")).collect::<Vec<_>>().join(" ")
}
