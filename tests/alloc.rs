//! A worker allocates nothing between start and stop: the real step (parser, tracker, hand-over) over the real store, under an
//! allocator that counts for this thread. A new segment or a new interface may allocate, once each; packets may not.
#![allow(unsafe_code)]

mod rig;

use retrotap::conn::Tracker;
use retrotap::conn::shunt::NoShunt;
use retrotap::limits::BATCH_PACKETS;
use retrotap::metrics::account::WorkerCounts;
use retrotap::packet::Parser;
use retrotap::source::{InputOptions, Interface, Packet};
use retrotap::store::open::{Options, Store};
use retrotap::store::sink::Recorder;
use retrotap::worker::dedup::Dedup;
use retrotap::worker::filter::Filters;
use retrotap::worker::handoff::{Exchange, Handoff};
use retrotap::worker::receipts::{Outbox, Post};
use retrotap::worker::run::{Clock, SystemClock};
use retrotap::worker::step::Step;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator with the arguments it was made with; the counter is a thread-local cell
// without a destructor, so that touching it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's obligations are the same.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        // SAFETY: as above; `p` came from `System`.
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn packets_allocate_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(dir.path(), Options::default()).unwrap();
    let interfaces = [Interface::new("tap0", 1)];
    // Two workers, so that half of the packets take the way through parcels; this thread plays both ends.
    let exchange = Exchange::new(2);
    let post = Post::new();
    let mut outbox = Outbox::new(&post);
    let mut steps: Vec<_> = (0..2)
        .map(|me| {
            Step::new(
                Parser::new(5, true),
                Tracker::new(&rig::PLAN, rig::classes(), [1; 16]).unwrap(),
                NoShunt,
                store.writer(me as u16, 16).unwrap(),
                Filters::new(Some("ip or arp"), &interfaces).unwrap(),
                Dedup::new(Some(10_000_000), [3; 16]),
                Handoff::new(&exchange, me),
                Default::default(),
            )
        })
        .collect();
    steps.iter_mut().for_each(|s| s.learn(&interfaces));

    // More connections than the table holds, so that its full state is exercised as well; and time goes on past their end.
    let mut frames = rig::traffic(3, 6_000, 60_000);
    for (i, f) in frames.iter_mut().enumerate() {
        f.time += i as u64 * 20_000_000;
    }
    let clock = SystemClock;
    let mut before = 0;
    for (round, batch) in frames.chunks(BATCH_PACKETS).enumerate() {
        let packets = [(); BATCH_PACKETS].map(|()| Packet {
            time: 0,
            wire_len: 0,
            iface: 0,
            hash: None,
            data: &[],
            options: InputOptions::NONE,
        });
        let mut packets = packets;
        for (p, f) in packets.iter_mut().zip(batch) {
            *p = Packet { time: f.time, wire_len: f.bytes.len() as u32, data: &f.bytes, ..*p };
        }
        // The first rounds make the segments, and thread-local things of the libraries.
        if round == 40 {
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        if round == 60 {
            before = ALLOCATIONS.get();
        }
        let now = clock.mono_ns();
        if let Some(step) = steps.get_mut(round % 2) {
            step.run(&packets[..batch.len()], &interfaces);
            let newest = step.newest;
            step.tracker.sweep(newest, 256, &mut step.shunt);
            outbox.fill(&mut step.tracker, now);
            step.sink.tick(now);
        }
        for step in &mut steps {
            while let Some(parcel) = step.handoff.take() {
                step.run_parcel(&parcel, &interfaces);
                step.handoff.done(parcel);
            }
            step.sink.tick(now);
        }
        post.collect(|_| {});
    }
    let made = ALLOCATIONS.get() - before;
    let mut counts = WorkerCounts::default();
    steps.iter().for_each(|s| counts += s.tallies.total());
    assert_eq!(counts.received.packets, frames.len() as u64);
    assert!(
        counts.stored.packets > 10_000 && counts.cut.packets > 1_000 && counts.handed_over.packets > 10_000,
        "{counts:?}"
    );
    assert_eq!(made, 0, "allocations by {} packets", frames.len() - 60 * BATCH_PACKETS);
    steps.iter_mut().for_each(|s| s.sink.finish());
    store.close();
}
