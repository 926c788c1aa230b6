//! Holds on a real store: made, kept when the segments expire, checked, limited, exported, released.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn retrotap(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_retrotap")).args(args).output().expect("the binary runs")
}

fn good(args: &[&str]) -> String {
    let out = retrotap(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A capture of `packets` UDP packets of 1,400 bytes from so many hosts.
fn capture(path: &Path, packets: u32, hosts: u32, from: u32) {
    let mut file =
        [0xa1b2_3c4du32.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4], 65535u32.to_le_bytes(), [1, 0, 0, 0]].concat();
    for n in 0..packets {
        let host = [10, 0, (n % hosts / 256) as u8, (n % hosts) as u8];
        let mut frame = Vec::new();
        etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(host, [192, 0, 2, 1], 64)
            .udp(1000 + (n / hosts) as u16, 53)
            .write(&mut frame, &vec![n as u8; 1358])
            .unwrap();
        let len = (frame.len() as u32).to_le_bytes();
        file.extend([(from + n / 1000).to_le_bytes(), (n % 1000).to_le_bytes(), len, len].concat());
        file.extend(frame);
    }
    std::fs::write(path, file).unwrap();
}

struct Case {
    dir: tempfile::TempDir,
    store: PathBuf,
}

impl Case {
    fn new() -> Case {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        Case { dir, store }
    }

    fn store(&self) -> &str {
        self.store.to_str().unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn record(&self, packets: u32, from: u32) {
        let file = self.path("capture.pcap");
        capture(Path::new(&file), packets, 50, from);
        let budget = ["--disk", "64MiB", "--cutoff", "none"];
        good(&[&["record", "-r", &file, "--store", self.store()][..], &budget[..]].concat());
    }

    fn hold(&self, name: &str, filter: &str) -> Output {
        retrotap(&["hold", filter, "--store", self.store(), "--name", name, "--reason", "a test", "--json"])
    }
}

#[test]
fn a_hold_outlives_its_segments_and_is_what_the_query_gave() {
    let case = Case::new();
    case.record(20_000, 1_700_000_000);
    let answer = case.path("answer.pcapng");
    good(&["query", "host 10.0.0.7", "--store", case.store(), "-w", &answer]);
    let out = case.hold("case-1", "host 10.0.0.7");
    let hold: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((hold["packets"].as_u64(), hold["reason"].as_str()), (Some(400), Some("a test")));
    // Twice the budget of newer packets: what the hold was made from is gone.
    case.record(60_000, 1_700_001_000);
    case.record(60_000, 1_700_002_000);
    let left = good(&["query", "host 10.0.0.7", "--store", case.store(), "--until", "1700000100", "--count"]);
    assert_eq!(left.trim(), "0");
    let export = case.path("export.pcapng");
    good(&["export", "case-1", "--store", case.store(), "-w", &export]);
    let (kept, want) = (common::libpcap(Path::new(&export)), common::libpcap(Path::new(&answer)));
    assert_eq!(kept.1, None);
    assert_eq!(kept.0.len(), 400);
    assert_eq!(kept.0, want.0);
    let listed = good(&["holds", "--store", case.store(), "--verify"]);
    assert!(listed.contains("case-1") && listed.contains("every sum is right"), "{listed}");
    // The store itself is as good as before.
    good(&["verify", case.store()]);
    good(&["release", "case-1", "--store", case.store(), "--reason", "closed"]);
    assert!(!case.store.join("held/case-1").exists());
    let log = std::fs::read_to_string(case.store.join("held/log.jsonl")).unwrap();
    let done: Vec<serde_json::Value> = log.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((done[0]["what"].as_str(), done[1]["what"].as_str(), done.len()), (Some("hold"), Some("release"), 2));
    assert_eq!(done[1]["reason"], "closed");
}

#[test]
fn a_hold_that_was_touched_is_found_out() {
    let case = Case::new();
    case.record(1000, 1_700_000_000);
    assert!(case.hold("case-1", "udp").status.success());
    let path = case.store.join("held/case-1/packets.pcapng");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let checked = retrotap(&["holds", "--store", case.store(), "--verify"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&checked.stderr).contains("case-1"));
    let export = case.path("export.pcapng");
    assert_eq!(retrotap(&["export", "case-1", "--store", case.store(), "-w", &export]).status.code(), Some(3));
    assert!(!Path::new(&export).exists());
}

#[test]
fn the_limit_refuses_new_holds_and_removes_none() {
    let case = Case::new();
    case.record(2000, 1_700_000_000);
    assert!(case.hold("first", "host 10.0.0.1").status.success());
    // Below what is held already: that is said, and removes nothing.
    let below = retrotap(&["holds", "--store", case.store(), "--limit", "1KiB"]);
    let said = String::from_utf8_lossy(&below.stderr).into_owned();
    assert!(below.status.success() && said.contains("more than the limit of 1.00 KiB: they all stay"), "{said}");
    assert!(case.store.join("held/first").exists());
    good(&["holds", "--store", case.store(), "--limit", "100KiB"]);
    let refused = case.hold("second", "udp");
    assert_eq!(refused.status.code(), Some(3));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("does not fit") && said.contains("--limit"), "{said}");
    assert!(!case.store.join("held/second").exists() && !case.store.join("held/.new-second").exists());
    assert!(case.store.join("held/first").exists());
    good(&["holds", "--store", case.store(), "--limit", "1GiB"]);
    assert!(case.hold("second", "udp").status.success());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let case = Case::new();
    case.record(100, 1_700_000_000);
    assert_eq!(case.hold("../x", "udp").status.code(), Some(2));
    assert_eq!(case.hold("x", "porrt 5").status.code(), Some(2));
    assert_eq!(case.hold("x", "tcp").status.code(), Some(1));
    assert!(case.hold("x", "udp").status.success());
    assert_eq!(case.hold("x", "udp").status.code(), Some(2));
    let store = case.store();
    assert_eq!(retrotap(&["release", "y", "--store", store, "--reason", "r"]).status.code(), Some(2));
    assert_eq!(retrotap(&["holds", "--store", "/nonexistent"]).status.code(), Some(3));
    let no_reason = ["hold", "udp", "--store", store, "--name", "z", "--reason", " "];
    assert_eq!(retrotap(&no_reason).status.code(), Some(2));
}

/// Who made a hold is the system's name of the user, whatever the environment has.
#[test]
fn a_hold_has_the_name_of_who_made_it() {
    let case = Case::new();
    case.record(100, 1_700_000_000);
    let bare = |program: &str, args: &[&str]| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let out = Command::new(program).args(args).env_clear().env("PATH", path).env("USER", "mallory").output();
        let out = out.expect("it runs");
        (out.status.success(), String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let (named, name) = bare("id", &["-un"]);
    let hold = ["hold", "udp", "--store", case.store(), "--name", "x", "--reason", "why", "--json"];
    let (made, json) = bare(env!("CARGO_BIN_EXE_retrotap"), &hold);
    assert!(made, "{json}");
    let hold: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(hold["by"]["user"], if named { name.as_str() } else { "" }, "{hold}");
    let listed = good(&["holds", "--store", case.store()]);
    let want = if named { name } else { format!("uid {}", hold["by"]["uid"]) };
    assert!(listed.contains(&format!(" {want} ")), "{listed}");
}

/// A hold of before the one shape of JSON: its record has times as Unix ns and other names, and is said as one of today is.
#[test]
fn a_record_of_version_1_is_read() {
    let case = Case::new();
    case.record(100, 1_700_000_000);
    assert!(case.hold("old", "udp").status.success());
    let path = case.store.join("held/old/hold.json");
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(record["version"], 2);
    let (from, to) = (1_700_000_000_000_000_001u64, 1_700_000_003_000_000_000u64);
    record["version"] = 1.into();
    record["since"] = "2023-11-14T22:13:20Z".into();
    record["summary"] = serde_json::json!({
        "packets": 100, "bytes": 6400, "first": from, "last": to, "late": 3, "not_recorded": [[from, to]],
        "pruning": { "segments": 1, "bytes_read": 7 }, "elapsed_ns": 5,
    });
    std::fs::write(&path, record.to_string()).unwrap();
    let said = good(&["holds", "--json", "--store", case.store()]);
    let hold: serde_json::Value = serde_json::from_str(&said).unwrap();
    common::said::check("Hold", &hold);
    let [from, to] = ["2023-11-14T22:13:20.000000001Z", "2023-11-14T22:13:23.000000000Z"];
    let summary = &hold["summary"];
    assert_eq!(
        (&summary["first"], &summary["late_packets"], &hold["since"]),
        (&from.into(), &3.into(), &"2023-11-14T22:13:20.000000000Z".into())
    );
    assert_eq!(summary["last"], to);
}
