//! What a query says of connections that still run, behind the kernel's shunt on a veth pair: how much is cut of them, to the packet, in JSON, in
//! words and in the pcapng; the same as their receipts say when they have ended. Needs root; says `skipped` without.

use super::live::{RETROTAP, Running, frame};
use crate::net::{Sender, in_namespace, veth};
use serde_json::Value;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const PORT: u16 = 20_000;
/// Packets of 1000 bytes: the one that crosses the cutoff is stored whole.
const SENT: u64 = 200;
const STORED: u64 = 16;

/// Asks until the answer is this, or for a minute.
fn until(what: &str, mut ask: impl FnMut() -> Value, is: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let answer = ask();
        if is(&answer) {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: {answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn query(store: &Path, args: &[&str]) -> (String, String) {
    let ran = Command::new(RETROTAP).arg("query").args(args).arg("--store").arg(store).output().expect("a query");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (out, err) = (text(ran.stdout), text(ran.stderr));
    assert!(ran.status.success(), "{args:?}: {err}");
    (out, err)
}

fn summary(store: &Path, args: &[&str]) -> Value {
    let (out, err) = query(store, &[args, &["--json"]].concat());
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out} {err}"))
}

/// Connections, cut ones, cut packets, cut bytes, running, without a word.
fn cut(s: &Value) -> [u64; 6] {
    ["connections", "cut_connections", "cut_packets", "cut_bytes", "running_connections", "open_connections"]
        .map(|field| s[field].as_u64().expect("a number"))
}

fn told(dir: &Path) {
    veth("gen0", "tap0", 1, 1500);
    let file = |name: &str| dir.join(name);
    let made = |name: &str| std::fs::File::create(file(name)).expect("a file");
    let store = file("store");
    let mut command = Command::new(RETROTAP);
    command.args([
        "record", "--json", "-i", "tap0", "--source", "xdp", "--cutoff", "15KiB", "--memory", "64MiB", "--store",
    ]);
    command.arg(&store).stdin(Stdio::null()).stdout(made("record.json")).stderr(made("record.log"));
    let mut recorder = Running(command.spawn().expect("the recorder"));
    let log = || std::fs::read_to_string(file("record.log")).unwrap_or_default();
    let start = Instant::now();
    while UnixStream::connect(store.join("api.sock")).is_err() {
        assert!(start.elapsed() < PATIENCE, "no API: {}", log());
        std::thread::sleep(Duration::from_millis(10));
    }
    let sender = Sender::new("gen0");
    for n in 0..SENT as u32 {
        sender.send(&frame(1, PORT, n));
        std::thread::sleep(Duration::from_millis(1));
    }
    // Another that is whole so far.
    (0..3).for_each(|n| sender.send(&frame(1, PORT + 1, n)));

    let one = format!("udp port {PORT}");
    let (cut_packets, cut_bytes) = (SENT - STORED, (SENT - STORED) * 1000);
    let all = [1, 1, cut_packets, cut_bytes, 1, 0];
    let s = until("the one that is cut", || summary(&store, &[&one]), |s| cut(s) == all);
    assert_eq!(s["packets"], STORED, "{s}");
    // From memory, at once: its last packet says that it is cut.
    let in_memory = || summary(&store, &[&one, "--memory-only"]);
    until("from memory", in_memory, |s| cut(s) == all && s["packets"] == STORED);
    let conn = format!("udp 10.99.1.1:{PORT} 10.99.0.1:9");
    assert_eq!(cut(&summary(&store, &["--memory-only", "--conn", &conn])), all);
    // All of a host, be the packet that reached the cutoff in the answer or not.
    let both = [2, 1, cut_packets, cut_bytes, 2, 0];
    until("both of a host", || summary(&store, &["host 10.99.1.1"]), |s| cut(s) == both);
    assert_eq!(cut(&summary(&store, &["host 10.99.1.1", "--limit", "1"])), all);
    // More of it come, and are cut.
    (0..50).for_each(|n| sender.send(&frame(1, PORT, n)));
    let more = [1, 1, cut_packets + 50, cut_bytes + 50_000, 1, 0];
    until("what came since", || summary(&store, &[&one]), |s| cut(s) == more);
    // From the files alone nobody knows.
    let alone = until("the files", || summary(&store, &[&one, "--direct"]), |s| s["packets"] == STORED);
    assert_eq!(cut(&alone), [1, 0, 0, 0, 0, 1], "{alone}");

    // In words, and in the file.
    let words = "1 connection past the cutoff; 234 packets, 229 KiB of them were not stored";
    let pcapng = file("answer.pcapng");
    let (out, _) = query(&store, &[&one, "-w", pcapng.to_str().expect("a name")]);
    let bytes = std::fs::read(&pcapng).expect("the answer");
    for text in [out, String::from_utf8_lossy(&bytes).into_owned()] {
        assert!(
            text.contains(words) && text.contains("1 connection still runs") && !text.contains("no receipt"),
            "{text}"
        );
    }

    let account = recorder.end(dir);
    let shunted = account["shunted"]["packets"].as_u64();
    assert!(shunted >= Some(50) && shunted <= Some(more[2]), "the kernel cut the most of them: {account}");
    // The receipt says the same.
    let [_, _, packets, bytes, ..] = more;
    assert_eq!(cut(&summary(&store, &[&one])), [1, 1, packets, bytes, 0, 0]);
}

#[test]
fn a_summary_says_what_the_kernel_cuts_of_connections_that_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_owned();
    in_namespace("steer-running", move || told(&path));
}
