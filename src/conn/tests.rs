//! The tracker as the worker drives it, with a shunt that behaves as the kernel's.

use super::receipt::{End, Receipt};
use super::shunt::{NoShunt, RETIRE_NS, Shunt, ShuntCounts, ShuntSlot};
use super::verdict::{Mark, Verdict};
use super::*;
use crate::class::{Class, ClassSet, Policy};
use crate::limits::*;
use crate::packet::key::{Key, Key4, Key6};
use crate::packet::{Fragment, Hasher, Parsed};
use crate::source::Packet;
use proptest::prelude::*;
use std::collections::HashMap;

const S: u64 = 1_000_000_000;
/// Some time in 2026, at a full hour.
const START: u64 = 495_000 * HOUR_NS;
const SYN: u8 = 2;
const FIN: u8 = 1;
const RST: u8 = 4;
const ACK: u8 = 16;

/// `struct rt_shunt_slot`, and how user space has treated it.
#[derive(Clone, Debug, Default)]
struct Slot {
    counts: ShuntCounts,
    passing_since: Option<u64>,
}

/// The kernel's shunt: counts and drops, and goes on doing so for a moment in programs that read a slot before it passed.
#[derive(Debug, Default)]
struct Kernel {
    now: u64,
    slots: Vec<Option<Slot>>,
    map: HashMap<Key, u32>,
    stopped: bool,
}

impl Kernel {
    fn new(slots: usize) -> Kernel {
        Kernel { slots: vec![None; slots], ..Kernel::default() }
    }

    /// What the program does with a packet; `late`: it looked the slot up before it passed. True: dropped.
    fn packet(&mut self, p: &Parsed, time: u64, bytes: u32, late: bool) -> bool {
        if p.tcp_flags & (SYN | FIN | RST) != 0 || p.key.tail().kind() == crate::packet::key::Kind::Fragment {
            return false;
        }
        let Some(slot) = self.map.get(&p.key).and_then(|&i| self.slots[i as usize].as_mut()) else { return false };
        let drops = slot.passing_since.is_none_or(|since| late && self.now < since + RETIRE_NS);
        if drops {
            slot.counts.packets += 1;
            slot.counts.bytes += u64::from(bytes);
            slot.counts.last = slot.counts.last.max(time);
        }
        drops
    }

    fn slot(&self, slot: ShuntSlot) -> &Slot {
        self.slots[slot.0 as usize].as_ref().expect("a slot that is in use")
    }
}

impl Shunt for Kernel {
    fn insert(&mut self, key: &Key) -> Option<ShuntSlot> {
        if self.map.contains_key(key) {
            return None;
        }
        let free = self.slots.iter().position(Option::is_none)?;
        self.slots[free] = Some(Slot::default());
        self.map.insert(*key, free as u32);
        Some(ShuntSlot(free as u32))
    }
    fn counts(&self, slot: ShuntSlot) -> ShuntCounts {
        self.slot(slot).counts
    }
    fn pass(&mut self, slot: ShuntSlot) {
        let now = self.now;
        let slot = self.slots[slot.0 as usize].as_mut().expect("a slot that is in use");
        assert!(slot.passing_since.replace(now).is_none(), "passes once");
    }
    fn remove(&mut self, key: &Key, slot: ShuntSlot) -> ShuntCounts {
        let since = self.slot(slot).passing_since.expect("passes before it is removed");
        assert!(self.stopped || self.now >= since + RETIRE_NS, "removed {} ns after it passed", self.now - since);
        assert_eq!(self.map.remove(key), Some(slot.0), "the slot is the key's");
        self.slots[slot.0 as usize].take().map(|s| s.counts).unwrap_or_default()
    }
    fn capacity(&self) -> usize {
        self.slots.len()
    }
}

fn parsed(n: u8, tcp: bool, from_one: bool, flags: u8, seq: u32) -> Parsed {
    let proto = if tcp { 6 } else { 17 };
    let key = if n.is_multiple_of(2) {
        let mut key = Key4 { addr: [[10, 0, 0, n], [10, 0, 1, n]], ..Key4::default() };
        key.tail.proto = proto;
        Key::V4(key)
    } else {
        let mut key = Key6 { addr: [[n; 16], [0xFE; 16]], ..Key6::default() };
        key.tail.proto = proto;
        Key::V6(key)
    };
    let (tcp_flags, tcp_seq) = if tcp { (flags, seq) } else { (0, 0) };
    let hash = Hasher::new(3).hash(&key);
    Parsed { key, hash, swapped: from_one, tcp_flags, tcp_seq, fragment: Fragment::None, l3: 14 }
}

fn packet(time: u64, wire_len: u32) -> Packet<'static> {
    Packet { time, wire_len, iface: 0, hash: None, data: &[] }
}

fn tracker(policy: Policy, connections: usize, shunt_slots: usize) -> Tracker {
    let plan = TrackerPlan { connections_v4: connections, connections_v6: connections, shunt_slots };
    Tracker::new(&plan, ClassSet::only(policy), [5; 16]).unwrap()
}

fn drain(tracker: &mut Tracker, into: &mut Vec<Receipt>) {
    into.extend(std::iter::from_fn(|| tracker.next_receipt()));
}

fn finish(tracker: &mut Tracker, now: u64, shunt: &mut impl Shunt, into: &mut Vec<Receipt>) {
    while !tracker.finish(now, shunt) {
        drain(tracker, into);
    }
    drain(tracker, into);
    let stats = tracker.stats();
    assert_eq!((stats.live_v4 + stats.live_v6, stats.shunt_live, stats.shunt_retiring), (0, 0, 0));
    assert_eq!(stats.begun, stats.ended);
    assert_eq!(stats.receipts_lost, 0);
}

fn small_policy() -> Policy {
    Policy { cutoff_bytes: Some(300), renew_other_ns: Some(40 * S), ..Policy::default() }
}

/// A packet of a random load: which connection, what kind, and how long after the one before.
#[derive(Clone, Copy, Debug)]
struct Step {
    n: u8,
    tcp: bool,
    from_one: bool,
    flags: u8,
    seq: u32,
    len: u32,
    gap: u64,
    late: bool,
}

fn step(gap: impl Strategy<Value = u64>) -> impl Strategy<Value = Step> {
    let flags = prop_oneof![
        12 => Just(ACK),
        1 => Just(SYN),
        1 => Just(RST),
        2 => Just(FIN | ACK),
        1 => Just(SYN | ACK),
    ];
    (0..6u8, any::<bool>(), any::<bool>(), flags, 0..3u32, 0..600u32, gap, any::<bool>()).prop_map(
        |(n, tcp, from_one, flags, seq, len, gap, late)| Step { n, tcp, from_one, flags, seq, len, gap, late },
    )
}

/// Totals of a load by connection name.
type Totals = HashMap<Key, (u64, u64)>;

fn totals(receipts: &[Receipt], of: impl Fn(&Receipt) -> (u64, u64)) -> Totals {
    let mut sums = Totals::new();
    for r in receipts.iter().filter(|r| r.end != End::Lasting) {
        let (packets, bytes) = of(r);
        if packets > 0 {
            let sum = sums.entry(r.key).or_default();
            (sum.0, sum.1) = (sum.0 + packets, sum.1 + bytes);
        }
    }
    sums
}

/// Plays a load; the sweep comes by every `sweep` ns of its time. Returns offered, stored, and the receipts.
fn play(steps: &[Step], tracker: &mut Tracker, kernel: &mut Kernel, sweep: u64) -> (Totals, Totals, Vec<Receipt>) {
    let (mut offered, mut stored) = (Totals::new(), Totals::new());
    let (mut receipts, mut time, mut swept) = (Vec::new(), START, START);
    for s in steps {
        time += s.gap;
        while swept + sweep <= time {
            swept += sweep;
            kernel.now = swept;
            tracker.sweep(swept, 4096, kernel);
            drain(tracker, &mut receipts);
        }
        kernel.now = time;
        let p = parsed(s.n, s.tcp, s.from_one, s.flags, s.seq);
        let count = |sums: &mut Totals| {
            let sum = sums.entry(p.key).or_default();
            (sum.0, sum.1) = (sum.0 + 1, sum.1 + u64::from(s.len));
        };
        count(&mut offered);
        if !kernel.packet(&p, time, s.len, s.late) {
            tracker.prefetch(&p);
            if let Verdict::Store { .. } = tracker.judge(&p, &packet(time, s.len), 1, kernel) {
                count(&mut stored);
            }
        }
    }
    kernel.stopped = true;
    finish(tracker, time, kernel, &mut receipts);
    (offered, stored, receipts)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever retires, renews, ends, fills up or comes late: every packet is in exactly one final receipt.
    #[test]
    fn no_count_is_lost(
        steps in prop::collection::vec(step(prop_oneof![8 => 0..S, 2 => 0..5 * S, 1 => 0..400 * S]), 1..400),
        slots in 0usize..6,
        sweep in prop_oneof![Just(S / 10), Just(S), Just(3 * S)],
    ) {
        let (mut tracker, mut kernel) = (tracker(small_policy(), 64, slots), Kernel::new(slots));
        let (offered, stored, receipts) = play(&steps, &mut tracker, &mut kernel, sweep);
        prop_assert_eq!(totals(&receipts, |r| (r.seen_packets, r.seen_bytes)), offered);
        prop_assert_eq!(totals(&receipts, |r| (r.stored_packets, r.stored_bytes)), stored);
        prop_assert!(kernel.map.is_empty() && kernel.slots.iter().all(Option::is_none));
    }

    /// Where the sweep had the time to come by, the same packets are stored as without a shunt, and the same connections are there.
    #[test]
    fn the_shunt_changes_no_result(
        steps in prop::collection::vec(step(prop_oneof![6 => 10 * S..12 * S, 1 => 20 * S..400 * S]), 1..120),
        slots in 1usize..8,
    ) {
        let policy = small_policy();
        let steps: Vec<_> = steps.into_iter().map(|s| Step { late: false, ..s }).collect();
        let (mut with, mut kernel) = (tracker(policy.clone(), 64, slots), Kernel::new(slots));
        let (mut without, mut none) = (tracker(policy, 64, 0), Kernel::new(0));
        let (_, stored, mut receipts) = play(&steps, &mut with, &mut kernel, S);
        let (_, expected, mut others) = play(&steps, &mut without, &mut none, S);
        prop_assert_eq!(stored, expected);
        let name = |r: &Receipt| (r.key, r.first);
        for list in [&mut receipts, &mut others] {
            list.retain(|r| r.end != End::Lasting);
            list.sort_by_key(name);
        }
        prop_assert_eq!(receipts, others);
    }

    /// Any times, any lengths, a table that is too small: nothing panics, and what is tracked is in the receipts.
    #[test]
    fn odd_input_is_counted(
        steps in prop::collection::vec((any::<u64>(), any::<u32>(), any::<(u8, u8, bool, bool, u32)>(), any::<Option<u64>>()), 0..300),
        connections in 0usize..12,
    ) {
        let (mut tracker, mut kernel) = (tracker(small_policy(), connections, 3), Kernel::new(3));
        let (mut tracked, mut receipts) = (0, Vec::new());
        for (time, len, (n, flags, tcp, from_one, seq), sweep) in steps {
            let mut p = parsed(n, tcp, from_one, flags, seq);
            p.fragment = match seq % 5 {
                0 => Fragment::First(seq),
                1 => Fragment::Later(seq - 1),
                _ => Fragment::None,
            };
            tracker.resolve_fragment(&mut p, time);
            let before = tracker.stats().table_full;
            // A kernel that is asked long after lets the packet up: the sum is what counts here.
            kernel.now = u64::MAX;
            if !kernel.packet(&p, time, len, false) {
                tracker.judge(&p, &packet(time, len), 1, &mut kernel);
            }
            tracked += 1 - (tracker.stats().table_full - before);
            if let Some(now) = sweep {
                kernel.stopped = true;
                tracker.sweep(now, 64, &mut kernel);
            }
            drain(&mut tracker, &mut receipts);
        }
        kernel.stopped = true;
        finish(&mut tracker, u64::MAX, &mut kernel, &mut receipts);
        let seen: u64 = receipts.iter().filter(|r| r.end != End::Lasting).map(|r| r.seen_packets).sum();
        prop_assert_eq!(seen, tracked);
    }
}

/// Sends one packet straight to the tracker.
fn send(t: &mut Tracker, shunt: &mut impl Shunt, time: u64, p: &Parsed, len: u32) -> Verdict {
    t.judge(p, &packet(time, len), 1, shunt)
}

fn sweep_to(t: &mut Tracker, kernel: &mut Kernel, from: u64, to: u64) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for now in (from..=to).step_by(S as usize) {
        kernel.now = now;
        t.sweep(now, 4096, kernel);
        drain(t, &mut receipts);
    }
    receipts
}

#[test]
fn an_elephant_is_shunted_and_its_receipt_tells_all() {
    let (mut t, mut k) = (tracker(Policy { cutoff_bytes: Some(1000), ..Policy::default() }, 8, 4), Kernel::new(4));
    let p = parsed(2, true, false, ACK, 0);
    assert_eq!(send(&mut t, &mut k, START, &p, 1500), Verdict::Store { class: 0, mark: Mark::CutHere });
    assert!(k.map.is_empty(), "the crossing may be its last packet");
    assert_eq!(send(&mut t, &mut k, START, &p, 1500), Verdict::Cut { class: 0 });
    assert_eq!(k.map.len(), 1);
    for i in 0..100 {
        assert!(k.packet(&p, START + i, 1500, false));
    }
    let rst = parsed(2, true, true, RST, 0);
    assert_eq!(send(&mut t, &mut k, START + S, &rst, 60), Verdict::Store { class: 0, mark: Mark::None });
    assert!(!k.packet(&p, START + S, 1500, false), "its end lets it pass at once");
    assert_eq!(send(&mut t, &mut k, START + S, &p, 1500), Verdict::Cut { class: 0 }, "in the linger packets count on");
    let receipts = sweep_to(&mut t, &mut k, START + S, START + 45 * S);
    let [r] = receipts[..] else { panic!("{receipts:?}") };
    assert_eq!((r.seen_packets, r.seen_bytes), (104, 103 * 1500 + 60));
    assert_eq!((r.stored_packets, r.stored_bytes), (2, 1560));
    assert_eq!((r.end, r.cut, r.first, r.last, r.originator), (End::Reset, true, START, START + S, 0));
    assert!(k.map.is_empty());
}

#[test]
fn a_shunted_connection_is_idle_only_when_its_last_hit_is_that_old() {
    let (mut t, mut k) =
        (tracker(Policy { cutoff_bytes: Some(10), renew_other_ns: None, ..Policy::default() }, 8, 4), Kernel::new(4));
    let p = parsed(2, false, false, 0, 0);
    for _ in 0..2 {
        send(&mut t, &mut k, START, &p, 60);
    }
    assert!(sweep_to(&mut t, &mut k, START, START + 170 * S).is_empty());
    assert!(k.packet(&p, START + 170 * S, 60, false));
    assert!(sweep_to(&mut t, &mut k, START + 171 * S, START + 345 * S).is_empty());
    let receipts = sweep_to(&mut t, &mut k, START + 346 * S, START + 370 * S);
    assert_eq!(
        receipts.iter().map(|r| (r.end, r.seen_packets, r.last)).collect::<Vec<_>>(),
        [(End::Idle, 3, START + 170 * S)]
    );
    assert_eq!(t.stats().live_v4, 0);
}

#[test]
fn a_shunted_connection_is_renewed() {
    let (mut t, mut k) = (tracker(Policy { cutoff_bytes: Some(10), ..Policy::default() }, 8, 4), Kernel::new(4));
    let p = parsed(2, false, false, 0, 0);
    for _ in 0..2 {
        send(&mut t, &mut k, START, &p, 60);
    }
    let mut up = Vec::new();
    for second in (1..1300).step_by(2) {
        let time = START + second * S;
        sweep_to(&mut t, &mut k, time, time);
        if !k.packet(&p, time, 60, false) {
            let v = send(&mut t, &mut k, time, &p, 60);
            if matches!(v, Verdict::Store { .. }) {
                up.push(second);
            }
        }
    }
    assert_eq!(up.len(), 2, "once in ten minutes: {up:?}");
    assert!((600..606).contains(&up[0]) && (1200..1212).contains(&up[1]), "{up:?}");
    let mut receipts = Vec::new();
    k.stopped = true;
    finish(&mut t, START + 1300 * S, &mut k, &mut receipts);
    assert_eq!(receipts.iter().map(|r| (r.seen_packets, r.stored_packets)).collect::<Vec<_>>(), [(652, 3)]);
}

#[test]
fn when_the_shunt_is_full_the_coldest_goes() {
    let (mut t, mut k) = (tracker(Policy { cutoff_bytes: Some(10), ..Policy::default() }, 8, 2), Kernel::new(2));
    let flows = [2, 4, 6].map(|n| parsed(n, false, false, 0, 0));
    for second in 0..20 {
        for (i, p) in flows.iter().enumerate() {
            // The first falls silent after a second.
            let time = START + second * S + i as u64;
            if (i > 0 || second < 2) && !k.packet(p, time, 60, false) {
                send(&mut t, &mut k, time, p, 60);
            }
        }
        sweep_to(&mut t, &mut k, START + second * S + 10, START + second * S + 10);
    }
    let stats = t.stats();
    assert!(!k.map.contains_key(&flows[0].key) && k.map.contains_key(&flows[2].key), "{stats:?}");
    assert_eq!((stats.shunt_evicted, stats.shunt_live), (1, 2));
}

#[test]
fn a_full_table_evicts_nobody_and_caps_what_it_cannot_track() {
    let mut t = tracker(Policy { cutoff_bytes: Some(100), ..Policy::default() }, 1000, 0);
    let flow = |n: u32| {
        let mut key = Key4 { addr: [n.to_be_bytes(), [1; 4]], ..Key4::default() };
        key.tail.proto = 17;
        let key = Key::V4(key);
        Parsed { key, hash: Hasher::new(3).hash(&key), ..parsed(0, false, false, 0, 0) }
    };
    for n in 0..1000 {
        assert_eq!(send(&mut t, &mut NoShunt, START, &flow(n), 60), Verdict::Store { class: 0, mark: Mark::None });
    }
    for n in 0..2 * UNTRACKED_PER_SECOND {
        let expected = match n < UNTRACKED_PER_SECOND {
            true => Verdict::Store { class: 0, mark: Mark::Untracked },
            false => Verdict::Flood,
        };
        assert_eq!(send(&mut t, &mut NoShunt, START + 1, &flow(n + 1000), 60), expected);
    }
    assert!(matches!(
        send(&mut t, &mut NoShunt, START + S, &flow(5000), 60),
        Verdict::Store { mark: Mark::Untracked, .. }
    ));
    for n in 0..1000 {
        assert_eq!(
            send(&mut t, &mut NoShunt, START + S, &flow(n), 60),
            Verdict::Store { class: 0, mark: Mark::CutHere },
            "{n}"
        );
    }
    assert_eq!((t.stats().ended, t.stats().untracked), (0, u64::from(UNTRACKED_PER_SECOND) + 1));
    // What has ended makes room without waiting for the sweep.
    let later = START + 400 * S;
    assert_eq!(send(&mut t, &mut NoShunt, later, &flow(9000), 60), Verdict::Store { class: 0, mark: Mark::None });
    assert!(t.stats().made_room > 0);
}

#[test]
fn the_sweep_decides_nothing() {
    // A packet from the far future in the middle must not end what goes on beside it.
    let mut t = tracker(Policy::default(), 64, 0);
    let (a, b) = (parsed(2, false, false, 0, 0), parsed(4, false, false, 0, 0));
    for i in 0..1000 {
        let time = START + i * S;
        send(&mut t, &mut NoShunt, time, &a, 60);
        if i == 500 {
            send(&mut t, &mut NoShunt, START + 10_000_000 * S, &b, 60);
        }
        t.sweep(if i == 500 { START + 10_000_000 * S } else { time }, 4096, &mut NoShunt);
    }
    assert_eq!(t.stats().begun, 2);
}

#[test]
fn lasting_connections_have_a_receipt_each_hour() {
    let mut t = tracker(Policy::default(), 64, 0);
    let p = parsed(2, false, false, 0, 0);
    let mut receipts = Vec::new();
    for minute in 0..200 {
        let time = START + minute * 60 * S + 1;
        send(&mut t, &mut NoShunt, time, &p, 60);
        for _ in 0..4 {
            t.sweep(time, 4096, &mut NoShunt);
        }
        drain(&mut t, &mut receipts);
    }
    assert_eq!(receipts.iter().map(|r| (r.end, r.first)).collect::<Vec<_>>(), [(End::Lasting, START + 1); 3]);
    assert!(receipts.is_sorted_by(|a, b| a.seen_packets + 55 < b.seen_packets), "{receipts:?}");
}

#[test]
fn receipts_wait_in_bounds() {
    let n = RECEIPTS_WAITING as u32 + 100;
    let mut t = tracker(Policy::default(), n as usize, 0);
    let flow = |n: u32| Parsed {
        hash: u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        ..{
            let mut p = parsed(0, false, false, 0, 0);
            if let Key::V4(k) = &mut p.key {
                k.addr[0] = n.to_be_bytes();
            }
            p
        }
    };
    for i in 0..n {
        send(&mut t, &mut NoShunt, START, &flow(i), 60);
    }
    for i in 0..100 {
        t.sweep(START + 300 * S + i * S, 1 << 20, &mut NoShunt);
    }
    assert!(t.stats().live_v4 >= 100, "the table waits for its receipts to be fetched");
    let mut receipts = Vec::new();
    for i in 0..100 {
        drain(&mut t, &mut receipts);
        t.sweep(START + 500 * S + i * S, 1 << 20, &mut NoShunt);
    }
    assert_eq!((receipts.len(), t.stats().live_v4, t.stats().receipts_lost), (n as usize, 0, 0));
}

#[test]
fn what_the_store_could_not_take_is_not_called_stored() {
    let mut t = tracker(Policy::default(), 8, 0);
    let p = parsed(2, false, false, 0, 0);
    send(&mut t, &mut NoShunt, START, &p, 60);
    send(&mut t, &mut NoShunt, START, &p, 70);
    t.not_stored(&p, 70);
    let mut receipts = Vec::new();
    finish(&mut t, START, &mut NoShunt, &mut receipts);
    assert_eq!(
        receipts.iter().map(|r| (r.seen_bytes, r.stored_bytes, r.stored_packets)).collect::<Vec<_>>(),
        [(130, 60, 1)]
    );
}

#[test]
fn classes_decide_at_the_first_packet() {
    let class =
        |name: &str, filter: &str, policy| Class { name: name.into(), filter: filter.into(), precedence: 1, policy };
    let silent = Policy { record: false, ..Policy::default() };
    let classes = vec![class("all", "", Policy::default()), class("big", "greater 1000", silent)];
    let plan = TrackerPlan { connections_v4: 8, connections_v6: 8, shunt_slots: 2 };
    let mut t = Tracker::new(&plan, ClassSet::new(classes).unwrap(), [5; 16]).unwrap();
    let mut k = Kernel::new(2);
    let (big, small) = (parsed(2, true, false, SYN, 1), parsed(4, true, false, SYN, 1));
    assert_eq!(send(&mut t, &mut k, START, &big, 1500), Verdict::Discard { class: 1 });
    assert_eq!(send(&mut t, &mut k, START, &big, 60), Verdict::Discard { class: 1 }, "whatever comes later");
    assert_eq!(send(&mut t, &mut k, START, &small, 60), Verdict::Store { class: 0, mark: Mark::None });
    assert_eq!(send(&mut t, &mut k, START, &small, 1500), Verdict::Store { class: 0, mark: Mark::None });
    assert!(k.map.contains_key(&big.key), "what is never stored is left to the kernel");
    let mut receipts = Vec::new();
    k.stopped = true;
    finish(&mut t, START, &mut k, &mut receipts);
    let of_big = receipts.iter().find(|r| r.key == big.key).unwrap();
    assert_eq!((of_big.class, of_big.seen_packets, of_big.stored_packets, of_big.cut), (1, 2, 0, false));
}

#[test]
fn limits_that_no_entry_can_hold_are_refused() {
    let plan = TrackerPlan { connections_v4: 8, connections_v6: 8, shunt_slots: 0 };
    let huge = Policy { cutoff_bytes: Some(1 << 50), ..Policy::default() };
    let e = Tracker::new(&plan, ClassSet::only(huge), [0; 16]).unwrap_err();
    assert!(e.to_string().contains("\"all\"") && e.to_string().contains("no cutoff"), "{e}");
    let plan = TrackerPlan { connections_v4: CONNECTIONS_MAX + 1, ..plan };
    assert!(matches!(
        Tracker::new(&plan, ClassSet::only(Policy::default()), [0; 16]),
        Err(TrackerError::Connections(_))
    ));
}

#[test]
fn memory_a_connection_is_within_the_promise() {
    for connections in [10_000, 100_000, 1_000_000] {
        let v4 = TrackerPlan { connections_v4: connections, connections_v6: 0, shunt_slots: 0 }.memory();
        let v6 = TrackerPlan { connections_v4: 0, connections_v6: connections, shunt_slots: 0 }.memory();
        let each = |m: TrackerMemory, n: usize| (m.connections_v4 + m.connections_v6 + m.fragments) as f64 / n as f64;
        assert!(each(v4, connections) <= 96.0, "{} B", each(v4, connections));
        assert!(each(v6, connections) <= 128.0, "{} B", each(v6, connections));
    }
}
