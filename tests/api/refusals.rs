//! What makes no sense, asked of a running recorder: each is refused with a reason, entered in the audit log with who asked, and moves nothing.
//! What a NIDS sends is in `tests/nids`.

use crate::access::{mode, text};
use crate::common::Retrotap;
use crate::rig::{Daemon, Reply, packet, request};
use serde_json::Value;
use std::io::{Read, Write};
use std::process::Command;

const CONFIG: &str = "[class.web]\nfilter = \"tcp port 80\"\n";

struct World {
    r: Retrotap,
    daemon: Daemon,
    fed: u32,
    /// Refusals so far: request, status and a word of the reason.
    refused: Vec<(&'static str, u16, &'static str)>,
}

impl World {
    fn new() -> World {
        let r = Retrotap::default();
        let config = r.dir().join("retrotap.toml");
        std::fs::write(&config, CONFIG).expect("a configuration");
        let daemon = Daemon::start(&r, &["-c", &text(&config)]);
        World { r, daemon, fed: 0, refused: Vec::new() }
    }

    /// Asks, is refused, and the recorder records on.
    fn refuses(&mut self, ask: (&'static str, &'static str, &str), status: u16, word: &'static str) {
        let (line, body) = ((ask.0, ask.1), ask.2);
        let mut stream = self.daemon.connect();
        stream.write_all(&request(line.0, line.1, body)).expect("a request");
        self.is_refused(&mut stream, line, status, word);
    }

    fn is_refused(
        &mut self,
        stream: &mut std::os::unix::net::UnixStream,
        (method, path): (&'static str, &'static str),
        status: u16,
        word: &'static str,
    ) {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("a response");
        let reply = Reply::of(&all);
        let said: Value = serde_json::from_slice(&reply.body).expect("JSON");
        let error = said["error"]["message"].as_str().expect("an error");
        assert!(reply.status == status && error.contains(word), "{method} {path}: {} {error}", reply.status);
        self.goes_on();
        self.refused.push((path, status, word));
    }

    /// Another configuration, which is refused.
    fn reload(&mut self, config: &str, word: &'static str) {
        let path = self.r.dir().join("retrotap.toml");
        std::fs::write(&path, config).expect("a configuration");
        self.refuses(("POST", "/v1/reload", "{}"), 422, word);
        std::fs::write(&path, CONFIG).expect("a configuration");
        // The same file is refused before it is anybody's.
        std::fs::write(self.r.dir().join("wrong.toml"), config).expect("a configuration");
        let ran = self.r.run(&["check-config", &text(&self.r.dir().join("wrong.toml"))]);
        assert!(ran.code == Some(2) && ran.err.contains(word), "{:?} {}", ran.code, ran.err);
    }

    fn goes_on(&mut self) {
        self.daemon.feed((self.fed..self.fed + 100).map(packet));
        self.fed += 100;
        self.daemon.until_count(u64::from(self.fed));
        assert!(self.daemon.child.try_wait().expect("its state").is_none(), "{}", self.daemon.log());
    }

    /// Every refusal is in the log, with who asked; and nothing is lost.
    fn end(self) {
        let entered = |lines: &[Value], (path, status, word): (&str, u16, &str)| {
            lines.iter().any(|l| {
                let is = |key: &str, text: &str| l[key].as_str().is_some_and(|t| t.contains(text));
                l["status"] == status && is("request", path) && is("error", word) && l["name"].is_string()
            })
        };
        self.daemon.audit(|lines| self.refused.iter().all(|one| entered(lines, *one)));
        let account = self.daemon.stop();
        assert_eq!(account["stored"]["packets"], self.fed);
        assert_eq!(
            account["lost"].as_object().map_or(0, |l| l.values().filter_map(Value::as_u64).sum()),
            0,
            "{account}"
        );
    }
}

#[test]
fn configurations_that_make_no_sense() {
    let mut w = World::new();
    w.reload("[class.web]\nfilter = \"tcp port 80\"\n[class.web]\nfilter = \"tcp port 443\"\n", "web");
    w.reload("[class.web]\nfilter = \"tcp prt 80\"\n", "line 2, column 10");
    w.reload("disk = \"900TiB\"\n", "900 TiB");
    w.reload("[class.web]\nfilter = \"tcp\"\ndisk = \"900TiB\"\n", "900 TiB");
    w.end();
}

#[test]
fn orders_and_questions_that_make_no_sense() {
    let mut w = World::new();
    for (ask, status, word) in [
        (("POST", "/v1/assignments", r#"{"address": "10.0.0.300", "class": "web", "for": "1h"}"#), 400, "10.0.0.300"),
        (("POST", "/v1/assignments", r#"{"address": "10.0.0.7", "class": "wbe", "for": "1h"}"#), 400, "wbe"),
        (("POST", "/v1/assignments", r#"{"address": "10.0.0.7", "class": "web", "for": "long"}"#), 400, "long"),
        (("POST", "/v1/suspensions", r#"{"address": "host", "for": "1h"}"#), 400, "host"),
        (("POST", "/v1/query", r#"{"filter": "tcp prt 80"}"#), 400, "prt"),
        (("POST", "/v1/query", r#"{"filtre": "tcp"}"#), 400, "filtre"),
        (("POST", "/v1/query", r#"{"filter": "tcp""#), 400, "no JSON"),
        (("POST", "/v1/count", r#"{"classes": ["wbe"]}"#), 400, "wbe"),
        (("POST", "/v1/holds", r#"{"name": "x", "reason": "y", "filter": "prot udp"}"#), 400, "prot"),
        (("POST", "/v1/holds", r#"{"name": "../x", "reason": "y"}"#), 400, "name"),
        (("DELETE", "/v1/holds/nobody", r#"{"reason": "y"}"#), 404, "nobody"),
        (("POST", "/v1/nothing", "{}"), 404, "there is no"),
        (("DELETE", "/v1/status", ""), 405, "GET"),
    ] {
        w.refuses(ask, status, word);
    }
    w.end();
}

#[test]
fn bodies_without_end() {
    let mut w = World::new();
    // One that says how long it is is refused before it comes; of one that does not, no more is read than may be.
    for (path, most) in [("/v1/query", 8 << 20), ("/v1/notes", 4096), ("/v1/assignments", 32 << 20)] {
        let mut stream = w.daemon.connect();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 100 << 20);
        stream.write_all(head.as_bytes()).expect("a request");
        w.is_refused(&mut stream, ("POST", path), 413, "longer");
        let mut stream = w.daemon.connect();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("a request");
        let chunk = [format!("{:x}\r\n", 1 << 20).into_bytes(), vec![b' '; 1 << 20], b"\r\n".to_vec()].concat();
        // It hangs up when it has had enough.
        let sent = (0..100).take_while(|_| stream.write_all(&chunk).is_ok()).count();
        assert!(sent < 100, "{path}: all 100 MiB were taken, {most} bytes are allowed");
        w.goes_on();
    }
    w.end();
}

#[test]
fn a_request_without_the_right_to_it() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: a_request_without_the_right_to_it: needs root to be somebody else");
        return;
    }
    let mut w = World::new();
    mode(w.r.dir(), 0o755);
    mode(&w.r.store(), 0o755);
    mode(&w.daemon.socket, 0o666);
    for path in ["/v1/reload", "/v1/assignments", "/v1/holds", "/v1/query"] {
        let ran = Command::new("setpriv")
            .args(["--reuid", "65529", "--regid", "65529", "--clear-groups", "curl", "-s", "-m", "20", "-X", "POST"])
            .args(["--unix-socket", &text(&w.daemon.socket), &format!("http://x{path}")])
            .output()
            .expect("setpriv and curl");
        let said: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
        assert!(said["error"]["message"].as_str().is_some_and(|e| e.contains("has no role here")), "{path}: {said}");
        w.goes_on();
        w.refused.push((path, 403, "has no role here"));
    }
    w.end();
}
