//! What a connection table costs: ns for a packet of a new connection, for one of a known connection under random access, for the end of
//! a connection, and bytes for a connection; ours (in batches that are prefetched, as the worker's step does), hashbrown's and the kernel's LRU
//! map under the same pattern. Processor time of the thread, so that others may share the processor. `cargo xtask bench table` runs it
//! in turns; options: `--json`, `--size A,B`, `--smoke`.
#![allow(unsafe_code)] // The skeleton's own blocks; none is written here.

use hashbrown::HashTable;
use libbpf_rs::ProgramInput;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use retrotap::class::{ClassSet, Policy};
use retrotap::conn::shunt::NoShunt;
use retrotap::conn::{Tracker, TrackerPlan};
use retrotap::limits::BATCH_PACKETS;
use retrotap::packet::key::{Key, Key4, Key6};
use retrotap::packet::{Fragment, Hasher, Parsed};
use retrotap::source::{InputOptions, Packet};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

#[allow(missing_docs, clippy::all, clippy::undocumented_unsafe_blocks)]
mod bare {
    include!(concat!(env!("OUT_DIR"), "/bare.skel.rs"));
}

/// Packets that are made ready before a piece of time is measured: making them is not the table's cost.
const PIECE: usize = 1 << 16;
const S: u64 = 1_000_000_000;

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
    Parsed {
        key,
        hash: hasher.hash(&key),
        swapped: false,
        tcp_flags: 0,
        tcp_seq: 0,
        fragment: Fragment::None,
        l3: 14,
        renamed: false,
    }
}

/// Time that this thread has run, ns: others may share the processor.
fn cpu_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Which connection the i-th packet belongs to: each once, in an order that memory does not know.
fn scattered(i: usize, connections: usize) -> u32 {
    // A permutation of 0..2^k, walked until it lands in the range.
    let bits = usize::BITS - (connections - 1).leading_zeros();
    let mask = (1usize << bits) - 1;
    let mut n = i;
    loop {
        n = (n.wrapping_mul(0x9e37_79b9) ^ (n.wrapping_mul(0x9e37_79b9) & mask) >> (bits / 2).max(1)) & mask;
        if n < connections {
            return n as u32;
        }
    }
}

/// What was measured of one table at one size.
struct Row {
    table: &'static str,
    family: &'static str,
    connections: usize,
    insert_ns: f64,
    hit_ns: f64,
    /// A packet that finds the table full.
    full_ns: f64,
    expire_ns: f64,
    bytes: f64,
}

impl Row {
    fn print(&self, json: bool) {
        let Row { table, family, connections, insert_ns, hit_ns, full_ns, expire_ns, bytes } = self;
        let million_per_s = 1e3 / hit_ns;
        if json {
            let number = |n: &f64| if n.is_finite() { format!("{n:.2}") } else { "null".into() };
            println!(
                r#"{{"table":"{table}","family":"{family}","connections":{connections},"insert_ns":{},"hit_ns":{},"million_hits_per_s":{},"full_ns":{},"expire_ns":{},"bytes_per_connection":{}}}"#,
                number(insert_ns),
                number(hit_ns),
                number(&million_per_s),
                number(full_ns),
                number(expire_ns),
                number(bytes),
            );
        } else {
            println!(
                "{table:9} {family} {connections:>8} connections: {insert_ns:6.1} ns/insert  {hit_ns:6.1} ns/hit ({million_per_s:.1} M/s)  \
                 {full_ns:6.1} ns/packet when full  {expire_ns:6.1} ns/end  {bytes:6.1} B/connection"
            );
        }
    }
}

/// Time of `work` over `count` packets made by `make`, a piece at a time; ns a packet.
fn timed<T>(count: usize, make: impl Fn(usize) -> T, mut work: impl FnMut(&[T])) -> f64 {
    let (mut ns, mut piece) = (0, Vec::with_capacity(PIECE));
    for start in (0..count).step_by(PIECE) {
        piece.clear();
        piece.extend((start..count.min(start + PIECE)).map(&make));
        let from = cpu_ns();
        work(&piece);
        ns += cpu_ns() - from;
    }
    ns as f64 / count as f64
}

/// Judges packets in batches, as the worker's step does.
fn judge(tracker: &mut Tracker, packets: &[Parsed], time: u64) {
    let data = [0; 60];
    for batch in packets.chunks(BATCH_PACKETS) {
        for p in batch {
            tracker.prefetch(p);
        }
        for p in batch {
            let packet = Packet { time, wire_len: 60, iface: 0, hash: None, data: &data, options: InputOptions::NONE };
            black_box(tracker.judge(black_box(p), &packet, 1, &mut NoShunt));
        }
    }
}

fn ours(v6: bool, connections: usize, hits: usize) -> Row {
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
    let new = |i| parsed(&hasher, v6, scattered(i, connections));
    let insert_ns = timed(connections, new, |p| judge(&mut tracker, p, S));
    assert!(tracker.stats().begun >= connections as u64 * 999 / 1000, "the table takes what it was made for");
    let known = |i: usize| parsed(&hasher, v6, (Rng(i as u64).next() % connections as u64) as u32);
    let hit_ns = timed(hits, known, |p| judge(&mut tracker, p, 2 * S));
    let stranger = |i: usize| parsed(&hasher, v6, !(i as u32));
    let full_ns = timed(hits.min(2_000_000), stranger, |p| judge(&mut tracker, p, 3 * S));

    let (mut now, from) = (1000 * S, cpu_ns());
    let ended = tracker.stats().live_v4 + tracker.stats().live_v6;
    while tracker.stats().live_v4 + tracker.stats().live_v6 > 0 {
        now += 1_000_000;
        tracker.sweep(now, 4096, &mut NoShunt);
        while let Some(receipt) = tracker.next_receipt() {
            black_box(receipt);
        }
        assert!(now < 4000 * S, "the sweep ends what is idle");
    }
    let expire_ns = (cpu_ns() - from) as f64 / ended as f64;
    Row { table: "retrotap", family: family(v6), connections, insert_ns, hit_ns, full_ns, expire_ns, bytes }
}

fn family(v6: bool) -> &'static str {
    if v6 { "IPv6" } else { "IPv4" }
}

/// hashbrown's table with the same keys and hashes and six words for a connection. It only counts; ours judges: begin and end, class,
/// cutoff, verdict.
fn hashbrown<K: Eq>(v6: bool, connections: usize, hits: usize, of: impl Fn(&Key) -> K) -> Row {
    let hasher = Hasher::new(1);
    let mut table: HashTable<(K, [u64; 6])> = HashTable::with_capacity(connections);
    let packet = |table: &mut HashTable<(K, [u64; 6])>, p: &Parsed| {
        let key = of(&p.key);
        let entry = table.find_mut(p.hash, |e| e.0 == key);
        match entry {
            Some(entry) => {
                entry.1[1] += 1;
                entry.1[2] += 60;
            }
            None => {
                table.insert_unique(p.hash, (key, [p.hash, 1, 60, 0, 0, 0]), |e| e.1[0]);
            }
        }
    };
    let new = |i| parsed(&hasher, v6, scattered(i, connections));
    let insert_ns = timed(connections, new, |p| p.iter().for_each(|p| packet(&mut table, black_box(p))));
    let known = |i: usize| parsed(&hasher, v6, (Rng(i as u64).next() % connections as u64) as u32);
    let hit_ns = timed(hits, known, |p| p.iter().for_each(|p| packet(&mut table, black_box(p))));
    assert_eq!(table.len(), connections);
    let bytes = table.allocation_size() as f64 / connections as f64;
    let from = cpu_ns();
    table.retain(|e| e.1[1] == u64::MAX);
    let expire_ns = (cpu_ns() - from) as f64 / connections as f64;
    Row { table: "hashbrown", family: family(v6), connections, insert_ns, hit_ns, full_ns: f64::NAN, expire_ns, bytes }
}

/// The kernel's LRU hash map, by an XDP program under BPF_PROG_TEST_RUN; the time of a program that only drops is taken off.
fn lru(connections: usize, hits: usize) -> Row {
    let mut object = MaybeUninit::uninit();
    let mut open = bare::BareSkelBuilder::default().open(&mut object).expect("open");
    open.maps.connections.set_max_entries(connections as u32).expect("size");
    let mut loaded = open.load().expect("load");
    let ns = |program: &libbpf_rs::ProgramMut<'_>, count: usize| {
        let (mut all, piece) = (0.0, 1 << 20);
        for start in (0..count).step_by(piece) {
            let repeat = piece.min(count - start) as u32;
            let input = ProgramInput { data_in: Some(&[0; 60]), repeat, ..ProgramInput::default() };
            all += program.test_run(input).expect("test run").duration.as_nanos() as f64 * f64::from(repeat);
        }
        all / count as f64
    };
    let floor = ns(&loaded.progs.bare_drop, 1 << 20);
    let insert_ns = ns(&loaded.progs.lru_packet, connections) - floor;
    let bss = loaded.maps.bss_data.as_mut().expect("the program has data");
    bss.lru_connections = connections as u64;
    bss.lru_missed = 0;
    let hit_ns = ns(&loaded.progs.lru_packet, hits) - floor;
    let info = format!("/proc/self/fdinfo/{}", loaded.maps.connections.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(info).unwrap_or_default();
    let locked = info.lines().find_map(|l| l.strip_prefix("memlock:")?.trim().parse::<f64>().ok());
    // An LRU map drops entries before it is full: what was not there any more is part of what it costs.
    let bytes = locked.unwrap_or(f64::NAN) / connections as f64;
    Row {
        table: "LRU map",
        family: "IPv4",
        connections,
        insert_ns,
        hit_ns,
        full_ns: f64::NAN,
        expire_ns: f64::NAN,
        bytes,
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |word: &str| arguments.iter().any(|a| a == word);
    let sizes: Vec<usize> = match arguments.iter().position(|a| a == "--size").and_then(|i| arguments.get(i + 1)) {
        Some(list) => list.split(',').map(|n| n.parse().expect("--size: numbers")).collect(),
        None if has("--bench") && !has("--smoke") => vec![100_000, 1_000_000, 10_000_000],
        None => vec![2_000],
    };
    for connections in sizes {
        let hits = (connections * 2).clamp(4_000, 5_000_000);
        for v6 in [false, true] {
            ours(v6, connections, hits).print(has("--json"));
        }
        let four = |key: &Key| if let Key::V4(key) = key { *key } else { Key4::default() };
        let six = |key: &Key| if let Key::V6(key) = key { *key } else { Key6::default() };
        hashbrown(false, connections, hits, four).print(has("--json"));
        hashbrown(true, connections, hits, six).print(has("--json"));
        if rustix::process::geteuid().is_root() {
            lru(connections, hits).print(has("--json"));
        } else {
            eprintln!("skipped: the kernel's LRU map: needs root");
        }
    }
}
