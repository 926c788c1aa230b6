//! What the connection table costs: ns for a packet of a known connection and of a new one, and bytes for a connection, at
//! 100 thousand and at one million, in processor time of the thread. A smoke size without `--bench` (as `cargo test --benches` runs it).

use retrotap::class::{ClassSet, Policy};
use retrotap::conn::shunt::NoShunt;
use retrotap::conn::verdict::Verdict;
use retrotap::conn::{Tracker, TrackerPlan};
use retrotap::limits::BATCH_PACKETS;
use retrotap::packet::key::{Key, Key4, Key6};
use retrotap::packet::{Fragment, Hasher, Parsed};
use retrotap::source::Packet;
use std::hint::black_box;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn parsed(hasher: &Hasher, v6: bool, n: u32) -> Parsed {
    let key = if v6 {
        let mut key = Key6 { addr: [[1; 16], [2; 16]], ..Key6::default() };
        key.addr[0][..4].copy_from_slice(&n.to_be_bytes());
        key.tail.proto = 17;
        Key::V6(key)
    } else {
        let mut key = Key4 { addr: [n.to_be_bytes(), [200; 4]], ..Key4::default() };
        key.tail.proto = 17;
        Key::V4(key)
    };
    Parsed { key, hash: hasher.hash(&key), swapped: false, tcp_flags: 0, tcp_seq: 0, fragment: Fragment::None, l3: 14 }
}

/// Time that this thread has run, ns: others may share the processor.
fn cpu_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Judges packets in batches, as the worker's step does; ns a packet, and how many were stored.
fn run(tracker: &mut Tracker, packets: &[Parsed], time: u64) -> (f64, u64) {
    let data = [0; 60];
    let mut stored = 0;
    let start = cpu_ns();
    for batch in packets.chunks(BATCH_PACKETS) {
        for p in batch {
            tracker.prefetch(p);
        }
        for p in batch {
            let packet = Packet { time, wire_len: 60, iface: 0, hash: None, data: &data };
            stored += u64::from(matches!(tracker.judge(black_box(p), &packet, 1, &mut NoShunt), Verdict::Store { .. }));
        }
    }
    ((cpu_ns() - start) as f64 / packets.len() as f64, stored)
}

fn bench(v6: bool, connections: usize, hits: usize) {
    let hasher = Hasher::new(1);
    let plan = TrackerPlan {
        connections_v4: if v6 { 0 } else { connections },
        connections_v6: if v6 { connections } else { 0 },
        shunt_slots: 0,
    };
    let memory = plan.memory();
    let bytes = (memory.connections_v4 + memory.connections_v6 + memory.fragments) as f64 / connections as f64;
    let policy = Policy { cutoff_bytes: Some(150), ..Policy::default() };
    let mut tracker = Tracker::new(&plan, ClassSet::only(policy), [1; 16]).expect("a tracker");

    let mut rng = Rng(2);
    let news: Vec<Parsed> = (0..connections as u32).map(|n| parsed(&hasher, v6, n)).collect();
    let (insert, _) = run(&mut tracker, &news, 1_000);
    let known: Vec<Parsed> = (0..hits).map(|_| parsed(&hasher, v6, (rng.next() % connections as u64) as u32)).collect();
    let (hit, stored) = run(&mut tracker, &known, 2_000);
    let strangers: Vec<Parsed> = (0..hits as u32).map(|n| parsed(&hasher, v6, !n)).collect();
    let (full, untracked) = run(&mut tracker, &strangers, 3_000);
    let stats = tracker.stats();
    println!(
        "{} {connections:>8} connections: {insert:6.1} ns/insert  {hit:6.1} ns/hit  {full:6.1} ns/packet when full  {bytes:6.1} B/connection  \
         (tracked {}, stored {stored}, untracked {untracked})",
        if v6 { "IPv6" } else { "IPv4" },
        stats.live_v4 + stats.live_v6,
    );
    assert!(stats.begun >= connections as u64 * 999 / 1000, "the table takes what it was made for");
}

fn main() {
    let sizes: &[usize] = if std::env::args().any(|a| a == "--bench") { &[100_000, 1_000_000] } else { &[2_000] };
    for &connections in sizes {
        for v6 in [false, true] {
            bench(v6, connections, connections.min(1_000_000) * 2);
        }
    }
}
