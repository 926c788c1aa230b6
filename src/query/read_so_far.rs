//! How far a follower has read each segment, and what of a store at one moment comes next. Owns the marks: an offset for each segment that may still grow;
//! of all others a number below which they have been read to their end. Numbers rise in the order in which segments are made.

use super::QueryError;
use super::engine::own;
use super::extent::InMemory;
use super::part::{Part, Question};
use super::sealed::Sealed;
use super::summary::Summary;
use super::view::{View, gaps};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// How far each segment has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSoFar {
    /// By number: all before this offset; [`WHOLE`]: all of it.
    upto: BTreeMap<u64, u64>,
    /// Those with lower numbers that are not in the map have been read to their end, or have gone.
    done_below: u64,
}

/// The offset of one that is read to its end.
pub const WHOLE: u64 = u64::MAX;

/// Of numbers that a cursor does not name so many are looked for.
const GONE_TOLD: usize = 100_000;

/// What a round looks at.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Another follower has read and held back packets from this time on: of what was read before these are read again.
    pub again: Option<u64>,
    /// Nothing that lies further than this; `None`: all that there is.
    pub most: Option<&'a ReadSoFar>,
    /// There may be sealed segments that were not there in the last round.
    pub fresh: bool,
    /// Another recorder writes now: numbers that were given to nothing may be used again, so that holes say nothing.
    pub renumbered: bool,
}

impl ReadSoFar {
    /// With these offsets by number.
    pub fn new(upto: impl IntoIterator<Item = (u64, u64)>, done_below: u64) -> ReadSoFar {
        ReadSoFar { upto: upto.into_iter().collect(), done_below }
    }

    /// How far this one has been read.
    pub fn of(&self, number: u64) -> u64 {
        let rest = if number < self.done_below { WHOLE } else { 0 };
        self.upto.get(&number).copied().unwrap_or(rest)
    }

    /// The numbers of those that are named.
    pub fn named(&self) -> impl Iterator<Item = u64> + '_ {
        self.upto.keys().copied()
    }

    /// All with lower numbers have been read to their end, but for those that are named.
    pub fn done_below(&self) -> u64 {
        self.done_below
    }

    /// What of these holds where numbers above this one may have been given anew.
    pub fn up_to(&self, number: u64) -> ReadSoFar {
        let upto = self.upto.range(..=number).map(|(n, at)| (*n, *at));
        ReadSoFar { upto: upto.collect(), done_below: self.done_below.min(number.saturating_add(1)) }
    }

    /// The parts that have come since, and how far that is.
    pub fn next(
        &self,
        view: &View<'_>,
        q: &Question<'_>,
        look: Look<'_>,
        summary: &mut Summary,
    ) -> Result<(Vec<Part>, ReadSoFar), QueryError> {
        let mut parts = Vec::new();
        let Look { again: since, most: bound, fresh, renumbered } = look;
        let most = |number: u64| bound.map_or(WHOLE, |most| most.of(number));
        let held_back = Question { from: q.from.max(since.unwrap_or(0)), ..*q };
        let mut upto = BTreeMap::new();
        let mut read = |number: u64, end: u64| {
            let offset = upto.entry(number).or_insert_with(|| self.of(number));
            *offset = end.max(*offset);
        };
        for run in view.recent {
            let (number, span) = (run.reader().header().number, run.reader().span());
            let (old, most) = (self.of(number), most(number));
            if let Some(since) = since.filter(|_| span.start < old) {
                let part = Part::of_run(run, &held_back, summary);
                parts.extend(part.map(|p| p.without(std::slice::from_ref(&(old..WHOLE))).since(since)));
            }
            if span.end > old && old < most {
                parts.extend(Part::of_run(run, q, summary).map(|p| p.without(&[0..old, most..WHOLE])));
            }
            read(number, span.end);
        }
        let (in_memory, none): (_, Vec<Range<u64>>) = (view.in_memory(), Vec::new());
        for unsealed in &view.open {
            let number = unsealed.segment.number;
            let (old, most) = (self.of(number), most(number));
            let held = in_memory.get(&number).unwrap_or(&none);
            if unsealed.header.is_none() {
                // Left by the recorder before: nothing is added to it. Or one that grows, whose header could not be read just now: as far as
                // it was then, whatever its file has meanwhile, but for what memory has.
                let end = unsealed.segment.durable.unwrap_or(WHOLE);
                let most = most.min(end);
                let of_file =
                    |q: &Question<'_>, summary: &mut Summary| Part::of_file(unsealed.segment.clone(), q, summary);
                if let Some(since) = since.filter(|_| old > 0) {
                    parts.extend(
                        of_file(&held_back, summary)?
                            .map(|p| p.without(held).without(std::slice::from_ref(&(old..WHOLE))).since(since)),
                    );
                }
                if old < most {
                    parts.extend(of_file(q, summary)?.map(|p| p.without(held).without(&[0..old, most..WHOLE])));
                }
                read(number, end);
                continue;
            }
            let (start, end) = (unsealed.start(), unsealed.segment.durable.unwrap_or(0));
            if let Some(since) = since.filter(|_| old > 0) {
                for gap in gaps(start..end.min(old), held) {
                    parts.extend(Part::of_gap(unsealed, gap, &held_back, summary)?.map(|p| p.since(since)));
                }
            }
            for gap in gaps(start.max(old)..end.min(most), held) {
                parts.extend(Part::of_gap(unsealed, gap, q, summary)?);
            }
            read(number, end);
        }
        if fresh || since.is_some() {
            for sealed in view.sealed.iter().take_while(|_| view.pace.go_on()) {
                let number = sealed.id();
                self.of_sealed(
                    sealed,
                    (view, &in_memory),
                    [&held_back, q],
                    (since, most(number)),
                    &mut parts,
                    summary,
                )?;
                if number >= self.done_below || self.upto.contains_key(&number) {
                    read(number, WHOLE);
                }
            }
        } else {
            self.upto.iter().filter(|(_, at)| **at == WHOLE).for_each(|(number, _)| read(*number, WHOLE));
        }
        let grow: HashSet<u64> = view.open.iter().map(|u| u.segment.number).chain(view.made.iter().copied()).collect();
        view.made.iter().for_each(|&number| read(number, 0));
        // Besides these, what is sealed may be younger than others that were not looked at; but not once nobody writes.
        let last = view.sealed.iter().filter(|s| view.ended && s.is_own()).map(|s| s.segment.number).max();
        let next =
            ReadSoFar { done_below: grow.iter().chain(&last).map(|n| n + 1).fold(self.done_below, u64::max), upto };
        let there = |n: u64| grow.contains(&n) || in_memory.contains_key(&n) || own(&view.sealed, n).is_some();
        summary.expired_segments += match bound {
            _ if view.open.is_empty() && view.made.is_empty() && view.sealed.is_empty() => self.left_memory(&in_memory),
            Some(most) => self.gone_meanwhile(most, &there, renumbered),
            None => self.gone(&next, view, &there, renumbered),
        };
        Ok((parts, next.without_done(&grow)))
    }

    /// The parts of a sealed segment: what was read and is to be read again, and what lies further, up to `most`.
    fn of_sealed(
        &self,
        sealed: &Arc<Sealed>,
        (view, in_memory): (&View<'_>, &InMemory),
        [held_back, q]: [&Question<'_>; 2],
        (since, most): (Option<u64>, u64),
        parts: &mut Vec<Part>,
        summary: &mut Summary,
    ) -> Result<(), QueryError> {
        let old = self.of(sealed.id());
        let held = in_memory.get(&sealed.id()).map(Vec::as_slice).unwrap_or_default();
        let end = || match &sealed.skip {
            Some(skip) => Some(skip.about().end),
            None => std::fs::metadata(&sealed.segment.path).ok().map(|m| m.len()),
        };
        // Some of it is not in memory.
        let in_file = |range: Range<u64>| {
            let all = end().map(|end| range.start.max(view.start_of(sealed.id()))..range.end.min(end));
            !all.is_some_and(|all| gaps(all, held).is_empty())
        };
        if let Some(since) = since.filter(|_| old > 0 && in_file(0..old)) {
            let part = Part::of_sealed(sealed, held_back, summary)?;
            parts.extend(part.map(|p| p.without(held).without(std::slice::from_ref(&(old..WHOLE))).since(since)));
        }
        if old < most && in_file(old..most) {
            let part = Part::of_sealed(sealed, q, summary)?;
            parts.extend(part.map(|p| p.without(held).without(&[0..old, most..WHOLE])));
        }
        Ok(())
    }

    /// How many retention has taken before they were read: they were being read and are nowhere any more, or came and went between two rounds.
    fn gone(&self, next: &ReadSoFar, view: &View<'_>, there: &dyn Fn(u64) -> bool, renumbered: bool) -> u64 {
        let open = view.open.iter().map(|u| u.segment.number);
        let newest = open.chain(view.sealed.iter().rev().find(|s| s.is_own()).map(|s| s.segment.number)).max();
        let lost = |number: u64, upto: u64| match upto {
            WHOLE => false,
            // It had nothing yet. They are used in the order of their numbers: where a later one is, it had something.
            0 => !renumbered && newest.is_some_and(|newest| newest > number),
            _ => true,
        };
        let gone = self.upto.iter().filter(|(n, upto)| lost(**n, **upto) && !there(**n)).count() as u64;
        if self.done_below == 0 || renumbered {
            return gone;
        }
        // Numbers have no gaps: of the new ones each is somewhere, or was named and is counted by now.
        let new = self.done_below..next.done_below;
        let seen: BTreeSet<u64> =
            next.upto.range(new.clone()).chain(self.upto.range(new.clone())).map(|(n, _)| *n).collect();
        gone + (new.end - new.start).saturating_sub(seen.len() as u64)
    }

    /// Of memory alone: how many of those that were being read lack blocks behind what was read, since these have left it.
    fn left_memory(&self, in_memory: &InMemory) -> u64 {
        let begins =
            |n: &u64, upto: u64| in_memory.get(n)?.iter().filter(|span| span.end > upto).map(|span| span.start).min();
        let lacks = |(n, upto): &(&u64, &u64)| begins(n, **upto).is_some_and(|start| start > **upto);
        self.upto.iter().filter(|(_, upto)| **upto > 0).filter(lacks).count() as u64
    }

    /// How many of those that a round was to read to their end have gone since: whether it had done so nobody knows.
    fn gone_meanwhile(&self, most: &ReadSoFar, there: &dyn Fn(u64) -> bool, renumbered: bool) -> u64 {
        let named: BTreeSet<u64> = self.upto.keys().chain(most.upto.keys()).copied().collect();
        let gone = named.iter().filter(|n| most.of(**n) == WHOLE && self.of(**n) < WHOLE && !there(**n)).count() as u64;
        // Of a beginning those that had gone before are the ledger's to tell.
        let new = self.done_below..if renumbered || self.done_below == 0 { self.done_below } else { most.done_below };
        let unnamed = new.clone().filter(|n| !named.contains(n));
        gone + unnamed.take(GONE_TOLD).filter(|n| !there(*n)).count() as u64
    }

    /// Those that may grow are named, and those whose numbers are higher.
    fn without_done(mut self, grow: &HashSet<u64>) -> ReadSoFar {
        self.upto.retain(|n, _| *n >= self.done_below || grow.contains(n));
        self
    }
}
