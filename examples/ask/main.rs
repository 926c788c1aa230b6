//! Many clients that ask a recorder's socket for one connection after another, or look through its store, and how long each answer took.
//! Called by `cargo xtask bench query`; plain HTTP with blocking sockets, so that what is measured is the recorder. The connections are those
//! that it has in memory.

use clap::Parser;
use hdrhistogram::Histogram;
use retrotap::control::{Ask, Client};
use retrotap::packet::Parser as Layers;
use retrotap::packet::key::Kind;
use retrotap::source::file::FileSource;
use retrotap::source::{Polled, Source};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Asks for single connections, as fast as the answers come.
#[derive(Parser, Clone, Debug)]
struct Options {
    /// The recorder's socket.
    #[arg(long)]
    socket: PathBuf,
    /// Clients at a time.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// How long, seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Ask the whole store, not only what is in memory.
    #[arg(long)]
    disk: bool,
    /// Ask for what does not occur, by a look at every packet of the store, and say how many that were.
    #[arg(long, conflicts_with = "disk")]
    scan: bool,
    /// Packets that the connections are taken from.
    #[arg(long, default_value_t = 50_000)]
    sample: u64,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What a client has measured.
struct Measured {
    /// Until the end of an answer, ns.
    times: Histogram<u64>,
    /// Until its first byte, ns.
    firsts: Histogram<u64>,
    /// Bytes of answers.
    bytes: u64,
    /// Answers without a packet.
    empty: u64,
    /// Of scans: packets and bytes that were looked at.
    scanned: [u64; 2],
}

impl Measured {
    fn none() -> Result<Measured, Error> {
        let (times, firsts) = (Histogram::new(3)?, Histogram::new(3)?);
        Ok(Measured { times, firsts, bytes: 0, empty: 0, scanned: [0; 2] })
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let options = Options::parse();
    let connections = if options.scan { Vec::new() } else { connections(&options)? };
    if connections.is_empty() && !options.scan {
        return Err("the recorder has no TCP or UDP connection in memory".into());
    }
    let requests: Vec<Vec<u8>> = match options.scan {
        true => vec![post("/v1/count", &serde_json::json!({ "filter": "host 203.0.113.77", "full_scan": true }))],
        false => connections.iter().map(|c| request(c, !options.disk)).collect(),
    };
    let started = Instant::now();
    let until = started + Duration::from_secs(options.seconds);
    let clients: Vec<Result<Measured, Error>> = std::thread::scope(|scope| {
        let (socket, requests) = (&options.socket, &requests);
        let spawn = |n: usize| scope.spawn(move || client(socket, requests, n * 7919, until));
        let all: Vec<_> = (0..options.clients).map(spawn).collect();
        all.into_iter().map(|c| c.join().unwrap_or_else(|_| Err("a client panicked".into()))).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    let mut all = Measured::none()?;
    for c in clients {
        let one = c?;
        all.times.add(one.times)?;
        all.firsts.add(one.firsts)?;
        all.bytes += one.bytes;
        all.empty += one.empty;
        all.scanned = [0, 1].map(|i| all.scanned[i] + one.scanned[i]);
    }
    let Measured { times, firsts, bytes, empty, scanned } = all;
    let us = |q: f64| times.value_at_quantile(q) as f64 / 1e3;
    let first = |q: f64| firsts.value_at_quantile(q) as f64 / 1e3;
    let rate = times.len() as f64 / seconds;
    if options.json {
        let all = serde_json::json!({
            "clients": options.clients, "seconds": seconds, "connections": connections.len(), "queries": times.len(),
            "per_second": rate, "empty": empty, "bytes": bytes, "p50_us": us(0.5), "p90_us": us(0.9), "p99_us": us(0.99),
            "max_us": us(1.0), "first_p50_us": first(0.5), "first_p99_us": first(0.99), "first_max_us": first(1.0),
            "scanned_packets_per_second": scanned[0] as f64 / seconds, "scanned_bytes_per_second": scanned[1] as f64 / seconds,
        });
        println!("{all}");
    } else {
        println!(
            "{} clients: {rate:.0} queries/s of {} connections; p50 {:.0} us, p90 {:.0} us, p99 {:.0} us, max {:.0} us; {empty} empty",
            options.clients,
            connections.len(),
            us(0.5),
            us(0.9),
            us(0.99),
            us(1.0)
        );
    }
    Ok(())
}

/// One client until the end: times, bytes of answers, answers without a packet.
fn client(socket: &Path, requests: &[Vec<u8>], first: usize, until: Instant) -> Result<Measured, Error> {
    let mut to = UnixStream::connect(socket)?;
    to.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut from = BufReader::with_capacity(1 << 18, to.try_clone()?);
    let mut got = Measured::none()?;
    let mut body = Vec::new();
    for request in requests.iter().cycle().skip(first % requests.len()) {
        let start = Instant::now();
        if start >= until {
            break;
        }
        to.write_all(request)?;
        from.fill_buf()?;
        got.firsts.record(u64::try_from(start.elapsed().as_nanos())?)?;
        let none = answer(&mut from, &mut body)?;
        got.times.record(u64::try_from(start.elapsed().as_nanos())?)?;
        got.bytes += body.len() as u64;
        got.empty += u64::from(none);
        if body.first() == Some(&b'{') {
            let pruning = &serde_json::from_slice::<serde_json::Value>(&body)?["pruning"];
            for (sum, what) in got.scanned.iter_mut().zip(["candidates", "bytes_read"]) {
                *sum += pruning[what].as_u64().ok_or("a count without its figures")?;
            }
        }
    }
    Ok(got)
}

/// Reads one response; whether its summary says that it has no packet.
fn answer(from: &mut impl BufRead, body: &mut Vec<u8>) -> Result<bool, Error> {
    let (mut line, mut length, mut none, mut chunked) = (String::new(), 0, false, false);
    from.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(format!("the recorder says {line:?}").into());
    }
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if let Some(n) = text.strip_prefix("content-length: ") {
            length = n.parse()?;
        }
        chunked |= text == "transfer-encoding: chunked";
        none |= text.starts_with("retrotap-summary: {\"packets\":0,");
    }
    body.clear();
    if !chunked {
        body.resize(length, 0);
        from.read_exact(body)?;
        return Ok(none);
    }
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let n = usize::from_str_radix(line.trim_end(), 16)?;
        if n == 0 {
            break;
        }
        let at = body.len();
        body.resize(at + n + 2, 0);
        from.read_exact(&mut body[at..])?;
        body.truncate(at + n);
    }
    // Trailers, and the empty line.
    loop {
        line.clear();
        from.read_line(&mut line)?;
        if line.trim_end().is_empty() {
            return Ok(none);
        }
    }
}

fn request(conn: &str, memory_only: bool) -> Vec<u8> {
    post("/v1/query", &serde_json::json!({ "conn": conn, "memory_only": memory_only }))
}

fn post(path: &str, body: &serde_json::Value) -> Vec<u8> {
    let body = body.to_string();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// Connections that the recorder has in memory, as `--conn` takes them.
fn connections(options: &Options) -> Result<Vec<String>, Error> {
    let mut client = Client::connect(&options.socket)?.ok_or("no recorder answers there")?;
    let ask = Ask { filter: "tcp or udp".into(), memory_only: true, limit: Some(options.sample), ..Ask::default() };
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("sample.pcapng");
    client.query(&ask, &mut std::fs::File::create(&path)?, &AtomicBool::new(false))?;
    let (mut source, parser, mut all) = (FileSource::open(&[path], None)?, Layers::new(0, true), BTreeSet::new());
    let mut take = |p: &retrotap::source::Packet<'_>, link_type| {
        let key = parser.parse(link_type, p.data).key;
        let t = key.tail();
        let proto = match t.proto {
            6 => "tcp",
            17 => "udp",
            _ => return,
        };
        if let (Kind::Ip, Some([a, b])) = (t.kind(), key.addrs()) {
            let end = |a: IpAddr, port| SocketAddr::new(a, port);
            all.insert(format!("{proto} {} {}", end(a, t.port[0]), end(b, t.port[1])));
        }
    };
    while source.poll(|packets, interfaces| {
        for p in packets {
            take(p, interfaces.get(usize::from(p.iface)).map_or(1, |i| i.link_type));
        }
    })? != Polled::End
    {}
    // Neighbours in the list are not neighbours in memory.
    let mut mixed: Vec<String> = all.into_iter().collect();
    let n = mixed.len();
    for i in 1..n {
        mixed.swap(i, (i * 2_654_435_761) % (i + 1));
    }
    Ok(mixed)
}
