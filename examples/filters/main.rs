//! How long it takes to ask the filters of so many segments for one host that none has, and for two hosts that most have, but that have
//! nothing to do with each other. Called by `cargo xtask bench query`; the filters are those of a store of the lab mix, repeated until
//! they are enough, each copy in memory of its own. A JSON line for each kind of question.

use clap::Parser;
use retrotap::index::term::Term;
use retrotap::index::{Skip, read_filters};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Asks filters.
#[derive(Parser, Clone, Debug)]
struct Options {
    /// The store whose filters they are.
    #[arg(long)]
    store: PathBuf,
    /// Segments.
    #[arg(long, default_value_t = 10_000)]
    segments: usize,
    /// Questions of each kind.
    #[arg(long, default_value_t = 100)]
    questions: u32,
}

type Error = Box<dyn std::error::Error>;

/// FORMAT.md: lengths of heads and entries of the files of filters, and where an entry has the offsets of its filters.
const HEAD_BYTES: usize = 32;
const ENTRY_BYTES: usize = 104;
const HEAP_HEAD_BYTES: usize = 8;
const OFFSETS_AT: usize = 80;

fn main() -> Result<(), Error> {
    let options = Options::parse();
    let dir = options.store.join("filters-bench");
    std::fs::create_dir_all(&dir)?;
    let measured = many(&options, &dir).and_then(|()| measure(&options, &dir.join("filters")));
    let _ = std::fs::remove_dir_all(&dir);
    measured
}

/// Files of so many.
fn many(options: &Options, dir: &Path) -> Result<(), Error> {
    let few = read_filters(&options.store.join("filters")).0.len();
    if few == 0 {
        return Err(format!("{}: no filters", options.store.display()).into());
    }
    let copies = options.segments.div_ceil(few);
    let mut lengths = Vec::new();
    for name in ["filters-address", "filters-joint"] {
        let bytes = std::fs::read(options.store.join(name))?;
        let (head, filters) = bytes.split_at_checked(HEAP_HEAD_BYTES).ok_or("no head")?;
        std::fs::write(dir.join(name), [head, &filters.repeat(copies)].concat())?;
        lengths.push(filters.len() as u64);
    }
    let bytes = std::fs::read(options.store.join("filters"))?;
    let (head, entries) = bytes.split_at_checked(HEAD_BYTES).ok_or("no head")?;
    let mut out = head.to_vec();
    for copy in 0..copies as u64 {
        for entry in entries.chunks_exact(ENTRY_BYTES) {
            let mut entry = entry.to_vec();
            for (at, length) in entry[OFFSETS_AT..].chunks_exact_mut(8).zip(&lengths) {
                let moved = u64::from_le_bytes(at.try_into()?) + copy * length;
                at.copy_from_slice(&moved.to_le_bytes());
            }
            let sum = crc32c::crc32c(&entry[..ENTRY_BYTES - 4]);
            entry[ENTRY_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
            out.extend(entry);
        }
    }
    Ok(std::fs::write(dir.join("filters"), out)?)
}

fn measure(options: &Options, path: &Path) -> Result<(), Error> {
    let (mut all, _files) = read_filters(path);
    all.truncate(options.segments);
    // RFC 5737: nobody has them.
    let host = |n: u32| Term::Addr4(0xcb00_7100 + n);
    say(options, "host", &all, |n, s| s.may_have(host(n)), Skip::filter);
    // Clients of the lab mix, which talk to servers only.
    let client = |n: u32| Term::Addr4(0x0a00_0000 + n);
    let both = |n, s: &Skip| s.may_have(client(n)) && s.may_have(client(n + 1)) && s.may_join(client(n), client(n + 1));
    say(options, "pair", &all, both, Skip::joint);
    Ok(())
}

/// Asks, and prints a line. The first question also sums each filter.
fn say(
    options: &Options,
    question: &str,
    all: &[Skip],
    may: impl Fn(u32, &Skip) -> bool,
    filter: impl Fn(&Skip) -> Option<&[u8]>,
) {
    let (mut times, mut passed) = (Vec::new(), 0);
    for n in 0..options.questions {
        let started = Instant::now();
        passed += all.iter().filter(|s| may(n, s)).count();
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let bytes: usize = all.iter().map(|s| filter(s).map_or(0, <[u8]>::len)).sum();
    let first = times.remove(0);
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last()).copied();
    let line = serde_json::json!({
        "question": question, "segments": all.len(), "filter_bytes": bytes, "questions": options.questions, "passed": passed,
        "first_ms": first, "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0),
    });
    println!("{line}");
}
