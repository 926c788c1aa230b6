//! What is missing from an answer, as the ledger knows it: expired, lost, not recorded, without link.

use super::{IncompleteReason, Summary};
use crate::ledger::{ExpiredSpan, Gap, LedgerError, LinkDown, LossSum, Told};
use crate::limits::GAP_MIN_NS;
use crate::query::engine::Means;

/// Fills in what the ledger knows of the window `from..to` (Unix ns) at the time `now`, of these classes; none: of all.
pub fn from_ledger(
    told: &dyn Told,
    (from, to): (u64, u64),
    classes: &[String],
    now: u64,
    summary: &mut Summary,
) -> Result<(), LedgerError> {
    expired_of(told.expired(from, to)?, to, classes, summary);
    rest_of_ledger(told, (from, to), classes, now, summary)
}

/// What has no class may be of any.
fn asked(classes: &[String], class: &Option<String>) -> bool {
    classes.is_empty() || class.as_ref().is_none_or(|c| classes.contains(c))
}

/// Fills in what has expired of a window that ends there.
pub fn expired_of(spans: Vec<ExpiredSpan>, to: u64, classes: &[String], summary: &mut Summary) {
    for ExpiredSpan { class, first, last } in spans.into_iter().filter(|e| asked(classes, &e.class)) {
        // Where nobody knows how far it went: up to the oldest packet that there is.
        let oldest = || summary.store_first().unwrap_or(u64::MAX);
        let (first, last) = (first, last.unwrap_or_else(|| oldest().min(to).saturating_sub(1)));
        if first <= last {
            summary.lacks(IncompleteReason::Expired { class, from: first, to: last });
        }
    }
}

/// Fills in all else that the ledger knows.
pub fn rest_of_ledger(
    told: &dyn Told,
    (from, to): (u64, u64),
    classes: &[String],
    now: u64,
    summary: &mut Summary,
) -> Result<(), LedgerError> {
    let losses = told.losses(from, to)?.into_iter().filter(|l| asked(classes, &l.class));
    for LossSum { cause, place, class, packets } in losses {
        summary.lacks(IncompleteReason::Lost { cause, place, class, packets });
    }
    for since in told.broken_imports()? {
        summary.lacks(IncompleteReason::ImportCutShort { since });
    }
    let imported = told.only_imported()?;
    // Traces may be of times to come.
    if to < u64::MAX && to > now && !imported {
        summary.lacks(IncompleteReason::NotYet { from: now.max(from), to });
    }
    // A window without ends is as long as what there is.
    let begin = if from > 0 { from } else { summary.store_first().unwrap_or(now) };
    let covered = told.covered(begin, to.min(now))?;
    for LinkDown { interface, from, to } in covered.link_down {
        summary.lacks(IncompleteReason::LinkDown { interface, from, to });
    }
    if covered.recorded.is_empty() && imported {
        // A store of traces: the ledger knows when they were imported, not what they cover.
        return Ok(());
    }
    for Gap { from, to, cause } in covered.gaps.into_iter().filter(|g| g.to - g.from >= GAP_MIN_NS) {
        summary.lacks(IncompleteReason::NotRecorded { from, to, cause });
    }
    Ok(())
}

/// Fills in what memory does not have of a window that begins at `from`, where only memory was asked.
pub fn beyond_memory(
    means: Means<'_>,
    from: u64,
    classes: &[String],
    summary: &mut Summary,
) -> Result<(), LedgerError> {
    let Some(reach) = means.reach else { return Ok(()) };
    for (class, reaches) in reach().into_iter().filter(|(class, reaches)| asked(classes, class) && from < *reaches) {
        // What was before the first recording memory does not lack.
        if means.told.only_imported()? || !means.told.covered(from, reaches)?.recorded.is_empty() {
            summary.lacks(IncompleteReason::BeyondMemory { class, from: reaches });
        }
    }
    Ok(())
}
