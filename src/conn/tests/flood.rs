//! Floods: a source's limit, the crowd's, what they leave untouched, and what gives places back.

use super::*;

/// From 10.0.0.`source` (or whatever that is) to 192.0.2.`n`, one way or back.
fn flow(source: u32, n: u32, back: bool, flags: u8) -> Parsed {
    let mut key =
        Key4 { addr: [(0x0A00_0000 | source).to_be_bytes(), [192, 0, 2, (n >> 16) as u8]], ..Key4::default() };
    (key.tail.proto, key.tail.port) = (6, [n as u16, 80]);
    let key = Key::V4(key);
    let hash = Hasher::new(3).hash(&key);
    Parsed { key, hash, swapped: back, tcp_flags: flags, tcp_seq: n, ..parsed(0, true, false, 0, 0) }
}

fn flooded(limit: u32, connections: usize) -> Tracker {
    let mut t = tracker(Policy::default(), connections, 0);
    t.limit_floods(Some(limit));
    t
}

fn stored(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Store { mark: Mark::None, .. })
}

#[test]
fn a_flood_stops_at_its_limit_and_touches_nobody_else() {
    let mut t = flooded(1000, 200_000);
    let known = flow(1, 7, false, SYN);
    send(&mut t, &mut NoShunt, START, &known, 60);
    send(&mut t, &mut NoShunt, START, &flow(1, 7, true, SYN | ACK), 60);
    let (mut kept, mut dropped) = (0, 0);
    for n in 1000..101_000 {
        match send(&mut t, &mut NoShunt, START + u64::from(n), &flow(2, n, false, SYN), 60) {
            Verdict::Store { mark: Mark::None, .. } => kept += 1,
            Verdict::Flood => dropped += 1,
            other => panic!("{other:?}"),
        }
        if n % 100 == 0 {
            assert!(stored(send(&mut t, &mut NoShunt, START + u64::from(n), &known, 10)));
        }
    }
    assert_eq!(kept + dropped, 100_000);
    assert!((2400..2700).contains(&kept), "1000 and one in 64 of the others: {kept}");
    let stats = t.stats();
    assert_eq!((stats.live_v4, stats.flood_refused, stats.flooding), (kept + 1, dropped, 1));
    assert_eq!((stats.one_sided, stats.crowded), (kept + 1, 0));
    let source = std::net::Ipv6Addr::from_bits(t.flood_source()).to_canonical();
    assert_eq!(source, std::net::IpAddr::from([10, 0, 0, 2]));
    // A connection is tracked or not, whichever of its packets comes.
    for n in 2000..2100 {
        let first = send(&mut t, &mut NoShunt, START + S, &flow(2, n, false, ACK), 60);
        assert_eq!(first, send(&mut t, &mut NoShunt, START + S, &flow(2, n, false, ACK), 60));
    }
    // Another source is not concerned, nor is a connection of this one that is answered.
    for n in 0..500 {
        assert!(stored(send(&mut t, &mut NoShunt, START + S, &flow(3, n, false, SYN), 60)));
        assert!(stored(send(&mut t, &mut NoShunt, START + S, &flow(2, 200_000 + n, true, SYN | ACK), 60)));
        assert!(stored(send(&mut t, &mut NoShunt, START + S, &flow(2, 200_000 + n, false, ACK), 60)));
    }
    let mut receipts = Vec::new();
    finish(&mut t, START + 2 * S, &mut NoShunt, &mut receipts);
}

#[test]
fn an_answer_gives_the_place_back_and_a_refusal_does_not() {
    for (flags, free) in [(ACK, true), (SYN | ACK, false), (RST | ACK, false)] {
        let mut t = flooded(100, 20_000);
        let mut refused = 0;
        for n in 0..5000 {
            refused += u32::from(send(&mut t, &mut NoShunt, START, &flow(2, n, false, SYN), 60) == Verdict::Flood);
            send(&mut t, &mut NoShunt, START, &flow(2, n, true, flags), 60);
        }
        assert_eq!(refused == 0, free, "{refused} of 5000");
        // What is over gives it back too.
        let mut receipts = sweep_to(&mut t, &mut Kernel::new(0), START, START + 400 * S);
        assert_eq!((t.core.floods.open(), t.stats().one_sided, t.stats().flooding), (0, 0, 0));
        assert!(stored(send(&mut t, &mut NoShunt, START + 400 * S, &flow(2, 9999, false, SYN), 60)));
        finish(&mut t, START + 400 * S, &mut NoShunt, &mut receipts);
    }
}

/// Every packet from another source, as where they are forged.
#[test]
fn a_crowd_leaves_part_of_the_table_to_what_is_answered() {
    let mut t = flooded(1000, 10_000);
    let (mut untracked, mut dropped) = (0, 0);
    for n in 0..60_000 {
        match send(&mut t, &mut NoShunt, START + u64::from(n), &flow(n, 1, false, SYN), 60) {
            Verdict::Store { mark: Mark::Untracked, .. } => untracked += 1,
            Verdict::Flood => dropped += 1,
            verdict => assert!(stored(verdict)),
        }
    }
    let stats = t.stats();
    let share = 10_000 * FLOOD_TABLE_PERCENT as u64 / 100;
    assert_eq!((stats.crowded, stats.flooding, stats.table_full), (1, 0, 0));
    assert!((share..share + 60_000 / FLOOD_SAMPLE + 200).contains(&stats.one_sided), "{stats:?}");
    assert_eq!(untracked, u64::from(UNTRACKED_PER_SECOND));
    assert_eq!(stats.flood_refused, untracked + dropped);
    assert_eq!(stats.live_v4 + untracked + dropped, 60_000);
    // A host that answers brings its connections in.
    for n in 0..500 {
        assert!(stored(send(&mut t, &mut NoShunt, START + S, &flow(100_000 + n, 1, true, SYN | ACK), 60)));
        assert!(stored(send(&mut t, &mut NoShunt, START + S, &flow(100_000 + n, 1, false, ACK), 60)));
    }
    finish(&mut t, START + 2 * S, &mut NoShunt, &mut Vec::new());
}

#[test]
fn without_a_limit_nothing_is_refused_and_a_limit_holds_at_once() {
    let mut t = tracker(Policy::default(), 50_000, 0);
    assert!((0..50_000).all(|n| stored(send(&mut t, &mut NoShunt, START, &flow(2, n, false, SYN), 60))));
    assert_eq!((t.stats().flood_refused, t.stats().flooding, t.stats().crowded), (0, 0, 0));
    t.limit_floods(Some(1000));
    assert_eq!((t.stats().flooding, t.stats().crowded), (1, 1));
    let mut refused = |n| send(&mut t, &mut NoShunt, START, &flow(2, n, false, SYN), 60) == Verdict::Flood;
    assert!((50_000..51_000).filter(|n| refused(*n)).count() > 900);
    t.limit_floods(None);
    assert_eq!((t.stats().flooding, t.stats().crowded), (0, 0));
    finish(&mut t, START + S, &mut NoShunt, &mut Vec::new());
}

proptest! {
    /// Whatever comes: those that are counted are those that are there and have no answer, and all are given back.
    #[test]
    fn what_is_open_is_counted(
        packets in prop::collection::vec((0u32..4, 0u32..12, any::<bool>(), 0usize..5, 0u64..90), 0..300),
        limit in prop::option::of(1u32..8),
    ) {
        let mut t = tracker(Policy { cutoff_bytes: Some(200), ..Policy::default() }, 64, 8);
        t.limit_floods(limit);
        let (mut kernel, mut receipts, mut now) = (Kernel::new(8), Vec::new(), START);
        for (source, n, back, flags, pause) in packets {
            now += pause * S;
            kernel.now = now;
            let flags = [SYN, ACK, SYN | ACK, RST, FIN | ACK][flags];
            let verdict = send(&mut t, &mut kernel, now, &flow(source, n, back, flags), 60);
            prop_assert!(limit.is_some() || verdict != Verdict::Flood);
            t.sweep(now, 4096, &mut kernel);
            drain(&mut t, &mut receipts);
            let stats = t.stats();
            prop_assert!(stats.one_sided <= stats.live_v4);
            prop_assert_eq!(t.core.floods.open(), stats.one_sided);
            let unanswered = t.v4.count(|e| e.has(super::super::entry::ONE_SIDED));
            prop_assert_eq!(unanswered, stats.one_sided);
        }
        // As at the end of a recording: the program is gone before its counts are taken.
        kernel.stopped = true;
        finish(&mut t, now + S, &mut kernel, &mut receipts);
    }
}
