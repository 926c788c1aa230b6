//! Random loads: no count is lost, the shunt changes no result, odd input is counted.

use super::*;

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
        sample in prop_oneof![Just(0), 2u32..5],
    ) {
        let policy = Policy { sample, ..small_policy() };
        let (mut tracker, mut kernel) = (tracker(policy, 64, slots), Kernel::new(slots));
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
