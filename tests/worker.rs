//! Several workers, each with a queue of its own, and connections whose packets, fragments included, arrive on any of them: the result is
//! as right as with one worker. Real workers, exchange, tracker and parser; only packets and the disk are the test's.

mod rig;

use proptest::prelude::*;
use rig::{CUTOFF, Frame, Kept, classes_with_web, record, record_by, record_till};
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

/// A tap with two ports, one for each direction: read by one worker, either port first, in turns of many sizes, or by one worker each.
/// Who began is right, and the class whose filter has a direction has all of it.
#[test]
fn who_began_does_not_depend_on_which_port_is_read_first() {
    const CONNECTIONS: u16 = 300;
    let start = 1_700_000_000_000_000_000;
    for gap in [0, 100_000, 1_000_000, 5_000_000] {
        let mut ports = [Vec::new(), Vec::new()];
        for connection in 0..CONNECTIONS {
            let begun = start + u64::from(connection) * 2_000_000;
            let sent =
                [(0, 2, 1), (1, 18, 9), (0, 16, 2), (0, 24, 2), (1, 24, 10), (0, 17, 3), (1, 17, 11), (0, 16, 4)];
            for (n, (port, flags, seq)) in sent.into_iter().enumerate() {
                let bytes = rig::tcp(connection, port == 1, flags, seq);
                let time = begun + n as u64 * gap;
                ports[port].push(Frame { connection, time, fragment: false, bytes });
            }
        }
        ports.iter_mut().for_each(|p| p.sort_by_key(|f| f.time));
        let turns = |first: usize, of: usize| {
            let (mut a, mut b) = (ports[first].chunks(of), ports[1 - first].chunks(of));
            let mut all = Vec::new();
            for _ in 0..ports[0].len().div_ceil(of) {
                all.extend([a.next(), b.next()].into_iter().flatten().flatten().cloned());
            }
            all
        };
        let mut reads: Vec<Vec<Vec<Frame>>> = vec![ports.to_vec(), vec![ports[1].clone(), ports[0].clone()]];
        reads.extend([1, 7, 64, 500].iter().flat_map(|&of| [vec![turns(0, of)], vec![turns(1, of)]]));
        for queues in reads {
            let workers = queues.len();
            let (kept, receipts, counts) = record_by(classes_with_web, queues, None);
            assert_eq!(counts.received.packets, u64::from(CONNECTIONS) * 8);
            assert_eq!(counts.stored.packets, kept.len() as u64);
            // 192.0.2.1 is endpoint 0: the client is the other.
            let right = receipts.iter().filter(|r| (r.originator, r.class) == (1, 1)).count();
            assert_eq!((receipts.len(), right), (300, 300), "gap {gap}, {workers} workers");
            assert!(receipts.iter().all(|r| r.seen_packets == 8));
        }
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
