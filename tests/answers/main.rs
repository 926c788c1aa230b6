//! The differential test of answers: seeded histories of a store are asked the same questions at every stage of their life, by every way in;
//! the answers must be those of libpcap over what the history says was stored, or incomplete with the true reason.
//!
//! `RETROTAP_ANSWERS_HISTORIES` says how many (some, unless it is set), `RETROTAP_ANSWERS_SEED` the first seed, `RETROTAP_ANSWERS_SCALE` the hundredths
//! of its packets that each has, `RETROTAP_ANSWERS_DIR` where the stores are (`/dev/shm` where there is one). `cargo xtask fuzz answers` sets them.

#[path = "../oracle/mod.rs"]
mod oracle;
#[path = "../product/mod.rs"]
mod product;

mod asking;
mod compare;
mod configured;
mod dice;
mod history;
mod judge;
mod life;
mod mishaps;
mod model;
mod packets;
mod pcapng;
mod questions;
mod queue;
mod reasons;
mod segments;
mod totals;
mod ways;

use compare::Kind;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Nothing here takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Histories unless said otherwise.
const HISTORIES: u64 = 600;
/// Findings that are printed, of each kind.
const SHOWN: usize = 12;
/// Histories with findings that are tried with fewer packets and printed.
const SHRUNK: usize = 5;
/// Kinds that are not looked at yet.
const LATER: &[Kind] = &[];

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text:?}")),
        Err(_) => default,
    }
}

/// Where stores are fast.
fn root() -> PathBuf {
    let named = std::env::var_os("RETROTAP_ANSWERS_DIR").map(PathBuf::from);
    let memory = PathBuf::from("/dev/shm");
    named.unwrap_or_else(|| if memory.is_dir() { memory } else { std::env::temp_dir() })
}

/// One history; what went wrong in it, a panic too.
fn one(seed: u64, scale: u64) -> life::Report {
    let dir = tempfile::Builder::new().prefix("rt-").tempdir_in(root()).expect("a directory");
    let run = || life::live(&history::History::new(seed, scale), dir.path());
    std::panic::catch_unwind(run).unwrap_or_else(|e| {
        let text = e.downcast_ref::<String>().cloned().or_else(|| e.downcast_ref::<&str>().map(|s| s.to_string()));
        life::Report {
            findings: vec![(Kind::Recording, format!("seed {seed}: panic: {}", text.unwrap_or_default()))],
            ..Default::default()
        }
    })
}

fn seed_of(text: &str) -> u64 {
    let number = text.trim_start_matches("seed ").split([',', ':']).next();
    number.and_then(|n| n.parse().ok()).expect("a finding begins with its seed")
}

/// With how few of its packets a history still goes wrong: half, a quarter and so on.
fn shrunk(seed: u64, mut scale: u64) -> u64 {
    let wrong = |scale| one(seed, scale).findings.iter().any(|(kind, _)| !LATER.contains(kind));
    while scale > 1 && wrong(scale / 2) {
        scale /= 2;
    }
    scale
}

#[test]
fn every_answer_is_equal_or_says_truly_what_is_missing() {
    let (first, histories) = (number("RETROTAP_ANSWERS_SEED", 1), number("RETROTAP_ANSWERS_HISTORIES", HISTORIES));
    let scale = number("RETROTAP_ANSWERS_SCALE", 100);
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get()) * 5;
    let (next, done, questions, packets) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let (findings, bad) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    let start = Instant::now();
    let (told, untold) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Relaxed);
                    if n >= histories {
                        break;
                    }
                    let mut report = one(first + n, scale);
                    report.findings.retain(|(kind, _)| !LATER.contains(kind));
                    if report.without_tcpdump && !untold.swap(true, Relaxed) {
                        println!("not compared with tcpdump itself: it is not installed");
                    }
                    questions.fetch_add(report.questions, Relaxed);
                    packets.fetch_add(report.packets, Relaxed);
                    bad.fetch_add(usize::from(!report.findings.is_empty()), Relaxed);
                    findings.lock().expect("findings").extend(report.findings);
                    let done = done.fetch_add(1, Relaxed) + 1;
                    let seconds = start.elapsed().as_secs();
                    if seconds >= told.load(Relaxed) + 10 {
                        told.store(seconds, Relaxed);
                        println!("{done} of {histories} histories, {} with findings, {seconds} s", bad.load(Relaxed));
                    }
                }
            });
        }
    });
    let findings = findings.into_inner().expect("findings");
    println!(
        "{histories} histories from seed {first}: {} packets, {} questions, {} findings in {} histories, {:.1} s",
        packets.into_inner(),
        questions.into_inner(),
        findings.len(),
        bad.load(Relaxed),
        start.elapsed().as_secs_f64()
    );
    let mut kinds: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    findings.iter().for_each(|(kind, text)| kinds.entry(*kind).or_default().push(text.clone()));
    for (kind, texts) in &kinds {
        println!("{kind:?}: {}", texts.len());
        texts.iter().take(SHOWN).for_each(|text| println!("  {text}"));
    }
    let mut seeds: Vec<u64> = findings.iter().map(|(_, text)| seed_of(text)).collect();
    seeds.sort_unstable();
    seeds.dedup();
    for &seed in seeds.iter().take(SHRUNK) {
        let scale = shrunk(seed, scale);
        println!(
            "again: RETROTAP_ANSWERS_SEED={seed} RETROTAP_ANSWERS_HISTORIES=1 RETROTAP_ANSWERS_SCALE={scale} cargo test --test answers"
        );
        println!("{}", history::History::new(seed, scale));
    }
    assert!(findings.is_empty(), "{} findings in {} histories of {histories}", findings.len(), bad.into_inner());
}
