//! The API, through its socket and the recorder's own server: any bytes, and requests of each kind with any body. Every request that is one is answered,
//! an error with its reason; none ends the recorder or breaks a handler; and the recorder says how it is as long as it runs.

use crate::scratch;
use retrotap::config::{Config, Settings};
use retrotap::control::Place;
use retrotap::record::statistics::Sample;
use retrotap::record::{Observer, run as record};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What there is to ask.
const ROWS: [(&str, &str); 24] = [
    ("GET", "/v1"),
    ("GET", "/v1/openapi.json"),
    ("POST", "/v1/query"),
    ("POST", "/v1/count"),
    ("POST", "/v1/connections"),
    ("POST", "/v1/holds"),
    ("GET", "/v1/holds"),
    ("PUT", "/v1/holds"),
    ("GET", "/v1/holds/limit"),
    ("GET", "/v1/holds/case/packets"),
    ("GET", "/v1/holds/case/manifest"),
    ("POST", "/v1/holds/case/check"),
    ("DELETE", "/v1/holds/case"),
    ("POST", "/v1/losses"),
    ("GET", "/v1/info"),
    ("POST", "/v1/verify"),
    ("POST", "/v1/notes"),
    ("GET", "/v1/status"),
    ("GET", "/v1/classes"),
    ("POST", "/v1/assignments"),
    ("GET", "/v1/assignments"),
    ("DELETE", "/v1/assignments"),
    ("POST", "/v1/suspensions"),
    ("DELETE", "/v1/suspensions"),
];
/// The recorder is asked how it is after so many inputs.
const LOOK: u64 = 256;

static SOCKET: OnceLock<PathBuf> = OnceLock::new();
static INPUTS: AtomicU64 = AtomicU64::new(0);

struct Quiet;

impl Observer for Quiet {
    fn interval_ns(&self) -> u64 {
        u64::MAX
    }
    fn interval(&mut self, _: &Sample, _: &Sample, _: Option<(u64, u64)>) {}
}

/// Input: 255: bytes as they are; else which request, and its body.
pub fn run(data: &[u8]) {
    let socket = SOCKET.get_or_init(start);
    let (what, body) = crate::options(data);
    if what == 255 {
        ask(socket, body, true);
    } else {
        let (method, path) = ROWS[usize::from(what) % ROWS.len()];
        let mut request = head(method, path, body.len());
        request.extend(body);
        // Who follows is answered until he goes.
        let follows = body.windows(6).any(|w| w == b"follow" || w == b"\\u0066");
        let reply = ask(socket, &request, follows);
        if !follows {
            checked(&reply, &request);
        }
    }
    if INPUTS.fetch_add(1, Relaxed).is_multiple_of(LOOK) {
        let reply = ask(socket, &head("GET", "/v1/status", 0), false);
        assert!(reply.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&reply));
    }
}

fn head(method: &str, path: &str, len: usize) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n").into_bytes()
}

/// What is answered; `leave`: the client goes when it has said all.
fn ask(socket: &Path, request: &[u8], leave: bool) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).expect("the socket");
    stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a timeout");
    // It may be refused before all is said.
    let _ = stream.write_all(request);
    if leave {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(e) if e.kind() != std::io::ErrorKind::ConnectionReset => panic!("no answer: {e}"),
        _ => all,
    }
}

/// A request that is one has an answer that is one.
fn checked(reply: &[u8], request: &[u8]) {
    let told = || format!("{} to {}", String::from_utf8_lossy(reply), String::from_utf8_lossy(request));
    let at = reply.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("no answer: {}", told()));
    let status: u16 =
        std::str::from_utf8(&reply[9..12]).ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("{}", told()));
    assert!(status != 500, "{}", told());
    if status >= 400 {
        let said: serde_json::Value =
            serde_json::from_slice(&reply[at + 4..]).unwrap_or_else(|e| panic!("{e}: {}", told()));
        assert!(said["error"]["message"].as_str().is_some_and(|e| !e.is_empty()), "{}", told());
    }
}

/// Starts a recorder of a few packets in this process; it ends with it.
fn start() -> PathBuf {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let store = scratch::empty("api-store");
    let socket = scratch::folder().join("api.sock");
    let text = "segment_size = \"4MiB\"\nbuffers = \"4MiB\"\ndisk = \"64MiB\"\nconnections_ipv4 = 4096\nconnections_ipv6 = 4096\nmemory = \"16MiB\"\n[class.all]\ncutoff = \"none\"\n";
    let mut config = Config::parse(text, Path::new("retrotap.toml")).expect("a configuration");
    (config.read, config.store) = (vec![format!("/proc/self/fd/{}", reader.as_raw_fd()).into()], Some(store));
    let mut settings = Settings::new(config).expect("settings");
    settings.api = Place::At(socket.clone());
    std::thread::spawn(move || {
        let again = settings.clone();
        let outcome = record(&settings, &move || Ok(again.clone()), &mut Quiet);
        panic!("the recorder has ended: {:?}", outcome.err());
    });
    let frames: Vec<Vec<u8>> =
        crate::made::frames().into_iter().filter(|(link, _)| *link == 1).map(|(_, f)| f).collect();
    let mut file = Vec::new();
    for n in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(n.to_le_bytes());
    }
    for (n, frame) in (1_700_000_000u32..).zip(frames.iter().take(500)) {
        for word in [n, 0, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    writer.write_all(&file).expect("the recorder reads");
    while UnixStream::connect(&socket).is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // Open as long as this process is: the recorder goes on.
    std::mem::forget((reader, writer));
    socket
}

/// A request of each kind, good bodies and odd ones.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let ask = r#"{"filter":"host 10.0.0.1","hosts":["10.0.0.1"],"nets":["10.0.0.0/8"],"any_layer":true,"classes":["all"],"since":"2023-11-14T22:13:20Z","until":"2030-01-01T00:00:00Z","limit":5}"#;
    for (n, (method, path)) in (0u8..).zip(ROWS) {
        let bodies: &[&str] = match (method, path) {
            ("POST", "/v1/query") => &[
                ask,
                "{}",
                r#"{"format":"pcap","limit":1}"#,
                r#"{"manifest":true,"conn":"tcp 10.0.0.1:40000 10.0.0.2:80"}"#,
            ],
            ("POST", "/v1/count") => &[
                ask,
                r#"{"filter":"tcp port 80","full_scan":true}"#,
                r#"{"community_id":"1:LQU9qZlK+B5F3KDmev6m5PMibrg=","last":"10m"}"#,
                r#"{"filter":"tcp or"}"#,
            ],
            ("POST", "/v1/connections") => &[r#"{"sort":"bytes","top":3}"#, r#"{"memory_only":true}"#],
            ("POST", "/v1/holds") => &[r#"{"name":"case","reason":"why","filter":"tcp","keep_for":"1h","size":4096}"#],
            ("PUT", _) => &[r#"{"limit_bytes":1000000}"#, r#"{"limit":"1MiB"}"#],
            ("DELETE", "/v1/holds/case") => &[r#"{"reason":"done"}"#],
            ("POST", "/v1/losses") => &[r#"{"last":"1h"}"#],
            ("POST", "/v1/notes") => &[r#"{"note":"x"}"#, r#"{"text":"x"}"#],
            ("POST", "/v1/assignments") => &[
                r#"{"address":"10.1.2.3","class":"all","for":"1h"}"#,
                r#"[{"address":"10.0.0.0/8","class":"all","for":60,"role":"originator"}]"#,
            ],
            ("DELETE", "/v1/assignments") => &[r#"{"address":"10.1.2.3"}"#],
            ("POST" | "DELETE", "/v1/suspensions") => &[
                r#"{"conn":"tcp 10.0.0.1:40000 10.0.0.2:80","for":"10m"}"#,
                r#"{"address":"10.0.0.1","for":"10m","timeout":true}"#,
            ],
            _ => &[""],
        };
        for body in bodies {
            add([&[n], body.as_bytes()].concat());
            add([&[255][..], &head(method, path, body.len()), body.as_bytes()].concat());
        }
    }
    for raw in [
        "GET / HTTP/1.1\r\n\r\n",
        "POST /v1/count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /v1/status HTTP/1.0\r\nAuthorization: Bearer retrotap_x\r\n\r\n",
        "\x16\x03\x01\x02\0",
    ] {
        add([&[255], raw.as_bytes()].concat());
    }
}
