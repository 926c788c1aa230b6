//! A machine that does not give what is asked of it: no rights, no memory to lock, no io_uring, no room for the answer, an
//! address that is taken. Each is said, with the way out, or done without; what needs root says `skipped` without.
#![allow(unsafe_code)]

#[path = "common/mod.rs"]
mod common;

use common::Retrotap;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const RETROTAP: &str = env!("CARGO_BIN_EXE_retrotap");

/// A capture of `packets` broadcast frames.
fn capture(path: &Path, packets: u32) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    for n in 0..packets {
        for word in [1_700_000_000 + n, 0, 60, 60] {
            file.extend(word.to_le_bytes());
        }
        file.extend([0xff; 60]);
    }
    std::fs::write(path, file).expect("a capture");
}

/// Runs; exit code and standard error.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let out = command.output().expect("the binary runs");
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
}

/// An answer that does not reach its reader whole is no success, whichever command gave it.
#[test]
fn a_full_standard_output_is_a_failure() {
    let r = Retrotap::default();
    let path = r.dir().join("x.pcap");
    capture(&path, 10);
    let path = path.to_str().expect("a path");
    assert_eq!(r.run(&["record", "-r", path]).code, Some(0));
    let plan = ["record", "-r", path, "--plan"];
    for args in [
        &["info"][..],
        &["info", "--json"],
        &["verify"],
        &["query"],
        &["query", "--count"],
        &["query", "--json"],
        &plan,
        &["record", "-r", path],
        &["record", "-r", path, "--json"],
        &["doctor"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let (code, err) = run(Command::new(RETROTAP).args(args).env("RETROTAP_STORE", r.store()).stdout(full));
        assert_eq!(code, Some(3), "{args:?}: {err}");
        assert!(err.contains("standard output") && err.contains("No space left"), "{args:?}: {err}");
    }
    assert_eq!(r.run(&["query", "--count"]).text().trim(), "30", "what was recorded is there all the same");
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let r = Retrotap::default();
    for args in [&["man"][..], &["completions", "bash"], &["--help"], &["doctor", "--json"]] {
        let (read, write) = io::pipe().expect("a pipe");
        drop(read);
        let (code, err) = run(Command::new(RETROTAP).args(args).env("RETROTAP_STORE", r.store()).stdout(write));
        assert!(matches!(code, Some(0 | 1)), "{args:?}: {code:?} {err}");
    }
}

#[test]
fn a_pace_that_is_none_is_a_wrong_command_line() {
    let r = Retrotap::default();
    let path = r.dir().join("x.pcap");
    capture(&path, 10);
    for pace in ["0", "-1", "nan", "inf"] {
        let ran = r.run(&["record", "-r", path.to_str().expect("a path"), &format!("--pace={pace}")]);
        assert_eq!(ran.code, Some(2), "{pace}: {}", ran.err);
        assert!(ran.err.contains("--pace must be above 0"), "{pace}: {}", ran.err);
    }
    assert!(!r.store().exists(), "a store was made for nothing");
}

#[test]
fn a_metrics_address_that_is_none_or_taken() {
    let r = Retrotap::default();
    let path = r.dir().join("x.pcap");
    capture(&path, 10);
    let path = path.to_str().expect("a path");
    let ran = r.run(&["record", "-r", path, "--metrics", "9464"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("\"9464\" is no address") && ran.err.contains("HOST:PORT"), "{}", ran.err);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let ran = r.run(&["record", "-r", path, "--metrics", &address]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert!(ran.err.contains(&address) && ran.err.contains("choose another"), "{}", ran.err);
    assert!(!r.store().join("store.toml").exists(), "a store was made for nothing");
}

/// Refuses one system call to the process that calls it, and to what it becomes.
fn refuse(call: libc::c_long) -> io::Result<()> {
    let stmt = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // Loads the number of the call; that one fails with EPERM, all others go on.
    let mut program = [
        stmt(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt: 0, jf: 1, k: call as u32 },
        stmt(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        stmt(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: plain arguments; the program lives through the call, which copies it.
    let rc = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter)
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The binary without one system call.
fn without(call: libc::c_long) -> Command {
    let mut command = Command::new(RETROTAP);
    // SAFETY: between fork and exec only two system calls on memory of the closure's own are made.
    unsafe { command.pre_exec(move || refuse(call)) };
    command
}

#[test]
fn without_io_uring_a_thread_writes() {
    let r = Retrotap::default();
    let path = r.dir().join("x.pcap");
    capture(&path, 5000);
    let mut command = without(libc::SYS_io_uring_setup);
    let out = command
        .args(["record", "-r"])
        .arg(&path)
        .args(["--cutoff", "none", "--json", "--store"])
        .arg(r.store())
        .output()
        .expect("the binary runs");
    let err = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{err}");
    assert!(err.contains("io_uring is not allowed") && err.contains("helper thread"), "{err}");
    let last = String::from_utf8_lossy(&out.stdout).lines().last().unwrap_or_default().to_owned();
    let account: serde_json::Value = serde_json::from_str(&last).expect("JSON");
    common::check_account(&account);
    assert_eq!(account["durable"], 5000, "{account}");
}

/// A namespace with a veth pair, made by ip(8).
struct Tap(String);

impl Tap {
    /// `None`, and a word about it, without root.
    fn new(test: &str) -> Option<Tap> {
        let name = format!("rt-host-{test}-{}", std::process::id());
        let ip =
            |args: &str| Command::new("ip").args(args.split_whitespace()).output().is_ok_and(|o| o.status.success());
        if !ip(&format!("netns add {name}")) {
            eprintln!("skipped: {test}: no network namespace can be made here");
            return None;
        }
        let tap = Tap(name);
        let made = ip(&format!("-n {0} link add s0 type veth peer name t0", tap.0))
            && ip(&format!("-n {0} link set s0 up", tap.0))
            && ip(&format!("-n {0} link set t0 up", tap.0));
        assert!(made, "the pair");
        Some(tap)
    }

    /// A program in it.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).args(words);
        command
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// A place that every user may read and write, with the binary in it.
fn commons() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(dir.path(), mode).expect("permissions");
    let binary = dir.path().join("retrotap");
    std::fs::copy(RETROTAP, &binary).expect("a copy");
    (dir, binary)
}

#[test]
fn without_rights_the_way_to_them_is_said() {
    let Some(tap) = Tap::new("rights") else { return };
    let (dir, binary) = commons();
    let binary = binary.to_str().expect("a path");
    for source in ["xdp", "packet", "auto"] {
        let store = dir.path().join(source);
        let mut command = tap.command(&["setpriv", "--reuid", "65534", "--clear-groups", binary, "record", "-i", "t0"]);
        let (code, err) = run(command.args(["--duration", "1s", "--source", source, "--store"]).arg(&store));
        assert_eq!(code, Some(3), "{source}: {err}");
        assert!(err.contains("root") && err.contains("CAP_"), "{source}: {err}");
    }
}

#[test]
fn what_the_limit_on_locked_memory_forbids_is_said() {
    let Some(tap) = Tap::new("memlock") else { return };
    let (dir, binary) = commons();
    let mut words = vec!["prlimit", "--memlock=65536:65536", "setpriv", "--bounding-set=-ipc_lock,-sys_resource"];
    words.extend([binary.to_str().expect("a path"), "record", "-i", "t0", "--source", "xdp", "--duration", "1s"]);
    let (code, err) = run(tap.command(&words).arg("--store").arg(dir.path().join("s")));
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("locked memory") && err.contains("LimitMEMLOCK") && err.contains("CAP_IPC_LOCK"), "{err}");
}

/// A kernel without bpf(2), or one that keeps it to itself.
#[test]
fn without_bpf_the_way_out_is_said() {
    let Some(tap) = Tap::new("bpf") else { return };
    let (dir, _) = commons();
    let mut command = tap.command(&[RETROTAP, "record", "-i", "t0", "--source", "xdp", "--duration", "1s", "--store"]);
    // SAFETY: as in `without`.
    unsafe { command.pre_exec(|| refuse(libc::SYS_bpf)) };
    let (code, err) = run(command.arg(dir.path().join("s")));
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("CAP_BPF") && err.contains("retrotap doctor"), "{err}");
}

#[test]
fn more_workers_than_queues_are_left_out_and_it_is_said() {
    let Some(tap) = Tap::new("workers") else { return };
    let (dir, _) = commons();
    let args = [RETROTAP, "record", "-i", "t0", "--source", "xdp", "--workers", "4", "--duration", "1s", "--store"];
    let (code, err) = run(tap.command(&args).arg(dir.path().join("s")));
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("4 workers were asked for and 1 work") && err.contains("ethtool -L"), "{err}");
}

/// An import into a filesystem that has no room for a segment says so and how to go on, and does not wait for ever; a signal ends it with an account.
#[test]
fn an_import_into_a_full_filesystem_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let mount = |args: &[&str]| Command::new("mount").args(args).arg(dir.path()).status().is_ok_and(|s| s.success());
    if !mount(&["-t", "tmpfs", "-o", "size=16M", "tmpfs"]) {
        eprintln!("skipped: an_import_into_a_full_filesystem_ends: mounting a tmpfs needs root");
        return;
    }
    let captures = tempfile::tempdir().expect("a directory");
    let path = captures.path().join("x.pcap");
    // More than the buffers take, so that the files wait.
    capture(&path, 1_000_000);
    let import = |store: &str| {
        let mut command = Command::new(RETROTAP);
        command.args(["record", "--cutoff", "none", "-r"]).arg(&path);
        command.arg("--store").arg(dir.path().join(store));
        command
    };
    let (code, said) = run(&mut import("waits"));
    let whole = ["not all that was read could be stored", "No space left", "a segment takes", "--segment-size"];
    let ended = (code, whole.map(|w| said.contains(w)));
    let mut child = import("asked").stderr(std::process::Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("piped")));
    let told = lines.by_ref().map_while(Result::ok).any(|l| l.contains("no new segment can be made"));
    // SAFETY: the child has not been waited for, so that its number is still its own.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let asked = child.wait_with_output().map(|o| o.status.code());
    let _ = Command::new("umount").arg("-l").arg(dir.path()).status();
    assert_eq!(ended, (Some(1), [true; 4]), "{said}");
    assert!(told, "{rest:?}");
    assert_eq!(asked.ok().flatten(), Some(1), "{rest:?}");
    assert!(rest.iter().any(|l| l.contains("stopped before the end")), "{rest:?}");
}
