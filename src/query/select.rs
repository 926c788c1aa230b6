//! Candidates: which packets of a segment can answer at all, by plan and index. A superset of the answer. Called by the executor; the
//! plan never makes an answer smaller.

use super::foreseen::Expected;
use super::lang::plan::Plan;
use crate::index::conns::Conn;
use crate::index::term::Term;
use crate::index::{Index, IndexError};
use crate::limits::{FILTER_LIST_MIN, FORESEEN_KEYS};

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
    /// It prunes nothing: every packet.
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

/// Evaluates the plan. `from..to`: the window; connections outside of it are left out. Of single addresses the address filter is not
/// asked: whoever comes here has asked it. `expected`: whose they are; of many only the first.
pub fn candidates(
    plan: &Plan,
    index: &Index,
    (from, to): (u64, u64),
    mut expected: Option<&mut Vec<Expected>>,
) -> Result<Candidates, IndexError> {
    let ids = match evaluate(plan, index)? {
        Set::All => return Ok(Candidates::All),
        Set::Some(ids) => ids,
    };
    let mut offsets = Vec::new();
    index.conns(&ids, &mut |c| {
        if c.first < to && c.last >= from {
            offsets.extend(c.offsets);
            if let Some(expected) = expected.as_mut().filter(|e| e.len() <= FORESEEN_KEYS) {
                expected.push((c.key, c.first, c.last));
            }
        }
    })?;
    offsets.sort_unstable();
    Ok(Candidates::At(offsets))
}

/// So few connections are looked at without being intersected ...
const FEW: usize = 8;
/// ... with lists of so many.
const MANY: usize = 4096;
/// A list that is not longer costs nothing beside the reading of its page.
const SHORT: usize = 64;

/// About how many connections a plan leaves.
pub(super) fn weight(plan: &Plan, index: &Index) -> Result<usize, IndexError> {
    let of = |of: &[Plan]| of.iter().map(|p| weight(p, index)).collect::<Result<Vec<_>, _>>();
    Ok(match plan {
        Plan::All => usize::MAX,
        Plan::Range(lo, hi) => index.weight(*lo, *hi)?,
        Plan::And(all) => of(all)?.into_iter().min().unwrap_or(usize::MAX),
        // To know it better would cost as much as the list itself.
        Plan::Or(any) if any.len() >= FILTER_LIST_MIN => MANY,
        Plan::Or(any) => of(any)?.into_iter().fold(0, usize::saturating_add),
    })
}

/// Which of several parts is probably rare, without a look at the index: ports that clients choose, then addresses.
fn rank(plan: &Plan) -> u8 {
    match plan {
        Plan::Range(lo, hi) if lo != hi => 3,
        Plan::Range(Term::Port(port), _) => u8::from(*port < 1024) * 2,
        Plan::Range(Term::Addr4(_) | Term::Addr6(_), _) => 1,
        Plan::Range(..) | Plan::And(_) | Plan::Or(_) => 4,
        Plan::All => 5,
    }
}

/// What all of the parts leave. Each page of the index that is read may be one of the disk: short lists are taken as they come, the
/// probably short ones first, and nothing is read once nothing is left; of the others the rarest comes first.
fn evaluate_all(of: &[Plan], index: &Index) -> Result<Set, IndexError> {
    let mut of: Vec<&Plan> = of.iter().collect();
    of.sort_by_key(|p| rank(p));
    let (mut all, mut long) = (Set::All, Vec::new());
    let empty = |set: &Set| matches!(set, Set::Some(ids) if ids.is_empty());
    for p in of {
        if empty(&all) {
            return Ok(all);
        }
        match weight(p, index)? {
            short if short <= SHORT => all = both(all, evaluate(p, index)?),
            weight => long.push((weight, p)),
        }
    }
    long.sort_by_key(|(weight, _)| *weight);
    for (weight, p) in long {
        // To look at these few costs less than to read what might rule some of them out.
        if empty(&all) || matches!(&all, Set::Some(few) if few.len() <= FEW && weight >= MANY) {
            break;
        }
        all = both(all, evaluate(p, index)?);
    }
    Ok(all)
}

fn both(a: Set, b: Set) -> Set {
    match (a, b) {
        (Set::All, s) | (s, Set::All) => s,
        (Set::Some(a), Set::Some(b)) => Set::Some(intersection(a, &b)),
    }
}

fn evaluate(plan: &Plan, index: &Index) -> Result<Set, IndexError> {
    match plan {
        Plan::All => Ok(Set::All),
        Plan::Range(lo, hi) => {
            let mut ids = Vec::new();
            index.list([(*lo, *hi)].into_iter(), &mut ids)?;
            ids.sort_unstable();
            ids.dedup();
            Ok(Set::Some(ids))
        }
        Plan::And(of) => evaluate_all(of, index),
        Plan::Or(of) => {
            let (mut any, range) = (Vec::new(), |p: &Plan| match p {
                Plan::Range(lo, hi) => Some((*lo, *hi)),
                _ => None,
            });
            // Of a long list the address filter leaves few: each look into the dictionary is a search.
            let long = of.len() >= FILTER_LIST_MIN;
            let may_be = |&(lo, hi): &(Term, Term)| !long || lo != hi || index.may_have(lo).unwrap_or(true);
            index.list(of.iter().filter_map(range).filter(may_be), &mut any)?;
            for p in of.iter().filter(|p| range(p).is_none()) {
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
