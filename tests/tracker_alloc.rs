//! The tracker allocates nothing between its start and its end: judged, swept, shunted, renewed, flooded, in fragments, under orders.
#![allow(unsafe_code)]

use retrotap::class::{Class, ClassSet, Policy};
use retrotap::conn::orders::{AddressOrder, ConnOrder, Plain, Prefix};
use retrotap::conn::shunt::{Shunt, ShuntCounts, ShuntSlot};
use retrotap::conn::{Tracker, TrackerPlan};
use retrotap::packet::key::Key;
use retrotap::packet::{Fragment, Parser};
use retrotap::source::{InputOptions, Packet};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A shunt that takes what it is given, and allocates nothing either.
struct Slots {
    used: Vec<bool>,
}

impl Shunt for Slots {
    fn insert(&mut self, _: &Key) -> Option<ShuntSlot> {
        let free = self.used.iter().position(|used| !used)?;
        self.used[free] = true;
        Some(ShuntSlot(free as u32))
    }
    fn sample(&mut self, _: ShuntSlot, _: u32) {}
    fn drawn(&mut self, _: ShuntSlot) -> bool {
        true
    }
    fn counts(&self, _: ShuntSlot) -> ShuntCounts {
        ShuntCounts::default()
    }
    fn pass(&mut self, _: ShuntSlot) {}
    fn remove(&mut self, _: &Key, slot: ShuntSlot) -> ShuntCounts {
        self.used[slot.0 as usize] = false;
        ShuntCounts { packets: 1, bytes: 60, last: 1 }
    }
    fn capacity(&self) -> usize {
        self.used.len()
    }
}

/// Ethernet, IPv4, TCP (or UDP, in fragments now and then), from one of `hosts` hosts.
fn frame(n: u64, hosts: u64) -> [u8; 60] {
    let mut f = [0; 60];
    let source = ((n % hosts) as u32).to_be_bytes();
    let tcp = !n.is_multiple_of(3);
    f[12..14].copy_from_slice(&[8, 0]);
    f[14..18].copy_from_slice(&[0x45, 0, 0, 46]);
    f[18..20].copy_from_slice(&(n as u16).to_be_bytes());
    f[20] = if n.is_multiple_of(21) { 0x20 } else { 0 };
    f[21] = u8::from(n.is_multiple_of(33));
    f[23] = if tcp { 6 } else { 17 };
    f[26..30].copy_from_slice(&source);
    f[30..34].copy_from_slice(&[10, 0, 0, 1]);
    f[34..38].copy_from_slice(&[4, 0, 0, 80]);
    f[38..42].copy_from_slice(&(n as u32).to_be_bytes());
    f[46] = 0x50;
    f[47] = match n % 13 {
        0 => 2,
        5 => 17,
        7 => 4,
        _ => 16,
    };
    f
}

#[test]
fn nothing_is_allocated_after_the_start() {
    let all =
        Policy { cutoff_bytes: Some(100), cutoff_jitter: 50, renew_other_ns: Some(5_000_000_000), ..Policy::default() };
    let class = |name: &str, filter: &str| Class {
        name: name.into(),
        filter: filter.into(),
        precedence: 1,
        policy: all.clone(),
    };
    let classes = ClassSet::new(vec![class("all", ""), class("dns", "udp")]).expect("classes");
    let plan = TrackerPlan { connections_v4: 2_000, connections_v6: 200, shunt_slots: 64 };
    let mut tracker = Tracker::new(&plan, classes, [7; 16]).expect("a tracker");
    tracker.prepare(1);
    let parser = Parser::new(1, true);
    let mut shunt = Slots { used: vec![false; 64] };

    let (mut time, mut receipts) = (1_780_000_000_000_000_000, 0_u64);
    let before = ALLOCATIONS.get();
    for n in 0..300_000_u64 {
        time += 1_000_000;
        let hosts = if n < 200_000 { 1_500 } else { 90_000 };
        let data = frame(n, hosts);
        let mut p = parser.parse(1, &data);
        let packet = Packet { time, wire_len: 60, iface: 0, hash: None, data: &data, options: InputOptions::NONE };
        tracker.prefetch(&p);
        if p.fragment != Fragment::None {
            tracker.resolve_fragment(&mut p, time);
        }
        tracker.judge(&p, &packet, 1, &mut shunt);
        if n % 64 == 0 {
            let on = n % 128 == 0;
            let order = AddressOrder { class: on.then_some((n % 3 % 2) as u8), ..AddressOrder::default() };
            assert!(tracker.order_address(Prefix::host(std::net::Ipv4Addr::from(n as u32 % 2_000).into()), order));
            if let Some(name) = Plain::of(&p.key) {
                let order = ConnOrder { suspend_cutoff: on, suspend_timeout: false };
                tracker.order_conn(name, order, p.hash, time, &mut shunt);
            }
            tracker.walk(time, time, &mut shunt);
            tracker.sweep(time, 512, &mut shunt);
            // Receipts are left lying for a while: the buffer must not grow either.
            if n % 40_000 < 20_000 {
                while tracker.next_receipt().is_some() {
                    receipts += 1;
                }
            }
        }
    }
    let allocated = ALLOCATIONS.get() - before;
    let stats = tracker.stats();
    assert_eq!(allocated, 0, "{stats:?}");
    // All of it was gone through.
    for (what, n) in [
        ("receipts", receipts),
        ("renewed", stats.renewed),
        ("untracked", stats.untracked),
        ("recounted", stats.recounted),
        ("ended", stats.ended),
        ("shunted", stats.shunt_inserted),
        ("found the shunt full", stats.shunt_full),
        ("live", stats.live_v4),
    ] {
        assert!(n > 0, "{what}: {stats:?}");
    }
}
