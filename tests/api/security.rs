//! What a recorder that runs may still do, as the kernel says it: those of its threads that face clients, or parse packets for their answers, have
//! no capability (as root those of files), and nothing that it starts gains a right.

use crate::common::Retrotap;
use crate::rig::{Daemon, packet};
use serde_json::Value;

#[test]
fn threads_that_face_clients_have_no_capability() {
    let r = Retrotap::default();
    let metrics = r.dir().join("metrics.sock").to_string_lossy().into_owned();
    let mut daemon = Daemon::start(&r, &["--metrics", &metrics, "--memory", "16MiB"]);
    daemon.feed((0..1000).map(packet));
    daemon.until_count(1000);
    let store = r.store().to_string_lossy().into_owned();
    let looked = || r.run(&["doctor", "--security", "--json", "--store", &store]);
    // An answer that takes a query thread, so that all of them have begun.
    let (status, _) = daemon.ask("/v1/count", r#"{"filter": "udp or tcp", "full_scan": true}"#);
    assert_eq!(status, 200);
    let out = looked();
    assert_eq!(out.code, Some(0), "{}{}", out.err, out.text());
    let s = out.json();
    let processes = s["processes"].as_array().expect("processes");
    // In one process, or below a parent in two: there all threads of the one that answers have given up what they had.
    let apart = processes.len() == 3;
    let roles: Vec<&str> = processes.iter().filter_map(|p| p["role"].as_str()).collect();
    assert_eq!(roles, if apart { vec!["capture", "parent", "serve"] } else { vec!["recorder"] });
    let halves = processes.iter().filter(|p| p["role"] != "parent");
    let threads: Vec<&Value> = halves.flat_map(|p| p["threads"].as_array().expect("threads")).collect();
    assert!(processes.iter().all(|p| p["role"] == "parent" || p["dumpable"] != true), "{processes:?}");
    let of_files = ["chown", "dac_override", "dac_read_search", "fowner"].map(Value::from);
    let has_given_up = |t: &Value| {
        let all = [&t["capabilities"], &t["more_capabilities"]].map(|c| c.as_array().expect("a list").clone());
        let root = t["user"] == 0;
        assert!(all.concat().iter().all(|c| root && of_files.contains(c)), "{t}");
    };
    for name in [
        "api",
        "audit",
        "holds",
        "indexer",
        "look-ups",
        "memory",
        "metrics",
        "query",
        "recent",
        "recent-index",
        "recent-take",
        "requests",
        "sides",
    ] {
        let of: Vec<_> = threads.iter().filter(|t| t["name"] == name).collect();
        assert!(!of.is_empty(), "{name}: {threads:?}");
        of.into_iter().for_each(|t| has_given_up(t));
    }
    let serve = processes.iter().filter(|p| p["role"] == "serve").flat_map(|p| p["threads"].as_array());
    serve.flatten().for_each(has_given_up);
    assert!(threads.iter().all(|t| t["no_new_privileges"] == true), "{threads:?}");
    // Each thread of each process, whoever it is.
    let all = processes.iter().flat_map(|p| p["threads"].as_array().expect("threads"));
    assert!(all.into_iter().all(|t| t["seccomp"] == true), "{processes:?}");
    daemon.stop();
    let out = looked();
    assert_eq!(out.code, Some(3), "nobody records there any more");
}
