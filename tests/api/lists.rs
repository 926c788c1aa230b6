//! Long lists of addresses, from files and in questions: the recorder's answer is that of the files, with an index and without; a list shows by
//! its number and sum, and what is no address is named by its place.

use crate::common::{Retrotap, libpcap};
use crate::holds::coming;
use crate::rig::{Daemon, packet};
use std::path::PathBuf;

/// Every third host of those that there are, among others.
fn hosts() -> Vec<String> {
    let there = (0..256).step_by(3).map(|n| format!("10.0.0.{n}"));
    there.chain((0..10_000).map(|n| format!("172.16.{}.{}", n / 256, n % 256))).collect()
}

struct World {
    r: Retrotap,
    daemon: Daemon,
}

impl World {
    fn new() -> World {
        let r = Retrotap::default();
        let mut daemon = Daemon::start(&r, &["--memory", "64MiB"]);
        daemon.feed((0..2_560).map(packet));
        daemon.until_count(2_560);
        World { r, daemon }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.r.dir().join(name);
        std::fs::write(&path, text).expect("a list");
        path.to_string_lossy().into_owned()
    }
}

#[test]
fn ten_thousand_hosts_of_a_file() {
    let w = World::new();
    let file = w.file("feed.txt", &format!("# a feed\n\n{}", hosts().join(" # seen\n")));
    let count = |args: &[&str]| {
        let ran = w.r.run(&[&["query", "--count"], args].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        (ran.text().trim().parse::<u64>().expect("a number"), ran.err)
    };
    for how in [&[][..], &["--direct"]] {
        let (packets, said) = count(&[&["--hosts-file", &file], how].concat());
        assert_eq!(packets, 860, "{how:?}");
        assert!(said.contains("feed.txt: 10 086 hosts"), "{said}");
        assert_eq!(count(&[&["--hosts-file", &file, "udp port 53 and less 500"], how].concat()).0, 860, "{how:?}");
        assert_eq!(count(&[&["--hosts-file", &file, "tcp"], how].concat()).0, 0, "{how:?}");
        // Written as an expression it is the same question; a command takes 128 KiB of it.
        let text = format!("udp and not (host {})", hosts()[..5_000].join(" or "));
        assert_eq!(count(&[&[text.as_str()], how].concat()).0, 2_560 - 860, "{how:?}");
    }
    // The same from the index and without it.
    for full in [false, true] {
        let body = serde_json::json!({ "hosts": hosts(), "filter": "udp", "full_scan": full });
        let (status, summary) = w.daemon.ask("/v1/count", &body.to_string());
        assert_eq!((status, &summary["packets"]), (200, &860.into()), "{summary}");
        assert_eq!(summary["plan"].as_str().expect("a text").contains("more)"), !full, "{summary}");
    }
    let body = serde_json::json!({ "hosts": hosts(), "nets": ["10.9.9.8/31"] }).to_string();
    assert_eq!(w.daemon.ask("/v1/count", &body).1["packets"], 2_560);
    // What is kept says which list it was, not the list.
    let kept = w.r.dir().join("kept.pcapng");
    let ran = w.r.run(&["query", "--hosts-file", &file, "-w", &kept.to_string_lossy()]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(libpcap(&kept).0.len(), 860);
    let bytes = std::fs::read(&kept).expect("the answer");
    assert!(String::from_utf8_lossy(&bytes).contains("Asked: host in a list of 10 086 (SHA-256 "));
    let listed = w.r.run(&["connections", "--hosts-file", &file, "--json"]).text();
    assert_eq!(listed.lines().count(), 86);
    assert_eq!(w.r.run(&["connections", "--hosts-file", &file, "--json", "--direct"]).text().lines().count(), 86);
    let log = w.daemon.audit(|l| l.iter().filter(|l| l["ask"]["hosts"]["count"] == 10_086).count() >= 5);
    let entered = log.iter().find(|l| l["ask"]["hosts"]["count"] == 10_086).expect("it");
    assert_eq!(entered["ask"]["hosts"]["sha256"].as_str().map(str::len), Some(64), "{entered}");
    w.daemon.stop();
}

/// A hold of a list that follows has what comes, and says which list it is of.
#[test]
fn a_hold_of_a_list_follows() {
    let mut w = World::new();
    let file = w.file("feed.txt", &hosts().join("\n"));
    let made = w.r.run(&[
        "hold",
        "--hosts-file",
        &file,
        "--name",
        "feed",
        "--reason",
        "a feed",
        "--follow",
        "--for",
        "1h",
        "--json",
    ]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    w.daemon.feed((2_560..5_120).map(coming));
    w.daemon.until_count(5_120);
    let held = w.daemon.until("what comes is held", || {
        let line = w.r.run(&["holds", "--json"]).json();
        (line["packets"] == 1_720).then_some(line)
    });
    let filter = held["filter"].as_str().expect("a text");
    assert!(filter.starts_with("host in a list of 10 086 (SHA-256 ") && filter.len() < 200, "{filter}");
    w.daemon.stop();
}

#[test]
fn what_is_no_address_is_named() {
    let w = World::new();
    let (good, bad) = (w.file("good.txt", "10.0.0.1\n"), w.file("bad.txt", "10.0.0.1\n\nexample.com\n"));
    let nets = w.file("nets.txt", "10.0.0.0/8\n10.0.0.1/8\n");
    for (args, why) in [
        (&["--hosts-file", &bad][..], "bad.txt: line 3"),
        (&["--hosts-file", &good, "--nets-file", &nets], "nets.txt: line 2"),
        (&["--hosts-file", &w.file("empty.txt", "# none\n")], "nothing to ask for"),
        (&["--hosts-file", &good, "udp prt"], "prt"),
    ] {
        let ran = w.r.run(&[&["query", "--count"], args].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains(why), "{why}: {}", ran.err);
    }
    assert_eq!(w.r.run(&["query", "--count", "--hosts-file", "/nowhere"]).code, Some(3));
    let refused = |body: serde_json::Value, why: &str| {
        let (status, said) = w.daemon.ask("/v1/count", &body.to_string());
        assert!(status == 400 && said["error"]["message"].as_str().is_some_and(|m| m.contains(why)), "{said}");
    };
    refused(serde_json::json!({ "hosts": ["10.0.0.1", "a.example"] }), "hosts: entry 2");
    refused(serde_json::json!({ "hosts": ["10.0.0.0/8"] }), "among the nets");
    refused(serde_json::json!({ "nets": ["0.0.0.0/0"] }), "every address");
    refused(serde_json::json!({ "filter": " ".repeat(257 << 10) }), "longer than 256");
    let many: Vec<String> = (0..100_001u32).map(|n| std::net::Ipv4Addr::from_bits(n).to_string()).collect();
    refused(serde_json::json!({ "hosts": many }), "more than 100000");
    w.daemon.stop();
}

/// A question that is longer than others may be waits for none of its kind: the next is told to come again, and other questions are answered.
#[test]
fn only_so_many_long_questions_at_a_time() {
    use std::io::Write;
    let w = World::new();
    let head = format!("POST /v1/count HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 1 << 20);
    let begin = || {
        let mut stream = w.daemon.connect();
        stream.write_all(head.as_bytes()).expect("a request");
        stream
    };
    let long = format!("{{{}}}", " ".repeat(300 << 10));
    // The question itself may have had a place that one of them came for: then another comes.
    let mut begun = Vec::new();
    w.daemon.until("all places are taken", || {
        begun.push(begin());
        (w.daemon.ask("/v1/count", &long).0 == 503).then_some(())
    });
    assert_eq!(w.daemon.ask("/v1/count", "{}").1["packets"], 2_560);
    drop(begun);
    w.daemon.until("they are free again", || (w.daemon.ask("/v1/count", &long).0 == 200).then_some(()));
    w.daemon.stop();
}
