//! Loads the programs, fills the tables, runs, reads the account. All `unsafe` of the generator is here.
#![allow(unsafe_code)]

use super::Options;
use super::mix::Start;
use super::trace;
use super::truth::{Tally, Truth, WarmUp};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags, ProgramInput};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[allow(missing_docs, dead_code, clippy::all, clippy::undocumented_unsafe_blocks)]
mod skel {
    include!(concat!(env!("OUT_DIR"), "/load.skel.rs"));
}

/// The pace of the warm-up.
const WARM_GBPS: f64 = 5.0;
/// BPF_F_TEST_XDP_LIVE_FRAMES
const LIVE_FRAMES: u32 = 1 << 1;

impl From<skel::types::load_tally> for Tally {
    fn from(t: skel::types::load_tally) -> Tally {
        Tally { packets: t.packets, bytes: t.bytes }
    }
}

/// Offers the load and returns the account.
pub fn run(options: &Options) -> Result<Truth, Box<dyn std::error::Error>> {
    // Not from /sys, which shows the network namespace that it was mounted in.
    let asking = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    let index = |name: &String| {
        rustix::net::netdevice::name_to_index(&asking, name).map_err(|e| format!("interface {name}: {e}"))
    };
    let interfaces = options.iface.iter().map(index).collect::<Result<Vec<_>, _>>()?;
    if interfaces.len() > 2 {
        return Err("--iface at most twice: a direction each".into());
    }
    let start = options.start()?;

    let mut storage = MaybeUninit::uninit();
    let frames = match &options.trace {
        Some(path) => trace::read(path, options.times.unwrap_or(1.0))?,
        None => Vec::new(),
    };
    let mut open = skel::LoadSkelBuilder::default().open(&mut storage)?;
    open.maps.trace.set_max_entries(frames.len().max(1) as u32)?;
    let mut loaded = open.load()?;
    fill(&mut loaded, options, &interfaces, &start);
    fill_trace(&loaded, &frames)?;
    if let Some(bss) = loaded.maps.bss_data.as_mut() {
        bss.frames = frames.len() as u32;
    }
    let _traces = [loaded.progs.transmitted.attach()?, loaded.progs.not_queued.attach()?];
    let mut ends: Vec<Link> = Vec::new();
    let pass = options.pass.iter().map(index).collect::<Result<Vec<_>, _>>()?;
    for &i in interfaces.iter().chain(&pass) {
        ends.push(loaded.progs.pass.attach_xdp(i as i32)?);
    }
    for name in &options.sink {
        ends.push(loaded.progs.sink.attach_xdp(index(name)? as i32)?);
    }

    let stop = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGALRM, libc::SIGINT, libc::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    // A load that other programs keep from its pace is none. Without the right to it, it goes on as it is.
    let _ = rustix::process::setpriority_process(None, -15);
    hop(options);
    let begin = monotonic_ns() + 1_000_000;
    let warm_up = (options.warm_up * 1e9) as u64;
    let length = (options.seconds * 1e9) as u64;
    {
        let bss = loaded.maps.bss_data.as_mut().expect("the program has data");
        bss.netns = rustix::fs::stat("/proc/self/ns/net")?.st_ino as u32;
        bss.start_ns = begin;
        bss.end_ns = begin + warm_up + length;
        bss.warm_ns = if warm_up > 0 { begin + warm_up } else { 0 };
        bss.warm_pace = pace(WARM_GBPS);
    }
    // A limit on packets is looked at between the calls.
    let repeat = if options.packets.is_some() { 1 << 18 } else { 1 << 30 };
    alarm(Duration::from_nanos(warm_up + length + 2_000_000))?;
    while !stop.load(Ordering::Relaxed) {
        let input = ProgramInput { data_in: Some(&start.frame), repeat, flags: LIVE_FRAMES, ..ProgramInput::default() };
        let program = if frames.is_empty() { &mut loaded.progs.load } else { &mut loaded.progs.replay };
        match program.test_run(input) {
            Err(e) if e.kind() != libbpf_rs::ErrorKind::Interrupted => return Err(Box::new(e)),
            _ => {}
        }
        let attempted = loaded.maps.bss_data.as_ref().map_or(0, |bss| bss.attempted.packets);
        if options.packets.is_some_and(|limit| attempted >= limit) {
            break;
        }
    }
    let begin = begin + warm_up;
    let elapsed = (monotonic_ns().min(begin + length).saturating_sub(begin)) as f64 / 1e9;
    // Frames that the peer's NAPI has yet to poll.
    std::thread::sleep(Duration::from_millis(20));

    let bss = loaded.maps.bss_data.as_ref().expect("the program has data");
    if bss.untold != 0 {
        return Err(format!("{} transmissions could not be matched with packets", bss.untold).into());
    }
    let offered = Tally::from(bss.offered);
    let warm = Tally::from(bss.warm);
    Ok(Truth {
        mix: options.name(),
        seed: options.seed,
        interfaces: options.iface.clone(),
        elapsed_s: elapsed,
        warm_up: (warm_up > 0).then(|| WarmUp { offered: warm, kept: bss.warm_kept.into(), begun: bss.warm_begun }),
        attempted: bss.attempted.into(),
        offered,
        refused: bss.refused.into(),
        failed: bss.failed.into(),
        connections: frames.is_empty().then_some(bss.connections),
        begun: frames.is_empty().then_some(bss.begun),
        cutoff: options.cutoff,
        kept: frames.is_empty().then(|| bss.kept.into()),
        gbps: (offered.bytes - warm.bytes) as f64 * 8.0 / elapsed / 1e9,
        mpps: (offered.packets - warm.packets) as f64 / elapsed / 1e6,
        slipped_s: bss.slipped_ns as f64 / 1e9,
        sunk: (!options.sink.is_empty()).then(|| bss.sunk.into()),
    })
}

/// Fills the program's tables.
fn fill(loaded: &mut skel::LoadSkel<'_>, options: &Options, interfaces: &[u32], start: &Start) {
    let bss = loaded.maps.bss_data.as_mut().expect("the program has data");
    for (to, s) in bss.shapes.iter_mut().zip(&start.shapes) {
        to.packets = s.packets;
        to.request = s.request;
        to.data = s.data;
        to.last = s.last;
        to.port = s.port;
        to.proto = if s.udp { 17 } else { 6 };
        to.flags = u8::from(s.v6) | u8::from(s.upload) << 1;
        to.train = s.train;
    }
    for (to, c) in bss.conns.iter_mut().zip(&start.conns) {
        to.serial = c.serial;
        to.shape = c.shape;
        to.step = c.step;
        to.seq = c.seq;
    }
    for (to, sum) in bss.payload_sums.iter_mut().zip(&start.sums) {
        *to = *sum;
    }
    bss.next_serial = start.next_serial;
    bss.conns_mask = start.conns.len() as u32 - 1;
    bss.rng = start.random.0;
    bss.cutoff = options.cutoff;
    bss.limit = options.packets.unwrap_or(0);
    bss.ifindex = [interfaces[0], interfaces[interfaces.len() - 1]];
    bss.paced = u32::from(options.gbps.is_some() || options.times.is_some());
    bss.pace = options.gbps.map_or(0, pace);
}

/// ns a byte << 20.
fn pace(gbps: f64) -> u64 {
    (8.0 / gbps * f64::from(1 << 20)) as u64
}

/// Fills the map with the frames of a trace.
fn fill_trace(loaded: &skel::LoadSkel<'_>, frames: &[trace::Frame]) -> Result<(), Box<dyn std::error::Error>> {
    const BATCH: usize = 4096;
    for (n, batch) in frames.chunks(BATCH).enumerate() {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (i, frame) in batch.iter().enumerate() {
            let mut value = [0u8; size_of::<skel::types::load_frame>()];
            value[..8].copy_from_slice(&frame.gap_ns.to_ne_bytes());
            value[8..10].copy_from_slice(&(frame.data.len() as u16).to_ne_bytes());
            value[10..12].copy_from_slice(&[u8::from(frame.reverse), frame.addresses.len() as u8]);
            for (to, &at) in value[12..24].chunks_exact_mut(2).zip(&frame.addresses) {
                to.copy_from_slice(&(at as u16).to_ne_bytes());
            }
            value[24..24 + frame.data.len()].copy_from_slice(&frame.data);
            keys.extend(((n * BATCH + i) as u32).to_ne_bytes());
            values.extend(value);
        }
        loaded.maps.trace.update_batch(&keys, &values, batch.len() as u32, MapFlags::ANY, MapFlags::ANY)?;
    }
    Ok(())
}

/// Moves this thread from CPU to CPU while it runs.
fn hop(options: &Options) {
    let cpus = options.cpu.clone();
    let Some(&first) = cpus.first() else { return };
    let thread = rustix::thread::gettid();
    let to = move |cpu: usize| {
        let mut set = rustix::thread::CpuSet::new();
        set.set(cpu);
        if let Err(e) = rustix::thread::sched_setaffinity(Some(thread), &set) {
            eprintln!("load: CPU {cpu}: {e}");
        }
    };
    to(first);
    if cpus.len() > 1 {
        let pause = Duration::from_millis(options.hop_ms.max(1));
        std::thread::spawn(move || {
            for &cpu in cpus.iter().cycle() {
                to(cpu);
                std::thread::sleep(pause);
            }
        });
    }
}

fn monotonic_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// SIGALRM after this time, and again each 50 ms in case it came between two system calls.
fn alarm(after: Duration) -> std::io::Result<()> {
    let timer = libc::itimerval {
        it_interval: libc::timeval { tv_sec: 0, tv_usec: 50_000 },
        it_value: libc::timeval { tv_sec: after.as_secs() as i64, tv_usec: i64::from(after.subsec_micros().max(1)) },
    };
    // SAFETY: the first pointer is to a valid itimerval for the time of the call, the second may be null.
    if unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}
