//! `cargo xtask test`: every check of the repository, one line each, a closing table, and as last line
//! `N passed, N failed, N skipped`. A test that prints a line beginning `skipped: ` counts as skipped, not as passed.

use crate::json::Value;
use crate::{bench, deny, fuzz, setup, shell, term, tidy};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A step that takes longer than this has failed.
const STEP_MAX: Duration = Duration::from_secs(600);
/// Of what a failed test binary said, so much is shown.
const REPORT_LINES: usize = 60;
const LOGS: &str = "target/test-logs";

/// What came of one step.
#[derive(Default)]
struct Outcome {
    passed: u64,
    failed: u64,
    /// Names and reasons.
    skipped: Vec<String>,
    /// What to show when something failed.
    report: String,
}

impl Outcome {
    fn of(result: Result<(), String>) -> Outcome {
        match result {
            Ok(()) => Outcome { passed: 1, ..Outcome::default() },
            Err(report) => Outcome { failed: 1, report, ..Outcome::default() },
        }
    }
}

struct Step {
    name: String,
    outcome: Outcome,
    took: Duration,
}

/// Runs all steps, or those whose name contains one of `words`; an error when one failed.
pub fn run(install: bool, words: &[&str]) -> Result<(), String> {
    let wanted = |name: &str| words.is_empty() || words.iter().any(|w| name.contains(w));
    setup::ensure(setup::Scope::Test, install)?;
    fs::create_dir_all(LOGS).map_err(|e| format!("{LOGS}: {e}"))?;
    let mut steps = Vec::new();
    let mut step = |name: &str, work: &mut dyn FnMut() -> Outcome| {
        if !wanted(name) {
            return;
        }
        let start = Instant::now();
        let outcome = work();
        let done = Step { name: name.to_string(), outcome, took: start.elapsed() };
        println!("{}", line(&done));
        if done.outcome.failed > 0 {
            println!("{}", done.outcome.report.trim_end());
        }
        steps.push(done);
    };

    step("format rust", &mut || Outcome::of(checked("cargo", &["fmt", "--all", "--check"])));
    step("format ebpf", &mut || Outcome::of(clang_format()));
    step("tidy", &mut || Outcome::of(tidy::run().map(|_| ())));
    step("licences", &mut || Outcome::of(deny::offline(install)));
    step("advisories", &mut || match deny::advisories(install) {
        Ok(Ok(())) => Outcome::of(Ok(())),
        Ok(Err(why)) => Outcome { skipped: vec![format!("advisories: {why}")], ..Outcome::default() },
        Err(e) => Outcome::of(Err(e)),
    });
    step("clippy", &mut || {
        Outcome::of(checked("cargo", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    });
    let mut binaries = Vec::new();
    step("build", &mut || {
        Outcome::of(build().map(|found| {
            binaries = found;
        }))
    });
    if binaries.is_empty() && !words.is_empty() && !words.contains(&"build") {
        binaries = build()?;
    }
    let root = shell::as_root();
    if root.is_none() && !binaries.is_empty() {
        println!("test: neither root nor a sudo that asks for nothing: tests that need root will be skipped");
    }
    for binary in &binaries {
        step(&binary.name, &mut || {
            binary.run(root.as_deref().unwrap_or_default()).unwrap_or_else(|e| Outcome::of(Err(e)))
        });
    }
    step("documentation examples", &mut || {
        let run = Command::new("cargo").args(["test", "--quiet", "--doc", "--", "--show-output"]).output();
        match run {
            Ok(out) => outcome(&String::from_utf8_lossy(&out.stdout), out.status.success(), "cargo test --doc"),
            Err(e) => Outcome::of(Err(e.to_string())),
        }
    });
    step("fuzz", &mut || match fuzz::test() {
        Ok(Ok(passed)) => Outcome { passed, ..Outcome::default() },
        Ok(Err(why)) => Outcome { skipped: vec![format!("fuzz: {why}")], ..Outcome::default() },
        Err(e) => Outcome::of(Err(e)),
    });
    for bench in bench::BENCHES {
        step(&format!("bench {}", bench.name), &mut || smoke(bench, root.as_deref()));
    }
    close(&steps)
}

/// Runs the smoke size of a bench, so that none rots; its times are not looked at.
fn smoke(bench: &bench::Bench, as_root: Option<&[String]>) -> Outcome {
    let before = match (bench.root, as_root) {
        (false, _) => &[],
        (true, Some(before)) => before,
        (true, None) => {
            return Outcome { skipped: vec![format!("bench {}: needs root", bench.name)], ..Outcome::default() };
        }
    };
    let run = std::env::current_exe().and_then(|this| {
        shell::command(before, this).args(["bench", bench.name, "--smoke"]).stdin(Stdio::null()).output()
    });
    match run {
        Ok(out) => {
            let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            let skipped: Vec<String> = said
                .lines()
                .filter_map(|l| l.strip_prefix("skipped: "))
                .map(|why| format!("bench {}: {why}", bench.name))
                .collect();
            let mut outcome = Outcome::of(if out.status.success() { Ok(()) } else { Err(said) });
            if !skipped.is_empty() && outcome.failed == 0 {
                outcome = Outcome { skipped, ..Outcome::default() };
            }
            outcome
        }
        Err(e) => Outcome::of(Err(format!("bench {}: {e}", bench.name))),
    }
}

/// Prints the table and the totals.
fn close(steps: &[Step]) -> Result<(), String> {
    println!("\n{}", term::bold("  passed  failed skipped       time"));
    for s in steps {
        println!("{}", line(s));
    }
    let skips: Vec<&String> = steps.iter().flat_map(|s| &s.outcome.skipped).collect();
    if !skips.is_empty() {
        println!("\nskipped:");
        for s in &skips {
            println!("  {s}");
        }
    }
    let total = |f: fn(&Outcome) -> u64| steps.iter().map(|s| f(&s.outcome)).sum::<u64>();
    let (passed, failed) = (total(|o| o.passed), total(|o| o.failed));
    println!("\n{passed} passed, {failed} failed, {} skipped", skips.len());
    if failed == 0 {
        return Ok(());
    }
    let names: Vec<&str> = steps.iter().filter(|s| s.outcome.failed > 0).map(|s| s.name.as_str()).collect();
    Err(format!("failed: {} (logs in {LOGS})", names.join(", ")))
}

fn line(s: &Step) -> String {
    let o = &s.outcome;
    let cell = |n: u64, paint: fn(&str) -> String| {
        let text = format!("{n:8}");
        if n == 0 { term::dim(&text) } else { paint(&text) }
    };
    format!(
        "{}{}{} {:8.1} s  {}",
        cell(o.passed, term::good),
        cell(o.failed, term::bad),
        cell(o.skipped.len() as u64, term::bold),
        s.took.as_secs_f64(),
        s.name
    )
}

/// Runs a check; its output only when it failed.
fn checked(program: &str, arguments: &[&str]) -> Result<(), String> {
    let out =
        Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(|e| format!("{program}: {e}"))?;
    if out.status.success() {
        return Ok(());
    }
    Err(format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

fn clang_format() -> Result<(), String> {
    let sources = fs::read_dir("ebpf").map_err(|e| format!("ebpf: {e}"))?.flatten().map(|e| e.path());
    let sources: Vec<String> = sources
        .filter(|p| p.extension().is_some_and(|e| e == "c" || e == "h"))
        .map(|p| p.to_string_lossy().into_owned())
        .collect();
    let mut arguments = vec!["--dry-run", "-Werror"];
    arguments.extend(sources.iter().map(String::as_str));
    checked("clang-format", &arguments)
}

/// A compiled test binary.
struct Binary {
    name: String,
    path: PathBuf,
    package: PathBuf,
    /// Tests that share the machine (namespaces, CPUs): one after another.
    alone: bool,
    /// Its recorders have a parent, as those of interfaces have; else those of files are one process.
    apart: bool,
}

/// What is tested in both shapes of a recorder that is fed through a pipe.
const BOTH_SHAPES: &[&str] = &["api", "classes", "nids"];

/// Compiles everything that tests use; returns the test binaries: unit tests first, namespaces last.
fn build() -> Result<Vec<Binary>, String> {
    // Without the programs of cargo-fuzz, which its own step builds: 25 links, 1.5 GB.
    let mut child = Command::new("cargo")
        .args([
            "test",
            "--workspace",
            "--no-default-features",
            "--no-run",
            "--quiet",
            "--message-format=json-render-diagnostics",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cargo: {e}"))?;
    let mut messages = String::new();
    if let Some(mut out) = child.stdout.take() {
        std::io::Read::read_to_string(&mut out, &mut messages).map_err(|e| format!("cargo: {e}"))?;
    }
    if !child.wait().map_err(|e| e.to_string())?.success() {
        return Err("the tests do not compile".into());
    }
    let mut found = Vec::new();
    for message in messages.lines().filter_map(|l| Value::parse(l).ok()) {
        let test = message.get("profile.test") == Some(&Value::Word("true".into()));
        let (Some(path), true) = (message.text("executable"), test) else { continue };
        let kind = match message.get("target.kind") {
            Some(Value::List(kinds)) if kinds.contains(&Value::Text("test".into())) => "tests",
            Some(Value::List(kinds)) if kinds.contains(&Value::Text("lib".into())) => "unit",
            Some(Value::List(kinds)) if kinds.contains(&Value::Text("example".into())) => "example",
            _ => "unit of binary",
        };
        let target = message.text("target.name").unwrap_or("?");
        let manifest = Path::new(message.text("manifest_path").unwrap_or("."));
        let both = kind == "tests" && BOTH_SHAPES.contains(&target);
        for apart in [false, true].into_iter().filter(|apart| both || !apart) {
            found.push(Binary {
                name: format!("{kind} {target}{}", if apart { " apart" } else { "" }),
                path: path.into(),
                package: manifest.parent().unwrap_or(Path::new(".")).into(),
                alone: target.contains("netns") || target.contains("metrics"),
                apart,
            });
        }
    }
    let rank = |b: &Binary| if b.alone { 2 } else { u8::from(b.name.starts_with("tests")) };
    found.sort_by_key(|b| (rank(b), b.name.clone()));
    Ok(found)
}

impl Binary {
    fn run(&self, as_root: &[String]) -> Result<Outcome, String> {
        let log = Path::new(LOGS).join(format!("{}.log", self.name.replace(' ', "-")));
        let file = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = file.try_clone().map_err(|e| e.to_string())?;
        let mut command = shell::command(as_root, &self.path);
        command.arg("--show-output").current_dir(&self.package).stdin(Stdio::null()).stdout(file).stderr(errors);
        if self.alone {
            command.arg("--test-threads=1");
        }
        if self.apart {
            command.env("RETROTAP_PROCESSES", "apart");
        }
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", self.name))?;
        let end = shell::wait(&mut child, STEP_MAX)?;
        let text =
            String::from_utf8_lossy(&fs::read(&log).map_err(|e| format!("{}: {e}", log.display()))?).into_owned();
        match end {
            shell::End::Itself(good) => Ok(outcome(&text, good, &log.to_string_lossy())),
            shell::End::Killed(threads) => Err(format!(
                "{} did not end within {} s; its threads:\n{threads}it said:\n{text}",
                self.name,
                STEP_MAX.as_secs()
            )),
        }
    }
}

/// Reads what libtest prints with `--show-output`.
fn outcome(text: &str, good: bool, source: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let mut section = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("---- ").and_then(|l| l.strip_suffix(" stdout ----")) {
            section = name;
        } else if let (Some(reason), false) = (line.strip_prefix("skipped: "), section.is_empty()) {
            outcome.skipped.push(format!("{section}: {reason}"));
            section = ""; // Once a test.
        } else if let Some(result) = line.strip_prefix("test result: ") {
            let number = |what: &str| {
                let before = result.split([';', '.']).map(str::trim).find_map(|part| part.strip_suffix(what));
                before.and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0)
            };
            outcome.passed += number(" passed");
            outcome.failed += number(" failed");
            for _ in 0..number(" ignored") {
                outcome.skipped.push(format!("{source}: an ignored test"));
                outcome.passed += 1; // Taken off again below.
            }
        }
    }
    outcome.passed = outcome.passed.saturating_sub(outcome.skipped.len() as u64);
    if !good && outcome.failed == 0 {
        outcome.failed = 1; // It crashed before it could count.
    }
    if outcome.failed > 0 {
        let from = text.find("\nfailures:\n").unwrap_or(text.len().saturating_sub(4000));
        let start = (from..text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        let shown: Vec<&str> = text[start..].lines().take(REPORT_LINES).collect();
        outcome.report = format!("{}\n(all of it: {source})", shown.join("\n"));
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::outcome;

    #[test]
    fn counts_what_libtest_prints() {
        let text = "running 3 tests\ntest a ... ok\n\nsuccesses:\n\n---- a stdout ----\nskipped: no root\nskipped: twice\n\n\
                    ---- b stdout ----\nnothing\n\nsuccesses:\n    a\n\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.1s\n";
        let o = outcome(text, true, "x.log");
        assert_eq!((o.passed, o.failed, o.skipped.len()), (2, 0, 2));
        assert_eq!(o.skipped[0], "a: no root");
    }

    #[test]
    fn a_crash_is_a_failure() {
        assert_eq!(outcome("running 1 test\n", false, "x.log").failed, 1);
        let o = outcome(
            "\nfailures:\n\nboom\n\ntest result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured\n",
            false,
            "x.log",
        );
        assert_eq!((o.passed, o.failed), (1, 2));
        assert!(o.report.contains("boom"));
    }
}
