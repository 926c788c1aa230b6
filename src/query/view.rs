//! A store at one moment: what is in memory, which segments are being written and how far, which are sealed; and what of it each part
//! of an answer reads, so that each packet is read once. Made by the engine for each query, and by followers for each round.

use super::QueryError;
use super::engine::{Shelf, joined, own, will_have};
use super::extent::{Extent, InMemory};
use super::pace::Pace;
use super::part::{Part, Question};
use super::summary::Summary;
use crate::index::Run;
use crate::store::format;
use crate::store::live::Unsealed;
use std::ops::Range;
use std::sync::Arc;

/// So many runs are looked at before it is asked whether to go on.
const RUNS_BETWEEN: usize = 8;

/// Segments and runs; `recent` was looked at before `open`, and `open` before `sealed`.
pub struct View<'a> {
    /// Not sealed.
    pub open: Vec<Unsealed>,
    /// Numbers of segments that are made and have nothing yet; looked at with `open`.
    pub made: Vec<u64>,
    /// Sealed.
    pub sealed: Shelf,
    /// Those who write had ended before all of that was looked at: there is no segment besides.
    pub ended: bool,
    /// In memory.
    pub recent: &'a [Arc<Run>],
    /// Asked before each segment.
    pub pace: &'a dyn Pace,
}

impl View<'_> {
    /// A segment that was sealed while this was looked at is in both lists: one is enough.
    pub fn once(&mut self) {
        let sealed = &self.sealed;
        self.open.retain(|u| own(sealed, u.segment.number).is_none());
    }

    /// What lies in memory, by segment, in the order of offsets.
    pub fn in_memory(&self) -> InMemory {
        let mut spans = InMemory::new();
        for held in self.recent.iter().map(|r| r.reader()) {
            spans.entry(held.header().number).or_default().push(held.span());
        }
        spans.values_mut().for_each(|s| s.sort_by_key(|r| r.start));
        spans
    }

    /// Where the first block of a segment begins, if some of it is in memory.
    pub fn start_of(&self, number: u64) -> u64 {
        let header = self.recent.iter().map(|r| r.reader().header()).find(|h| h.number == number);
        header.map_or(0, |h| format::header_bytes(&h.interfaces) as u64)
    }

    /// The parts that may have packets of an answer.
    pub fn parts(&self, q: &Question<'_>, summary: &mut Summary) -> Result<Vec<Part>, QueryError> {
        let (mut parts, mut found) = (Vec::new(), Vec::new());
        let files = !(self.open.is_empty() && self.sealed.is_empty());
        let held = if files { self.in_memory() } else { InMemory::new() };
        will_have(&self.sealed, q);
        for (n, extent) in self.extents(&held, false).enumerate() {
            if let Extent::Memory(run) = extent {
                // Each is a look into an index or two.
                if n % RUNS_BETWEEN == 0 && !self.pace.go_on() {
                    break;
                }
                parts.extend(Part::of_run(run, q, summary));
                continue;
            }
            if !self.pace.go_on() {
                break;
            }
            match extent {
                Extent::Memory(_) => {}
                Extent::Unsealed(unsealed, held) if unsealed.header.is_none() => {
                    parts.extend(Part::of_file(unsealed.segment.clone(), q, summary)?.map(|p| p.without(held)));
                }
                Extent::Unsealed(unsealed, held) => {
                    for gap in Extent::gaps(unsealed, held) {
                        parts.extend(Part::of_gap(unsealed, gap, q, summary)?);
                    }
                }
                Extent::Sealed(sealed, []) => {
                    found.extend(Part::of_sealed(sealed, q, summary)?.map(|p| (sealed, p)));
                }
                Extent::Sealed(sealed, held) => {
                    let end = match &sealed.skip {
                        Some(skip) => Some(skip.about().end),
                        None => std::fs::metadata(&sealed.segment.path).ok().map(|m| m.len()),
                    };
                    let start = self.start_of(sealed.id());
                    if !end.is_some_and(|end| gaps(start..end, held).is_empty()) {
                        found.extend(Part::of_sealed(sealed, q, summary)?.map(|p| (sealed, p.without(held))));
                    }
                }
            }
        }
        let may = found.len();
        if !q.full_scan {
            found = joined(found, q.plans, |(sealed, _)| Some(sealed));
        }
        summary.pruning.by_filter += (may - found.len()) as u64;
        parts.extend(found.into_iter().map(|(_, p)| p));
        Ok(parts)
    }
}

/// What of `whole` none of the ranges covers; they are in the order of their starts.
pub fn gaps(whole: Range<u64>, held: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut at, mut gaps) = (whole.start, Vec::new());
    for r in held.iter().filter(|r| r.start < whole.end) {
        if r.start > at {
            gaps.push(at..r.start);
        }
        at = at.max(r.end);
    }
    if at < whole.end {
        gaps.push(at..whole.end);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_is_left() {
        type Pairs = &'static [(u64, u64)];
        let cases: [(Pairs, Pairs); 6] = [
            (&[], &[(10, 100)]),
            (&[(10, 100)], &[]),
            (&[(0, 200)], &[]),
            (&[(10, 20), (20, 50), (60, 90)], &[(50, 60), (90, 100)]),
            (&[(30, 40), (35, 38), (95, 120)], &[(10, 30), (40, 95)]),
            (&[(100, 120)], &[(10, 100)]),
        ];
        for (held, left) in cases {
            let held: Vec<_> = held.iter().map(|(a, b)| *a..*b).collect();
            let got: Vec<_> = gaps(10..100, &held).into_iter().map(|r| (r.start, r.end)).collect();
            assert_eq!(got, left, "{held:?}");
        }
    }
}
