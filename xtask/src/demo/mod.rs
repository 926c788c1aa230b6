//! `cargo xtask demo`: the whole way of a packet on this machine: a load made in the kernel, native XDP, AF_XDP, the store,
//! three queries, and the account of it all on one screen. Without root: the same from a generated capture file.

mod screen;

use crate::json::Value;
use crate::netns::Namespace;
use crate::{processes, setup, shell};
use std::fs::{self, File};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the demo leaves is here.
const FOLDER: &str = "target/demo";
const PROGRAM: &str = "target/release/retrotap";
const LOAD: &str = "target/release/examples/load";
const SECONDS: u32 = 10;
/// Says that building is done and this is the demo run again, by sudo.
const AS_ROOT: &str = "RETROTAP_DEMO_AS_ROOT";
const QUERIES: [&str; 3] = ["host 10.0.0.9", "host 10.0.0.9 and port 443", "net 198.19.0.0/16"];

/// All that the screen shows.
struct Results {
    /// One line: how it was recorded.
    how: String,
    /// `load --json`.
    truth: Value,
    /// The last line of `record --json`.
    account: Value,
    index_bytes: u64,
    segment_bytes: u64,
    answers: Vec<Answer>,
    store: PathBuf,
}

struct Answer {
    filter: &'static str,
    summary: Value,
    took: Duration,
}

/// Builds, records, asks, shows.
pub fn run(install: bool) -> Result<(), String> {
    if std::env::var_os(AS_ROOT).is_none() {
        setup::ensure(setup::Scope::Demo, install)?;
        println!("demo: building (the first time takes some minutes)");
        let build = ["build", "--quiet", "--release", "--bin", "retrotap", "--example", "load"];
        shell::run(Command::new("cargo").args(build))?;
    }
    if !shell::is_root()
        && let Some(sudo) = sudo()
    {
        let this = std::env::current_exe().map_err(|e| e.to_string())?;
        let path = format!("PATH={}", std::env::var("PATH").unwrap_or_default());
        println!("demo: going on as root, for the namespace, the veth pair and XDP (sudo)");
        return shell::run(shell::command(&sudo, "env").args([&path, &format!("{AS_ROOT}=1")]).arg(this).arg("demo"));
    }
    let folder = Path::new(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|e| format!("cannot remove what an earlier demo left in {FOLDER}: {e}"))?;
    }
    fs::create_dir_all(folder).map_err(|e| format!("{FOLDER}: {e}"))?;
    let results = match namespace() {
        Ok(namespace) => live(&namespace, folder)?,
        Err(why) => {
            println!("demo: no network namespace ({why}): recording from a generated capture file instead");
            from_file(folder)?
        }
    };
    give_back(folder);
    screen::show(&results)
}

fn sudo() -> Option<Vec<String>> {
    shell::find("sudo")?;
    if shell::quiet("sudo", &["-n", "true"]) {
        return Some(vec!["sudo".into(), "-n".into()]);
    }
    // May ask for the password.
    (std::io::stdin().is_terminal() && shell::run(Command::new("sudo").arg("-v")).is_ok()).then(|| vec!["sudo".into()])
}

fn namespace() -> Result<Namespace, String> {
    if !shell::is_root() {
        return Err("neither root nor sudo".into());
    }
    Namespace::new().map_err(|e| e.lines().last().unwrap_or_default().trim().to_string())
}

/// Files that root made belong to whoever called sudo.
fn give_back(folder: &Path) {
    if let (Ok(user), Ok(group)) = (std::env::var("SUDO_UID"), std::env::var("SUDO_GID")) {
        shell::quiet("chown", &["-R", &format!("{user}:{group}"), &folder.to_string_lossy()]);
    }
}

/// Kills what it holds when something goes wrong half-way.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            processes::kill(&mut self.0);
        }
    }
}

fn live(namespace: &Namespace, folder: &Path) -> Result<Results, String> {
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
    // Safe on a small machine; alone on its CPU the load reaches more than four times as much.
    let gbps = if cpus >= 2 { 5 } else { 1 };
    let store = folder.join("store");
    let (out, log) = (folder.join("record.json"), folder.join("record.log"));
    let create = |path: &Path| File::create(path).map_err(|e| format!("{}: {e}", path.display()));

    // The recorder keeps to the CPUs that the load does not use.
    let mut record = if cpus >= 2 {
        let mut pinned = namespace.command("taskset");
        pinned.args(["-c", &format!("1-{}", cpus - 1), PROGRAM]);
        pinned
    } else {
        namespace.command(PROGRAM)
    };
    record.args(["record", "-i", "tap0", "--source", "xdp", "--json", "--log-interval", "1s", "--store"]).arg(&store);
    let child = record.stdin(Stdio::null()).stdout(create(&out)?).stderr(create(&log)?).spawn();
    let mut child = Running(child.map_err(|e| format!("cannot run {}: {e}", shell::text(&record)))?);
    wait_for_first_line(&mut child.0, &out, &log)?;

    println!("demo: offering {SECONDS} s of the lab mix at {gbps} Gbit/s");
    let load = ["--iface", "gen0", "--mix", "lab", "--active", "16384", "--cpu", "0", "--json"];
    let mut offer = namespace.command(LOAD);
    offer.args(load).args(["--seconds", &SECONDS.to_string(), "--gbps", &gbps.to_string()]);
    let truth = Value::parse(shell::output(&mut offer)?.trim())?;

    shell::output(Command::new("sh").args(["-c", &format!("kill -INT {}", child.0.id())]))?;
    let ended = shell::wait(&mut child.0, Duration::from_secs(30))?;
    let account = last_line(&out).and_then(|line| Value::parse(&line));
    if !matches!(ended, shell::End::Itself(true)) || account.is_err() {
        return Err(format!("the recorder did not end well:\n{}", tail(&log)));
    }
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let place = if cpus >= 2 { "load on CPU 0, recorder on the others" } else { "load and recorder on one CPU" };
    let how = format!(
        "{SECONDS} s of heavy-tailed load at {gbps} Gbit/s through native XDP on veth, AF_XDP and io_uring\n\
         Linux {}, {cpus} CPUs: {place}",
        kernel.trim()
    );
    finish(how, truth, account?, store)
}

fn from_file(folder: &Path) -> Result<Results, String> {
    let (trace, store) = (folder.join("trace.pcap"), folder.join("store"));
    let mut write = Command::new(LOAD);
    write.args(["--mix", "lab", "--active", "4096", "--seconds", "2", "--gbps", "2", "--json", "--to"]).arg(&trace);
    let truth = Value::parse(shell::output(&mut write)?.trim())?;
    let mut record = Command::new(PROGRAM);
    record.args(["record", "--json", "-r"]).arg(&trace).arg("--store").arg(&store);
    let lines = shell::output(&mut record)?;
    let account = Value::parse(lines.lines().last().unwrap_or_default())?;
    finish("2 s of heavy-tailed load at 2 Gbit/s, from a generated capture file".into(), truth, account, store)
}

fn finish(how: String, truth: Value, account: Value, store: PathBuf) -> Result<Results, String> {
    let mut answers = Vec::new();
    for (i, filter) in QUERIES.iter().enumerate() {
        let answer = Path::new(FOLDER).join(format!("answer-{}.pcapng", i + 1));
        let mut query = Command::new(PROGRAM);
        query.args(["query", filter, "--json", "--force", "--store"]).arg(&store).arg("-w").arg(&answer);
        let start = Instant::now();
        let summary = shell::output(&mut query)?;
        let took = start.elapsed();
        answers.push(Answer { filter, summary: Value::parse(summary.lines().last().unwrap_or_default())?, took });
    }
    let (index_bytes, segment_bytes) = (bytes_of(&store, "idx"), bytes_of(&store, "pcapng"));
    Ok(Results { how, truth, account, index_bytes, segment_bytes, answers, store })
}

/// The recorder is at work when it has printed its first interval.
fn wait_for_first_line(child: &mut Child, out: &Path, log: &Path) -> Result<(), String> {
    let start = Instant::now();
    loop {
        if fs::read_to_string(out).is_ok_and(|text| text.contains('\n')) {
            return Ok(());
        }
        if child.try_wait().map_err(|e| e.to_string())?.is_some() {
            return Err(format!("the recorder ended at once:\n{}", tail(log)));
        }
        if start.elapsed() > Duration::from_secs(30) {
            return Err(format!("the recorder did not begin:\n{}", tail(log)));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn last_line(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    text.lines().last().map(str::to_string).ok_or(format!("{} is empty", path.display()))
}

fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Bytes of all files below a folder with this ending.
fn bytes_of(folder: &Path, ending: &str) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    entries
        .map(|path| match path.is_dir() {
            true => bytes_of(&path, ending),
            false if path.extension().is_some_and(|e| e == ending) => path.metadata().map_or(0, |m| m.len()),
            false => 0,
        })
        .sum()
}
