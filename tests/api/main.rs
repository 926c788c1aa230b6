//! The recorder's API over its socket: the same answers as from the files, every kind of bad request, clients that go, clients that
//! come in thousands. Each recording ends with an exact account.

mod access;
mod apart;
mod audit;
#[path = "../common/mod.rs"]
mod common;
mod counting;
mod edges;
mod filters;
mod follow;
mod gap;
mod holds;
mod listing;
mod lists;
mod long;
#[path = "../net/mod.rs"]
mod net;
mod openapi;
mod refusals;
mod resume;
mod rig;
mod said;
mod screens;
mod security;
mod stalled;
mod unreadable;

use common::{Retrotap, libpcap};
use rig::{Daemon, packet, request, sized, timed};
use std::io::{Read, Write};

/// A pcapng without its header and its last block, which say what is missing: only that may differ where only the recorder knows what runs.
fn packets_of(file: &[u8]) -> &[u8] {
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes")) as usize;
    &file[number(4)..file.len() - number(file.len() - 4)]
}

#[test]
fn the_socket_and_the_files_give_the_same_answer() {
    same_answers("0");
}

#[test]
fn memory_and_the_files_give_the_same_answer() {
    same_answers("64MiB");
}

fn same_answers(memory: &str) {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", memory]);
    daemon.feed((0..20_000).map(packet));
    daemon.until_count(20_000);
    for filter in ["", "host 10.0.0.7", "net 10.0.0.0/26 and udp", "not host 10.0.0.1", "port 99"] {
        let file = |name: &str| r.dir().join(name);
        let ask = |name: &str, how: &[&str]| {
            let path = file(name).to_string_lossy().into_owned();
            let ran = r.run(&[&["query", filter, "--json", "--force", "-w", &path], how].concat());
            assert_eq!(ran.code, Some(0), "{filter}: {}", ran.err);
            let mut summary = ran.json();
            // What runs only the recorder tells: all of it, in files of a recording that has not ended.
            let [running, open] = ["running_connections", "open_connections"].map(|n| summary[n].as_u64());
            let direct = how.contains(&"--direct");
            assert_eq!((if direct { running } else { open }), Some(0), "{filter}: {summary}");
            summary["open_connections"] = (running.unwrap_or(0) + open.unwrap_or(0)).into();
            for other in ["elapsed_seconds", "pruning", "running_connections"] {
                summary[other] = serde_json::Value::Null;
            }
            (std::fs::read(file(name)).expect("the answer"), summary)
        };
        let (socket, direct) = (ask("socket.pcapng", &[]), ask("direct.pcapng", &["--direct"]));
        assert!(packets_of(&socket.0) == packets_of(&direct.0), "{filter}");
        assert_eq!(socket.1, direct.1, "{filter}");
        let (socket, direct) =
            (ask("socket.pcap", &["--format", "pcap"]), ask("direct.pcap", &["--format", "pcap", "--direct"]));
        assert!(socket == direct, "{filter}");
    }
    let audit = std::fs::read_dir(r.store().join("audit")).expect("the audit log").next().expect("a day").expect("it");
    let lines = daemon.until("the audit log", || {
        let text = std::fs::read_to_string(audit.path()).expect("the audit log");
        let lines: Vec<serde_json::Value> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        (lines.iter().filter(|l| l["request"] == "POST /v1/query").count() == 10).then_some(lines)
    });
    let of = |filter: &str| lines.iter().find(|l| l["ask"]["filter"] == filter).expect("the request is in the log");
    assert_eq!((&of("host 10.0.0.7")["packets"], &of("host 10.0.0.7")["status"]), (&79.into(), &200.into()));
    assert!(of("host 10.0.0.7")["bytes"].as_u64() > Some(79 * 200));
    let account = daemon.stop();
    assert_eq!(account["stored"]["packets"], 20_000);
    // Nobody answers any more: the files do.
    assert!(!r.store().join("api.sock").exists());
    assert_eq!(r.run(&["query", "--count"]).text(), "20000\n");
}

/// A manifest from the recorder names who asked as the audit log does, and segments that are being written; all of it holds when they are sealed. A hold
/// that follows has one, too.
#[test]
fn a_manifest_of_what_is_being_written_holds_later() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    daemon.feed((0..2_000).map(packet));
    daemon.until_count(2_000);
    let text = |name: &str| r.dir().join(name).to_string_lossy().into_owned();
    let good = |args: &[&str]| {
        let ran = r.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {}{}", ran.text(), ran.err);
        ran.text()
    };
    let query = |name: &str, more: &[&str]| {
        good(&[&["query", "host 10.0.0.7", "-w", &text(name)], more].concat());
        std::fs::read(text(name)).expect("the answer")
    };
    let one = query("a.pcapng", &["--manifest", &text("a.json")]);
    assert!(one == query("b.pcapng", &[]), "that a manifest was asked for does not show");
    let m: serde_json::Value = serde_json::from_slice(&std::fs::read(text("a.json")).expect("it")).expect("JSON");
    let asker = &m["origin"]["asker"];
    assert_eq!(asker["uid"], rustix::process::geteuid().as_raw(), "{m}");
    let log = daemon.audit(|lines| lines.iter().filter(|l| l["request"] == "POST /v1/query").count() == 2);
    let line = log.iter().find(|l| l["ask"]["manifest"] == true).expect("it is in the log");
    assert_eq!(line["name"], asker["name"]);
    assert_eq!(m["origin"]["segments"]["list"].as_array().map(Vec::len), Some(1), "{m}");
    good(&["hold", "host 10.0.0.8", "--follow", "--name", "f", "--reason", "a test"]);
    good(&["export", "f", "-w", &text("f.pcapng")]);
    good(&["verify", &text("f.pcapng.json")]);
    let store = r.store().to_string_lossy().into_owned();
    daemon.stop();
    for sealed in ["a.json", "f.pcapng.json"] {
        let said = good(&["verify", &text(sealed), "--store", &store]);
        assert!(sealed != "a.json" || said.contains("1 is what it was"), "{said}");
    }
}

/// More than memory holds, asked while it comes: busy and rare hosts, of which memory has all, some or nothing any more; packets of
/// equal times; windows that end before memory begins. The ancestor answered a quarter of the first with nothing.
#[test]
fn memory_that_has_wrapped_hides_nothing() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    let mut fed = 0;
    for upto in [5_000, 12_000, 20_000, 30_000, 40_000u32] {
        // Four packets have each time.
        daemon.feed((fed..upto).map(|n| timed(n, 1400, n / 4)));
        fed = upto;
        daemon.until_count(u64::from(upto));
        for (body, truth) in [
            (r#"{"filter": "host 10.9.9.9"}"#.to_owned(), upto),
            (r#"{"filter": "host 10.0.0.7"}"#.to_owned(), (upto - 8) / 256 + 1),
            (r#"{"conn": "udp 10.0.0.9:12345 10.9.9.9:53"}"#.to_owned(), (upto - 10) / 256 + 1),
            (r#"{"filter": "udp", "since": "1700000000", "until": "1700000001"}"#.to_owned(), 4_000),
            (r#"{"filter": "host 10.3.3.3"}"#.to_owned(), 0),
        ] {
            let (status, summary) = daemon.ask("/v1/count", &body);
            assert_eq!((status, &summary["packets"]), (200, &truth.into()), "of {upto}: {body}: {summary}");
        }
        let (_, newest) = daemon.ask("/v1/count", r#"{"memory_only": true}"#);
        let held = newest["packets"].as_u64().expect("a number");
        assert!(held > 2_000 && held <= u64::from(upto) && held < 14_000, "{held} of {upto} in 16 MiB");
    }
    assert_eq!(daemon.stop()["stored"]["packets"], 40_000);
    assert_eq!(r.run(&["query", "--count"]).text(), "40000\n");
}

/// Questions at the edges, by the socket and from the files: the same exit code and the same words.
#[test]
fn odd_questions_get_the_same_answer_both_ways() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..100).map(packet));
    daemon.until_count(100);
    for (how, code, word) in [
        (&["--since", "2100-01-01T00:00:00Z"][..], 0, ""),
        (&["--since", "2001-01-01T00:00:00Z", "--until", "2001-01-02T00:00:00Z"], 0, ""),
        (&["--limit", "0"], 0, ""),
        (&["host 203.0.113.9"], 0, ""),
        (&["--since", "2001-01-01T00:00:00Z", "--until", "2001-01-01T00:00:00Z"], 2, "must be before"),
        (&["--class", "attic"], 2, "attic"),
        (&["host"], 2, "filter"),
        (&["--last", "yesterday"], 2, "last"),
    ] {
        let ran = [&[][..], &["--direct"]].map(|way| r.run(&[&["query", "--count"], how, way].concat()));
        for ran in &ran {
            assert!(ran.code == Some(code) && ran.err.contains(word), "{how:?}: {:?} {}", ran.code, ran.err);
        }
        assert_eq!(ran[0].text(), ran[1].text(), "{how:?}");
    }
    // Losses of a class that nobody knows are none, and that would be no answer.
    let losses = || r.run(&["losses", "--class", "attic"]);
    let live = losses();
    assert_eq!(r.run(&["losses", "--class", "all"]).code, Some(0));
    daemon.stop();
    for ran in [live, losses()] {
        assert!(ran.code == Some(2) && ran.err.contains("attic"), "{:?} {}", ran.code, ran.err);
    }
    assert_eq!(r.run(&["losses", "--class", "all"]).code, Some(0));
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..100).map(packet));
    daemon.until_count(100);
    for (body, status, word) in [
        ("{", 400, "JSON"),
        ("[1]", 400, "JSON"),
        ("[]", 400, "JSON"),
        ("\u{0}\u{1}", 400, "JSON"),
        (r#"{"filtre": "udp"}"#, 400, "filtre"),
        (r#"{"filter": "prot udp"}"#, 400, "filter"),
        (r#"{"filter": "host example.com"}"#, 400, "looked up"),
        (r#"{"since": "13:15", "until": "13:15"}"#, 400, "empty"),
        (r#"{"limit": -1}"#, 400, "JSON"),
        (r#"{"since": [5]}"#, 400, "a time is a text"),
        (r#"{"since": 1700000000}"#, 400, "a time is a text"),
        (r#"{"last": {}}"#, 400, "a length of time is seconds as a number, or a text"),
        (r#"{"last": 600000000000000}"#, 400, "in seconds"),
        (
            r#"{"conn": "udp 1.2.3.4:5 1.2.3.5:6", "community_id": "1:LQU9qZlK+B5F3KDmev6m5PMibrg="}"#,
            400,
            "give one of them",
        ),
        (r#"{"conn": "tcp 1.2.3.4:5"}"#, 400, "three words"),
    ] {
        for path in ["/v1/query", "/v1/count"] {
            let (got, error) = daemon.ask(path, body);
            assert_eq!(got, status, "{path} {body}: {error}");
            assert!(error["error"]["message"].as_str().is_some_and(|e| e.contains(word)), "{path} {body}: {error}");
        }
    }
    // What makes sense and finds nothing.
    for body in [
        r#"{"limit": 0}"#,
        r#"{"since": "2540-01-01T00:00:00Z"}"#,
        r#"{"since": "1970-01-01T00:00:01Z", "until": "1970-01-01T00:00:02Z"}"#,
        r#"{"filter": "tcp"}"#,
    ] {
        let (got, summary) = daemon.ask("/v1/count", body);
        assert_eq!((got, &summary["packets"]), (200, &0.into()), "{body}: {summary}");
        let reply = daemon.post("/v1/query", body);
        assert_eq!((reply.status, &reply.summary()["packets"]), (200, &0.into()), "{body}");
        let file = r.dir().join("empty");
        std::fs::write(&file, &reply.body).expect("a file");
        assert_eq!(libpcap(&file), (vec![], None), "{body}");
    }
    for (text, status) in [
        (request("GET", "/v1/query", ""), 405),
        (request("POST", "/v1/status", ""), 405),
        (request("POST", "/v2/query", "{}"), 404),
        (request("GET", "/", ""), 404),
        (request("GET", "/v1/status", ""), 200),
        (request("GET", "/v1", ""), 200),
        (request("GET", "/v1/status", "{}"), 413),
        (b"no HTTP at all\r\n\r\n".to_vec(), 400),
    ] {
        let mut stream = daemon.connect();
        stream.write_all(&text).expect("a request");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a response");
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{reply}");
    }
    // A hundred megabytes: refused before they are read.
    let mut stream = daemon.connect();
    let head =
        format!("POST /v1/query HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", 100 << 20);
    stream.write_all(head.as_bytes()).expect("a request");
    let body = vec![b' '; 1 << 20];
    // The daemon may close before it has all of it.
    let _ = (0..100).try_for_each(|_| stream.write_all(&body));
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    let reply = String::from_utf8_lossy(&reply);
    assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
    // The recorder was not impressed.
    daemon.feed((100..200).map(packet));
    daemon.until_count(200);
    assert_eq!(daemon.stop()["stored"]["packets"], 200);
}

#[test]
fn a_client_that_goes_ends_its_query() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..40_000).map(|n| sized(n, 1500)));
    daemon.until_count(40_000);
    let busy = || {
        let mut stream = daemon.connect();
        stream.write_all(&request("GET", "/v1/status", "")).expect("a request");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a response");
        let body = reply.split("\r\n\r\n").nth(1).expect("a body");
        serde_json::from_str::<serde_json::Value>(body).expect("JSON")["queries"].as_u64().expect("a number")
    };
    // Clients that read a little of 60 MB and stop reading hold up nobody else...
    let slow: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(&request("POST", "/v1/query", "{}")).expect("a request");
            let mut some = [0; 1000];
            stream.read_exact(&mut some).expect("the beginning of an answer");
            stream
        })
        .collect();
    daemon.until("the slow queries", || (busy() == 3).then_some(()));
    assert_eq!(daemon.ask("/v1/count", r#"{"filter": "host 10.0.0.7"}"#).1["packets"], 157);
    // ...and when they go their queries end.
    drop(slow);
    daemon.until("the end of their queries", || (busy() == 0).then_some(()));
    assert_eq!(daemon.stop()["stored"]["packets"], 40_000);
}

#[test]
fn a_thousand_clients_are_answered_or_told_to_wait() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..5_000).map(packet));
    daemon.until_count(5_000);
    let _ = rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit {
            current: Some(4096),
            maximum: rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
        },
    );
    let body = r#"{"filter": "host 10.0.0.7"}"#;
    let mut all: Vec<_> = (0..1000).map(|_| daemon.connect()).collect();
    for stream in &mut all {
        stream.write_all(&request("POST", "/v1/count", body)).expect("a request");
    }
    let mut answered = 0;
    for mut stream in all {
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a response");
        let status = reply.split(' ').nth(1).unwrap_or_default();
        let json: serde_json::Value =
            reply.lines().last().and_then(|l| serde_json::from_str(l).ok()).unwrap_or_default();
        match status {
            "200" => assert_eq!(json["packets"], 20, "{reply}"),
            "429" | "503" => assert!(json["error"]["message"].is_string(), "{reply}"),
            _ => panic!("{reply}"),
        }
        answered += u32::from(status == "200");
    }
    // As many as one user may ask at a time are surely answered.
    assert!(answered >= 256, "{answered}");
    assert_eq!(daemon.stop()["stored"]["packets"], 5_000);
}

#[test]
fn killed_and_started_again_it_answers_again() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..3_000).map(packet));
    daemon.until_count(3_000);
    let socket = daemon.socket.clone();
    daemon.kill();
    assert!(socket.exists(), "it had no time to take it away");
    assert_eq!(r.run(&["query", "--count"]).text(), "3000\n", "the files answer");
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((3_000..4_000).map(packet));
    daemon.until_count(4_000);
    assert_eq!(daemon.ask("/v1/count", r#"{"filter": "host 10.0.0.7"}"#).1["packets"], 16);
    daemon.stop();
}

#[test]
fn who_may_not_ask_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: who_may_not_ask_is_refused: needs root to be somebody else");
        return;
    }
    let r = Retrotap::default();
    let socket = r.dir().join("here.sock");
    let path = socket.to_string_lossy().into_owned();
    let mut daemon = Daemon::start_at(&r, &["--api", &path], socket.clone());
    daemon.feed((0..10).map(packet));
    daemon.until_count(10);
    // Even where the file system lets everybody in, the daemon does not.
    let open = |path: &std::path::Path, mode| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("rights");
    };
    let as_nobody = || {
        std::process::Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-s", "-m", "20", "--unix-socket"])
            .args([&path, "-X", "POST", "http://x/v1/count", "-w", "%{http_code}"])
            .output()
            .expect("setpriv and curl")
    };
    open(r.dir(), 0o755);
    assert!(!as_nobody().status.success(), "the socket is not for everybody");
    open(&socket, 0o666);
    let text = String::from_utf8_lossy(&as_nobody().stdout).into_owned();
    assert!(text.ends_with("403") && text.contains("may ask"), "{text}");
    assert_eq!(r.run(&["query", "--api", &path, "--count"]).text(), "10\n");
    assert_eq!(r.run(&["query", "--api", "/nowhere.sock", "--count"]).code, Some(3));
    daemon.stop();
}
