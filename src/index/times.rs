//! When the packets of a segment came that was there before a recorder: asked once for each, by recovery. Looks only.

use super::{About, Index};
use crate::store::layout;
use crate::store::reader::SegmentReader;
use std::path::Path;

/// Times of a sealed segment's first and last packet, by its index, or else by its blocks. An index that was put there for another segment, or
/// that was made of a damaged one, would have the wrong times in the ledger for ever.
pub fn times_of(segment: &Path) -> Option<(u64, u64)> {
    let index = Index::open(&layout::index_of(segment)).ok().map(|i| *i.about());
    let len = std::fs::metadata(segment).ok()?.len();
    let header = || SegmentReader::header_of(segment).ok();
    let its_own = |a: &About| a.packets > 0 && a.bad == 0 && a.end == len && header().is_some_and(|h| a.is_of(&h));
    if let Some(about) = index.filter(its_own) {
        return Some((about.first, about.last));
    }
    let reader = SegmentReader::open(segment).ok()?;
    let times = || reader.blocks().iter().map(|b| &b.totals).filter(|t| t.packets > 0);
    Some((times().map(|t| t.first).min()?, times().map(|t| t.last).max()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With its own index, without one, and with that of another segment of the same number.
    #[test]
    fn what_expires_has_its_own_times() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let (ours, other) = (golden.join("v4/all"), golden.join("v5/all"));
        let segment = ours.join("20260101T000000.000000000Z-0-0.pcapng");
        let foreign = layout::index_of(&other.join("20231114T221320.000000000Z-0-0.pcapng"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(segment.file_name().unwrap());
        std::fs::copy(&segment, &path).unwrap();
        let times = Some((1_767_225_600_000_000_000, 1_767_225_600_062_509_920));
        assert_eq!(times_of(&segment), times);
        assert_eq!(times_of(&path), times, "by its blocks");
        std::fs::copy(&foreign, layout::index_of(&path)).unwrap();
        assert_eq!(Index::open(&foreign).unwrap().about().first, 1_700_000_000_000_000_000);
        assert_eq!(times_of(&path), times, "whatever lies beside it");
    }
}
