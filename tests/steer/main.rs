//! Orders from the outside: a recorder that is fed through a pipe is steered over its socket and by the command line, and the sums stay exact.
//! Behind a kernel's shunt: [`live`]; what is said of what it cuts: [`running`]. Floods: [`flood`].

#[path = "../common/mod.rs"]
mod common;
mod flood;
mod live;
#[path = "../net/mod.rs"]
mod net;
mod running;

use common::{Retrotap, check_account, processes};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// `all` with a cutoff of 1000 bytes, `whole` without one.
const CONFIG: &str =
    "[class.all]\ncutoff = \"1000\"\n[class.whole]\nfilter = \"host 203.0.113.1\"\nprecedence = 1\ncutoff = \"none\"\n";

/// A recorder under way; killed when dropped.
struct Daemon<'a> {
    r: &'a Retrotap,
    child: Child,
    input: Option<ChildStdin>,
    fed: u32,
    /// Of the next packet, Unix ns.
    time: u64,
}

impl<'a> Daemon<'a> {
    fn start(r: &'a Retrotap) -> Daemon<'a> {
        Daemon::with(r, CONFIG)
    }

    fn with(r: &'a Retrotap, config: &str) -> Daemon<'a> {
        let file = |name: &str| r.dir().join(name);
        std::fs::write(file("steer.toml"), config).expect("a configuration");
        let made = |name: &str| std::fs::File::create(file(name)).expect("a file");
        let mut child = r
            .command(&["record", "--json", "-r", "-", "-c"])
            .arg(file("steer.toml"))
            .stdin(Stdio::piped())
            .stdout(made("record.json"))
            .stderr(made("record.log"))
            .spawn()
            .expect("the recorder");
        let mut input = child.stdin.take().expect("a pipe");
        for n in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 262_144, 1] {
            input.write_all(&n.to_le_bytes()).expect("the recorder reads");
        }
        let daemon = Daemon { r, child, input: Some(input), fed: 0, time: 1_700_000_000_000_000_000 };
        daemon.until("the socket", || UnixStream::connect(daemon.r.store().join("api.sock")).ok());
        daemon
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.r.dir().join("record.log")).unwrap_or_default()
    }

    fn until<T>(&self, what: &str, mut there: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(t) = there() {
                return t;
            }
            assert!(start.elapsed() < PATIENCE, "{what} did not come: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Feeds it `n` UDP packets of 250 bytes from this host and port, a millisecond apart, and waits until all that was fed is counted.
    fn feed(&mut self, host: u8, port: u16, n: u32) {
        let one = |_| {
            let mut p = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 236];
            p.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, host, 192, 0, 2, 1]);
            p.extend(port.to_be_bytes());
            p.extend([0, 53, 0, 216, 0, 0]);
            p.resize(250, 0);
            p
        };
        self.feed_frames((0..n).map(one), 1_000_000);
    }

    /// Feeds it these, so many ns apart, and waits until all that was fed is counted.
    fn feed_frames(&mut self, frames: impl Iterator<Item = Vec<u8>>, pause: u64) {
        let mut all = Vec::new();
        for frame in frames {
            let (s, ns) = (self.time / 1_000_000_000, self.time % 1_000_000_000);
            (self.fed, self.time) = (self.fed + 1, self.time + pause);
            for v in [s as u32, ns as u32, frame.len() as u32, frame.len() as u32] {
                all.extend(v.to_le_bytes());
            }
            all.extend(frame);
        }
        self.input.as_mut().expect("a pipe").write_all(&all).expect("the recorder reads");
        self.until("the packets", || {
            let (_, status) = self.ask("GET", "/v1/status", &Value::Null);
            (status["received"]["packets"].as_u64()? >= u64::from(self.fed)).then_some(())
        });
    }

    /// Status and JSON.
    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = UnixStream::connect(self.r.store().join("api.sock")).expect("the socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).expect("a request");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("a response");
        let text = String::from_utf8(all).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        // What is asked for is a list: a line for each.
        if method == "GET" && path != "/v1/status" {
            let line = |line| serde_json::from_str::<Value>(line).unwrap_or_default();
            return (status, Value::Array(body.lines().map(line).collect()));
        }
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    fn ok(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body);
        assert_eq!(status, 200, "{method} {path} {body}: {answer}");
        // The walk over running connections takes less than a second: orders hold when this returns.
        std::thread::sleep(Duration::from_millis(1500));
        answer
    }

    /// Packets that a query finds.
    fn count(&self, question: &Value) -> u64 {
        // Blocks are closed after 100 ms.
        std::thread::sleep(Duration::from_millis(400));
        let (status, summary) = self.ask("POST", "/v1/count", question);
        assert_eq!(status, 200, "{summary}");
        summary["packets"].as_u64().expect("a count")
    }

    /// The end of the input: the final account.
    fn stop(mut self) -> Value {
        drop(self.input.take());
        let start = Instant::now();
        while self.child.try_wait().expect("the recorder's state").is_none() {
            assert!(start.elapsed() < PATIENCE, "the recorder does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        let text = std::fs::read_to_string(self.r.dir().join("record.json")).expect("its output");
        let account = serde_json::from_str(text.lines().last().expect("a final account")).expect("JSON");
        check_account(&account);
        account
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            processes::kill(&mut self.child);
        }
    }
}

fn of(host: u8) -> Value {
    json!({ "filter": format!("host 10.0.0.{host}") })
}

#[test]
fn an_assignment_holds_for_running_and_new_connections_until_it_ends() {
    let r = Retrotap::default();
    let mut d = Daemon::start(&r);
    d.feed(7, 1, 20);
    assert_eq!(d.count(&of(7)), 4, "1000 bytes of 250 each");
    let answer = d.ok("POST", "/v1/assignments", &json!({"address": "10.0.0.7", "class": "whole", "for": "1h"}));
    assert_eq!((&answer["class"], &answer["role"]), (&json!("whole"), &json!("either")));
    d.feed(7, 1, 10);
    d.feed(7, 2, 10);
    d.feed(8, 1, 10);
    assert_eq!(d.count(&json!({"classes": ["whole"]})), 20, "the running connection and the new one");
    assert_eq!(d.count(&of(8)), 4);
    let (_, list) = d.ask("GET", "/v1/assignments", &Value::Null);
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    d.ok("DELETE", "/v1/assignments", &json!({"address": "10.0.0.7"}));
    d.feed(7, 1, 10);
    d.feed(7, 2, 10);
    assert_eq!(d.count(&of(7)), 24, "what is past stays past");
    // A net, of which only the responders; then one that ends by itself.
    d.ok(
        "POST",
        "/v1/assignments",
        &json!([
            {"address": "10.0.0.8/29", "class": "whole", "for": "1h", "role": "responder"},
            {"address": "192.0.2.0/24", "class": "whole", "for": "3s", "role": "responder"},
        ]),
    );
    d.feed(9, 1, 10);
    assert_eq!(d.count(&json!({"filter": "host 10.0.0.9", "classes": ["whole"]})), 10, "192.0.2.1 is the responder");
    d.until("the end of one", || {
        let (_, list) = d.ask("GET", "/v1/assignments", &Value::Null);
        (list.as_array()?.len() == 1).then_some(())
    });
    std::thread::sleep(Duration::from_millis(1500));
    d.feed(9, 1, 10);
    d.feed(10, 1, 10);
    assert_eq!((d.count(&of(9)), d.count(&of(10))), (10, 4), "10.0.0.10 is the originator");
    d.stop();
}

#[test]
fn a_suspension_holds_at_once_and_before_its_connection_is_there() {
    let r = Retrotap::default();
    let mut d = Daemon::start(&r);
    d.feed(7, 1, 10);
    let conn = json!({"conn": "udp 10.0.0.7:1 192.0.2.1:53"});
    let with = |more: Value| {
        let mut all = conn.clone();
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        all
    };
    d.ok("POST", "/v1/suspensions", &with(json!({"for": "1h"})));
    d.feed(7, 1, 10);
    assert_eq!(d.count(&of(7)), 14);
    let (_, list) = d.ask("GET", "/v1/suspensions", &Value::Null);
    let end = |address: &str, port: u16| json!({ "address": address, "port": port });
    let ends = json!({ "protocol": "udp", "a": end("10.0.0.7", 1), "b": end("192.0.2.1", 53) });
    assert_eq!(list[0]["connection"], ends, "{list}");
    assert!(list[0]["timeout_until"].is_null() && list[0]["cutoff_until"].is_string(), "{list}");
    d.ok("DELETE", "/v1/suspensions", &conn);
    d.feed(7, 1, 10);
    assert_eq!(d.count(&of(7)), 14, "its end restores the definition");
    d.ok("POST", "/v1/suspensions", &json!({"conn": "udp 192.0.2.1:53 10.0.0.8:9", "for": "1h"}));
    d.ok("POST", "/v1/suspensions", &json!({"address": "10.0.0.16/28", "for": "1h"}));
    for host in [8, 9, 17, 33] {
        d.feed(host, 9, 10);
    }
    assert_eq!([8, 9, 17, 33].map(|h| d.count(&of(h))), [10, 4, 10, 4]);
    d.stop();
}

#[test]
fn orders_outlive_a_restart_and_those_that_are_over_do_not() {
    let r = Retrotap::default();
    let d = Daemon::start(&r);
    d.ok(
        "POST",
        "/v1/assignments",
        &json!([
            {"address": "10.0.0.7", "class": "whole", "for": "1h"},
            {"address": "2001:db8::/32", "class": "whole", "for": "1s"},
        ]),
    );
    d.ok("POST", "/v1/suspensions", &json!({"address": "10.0.0.8", "for": "1h", "timeout": true, "cutoff": true}));
    let before = ["/v1/assignments", "/v1/suspensions"].map(|path| d.ask("GET", path, &Value::Null));
    d.stop();
    let mut d = Daemon::start(&r);
    assert_eq!(["/v1/assignments", "/v1/suspensions"].map(|path| d.ask("GET", path, &Value::Null)), before);
    assert_eq!(before[0].1.as_array().map(Vec::len), Some(1), "the other is over");
    d.feed(7, 1, 10);
    d.feed(8, 1, 10);
    assert_eq!((d.count(&of(7)), d.count(&of(8))), (10, 10));
    d.stop();
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let r = Retrotap::default();
    let d = Daemon::start(&r);
    let (a, s) = ("/v1/assignments", "/v1/suspensions");
    for (method, path, body, status, word) in [
        ("POST", a, r#"{"address": "10.0.0.7", "class": "hole", "for": "1h"}"#, 400, "all, whole"),
        ("POST", a, r#"{"address": "10.0.0", "class": "whole", "for": "1h"}"#, 400, "no address"),
        ("POST", a, r#"{"address": "10.0.0.7/8", "class": "whole", "for": "1h"}"#, 400, "10.0.0.0/8"),
        ("POST", a, r#"{"address": "10.0.0.7", "class": "whole", "for": "soon"}"#, 400, "soon"),
        ("POST", a, r#"{"address": "10.0.0.7", "class": "whole", "for": 0}"#, 400, "no time"),
        ("POST", a, r#"{"address": "10.0.0.7", "class": "whole"}"#, 400, "for"),
        ("POST", a, r#"{"address": "10.0.0.7", "class": "whole", "for": "1h", "role": "boss"}"#, 400, "originator"),
        ("POST", a, r#"[{"address": "10.0.0.7", "class": "whole", "for": "1h"}, 7]"#, 400, "number 2"),
        ("POST", a, "{", 400, "JSON"),
        ("DELETE", a, r#"{"address": "10.0.0.7"}"#, 404, "no assignment"),
        ("POST", s, r#"{"conn": "tcp 1.2.3.4:5", "for": "1h"}"#, 400, "three words"),
        ("POST", s, r#"{"conn": "icmp 1.2.3.4 1.2.3.5", "address": "1.2.3.4", "for": "1h"}"#, 400, "one of them"),
        ("POST", s, r#"{"for": "1h"}"#, 400, "one of them"),
        ("POST", s, r#"{"address": "1.2.3.4"}"#, 400, "how long"),
        ("POST", s, r#"{"address": "1.2.3.4", "for": "1h", "cutoff": false}"#, 400, "neither"),
        ("DELETE", s, r#"{"address": "1.2.3.4"}"#, 404, "nothing is suspended"),
    ] {
        let mut stream = UnixStream::connect(r.store().join("api.sock")).expect("the socket");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("a response");
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status}")) && text.contains(word),
            "{method} {path} {body}: {text}"
        );
    }
    let (_, none) = d.ask("GET", a, &Value::Null);
    assert_eq!(none, json!([]), "a list with a fault puts nothing in force");
    d.stop();
    let day = std::fs::read_dir(r.store().join("audit")).expect("the audit log").next().expect("a day").expect("it");
    let audit = std::fs::read_to_string(day.path()).expect("the audit log");
    assert!(audit.lines().any(|l| l.contains("10.0.0.7/8") && l.contains("400")), "{audit}");
}

#[test]
fn a_hundred_thousand_addresses_and_no_more_than_fit() {
    let r = Retrotap::default();
    let mut d = Daemon::start(&r);
    let list = |from: u32, to: u32| -> Value {
        let one = |n: u32| json!({"address": std::net::Ipv4Addr::from(0x0B00_0000 + n).to_string(), "class": "whole", "for": "1h"});
        (from..to).map(one).collect::<Vec<_>>().into()
    };
    assert_eq!(d.ok("POST", "/v1/assignments", &list(0, 100_000))["assigned"], 100_000);
    d.ok("POST", "/v1/assignments", &json!({"address": "10.0.0.7", "class": "whole", "for": "1h"}));
    let (status, why) = d.ask("POST", "/v1/assignments", &list(100_000, 140_000));
    assert_eq!(status, 507, "{why}");
    assert!(
        why["error"]["message"].as_str().is_some_and(|e| e.contains("31071 of 40000") && e.contains("131072")),
        "{why}"
    );
    std::thread::sleep(Duration::from_millis(1000));
    d.feed(7, 1, 10);
    d.feed(8, 1, 10);
    assert_eq!((d.count(&of(7)), d.count(&of(8))), (10, 4));
    assert!(!d.log().contains("no room"), "{}", d.log());
    d.stop();
}

#[test]
fn the_command_line_is_a_client_of_it() {
    let r = Retrotap::default();
    let d = Daemon::start(&r);
    let run = |args: &[&str], code: i32, word: &str| {
        let ran = r.run(args);
        let all = ran.text() + &ran.err;
        assert!(ran.code == Some(code) && all.contains(word), "{args:?}: {:?} {all}", ran.code);
        ran
    };
    run(&["assign", "10.0.0.7", "whole", "--for", "1h"], 0, "10.0.0.7 has class whole until");
    let json = run(&["assign", "10.0.0.0/8", "whole", "--for", "1h", "--originator", "--json"], 0, "").json();
    assert_eq!((&json["role"], &json["address"]), (&json!("originator"), &json!("10.0.0.0/8")));
    assert_eq!(run(&["assignments"], 0, "originator").text().lines().count(), 3);
    run(&["unassign", "10.0.0.7"], 0, "no longer");
    run(&["unassign", "10.0.0.7"], 2, "no assignment");
    run(&["assign", "10.0.0.7", "hole", "--for", "1h"], 2, "all, whole");
    run(&["suspend-cutoff", "tcp 10.0.0.7:1 10.0.0.8:2", "--for", "10m"], 0, "cutoff suspended until");
    run(&["suspend-timeout", "10.0.0.7", "--for", "10m"], 0, "idle timeout suspended");
    assert_eq!(run(&["suspensions", "--json"], 0, r#""a":{"address":"10.0.0.7","port":1}"#).text().lines().count(), 2);
    run(&["suspensions"], 0, "tcp 10.0.0.7:1 10.0.0.8:2");
    run(&["resume", "10.0.0.7"], 0, "nothing is suspended any more");
    d.stop();
    run(&["assignments"], 3, "no recorder answers");
}

/// A reload that takes a class away says how many assignments went with it.
#[test]
fn assignments_of_a_class_that_is_gone_are_counted() {
    let r = Retrotap::default();
    let mut d = Daemon::start(&r);
    d.feed(7, 1000, 6);
    let list: Vec<Value> =
        (1..=3).map(|n| json!({"address": format!("10.0.0.{n}"), "class": "whole", "for": "1h"})).collect();
    d.ok("POST", "/v1/assignments", &list.into());
    d.ok("POST", "/v1/assignments", &json!({"address": "10.0.0.7", "class": "all", "for": "1h"}));
    std::fs::write(r.dir().join("steer.toml"), "[class.all]\ncutoff = \"2000\"\n").expect("a configuration");
    let ran = r.run(&["reload"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(
        ran.text().lines().collect::<Vec<_>>(),
        [
            "class.all.cutoff: 1.95 KiB instead of 0.98 KiB",
            "class whole is gone",
            "3 assignments of classes that are gone: taken back"
        ]
    );
    let (_, left) = d.ask("GET", "/v1/assignments", &Value::Null);
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
    std::fs::write(r.dir().join("steer.toml"), "[class.all]\ncutoff = \"none\"\n").expect("a configuration");
    let again = r.run(&["reload", "--json"]).json();
    assert_eq!((&again["unassigned"], &again["changed"][0]["key"]), (&0.into(), &"class.all.cutoff".into()), "{again}");
    d.feed(7, 1000, 6);
    d.stop();
}
