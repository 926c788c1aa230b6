//! What the parts of `bench query` share that ask a recorder at work: the recorder, from a file or beside 10 Gbit/s, and `examples/ask`.

use crate::bench::Options;
use crate::bench::tool::last;
use crate::json::Value;
use crate::netns::Namespace;
use crate::processes;
use crate::shell;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FOLDER: &str = "target/bench/query-live";
const PATIENCE: Duration = Duration::from_secs(60);

/// A recorder under way; killed when something goes wrong half-way.
pub struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            processes::kill(&mut self.0);
        }
        let _ = fs::remove_dir_all(FOLDER);
    }
}

impl Recorder {
    /// Starts it with a store of its own; `command` is the program or what runs it.
    pub fn start(mut command: Command, options: &Options, words: &str) -> Result<Recorder, String> {
        let _ = fs::remove_dir_all(FOLDER);
        fs::create_dir_all(FOLDER).map_err(|e| format!("{FOLDER}: {e}"))?;
        let file = |name: &str| File::create(format!("{FOLDER}/{name}")).map_err(|e| format!("{FOLDER}: {e}"));
        command.arg(options.programs().join("retrotap")).args(["record", "--json", "--log-interval", "200ms"]);
        command.args(["--store", &format!("{FOLDER}/store")]).args(words.split(' '));
        command.stdout(file("out")?).stderr(file("log")?);
        let child = command.spawn().map_err(|e| format!("cannot run {}: {e}", shell::text(&command)))?;
        let mut recorder = Recorder(child);
        recorder.until("its socket", |_| Path::new(&socket()).exists())?;
        Ok(recorder)
    }

    /// Its input.
    pub fn input(&mut self) -> Result<std::process::ChildStdin, String> {
        self.0.stdin.take().ok_or_else(|| "the recorder has no input".into())
    }

    /// Waits until its last line satisfies this.
    pub fn until(&mut self, what: &str, there: impl Fn(&Value) -> bool) -> Result<(), String> {
        let start = Instant::now();
        loop {
            if self.now().is_some_and(|line| there(&line)) {
                return Ok(());
            }
            if self.0.try_wait().map_err(|e| e.to_string())?.is_some() || start.elapsed() > PATIENCE {
                let log = fs::read_to_string(format!("{FOLDER}/log")).unwrap_or_default();
                return Err(format!("the recorder: {what} did not come:\n{log}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its last whole line.
    fn now(&self) -> Option<Value> {
        let text = fs::read_to_string(format!("{FOLDER}/out")).ok()?;
        last(&text[..text.rfind('\n')?])
    }

    /// Processor time so far, seconds.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// SIGINT; the final account.
    pub fn stop(mut self) -> Result<Value, String> {
        shell::output(Command::new("sh").args(["-c", &format!("kill -INT {}", self.0.id())]))?;
        shell::wait(&mut self.0, PATIENCE)?;
        self.now().ok_or_else(|| "the recorder gave no account".into())
    }
}

fn socket() -> String {
    format!("{FOLDER}/store/api.sock")
}

/// Where `examples/ask` writes what its answers had.
pub fn answers() -> String {
    format!("{FOLDER}/answers")
}

/// Compares the answers of [`answers`] with the first `packets` of this load: how many there are, and how many are right, wrong, or of connections
/// that were under way when it began. `lost`: packets that the recorder lost and has said so; a wrong answer may lack those.
pub fn check(options: &Options, words: &str, packets: u64, lost: u64) -> Result<Value, String> {
    let mut load = Command::new(options.programs().join("examples/load"));
    load.args(["--check", &answers(), "--packets", &packets.to_string()]).args(words.split(' '));
    load.stdin(Stdio::null()).stdout(Stdio::piped());
    let checked = end(load.spawn().map_err(|e| format!("cannot run {}: {e}", shell::text(&load)))?)?;
    match (checked.number("right")?, checked.number("wrong")?) {
        (_, wrong) if wrong > 0 && lost == 0 => Err(format!("{wrong} answers are not what was sent: {}", answers())),
        (0, _) => Err("no answer could be compared with what was sent".into()),
        _ => Ok(checked),
    }
}

/// `examples/ask`, begun.
pub fn ask(options: &Options, words: &str) -> Result<Child, String> {
    let mut ask = Command::new(options.programs().join("examples/ask"));
    ask.args(["--json", "--socket", &socket()]).args(words.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped());
    ask.spawn().map_err(|e| format!("cannot run {}: {e}", shell::text(&ask)))
}

/// `examples/load` on one end of the namespace's pair, begun.
pub fn load(namespace: &Namespace, options: &Options, words: &str) -> Result<Child, String> {
    let mut load = namespace.command(&options.programs().join("examples/load").to_string_lossy());
    load.args(["--iface", "gen0", "--json"]).args(words.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped());
    load.spawn().map_err(|e| format!("cannot run {}: {e}", shell::text(&load)))
}

/// What a program that was begun says at its end.
pub fn end(child: Child) -> Result<Value, String> {
    let out = child.wait_with_output().map_err(|e| e.to_string())?;
    if !out.status.success() {
        return Err(format!("{}", out.status));
    }
    last(&String::from_utf8_lossy(&out.stdout)).ok_or_else(|| "no JSON at the end".into())
}
