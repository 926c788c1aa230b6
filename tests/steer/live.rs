//! Behind the kernel's shunt, on a veth pair: a suspended cutoff brings a shunted connection's packets up again, a whole address' too. How
//! soon is printed, not asserted: `RETROTAP_STEER=ROUNDS,GBPS,SECONDS` makes a measurement of it (beside `examples/load`), as in
//! `benches/results/`. Needs root; says `skipped` without.

use crate::common::{check_account, libpcap, processes};
use crate::net::{Sender, in_namespace, veth};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub const RETROTAP: &str = env!("CARGO_BIN_EXE_retrotap");
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections of the address that is suspended as a whole.
const MANY: u16 = 50;

/// A process that is killed when dropped.
pub struct Running(pub Child);

impl Running {
    /// Ends a recorder that writes into this folder; its account, which adds up.
    pub fn end(&mut self, dir: &Path) -> Value {
        let kill = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().expect("kill");
        assert!(kill.success());
        let start = Instant::now();
        while self.0.try_wait().expect("its state").is_none() {
            let log = std::fs::read_to_string(dir.join("record.log")).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "the recorder does not end: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let text = std::fs::read_to_string(dir.join("record.json")).expect("its output");
        let account: Value = serde_json::from_str(text.lines().last().expect("an account")).expect("JSON");
        check_account(&account);
        account
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            processes::kill(&mut self.0);
        }
    }
}

/// UDP from a port of a host to port 9 of 10.99.0.1, 1000 bytes.
pub fn frame(host: u8, port: u16, n: u32) -> Vec<u8> {
    let builder =
        etherparse::PacketBuilder::ethernet2(crate::net::A, crate::net::B).ipv4([10, 99, 1, host], [10, 99, 0, 1], 64);
    let mut payload = vec![0; 958];
    payload[..4].copy_from_slice(&n.to_be_bytes());
    let mut frame = Vec::new();
    builder.udp(port, 9).write(&mut frame, &payload).expect("a frame");
    frame
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_nanos() as u64
}

/// One connection to the API, kept alive.
struct Api(UnixStream);

impl Api {
    fn new(path: &Path) -> Api {
        let stream = UnixStream::connect(path).expect("the socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Api(stream)
    }

    fn post(&mut self, path: &str, body: &Value) {
        let body = body.to_string();
        let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        self.0.write_all(request.as_bytes()).expect("a request");
        let (mut all, mut some) = (Vec::new(), [0; 4096]);
        loop {
            let n = self.0.read(&mut some).expect("a response");
            assert!(n > 0, "the API hung up: {}", String::from_utf8_lossy(&all));
            all.extend(&some[..n]);
            let text = String::from_utf8_lossy(&all).to_lowercase();
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1).and_then(|l| l.split("\r\n").next()?.parse().ok());
                if length.is_some_and(|l: usize| rest.len() >= l) {
                    assert!(head.starts_with("http/1.1 200"), "{text}");
                    return;
                }
            }
        }
    }
}

/// Sends these connections' packets in turns until dropped.
struct Sending {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sending {
    fn start(host: u8, ports: std::ops::Range<u16>, every: Duration) -> Sending {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (sender, mut n) = (Sender::new("gen0"), 0);
            let start = Instant::now();
            while !stopped.load(Relaxed) && start.elapsed() < PATIENCE {
                for port in ports.clone() {
                    sender.send(&frame(host, port, n));
                    n += 1;
                    std::thread::sleep(every);
                }
            }
        });
        Sending { stop, thread: Some(thread) }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Milliseconds at the median, the 99th of a hundred, and at most.
fn quantiles(mut all: Vec<f64>) -> Value {
    all.sort_by(f64::total_cmp);
    let at = |q: f64| (all[((all.len() - 1) as f64 * q).round() as usize] * 1000.0).round() / 1000.0;
    json!({ "n": all.len(), "median_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0) })
}

/// Assignments a second, one a request, over so many connections that are kept alive; and of a list.
fn assignments(socket: &Path, seconds: f64) -> Value {
    const CLIENTS: u32 = 4;
    let start = Instant::now();
    let client = |c: u32| {
        let socket = socket.to_owned();
        std::thread::spawn(move || {
            let (mut api, mut n) = (Api::new(&socket), 0);
            while start.elapsed().as_secs_f64() < seconds && n < 20_000 {
                let address = std::net::Ipv4Addr::from(0x0B00_0000 + (c << 16) + n).to_string();
                api.post("/v1/assignments", &json!({ "address": address, "class": "all", "for": "1h" }));
                n += 1;
            }
            n
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    let done: u32 = clients.into_iter().map(|c| c.join().expect("a client")).sum();
    let single = f64::from(done) / start.elapsed().as_secs_f64();
    let one = |n: u32| json!({ "address": std::net::Ipv4Addr::from(0x0C00_0000 + n).to_string(), "class": "all", "for": "1h" });
    let list: Value = (0..40_000).map(one).collect::<Vec<_>>().into();
    let start = Instant::now();
    Api::new(socket).post("/v1/assignments", &list);
    let listed = 40_000.0 / start.elapsed().as_secs_f64();
    json!({ "clients": CLIENTS, "single_per_s": single.round(), "list_per_s": listed.round() })
}

/// The time at which the first packet of each source port was stored after `since` says.
fn first_after(packets: &[(u16, u64)], port: u16, since: u64) -> f64 {
    let first = packets.iter().filter(|(p, t)| *p == port && *t > since).map(|(_, t)| *t).min();
    let first = first.unwrap_or_else(|| panic!("no packet of port {port} was stored after its cutoff was suspended"));
    (first - since) as f64 / 1e6
}

fn steer(dir: &Path, rounds: u16, gbps: f64, seconds: f64) {
    veth("gen0", "tap0", 1, 1500);
    let file = |name: &str| dir.join(name);
    let made = |path: PathBuf| std::fs::File::create(path).expect("a file");
    let (store, socket) = (file("store"), file("store/api.sock"));
    // A measurement is pinned as the other benches are: load on one processor, recorder on the other.
    let pinned = |cpu: &str, program: &Path| {
        let mut command = Command::new(if gbps > 0.0 { Path::new("taskset") } else { program });
        if gbps > 0.0 {
            command.args(["-c", cpu]).arg(program);
        }
        command
    };
    let mut command = pinned("1", Path::new(RETROTAP));
    command.args(["record", "--json", "-i", "tap0", "--source", "xdp", "--cutoff", "15KiB", "--store"]).arg(&store);
    command.stdin(Stdio::null()).stdout(made(file("record.json"))).stderr(made(file("record.log")));
    let mut recorder = Running(command.spawn().expect("the recorder"));
    let log = || std::fs::read_to_string(dir.join("record.log")).unwrap_or_default();
    let start = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        assert!(start.elapsed() < PATIENCE, "no API: {}", log());
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut load = (gbps > 0.0).then(|| {
        let program = Path::new(RETROTAP).with_file_name("examples").join("load");
        let mut load = pinned("0", &program);
        load.args([
            "--iface",
            "gen0",
            "--cpu",
            "0",
            "--mix",
            "lab",
            "--gbps",
            &gbps.to_string(),
            "--seconds",
            &seconds.to_string(),
        ]);
        let load = Running(load.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the load"));
        std::thread::sleep(Duration::from_secs(2));
        load
    });
    let mut api = Api::new(&socket);
    let mut suspended = BTreeMap::new();
    for port in 20_000..20_000 + rounds {
        let _sending = Sending::start(1, port..port + 1, Duration::from_micros(400));
        std::thread::sleep(Duration::from_millis(60));
        suspended.insert(port, now());
        api.post("/v1/suspensions", &json!({ "conn": format!("udp 10.99.1.1:{port} 10.99.0.1:9"), "for": "10m" }));
        std::thread::sleep(Duration::from_millis(120));
    }
    let sending = Sending::start(2, 30_000..30_000 + MANY, Duration::from_micros(50));
    std::thread::sleep(Duration::from_millis(900));
    let whole = now();
    api.post("/v1/suspensions", &json!({ "address": "10.99.1.2", "for": "10m" }));
    std::thread::sleep(Duration::from_millis(2500));
    drop(sending);
    if let Some(Running(load)) = &mut load {
        assert!(load.try_wait().expect("its state").is_none(), "the load has not lasted: give it more seconds");
    }
    let rates = assignments(&socket, seconds.min(3.0));
    let account = recorder.end(dir);

    let answer = file("answer.pcap");
    let mut query = Command::new(RETROTAP);
    query.args(["query", "net 10.99.0.0/16", "--format", "pcap", "--store"]).arg(&store).arg("-w").arg(&answer);
    assert!(query.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("a query").success(), "{}", log());
    let (seen, error) = libpcap(&answer);
    assert_eq!(error, None);
    let packets: Vec<_> = seen.iter().map(|p| (u16::from_be_bytes([p.data[34], p.data[35]]), p.time)).collect();
    let one = suspended.iter().map(|(port, since)| first_after(&packets, *port, *since)).collect();
    let many = (30_000..30_000 + MANY).map(|port| first_after(&packets, port, whole)).collect();
    assert!(account["shunted"]["packets"].as_u64() > Some(u64::from(rounds) * 20), "the kernel cut them: {account}");
    let lost = &account["dropped"];
    println!(
        "{}",
        json!({ "gbps": gbps, "connection": quantiles(one), "address_of_50": quantiles(many), "assignments": rates, "lost": lost })
    );
}

#[test]
fn the_kernel_lets_go_of_what_is_suspended() {
    let text = std::env::var("RETROTAP_STEER").unwrap_or("5,0,0.5".into());
    let mut of = text.split(',').map(|n| n.parse::<f64>().expect("ROUNDS,GBPS,SECONDS"));
    let mut next = || of.next().expect("ROUNDS,GBPS,SECONDS");
    let (rounds, gbps, seconds) = (next() as u16, next(), next());
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_owned();
    in_namespace("steer-live", move || steer(&path, rounds, gbps, seconds));
}
