//! Sampling past the cutoff: one packet in so many is stored, whether the worker cuts or the kernel does.

use super::*;
use crate::class::Class;

const CUTOFF: u64 = 100;

fn sampled(one_in: u32) -> Policy {
    Policy { cutoff_bytes: Some(CUTOFF), sample: one_in, ..Policy::default() }
}

/// Sends `n` packets of 100 bytes, by way of the kernel; how many of them went up, and how many of these were stored.
fn play(t: &mut Tracker, k: &mut Kernel, p: &Parsed, n: u32) -> (u32, u32) {
    let (mut up, mut stored) = (0, 0);
    for _ in 0..n {
        if !k.packet(p, START, 100, false) {
            up += 1;
            match send(t, k, START, p, 100) {
                Verdict::Store { .. } => stored += 1,
                Verdict::SampledOut { class: 0 } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    (up, stored)
}

#[test]
fn the_worker_stores_one_in_so_many_past_the_cutoff() {
    let (mut t, mut k) = (tracker(sampled(4), 8, 0), Kernel::new(0));
    let p = parsed(2, false, false, 0, 0);
    assert_eq!(play(&mut t, &mut k, &p, 1), (1, 1), "below the cutoff");
    assert_eq!(play(&mut t, &mut k, &p, 400), (400, 100));
    let mut receipts = Vec::new();
    finish(&mut t, START, &mut k, &mut receipts);
    let [r] = receipts[..] else { panic!("{receipts:?}") };
    assert_eq!((r.seen_packets, r.stored_packets, r.stored_bytes, r.cut), (401, 101, 10_100, true));
}

#[test]
fn the_kernel_sends_one_in_so_many_up_and_only_these_are_stored() {
    let (mut t, mut k) = (tracker(sampled(10), 8, 4), Kernel::new(4));
    let p = parsed(2, true, false, ACK, 0);
    assert_eq!(play(&mut t, &mut k, &p, 2), (2, 1), "the second goes into the shunt");
    assert_eq!(t.stats().shunt_live, 1);
    // What was in a ring at that time comes up too, and is no sample.
    for _ in 0..50 {
        assert_eq!(send(&mut t, &mut k, START, &p, 100), Verdict::SampledOut { class: 0 });
    }
    assert_eq!(play(&mut t, &mut k, &p, 1000), (100, 100));
    // SYN, FIN and RST go by their own rule, and an ended connection's packets come up.
    assert!(matches!(send(&mut t, &mut k, START, &parsed(2, true, false, RST, 0), 60), Verdict::Store { .. }));
    let (up, stored) = play(&mut t, &mut k, &p, 100);
    assert_eq!((up, stored), (100, 10));
    let mut receipts = Vec::new();
    k.stopped = true;
    finish(&mut t, START, &mut k, &mut receipts);
    let [r] = receipts[..] else { panic!("{receipts:?}") };
    assert_eq!((r.seen_packets, r.stored_packets), (1153, 112));
}

#[test]
fn another_sample_holds_for_what_the_kernel_cuts() {
    let (mut t, mut k) = (tracker(sampled(0), 8, 4), Kernel::new(4));
    let p = parsed(2, false, false, 0, 0);
    assert!(matches!(send(&mut t, &mut k, START, &p, 100), Verdict::Store { .. }));
    assert_eq!(send(&mut t, &mut k, START, &p, 100), Verdict::Cut { class: 0 });
    assert_eq!(play(&mut t, &mut k, &p, 100), (0, 0));
    let mut now = START;
    for (one_in, want) in [(5, 20), (2, 50), (0, 0), (10, 10)] {
        let all = Class { name: "all".into(), filter: String::new(), precedence: 0, policy: sampled(one_in) };
        t.adopt(&mut ClassSet::new(vec![all]).unwrap(), 0, now);
        while t.walking() {
            now += S / 10;
            t.walk(now, now, &mut k);
        }
        assert_eq!(play(&mut t, &mut k, &p, 100), (want, want), "one in {one_in}");
        assert_eq!(t.stats().shunt_live, 1, "it stayed in the shunt");
    }
    k.stopped = true;
    finish(&mut t, now, &mut k, &mut Vec::new());
}
