//! A parent and its two halves with nothing to record: what `tests/parent.rs` kills, stops and crashes. The halves are real processes over the
//! product's own parent; they do no more than say in a file how they live. Never part of the recorder.

use retrotap::parent::{self, Begun, FromParent, Half, Plan, ToParent, Wanted};
use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const ROUND: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let word = std::env::args().nth(1).unwrap_or_default();
    match word.as_str() {
        parent::CAPTURE => half("capture", capture),
        parent::SERVE => half("serve", serve),
        dir => lead(PathBuf::from(dir)),
    }
}

/// Both halves, until they have ended.
fn lead(dir: PathBuf) -> ExitCode {
    let begin = |dir: &Path, rules: &str| json!({ "dir": dir, "rules": rules }).to_string().into_bytes();
    let plan = Plan {
        capture: Half { word: parent::CAPTURE, handed: Vec::new() },
        serve: Some(Half { word: parent::SERVE, handed: Vec::new() }),
        begin: begin(&dir, "the first"),
        documents: Arc::new(move |wanted| {
            let rules = std::fs::read_to_string(dir.join("rules")).unwrap_or_default();
            match wanted {
                Wanted::Rules => rules.into_bytes(),
                Wanted::Begin => begin(&dir, &rules),
            }
        }),
        again: true,
    };
    match parent::run(plan) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(3)
        }
    }
}

/// A half: where it says how it lives, and what it does.
struct Life {
    who: &'static str,
    dir: PathBuf,
    parent: ToParent,
    handed: Vec<OwnedFd>,
}

impl Life {
    /// A line of the file.
    fn say(&self, what: &str, more: Value) {
        let line = json!({ "who": self.who, "pid": std::process::id(), "what": what, "more": more });
        let mut file = File::options().append(true).create(true).open(self.dir.join("lives")).expect("a file");
        file.write_all(format!("{line}\n").as_bytes()).expect("a line");
    }

    /// Whether the test wants this of it.
    fn is_to(&self, what: &str) -> bool {
        self.dir.join(format!("{}-{what}", self.who)).exists()
    }
}

fn half(who: &'static str, live: fn(&Life) -> ExitCode) -> ExitCode {
    let Begun { document, handed, parent } = match parent::begin() {
        Ok(begun) => begun,
        Err(e) => {
            eprintln!("error: {e}");
            return ExitCode::from(2);
        }
    };
    let begin: Value = serde_json::from_slice(&document).expect("what the parent says");
    let life = Life { who, dir: begin["dir"].as_str().expect("a directory").into(), parent, handed };
    if who == "serve" {
        parent::first_to_go();
    }
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mask);
    let links = |f: std::io::Result<std::fs::DirEntry>| std::fs::read_link(f.ok()?.path()).ok();
    let open: Vec<PathBuf> = std::fs::read_dir("/proc/self/fd").expect("its files").filter_map(links).collect();
    let names: Vec<String> = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    let oom = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let oom: i64 = oom.trim().parse().expect("a number");
    life.say(
        "begins",
        json!({ "rules": begin["rules"], "umask": mask.bits(), "open": open, "names": names, "oom": oom }),
    );
    if life.is_to("refuse") {
        return ExitCode::from(2);
    }
    if life.is_to("crash") {
        std::process::abort();
    }
    live(&life)
}

/// Counts in memory that it hands over; beside it each serve has some of its own.
fn capture(life: &Life) -> ExitCode {
    let memory = |name: &str| memfd_create(name, MemfdFlags::CLOEXEC).expect("memory");
    let shared = memory("count");
    let count = File::from(shared.try_clone().expect("a descriptor"));
    count.write_all_at(&0u64.to_ne_bytes(), 0).expect("a count");
    let mut turn = 0;
    let mut hand_over = || {
        turn += 1;
        life.parent.ready(&[shared.as_fd(), memory(&format!("turn-{turn}")).as_fd()]).expect("the parent");
    };
    hand_over();
    for n in 1u64.. {
        count.write_all_at(&n.to_ne_bytes(), 0).expect("a count");
        match life.parent.hear() {
            Some(FromParent::End) if life.is_to("stay") => life.say("stays", Value::Null),
            Some(FromParent::End) => break,
            Some(FromParent::ServeAgain) => hand_over(),
            Some(FromParent::Rules { number, document, .. }) => {
                let rules = String::from_utf8_lossy(&document).into_owned();
                let taken = !rules.starts_with("wrong");
                life.say("hears", json!({ "rules": rules, "number": number }));
                let answer = if taken { "it is in force" } else { "it is wrong" };
                life.parent.answer(number, taken, answer.as_bytes()).expect("the parent");
            }
            None => {}
        }
        std::thread::sleep(ROUND);
    }
    life.say("ends", Value::Null);
    ExitCode::SUCCESS
}

/// Says what it sees there.
fn serve(life: &Life) -> ExitCode {
    let count = File::from(life.handed[0].try_clone().expect("what capture handed over"));
    life.parent.ready(&[]).expect("the parent");
    loop {
        let mut bytes = [0; 8];
        count.read_exact_at(&mut bytes, 0).expect("a count");
        life.say("sees", json!(u64::from_ne_bytes(bytes)));
        life.parent.beat();
        if life.is_to("ask") {
            std::fs::remove_file(life.dir.join("serve-ask")).expect("a wish");
            life.parent.ask(7);
        }
        match life.parent.hear() {
            Some(FromParent::End) => break,
            Some(FromParent::Rules { number, document, answer }) => {
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                life.say("hears", json!({ "rules": text(document), "number": number, "answer": answer.map(text) }));
            }
            Some(FromParent::ServeAgain) | None => {}
        }
        std::thread::sleep(ROUND * 5);
    }
    life.say("ends", Value::Null);
    ExitCode::SUCCESS
}
