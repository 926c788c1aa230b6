//! What serve has bound itself to holds: a program that binds itself in the same way (`examples/confined`) does what serve does, and is refused what
//! whoever takes it over would do next.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_retrotap")).with_file_name("examples").join("confined");
    assert!(path.exists(), "{} is not built: cargo build --example confined", path.display());
    path
}

/// Runs it in a store, beside a folder with a secret; both are there until the output is dropped.
fn run(last: &str) -> (Output, tempfile::TempDir) {
    // Not below what everybody reads.
    let dir = tempfile::tempdir().expect("a folder");
    let (store, outside) = (dir.path().join("store"), dir.path().join("outside"));
    [&store, &outside].into_iter().for_each(|folder| std::fs::create_dir(folder).expect("a folder"));
    std::fs::write(outside.join("secret"), "a secret").expect("a secret");
    let out = Command::new(program()).args([store.as_os_str(), outside.as_os_str(), last.as_ref()]).output();
    (out.expect("the program"), dir)
}

#[test]
fn whoever_takes_serve_over_reaches_its_store_and_nothing_else() {
    let (out, dir) = run("");
    let (said, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{}: {said}{errors}", out.status);
    let came = |what: &str| said.lines().find_map(|l| l.strip_prefix(&format!("{what}: "))).unwrap_or("nothing");
    for what in ["make", "folder", "move", "users", "itself"] {
        assert_eq!(came(what), "done", "{what}: {said}");
    }
    for what in ["packets", "limits of others"] {
        assert!(came(what).contains("code: 1,"), "{what} is not EPERM: {said}");
    }
    match retrotap::privilege::landlock() {
        Some(version) if version >= 6 => {}
        version => return println!("skipped: files, ports and signals: Landlock of this kernel is {version:?}"),
    }
    for what in ["make outside", "read outside", "remove outside", "shell", "connect", "listen"] {
        assert!(came(what).contains("code: 13,"), "{what} is not EACCES: {said}");
    }
    assert!(came("signal").contains("code: 1,"), "a signal is not EPERM: {said}");
    assert!(dir.path().join("outside/secret").exists());
}

#[test]
fn what_nobody_in_serve_calls_ends_it() {
    const SIGSYS: i32 = 31;
    for call in ["ptrace", "ring", "namespace", "bpf"] {
        let (out, _dir) = run(call);
        assert_eq!(out.status.signal(), Some(SIGSYS), "{call}: {}", String::from_utf8_lossy(&out.stderr));
    }
}
