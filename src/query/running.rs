//! Connections that run: what the workers know of them now, for lists of connections and for summaries. Called by query threads of the daemon,
//! with the way to the workers, who look up a few at a time between two batches.

use super::Connection;
use crate::class::ClassId;
use crate::conn::receipt::{End, LookedUp, Receipt};
use crate::packet::key::Key;
use std::cmp::Reverse;
use std::collections::HashMap;

/// The way to the workers.
pub trait Running: Send + Sync {
    /// What they know of these connections, in this order. Waits for the workers, some seconds at most.
    fn totals(&self, keys: &[Key]) -> Vec<LookedUp>;
    /// What of it was asked within the last second, without waiting. `None`: not all of it was, and it is time to ask [`totals`](Running::totals).
    fn known(&self, keys: &[Key]) -> Option<Vec<LookedUp>>;
    /// The name of a class that is in force.
    fn class(&self, id: ClassId) -> Option<String>;
}

/// Fills in the true totals of those that still run, what the kernel dropped included. Where the workers say nothing in time the store's word
/// stands: of how many. Those that were heard of last are asked for first.
pub fn running(connections: &mut Vec<Connection>, workers: &dyn Running) -> u64 {
    // Of those that follow each other under one name only the last can run.
    let mut last: HashMap<Key, usize> = HashMap::new();
    for (i, c) in connections.iter().enumerate().filter(|(_, c)| is_open(c)) {
        let at = last.entry(c.key).or_insert(i);
        if connections.get(*at).is_some_and(|known| known.last < c.last) {
            *at = i;
        }
    }
    let mut places: Vec<usize> = last.into_values().collect();
    places.sort_by_key(|&i| Reverse(connections.get(i).map(|c| c.last)));
    let (mut since, mut unknown): (HashMap<Key, u64>, _) = (HashMap::new(), 0);
    let keys: Vec<Key> = places.iter().filter_map(|&i| connections.get(i)).map(|c| c.key).collect();
    for (i, found) in places.into_iter().zip(workers.totals(&keys)) {
        unknown += u64::from(found == LookedUp::Unknown);
        if let (LookedUp::Runs(r), Some(c)) = (found, connections.get_mut(i))
            && r.first <= c.last
        {
            since.insert(c.key, r.first);
            runs(c, &r);
            // That of its next packet: it may have been assigned another since its last.
            if let Some(class) = workers.class(r.class) {
                c.class = class.into();
            }
        }
    }
    // What the store has of it in other places, after a silence that the cutoff made, is in its totals.
    connections.retain(|c| c.running || !is_open(c) || since.get(&c.key).is_none_or(|first| c.last < *first));
    unknown
}

/// Nothing says that it has ended.
pub(super) fn is_open(c: &Connection) -> bool {
    matches!(c.end, None | Some(End::Lasting))
}

fn runs(c: &mut Connection, r: &Receipt) {
    // Of what was before this recorder began to count only what is stored is known.
    let before = if c.first < r.first {
        [c.stored_packets.saturating_sub(r.stored_packets), c.stored_bytes.saturating_sub(r.stored_bytes)]
    } else {
        [0; 2]
    };
    let [packets, bytes] = before;
    (c.seen_packets, c.seen_bytes) = (r.seen_packets + packets, r.seen_bytes + bytes);
    (c.stored_packets, c.stored_bytes) = (r.stored_packets + packets, r.stored_bytes + bytes);
    (c.first, c.last) = (c.first.min(r.first), c.last.max(r.last));
    (c.cut, c.originator, c.running) = (r.cut, Some(r.originator), true);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(port: u16, first: u64, last: u64, packets: u64, end: Option<End>) -> Connection {
        Connection {
            key: Key::tcp(port),
            first,
            last,
            seen_packets: packets,
            seen_bytes: packets * 100,
            stored_packets: packets,
            stored_bytes: packets * 100,
            cut: false,
            end,
            class: "all".into(),
            originator: None,
            icmp: None,
            running: false,
        }
    }

    /// The recorder counts one connection, since `first`: 50 packets seen, 20 stored.
    fn ask(rows: Vec<Connection>, port: u16, first: u64) -> Vec<Connection> {
        let r = Receipt {
            key: Key::tcp(port),
            first,
            last: 900,
            seen_packets: 50,
            seen_bytes: 5000,
            stored_packets: 20,
            stored_bytes: 2000,
            end: End::Lasting,
            class: 0,
            originator: 1,
            cut: true,
        };
        struct One(Receipt);
        impl Running for One {
            fn totals(&self, keys: &[Key]) -> Vec<LookedUp> {
                let runs = |k: &Key| if *k == self.0.key { LookedUp::Runs(self.0) } else { LookedUp::Absent };
                keys.iter().map(runs).collect()
            }
            fn known(&self, _: &[Key]) -> Option<Vec<LookedUp>> {
                None
            }
            fn class(&self, id: ClassId) -> Option<String> {
                (id == 0).then(|| "suspects".into())
            }
        }
        let mut all = rows;
        running(&mut all, &One(r));
        all
    }

    #[test]
    fn what_the_cutoff_tore_apart_is_one() {
        let rows = vec![row(1, 100, 110, 5, None), row(1, 800, 890, 15, None), row(2, 100, 900, 7, None)];
        let all = ask(rows, 1, 100);
        assert_eq!(all.len(), 2, "{all:?}");
        let one = &all[0];
        assert!(one.running && one.cut && one.originator == Some(1), "{one:?}");
        assert_eq!((one.first, one.last, one.seen_packets, one.stored_packets), (100, 900, 50, 20));
        assert_eq!((&*one.class, &*all[1].class), ("suspects", "all"));
        assert_eq!((all[1].seen_packets, all[1].running), (7, false), "one that nobody knows stays as it is");
    }

    #[test]
    fn what_was_before_the_recorder_began_stays() {
        // Ended before, with a receipt; and of the one that ran on when the recorder was killed, 30 packets.
        let rows = vec![row(1, 10, 20, 3, Some(End::Closed)), row(1, 100, 890, 30 + 20, None)];
        let all = ask(rows, 1, 500);
        let of = |c: &Connection| (c.first, c.seen_packets, c.stored_packets, c.seen_bytes);
        assert_eq!(all.iter().map(of).collect::<Vec<_>>(), [(10, 3, 3, 300), (100, 80, 50, 8000)]);
    }

    /// Any number is asked for, the latest first; of what nobody says the store's word stands, and it is told how much that is.
    #[test]
    fn what_nobody_says_is_told() {
        struct Some64k;
        impl Running for Some64k {
            fn totals(&self, keys: &[Key]) -> Vec<LookedUp> {
                let runs = |key: &Key| LookedUp::Runs(Receipt { seen_packets: 9, ..Receipt::of_one(*key, 0, 900) });
                keys.iter().enumerate().map(|(i, key)| if i < 60_000 { runs(key) } else { LookedUp::Unknown }).collect()
            }
            fn known(&self, _: &[Key]) -> Option<Vec<LookedUp>> {
                None
            }
            fn class(&self, _: ClassId) -> Option<String> {
                None
            }
        }
        let mut all: Vec<Connection> = (0..65_000).map(|n| row(n, 0, u64::from(n), 2, None)).collect();
        assert_eq!(running(&mut all, &Some64k), 5_000);
        assert_eq!((all.len(), all.iter().filter(|c| c.running).count()), (65_000, 60_000));
        assert!(all.iter().all(|c| c.running == (c.last >= 5_000) && c.seen_packets == if c.running { 9 } else { 2 }));
    }
}
