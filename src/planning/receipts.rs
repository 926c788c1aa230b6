//! The curve of what a store has recorded, from its receipts: true totals of every connection, what the kernel dropped included. Called by
//! `plan --store`.

use super::sizes::{Size, Sizes};
use super::{Curve, PlanningError};
use crate::conn::receipt::End;
use crate::ledger::lookup;
use crate::packet::key::Key;
use crate::store::layout::Layout;
use crate::store::list::segments;
use std::collections::HashMap;
use std::path::Path;

/// The connections of `from..to`, Unix ns.
pub fn curve(store: &Path, from: u64, to: u64, cutoffs: &[u64]) -> Result<Curve, PlanningError> {
    // Says so where there is no store.
    segments(store)?;
    let mut sizes = Sizes::new(cutoffs);
    // Connections without an end yet: the latest hourly receipt says most.
    let mut lasting: HashMap<(Key, u64), Size> = HashMap::new();
    lookup(&Layout::new(store).receipts(), from, to, None, |r| {
        let size = Size { first: r.first, last: r.last, packets: r.seen_packets, bytes: r.seen_bytes };
        match r.end {
            End::Lasting => {
                lasting.insert((r.key, r.first), size);
            }
            _ => {
                lasting.remove(&(r.key, r.first));
                sizes.add(size);
            }
        }
    })?;
    lasting.into_values().for_each(|s| sizes.add(s));
    Ok(sizes.finish())
}
