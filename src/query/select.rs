//! Candidates: which packets of a segment can answer at all, by plan and index. A superset of the answer. Called by the executor; the
//! plan never makes an answer smaller.

use super::lang::plan::Plan;
use crate::index::conns::Conn;
use crate::index::term::Term;
use crate::index::{Index, IndexError};

/// Connections of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Set {
    All,
    /// Ascending.
    Some(Vec<u32>),
}

/// What the index says of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// The address filter rules the segment out.
    Filtered,
    /// The index prunes nothing: every packet.
    All,
    /// The packets at these offsets, ascending.
    At(Vec<u64>),
}

/// Gives `each` the connections of a segment that can answer. No packet is looked at.
pub fn connections(plan: &Plan, index: &Index, each: &mut impl FnMut(Conn)) -> Result<(), IndexError> {
    match evaluate(plan, index)? {
        Set::All => index.each_conn(0, &mut |_, c| each(c)),
        Set::Some(ids) => index.conns(&ids, each),
    }
}

/// Evaluates the plan. `from..to`: the window; connections outside of it are left out.
pub fn candidates(plan: &Plan, index: &Index, from: u64, to: u64) -> Result<Candidates, IndexError> {
    let mut error = None;
    let may = plan.may(&mut |lo: Term, hi: Term| {
        lo != hi
            || index.may_have(lo).unwrap_or_else(|e| {
                error = Some(e);
                true
            })
    });
    match (error, may) {
        (Some(e), _) => return Err(e),
        (None, false) => return Ok(Candidates::Filtered),
        _ => {}
    }
    let ids = match evaluate(plan, index)? {
        Set::All => return Ok(Candidates::All),
        Set::Some(ids) => ids,
    };
    let mut offsets = Vec::new();
    index.conns(&ids, &mut |c| {
        if c.first < to && c.last >= from {
            offsets.extend(c.offsets);
        }
    })?;
    offsets.sort_unstable();
    Ok(Candidates::At(offsets))
}

fn evaluate(plan: &Plan, index: &Index) -> Result<Set, IndexError> {
    match plan {
        Plan::All => Ok(Set::All),
        Plan::Range(lo, hi) => {
            let mut ids = Vec::new();
            index.list(*lo, *hi, &mut ids)?;
            ids.sort_unstable();
            ids.dedup();
            Ok(Set::Some(ids))
        }
        Plan::And(of) => {
            let mut all = Set::All;
            for p in of {
                all = match (all, evaluate(p, index)?) {
                    (Set::All, s) | (s, Set::All) => s,
                    (Set::Some(a), Set::Some(b)) => Set::Some(intersection(a, &b)),
                };
                if all == Set::Some(Vec::new()) {
                    break;
                }
            }
            Ok(all)
        }
        Plan::Or(of) => {
            let mut any = Vec::new();
            for p in of {
                match evaluate(p, index)? {
                    Set::All => return Ok(Set::All),
                    Set::Some(mut ids) => any.append(&mut ids),
                }
            }
            any.sort_unstable();
            any.dedup();
            Ok(Set::Some(any))
        }
    }
}

/// Of two ascending lists; the shorter is looked up in the longer.
fn intersection(a: Vec<u32>, b: &[u32]) -> Vec<u32> {
    let (mut short, long) = if a.len() <= b.len() { (a, b.to_vec()) } else { (b.to_vec(), a) };
    let mut rest = long.as_slice();
    short.retain(|id| {
        let at = rest.partition_point(|x| x < id);
        rest = rest.get(at..).unwrap_or_default();
        rest.first() == Some(id)
    });
    short
}
