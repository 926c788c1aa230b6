//! The curve of what a store has recorded, from its receipts: true totals of every connection, what the kernel dropped included. Called by
//! `plan --store`.

use super::sizes::{Size, Sizes};
use super::{Curve, PlanningError};
use crate::ledger::each_connection;
use crate::store::layout::Layout;
use crate::store::list::segments;
use std::path::Path;

/// The connections of `from..to`, Unix ns.
pub fn curve(store: &Path, from: u64, to: u64, cutoffs: &[u64]) -> Result<Curve, PlanningError> {
    // Says so where there is no store.
    segments(store)?;
    let mut sizes = Sizes::new(cutoffs);
    each_connection(&Layout::new(store).receipts(), (from, to), || true, &mut |r| {
        let (packets, bytes) = (r.seen_packets, r.seen_bytes);
        sizes.add(Size { first: r.first, last: r.last, packets, bytes, aggregate: r.key.aggregate() });
    })?;
    Ok(sizes.finish())
}
