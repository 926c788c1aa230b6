//! How many connections there are, in every state of a store that is being recorded into: what memory has let go of, what is sealed and still
//! in memory, what is not tracked. The recorder, the files and the history say the same.

use crate::common::Retrotap;
use crate::rig::{Daemon, record};
use std::collections::HashMap;

/// Packet of connection `n`, of its first or second round: one address each, so many bytes.
fn packet(n: u32, round: u32, of: u32, len: u16) -> Vec<u8> {
    let mut p = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    p.extend((len - 14).to_be_bytes());
    p.extend([0, 0, 0, 0, 64, 17, 0, 0, 10]);
    p.extend([(n >> 16) as u8, (n >> 8) as u8, n as u8, 10, 255, 9, 9, 0x30, 0x39, 0, 53]);
    p.extend((len - 34).to_be_bytes());
    p.resize(usize::from(len), 0);
    record((round * of + n) / 2, p)
}

/// Feeds so many connections of two packets and asks every way in.
fn asked(connections: u32, len: u16, options: &[&str], config: &str) -> u64 {
    let r = Retrotap::default();
    let path = r.dir().join("c.toml");
    std::fs::write(&path, config).expect("a file");
    let mut daemon = Daemon::start(&r, &[&["-c", path.to_str().expect("a path")], options].concat());
    for round in 0..2 {
        daemon.feed((0..connections).map(|n| packet(n, round, connections, len)));
    }
    let packets = u64::from(connections) * 2;
    daemon.until_count(packets);
    let rows = |how: &[&str]| -> Vec<serde_json::Value> {
        let ran = r.run(&[&["connections", "--json"], how].concat());
        assert_eq!(ran.code, Some(0), "{how:?}: {}", ran.err);
        ran.text().lines().map(|l| serde_json::from_str(l).expect("a line of JSON")).collect()
    };
    // Memory has packets a moment before the catalog says that the files have them.
    let direct = daemon.until("the files", || {
        let ran = r.run(&["query", "--direct", "--count", "--json"]);
        (ran.json()["packets"] == packets).then(|| rows(&["--direct"]))
    });
    let listed = rows(&[]);
    for (how, all) in [("the recorder", &listed), ("the files", &direct)] {
        let mut of: HashMap<String, u64> = HashMap::new();
        for c in all {
            *of.entry(c["a"].to_string()).or_default() += c["seen_packets"].as_u64().expect("a count");
        }
        assert_eq!((all.len(), of.len()), (connections as usize, connections as usize), "{how}");
        assert_eq!(of.values().find(|n| **n != 2), None, "{how}");
    }
    for n in [0, connections / 2, connections - 1] {
        let host = format!("host 10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255);
        assert_eq!((rows(&[&host]).len(), rows(&[&host, "--direct"]).len()), (1, 1), "{host}");
    }
    let (_, summary) = daemon.ask("/v1/count", "{}");
    assert_eq!((&summary["packets"], &summary["connections"]), (&packets.into(), &connections.into()), "{summary}");
    let info = r.run(&["info", "--json", "--api", daemon.socket.to_str().expect("a path")]).json();
    let running = info["running_connections"].as_u64();
    let ended = daemon.stop()["connections"]["begun"].as_u64().expect("a count");
    assert!(running.is_none_or(|n| n <= ended), "{info}");
    let after = r.run(&["info", "--json", r.store().to_str().expect("a path")]).json();
    assert_eq!(after["total"]["connections"], ended, "{after}");
    assert_eq!(rows(&[]).len(), connections as usize, "at its end");
    listed.iter().filter(|c| c["end"] == "running").count() as u64
}

#[test]
fn memory_has_a_part_of_a_segment() {
    let options = ["--memory", "16MiB", "--segment-size", "64MiB"];
    assert_eq!(asked(20_000, 1000, &options, ""), 20_000);
}

#[test]
fn sealed_segments_are_still_in_memory() {
    assert_eq!(asked(6_000, 1000, &["--memory", "64MiB"], ""), 6_000);
}

/// Of those that are not tracked nothing but their packets tells: what is read twice is seen.
#[test]
fn connections_that_are_not_tracked() {
    let config = "connections_ipv4 = 1024\n";
    for options in [&["--memory", "16MiB", "--segment-size", "64MiB"][..], &["--memory", "64MiB"]] {
        let running = asked(12_000, 1000, options, config);
        assert!(running > 0 && running < 12_000, "{running}");
    }
}
