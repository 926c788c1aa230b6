//! Questions whose summary is longer than a trailer, and recorders that are killed: an answer that is whole is kept, and one that is not says so.

use crate::common::{Retrotap, libpcap};
use crate::rig::{Daemon, packet};

/// A thousand hosts that are not wanted: what no index answers is longer than what hyper takes as a trailer.
#[test]
fn a_thousand_hosts_have_an_answer_and_its_file_is_kept() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "64MiB"]);
    daemon.feed((0..3_000).map(packet));
    daemon.until_count(3_000);
    let hosts: Vec<String> = (0..1000).map(|n| format!("not host 10.0.{}.{}", n / 250, n % 250)).collect();
    let filter = format!("udp and {}", hosts.join(" and "));
    let file = r.dir().join("hosts.pcapng");
    let ran = r.run(&["query", &filter, "--json", "-w", &file.to_string_lossy()]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let summary = ran.json();
    let whole = r.run(&["query", "--direct", &filter, "--json"]).json();
    assert_eq!(summary["packets"], whole["packets"], "{summary}");
    assert_eq!(libpcap(&file).0.len() as u64, summary["packets"].as_u64().expect("a number"));
    let [cut, all] = [&summary, &whole].map(|s| s["idle"].as_array().expect("a list"));
    assert!(cut.last().is_some_and(|last| last == "... (996 more)") && all.len() == 1000, "{cut:?}");
    daemon.stop();
}

/// Of an import that was killed nobody knows what it would have read.
#[test]
fn an_import_that_was_killed_says_so_before_and_after_the_next_start() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "0"]);
    daemon.feed((0..1_000).map(packet));
    daemon.until_count(1_000);
    let why = |summary: &serde_json::Value| -> Vec<String> {
        let all = summary["incomplete"].as_array().expect("a list");
        all.iter().map(|r| r["why"].as_str().expect("a word").to_owned()).collect()
    };
    let running = r.run(&["query", "--direct", "--json"]).json();
    assert_eq!((why(&running).len(), &running["complete"]), (0, &true.into()), "{running}");
    daemon.kill();
    let killed = r.run(&["query", "--direct", "--json"]).json();
    assert_eq!(why(&killed), ["import_cut_short"], "{killed}");
    assert_eq!(r.run(&["query", "--direct", "--strict"]).code, Some(1));
    let mut next = Daemon::start(&r, &["--memory", "0"]);
    next.feed((0..10).map(packet));
    next.until_count(10);
    for how in [&[][..], &["--direct"]] {
        let told = r.run(&[&["query", "--json"], how].concat()).json();
        assert_eq!(why(&told), ["import_cut_short"], "{told}");
    }
    next.stop();
}
