//! Workers without a wire and without a disk: a source that is a list of frames, a recorder that remembers what it was given.
// Each test uses its part.
#![allow(dead_code)]

use retrotap::class::{Class, ClassSet, Policy};
use retrotap::conn::receipt::Receipt;
use retrotap::conn::shunt::{NoShunt, Shunt};
use retrotap::conn::{Tracker, TrackerPlan};
use retrotap::limits::BATCH_PACKETS;
use retrotap::metrics::account::{StoreCounts, WorkerCounts};
use retrotap::packet::Parser;
use retrotap::source::{InputOptions, Interface, Packet, Polled, Source};
use retrotap::store::format::PacketOptions;
use retrotap::store::sink::{Appended, Recorder, Sink};
use retrotap::worker::dedup::Dedup;
use retrotap::worker::filter::Filters;
use retrotap::worker::handoff::{Exchange, Handoff};
use retrotap::worker::receipts::{Outbox, Post};
use retrotap::worker::run::{Line, SystemClock, Worker};
use retrotap::worker::step::Step;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// Bytes of each connection that the workers keep.
pub const CUTOFF: u64 = 3_000;

/// One frame of the test's traffic.
#[derive(Clone)]
pub struct Frame {
    /// Which connection it is of.
    pub connection: u16,
    /// Unix time, ns.
    pub time: u64,
    /// Whether it is a fragment.
    pub fragment: bool,
    /// The frame.
    pub bytes: Vec<u8>,
}

/// What a recorder was given.
pub struct Kept {
    /// Read from the frame.
    pub connection: u16,
    /// As counted.
    pub wire_len: u32,
}

/// UDP over IPv4, 192.0.2.1 to 192.0.2.2, from port 1000 + `connection` to 53; `fragment`: identification, offset in bytes, more.
/// The connection's number is repeated in the payload's first bytes, so that a later fragment tells it too.
pub fn udp(connection: u16, payload: usize, fragment: Option<(u16, u16, bool)>) -> Vec<u8> {
    let (id, offset, more) = fragment.unwrap_or_default();
    let header = if offset == 0 { 8 } else { 0 };
    let total = 20 + header + payload.max(2);
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    f.extend((total as u16).to_be_bytes());
    f.extend(id.to_be_bytes());
    f.extend(((offset / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
    f.extend([64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    if offset == 0 {
        f.extend((1000 + connection).to_be_bytes());
        f.extend([0, 53]);
        f.extend((8 + payload as u16).to_be_bytes());
        f.extend([0, 0]);
    }
    f.extend(connection.to_be_bytes());
    f.resize(14 + total, 0);
    f
}

/// `packets` frames or a few more of `connections` connections; every tenth a datagram in three fragments. A millisecond apart.
pub fn traffic(seed: u64, connections: u16, packets: usize) -> Vec<Frame> {
    let (mut frames, mut x) = (Vec::new(), seed | 1);
    let mut random = |n: u64| {
        // xorshift64 (Marsaglia, 2003)
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x % n
    };
    let mut id = 0u16;
    while frames.len() < packets {
        let connection = random(u64::from(connections)) as u16;
        let parts: Vec<_> = if random(10) == 0 {
            id = id.wrapping_add(1);
            (0..3).map(|i| Some((id, i * 800, i < 2))).collect()
        } else {
            vec![None]
        };
        for part in parts {
            let bytes = udp(connection, 20 + random(700) as usize, part);
            let time = 1_700_000_000_000_000_000 + frames.len() as u64 * 1_000_000;
            frames.push(Frame { connection, time, fragment: part.is_some(), bytes });
        }
    }
    frames
}

struct Queue {
    frames: Vec<Frame>,
    next: usize,
    interfaces: Vec<Interface>,
    /// Panics instead of bringing this packet.
    fatal: Option<usize>,
}

impl Source for Queue {
    type Error = Infallible;

    fn poll(&mut self, step: impl FnOnce(&[Packet<'_>], &[Interface])) -> Result<Polled, Infallible> {
        assert!(self.fatal.is_none_or(|at| self.next < at), "this worker is to die");
        let batch: Vec<_> = self.frames[self.next..]
            .iter()
            .take(BATCH_PACKETS)
            .map(|f| Packet {
                time: f.time,
                wire_len: f.bytes.len() as u32,
                iface: 0,
                hash: None,
                data: &f.bytes,
                options: InputOptions::NONE,
            })
            .collect();
        if batch.is_empty() {
            return Ok(Polled::End);
        }
        step(&batch, &self.interfaces);
        self.next += batch.len();
        // A wire gives the others a turn; without it the mailboxes of the test would overflow, rightly.
        std::thread::sleep(std::time::Duration::from_micros(200));
        Ok(Polled::Packets(batch.len()))
    }

    fn wait(&mut self, _: u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn stop(&mut self) {}

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn patient(&self) -> bool {
        true
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<Kept>>>);

impl Sink for Memory {
    fn append(&mut self, _: u8, p: &Packet<'_>, _: &[Interface], _: &PacketOptions) -> Appended {
        if p.data[23] == 6 {
            let connection = u16::from_be_bytes([p.data[54], p.data[55]]);
            self.0.lock().unwrap().push(Kept { connection, wire_len: p.wire_len });
            return Appended::Stored;
        }
        let at = if p.data[20..22] == [0, 0] || p.data[20] & 0x1f == 0 && p.data[21] == 0 { 42 } else { 34 };
        let connection = u16::from_be_bytes([p.data[at], p.data[at + 1]]);
        self.0.lock().unwrap().push(Kept { connection, wire_len: p.wire_len });
        Appended::Stored
    }
}

impl Recorder for Memory {
    fn room(&self) -> bool {
        true
    }
    fn tick(&mut self, _: u64) {}
    fn counts(&self) -> StoreCounts {
        StoreCounts { durable: self.0.lock().unwrap().len() as u64, ..StoreCounts::default() }
    }
    fn finish(&mut self) {}
}

/// The classes of the test: `all` with [`CUTOFF`].
pub fn classes() -> ClassSet {
    let policy = Policy { cutoff_bytes: Some(CUTOFF), ..Policy::STANDARD };
    ClassSet::new(vec![Class { name: "all".into(), filter: String::new(), precedence: 0, policy }]).unwrap()
}

/// The same and `web`: what is sent to TCP port 80, whole.
pub fn classes_with_web() -> ClassSet {
    let all = Class { policy: classes().policy(0).clone(), name: "all".into(), filter: String::new(), precedence: 0 };
    let policy = Policy { cutoff_bytes: None, ..Policy::STANDARD };
    let web = Class { name: "web".into(), filter: "tcp dst port 80".into(), precedence: 1, policy };
    ClassSet::new(vec![all, web]).unwrap()
}

/// TCP over IPv4, from 192.0.2.2, port 1000 + `connection`, to 192.0.2.1, port 80, or back.
pub fn tcp(connection: u16, back: bool, flags: u8, seq: u32) -> Vec<u8> {
    let (mut from, mut to) = (([192, 0, 2, 2], 1000 + connection), ([192, 0, 2, 1], 80));
    if back {
        std::mem::swap(&mut from, &mut to);
    }
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 42, 0, 0, 0, 0, 64, 6, 0, 0];
    f.extend([from.0, to.0].concat());
    f.extend([from.1.to_be_bytes(), to.1.to_be_bytes()].concat());
    f.extend(seq.to_be_bytes());
    f.extend([0, 0, 0, 0, 0x50, flags, 4, 0, 0, 0, 0, 0]);
    f.extend(connection.to_be_bytes());
    f
}

/// A table for a few thousand connections.
pub const PLAN: TrackerPlan = TrackerPlan { connections_v4: 4096, connections_v6: 1024, shunt_slots: 0 };

/// Records each queue with a worker of its own until all have ended.
pub fn record(queues: Vec<Vec<Frame>>) -> (Vec<Kept>, Vec<Receipt>, WorkerCounts) {
    record_till(queues, None)
}

/// The same; if `fatal` says so, one worker panics once it has received so many packets.
pub fn record_till(queues: Vec<Vec<Frame>>, fatal: Option<(usize, usize)>) -> (Vec<Kept>, Vec<Receipt>, WorkerCounts) {
    record_by(classes, queues, fatal)
}

/// The same with other classes.
pub fn record_by(
    classes: fn() -> ClassSet,
    queues: Vec<Vec<Frame>>,
    fatal: Option<(usize, usize)>,
) -> (Vec<Kept>, Vec<Receipt>, WorkerCounts) {
    let source = |(me, frames)| {
        let interfaces = vec![Interface::new("tap0", 1)];
        let fatal = fatal.and_then(|(worker, at)| (worker == me).then_some(at));
        (Queue { frames, next: 0, interfaces, fatal }, NoShunt)
    };
    let sources = queues.into_iter().enumerate().map(source).collect();
    run(Parser::new(99, true), classes, sources, fatal.map(|(worker, _)| worker), |_| ())
}

/// Runs a worker for each source until all have ended; `meanwhile` may see to it. Only worker `dies` is to panic.
pub fn run<Src: Source + Send + 'static, K: Shunt + Send + 'static>(
    parser: Parser,
    classes: fn() -> ClassSet,
    sources: Vec<(Src, K)>,
    dies: Option<usize>,
    meanwhile: impl FnOnce(&[Arc<Line>]),
) -> (Vec<Kept>, Vec<Receipt>, WorkerCounts) {
    let (exchange, kept, mut receipts) = (Exchange::new(sources.len()), Memory::default(), Vec::new());
    let mut lines = Vec::new();
    let mut posts = Vec::new();
    let mut threads = Vec::new();
    for (me, (source, shunt)) in sources.into_iter().enumerate() {
        let (post, line) = (Post::new(), Arc::new(Line::default()));
        let tracker = Tracker::new(&PLAN, classes(), [7; 16]).unwrap();
        let filters = Filters::new(None, source.interfaces()).unwrap();
        let handoff = Handoff::new(&exchange, me);
        let dedup = Dedup::new(None, [3; 16]);
        let step = Step::new(parser, tracker, shunt, kept.clone(), filters, dedup, handoff, line.tallies.clone());
        let worker = Worker { source, step, outbox: Outbox::new(&post), line: line.clone(), clock: SystemClock };
        threads.push(std::thread::spawn(|| worker.run().unwrap()));
        posts.push(post);
        lines.push(line);
    }
    meanwhile(&lines);
    let mut collect = || {
        for p in &posts {
            p.collect(|letter| receipts.extend_from_slice(letter));
        }
    };
    let start = std::time::Instant::now();
    while threads.iter().any(|t| !t.is_finished()) {
        assert!(start.elapsed().as_secs() < 60, "the workers do not come to rest");
        collect();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    collect();
    let mut counts = WorkerCounts::default();
    for (me, (thread, line)) in threads.into_iter().zip(&lines).enumerate() {
        assert_eq!(thread.join().is_err(), dies == Some(me), "who panics");
        counts += line.tallies.total();
    }
    let kept = std::mem::take(&mut *kept.0.lock().unwrap());
    (kept, receipts, counts)
}
