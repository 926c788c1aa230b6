//! One client: a request, its answer, and again, over one connection with plain HTTP. Owns what it measures.

use super::answers::{Answered, sum};
use super::{Error, Options};
use hdrhistogram::Histogram;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::RwLock;
use std::time::{Duration, Instant};

/// A request, ready to be sent.
#[derive(Clone)]
pub struct Request {
    /// The connection that it is about.
    pub conn: String,
    /// What goes over the socket.
    pub bytes: Vec<u8>,
    /// The answer has at least so many packets.
    pub least: u64,
}

/// What clients have measured.
pub struct Tally {
    /// Until the end of an answer, ns.
    pub times: Histogram<u64>,
    /// Until its first byte, ns.
    pub firsts: Histogram<u64>,
    /// Packets in answers.
    pub packets: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// Answers without a packet.
    pub empty: u64,
    /// Of scans: packets and bytes that were looked at.
    pub scanned: [u64; 2],
    /// Every answer, where they are wanted.
    pub answered: Vec<Answered>,
}

impl Tally {
    /// Of nothing yet.
    pub fn none() -> Result<Tally, Error> {
        let (times, firsts) = (Histogram::new(3)?, Histogram::new(3)?);
        Ok(Tally { times, firsts, packets: 0, bytes: 0, empty: 0, scanned: [0; 2], answered: Vec::new() })
    }

    /// Takes in another client's.
    pub fn add(&mut self, other: Tally) -> Result<(), Error> {
        self.times.add(other.times)?;
        self.firsts.add(other.firsts)?;
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.empty += other.empty;
        self.scanned = [0, 1].map(|i| self.scanned[i] + other.scanned[i]);
        self.answered.extend(other.answered);
        Ok(())
    }
}

/// Asks until then, beginning with the `first` request. The requests may be exchanged meanwhile.
pub fn run(options: &Options, requests: &RwLock<Vec<Request>>, first: usize, until: Instant) -> Result<Tally, Error> {
    let mut to = UnixStream::connect(&options.socket)?;
    to.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut from = BufReader::with_capacity(1 << 18, to.try_clone()?);
    let mut got = Tally::none()?;
    let (mut body, begun) = (Vec::new(), Instant::now());
    for turn in first.. {
        let request = {
            let all = requests.read().map_err(|_| "the requests are gone")?;
            all[turn % all.len()].clone()
        };
        // With a pace: when it was to be asked, so that one that is late for the last answer's sake says so.
        let start = match options.per_second {
            None => Instant::now(),
            Some(pace) => begun + Duration::from_secs(1) * (turn - first) as u32 / pace,
        };
        if start >= until {
            break;
        }
        std::thread::sleep(start.saturating_duration_since(Instant::now()));
        to.write_all(&request.bytes)?;
        from.fill_buf()?;
        got.firsts.record(u64::try_from(start.elapsed().as_nanos())?)?;
        let complete = read(&mut from, &mut body)?;
        got.times.record(u64::try_from(start.elapsed().as_nanos())?)?;
        got.bytes += body.len() as u64;
        if body.first() == Some(&b'{') {
            let pruning = &serde_json::from_slice::<serde_json::Value>(&body)?["pruning"];
            for (sum, what) in got.scanned.iter_mut().zip(["candidates", "read_bytes"]) {
                *sum += pruning[what].as_u64().ok_or("a count without its figures")?;
            }
            continue;
        }
        let (packets, sum) = sum(&body)?;
        got.packets += packets;
        got.empty += u64::from(packets == 0);
        if options.answers.is_some() {
            got.answered.push(Answered { conn: request.conn.into(), packets, sum, least: request.least, complete });
        }
    }
    Ok(got)
}

/// As a summary has it, in a header or a trailer.
const INCOMPLETE: &str = r#""complete":false"#;

/// Reads one response into `body`; false: its summary says that it is not complete.
fn read(from: &mut impl BufRead, body: &mut Vec<u8>) -> Result<bool, Error> {
    let (mut line, mut length, mut chunked, mut complete) = (String::new(), 0, false, true);
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
        complete &= !text.contains(INCOMPLETE);
    }
    body.clear();
    if !chunked {
        body.resize(length, 0);
        from.read_exact(body)?;
        return Ok(complete);
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
            return Ok(complete);
        }
        complete &= !line.contains(INCOMPLETE);
    }
}

/// A request as bytes.
pub fn post(path: &str, body: &serde_json::Value) -> Vec<u8> {
    let body = body.to_string();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}
