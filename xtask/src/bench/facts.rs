//! What a result needs to be judged by later: host, kernel, CPU, commit, command, date.

use crate::json::{Value, object};
use crate::shell;
use std::fs;
use std::process::Command;

fn line_of(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_string()
}

/// One line of a program's output; empty when there is none.
pub fn said(program: &str, arguments: &[&str]) -> String {
    let out = shell::output(Command::new(program).args(arguments)).unwrap_or_default();
    out.lines().next().unwrap_or_default().trim().to_string()
}

/// `vm` or `metal`.
pub fn kind() -> &'static str {
    if line_of("/proc/cpuinfo").contains(" hypervisor") { "vm" } else { "metal" }
}

/// UTC, `2026-11-21`.
pub fn date() -> String {
    said("date", &["-u", "+%F"])
}

/// The commit that the tree is at, with `+` when it was changed since.
fn commit() -> String {
    let clean = said(
        "git",
        &[
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            "src",
            "ebpf",
            "examples",
            "benches/*.rs",
            "Cargo.lock",
        ],
    );
    format!("{}{}", said("git", &["rev-parse", "--short", "HEAD"]), if clean.is_empty() { "" } else { "+" })
}

/// All of it.
pub fn object_of(command: &str) -> Value {
    let cpuinfo = line_of("/proc/cpuinfo");
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|l| l.starts_with(name));
        line.and_then(|l| l.split_once(':')).map_or(String::new(), |(_, value)| value.trim().to_string())
    };
    let cpus = cpuinfo.lines().filter(|l| l.starts_with("processor")).count() as u64;
    let memory = line_of("/proc/meminfo").lines().next().and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
    object([
        ("date", said("date", &["-u", "+%FT%TZ"]).into()),
        ("host", kind().into()),
        ("cpu", format!("{} at {} MHz", field("model name"), field("cpu MHz")).into()),
        ("cpus", cpus.into()),
        ("memory_mib", memory.map(|kib| kib >> 10).into()),
        ("kernel", line_of("/proc/sys/kernel/osrelease").into()),
        ("load_average", line_of("/proc/loadavg").into()),
        ("commit", commit().into()),
        ("command", command.into()),
    ])
}
