//! Several workers, each with a queue of its own, and connections whose packets, fragments included, arrive on any of them: the result is
//! as right as with one worker. Real workers, exchange, tracker and parser; only packets and the disk are the test's.

mod rig;

use proptest::prelude::*;
use rig::{CUTOFF, Frame, Kept, record, record_till};
use std::collections::BTreeMap;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The law holds; of each connection exactly what some order of its packets keeps was stored; the receipts know all of it.
    #[test]
    fn queues_do_not_matter(seed in any::<u64>(), workers in 1usize..4, connections in 1u16..60) {
        let frames = rig::traffic(seed, connections, 4_000);
        let mut queues = vec![Vec::new(); workers];
        for (i, f) in frames.iter().enumerate() {
            // Any queue, but a first fragment before the others on each, as on a wire.
            let queue = (seed.rotate_left(i as u32 % 64) as usize).wrapping_add(i / 7) % workers;
            queues[if f.fragment { 0 } else { queue }].push(f.clone());
        }
        let (kept, receipts, counts) = record(queues);

        prop_assert_eq!(counts.received.packets, frames.len() as u64);
        prop_assert_eq!(counts.dropped.total().packets, 0);
        prop_assert_eq!(counts.received.packets, counts.stored.packets + counts.cut.packets);
        prop_assert_eq!(counts.stored.packets, kept.len() as u64);

        let (mut offered, mut stored) = (BTreeMap::<u16, u64>::new(), BTreeMap::<u16, Vec<u64>>::new());
        for Frame { connection, bytes, .. } in &frames {
            *offered.entry(*connection).or_default() += bytes.len() as u64;
        }
        for Kept { connection, wire_len } in &kept {
            stored.entry(*connection).or_default().push(u64::from(*wire_len));
        }
        for (connection, all) in &offered {
            let of = &stored[connection];
            let sum: u64 = of.iter().sum();
            let before_last = sum - of[of.len() - 1];
            prop_assert!(sum == *all || sum >= CUTOFF, "connection {} stopped at {} of {}", connection, sum, all);
            prop_assert!(before_last < CUTOFF, "connection {} went on to {} after {}", connection, sum, before_last);
        }
        let seen: u64 = receipts.iter().map(|r| r.seen_packets).sum();
        prop_assert_eq!(seen, frames.len() as u64);
        prop_assert_eq!(receipts.iter().map(|r| r.stored_packets).sum::<u64>(), kept.len() as u64);
        prop_assert_eq!(receipts.len(), offered.len());
    }
}

/// A worker that panics takes none of the others with it: they come to rest, and what was on its way to it is counted.
#[test]
fn a_worker_that_dies_is_not_waited_for() {
    let frames = rig::traffic(11, 50, 6_000);
    let mut queues = vec![Vec::new(); 3];
    for (i, f) in frames.into_iter().enumerate() {
        queues[i / 7 % 3].push(f);
    }
    let offered: usize = queues.iter().map(Vec::len).sum();
    let left = queues[1].len() - 640;
    let (kept, _, counts) = record_till(queues, Some((1, 640)));
    assert_eq!(counts.received.packets, (offered - left) as u64);
    assert!(counts.dropped.handoff_full.packets > 0, "{counts:?}");
    let fates = counts.stored.packets + counts.cut.packets + counts.dropped.total().packets;
    assert_eq!(counts.received.packets, fates, "{counts:?}");
    assert_eq!(counts.stored.packets, kept.len() as u64);
}
