//! A hold that follows at a wire: the time when nobody recorded is stated in it, and what comes afterwards is in it. Takes root.

use crate::common::{Retrotap, check_account, processes};
use crate::net::{A, B, Sender, in_namespace, veth};
use crate::rig::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A recorder of `tap0`; killed when dropped.
struct Recorder {
    child: Child,
    out: std::path::PathBuf,
}

impl Recorder {
    fn start(r: &Retrotap, name: &str) -> Recorder {
        let (out, log) = (r.dir().join(format!("{name}.json")), r.dir().join(format!("{name}.log")));
        let file = |path| std::fs::File::create(path).expect("a file");
        let args =
            ["record", "--json", "-i", "tap0", "--source", "packet", "--memory", "16MiB", "--log-interval", "100ms"];
        let mut command = r.command(&args);
        let child = command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&log)).spawn().expect("the recorder");
        let recorder = Recorder { child, out };
        until("the recorder", || std::fs::read_to_string(&recorder.out).is_ok_and(|t| t.contains("interval")));
        recorder
    }

    /// Its final account, whose sums are checked.
    fn stop(mut self) -> Value {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("a signal");
        until("its end", || self.child.try_wait().expect("its state").is_some());
        let text = std::fs::read_to_string(&self.out).expect("its account");
        let account = serde_json::from_str(text.lines().last().expect("a last line")).expect("JSON");
        check_account(&account);
        account
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            processes::kill(&mut self.child);
        }
    }
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_hold_that_follows_states_when_nobody_recorded() {
    in_namespace("a_hold_that_follows_states_when_nobody_recorded", stated);
}

fn stated() {
    veth("gen0", "tap0", 1, 1500);
    let r = Retrotap::default();
    let sender = Sender::new("gen0");
    let send = |n: u8| {
        let builder = etherparse::PacketBuilder::ethernet2(A, B).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
        let mut frame = Vec::new();
        builder.udp(4000, 53).write(&mut frame, &[n; 50]).expect("a frame");
        sender.send(&frame);
    };
    let hold = || r.run(&["holds", "--json"]).json();
    let recorder = Recorder::start(&r, "first");
    send(1);
    let made = r.run(&["hold", "host 10.0.0.1", "--name", "f", "--reason", "why", "--last", "1s", "--follow"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    send(2);
    until("two packets", || hold()["packets"] == 2);
    assert_eq!(recorder.stop()["stored"]["packets"], 2);
    // A gap of less than two seconds is none.
    let from = retrotap::units::now();
    std::thread::sleep(Duration::from_secs(3));
    let to = retrotap::units::now();
    let recorder = Recorder::start(&r, "second");
    send(3);
    until("three packets", || hold()["packets"] == 3);
    let f = hold();
    let [from, to] = [from, to].map(|t| serde_json::Value::from(retrotap::shape::rfc3339(t)));
    let missing = f["summary"]["incomplete"].as_array().expect("a list");
    // Texts of times sort as times do.
    let told = missing.iter().any(|r| {
        let covers = r["from"].as_str() <= from.as_str() && r["to"].as_str() >= to.as_str();
        r["why"] == "not_recorded" && r["cause"] == "stopped" && covers
    });
    assert!(told && f["summary"]["complete"] == false, "{from} to {to} is not in {f}");
    assert!(f["follows"]["ended"].is_null(), "{f}");
    assert_eq!(recorder.stop()["stored"]["packets"], 1);
}

#[test]
fn a_recording_covers_its_first_second_for_whoever_reads_the_files() {
    in_namespace("a_recording_covers_its_first_second_for_whoever_reads_the_files", covered);
}

fn covered() {
    veth("gen0", "tap0", 1, 1500);
    let r = Retrotap::default();
    let sender = Sender::new("gen0");
    let builder = etherparse::PacketBuilder::ethernet2(A, B).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    let mut frame = Vec::new();
    builder.udp(4000, 53).write(&mut frame, &[1; 50]).expect("a frame");
    let recorder = Recorder::start(&r, "first");
    sender.send(&frame);
    let ask = |how: &[&str]| r.run(&[&["query", "host 10.0.0.1", "--json", "--last", "1m"], how].concat()).json();
    for how in [&["--direct"][..], &[]] {
        until("a packet", || ask(how)["packets"] == 1);
        let summary = ask(how);
        let missing = summary["incomplete"].as_array().expect("a list");
        // The minute began before the recorder: so far nobody recorded, and no further.
        let [gap] = missing.as_slice() else { panic!("{summary}") };
        assert_eq!((&gap["why"], &gap["cause"]), (&"not_recorded".into(), &"before".into()), "{summary}");
        assert!(gap["to"].as_str() <= summary["first"].as_str(), "{summary}");
    }
    recorder.stop();
}
