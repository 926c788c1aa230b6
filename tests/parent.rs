//! The parent of a recording with real halves (`examples/pair`): whatever is killed, stopped or crashes, the rest goes on, and what is to come
//! again comes again.

#[allow(dead_code)]
#[path = "common/processes.rs"]
mod processes;

use processes::{is_gone, strike};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A parent with its halves; none of them is left when it is dropped.
struct Family {
    dir: tempfile::TempDir,
    parent: Child,
}

/// A line that a half has said.
#[derive(Clone, Debug)]
struct Line {
    who: String,
    pid: u32,
    what: String,
    more: Value,
}

impl Family {
    fn new() -> Family {
        Family::with(&[])
    }

    /// With what the halves are to do from the start.
    fn with(wishes: &[&str]) -> Family {
        let dir = tempfile::tempdir().expect("a directory");
        wishes.iter().for_each(|wish| std::fs::write(dir.path().join(wish), "").expect("a wish"));
        let log = std::fs::File::create(dir.path().join("log")).expect("a log");
        // A descriptor, a variable and a mask that are the shell's.
        let mut command = Command::new("sh");
        command.args(["-c", "umask 0027; exec 9</dev/zero; exec \"$0\" \"$1\""]).arg(program()).arg(dir.path());
        command.env("RETROTAP_SECRET", "nobody's").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let parent = command.spawn().expect("the parent");
        Family { dir, parent }
    }

    fn wish(&self, what: &str) {
        std::fs::write(self.dir.path().join(what), "").expect("a wish");
    }

    fn no_longer(&self, what: &str) {
        std::fs::remove_file(self.dir.path().join(what)).expect("a wish");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn lines(&self) -> Vec<Line> {
        lines(self.dir.path())
    }

    /// Waits for something.
    fn until<T>(&self, what: &str, mut there: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(t) = there() {
                return t;
            }
            let last: Vec<Line> = self.lines().into_iter().rev().filter(|l| l.what != "sees").take(12).collect();
            assert!(start.elapsed() < PATIENCE, "{what} did not come: {}\n{last:?}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for a line after so many.
    fn said(&self, after: usize, who: &str, what: &str) -> Line {
        let is = |l: &&Line| l.who == who && l.what == what;
        self.until(&format!("{who} {what}"), || self.lines().get(after..)?.iter().find(is).cloned())
    }

    /// Capture and serve as they are at work.
    fn at_work(&self, after: usize) -> (u32, u32) {
        let serve = self.said(after, "serve", "sees").pid;
        let mut captures = self.lines().into_iter().filter(|l| l.who == "capture" && l.what == "begins");
        (captures.next_back().expect("a capture").pid, serve)
    }

    fn here(&self) -> usize {
        self.lines().len()
    }

    fn tell_parent(&self, signal: Signal) {
        kill(self.parent.id(), signal);
    }

    /// How the parent ends.
    fn end(&mut self) -> ExitStatus {
        let (ended, log) = (Cell::new(None), self.dir.path().join("log"));
        let start = Instant::now();
        while ended.get().is_none() {
            ended.set(self.parent.try_wait().expect("its state"));
            assert!(
                start.elapsed() < PATIENCE,
                "it does not end: {}",
                std::fs::read_to_string(&log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        ended.get().expect("an end")
    }

    fn until_gone(&self, pid: u32) {
        self.until("an end", || is_gone(pid).then_some(()));
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
        // A half that does not end by itself would be found by its line.
        for line in self.lines().iter().filter(|l| l.what == "begins" && !is_gone(l.pid)) {
            let start = Instant::now();
            while !is_gone(line.pid) && start.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(5));
            }
            if !is_gone(line.pid) {
                kill(line.pid, Signal::KILL);
            }
        }
    }
}

fn lines(dir: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(dir.join("lives")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |l: &str| {
        let v: Value = serde_json::from_str(l).expect("a line");
        let word = |name: &str| v[name].as_str().expect("a word").to_owned();
        Line {
            who: word("who"),
            pid: v["pid"].as_u64().expect("a pid") as u32,
            what: word("what"),
            more: v["more"].clone(),
        }
    };
    whole.lines().map(line).collect()
}

/// `target/<profile>/examples/pair`, which cargo builds before the tests.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_retrotap")).with_file_name("examples").join("pair");
    assert!(path.exists(), "{} is not built: cargo build --example pair", path.display());
    path
}

fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    kill_process(pid, signal).expect("a signal");
}

#[test]
fn serve_dies_of_anything_and_comes_again_while_capture_counts_on() {
    let mut family = Family::new();
    let (capture, mut serve) = family.at_work(0);
    let (mut seen, mut turn) = (0, 1);
    for signal in [Signal::KILL, Signal::SEGV, Signal::ABORT, Signal::BUS] {
        let here = family.here();
        strike(serve, signal);
        let line = family.until("another serve", || {
            family.lines().get(here..)?.iter().find(|l| l.what == "sees" && l.pid != serve).cloned()
        });
        let sees = line.more.as_u64().expect("a count");
        assert!(sees > seen, "it sees what the one before saw: {sees} after {seen}");
        (serve, seen) = (line.pid, sees);
        // What was handed to one before is not handed to another.
        turn += 1;
        let begins = family.said(here, "serve", "begins").more.to_string();
        assert!(begins.contains(&format!("turn-{turn} ")) && begins.matches("turn-").count() == 1, "{begins}");
    }
    assert!(!is_gone(capture) && family.lines().iter().filter(|l| l.who == "capture").all(|l| l.pid == capture));
    family.tell_parent(Signal::INT);
    assert_eq!(family.end().code(), Some(0), "{}", family.log());
    assert!(is_gone(capture) && is_gone(serve));
}

#[test]
fn a_serve_that_stands_still_is_ended_and_comes_again() {
    let family = Family::new();
    let (capture, serve) = family.at_work(0);
    let here = family.here();
    kill(serve, Signal::STOP);
    family.until_gone(serve);
    assert!(family.log().contains("says nothing any more"), "{}", family.log());
    assert_ne!(family.said(here, "serve", "begins").pid, serve);
    assert!(!is_gone(capture));
}

#[test]
fn both_come_again_as_a_pair_when_capture_dies() {
    let mut family = Family::new();
    let (mut capture, mut serve) = family.at_work(0);
    for signal in [Signal::KILL, Signal::SEGV] {
        let here = family.here();
        strike(capture, signal);
        family.until_gone(serve);
        let (new_capture, new_serve) = (family.said(here, "capture", "begins"), family.said(here, "serve", "begins"));
        assert!(new_capture.pid != capture && new_serve.pid != serve);
        // Of the new memory: in the old one nobody counts any more.
        let first = new_serve.more["open"].to_string();
        assert!(first.matches("count ").count() == 1 && first.contains("turn-1 "), "{first}");
        (capture, serve) = (new_capture.pid, new_serve.pid);
        let sees = |from: u64| {
            let is = |l: &Line| l.pid == serve && l.what == "sees" && l.more.as_u64() > Some(from);
            family.until("the count", || family.lines().iter().find(|l| is(l)).and_then(|l| l.more.as_u64()))
        };
        sees(sees(0));
    }
    assert_eq!(family.log().matches("nothing is recorded").count(), 2, "{}", family.log());
    family.tell_parent(Signal::TERM);
    assert_eq!(family.end().code(), Some(0), "{}", family.log());
}

#[test]
fn both_end_in_order_when_the_parent_is_killed() {
    let mut family = Family::new();
    let (capture, serve) = family.at_work(0);
    family.tell_parent(Signal::KILL);
    family.end();
    assert_eq!(family.said(0, "capture", "ends").pid, capture);
    assert_eq!(family.said(0, "serve", "ends").pid, serve);
    family.until_gone(capture);
    family.until_gone(serve);
}

#[test]
fn a_signal_to_all_ends_capture_first_and_then_serve() {
    let mut family = Family::new();
    let (capture, serve) = family.at_work(0);
    // As a terminal and a service manager do.
    for pid in [capture, serve] {
        kill(pid, Signal::INT);
        kill(pid, Signal::TERM);
        kill(pid, Signal::HUP);
    }
    family.tell_parent(Signal::INT);
    assert_eq!(family.end().code(), Some(0), "{}", family.log());
    let ends: Vec<String> = family.lines().into_iter().filter(|l| l.what == "ends").map(|l| l.who).collect();
    assert_eq!(ends, ["capture", "serve"]);
}

#[test]
fn a_second_signal_ends_all_at_once() {
    let mut family = Family::with(&["capture-stay"]);
    let (capture, serve) = family.at_work(0);
    family.tell_parent(Signal::INT);
    family.said(0, "capture", "stays");
    assert!(!is_gone(capture) && !is_gone(serve));
    family.tell_parent(Signal::INT);
    assert_eq!(family.end().code(), Some(130), "{}", family.log());
    assert!(is_gone(capture) && is_gone(serve));
}

#[test]
fn a_serve_that_crashes_at_each_start_costs_capture_nothing_and_the_log_little() {
    let mut family = Family::with(&["serve-crash"]);
    family.until("three deaths", || family.log().contains("in 1s").then_some(()));
    let log = family.log();
    let pauses: Vec<&str> = log.lines().filter_map(|l| l.rsplit_once("started again ")).map(|(_, when)| when).collect();
    assert_eq!(pauses[..3], ["now", "in 100ms", "in 1s"], "{log}");
    family.no_longer("serve-crash");
    let (capture, _) = family.at_work(0);
    assert!(family.lines().iter().filter(|l| l.who == "capture").all(|l| l.pid == capture));
    family.tell_parent(Signal::INT);
    assert_eq!(family.end().code(), Some(0), "{}", family.log());
}

#[test]
fn a_half_inherits_nothing_but_what_it_is_handed() {
    let family = Family::new();
    family.at_work(0);
    for who in ["capture", "serve"] {
        let begins = family.said(0, who, "begins").more;
        assert_eq!(begins["umask"], 0o027);
        let text = begins.to_string();
        assert!(!text.contains("/dev/zero") && !text.contains("RETROTAP_SECRET"), "{text}");
    }
    let oom = |who: &str| family.said(0, who, "begins").more["oom"].as_i64().expect("a number");
    assert_eq!(oom("serve"), (oom("capture") + 500).min(1000), "serve goes first where memory is short");
}

#[test]
fn other_settings_go_to_capture_then_to_serve_and_to_the_captures_after() {
    let family = Family::new();
    let (capture, _) = family.at_work(0);
    let rules = family.dir.path().join("rules");
    let heard = |here: usize, who: &str| family.said(here, who, "hears").more;
    // By a signal.
    std::fs::write(&rules, "the second").expect("rules");
    let here = family.here();
    family.tell_parent(Signal::HUP);
    assert_eq!(heard(here, "capture"), serde_json::json!({ "rules": "the second", "number": 0 }));
    let said = serde_json::json!({ "rules": "the second", "number": 0, "answer": "it is in force" });
    assert_eq!(heard(here, "serve"), said);
    // By a client, and refused.
    std::fs::write(&rules, "wrong").expect("rules");
    let here = family.here();
    family.wish("serve-ask");
    let said = serde_json::json!({ "rules": "wrong", "number": 7, "answer": "it is wrong" });
    assert_eq!(heard(here, "serve"), said);
    // What is in force is the second.
    std::fs::write(&rules, "the second").expect("rules");
    let here = family.here();
    kill(capture, Signal::KILL);
    assert_eq!(family.said(here, "capture", "begins").more["rules"], "the second");
    assert_eq!(family.said(here, "serve", "begins").more["rules"], "the second");
}

#[test]
fn a_half_that_does_not_begin_ends_the_recording_with_its_code() {
    for (wish, code) in [("capture-refuse", 2), ("serve-refuse", 2), ("capture-crash", 3)] {
        let mut family = Family::with(&[wish]);
        assert_eq!(family.end().code(), Some(code), "{wish}: {}", family.log());
        family.lines().iter().for_each(|l| family.until_gone(l.pid));
    }
}

#[test]
fn the_words_of_halves_are_nobodys_commands() {
    let out = Command::new(env!("CARGO_BIN_EXE_retrotap")).arg("record-capture").stdin(Stdio::null()).output();
    let out = out.expect("it runs");
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("retrotap record"), "{out:?}");
}
