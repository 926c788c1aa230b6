//! How long segments are: as asked, or shorter where a budget would hold too few of them. Pure; asked at the start and by a reload.

use super::shelf::Retention;
use crate::class::Keep;
use crate::limits::SEGMENT_BYTES_MIN;
use crate::store::StoreError;

/// A budget holds so many times the segments that are written, so that dropping the oldest does not drop half of the past.
const PAST: u64 = 4;

/// Lengths of segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// What is preallocated: the longest of all.
    pub made: u64,
    /// Where the segments of each class end, in the order of the classes.
    pub classes: Vec<u64>,
}

impl Sizes {
    /// For so many workers and spare segments; fails where a budget can't hold what is written at a time.
    pub fn new(wanted: u64, keep: &Retention, workers: usize, spares: usize) -> Result<Sizes, StoreError> {
        let sectors = |bytes: u64| bytes.max(SEGMENT_BYTES_MIN).next_multiple_of(4096);
        let fit = |what: &dyn Fn() -> String, wanted: u64, budget: u64, open: u64| {
            let least = open * SEGMENT_BYTES_MIN;
            if budget < least {
                return Err(StoreError::Budget { what: what(), budget, least });
            }
            Ok(wanted.min((budget / (PAST * open)).max(SEGMENT_BYTES_MIN) / 4096 * 4096))
        };
        let most = match keep.total {
            // All that are open or spare, and one that is sealed.
            Some(total) => {
                let open = (workers * keep.classes.len() + spares + 1) as u64;
                fit(&|| "the disk budget".to_owned(), u64::MAX / 4096 * 4096, total, open)?
            }
            None => u64::MAX,
        };
        let class = |(name, k): &(String, Keep)| {
            let wanted = sectors(k.segment_bytes.unwrap_or(wanted)).min(most);
            match k.disk {
                Some(budget) => fit(&|| format!("the disk budget of class {name}"), wanted, budget, workers as u64 + 1),
                None => Ok(wanted),
            }
        };
        let classes: Vec<u64> = keep.classes.iter().map(class).collect::<Result<_, _>>()?;
        Ok(Sizes { made: classes.iter().copied().max().unwrap_or(sectors(wanted).min(most)), classes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn retention(total: Option<u64>, classes: &[(Option<u64>, Option<u64>)]) -> Retention {
        let keep = |(n, &(disk, segment_bytes)): (usize, &(Option<u64>, Option<u64>))| {
            (format!("c{n}"), Keep { disk, segment_bytes, ..Keep::default() })
        };
        Retention { total, classes: classes.iter().enumerate().map(keep).collect() }
    }

    #[test]
    fn segments_are_as_long_as_asked_where_the_budgets_have_room() {
        let keep = retention(None, &[(None, None), (None, Some(5 * MIB)), (Some(100 * MIB), None)]);
        let sizes = Sizes::new(128 * MIB, &keep, 1, 2).unwrap();
        assert_eq!(sizes.classes, [128 * MIB, 5 * MIB, 25 * MIB / 2]);
        assert_eq!(sizes.made, 128 * MIB);
        let keep = retention(Some(400 * MIB), &[(None, None)]);
        assert_eq!(Sizes::new(128 * MIB, &keep, 1, 2).unwrap().made, 25 * MIB);
    }

    #[test]
    fn a_budget_that_holds_too_few_is_refused_by_name() {
        let small = retention(None, &[(None, None), (Some(MIB), None)]);
        let e = Sizes::new(MIB, &small, 1, 2).unwrap_err().to_string();
        assert!(e.contains("class c1") && e.contains("8388608"), "{e}");
        let e = Sizes::new(MIB, &retention(Some(MIB), &[(None, None)]), 1, 2).unwrap_err().to_string();
        assert!(e.contains("the disk budget of 1048576"), "{e}");
    }
}
