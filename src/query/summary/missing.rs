//! What is missing from an answer, as the ledger knows it: lost, not recorded, expired.

use super::{Loss, Summary};
use crate::ledger::{LedgerError, LossSum, Told};
use crate::limits::GAP_MIN_NS;

/// Fills in what the ledger knows of the window.
pub fn from_ledger(told: &dyn Told, from: u64, to: u64, now: u64, summary: &mut Summary) -> Result<(), LedgerError> {
    let loss = |LossSum { cause, place, packets }| Loss { cause, place, packets };
    summary.lost = told.losses(from, to)?.into_iter().map(loss).collect();
    if let Some(oldest) = summary.store_first.filter(|&t| from < t)
        && told.expired(to.min(oldest))?
    {
        summary.expired_before = Some(oldest);
    }
    // A window without ends is as long as what there is.
    let begin = if from > 0 { from } else { summary.store_first.unwrap_or(now) };
    let c = told.covered(begin, to.min(now))?;
    if !c.any && told.only_imported()? {
        // A store of traces: the ledger knows when they were imported, not what they cover.
        return Ok(());
    }
    summary.not_recorded = c.gaps.into_iter().filter(|(a, b)| b - a >= GAP_MIN_NS).collect();
    Ok(())
}
