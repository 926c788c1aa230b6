//! A recorder that is fed through a pipe, and plain HTTP over its socket: no library between the test and the bytes.

use crate::common::{Retrotap, processes};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

/// Nothing here takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A recorder under way; killed when dropped.
pub struct Daemon {
    pub child: Child,
    input: Option<ChildStdin>,
    pub socket: PathBuf,
    store: PathBuf,
    log: PathBuf,
    out: PathBuf,
}

impl Daemon {
    /// Records what [`feed`](Daemon::feed) gives it.
    pub fn start(r: &Retrotap, options: &[&str]) -> Daemon {
        Daemon::start_at(r, options, r.store().join("api.sock"))
    }

    /// The same with a socket of this path, which the options name.
    pub fn start_at(r: &Retrotap, options: &[&str], socket: PathBuf) -> Daemon {
        Daemon::start_in(r, options, socket, None)
    }

    /// The same with capture and serve as processes of their own.
    pub fn start_apart(r: &Retrotap, options: &[&str]) -> Daemon {
        Daemon::start_in(r, options, r.store().join("api.sock"), Some("apart"))
    }

    fn start_in(r: &Retrotap, options: &[&str], socket: PathBuf, processes: Option<&str>) -> Daemon {
        let (log, out) = (r.dir().join("record.log"), r.dir().join("record.json"));
        let file = |path| std::fs::File::create(path).expect("a file");
        let mut child = r
            .command(&["record", "--json", "-r", "-", "--cutoff", "none"])
            .args(if options.contains(&"--segment-size") { &[][..] } else { &["--segment-size", "4MiB"] })
            .args(options)
            .envs(processes.map(|shape| ("RETROTAP_PROCESSES", shape)))
            .stdin(Stdio::piped())
            .stdout(file(&out))
            .stderr(file(&log))
            .spawn()
            .expect("the recorder");
        let mut input = child.stdin.take().expect("a pipe");
        let mut head = Vec::new();
        for n in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 262_144, 1] {
            head.extend(n.to_le_bytes());
        }
        input.write_all(&head).expect("the recorder reads");
        let daemon = Daemon { child, input: Some(input), socket, store: r.store(), log, out };
        daemon.until("the socket", || UnixStream::connect(&daemon.socket).ok());
        daemon
    }

    /// Gives it packets.
    pub fn feed(&mut self, packets: impl IntoIterator<Item = Vec<u8>>) {
        let all: Vec<u8> = packets.into_iter().flatten().collect();
        self.input.as_mut().expect("a pipe").write_all(&all).expect("the recorder reads");
    }

    /// Waits for something.
    pub fn until<T>(&self, what: &str, mut there: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(t) = there() {
                return t;
            }
            assert!(start.elapsed() < PATIENCE, "{what} did not come: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until so many packets can be asked for.
    pub fn until_count(&self, packets: u64) {
        self.until("the packets", || {
            let (status, summary) = self.ask("/v1/count", "{}");
            assert_eq!(status, 200, "{summary}");
            (summary["packets"].as_u64()? >= packets).then_some(())
        });
    }

    /// The lines of the audit log, once they are enough.
    pub fn audit(&self, enough: impl Fn(&[serde_json::Value]) -> bool) -> Vec<serde_json::Value> {
        self.until("the audit log", || {
            let days = std::fs::read_dir(self.store.join("audit")).ok()?;
            let texts = days.filter_map(|day| std::fs::read_to_string(day.ok()?.path()).ok());
            let all: Vec<serde_json::Value> = texts
                .flat_map(|t| t.lines().filter_map(|l| serde_json::from_str(l).ok()).collect::<Vec<_>>())
                .collect();
            enough(&all).then_some(all)
        })
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A connection.
    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("the socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// Posts and reads to the end of the connection: status and JSON.
    pub fn ask(&self, path: &str, body: &str) -> (u16, serde_json::Value) {
        let reply = self.post(path, body);
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    /// The same; `None`: nobody answers now.
    pub fn try_ask(&self, path: &str, body: &str) -> Option<(u16, serde_json::Value)> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(&request("POST", path, body)).ok()?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).ok().filter(|n| *n > 0)?;
        let reply = Reply::of(&all);
        Some((reply.status, serde_json::from_slice(&reply.body).unwrap_or_default()))
    }

    /// Posts and reads to the end of the connection.
    pub fn post(&self, path: &str, body: &str) -> Reply {
        let mut stream = self.connect();
        stream.write_all(&request("POST", path, body)).expect("a request");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("a response");
        Reply::of(&all)
    }

    /// The end of the input; the final account, whose sums are checked.
    pub fn stop(mut self) -> serde_json::Value {
        drop(self.input.take());
        self.end()
    }

    /// Killed with all its processes.
    pub fn kill(mut self) {
        processes::kill(&mut self.child);
    }

    /// Waits for its end.
    pub fn end(mut self) -> serde_json::Value {
        drop(self.input.take());
        let start = Instant::now();
        while self.child.try_wait().expect("the recorder's state").is_none() {
            assert!(start.elapsed() < PATIENCE, "the recorder does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        let text = std::fs::read_to_string(&self.out).expect("its output");
        let account = serde_json::from_str(text.lines().last().expect("a final account")).expect("JSON");
        crate::common::check_account(&account);
        account
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            processes::kill(&mut self.child);
        }
    }
}

/// The bytes of a request after which the connection ends.
pub fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A response.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub trailers: String,
}

impl Reply {
    pub fn of(all: &[u8]) -> Reply {
        let at = all.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(all[..at].to_vec()).expect("text");
        // Names of headers, not what they say.
        let named = |line: &str| match line.split_once(':') {
            Some((name, value)) => format!("{}:{value}", name.to_lowercase()),
            None => line.to_owned(),
        };
        let head = head.split("\r\n").map(named).collect::<Vec<_>>().join("\r\n");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let mut rest = &all[at + 4..];
        if !head.contains("transfer-encoding: chunked") {
            return Reply { status, head, body: rest.to_vec(), trailers: String::new() };
        }
        let mut body = Vec::new();
        loop {
            let end = rest.windows(2).position(|w| w == b"\r\n").expect("a chunk");
            let len = usize::from_str_radix(std::str::from_utf8(&rest[..end]).expect("text"), 16).expect("a length");
            rest = &rest[end + 2..];
            if len == 0 {
                break;
            }
            body.extend(&rest[..len]);
            rest = &rest[len + 2..];
        }
        Reply { status, head, body, trailers: String::from_utf8_lossy(rest).into_owned() }
    }

    /// The summary, wherever it is.
    pub fn summary(&self) -> serde_json::Value {
        let lines = self.head.lines().chain(self.trailers.lines());
        let text = lines.filter_map(|l| l.strip_prefix("retrotap-summary: ")).next().expect("a summary");
        serde_json::from_str(text).expect("JSON")
    }
}

/// UDP packet number `n` as a record of a capture file: 256 hosts, a millisecond apart, its number in its payload.
pub fn packet(n: u32) -> Vec<u8> {
    sized(n, 200)
}

/// The same with so many bytes.
pub fn sized(n: u32, len: u16) -> Vec<u8> {
    timed(n, len, n)
}

/// The same at this millisecond.
pub fn timed(n: u32, len: u16, ms: u32) -> Vec<u8> {
    let mut p = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    p.extend((len - 14).to_be_bytes());
    p.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, n as u8, 10, 9, 9, 9, 0x30, 0x39, 0, 53]);
    p.extend((len - 34).to_be_bytes());
    p.extend([0, 0]);
    p.extend(n.to_be_bytes());
    p.resize(usize::from(len), 0);
    record(ms, p)
}

/// A packet's record in a capture file, at this millisecond.
pub fn record(ms: u32, p: Vec<u8>) -> Vec<u8> {
    let (mut record, len) = (Vec::new(), p.len() as u32);
    for v in [1_700_000_000 + ms / 1000, ms % 1000 * 1_000_000, len, len] {
        record.extend(v.to_le_bytes());
    }
    record.extend(p);
    record
}
