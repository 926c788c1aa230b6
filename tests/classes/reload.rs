//! Another configuration while recording: fed packet by packet through a pipe, so that each reload has its place among them.

use crate::common::{Retrotap, own};
use crate::rig::{Daemon, Reply, request};
use crate::{S, START, udp};
use serde_json::Value;
use std::io::{Read, Write};
use std::path::PathBuf;

/// A recorder with a configuration that changes.
pub struct World {
    pub r: Retrotap,
    daemon: Option<Daemon>,
    /// Packets so far, and the time of the last.
    fed: u64,
}

impl World {
    pub fn new(config: &str) -> World {
        let r = Retrotap::default();
        let path = r.dir().join("retrotap.toml");
        std::fs::write(&path, config).expect("a configuration");
        let daemon = Daemon::start(&r, &["-c", &path.to_string_lossy()]);
        World { r, daemon: Some(daemon), fed: 0 }
    }

    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it runs")
    }

    /// Packets so far.
    pub fn fed(&self) -> u64 {
        self.fed
    }

    /// The end of the input; the account, whose sums are checked.
    pub fn end(&mut self) -> Value {
        self.daemon.take().expect("it runs").end()
    }

    fn path(&self) -> PathBuf {
        self.r.dir().join("retrotap.toml")
    }

    /// Feeds `n` packets of a connection, 200 bytes each, and waits until the worker has them.
    pub fn feed(&mut self, port: u16, n: u64) {
        self.feed_sized(port, n, 200);
    }

    /// The same of another size.
    pub fn feed_sized(&mut self, port: u16, n: u64, size: usize) {
        let from = self.fed;
        self.daemon
            .as_mut()
            .expect("it runs")
            .feed((from..from + n).map(|i| record(START + i * 1000, &udp(port, port, i as u32, size))));
        self.fed += n;
        let fed = self.fed;
        self.daemon().until("the packets", || {
            let status = status(self.daemon());
            (status["received"]["packets"].as_u64()? == fed).then_some(())
        });
    }

    /// Reloads with another file; what it said.
    pub fn reload(&self, config: &str) -> Value {
        std::fs::write(self.path(), config).expect("a configuration");
        let ran = self.r.run(&["reload", "--json"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        // The walk over running connections goes round in less.
        std::thread::sleep(std::time::Duration::from_millis(900));
        ran.json()
    }

    fn stored(&self, filter: &str) -> u64 {
        let back = self.r.dir().join("back.pcapng");
        let ran = self.r.run(&["query", filter, "--force", "-w", &back.to_string_lossy()]);
        assert!(matches!(ran.code, Some(0 | 1)), "{}", ran.err);
        own(&back).len() as u64
    }
}

/// A packet as a record of a capture file.
pub fn record(time: u64, data: &[u8]) -> Vec<u8> {
    let numbers = [(time / S) as u32, (time % S) as u32, data.len() as u32, data.len() as u32];
    numbers.iter().flat_map(|n| n.to_le_bytes()).chain(data.iter().copied()).collect()
}

pub fn status(daemon: &Daemon) -> Value {
    let mut stream = daemon.connect();
    stream.write_all(&request("GET", "/v1/status", "")).expect("a request");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("a response");
    serde_json::from_slice(&Reply::of(&all).body).expect("JSON")
}

fn keys(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|c| c["key"].as_str().unwrap_or("?").to_owned()).collect()
}

const WEB: &str = "[class.web]\nfilter = \"port 80\"\ncutoff = 1000\n";
const MAIL: &str = "[class.mail]\nfilter = \"port 25\"\ncutoff = 600\n";

#[test]
fn a_reload_holds_for_running_connections_too_and_loses_nothing() {
    let mut w = World::new(&format!("{WEB}{MAIL}"));
    w.feed(80, 20);
    w.feed(25, 20);
    w.feed(9, 5);
    // Raised: what the connection has had so far counts, 4000 bytes.
    let said = w.reload(&format!("frames = 4096\ndisk = \"1GiB\"\n{}{MAIL}", WEB.replace("1000", "5000")));
    // What of its packets is not followed has the same cutoff.
    assert_eq!(keys(&said["changed"]), ["class.web.cutoff", "class.web.cutoff_unknown", "disk"]);
    assert_eq!(said["changed"][0]["from"], 1000);
    assert_eq!(said["changed"][0]["to"], 5000);
    assert_eq!(keys(&said["needs_restart"]), ["frames"]);
    w.feed(80, 20);
    w.feed(25, 5);
    // Lowered, and one class goes, another comes.
    let said = w.reload(&format!("disk = \"1GiB\"\n{WEB}[class.dns]\nfilter = \"port 53\"\ncutoff = 800\n"));
    assert!(keys(&said["changed"]).contains(&"class.dns.filter".to_owned()), "{said}");
    assert!(keys(&said["changed"]).contains(&"class.mail.filter".to_owned()), "{said}");
    w.feed(80, 5);
    // Of a class that is gone it belongs to `all` from its next packet on, which keeps everything.
    w.feed(25, 7);
    w.feed(53, 9);
    // A class that comes back has its old id, and new connections.
    w.reload(&format!("{WEB}{MAIL}"));
    w.feed(2025, 3);
    let (fed, dir) = (w.fed, w.r.store());
    let account = w.end();
    assert_eq!(account["received"]["packets"], fed);
    assert_eq!(w.stored("port 80"), 5 + 5, "below 1000 bytes five, from 4000 to 5000 five");
    assert_eq!(w.stored("port 25"), 3 + 7);
    assert_eq!(w.stored("port 53"), 4);
    assert_eq!(w.stored("port 9"), 5);
    for (class, want) in [("web", 10), ("mail", 3), ("dns", 4), ("all", 7 + 5 + 3)] {
        let ran = w.r.run(&["query", "--class", class, "--count", "--json"]);
        assert_eq!(ran.json()["packets"], want, "{class}: {}", ran.err);
    }
    // What was in force stands in the ledger.
    let ledger = std::fs::read_dir(dir.join("ledger")).expect("the ledger").flatten();
    let text: String = ledger.filter_map(|e| std::fs::read_to_string(e.path()).ok()).collect();
    let entries: Vec<Value> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let configurations: Vec<&Value> = entries.iter().filter(|e| e["what"] == "configuration").collect();
    assert_eq!(configurations.len(), 3);
    assert_eq!(configurations[0]["config"]["classes"][2]["cutoff"], 5000);
    assert_eq!(configurations[2]["config"]["ids"], serde_json::json!(["all", "mail", "web", "dns"]));
    // And names of classes are right although ids are not those of the file.
    let ran = w.r.run(&["connections", "port 53", "--json"]);
    assert_eq!(ran.json()["class"], "dns", "{}", ran.text());
}

#[test]
fn past_the_cutoff_of_a_sampled_class_one_packet_in_so_many_is_stored() {
    let sampled = |n: u32| format!("{WEB}sample = {n}\n{MAIL}");
    let mut w = World::new(&sampled(10));
    // 1000 bytes are five packets.
    w.feed(80, 205);
    w.feed(25, 203);
    let said = w.reload(&sampled(4));
    assert_eq!(keys(&said["changed"]), ["class.web.sample"]);
    w.feed(80, 100);
    w.reload(&sampled(0));
    w.feed(80, 100);
    let account = w.end();
    assert_eq!(w.stored("port 80"), 5 + 20 + 25);
    assert_eq!(w.stored("port 25"), 3);
    let n = |what: &str| account[what]["packets"].as_u64();
    assert_eq!((n("sampled_out"), n("cut")), (Some(180 + 75), Some(100 + 200)), "{account}");
    for (config, words) in [
        ("sample = 1\n", "one packet in 2"),
        ("sample = 2000000\n", "one packet in 2"),
        ("sample = 8\ncutoff = \"none\"\n", "past a cutoff"),
        ("sample = 8\nrecord = \"none\"\n", "past a cutoff"),
    ] {
        std::fs::write(w.path(), format!("interfaces = [\"a\"]\nstore = \"/s\"\n[class.all]\n{config}"))
            .expect("a file");
        let ran = w.r.run(&["check-config", &w.path().to_string_lossy()]);
        assert!(ran.code != Some(0) && ran.err.contains(words), "{config}: {:?} {}", ran.code, ran.err);
    }
}

#[test]
fn what_is_wrong_is_refused_and_all_stays_as_it_was() {
    let mut w = World::new(WEB);
    w.feed(80, 3);
    for (config, words) in [
        ("[class.web]\nfilter = \"tcp prt 80\"\n", &["line 2, column 10"][..]),
        ("[class.web]\ncutof = 5\nfilter = \"tcp\"\n", &["line 2, column 1", "cutof"]),
        ("disk = \"1MiB\"\n", &["1048576", "at least"]),
        ("disk = \"900TiB\"\n", &["900 TiB"]),
        ("[class.web]\nfilter = \"tcp\"\ncutoff = \"2TiB\"\n", &["web", "1 TiB"]),
    ] {
        std::fs::write(w.path(), config).expect("a configuration");
        let ran = w.r.run(&["reload"]);
        assert_eq!(ran.code, Some(2), "{config}: {}", ran.err);
        for word in words {
            assert!(ran.err.contains(word), "{config}: {:?} lacks {word:?}", ran.err);
            assert!(w.daemon().log().contains(word), "{config}: {:?} lacks {word:?}", w.daemon().log());
        }
    }
    w.feed(80, 10);
    // SIGHUP does the same, and enters it too.
    std::fs::write(w.path(), "nonsense = 1\n").expect("a configuration");
    let signal = |w: &World| {
        let pid = w.daemon().child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().expect("kill").success());
    };
    let audit = |w: &World| {
        let days = std::fs::read_dir(w.r.store().join("audit")).expect("the audit log").flatten();
        days.filter_map(|e| std::fs::read_to_string(e.path()).ok()).collect::<String>()
    };
    signal(&w);
    w.daemon().until("the refusal", || audit(&w).contains("SIGHUP").then_some(()));
    std::fs::write(w.path(), WEB.replace("1000", "\"none\"")).expect("a configuration");
    signal(&w);
    w.daemon().until("the reload", || w.daemon().log().contains("class.web.cutoff").then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(900));
    w.feed(80, 4);
    w.end();
    assert_eq!(w.stored("port 80"), 5 + 4);
    let lines: Vec<Value> = audit(&w).lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let of = |request: &str| lines.iter().filter(|l| l["request"] == request).map(|l| l["status"].clone()).collect();
    let (api, signals): (Vec<Value>, Vec<Value>) = (of("POST /v1/reload"), of("SIGHUP"));
    assert_eq!(api, vec![Value::from(422); 5]);
    assert_eq!(signals, [Value::from(422), Value::from(200)]);
}
