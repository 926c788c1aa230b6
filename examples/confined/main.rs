//! A program that confines itself as serve does, and then does what serve does, and what only somebody would who has taken it over: for
//! `tests/confined.rs`. Arguments: a store, a folder that is not the store, and one call that ends the process, or nothing. Says what came of it.

use retrotap::config::{Config, Settings};
use retrotap::privilege;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::{Resource, Rlimit, getppid, getrlimit, prlimit, test_kill_process};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;

fn main() {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [store, outside, last] = &args[..] else { return };
    let config = Config { interfaces: vec!["lo".into()], store: Some(store.clone()), ..Config::default() };
    let settings = Settings::new(config).expect("settings");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let there = listener.local_addr().expect("its address");
    let parent = getppid();
    privilege::of_a_recorder();
    retrotap::record::confine_serve(&settings);
    // Threads are what answers.
    let tried = std::thread::scope(|scope| scope.spawn(|| last.to_str().is_some_and(ends)).join());
    assert!(!tried.expect("the thread"), "it went on");
    let says = |what: &str, done: io::Result<()>| match done {
        Ok(()) => println!("{what}: done"),
        Err(e) => println!("{what}: {}", Errno::from_io_error(&e).map_or(e.to_string(), |e| format!("{e:?}"))),
    };
    says("make", File::create(store.join("new")).map(drop));
    says("folder", std::fs::create_dir(store.join("folder")));
    says("move", std::fs::rename(store.join("new"), store.join("folder/new")));
    says("users", std::fs::read("/etc/passwd").map(drop));
    says("itself", Command::new("/proc/self/exe").status().map(drop));
    says("make outside", File::create(outside.join("new")).map(drop));
    says("read outside", std::fs::read(outside.join("secret")).map(drop));
    says("remove outside", std::fs::remove_file(outside.join("secret")));
    says("shell", Command::new("/bin/sh").args(["-c", "true"]).status().map(drop));
    says("connect", TcpStream::connect(there).map(drop));
    says("listen", TcpListener::bind("127.0.0.1:0").map(drop));
    let errno = |done: Result<(), Errno>| done.map_err(io::Error::from);
    says("signal", errno(parent.map_or(Ok(()), test_kill_process)));
    says("packets", errno(socket(AddressFamily::PACKET, SocketType::RAW, None).map(drop)));
    let limit: Rlimit = getrlimit(Resource::Nofile);
    says("limits of others", errno(prlimit(parent, Resource::Nofile, limit).map(drop)));
}

/// Makes a call that nobody in serve makes. Whoever returns from it, true, was let.
#[allow(unsafe_code)]
fn ends(call: &str) -> bool {
    match call {
        // SAFETY: with these arguments nothing happens to this process, or it ends.
        "ptrace" => drop(unsafe { libc::ptrace(libc::PTRACE_TRACEME) }),
        // SAFETY: a ring is made without memory of this process, or an error comes back.
        "ring" => drop(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, std::ptr::null::<u8>()) }),
        // SAFETY: the file table stays shared.
        "namespace" => drop(unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }),
        // SAFETY: a command without a program, which is an error.
        "bpf" => drop(unsafe { libc::syscall(libc::SYS_bpf, 0, std::ptr::null::<u8>(), 0) }),
        _ => return false,
    }
    true
}
