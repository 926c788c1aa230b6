//! The shunt in both kernel programs: what it drops and counts, and how its places are used again.

use crate::net::{Sender, in_namespace, udp, veth};
use crate::{parser, plan, start_on, stop, take};
use retrotap::conn::shunt::Shunt;
use retrotap::iface::Request;
use retrotap::metrics::account::SourceCounts;
use retrotap::source::live::LivePlan;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Shunts one connection of the source's, and follows its counts through retirement.
fn shunts(request: Request, account_of: fn(&SourceCounts) -> u64) {
    veth("s0", "t0", 1, 1500);
    let mut live = start_on(&["t0"], request, &LivePlan { workers: Some(1), ..plan() });
    let (source, mut shunt) = live.workers.pop().unwrap();
    let (mut sources, mut got) = ([source], vec![Vec::new()]);
    let sender = Sender::new("s0");
    let cut = udp(5000, 443, 1, 1000);
    let other = udp(5001, 443, 1, 1000);
    let key = parser().parse(1, &cut).key;
    (0..10).for_each(|_| sender.send(&cut));
    let slot = shunt.insert(&key).unwrap();
    assert_eq!(shunt.insert(&key), None, "an insert never overwrites");
    assert_eq!((shunt.used(), shunt.capacity()), (1, 64));
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    for _ in 0..20 {
        sender.send(&cut);
        sender.send(&other);
    }
    let counts = shunt.counts(slot);
    assert_eq!((counts.packets, counts.bytes), (20, 20 * cut.len() as u64));
    let last = i128::from(counts.last) - i128::from(before);
    // The kernel notes it with a coarse clock, up to a tick (10 ms) behind.
    assert!((-11_000_000..10_000_000_000).contains(&last), "{last} ns after the first was sent");
    shunt.pass(slot);
    (0..5).for_each(|_| sender.send(&cut));
    assert_eq!(shunt.counts(slot), counts, "what passes is not counted");
    assert_eq!(shunt.remove(&key, slot), counts);
    assert_eq!(shunt.used(), 0);
    (0..5).for_each(|_| sender.send(&cut));
    take(&mut sources[0], &mut got[0]);
    let from = stop(&mut live, &mut sources, &mut got);
    assert_eq!(from.shunted.packets, 20);
    assert_eq!(from.shunted.bytes, 20 * cut.len() as u64);
    assert_eq!(got[0].iter().filter(|g| g.data == cut).count(), 20);
    assert_eq!(got[0].iter().filter(|g| g.data == other).count(), 20);
    assert_eq!(account_of(&from), 60);
}

#[test]
fn the_shunt_drops_in_xdp_and_keeps_every_count() {
    in_namespace("live-shunt", || shunts(Request::Xdp, |c| c.seen.packets));
}

#[test]
fn the_shunt_drops_in_the_socket_filter_too() {
    in_namespace("live-filter", || shunts(Request::Packet, |c| c.seen.packets));
}

/// One packet in five of a shunted connection comes up, is told from others, and every packet is in one counter.
fn samples(request: Request) {
    veth("s0", "t0", 1, 1500);
    let mut live = start_on(&["t0"], request, &LivePlan { workers: Some(1), ..plan() });
    let (source, mut shunt) = live.workers.pop().unwrap();
    let (mut sources, mut got) = ([source], vec![Vec::new()]);
    let sender = Sender::new("s0");
    let frame = udp(5000, 443, 1, 1000);
    let key = parser().parse(1, &frame).key;
    let slot = shunt.insert(&key).unwrap();
    assert!(!shunt.drawn(slot));
    shunt.sample(slot, 5);
    (0..103).for_each(|_| sender.send(&frame));
    assert_eq!(shunt.counts(slot).packets, 83);
    assert_eq!((0..30).filter(|_| shunt.drawn(slot)).count(), 20, "as many as went up");
    shunt.sample(slot, 2);
    assert!(!shunt.drawn(slot), "what went up before is not waited for");
    (0..10).for_each(|_| sender.send(&frame));
    assert_eq!((0..30).filter(|_| shunt.drawn(slot)).count(), 5);
    shunt.sample(slot, 0);
    (0..10).for_each(|_| sender.send(&frame));
    shunt.pass(slot);
    assert_eq!(shunt.remove(&key, slot).packets, 83 + 5 + 10);
    std::thread::sleep(Duration::from_millis(20));
    let slot = shunt.insert(&key).unwrap();
    (0..10).for_each(|_| sender.send(&frame));
    assert_eq!(
        (shunt.counts(slot).packets, shunt.drawn(slot)),
        (10, false),
        "a slot that is used anew samples nothing"
    );
    take(&mut sources[0], &mut got[0]);
    let from = stop(&mut live, &mut sources, &mut got);
    assert_eq!((from.shunted.packets, got[0].len()), (83 + 5 + 10 + 10, 25));
}

#[test]
fn a_sample_goes_up_in_xdp() {
    in_namespace("live-sample", || samples(Request::Xdp));
}

#[test]
fn a_sample_goes_up_through_the_socket_filter_too() {
    in_namespace("live-samples", || samples(Request::Packet));
}

#[test]
fn a_full_shunt_says_so_and_reuses_what_is_freed() {
    in_namespace("live-slots", || {
        veth("s0", "t0", 1, 1500);
        let mut live = start_on(&["t0"], Request::Xdp, &plan());
        let (_source, mut shunt) = live.workers.pop().unwrap();
        let key = |n: u16| parser().parse(1, &udp(n, 9, 0, 10)).key;
        let slots: Vec<_> = (0..64).map(|n| shunt.insert(&key(n)).unwrap()).collect();
        assert_eq!(shunt.insert(&key(64)), None);
        shunt.pass(slots[61]);
        shunt.remove(&key(61), slots[61]);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(shunt.insert(&key(64)), Some(slots[61]));
        assert_eq!(shunt.counts(slots[61]).packets, 0);
    });
}
