//! Orders for running connections: the recount, the walk, assignments, suspensions; with the kernel's shunt and without.

use super::*;
use crate::conn::orders::{AddressOrder, ConnOrder, Plain, Prefix, Role};
use std::net::IpAddr;

/// `all` with this cutoff, `whole` without one, `none` that records nothing.
fn classes(cutoff: Option<u64>, packets: Option<u64>) -> ClassSet {
    let class = |name: &str, policy| Class { name: name.into(), filter: "less 0".into(), precedence: 0, policy };
    ClassSet::new(vec![
        class("all", Policy { cutoff_bytes: cutoff, cutoff_packets: packets, ..Policy::default() }),
        class("whole", Policy { cutoff_bytes: None, ..Policy::default() }),
        class("none", Policy { record: false, ..Policy::default() }),
    ])
    .unwrap()
}

fn steered(cutoff: u64, connections: usize, shunt_slots: usize) -> Tracker {
    let plan = TrackerPlan { connections_v4: connections, connections_v6: connections, shunt_slots };
    Tracker::new(&plan, classes(Some(cutoff), None), [5; 16]).unwrap()
}

/// The worker's rounds until all is as ordered; returns the time.
fn settle(t: &mut Tracker, k: &mut Kernel, now: u64) -> u64 {
    let mut time = now;
    while t.walking() {
        t.walk(time, time, k);
        t.sweep(time, 4096, k);
        time += S / 100;
        k.now = time;
        assert!(time < now + 10 * S, "the walk comes to its end");
    }
    time
}

fn adopt(t: &mut Tracker, cutoff: Option<u64>, packets: Option<u64>, now: u64) {
    t.adopt(&mut classes(cutoff, packets), 0, now);
}

fn host(n: u8) -> Prefix {
    Prefix::host(IpAddr::from(if n.is_multiple_of(2) { [10, 0, 0, n] } else { unreachable!("IPv4 has even numbers") }))
}

fn assign(class: u8) -> AddressOrder {
    AddressOrder { class: Some(class), ..AddressOrder::default() }
}

const STORE: Verdict = Verdict::Store { class: 0, mark: Mark::None };
const LAST: Verdict = Verdict::Store { class: 0, mark: Mark::CutHere };
const CUT: Verdict = Verdict::Cut { class: 0 };

/// A connection that is in the shunt, with 5 packets of 100 bytes of which the kernel has counted 2. IPv4, cutoff 200.
fn elephant(t: &mut Tracker, k: &mut Kernel) -> Parsed {
    let p = parsed(2, true, false, ACK, 0);
    assert_eq!([(); 3].map(|()| send(t, k, START, &p, 100)), [STORE, LAST, CUT]);
    assert!(k.packet(&p, START, 100, false) && k.packet(&p, START, 100, false));
    p
}

#[test]
fn a_raised_cutoff_reopens_what_the_kernel_cuts_for_as_much_as_is_left() {
    let (mut t, mut k) = (steered(200, 8, 4), Kernel::new(4));
    let p = elephant(&mut t, &mut k);
    adopt(&mut t, Some(700), None, START);
    let now = settle(&mut t, &mut k, START);
    assert!(!k.packet(&p, now, 100, false), "its packets come up");
    // 5 of 700 bytes' packets were seen.
    assert_eq!([(); 3].map(|()| send(&mut t, &mut k, now, &p, 100)), [STORE, LAST, CUT]);
    let mut receipts = Vec::new();
    k.stopped = true;
    finish(&mut t, now, &mut k, &mut receipts);
    assert_eq!((receipts[0].seen_packets, receipts[0].stored_packets, receipts[0].cut), (8, 4, true));
}

#[test]
fn a_cutoff_that_is_still_reached_leaves_it_to_the_kernel() {
    let (mut t, mut k) = (steered(200, 8, 4), Kernel::new(4));
    let p = elephant(&mut t, &mut k);
    adopt(&mut t, Some(500), None, START);
    let now = settle(&mut t, &mut k, START);
    assert!(k.packet(&p, now, 100, false));
    assert_eq!(t.stats().shunt_live, 1);
}

#[test]
fn a_lowered_cutoff_cuts_the_next_packet() {
    let (mut t, mut k) = (steered(10_000, 8, 4), Kernel::new(4));
    let p = parsed(2, true, false, ACK, 0);
    assert_eq!(send(&mut t, &mut k, START, &p, 600), STORE);
    adopt(&mut t, Some(700), None, START);
    let now = settle(&mut t, &mut k, START);
    assert_eq!([(); 2].map(|()| send(&mut t, &mut k, now, &p, 600)), [LAST, CUT]);
    adopt(&mut t, None, Some(2), now);
    let now = settle(&mut t, &mut k, now + S);
    assert_eq!(send(&mut t, &mut k, now, &p, 600), CUT, "three packets were seen");
}

#[test]
fn a_suspended_cutoff_holds_at_once_and_its_end_restores_the_definition() {
    let (mut t, mut k) = (steered(200, 8, 4), Kernel::new(4));
    let p = elephant(&mut t, &mut k);
    let name = Plain::of(&p.key).unwrap();
    let order = ConnOrder { suspend_cutoff: true, suspend_timeout: false };
    assert!(t.order_conn(name, order, p.hash, START, &mut k));
    assert!(!k.packet(&p, START, 100, false), "before any walk");
    assert_eq!([(); 3].map(|()| send(&mut t, &mut k, START, &p, 9000)), [STORE; 3]);
    let now = settle(&mut t, &mut k, START);
    assert_eq!(send(&mut t, &mut k, now, &p, 9000), STORE);
    assert!(t.order_conn(name, ConnOrder::default(), p.hash, now, &mut k));
    let now = settle(&mut t, &mut k, now);
    assert_eq!(send(&mut t, &mut k, now, &p, 100), CUT);
    assert!(k.packet(&p, now, 100, false), "and the kernel has it again");
}

#[test]
fn a_suspension_waits_for_its_connection_whatever_its_vlan_and_tunnel() {
    let (mut t, mut k) = (steered(200, 8, 4), Kernel::new(4));
    let p = parsed(2, true, false, ACK, 0);
    let order = ConnOrder { suspend_cutoff: true, suspend_timeout: false };
    assert!(t.order_conn(Plain::of(&p.key).unwrap(), order, p.hash, START, &mut k));
    let Key::V4(mut key) = p.key else { unreachable!() };
    (key.tail.vlan, key.tail.net, key.tail.kind) = ([0x8005, 0], 77, 1 << 4);
    let key = Key::V4(key);
    let tagged = Parsed { key, hash: Hasher::new(3).hash(&key), ..p };
    assert_eq!([(); 3].map(|()| send(&mut t, &mut k, START, &tagged, 500)), [STORE; 3]);
    let other = parsed(4, true, false, ACK, 0);
    assert_eq!([(); 2].map(|()| send(&mut t, &mut k, START, &other, 500)), [LAST, CUT]);
    // One that runs in a VLAN is met by the walk.
    assert!(t.order_conn(Plain::of(&p.key).unwrap(), ConnOrder::default(), p.hash, START, &mut k));
    let now = settle(&mut t, &mut k, START);
    assert_eq!(send(&mut t, &mut k, now, &tagged, 500), CUT);
}

#[test]
fn an_assignment_takes_running_and_new_connections_and_its_end_gives_them_back() {
    let (mut t, mut k) = (steered(200, 8, 4), Kernel::new(4));
    let (p, whole) = (elephant(&mut t, &mut k), Verdict::Store { class: 1, mark: Mark::None });
    assert!(t.order_address(host(2), assign(1)));
    let now = settle(&mut t, &mut k, START);
    assert_eq!(send(&mut t, &mut k, now, &p, 5000), whole);
    let new = Parsed { hash: 9, ..parsed(2, false, true, 0, 0) };
    assert_eq!([(); 2].map(|()| send(&mut t, &mut k, now, &new, 5000)), [whole; 2]);
    assert!(t.order_address(host(2), AddressOrder::default()));
    let now = settle(&mut t, &mut k, now);
    assert_eq!(send(&mut t, &mut k, now, &p, 100), whole, "what the kernel had counted is on its way");
    sweep_to(&mut t, &mut k, now, now + 3 * S);
    assert_eq!(send(&mut t, &mut k, now, &p, 100), CUT, "its next packet gives it its class, and its count says past");
    assert_eq!(send(&mut t, &mut k, now, &new, 100), CUT);
}

#[test]
fn the_longest_prefix_and_then_the_originator_decide() {
    let (mut t, mut k) = (steered(200, 8, 4), Kernel::new(4));
    let net = |n: [u8; 4], len| Prefix::new(IpAddr::from(n), len).unwrap();
    let class = |v: Verdict| match v {
        Verdict::Store { class, .. }
        | Verdict::Cut { class }
        | Verdict::SampledOut { class }
        | Verdict::Discard { class } => class,
        Verdict::Flood => panic!(),
    };
    // 10.0.0.n is endpoint 0, 10.0.1.n endpoint 1.
    let mut of = |t: &mut Tracker, n, from_one| class(send(t, &mut k, START, &parsed(n, true, from_one, SYN, 1), 60));
    assert!(t.order_address(net([10, 0, 0, 0], 8), assign(1)));
    assert!(t.order_address(net([10, 0, 1, 0], 24), assign(2)));
    assert_eq!(of(&mut t, 2, false), 2, "the longer prefix");
    assert!(t.order_address(host(4), assign(1)));
    assert_eq!(of(&mut t, 4, true), 1, "longer still");
    assert!(t.order_address(net([10, 0, 1, 6], 32), assign(2)) && t.order_address(host(6), assign(1)));
    assert_eq!(of(&mut t, 6, true), 2, "as long: the originator's");
    let originator = AddressOrder { role: Role::Originator, ..assign(2) };
    assert!(t.order_address(host(8), originator) && t.order_address(net([10, 0, 1, 0], 24), AddressOrder::default()));
    assert_eq!(of(&mut t, 8, true), 1, "it is the responder here");
    assert_eq!(of(&mut t, 7, true), 0, "IPv6 has other addresses");
}

#[test]
fn a_suspended_timeout_keeps_a_silent_connection() {
    let (mut t, mut k) = (steered(200, 8, 4), Kernel::new(4));
    let p = parsed(2, true, false, ACK, 0);
    send(&mut t, &mut k, START, &p, 60);
    let order = ConnOrder { suspend_cutoff: false, suspend_timeout: true };
    assert!(t.order_conn(Plain::of(&p.key).unwrap(), order, p.hash, START, &mut k));
    assert!(sweep_to(&mut t, &mut k, START, START + 900 * S).is_empty());
    send(&mut t, &mut k, START + 900 * S, &p, 60);
    assert_eq!(t.stats().begun, 1, "it is the same connection");
    assert!(t.order_conn(Plain::of(&p.key).unwrap(), ConnOrder::default(), p.hash, START + 900 * S, &mut k));
    assert_eq!(sweep_to(&mut t, &mut k, START + 900 * S, START + 1300 * S).len(), 1);
}

#[test]
fn classes_that_go_leave_their_connections_to_the_next_packet() {
    let (mut t, mut k) = (steered(200, 8, 4), Kernel::new(4));
    assert!(t.order_address(host(2), assign(2)));
    let p = parsed(2, true, false, ACK, 0);
    assert_eq!([(); 2].map(|()| send(&mut t, &mut k, START, &p, 60)), [Verdict::Discard { class: 2 }; 2]);
    assert!(t.order_address(host(2), AddressOrder::default()));
    t.adopt(&mut classes(Some(300), None), 1 << 2, START);
    let now = settle(&mut t, &mut k, START);
    sweep_to(&mut t, &mut k, now, now + 3 * S);
    assert_eq!(send(&mut t, &mut k, now + 3 * S, &p, 60), STORE);
}

#[test]
fn totals_have_what_the_kernel_counts() {
    let (mut t, mut k) = (steered(200, 8, 4), Kernel::new(4));
    let p = elephant(&mut t, &mut k);
    let r = t.totals(&p.key, p.hash, &k).unwrap();
    assert_eq!((r.seen_packets, r.seen_bytes, r.stored_packets, r.end), (5, 500, 2, End::Lasting));
    assert!(t.order_conn(
        Plain::of(&p.key).unwrap(),
        ConnOrder { suspend_cutoff: true, suspend_timeout: false },
        p.hash,
        START,
        &mut k
    ));
    assert_eq!(t.totals(&p.key, p.hash, &k), Some(r), "while its slot is retiring too");
    let other = parsed(4, true, false, ACK, 0);
    assert_eq!(t.totals(&other.key, other.hash, &k), None);
}

/// What happens to a connection of a random load.
#[derive(Clone, Copy, Debug)]
enum Op {
    Packet(u8, u32),
    Cutoff(Option<u16>, Option<u8>),
    Suspend(u8, bool),
    Assign(u8, Option<u8>),
}

fn op() -> impl Strategy<Value = Op> {
    let n = || (0..3u8).prop_map(|n| n * 2);
    prop_oneof![
        12 => (n(), 1..400u32).prop_map(|(n, len)| Op::Packet(n, len)),
        1 => (any::<Option<u16>>(), prop::option::of(0..40u8)).prop_map(|(b, p)| Op::Cutoff(b.map(|b| b % 4000), p)),
        1 => (n(), any::<bool>()).prop_map(|(n, on)| Op::Suspend(n, on)),
        1 => (n(), prop::option::of(0..3u8)).prop_map(|(n, class)| Op::Assign(n, class)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    /// Whatever is ordered, in whatever order: a packet is stored if and only if the bytes (packets) of the connection's earlier ones, the
    /// kernel's included, are below the limit that holds; and no count is lost.
    #[test]
    fn the_recount_is_the_definition(ops in prop::collection::vec(op(), 1..80), slots in 0usize..4) {
        let (mut t, mut k) = (steered(600, 16, slots), Kernel::new(slots));
        let (mut limits, mut suspended, mut class) = ((Some(600), None), [false; 6], [0u8; 6]);
        let (mut seen, mut stored, mut time) = ([(0u64, 0u64); 6], 0u64, START);
        for op in ops {
            time += S / 10;
            k.now = time;
            match op {
                Op::Packet(n, len) => {
                    let (p, i) = (parsed(n, true, false, ACK, 0), usize::from(n));
                    let up = !k.packet(&p, time, len, false);
                    let kept = up && matches!(send(&mut t, &mut k, time, &p, len), Verdict::Store { .. });
                    let below = limits.0.is_none_or(|b: u64| seen[i].1 < b) && limits.1.is_none_or(|n: u64| seen[i].0 < n);
                    let expected = class[i] != 2 && (suspended[i] || class[i] == 1 || below);
                    prop_assert_eq!(kept, expected, "{:?} after {:?} of {:?}", op, seen[i], limits);
                    seen[i] = (seen[i].0 + 1, seen[i].1 + u64::from(len));
                    stored += u64::from(kept);
                }
                Op::Cutoff(bytes, packets) => {
                    limits = (bytes.map(u64::from), packets.map(u64::from));
                    adopt(&mut t, limits.0, limits.1, time);
                    time = settle(&mut t, &mut k, time);
                }
                Op::Suspend(n, on) => {
                    let p = parsed(n, true, false, ACK, 0);
                    let order = ConnOrder { suspend_cutoff: on, suspend_timeout: on };
                    prop_assert!(t.order_conn(Plain::of(&p.key).unwrap(), order, p.hash, time, &mut k));
                    suspended[usize::from(n)] = on;
                    time = settle(&mut t, &mut k, time);
                }
                Op::Assign(n, to) => {
                    prop_assert!(t.order_address(host(n), to.map_or(AddressOrder::default(), assign)));
                    class[usize::from(n)] = to.unwrap_or(0);
                    time = settle(&mut t, &mut k, time);
                    // Where it has to wait for the kernel's counts it is given its class a little later.
                    for second in 0..3 {
                        k.now = time + second * S;
                        t.sweep(k.now, 4096, &mut k);
                    }
                    time += 3 * S;
                }
            }
        }
        let mut receipts = Vec::new();
        k.stopped = true;
        finish(&mut t, time, &mut k, &mut receipts);
        prop_assert_eq!(receipts.iter().map(|r| r.stored_packets).sum::<u64>(), stored);
        prop_assert_eq!(receipts.iter().map(|r| r.seen_bytes).sum::<u64>(), seen.iter().map(|s| s.1).sum::<u64>());
    }
}
