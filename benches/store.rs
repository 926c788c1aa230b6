//! What storing costs: ns for a packet in the writer's thread (encoding, checksums, submitting), and what the disk takes, at the mean
//! stored length of a lab (268 B) and at full frames. A smoke size without `--bench` (as `cargo test --benches` runs it).

use retrotap::conn::verdict::Mark;
use retrotap::limits::BATCH_PACKETS;
use retrotap::source::{InputOptions, Interface, Packet};
use retrotap::store::sink::{Appended, Recorder, Sink};
use retrotap::store::{Options, Store};
use std::time::Instant;

/// Time that this thread has run, ns: others may share the processor.
fn cpu_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

fn run(len: usize, packets: u64) {
    let dir = tempfile::tempdir().expect("a directory for the store");
    let store = Store::create_or_open(dir.path(), Options::default()).expect("a store");
    let mut w = store.writer(0, 64).expect("memory");
    let ifaces = [Interface::new("bench", 1)];
    let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
    let start = Instant::now();
    let (mut busy, mut n) = (0, 0);
    while n < packets {
        let now = start.elapsed().as_nanos() as u64;
        let from = cpu_ns();
        if w.room() {
            for _ in 0..BATCH_PACKETS {
                let packet = Packet {
                    time: now + n,
                    wire_len: len as u32,
                    iface: 0,
                    hash: None,
                    data: &data,
                    options: InputOptions::NONE,
                };
                assert_eq!(w.append(0, &packet, &ifaces, &Mark::None.into()), Appended::Stored);
                n += 1;
            }
            w.tick(now);
            busy += cpu_ns() - from;
        } else {
            // Waits for the disk: not the writer's cost.
            w.tick(now);
            std::thread::sleep(std::time::Duration::from_micros(50));
        }
    }
    w.finish();
    let wall = start.elapsed().as_secs_f64();
    assert_eq!(w.counts().durable, n);
    let per = busy as f64 / n as f64;
    println!("{len:5} B: {per:6.1} ns a packet; {:7.0} MB/s durable on disk", (n as usize * len) as f64 / wall / 1e6);
    store.close();
}

fn main() {
    let full = std::env::args().any(|a| a == "--bench");
    for len in [60, 268, 1514] {
        run(len, if full { (2 << 30) / (len as u64 + 32) } else { 10_000 });
    }
}
