//! The compiler's process: reads requests from its standard input, a socket, and answers there until the other side is gone. Owns what it may
//! use: it can open no file, hold no capability, and each request has processor time and memory of its own. It never sees a packet.

use super::inherited;
use super::wire::{self, Reply, Task};
use crate::filter::bpf::{self, Form};
use crate::filter::position;
use crate::limits::{FILTER_CPU_SECONDS, FILTER_MEMORY_BYTES, FILTER_STACK_BYTES};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use rustix::time::{ClockId, clock_gettime};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Runs until the socket is closed. What exceeds a limit ends the process: the other side sees by which signal.
pub fn serve() -> ExitCode {
    inherited::close();
    let Ok(socket) = std::io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    confine();
    // libpcap's optimiser calls itself for each block of the program: a stack that is used up shall be this one.
    let thread = std::thread::Builder::new().stack_size(FILTER_STACK_BYTES);
    let served = thread.spawn(move || answer(UnixStream::from(socket))).map(std::thread::JoinHandle::join);
    match served {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Gives up what no compiler needs. What can't be given up is no reason to compile nothing: the limits below hold in any case.
fn confine() {
    let limit = |resource, most| {
        let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    };
    limit(Resource::As, mapped() + FILTER_STACK_BYTES as u64 + FILTER_MEMORY_BYTES);
    limit(Resource::Core, 0);
    limit(Resource::Fsize, 0);
    // Standard input, output and error, the socket, and the pipe of the empty savefile that libpcap reads.
    limit(Resource::Nofile, 16);
    let none = CapabilitySet::empty();
    let _ = set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none });
    let _ = set_no_new_privs(true);
}

/// Addresses that this program takes before it does anything.
fn mapped() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = pages.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    pages * crate::memory::page_bytes() as u64
}

fn answer(mut socket: UnixStream) -> std::io::Result<()> {
    while let Some((what, link_type, expression)) = wire::asked(&mut socket)? {
        allow_time();
        let reply = match what {
            Task::Compile => compiled(&expression, link_type, Form::Optimised),
            Task::CompilePlain => compiled(&expression, link_type, Form::Plain),
            Task::Place => match position::of_error(&expression, link_type) {
                Some(place) => Reply::Place(place.offset, place.word.len()),
                None => Reply::Nowhere,
            },
        };
        wire::reply(&mut socket, &reply)?;
    }
    Ok(())
}

fn compiled(expression: &str, link_type: u16, form: Form) -> Reply {
    match bpf::compile(expression, link_type, form) {
        Ok(Ok(program)) => Reply::Program(program.bytes()),
        Ok(Err(message)) => Reply::Refused(message),
        Err(error) => Reply::Setup(error.reason()),
    }
}

/// The kernel ends the process when it has used so much more than now.
fn allow_time() {
    // The kernel counts whole seconds: what is used of the present one is on top.
    let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec as u64 + 1;
    let _ = setrlimit(Resource::Cpu, Rlimit { current: Some(used + FILTER_CPU_SECONDS), maximum: None });
}
