//! What the walk over running connections costs the worker: processor time of all of it, and the longest piece between two batches, over a full
//! table with `--orders` assignments, when every connection's cutoff changes. `cargo xtask bench steer` runs it; `--connections N`.

use retrotap::class::{Class, ClassSet, Policy};
use retrotap::conn::orders::{AddressOrder, Prefix};
use retrotap::conn::shunt::NoShunt;
use retrotap::conn::{Tracker, TrackerPlan};
use retrotap::limits::NAP_NS;
use retrotap::packet::key::{Key, Key4};
use retrotap::packet::{Fragment, Hasher, Parsed};
use retrotap::source::{InputOptions, Packet};

const S: u64 = 1_000_000_000;

fn classes(cutoff: u64) -> ClassSet {
    let policy = Policy { cutoff_bytes: Some(cutoff), ..Policy::default() };
    let class = |name: &str, filter: &str| Class {
        name: name.into(),
        filter: filter.into(),
        precedence: 0,
        policy: policy.clone(),
    };
    ClassSet::new(vec![class("all", ""), class("other", "port 9")]).expect("classes")
}

fn cpu_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as u64 * S + t.tv_nsec as u64
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|i| arguments.get(i + 1));
    let number = |name: &str, default| value(name).map_or(default, |n| n.parse::<u32>().expect("a number"));
    let (connections, orders) = (number("--connections", 20_000), number("--orders", 1_000));
    let plan = TrackerPlan { connections_v4: connections as usize, connections_v6: 0, shunt_slots: 0 };
    let mut tracker = Tracker::new(&plan, classes(150), [1; 16]).expect("a tracker");
    let hasher = Hasher::new(1);
    let data = [0; 60];
    let packet = Packet { time: S, wire_len: 60, iface: 0, hash: None, data: &data, options: InputOptions::NONE };
    for n in 0..connections {
        let mut key = Key4 { addr: [(0x0A00_0000 + n).to_be_bytes(), [200; 4]], ..Key4::default() };
        key.tail.proto = 17;
        let key = Key::V4(key);
        let hash = hasher.hash(&key);
        let p = Parsed {
            key,
            hash,
            swapped: false,
            tcp_flags: 0,
            tcp_seq: 0,
            fragment: Fragment::None,
            l3: 14,
            renamed: false,
        };
        tracker.judge(&p, &packet, 1, &mut NoShunt);
    }
    // Every other one is of a connection that runs.
    for n in 0..orders {
        let address = 0x0A00_0000 + n.wrapping_mul(connections / orders.max(1)) * 2;
        let order = AddressOrder { class: Some(1), ..AddressOrder::default() };
        let prefix = Prefix::host(std::net::IpAddr::from(address.to_be_bytes()));
        assert!(tracker.order_address(prefix, order), "room for the orders");
    }
    let (mut now, mut all, mut longest, mut rounds) = (S, 0, 0, 0u64);
    // It has come by before.
    while tracker.walking() {
        now += NAP_NS;
        tracker.walk(now, now, &mut NoShunt);
    }
    tracker.adopt(&mut classes(300), 0, now);
    let began = now;
    while tracker.walking() {
        // A worker comes by each millisecond, at least.
        now += NAP_NS;
        let from = cpu_ns();
        tracker.walk(now, now, &mut NoShunt);
        let took = cpu_ns() - from;
        (all, longest, rounds) = (all + took, longest.max(took), rounds + 1);
    }
    let live = tracker.stats().live_v4;
    assert!(tracker.stats().recounted >= live, "every connection was visited");
    println!(
        "{{\"places\":{},\"connections\":{live},\"orders\":{orders},\"walk_ms\":{:.2},\"longest_us\":{:.1},\"rounds\":{rounds},\"walk_spread_ms\":{}}}",
        tracker.places(),
        all as f64 / 1e6,
        longest as f64 / 1e3,
        (now - began) / 1_000_000,
    );
}
