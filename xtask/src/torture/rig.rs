//! A recorder in a namespace of its own, with native XDP, under the lab mix; nothing of it is left when it is dropped. Owns where its files are, and what can be seen of
//! its processes from outside.

use super::Asked;
use crate::json::Value;
use crate::netns::Namespace;
use crate::{processes, shell};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FOLDER: &str = "target/torture";
const PATIENCE: Duration = Duration::from_secs(60);
/// The load's CPU; the worker has the other, and all else both.
const LOAD_CPU: &str = "0";
const WORKER: &str = "worker_cpus = [1]\n";
/// The load warms the recorder up for so long before anything is measured, s.
pub const WARM_UP: u64 = 8;

/// A process that ends when it is dropped, with all below it.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            processes::kill(&mut self.0);
        }
    }
}

/// The recorder and what is around it.
pub struct Rig {
    record: Running,
    pub namespace: Namespace,
    programs: PathBuf,
    config: PathBuf,
    gbps: f64,
}

/// Compiles what runs here.
pub fn build(asked: &Asked) -> Result<(), String> {
    asked.bench.build(&["-p", "retrotap", "--bin", "retrotap", "--example", "load", "--example", "ask"])
}

/// Empty and there.
pub fn folder() -> Result<PathBuf, String> {
    let _ = fs::remove_dir_all(FOLDER);
    fs::create_dir_all(FOLDER).map_err(|e| format!("{FOLDER}: {e}"))?;
    Path::new(FOLDER).canonicalize().map_err(|e| format!("{FOLDER}: {e}"))
}

impl Rig {
    /// Starts it; `config` comes behind what every one has, `words` behind its options.
    pub fn start(asked: &Asked, config: &str, words: &[&str]) -> Result<Rig, String> {
        let io = |e: std::io::Error| format!("{FOLDER}: {e}");
        let namespace = Namespace::new()?;
        shell::output(namespace.command("ip").args(["link", "set", "lo", "up"]))?;
        let (programs, file) = (asked.bench.programs(), at("retrotap.toml"));
        fs::write(&file, format!("{WORKER}{config}")).map_err(io)?;
        let mut command = namespace.command(&programs.join("retrotap").to_string_lossy());
        command.args(["record", "-i", "tap0", "--source", "xdp", "--json", "--log-interval", "100ms"]);
        command.args(["--memory", "512MiB", "--disk", "8GiB"]).arg("-c").arg(&file).arg("--store").arg(store());
        command.args(words).stdin(Stdio::null());
        command.stdout(File::create(at("record.json")).map_err(io)?).stderr(File::create(at("log")).map_err(io)?);
        let record = Running(command.spawn().map_err(io)?);
        let mut rig = Rig { record, namespace, programs, config: file, gbps: asked.gbps };
        rig.until("its first interval", || last().is_ok())?;
        let id = rig.id();
        rig.until("its serve", || half(id, SERVE).is_some())?;
        Ok(rig)
    }

    /// The recorder's first process.
    pub fn id(&self) -> u32 {
        self.record.0.id()
    }

    /// Waits for something.
    pub fn until(&mut self, what: &str, there: impl Fn() -> bool) -> Result<(), String> {
        let start = Instant::now();
        while !there() {
            if self.record.0.try_wait().map_err(|e| e.to_string())?.is_some() || start.elapsed() > PATIENCE {
                return Err(format!("the recorder: {what} did not come:\n{}", log()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The product's own commands.
    pub fn retrotap(&self) -> Command {
        Command::new(self.programs.join("retrotap"))
    }

    /// The load, begun; it ends by itself after the time behind its warm-up, or by SIGINT.
    pub fn load(&self, seed: u64, seconds: u64) -> Result<Running, String> {
        let mut load = self.namespace.command(&self.programs.join("examples/load").to_string_lossy());
        load.args(["--iface", "gen0", "--json", "--mix", "lab", "--cpu", LOAD_CPU, "--seed", &seed.to_string()]);
        load.args(["--gbps", &self.gbps.to_string(), "--warm-up", &WARM_UP.to_string()]);
        load.args(["--seconds", &seconds.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
        load.spawn().map(Running).map_err(|e| format!("cannot run {}: {e}", shell::text(&load)))
    }

    /// `examples/ask` on its socket.
    pub fn ask(&self, socket: &Path, words: &str) -> Result<Running, String> {
        let mut ask = Command::new(self.programs.join("examples/ask"));
        ask.arg("--json")
            .arg("--socket")
            .arg(socket)
            .args(words.split(' '))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        ask.spawn().map(Running).map_err(|e| format!("cannot run {}: {e}", shell::text(&ask)))
    }

    /// Bytes that it plans to take at most: at its start, and for questions.
    pub fn planned(&self) -> Result<u64, String> {
        let mut plan = self.retrotap();
        plan.args(["record", "-i", "lo", "--json", "--plan", "--memory", "512MiB", "--disk", "8GiB", "-c"]);
        let plan = Value::parse(shell::output(plan.arg(&self.config).arg("--store").arg(at("planned")))?.trim())?;
        let sum = |list: &str| match plan.get(list) {
            Some(Value::List(parts)) => parts.iter().map(|p| counted(p, "bytes")).sum::<u64>(),
            _ => 0,
        };
        match (sum("parts"), sum("questions")) {
            (0, _) => Err(format!("a plan without parts: {plan}")),
            (parts, questions) => Ok(parts + questions),
        }
    }

    /// SIGINT, and its final account.
    pub fn stop(mut self) -> Result<Value, String> {
        interrupt(&self.record.0)?;
        match shell::wait(&mut self.record.0, PATIENCE)? {
            shell::End::Itself(true) => last(),
            _ => Err(format!(
                "the recorder did not end in order:
{}",
                log()
            )),
        }
    }
}

/// The words that make a process of the recorder what it is.
pub const CAPTURE: &str = "record-capture";
pub const SERVE: &str = "record-serve";

/// The process of a half below this one.
pub fn half(first: u32, word: &str) -> Option<u32> {
    let is = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|w| w == word.as_bytes())
    };
    processes::tree(first).into_iter().find(is)
}

/// Resident bytes of all of it; what several have in memory together counts once.
pub fn resident(first: u32) -> u64 {
    let of = |pid: u32| {
        let said = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = said.lines().find_map(|l| l.strip_prefix("Pss:"));
        line.and_then(|l| l.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) << 10
    };
    processes::tree(first).into_iter().map(of).sum()
}

/// SIGINT to a process that was started here.
pub fn interrupt(child: &Child) -> Result<(), String> {
    signal(child.id(), "INT").then_some(()).ok_or_else(|| format!("process {} takes no signal", child.id()))
}

/// A signal by its name; false: there is no such process.
pub fn signal(pid: u32, name: &str) -> bool {
    // The shell's own: no program has to be started for it.
    shell::quiet("sh", &["-c", &format!("kill -{name} {pid}")])
}

pub fn at(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

pub fn store() -> PathBuf {
    at("store")
}

fn log() -> String {
    let all = fs::read_to_string(at("log")).unwrap_or_default();
    let lines: Vec<&str> = all.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The last line that it has printed whole.
pub fn last() -> Result<Value, String> {
    let text = fs::read_to_string(at("record.json")).map_err(|e| e.to_string())?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    Value::parse(whole.lines().last().unwrap_or_default())
}

/// A count, which is a text where it is above 2^53.
pub fn counted(value: &Value, path: &str) -> u64 {
    value.number(path).ok().or_else(|| value.text(path)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::object;

    #[test]
    fn memory_of_this_process_and_counts() {
        assert!(resident(std::process::id()) > 1 << 16);
        let value = object([("a", 7u64.into()), ("b", "18446744073709551615".into())]);
        assert_eq!((counted(&value, "a"), counted(&value, "b"), counted(&value, "c")), (7, u64::MAX, 0));
    }
}
