//! The life of a shunted connection: receipt, idle timeout, renewal, eviction.

use super::*;

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
