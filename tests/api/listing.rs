//! `POST /v1/connections` and the command that asks it: the same connections as from the files, while they are recorded.

use crate::common::Retrotap;
use crate::rig::{Daemon, packet};

#[test]
fn the_socket_and_the_files_list_the_same_connections() {
    for memory in ["0", "64MiB"] {
        let r = Retrotap::default();
        let mut daemon = Daemon::start(&r, &["--memory", memory]);
        daemon.feed((0..3_000).map(packet));
        daemon.until_count(3_000);
        let ask = |how: &[&str]| {
            let ran = r.run(&[&["connections"], how].concat());
            assert_eq!(ran.code, Some(0), "{how:?}: {}", ran.err);
            ran.text()
        };
        // Memory has packets a moment before the catalog says that the files have them.
        let seen = || ask(&["--json", "--direct"]).lines().count() == 256;
        assert!((0..200).any(|_| seen() || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            false
        }));
        let questions = [
            &["--json"][..],
            &["net 10.0.0.0/28", "--json", "--sort", "bytes"],
            &["host 10.0.0.7 and udp", "--csv"],
            &["host 10.3.3.3", "--csv"],
            &["--sort", "last", "--top", "5"],
            &["src host 10.0.0.9", "--json"],
            &["--until", "2023-11-14T22:13:20.100Z", "--json"],
        ];
        let while_they_run = questions.map(ask);
        assert_eq!(ask(&["--json"]).lines().count(), 256);
        assert!(ask(&["--top", "5"]).ends_with("256 connections; these are 5\n"));
        let reply = daemon.post("/v1/connections", r#"{"filter": "host 10.0.0.7", "sort": "packets", "top": 1}"#);
        let one: serde_json::Value = serde_json::from_slice(&reply.body).expect("one line of JSON");
        assert_eq!(
            (&one["a"], &one["seen_packets"]),
            (&serde_json::json!({ "address": "10.0.0.7", "port": 12345 }), &12.into()),
            "{one}"
        );
        assert_eq!((reply.summary()["connections"].as_u64(), reply.head.contains("x-ndjson")), (Some(1), true));
        for (body, word) in [
            (r#"{"limit": 1}"#, "/v1/query"),
            (r#"{"sort": "size"}"#, "bytes"),
            (r#"{"top": -1}"#, "JSON"),
            (r#"{"filter": "prot tcp"}"#, "filter"),
        ] {
            let (status, error) = daemon.ask("/v1/connections", body);
            assert!(
                status == 400 && error["error"]["message"].as_str().is_some_and(|e| e.contains(word)),
                "{body}: {error}"
            );
        }
        let (status, error) = daemon.ask("/v1/query", r#"{"top": 1}"#);
        assert!(status == 400 && error.to_string().contains("/v1/connections"), "{error}");
        assert_eq!(daemon.stop()["stored"]["packets"], 3_000);
        // What the recorder said of those that ran is what their receipts say now.
        for (how, then) in questions.iter().zip(while_they_run) {
            assert_eq!(then.replace("running", "stopped"), ask(how), "{memory} {how:?}");
        }
    }
}

/// What the recorder counts past the cutoff is in the totals while the connection runs.
#[test]
fn a_connection_that_runs_has_its_true_totals() {
    let r = Retrotap::default();
    let config = r.dir().join("classes.toml");
    std::fs::write(&config, "[class.one]\nfilter = \"udp\"\nprecedence = 1\ncutoff = \"1KiB\"\n").expect("a file");
    let mut daemon = Daemon::start(&r, &["-c", &config.to_string_lossy()]);
    // One connection of those that packet() makes has every 256th.
    daemon.feed((0..256 * 200).filter(|n| n % 256 == 7).map(packet));
    let one = daemon.until("all of it", || {
        let reply = daemon.post("/v1/connections", r#"{"filter": "host 10.0.0.7"}"#);
        let one: serde_json::Value = serde_json::from_slice(&reply.body).ok()?;
        (one["seen_packets"] == 200).then_some(one)
    });
    assert_eq!((&one["end"], &one["cut"]), (&"running".into(), &true.into()), "{one}");
    let stored = one["stored_packets"].as_u64().expect("a count");
    assert!(stored > 0 && stored < 200, "{one}");
    let account = daemon.stop();
    assert_eq!(account["stored"]["packets"], stored);
}
