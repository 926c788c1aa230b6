//! Connections that run: what the workers know of them now, for lists of connections. Called by a query thread of the daemon, with the way to
//! the workers, who look up a few at a time between two batches.

use super::Connection;
use crate::conn::receipt::{End, Receipt};
use crate::limits::TOTALS_MAX;
use crate::packet::key::Key;
use std::collections::HashMap;

/// Fills in the true totals of those that still run, what the kernel dropped included; of more than a look-up takes, those that were
/// heard of last. `totals`: what the workers say of some names, in that order; `None`: nothing, and the store's word stands.
pub fn running(connections: &mut [Connection], totals: impl Fn(&[Key]) -> Option<Vec<Option<Receipt>>>) {
    // Of those that follow each other under one name only the last can run.
    let mut last: HashMap<Key, usize> = HashMap::new();
    for (i, c) in connections.iter().enumerate().filter(|(_, c)| matches!(c.end, None | Some(End::Lasting))) {
        let at = last.entry(c.key).or_insert(i);
        if connections.get(*at).is_some_and(|known| known.last < c.last) {
            *at = i;
        }
    }
    let mut places: Vec<usize> = last.into_values().collect();
    if places.len() > TOTALS_MAX {
        places.sort_by_key(|&i| std::cmp::Reverse(connections.get(i).map(|c| c.last)));
        places.truncate(TOTALS_MAX);
    }
    // A recorder to which VLAN ids tell nothing knows them without.
    for name in [|key: Key| key, |key: Key| key.untagged()] {
        let keys: Vec<Key> = places.iter().filter_map(|&i| connections.get(i)).map(|c| name(c.key)).collect();
        let Some(found) = totals(&keys) else { return };
        let mut left = Vec::new();
        for (i, receipt) in places.into_iter().zip(found) {
            match (receipt, connections.get_mut(i)) {
                (Some(r), Some(c)) if r.first <= c.last => runs(c, &r),
                (None, Some(c)) if c.key.untagged() != c.key => left.push(i),
                _ => {}
            }
        }
        places = left;
    }
}

fn runs(c: &mut Connection, r: &Receipt) {
    (c.seen_packets, c.seen_bytes) = (r.seen_packets, r.seen_bytes);
    (c.stored_packets, c.stored_bytes) = (r.stored_packets, r.stored_bytes);
    (c.first, c.last) = (r.first, c.last.max(r.last));
    (c.cut, c.originator, c.running) = (r.cut, Some(r.originator), true);
}
