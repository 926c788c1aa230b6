//! How many system calls a thread makes: a counter of the kernel (perf) on the tracepoint that every call passes.
#![allow(unsafe_code)]

use std::fs;
use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::process::{Command, Stdio};

/// A running counter.
pub struct Syscalls(File);

impl Syscalls {
    /// Counts the calls of a thread from now on. `None`, and a word about it, where tracing is not allowed.
    pub fn of(thread: u32) -> Option<Syscalls> {
        let Some(id) = tracepoint() else {
            eprintln!("skipped: no tracepoint raw_syscalls:sys_enter in this kernel");
            return None;
        };
        // struct perf_event_attr, first version: type (PERF_TYPE_TRACEPOINT), size, config; all else 0.
        let attr: [u64; 8] = [2 | 64 << 32, id, 0, 0, 0, 0, 0, 0];
        // SAFETY: the structure is as long as it says and only read; the other arguments are numbers.
        let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), thread, -1, -1, 0) };
        if fd < 0 {
            eprintln!("skipped: perf_event_open: {}", std::io::Error::last_os_error());
            return None;
        }
        // SAFETY: a descriptor that was made a line ago and belongs to nobody else.
        Some(Syscalls(unsafe { File::from_raw_fd(fd as i32) }))
    }

    /// How many so far.
    pub fn count(&mut self) -> u64 {
        let mut count = [0; 8];
        self.0.read_exact(&mut count).expect("a counter");
        u64::from_ne_bytes(count)
    }
}

/// The tracepoint's number, from a tracefs of our own: it is not mounted everywhere.
fn tracepoint() -> Option<u64> {
    let at = tempfile::tempdir().ok()?;
    let run = |command: &mut Command| command.stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    if !run(Command::new("mount").args(["-t", "tracefs", "tracefs"]).arg(at.path())) {
        return None;
    }
    let id = fs::read_to_string(at.path().join("events/raw_syscalls/sys_enter/id"));
    run(Command::new("umount").arg(at.path()));
    id.ok()?.trim().parse().ok()
}
