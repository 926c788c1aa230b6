//! One measurement: one tool, one mix, one rate, once. Starts the tool, offers the load, lets the tool finish what it
//! has, reads what it used, stops it, and compares what it says it captured with what was offered.

use super::super::tool::{Tool, last, prepare};
use super::super::usage::{Watch, written};
use crate::json::{Value, object};
use crate::netns::Namespace;
use crate::processes;
use crate::shell;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The load's CPU and the tool's.
const LOAD_CPU: usize = 0;
const TOOL_CPU: usize = 1;
/// From the start of the load's process to its first packet, about.
const LOAD_START: Duration = Duration::from_millis(150);
/// Where tools write.
const FOLDER: &str = "target/bench/line";
const START_MAX: Duration = Duration::from_secs(20);
/// Time to write what is still in buffers, at most.
const DRAIN_MAX: Duration = Duration::from_secs(4);
const END_MAX: Duration = Duration::from_secs(40);

/// What is to be measured.
pub struct Asked<'a> {
    pub tool: &'a Tool,
    pub program: &'a Path,
    pub load: &'a Path,
    pub mix: &'a str,
    pub gbps: Option<f64>,
    pub seconds: f64,
    /// Before that, for tools that need it.
    pub warm_up: f64,
    /// Which invocation of the bench, and which round of it: what was measured in turns.
    pub run: &'a str,
    pub round: u32,
}

/// Killed when something goes wrong half-way.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            processes::kill(&mut self.0);
        }
    }
}

/// Measures; the result line.
pub fn measure(namespace: &Namespace, asked: &Asked<'_>) -> Result<Value, String> {
    let folder = Path::new(FOLDER);
    prepare(folder).map_err(|e| format!("{FOLDER}: {e}"))?;
    let said = Path::new("target/bench/line.out");
    let out = File::create(said).map_err(|e| format!("{}: {e}", said.display()))?;
    let errors = out.try_clone().map_err(|e| e.to_string())?;
    let mut command = namespace.command("taskset");
    command.args(["-c", &TOOL_CPU.to_string()]).arg(asked.program).args((asked.tool.arguments)(FOLDER));
    command.stdin(Stdio::null()).stdout(out).stderr(errors);
    let child = command.spawn().map_err(|e| format!("cannot run {}: {e}", shell::text(&command)))?;
    let mut child = Running(child);
    let text = || String::from_utf8_lossy(&fs::read(said).unwrap_or_default()).into_owned();
    until_ready(&mut child.0, asked.tool, &text)?;

    let pid = child.0.id();
    let warm_up = if asked.tool.warms { asked.warm_up } else { 0.0 };
    let mut load = offer(namespace, asked, warm_up)?;
    std::thread::sleep(LOAD_START + Duration::from_secs_f64(warm_up));
    let watch = Watch::start(pid);
    let (begin, written_before, lost_before) = (Instant::now(), written(pid), lost_so_far(&text()));
    let truth = end_of(&mut load.0)?;
    let measured = begin.elapsed().as_secs_f64();
    drain(&watch, Duration::from_millis(asked.tool.settle_ms));
    let (used, on_load_cpu) = watch.used(LOAD_CPU);
    let written = written(pid).zip(written_before).map(|(after, before)| after - before);
    drop(watch);

    shell::output(Command::new("sh").args(["-c", &format!("kill -INT {}", child.0.id())]))?;
    shell::wait(&mut child.0, END_MAX)?;
    let text = text();
    let offered = truth.number("offered.packets")?;
    let captured = (asked.tool.captured)(&text, offered)
        .ok_or_else(|| format!("{} does not say what it captured:\n{}", asked.tool.name, tail(&text)))?;
    let left = bytes_of(folder);
    fs::remove_dir_all(folder).map_err(|e| format!("{FOLDER}: {e}"))?;
    let elapsed = truth.float("elapsed_s").unwrap_or(f64::NAN);
    let begun = truth.float("begun").unwrap_or(f64::NAN) - truth.float("warm_up.begun").unwrap_or(0.0);
    Ok(object([
        ("bench", "line".into()),
        ("run", asked.run.into()),
        ("round", u64::from(asked.round).into()),
        ("tool", asked.tool.name.into()),
        ("version", super::version(asked.program).into()),
        ("mix", asked.mix.into()),
        ("asked_gbps", asked.gbps.into()),
        ("gbps", truth.float("gbps").into()),
        ("mpps", truth.float("mpps").into()),
        ("seconds", elapsed.into()),
        ("warm_up_s", warm_up.into()),
        ("warm_up", truth.get("warm_up").cloned().unwrap_or(Value::Word("null".into()))),
        ("new_connections_per_s", (begun / elapsed).into()),
        ("slipped_s", truth.float("slipped_s").into()),
        ("offered", truth.get("offered").cloned().unwrap_or(Value::Word("null".into()))),
        ("must_keep", truth.get("kept").cloned().unwrap_or(Value::Word("null".into()))),
        ("captured", captured.into()),
        ("lost", offered.saturating_sub(captured).into()),
        ("cpu_s", used.into()),
        ("of_it_on_load_cpu_s", on_load_cpu.into()),
        ("measured_s", measured.into()),
        ("written_bytes", written.into()),
        ("left_bytes", left.into()),
        ("lost_after_warm_up", last(&text).and_then(|a| Some(a.number("lost_packets").ok()? - lost_before?)).into()),
        ("account", account(asked.tool, &text)),
        ("tool_command", format!("{} {}", asked.program.display(), (asked.tool.arguments)(FOLDER).join(" ")).into()),
    ]))
}

/// The final account, where the tool is ours; its classes are of no use here.
fn account(tool: &Tool, out: &str) -> Value {
    match last(out) {
        Some(Value::Object(members)) if tool.package.is_empty() => {
            Value::Object(members.into_iter().filter(|(key, _)| key != "classes").collect())
        }
        _ => Value::Word("null".into()),
    }
}

fn until_ready(child: &mut Child, tool: &Tool, text: &dyn Fn() -> String) -> Result<(), String> {
    let start = Instant::now();
    while !text().contains(tool.ready) {
        if child.try_wait().map_err(|e| e.to_string())?.is_some() {
            return Err(format!("{} ended at once:\n{}", tool.name, tail(&text())));
        }
        if start.elapsed() > START_MAX {
            return Err(format!("{} did not begin:\n{}", tool.name, tail(&text())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // Some say so just before the last step.
    std::thread::sleep(Duration::from_millis(200));
    Ok(())
}

/// What the recorder says it has lost so far; nothing for tools that don't say.
fn lost_so_far(text: &str) -> Option<u64> {
    let complete = &text[..text.rfind('\n')?];
    last(complete)?.number("lost_packets").ok()
}

/// Starts the load.
fn offer(namespace: &Namespace, asked: &Asked<'_>, warm_up: f64) -> Result<Running, String> {
    let mut load = namespace.command(&asked.load.to_string_lossy());
    load.args(["--iface", "gen0", "--json", "--cpu", &LOAD_CPU.to_string()]);
    match asked.mix.contains(['/', '.']) {
        true => load.args(["--trace", asked.mix]),
        false => load.args(["--mix", asked.mix]),
    };
    load.args(["--seconds", &asked.seconds.to_string(), "--seed", &asked.round.to_string()]);
    load.args(["--warm-up", &warm_up.to_string()]);
    if let Some(gbps) = asked.gbps {
        load.args(["--gbps", &gbps.to_string()]);
    }
    if asked.tool.passed {
        load.args(["--pass", "tap0"]);
    }
    load.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    load.spawn().map(Running).map_err(|e| format!("cannot run {}: {e}", shell::text(&load)))
}

/// The truth that the load prints at its end.
fn end_of(load: &mut Child) -> Result<Value, String> {
    let mut text = String::new();
    if let Some(out) = &mut load.stdout {
        std::io::Read::read_to_string(out, &mut text).map_err(|e| format!("the load: {e}"))?;
    }
    if !load.wait().map_err(|e| e.to_string())?.success() {
        return Err("the load failed".into());
    }
    Value::parse(text.trim())
}

/// Until the tool has been idle for a while: its buffers are written.
fn drain(watch: &Watch, at_least: Duration) {
    let start = Instant::now();
    let mut before = watch.used(LOAD_CPU).0;
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = watch.used(LOAD_CPU).0;
        let idle = now - before < 0.03;
        if (idle && start.elapsed() > at_least) || start.elapsed() > DRAIN_MAX {
            return;
        }
        before = now;
    }
}

/// Bytes of all files below a folder.
fn bytes_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |e: fs::DirEntry| match e.file_type() {
        Ok(kind) if kind.is_dir() => bytes_of(&e.path()),
        _ => e.metadata().map_or(0, |m| m.len()),
    };
    entries.map(size).sum()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
