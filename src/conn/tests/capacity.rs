//! Bounds and what surrounds them: full tables, the sweep, receipts that wait, classes, limits, memory.

use super::*;

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
