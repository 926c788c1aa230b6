//! A NIDS at the wheel: alerts through a socket and from a file, good and bad ones, few and floods; and a real Suricata that alerts on traffic
//! crossing a veth. Each recording ends with an exact account.

#[path = "../common/mod.rs"]
mod common;
mod coupling;
mod feed;
#[path = "../net/mod.rs"]
mod net;
#[allow(dead_code)] // what the tests of the API use besides
#[path = "../api/rig.rs"]
mod rig;
mod suricata;
mod zeek;

use common::{Retrotap, libpcap, processes};
use coupling::{Coupling, eve};
use rig::{Daemon, packet};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

const HOLD: &str = r#"
[[rule]]
name = "hold"
hold = ["connection", "offender"]
limit = "100000/1s"
"#;

/// A recorder with 2,000 packets of 256 hosts.
fn recorded(r: &Retrotap) -> Daemon {
    let mut daemon = Daemon::start(r, &["--memory", "16MiB"]);
    daemon.feed((0..2000).map(packet));
    daemon.until_count(2000);
    daemon
}

/// What an action was done to, as people write it.
fn to_of(action: &Value) -> String {
    let to = &action["to"];
    let word = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let end = |e: &Value| format!("{}:{}", word(&e["address"]), e["port"]);
    match &to["connection"] {
        Value::Null => word(&to["address"]),
        c => format!("{} {} {}", word(&c["protocol"]), end(&c["a"]), end(&c["b"])),
    }
}

fn record_of(r: &Retrotap, hold: &str) -> Value {
    let text = std::fs::read_to_string(r.store().join("held").join(hold).join("hold.json")).expect("a hold");
    serde_json::from_str(&text).expect("JSON")
}

/// Lines of the audit log about this request.
fn audited(r: &Retrotap, path: &str) -> Vec<Value> {
    let days = std::fs::read_dir(r.store().join("audit")).expect("the audit log");
    let text: String = days.flatten().map(|d| std::fs::read_to_string(d.path()).expect("a day")).collect();
    let lines = text.lines().map(|l| serde_json::from_str::<Value>(l).expect("JSON"));
    lines.filter(|l| l["request"].to_string().contains(path)).collect()
}

/// What a query of the same gives.
fn queried(r: &Retrotap, how: &[&str]) -> Vec<common::Seen> {
    let file = r.dir().join("queried.pcapng");
    let ran = r.run(&[&["query", "--force", "-w", &file.to_string_lossy()], how].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    libpcap(&file).0
}

fn all_sums_are_right(r: &Retrotap) {
    let ran = r.run(&["holds", "--verify"]);
    assert!(ran.code == Some(0) && ran.text().contains("every sum is right"), "{}{}", ran.text(), ran.err);
}

#[test]
fn an_alert_becomes_holds_with_the_alert_in_them() {
    let r = Retrotap::default();
    let daemon = recorded(&r);
    let coupling = Coupling::listen(&r, HOLD, &[]);
    let alert = eve(7, 1, 9_000_001);
    let mut suricata = coupling.connect();
    // In pieces, among other records and nonsense.
    let text = format!("{{\"event_type\":\"stats\"}}\n{{\n\n{alert}\n{alert}\nnull\n");
    for piece in text.as_bytes().chunks(100) {
        suricata.write_all(piece).expect("it reads");
    }
    // A second connection while the first is open, as in unix-socket mode.
    writeln!(coupling.connect(), "{}", eve(9, 1, 9_000_001)).expect("it reads");
    let holds = coupling.until_actions(4);
    for host in [7, 9] {
        let conn = format!("udp 10.0.0.{host}:12345 10.9.9.9:53");
        let of = |action: &str, to: &str| {
            let one = holds.iter().find(|h| h["action"] == action && to_of(h).contains(to));
            one.unwrap_or_else(|| panic!("no {action} of {to}: {holds:?}")).clone()
        };
        let held = of("hold_connection", &format!("10.0.0.{host}:12345"));
        let record = record_of(&r, held["hold"].as_str().expect("a name"));
        assert_eq!(record["about"]["alert"]["signature_id"], 9_000_001, "{record}");
        assert_eq!(record["about"]["src_ip"], format!("10.0.0.{host}"));
        assert!(record["reason"].as_str().is_some_and(|t| t.contains("rule hold") && t.contains("1:9000001")));
        let (packets, error) = libpcap(Path::new(held["file"].as_str().expect("a path")));
        assert_eq!((packets.len() as u64, error), (record["packets"].as_u64().expect("a count"), None));
        assert_eq!(packets, queried(&r, &["--conn", &conn]), "the connection's packets, all of them");
        let held = of("hold_offender", &format!("10.0.0.{host}"));
        let (packets, _) = libpcap(Path::new(held["file"].as_str().expect("a path")));
        assert_eq!(packets, queried(&r, &[&format!("host 10.0.0.{host}")]));
    }
    all_sums_are_right(&r);
    let (code, counts, log) = coupling.stop();
    assert_eq!(code, Some(0), "{log}");
    for (what, n) in
        [("records", 6), ("alerts", 3), ("acted", 2), ("repeated", 1), ("malformed", 2), ("held", 4), ("failed", 0)]
    {
        assert_eq!(counts[what], n, "{what}: {counts}");
    }
    assert!(!r.dir().join("eve.sock").exists());
    assert_eq!(daemon.stop()["stored"]["packets"], 2000);
}

/// Connections that are not there are looked for without holding up one that is, nor what is meant at once.
#[test]
fn what_is_not_found_holds_up_nothing_else() {
    let r = Retrotap::default();
    let daemon = recorded(&r);
    let rules = "per_offender = \"100000/1s\"\nhold_size = \"100MiB\"\nhold_age = \"1h\"\n[[rule]]\nname = \"x\"\nsuspend_cutoff = \"1h\"\nhold = [\"connection\"]\nlimit = \"100000/1s\"\n";
    let coupling = Coupling::listen(&r, rules, &[]);
    let mut suricata = coupling.connect();
    // One after the other they would be looked for longer than anybody waits here.
    for host in 0..60 {
        writeln!(suricata, "{}", eve(host, 1, 1).replace("10.0.0.", "10.77.0.")).expect("it reads");
    }
    writeln!(suricata, "{}", eve(7, 1, 1)).expect("it reads");
    let done = |lines: &[Value], action: &str| {
        lines.iter().any(|l| l["action"] == action && l["error"].is_null() && to_of(l).contains("10.0.0.7:12345"))
    };
    let lines =
        coupling.until("what is there", |lines| done(lines, "suspend_cutoff") && done(lines, "hold_connection"));
    let held = lines.iter().find(|l| !l["hold"].is_null()).expect("a hold");
    let record = record_of(&r, held["hold"].as_str().expect("a name"));
    assert!(record["kept_until"].is_string() && record["most_bytes"] == 100 << 20, "{record}");
    let (_, counts, log) = coupling.stop();
    assert_eq!((&counts["suspended"], &counts["held"]), (&61.into(), &1.into()), "{log}");
    daemon.stop();
}

/// The recorder is stopped and started anew while the coupling runs: an order that comes in between is carried out afterwards.
#[test]
fn a_recorder_that_was_started_anew_is_found_again() {
    let r = Retrotap::default();
    let daemon = recorded(&r);
    let rules = "[[rule]]\nname = \"x\"\nsuspend_cutoff = \"1h\"\nassign = { class = \"all\", for = \"1h\" }\nhold = [\"connection\"]\n";
    let coupling = Coupling::listen(&r, rules, &[]);
    let mut suricata = coupling.connect();
    writeln!(suricata, "{}", eve(7, 1, 1)).expect("it reads");
    let actions = coupling.until_actions(3);
    assert!(actions.iter().all(|a| a["error"].is_null()), "{actions:?}");
    assert_eq!(daemon.stop()["stored"]["packets"], 2000);
    writeln!(suricata, "{}", eve(8, 1, 1)).expect("it reads");
    coupling.until("that it has gone", |lines| lines.iter().any(|l| l["peer"] == "recorder" && l["there"] == false));
    let daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    let actions = coupling.until_actions(6);
    assert!(actions.iter().all(|a| a["error"].is_null()), "{actions:?}");
    let did: Vec<_> = actions[3..].iter().map(|a| a["action"].as_str().expect("a name")).collect();
    assert_eq!(did, ["suspend_cutoff", "assign", "hold_connection"]);
    coupling.until("that it is there", |lines| lines.iter().any(|l| l["peer"] == "recorder" && l["there"] == true));
    let (code, counts, log) = coupling.stop();
    assert_eq!(
        (code, &counts["failed"], &counts["suspended"], &counts["assigned"]),
        (Some(0), &0.into(), &2.into(), &2.into()),
        "{log}"
    );
    for (path, n) in [("/v1/suspensions", 2), ("/v1/assignments", 2)] {
        let done = audited(&r, path);
        assert_eq!(done.iter().filter(|l| l["status"] == 200).count(), n, "{done:?}");
    }
    daemon.stop();
}

/// Passes requests on to the recorder; of the first that makes a hold the answer gets lost.
fn losing_an_answer(r: &Retrotap, to: &Path) -> std::path::PathBuf {
    let (path, to) = (r.dir().join("losing.sock"), to.to_owned());
    let listener = UnixListener::bind(&path).expect("a socket");
    std::thread::spawn(move || {
        let mut lost = false;
        for client in listener.incoming() {
            let (Ok(mut client), Ok(mut recorder)) = (client, UnixStream::connect(&to)) else { return };
            let mut head = [0; 15];
            let Ok(()) = client.read_exact(&mut head) else { continue };
            recorder.write_all(&head).expect("it takes bytes");
            let (mut asks, mut takes) =
                (client.try_clone().expect("a socket"), recorder.try_clone().expect("a socket"));
            std::thread::spawn(move || std::io::copy(&mut asks, &mut takes));
            if &head == b"POST /v1/holds " && !std::mem::replace(&mut lost, true) {
                // It was made when the answer begins.
                let _ = recorder.read_exact(&mut [0]);
                let _ = (client.shutdown(Shutdown::Both), recorder.shutdown(Shutdown::Both));
                continue;
            }
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut recorder, &mut client);
                client.shutdown(Shutdown::Both)
            });
        }
    });
    path
}

/// A hold whose answer got lost is asked for again, and there is one of it.
#[test]
fn a_hold_whose_answer_got_lost_is_made_once() {
    let r = Retrotap::default();
    let daemon = recorded(&r);
    let losing = losing_an_answer(&r, &daemon.socket);
    let rules = "[[rule]]\nname = \"x\"\nhold = [\"connection\"]\n";
    let coupling = Coupling::listen(&r, rules, &["--api", &losing.to_string_lossy()]);
    writeln!(coupling.connect(), "{}", eve(7, 1, 1)).expect("it reads");
    let actions = coupling.until_actions(1);
    assert!(actions[0]["error"].is_null(), "{actions:?}");
    assert_eq!(actions[0]["packets"].as_u64(), Some(queried(&r, &["host 10.0.0.7"]).len() as u64));
    let lines = coupling.lines();
    assert!(lines.iter().any(|l| l["peer"] == "recorder" && l["there"] == false), "the answer got lost: {lines:?}");
    let holds = r.run(&["holds", "--json"]);
    assert_eq!(holds.text().lines().count(), 1, "{}", holds.text());
    let (code, counts, log) = coupling.stop();
    assert_eq!((code, &counts["held"], &counts["failed"]), (Some(0), &1.into(), &0.into()), "{log}");
    daemon.stop();
}

/// A rule says `follow`: what comes of the connection is held, too; one of which there is nothing yet, from its first packet on.
#[test]
fn a_hold_of_an_alert_follows_its_connection() {
    let r = Retrotap::default();
    let mut daemon = recorded(&r);
    let rules = "[[rule]]\nname = \"x\"\nhold = [\"connection\"]\nfollow = \"1h\"\n";
    let coupling = Coupling::listen(&r, rules, &[]);
    let mut suricata = coupling.connect();
    writeln!(suricata, "{}", eve(7, 1, 1)).expect("it reads");
    let stray = eve(8, 1, 1).replace("12345", "999");
    writeln!(suricata, "{stray}").expect("it reads");
    let actions = coupling.until_actions(2);
    let n = queried(&r, &["host 10.0.0.7"]).len();
    assert_eq!(
        (actions[0]["packets"].as_u64(), actions[1]["packets"].as_u64()),
        (Some(n as u64), Some(0)),
        "{actions:?}"
    );
    let now = |n: u32, port: u16| {
        let (mut record, now) = (packet(n), retrotap::units::now());
        record[..4].copy_from_slice(&((now / 1_000_000_000) as u32).to_le_bytes());
        record[4..8].copy_from_slice(&((now % 1_000_000_000) as u32).to_le_bytes());
        record[16 + 34..16 + 36].copy_from_slice(&port.to_be_bytes());
        record
    };
    daemon.feed((2000..4000).map(|n| now(n, 12345)));
    daemon.feed((4000..6000).map(|n| now(n, 999)));
    for (action, host, port) in [(&actions[0], 7, 12345), (&actions[1], 8, 999)] {
        let name = action["hold"].as_str().expect("a name");
        let all = if port == 999 { 4000..6000 } else { 0..4000 };
        let there = all.filter(|n: &u32| (n & 0xff) == host).count() as u64;
        daemon.until("what came", || (record_of(&r, name)["packets"] == there).then_some(()));
        let conn = format!("udp 10.0.0.{host}:{port} 10.9.9.9:53");
        let (held, error) = libpcap(Path::new(action["file"].as_str().expect("a path")));
        assert_eq!((held, error), (queried(&r, &["--conn", &conn]), None));
    }
    all_sums_are_right(&r);
    let (code, counts, log) = coupling.stop();
    assert_eq!((code, &counts["held"], &counts["left"]), (Some(0), &2.into(), &0.into()), "{log}");
    assert_eq!(daemon.stop()["stored"]["packets"], 6000);
}

/// More than a thousand orders wait, and the recorder answers nothing, when it is told to end: it ends soon, and what it left is counted and told.
#[test]
fn what_waits_does_not_hold_up_the_end() {
    let r = Retrotap::default();
    let daemon = recorded(&r);
    let rules =
        "per_offender = \"100000/1s\"\n[[rule]]\nname = \"x\"\nlimit = \"100000/1s\"\nhold = [\"connection\"]\n";
    let coupling = Coupling::listen(&r, rules, &[]);
    processes::signal(daemon.child.id(), Signal::STOP);
    let (suricata, sent) = (coupling.connect(), std::cell::Cell::new(1u16));
    let full = |l: &Value| l["error"].as_str().is_some_and(|e| e.contains("holds wait already"));
    // How many are taken before goes by who of its threads is how fast: alerts come until every place is taken.
    coupling.until("every place taken", |lines| {
        let from = sent.replace(sent.get().saturating_add(500));
        let more: String = (from..sent.get()).map(|n| eve(7, 1, 1).replace("12345", &n.to_string()) + "\n").collect();
        (&suricata).write_all(more.as_bytes()).expect("it reads");
        lines.iter().any(full)
    });
    let start = std::time::Instant::now();
    let (code, counts, _) = coupling.stop();
    processes::signal(daemon.child.id(), Signal::CONT);
    eprintln!("ended after {:.1} s: {counts}", start.elapsed().as_secs_f64());
    let n = |what: &str| counts[what].as_u64().expect("a count");
    assert!(code == Some(1) && n("left") > 1_000, "{counts}");
    assert_eq!(n("acted"), n("left") + n("failed") + n("held"), "{counts}");
    let said = std::fs::read_to_string(r.dir().join("nids.json")).expect("what it said");
    assert!(said.lines().any(|l| l.contains("\"left\"") && l.contains("not carried out")), "it is told");
    assert_eq!(daemon.stop()["stored"]["packets"], 2000);
}

/// An alert about a connection without a packet: said, not fatal, and asked for again it is looked for again.
#[test]
fn a_connection_that_was_not_recorded_is_said_to_be_none() {
    let r = Retrotap::default();
    let daemon = recorded(&r);
    let coupling = Coupling::listen(&r, "[[rule]]\nname = \"x\"\nhold = [\"connection\"]\n", &[]);
    let mut suricata = coupling.connect();
    let stray = eve(7, 1, 5).replace("12345", "999");
    writeln!(suricata, "{stray}").expect("it reads");
    let actions = coupling.until_actions(1);
    assert!(actions[0]["error"].as_str().is_some_and(|e| e.contains("no packet matches")), "{actions:?}");
    // By its community ID it is found, whatever ends the NIDS saw.
    let ran = r.run(&["connections", "host 10.0.0.7", "--json"]);
    let id = ran.json()["community_id"].as_str().expect("an ID").to_owned();
    let translated = stray.replace("\"proto\"", &format!("\"community_id\":\"{id}\",\"proto\""));
    writeln!(suricata, "{translated}").expect("it reads");
    let actions = coupling.until_actions(2);
    assert_eq!(actions[1]["error"], Value::Null, "{actions:?}");
    assert_eq!(actions[1]["packets"].as_u64(), Some(queried(&r, &["host 10.0.0.7"]).len() as u64));
    let (code, counts, log) = coupling.stop();
    assert_eq!((code, &counts["failed"]), (Some(1), &1.into()), "{log}");
    daemon.stop();
}

/// A hundred thousand alerts, lines without end, bytes that are no text: limited, told in few words, and the recorder is unmoved.
#[test]
fn a_nids_that_floods_is_limited_and_told() {
    let r = Retrotap::default();
    let mut daemon = recorded(&r);
    let rules = "per_offender = \"3/1h\"\n[[rule]]\nname = \"flood\"\nlimit = \"20/1h\"\nhold = [\"connection\"]\n";
    let coupling = Coupling::listen(&r, rules, &[]);
    let mut suricata = coupling.connect();
    let mut text = Vec::new();
    // One offender with many connections, then many offenders.
    for n in 0..60_000u32 {
        text.extend(eve(1, 1, 1).replace("12345", &(n % 60_000 + 1).to_string()).into_bytes());
        text.push(b'\n');
    }
    for n in 0..40_000u32 {
        let host = format!("10.3.{}.{}", n / 250 % 250, n % 250);
        text.extend(eve(1, 1, 1).replace("10.0.0.1", &host).into_bytes());
        text.push(b'\n');
    }
    for _ in 0..50_000 {
        text.extend(b"\xff\xfe{\"event_type\":\"alert\"\n");
    }
    text.extend(vec![b'x'; 5 << 20]);
    text.push(b'\n');
    let sender = std::thread::spawn(move || suricata.write_all(&text).map(|()| suricata));
    let _open = sender.join().expect("a sender").expect("it reads all of it");
    daemon.feed((2000..4000).map(packet));
    daemon.until_count(4000);
    coupling.until("every record", |lines| {
        let limited = |l: &&Value| l["what"] == "too_long";
        lines.iter().any(|l| limited(&l))
    });
    let (_, counts, log) = coupling.stop();
    assert_eq!(counts["records"], 150_001, "{counts}");
    assert_eq!((&counts["malformed"], &counts["alerts"]), (&50_001.into(), &100_000.into()));
    let acted = counts["acted"].as_u64().expect("a count");
    assert_eq!(acted, 20, "20 of the rule, of which 3 of the first offender: {counts}");
    assert_eq!(counts["limited"].as_u64(), Some(100_000 - acted));
    assert!(log.lines().count() < 20, "told in few words: {log}");
    assert_eq!(daemon.stop()["stored"]["packets"], 4000);
    // The recorder's audit log has it, in few words too.
    let notes = audited(&r, "/v1/notes");
    for what in ["limited", "malformed", "too_long"] {
        assert!(notes.iter().any(|n| n["ask"]["text"].to_string().contains(what)), "{what}: {notes:?}");
    }
    assert!(notes.len() < 20, "{notes:?}");
}

#[test]
fn a_file_is_followed_through_rotation_and_truncation() {
    let r = Retrotap::default();
    let daemon = recorded(&r);
    let file = r.dir().join("eve.json");
    std::fs::write(&file, format!("{}\n", eve(1, 1, 1))).expect("a file");
    let coupling = Coupling::follow(&r, HOLD, &file, &[]);
    let append = |text: &str| {
        let open = std::fs::File::options().append(true).create(true).open(&file);
        open.expect("the file").write_all(text.as_bytes()).expect("a write");
    };
    // What was there before is not read; a line comes in two halves.
    let alert = format!("{}\n", eve(2, 1, 1));
    let (head, tail) = alert.split_at(150);
    append(head);
    std::thread::sleep(std::time::Duration::from_millis(200));
    append(tail);
    assert_eq!(to_of(&coupling.until_actions(2)[0]), "udp 10.0.0.2:12345 10.9.9.9:53");
    // Rotated, and written to before it is noticed.
    std::fs::rename(&file, r.dir().join("eve.json.1")).expect("a rotation");
    append(&format!("{}\n", eve(3, 1, 1)));
    assert_eq!(to_of(&coupling.until_actions(4)[2]), "udp 10.0.0.3:12345 10.9.9.9:53");
    // Truncated, as logrotate's copytruncate does.
    std::fs::File::options().write(true).open(&file).expect("the file").set_len(0).expect("a truncation");
    coupling.until("the truncation", |lines| lines.iter().any(|l| l["why"].to_string().contains("truncated")));
    append(&format!("{}\n", eve(4, 1, 1)));
    assert_eq!(to_of(&coupling.until_actions(6)[4]), "udp 10.0.0.4:12345 10.9.9.9:53");
    let (code, counts, log) = coupling.stop();
    assert_eq!((code, &counts["alerts"], &counts["malformed"]), (Some(0), &3.into(), &0.into()), "{log}");
    daemon.stop();
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let r = Retrotap::default();
    let daemon = recorded(&r);
    let file = |name: &str, text: &str| {
        let path = r.dir().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    };
    let good = file("good.toml", HOLD);
    let bad = file("bad.toml", "[[rule]]\nname = \"x\"\nhold = [\"everything\"]\n");
    let fed = file("fed.toml", "[[rule]]\nname = \"x\"\nhold = [\"connection\"]\nfeed_back = true\n");
    let socket = r.dir().join("s").to_string_lossy().into_owned();
    for (args, code, said) in [
        (vec!["nids", "check", &bad], 2, "line 3"),
        (vec!["nids", "check", "/nonexistent"], 2, "cannot read the rules"),
        (vec!["nids", "suricata", "--listen", &socket, "--rules", &bad], 2, "connection"),
        (vec!["nids", "suricata", "--listen", &good, "--rules", &good], 3, "another kind"),
        (vec!["nids", "suricata", "--listen", &socket, "--rules", &fed], 2, "--feed"),
        (vec!["nids", "suricata", "--rules", &good], 2, "--listen"),
        (vec!["nids", "suricata", "--listen", &socket, "--rules", &good, "--store", "/nonexistent"], 3, "no store"),
    ] {
        let ran = r.run(&args);
        assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
    }
    let ran = r.run(&["nids", "check", &good]);
    assert!(ran.code == Some(0) && ran.text().contains("good; rules: hold"), "{}", ran.err);
    // Two at one socket.
    let coupling = Coupling::listen(&r, HOLD, &[]);
    let taken = r.dir().join("eve.sock").to_string_lossy().into_owned();
    let ran = r.run(&["nids", "suricata", "--listen", &taken, "--rules", &good]);
    assert!(ran.code == Some(3) && ran.err.contains("another process"), "{}", ran.err);
    coupling.stop();
    daemon.stop();
}
