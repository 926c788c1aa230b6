//! The worker's step over packets of a capture file, one batch after another, for `cargo xtask bench step`, which counts its instructions
//! under callgrind (only those within [`batch`]); alone it prints the time. `--file FILE` (else a made one), `--packets N`, `--assignments N`, `--sink memory|store`:
//! what is stored is copied into memory and nothing else, or encoded by the real writer.

use retrotap::class::{ClassId, ClassSet, Policy};
use retrotap::conn::orders::{AddressOrder, Prefix};
use retrotap::conn::shunt::NoShunt;
use retrotap::conn::{Tracker, TrackerPlan};
use retrotap::limits::BATCH_PACKETS;
use retrotap::packet::Parser;
use retrotap::source::file::FileSource;
use retrotap::source::{InputOptions, Interface, Packet, Polled, Source};
use retrotap::store::format::PacketOptions;
use retrotap::store::sink::{Appended, Recorder, Sink};
use retrotap::store::{Options, Store};
use retrotap::worker::dedup::Dedup;
use retrotap::worker::filter::Filters;
use retrotap::worker::handoff::{Exchange, Handoff};
use retrotap::worker::step::Step;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Takes the bytes and no more.
struct Memory {
    bytes: Vec<u8>,
    at: usize,
}

impl Sink for Memory {
    fn append(&mut self, _: ClassId, packet: &Packet<'_>, _: &[Interface], _: &PacketOptions) -> Appended {
        if self.at + packet.data.len() > self.bytes.len() {
            self.at = 0;
        }
        self.bytes[self.at..self.at + packet.data.len()].copy_from_slice(packet.data);
        self.at += packet.data.len();
        Appended::Stored
    }
}

/// A frame of the file, in memory before anything is measured.
struct Frame {
    time: u64,
    data: Vec<u8>,
}

/// What is counted: callgrind is told this name.
#[inline(never)]
fn batch<S: Sink>(step: &mut Step<NoShunt, S>, packets: &[Packet<'_>], interfaces: &[Interface]) {
    step.run(packets, interfaces);
}

fn over<S: Sink>(frames: &[Frame], assignments: u32, sink: S, mut between: impl FnMut(&mut S)) -> (Duration, u64) {
    let interfaces = [Interface::new("bench", 1)];
    let plan = TrackerPlan { connections_v4: 1 << 18, connections_v6: 1 << 16, shunt_slots: 0 };
    let policy = Policy { cutoff_bytes: Some(15 << 10), ..Policy::default() };
    let mut step = Step::new(
        Parser::new(5, true),
        Tracker::new(&plan, ClassSet::only(policy), [1; 16]).expect("a tracker"),
        NoShunt,
        sink,
        Filters::new(None, &interfaces).expect("no filter"),
        Dedup::new(None, [3; 16]),
        Handoff::new(&Exchange::new(1), 0),
        Default::default(),
    );
    step.learn(&interfaces);
    for n in 0..assignments {
        // Addresses that no packet has: each new connection is looked up, none is found.
        let prefix = Prefix::host(std::net::IpAddr::from((0x0B00_0000 + n).to_be_bytes()));
        let order = AddressOrder { class: Some(0), ..AddressOrder::default() };
        assert!(step.tracker.order_address(prefix, order), "room for the assignments");
    }
    let mut took = Duration::ZERO;
    for some in frames.chunks(BATCH_PACKETS) {
        let mut packets =
            [Packet { time: 0, wire_len: 0, iface: 0, hash: None, data: &[], options: InputOptions::NONE };
                BATCH_PACKETS];
        for (p, f) in packets.iter_mut().zip(some) {
            *p = Packet { time: f.time, wire_len: f.data.len() as u32, data: &f.data, ..*p };
        }
        let start = Instant::now();
        batch(&mut step, &packets[..some.len()], &interfaces);
        took += start.elapsed();
        between(&mut step.sink);
    }
    let counts = step.tallies.total();
    assert_eq!(counts.received.packets, frames.len() as u64);
    (took, counts.stored.packets)
}

/// The packets of a file, or of a made one: every eighth packet begins a connection, an eighth of the connections get most of the packets.
fn frames(file: Option<&String>, most: usize) -> Vec<Frame> {
    let Some(file) = file else {
        return (0..most)
            .map(|i| {
                let conn =
                    if i % 8 == 0 { i as u32 } else { (i as u32).wrapping_mul(0x9e37_79b9) % (most as u32 / 64 + 1) };
                let mut data =
                    vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 3, 0xe8, 0, 0, 0, 0, 64, 17, 0, 0, 10];
                data.extend(&conn.to_be_bytes()[1..]);
                data.extend([192, 0, 2, 1, 0x10, 0, 0, 53, 3, 0xd4, 0, 0]);
                data.resize(1014, 0);
                Frame { time: 1_000_000_000_000 + i as u64 * 1000, data }
            })
            .collect();
    };
    let mut source = FileSource::open(&[PathBuf::from(file)], None).expect("the file");
    let mut frames = Vec::new();
    while frames.len() < most {
        let polled = source.poll(|packets, _| {
            frames.extend(packets.iter().map(|p| Frame { time: p.time, data: p.data.to_vec() }));
        });
        if polled.expect("the file") == Polled::End {
            break;
        }
    }
    frames.truncate(most);
    frames
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|i| arguments.get(i + 1));
    let most = value("--packets").map_or(20_000, |n| n.parse().expect("--packets: a number"));
    let frames = frames(value("--file"), most);
    let assignments = value("--assignments").map_or(0, |n| n.parse().expect("--assignments: a number"));
    let (took, stored) = if value("--sink").is_some_and(|s| s == "store") {
        let dir = tempfile::tempdir().expect("a directory for the store");
        let store = Store::create_or_open(dir.path(), Options::default()).expect("a store");
        let start = Instant::now();
        let result = over(&frames, assignments, store.writer(0, 64).expect("memory"), |w| {
            w.tick(start.elapsed().as_nanos() as u64);
            while !w.room() {
                std::thread::sleep(Duration::from_micros(100));
                w.tick(start.elapsed().as_nanos() as u64);
            }
        });
        store.close();
        result
    } else {
        over(&frames, assignments, Memory { bytes: vec![0; 1 << 20], at: 0 }, |_| ())
    };
    println!(
        "{{\"packets\":{},\"stored\":{stored},\"bytes\":{},\"ns_per_packet\":{:.1}}}",
        frames.len(),
        frames.iter().map(|f| f.data.len()).sum::<usize>(),
        took.as_nanos() as f64 / frames.len() as f64
    );
}
