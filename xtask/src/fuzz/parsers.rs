//! Parsers of bytes from outside, tried by cargo-fuzz: libFuzzer, AddressSanitizer, one build of the workspace's development profile. Owns which there are and how
//! much of each the tests try; builds them, has their first inputs written, runs them side by side, and reports. What was found stays below
//! `target/fuzz/found`, with the inputs that are worth keeping below `target/fuzz/corpus`.

use crate::{setup, shell, term};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// What is tried.
pub struct Parser {
    pub name: &'static str,
    pub about: &'static str,
    /// Executions in the tests: some seconds of each.
    runs: u64,
    /// Longest input, bytes.
    longest: u32,
}

const fn parser(name: &'static str, runs: u64, longest: u32, about: &'static str) -> Parser {
    Parser { name, about, runs, longest }
}

/// All of them, as `fuzz/Cargo.toml` has them.
pub const PARSERS: [Parser; 25] = [
    parser("packet", 100_000, 2048, "packets: connection, layers, against a second parser"),
    parser("view", 20_000, 2048, "packets as an index sees them, against libpcap"),
    parser("capture", 5000, 16_384, "pcap and pcapng, against libpcap"),
    parser("segment", 500, 65_536, "segments, sealed and not, and the index made of them"),
    parser("index", 10_000, 16_384, "indexes"),
    parser("filters", 10_000, 16_384, "files of filters"),
    parser("receipts", 1500, 16_384, "receipts and their side files"),
    parser("ledger", 300, 16_384, "the ledger's files"),
    parser("store", 60, 65_536, "a store of which one file is not what was written"),
    parser("records", 3000, 16_384, "orders, tokens, holds, manifests"),
    parser("config", 5000, 8192, "configuration"),
    parser("tm_conf", 5000, 8192, "configuration of the original Time Machine"),
    parser("lang", 500, 256, "the query language, against libpcap"),
    parser("words", 20_000, 512, "sizes, times, addresses, connections"),
    parser("conn_log", 5000, 8192, "Zeek's conn.log"),
    parser("nids_eve", 10_000, 8192, "Suricata's EVE"),
    parser("nids_zeek", 10_000, 8192, "messages of Zeek"),
    parser("nids_rules", 3000, 8192, "rules for alerts"),
    parser("frames", 50_000, 4096, "frames of the API's stream"),
    parser("messages", 20_000, 32_768, "messages between capture and serve"),
    parser("cursor", 20_000, 8192, "where a follower stands, as a client hands it back"),
    parser("splice", 10_000, 8192, "a follower's streams, made one file"),
    parser("programs", 50_000, 4096, "replies of the filter compiler, and its programs"),
    parser("scrape", 5000, 8192, "the metrics endpoint"),
    parser("api", 300, 8192, "the API: HTTP and bodies, through the server"),
];

/// How much is tried.
#[derive(Clone, Copy)]
pub enum Amount {
    /// Executions of each.
    Runs(u64),
    /// Time of all together.
    Seconds(u64),
}

const FOLDER: &str = "target/fuzz";
/// An input that takes longer hangs: most take microseconds, the longest some hundred milliseconds.
const HANGS: Duration = Duration::from_secs(60);
/// In the tests a target has failed after this.
const TEST_MAX: Duration = Duration::from_secs(600);
/// Memory of a target, and of one allocation, MiB: the recorder in `api` has 200, AddressSanitizer doubles it.
const MEMORY: u32 = 2048;
const ALLOCATION: u32 = 512;
/// What libFuzzer looks for itself is left to it, and what a server's threads hold at the end is no leak.
const ASAN: &str = "detect_odr_violation=0:detect_leaks=0:allocator_may_return_null=1";
/// After so many findings a target is left alone: mostly they are the same.
const FINDINGS: usize = 3;

/// What came of a target.
#[derive(Default)]
struct Report {
    executions: u64,
    coverage: u64,
    corpus: u64,
    memory: u64,
    /// Inputs that were found, each with what was said.
    findings: Vec<(PathBuf, String)>,
}

/// In the tests: a bounded number of executions of each from the same seed. The error is what was found; `Ok(Err)`: why they can't be tried.
pub fn test() -> Result<Result<u64, String>, String> {
    if let Err(why) = ready() {
        return Ok(Err(why));
    }
    build()?;
    let reports = side_by_side(&PARSERS.iter().collect::<Vec<_>>(), &|p| Job {
        parser: p,
        amount: Amount::Runs(p.runs),
        seed: 1,
        keep: false,
    })?;
    match found(&reports) {
        None => Ok(Ok(PARSERS.len() as u64)),
        Some(findings) => Err(findings),
    }
}

/// By the command: each of these, and a table.
pub fn run(parsers: &[&Parser], amount: Amount, seed: u64) -> Result<(), String> {
    ready()?;
    build()?;
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get()) as u64;
    let each = match amount {
        Amount::Runs(n) => Amount::Runs(n),
        Amount::Seconds(all) => Amount::Seconds((all * cpus.min(parsers.len() as u64) / parsers.len() as u64).max(1)),
    };
    println!("fuzz: {} targets from seed {seed}", parsers.len());
    let reports = side_by_side(parsers, &|parser| Job { parser, amount: each, seed, keep: true })?;
    println!("\n{}", term::bold("target         executions  coverage   corpus  memory  findings"));
    for (p, r) in &reports {
        let line = [r.executions, r.coverage, r.corpus].map(|n| n.to_string());
        println!(
            "{:12} {:>12} {:>9} {:>8} {:>4} MiB {:>9}",
            p.name,
            line[0],
            line[1],
            line[2],
            r.memory,
            r.findings.len()
        );
    }
    found(&reports).map_or(Ok(()), Err)
}

/// All findings with what repeats them.
fn found(reports: &[(&Parser, Report)]) -> Option<String> {
    let one = |(p, r): &(&Parser, Report)| {
        let each = r.findings.iter().map(|(path, said)| {
            format!("{}: {}\n  again: {} {}\n", p.name, said.trim(), program(p).display(), path.display())
        });
        each.collect::<String>()
    };
    let all: String = reports.iter().map(one).collect();
    if all.is_empty() { None } else { Some(all) }
}

/// Whether there is what builds them; the error says what is missing.
fn ready() -> Result<(), String> {
    match (shell::find("cargo-fuzz"), shell::find("c++")) {
        (Some(_), Some(_)) => Ok(()),
        (None, _) => Err(format!("cargo-fuzz is missing: cargo install --locked {}", setup::CARGO_FUZZ)),
        (_, None) => Err("no C++ compiler (g++): libFuzzer is C++".into()),
    }
}

/// Builds all targets, and has their first inputs written.
fn build() -> Result<(), String> {
    // AddressSanitizer is no stable option of the compiler yet; what it instruments is stable.
    shell::output(Command::new("cargo").args(["fuzz", "build", "--dev"]).env("RUSTC_BOOTSTRAP", "1"))?;
    let seeds = std::env::current_dir().map_err(|e| e.to_string())?.join(FOLDER).join("seeds");
    let _ = fs::remove_dir_all(&seeds);
    for p in &PARSERS {
        let mut write = Command::new(program(p));
        shell::output(write.env("RETROTAP_FUZZ_SEEDS", seeds.join(p.name)).env("ASAN_OPTIONS", ASAN))?;
    }
    Ok(())
}

/// Where cargo-fuzz leaves a target's program.
fn program(p: &Parser) -> PathBuf {
    Path::new("target").join(format!("{}-unknown-linux-gnu/debug", std::env::consts::ARCH)).join(p.name)
}

/// One target's run.
struct Job<'a> {
    parser: &'a Parser,
    amount: Amount,
    seed: u64,
    /// Inputs that are worth keeping stay for the next time.
    keep: bool,
}

/// Runs each, as many at a time as there are processors; in the order of the list.
fn side_by_side<'a>(
    parsers: &[&'a Parser],
    job: &(dyn Fn(&'a Parser) -> Job<'a> + Sync),
) -> Result<Vec<(&'a Parser, Report)>, String> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(parsers.len()) {
            scope.spawn(|| {
                loop {
                    // From the end: the last of the list takes longest, and is not left alone with one processor.
                    let n = next.fetch_add(1, Relaxed);
                    let Some((n, &parser)) = parsers.iter().enumerate().rev().nth(n) else { return };
                    let report = job(parser).run();
                    done.lock().unwrap_or_else(|e| e.into_inner()).push((n, parser, report));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(|e| e.into_inner());
    done.sort_by_key(|(n, ..)| *n);
    done.into_iter().map(|(_, parser, report)| Ok((parser, report?))).collect()
}

impl Job<'_> {
    fn run(&self) -> Result<Report, String> {
        let name = self.parser.name;
        let folder = |what: &str| Path::new(FOLDER).join(what).join(name);
        let [corpus, found, scratch] = ["corpus", "found", "scratch"].map(folder);
        if !self.keep {
            let _ = fs::remove_dir_all(&found);
        }
        let corpus = if self.keep { corpus } else { scratch.join("corpus") };
        let _ = fs::remove_dir_all(&scratch);
        for dir in [&corpus, &found, &scratch] {
            fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        let (mut report, mut left) = (Report::default(), self.amount);
        for n in 0..FINDINGS as u64 {
            let start = std::time::Instant::now();
            let log = Path::new(FOLDER).join(format!("{name}.log"));
            let good = self.once(left, self.seed + n, &log, [&corpus, &found, &scratch])?;
            let said = fs::read(&log).map_err(|e| format!("{}: {e}", log.display()))?;
            let said = String::from_utf8_lossy(&said);
            let before = report.executions;
            report.read(&said);
            if good {
                break;
            }
            report.findings.push(finding(&said, &log));
            left = match left {
                Amount::Runs(n) => Amount::Runs(n.saturating_sub(report.executions - before)),
                Amount::Seconds(n) => Amount::Seconds(n.saturating_sub(start.elapsed().as_secs())),
            };
            if matches!(left, Amount::Runs(0) | Amount::Seconds(0)) || !self.keep {
                break;
            }
        }
        let _ = fs::remove_dir_all(&scratch);
        Ok(report)
    }

    /// True: nothing was found.
    fn once(
        &self,
        amount: Amount,
        seed: u64,
        log: &Path,
        [corpus, found, scratch]: [&PathBuf; 3],
    ) -> Result<bool, String> {
        let file = fs::File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = file.try_clone().map_err(|e| e.to_string())?;
        let absolute = |p: &Path| p.canonicalize().map_err(|e| format!("{}: {e}", p.display()));
        let mut command = Command::new(program(self.parser));
        command
            .arg(corpus)
            .args(
                [
                    Path::new(FOLDER).join("seeds").join(self.parser.name),
                    Path::new("fuzz/found").join(self.parser.name),
                ]
                .iter()
                .filter(|p| p.is_dir()),
            )
            .arg(match amount {
                Amount::Runs(n) => format!("-runs={n}"),
                Amount::Seconds(n) => format!("-max_total_time={n}"),
            })
            .arg(format!("-seed={}", seed % u64::from(u32::MAX)))
            .arg(format!("-max_len={}", self.parser.longest))
            .arg(format!("-timeout={}", HANGS.as_secs()))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .arg(format!("-malloc_limit_mb={ALLOCATION}"))
            .arg(format!("-artifact_prefix={}/", absolute(found)?.display()))
            .args(["-print_final_stats=1", "-detect_leaks=0"])
            .env("ASAN_OPTIONS", ASAN)
            .env("TMPDIR", absolute(scratch)?)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors);
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", shell::text(&command)))?;
        match amount {
            Amount::Runs(_) if !self.keep => match shell::wait(&mut child, TEST_MAX)? {
                shell::End::Itself(good) => Ok(good),
                shell::End::Killed(threads) => {
                    Err(format!("{} did not end within {} s:\n{threads}", self.parser.name, TEST_MAX.as_secs()))
                }
            },
            _ => child.wait().map(|s| s.success()).map_err(|e| e.to_string()),
        }
    }
}

impl Report {
    /// What libFuzzer says at its end, and last of its coverage.
    fn read(&mut self, said: &str) {
        let number =
            |text: Option<&str>| text.and_then(|t| t.trim().split(['/', ' ']).next()?.parse::<u64>().ok()).unwrap_or(0);
        let stat = |name: &str| number(said.lines().find_map(|l| l.strip_prefix(name)));
        let last = said.lines().rfind(|l| l.starts_with('#') && l.contains(" cov: ")).unwrap_or_default();
        let of = |name: &str| number(last.split(name).nth(1));
        let ran = stat("stat::number_of_executed_units:")
            .max(number(last.strip_prefix('#').and_then(|l| l.split_whitespace().next())));
        self.executions += ran;
        self.coverage = self.coverage.max(of(" cov: "));
        self.corpus = self.corpus.max(of(" corp: "));
        self.memory = self
            .memory
            .max(stat("stat::peak_rss_mb:"))
            .max(number(last.split(" rss: ").nth(1).map(|r| r.trim_end_matches("Mb"))));
    }
}

/// The input that was found, and what was said of it.
fn finding(said: &str, log: &Path) -> (PathBuf, String) {
    let path =
        said.lines().find_map(|l| l.split("Test unit written to ").nth(1)).unwrap_or("no input was written").trim();
    let worth =
        |l: &&str| l.contains("panicked at") || l.contains("SUMMARY:") || l.contains("ERROR:") || l.contains("Killed");
    let mut lines = Vec::new();
    let mut all = said.lines().peekable();
    while let Some(line) = all.next() {
        if worth(&line) {
            lines.push(line.trim());
            // What a panic says stands on the next line.
            lines.extend(all.peek().filter(|_| line.contains("panicked at")).map(|l| l.trim()));
        }
    }
    lines.dedup();
    let text: String = lines.iter().take(6).map(|l| l.chars().take(300).collect::<String>() + "; ").collect();
    (path.into(), format!("{text}(all of it: {})", log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_that_of_the_package() {
        let manifest = include_str!("../../../fuzz/Cargo.toml");
        let bins: Vec<&str> =
            manifest.split("[[bin]]\nname = \"").skip(1).filter_map(|b| b.split('"').next()).collect();
        assert_eq!(bins, PARSERS.map(|p| p.name));
    }

    #[test]
    fn what_libfuzzer_says_is_read() {
        let mut r = Report::default();
        r.read(
            "#2\tINITED cov: 11 ft: 12 corp: 1/1b exec/s: 0 rss: 40Mb\n\
             #4096\tpulse  cov: 20 ft: 30 corp: 7/90b lim: 4 exec/s: 2048 rss: 64Mb\n\
             #5000\tDONE   cov: 21 ft: 31 corp: 8/99b lim: 4 exec/s: 2500 rss: 65Mb\n\
             stat::number_of_executed_units: 5000\nstat::peak_rss_mb:              66\n",
        );
        assert_eq!((r.executions, r.coverage, r.corpus, r.memory), (5000, 21, 8, 66));
        let said = "thread '<unnamed>' panicked at src/x.rs:5:1:\nindex out of bounds\nSUMMARY: libFuzzer: deadly signal\n\
                    artifact_prefix='f/'; Test unit written to f/crash-1\n";
        let (path, text) = finding(said, Path::new("x.log"));
        assert_eq!(path, Path::new("f/crash-1"));
        assert!(text.contains("index out of bounds") && text.contains("deadly signal"), "{text}");
    }
}
