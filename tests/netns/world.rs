//! A network namespace with veth pairs, the recorder in it, and the load that knows the truth. Everything that a test
//! started or made is gone when its `World` is dropped.

use crate::common::processes;
use retrotap::metrics::account::{Account, Tally};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub const RETROTAP: &str = env!("CARGO_BIN_EXE_retrotap");
/// Waiting for something that is bound to come: long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    name: String,
    dir: tempfile::TempDir,
}

impl World {
    /// `None`, and a word about it, where namespaces can't be made.
    pub fn new() -> Option<World> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("retrotap-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.as_ref().is_ok_and(|o| o.status.success()) {
            eprintln!("skipped: no network namespace can be made here: {made:?}");
            return None;
        }
        let world = World { name, dir: tempfile::tempdir().expect("a temporary directory") };
        let v6 = "for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done 2>/dev/null; true";
        done(world.command("sh").args(["-c", v6]));
        Some(world)
    }

    /// A pair gen`n` and tap`n` with this many queues.
    pub fn veth(&self, n: usize, queues: usize) {
        let (generator, tap, queues) = (format!("gen{n}"), format!("tap{n}"), queues.to_string());
        let sizes = ["numtxqueues", &queues, "numrxqueues", &queues];
        let mut add = Command::new("ip");
        add.args(["-n", &self.name, "link", "add", "name", &generator]).args(sizes);
        done(add.args(["type", "veth", "peer", "name", &tap]).args(sizes));
        for end in [&generator, &tap] {
            done(Command::new("ip").args(["-n", &self.name, "link", "set", end, "up"]));
        }
    }

    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program).stdin(Stdio::null());
        command
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Offers a load; waits for its end.
    pub fn load(&self, options: &[&str]) -> Truth {
        Truth(json(self.command(load_program()).arg("--json").args(options)))
    }

    /// The same load in a file: each packet of it.
    pub fn play(&self, options: &[&str]) -> (PathBuf, Truth) {
        let file = self.path("truth.pcap");
        let truth = json(Command::new(load_program()).arg("--json").arg("--to").arg(&file).args(options));
        (file, Truth(truth))
    }

    /// Starts a recorder, on this CPU if one is named; returns when it is at work.
    pub fn record(&self, cpu: Option<usize>, options: &[&str]) -> Recorder {
        let (out, log) = (self.path("record.json"), self.path("record.log"));
        let mut command = match cpu {
            Some(cpu) => {
                let mut pinned = self.command("taskset");
                pinned.args(["-c", &cpu.to_string(), RETROTAP]);
                pinned
            }
            None => self.command(RETROTAP),
        };
        command.args(["record", "--json", "--log-interval", "200ms", "--store"]).arg(self.store()).args(options);
        let file = |path: &Path| File::create(path).expect("a file for output");
        let child = command.stdout(file(&out)).stderr(file(&log)).spawn().expect("the recorder");
        let mut recorder = Recorder { child, out, log };
        recorder.until("the first interval", |lines| !lines.is_empty());
        recorder
    }

    /// Asks, in another process; returns the summary and the file with the packets.
    pub fn query(&self, options: &[&str]) -> (Value, PathBuf) {
        let answer = self.path("answer.pcapng");
        let mut command = Command::new(RETROTAP);
        command.args(["query", "--json", "--force", "--store"]).arg(self.store()).arg("-w").arg(&answer).args(options);
        (json(&mut command), answer)
    }

    /// How many packets a filter finds now.
    pub fn count(&self, filter: &str) -> u64 {
        let mut command = Command::new(RETROTAP);
        let summary = json(command.args(["query", filter, "--json", "--count", "--store"]).arg(self.store()));
        summary["packets"].as_u64().expect("a count")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// What the load says of itself.
pub struct Truth(Value);

impl Truth {
    pub fn tally(&self, name: &str) -> Tally {
        serde_json::from_value(self.0[name].clone()).unwrap_or_else(|e| panic!("{name} in {}: {e}", self.0))
    }
}

/// A running recorder; killed when dropped.
pub struct Recorder {
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Recorder {
    /// Waits until the lines printed so far satisfy a condition.
    pub fn until(&mut self, what: &str, condition: impl Fn(&[Value]) -> bool) {
        let start = Instant::now();
        while !condition(&self.lines()) {
            let ended = self.child.try_wait().expect("the recorder's state");
            assert!(ended.is_none(), "the recorder ended ({ended:?}) before {what}:\n{}", self.log());
            assert!(start.elapsed() < PATIENCE, "{what} did not come:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the last line satisfies a condition, whoever has written it; that line.
    pub fn until_last(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            if let Some(last) = self.lines().pop().filter(&condition) {
                return last;
            }
            assert!(start.elapsed() < PATIENCE, "{what} did not come:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process that was started.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All complete lines so far.
    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.out).unwrap_or_default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().map(|l| serde_json::from_str(l).expect("a JSON object a line")).collect()
    }

    /// The id of one of its threads.
    pub fn thread(&self, name: &str) -> u32 {
        processes::thread(self.child.id(), name).expect("the thread")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGINT; waits for the end; the final account, whose law is checked.
    pub fn stop(self) -> Account {
        self.stop_with_report().0
    }

    /// The same with the whole last line.
    pub fn stop_with_report(mut self) -> (Account, Value) {
        self.signal("INT");
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("the recorder's state") {
                Some(status) => break status,
                None => assert!(start.elapsed() < PATIENCE, "the recorder does not end:\n{}", self.log()),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{status}:\n{}", self.log());
        let last = self.lines().pop().expect("a final account");
        let account: Account = serde_json::from_value(last.clone()).expect("an account");
        account.check().unwrap_or_else(|e| panic!("{e}: {account:#?}\n{}", self.log()));
        (account, last)
    }

    /// SIGKILL to all of it: no chance to say anything.
    pub fn kill(mut self) {
        processes::kill(&mut self.child);
    }

    pub fn signal(&self, name: &str) {
        match name {
            // All of it stands still.
            "STOP" => processes::signal(self.child.id(), rustix::process::Signal::STOP),
            "CONT" => processes::signal(self.child.id(), rustix::process::Signal::CONT),
            // The commands before it (ip, taskset) have become the recorder itself: the one that leads it.
            _ => done(Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())])),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            processes::kill(&mut self.child);
        }
    }
}

/// `target/<profile>/examples/load`, which cargo builds before the tests.
fn load_program() -> PathBuf {
    let path = Path::new(RETROTAP).with_file_name("examples").join("load");
    assert!(path.exists(), "{} is not built: cargo build --example load", path.display());
    path
}

fn done(command: &mut Command) {
    let out = command.output().expect("a command");
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Runs; reads the last line of its output.
fn json(command: &mut Command) -> Value {
    let out = command.stdin(Stdio::null()).output().expect("a command");
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {}\n{errors}", out.status);
    let text = String::from_utf8_lossy(&out.stdout);
    let line = text.lines().last().unwrap_or_else(|| panic!("{command:?} said nothing\n{errors}"));
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{command:?}: {e}: {line}"))
}
