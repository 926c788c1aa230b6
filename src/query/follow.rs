//! Following: the past, then what comes, each packet once and in the order of time. Owns a place for each segment (all before this
//! offset was given out), and the packets that are too new: others, older ones, may still be on their way from another worker. A
//! round reads what has come since the last one; from memory where it still is, from the files where the follower was slow.

use super::conn::Which;
use super::engine::{Means, Shelf};
use super::interfaces::wanted;
use super::judge::Judge;
use super::lang::plan::Plan;
use super::merge::Merge;
use super::pace::Pace;
use super::part::{Part, Question};
use super::plans::{EVERYTHING, Plans};
use super::refused::{refused, since_then};
use super::run::{known_names, window};
use super::summary::{Met, MetPacket, Summary, from_ledger};
use super::view::{View, gaps};
use super::whose::Whose;
use super::{Answer, PacketSink, Query, QueryError};
use crate::conn::verdict::Mark;
use crate::store::format::SegmentHeader;
use crate::store::reader::FoundPacket;
use crate::units;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::slice;
use std::sync::Arc;
use std::time::Instant;

/// Time, worker, segment, offset: the order of an answer.
type Order = (u64, u16, u64, u64);

/// One follower.
pub struct Follower {
    query: Query,
    plans: Plans,
    judge: Judge,
    window: (u64, u64),
    places: Places,
    given: Given,
    /// What reading it took.
    read: Summary,
    started: Instant,
}

/// How far it has read.
#[derive(Default)]
struct Places {
    /// By segment: all before this offset.
    upto: HashMap<u64, u64>,
    /// Sealed, and read to their end.
    finished: HashSet<u64>,
    /// The sealed ones of the last round.
    shelf: Shelf,
    /// The highest number of the last round.
    newest: Option<u64>,
}

/// What it has given out and what it holds back.
struct Given {
    held: BTreeMap<Order, (FoundPacket<'static>, Arc<SegmentHeader>)>,
    met: Met,
    whose: Whose,
    summary: Summary,
    limit: Option<u64>,
    interfaces: Vec<String>,
}

impl Follower {
    /// A follower that has read nothing; `view` is only looked at for its times and classes.
    pub(super) fn new(query: &Query, means: Means<'_>, view: &View<'_>) -> Result<Follower, QueryError> {
        known_names(query, view)?;
        let window = window(query, means, view, units::now())?;
        let (mut connection, mut which) = (Plan::All, None);
        if let Some(conn) = &query.conn {
            connection = conn.plan();
            which = Some(Which::Ends(conn.clone()));
        } else if let Some(id) = &query.community {
            // Of what comes nobody knows the addresses yet.
            which = Some(Which::Community(id.clone()));
        }
        let plans = if query.full_scan { EVERYTHING.clone() } else { Plans::new(Plan::of(&query.filter), connection) };
        let mut judge = Judge::new(&query.filter, query.any_layer, which, means.compiled);
        let (from, to) = window;
        let question = Question {
            plans: &plans,
            from,
            to,
            classes: &query.classes,
            interfaces: &query.interfaces,
            full_scan: query.full_scan,
            pace: view.pace,
        };
        let mut read = Summary::default();
        if !query.filter.trim().is_empty() {
            read.refused = refused(&mut judge, view, &question)?;
        }
        let given = Given {
            held: BTreeMap::new(),
            met: Met::new(means.counts),
            whose: Whose::default(),
            summary: Summary::default(),
            limit: query.limit,
            interfaces: query.interfaces.clone(),
        };
        let places = Places::default();
        Ok(Follower { query: query.clone(), plans, judge, window, places, given, read, started: Instant::now() })
    }

    /// Gives out what has come and is before `before`: all earlier packets are in `view`, which was looked at after `before` was
    /// asked for. True: that was the last, by the limit or the end of the window.
    pub fn round(&mut self, view: &View<'_>, before: u64, out: &mut dyn PacketSink) -> Result<bool, QueryError> {
        let (from, to) = self.window;
        let question = Question {
            plans: &self.plans,
            from,
            to,
            classes: &self.query.classes,
            interfaces: &self.query.interfaces,
            full_scan: self.query.full_scan,
            pace: view.pace,
        };
        let (parts, places) = self.places.next(view, &question, &mut self.read)?;
        let (mut merge, given) = (Merge::new(parts, false, None), &mut self.given);
        while !given.full() {
            let next = merge.next(&question, &mut self.judge, &mut self.read, |p, reader, judge| {
                let h = reader.header();
                let order = (p.time, h.worker, h.number, p.offset);
                given.release(order, judge, out)?;
                if p.time < before {
                    return given.give(p, h, judge, out);
                }
                given.held.insert(order, (p.clone().into_owned(), reader.shared_header()));
                Ok(())
            })?;
            match next {
                None => break,
                Some(done) => done?,
            }
        }
        if let Some(why) = view.pace.stopped() {
            return Err(QueryError::Stopped(why));
        }
        self.places = places;
        given.release((before, 0, 0, 0), &mut self.judge, out)?;
        Ok(given.full() || before >= to)
    }

    /// The end: what is missing from all that was given out.
    pub(super) fn finish(self, means: Means<'_>, pace: &dyn Pace) -> Result<Summary, QueryError> {
        let Follower { query, mut given, mut read, judge, window: (from, to), started, .. } = self;
        since_then(&judge, &mut read.refused);
        let Summary { packets, bytes, first, last, limited, late, .. } = given.summary;
        let mut summary = Summary { packets, bytes, first, last, limited, late, ..read };
        (summary.since, summary.until) = ((from > 0).then_some(from), (to < u64::MAX).then_some(to));
        let now = units::now();
        summary.asked_at = now;
        given.met.settle(means, pace, &mut summary)?;
        if let Some(why) = pace.stopped() {
            return Err(QueryError::Stopped(why));
        }
        from_ledger(means.told, (from, to.min(now)), &query.classes, now, &mut summary)?;
        summary.elapsed_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Ok(summary.concluded())
    }
}

impl Given {
    fn full(&self) -> bool {
        self.limit.is_some_and(|l| self.summary.packets >= l)
    }

    /// Gives out what is held and comes before this.
    fn release(&mut self, before: Order, judge: &mut Judge, out: &mut dyn PacketSink) -> Result<(), QueryError> {
        while let Some(first) = self.held.first_entry().filter(|e| *e.key() < before) {
            let (p, header) = first.remove();
            self.give(&p, &header, judge, out)?;
        }
        Ok(())
    }

    fn give(
        &mut self,
        p: &FoundPacket<'_>,
        header: &SegmentHeader,
        judge: &mut Judge,
        out: &mut dyn PacketSink,
    ) -> Result<(), QueryError> {
        let Some(interface) = header.interfaces.get(p.iface as usize) else { return Ok(()) };
        let named = self.whose.of(header, p);
        if self.full() || !wanted(&self.interfaces, interface) || !judge.belongs(&named) {
            return Ok(());
        }
        let (data, options) = (&*p.data, &*p.options);
        out.packet(&Answer { time: p.time, wire_len: p.wire_len, data, options, interface, segment: header })?;
        let s = &mut self.summary;
        s.packets += 1;
        s.bytes += u64::from(p.wire_len);
        s.late += u64::from(s.last.is_some_and(|last| p.time < last));
        s.first = Some(s.first.map_or(p.time, |t| t.min(p.time)));
        s.last = Some(s.last.map_or(p.time, |t| t.max(p.time)));
        s.limited = self.limit.is_some_and(|l| s.packets >= l);
        let (cut, begins) = (p.mark == Mark::CutHere, named.begins);
        self.met.note(MetPacket { key: named.key, time: p.time, begins, cut, moved: false });
        Ok(())
    }
}

impl Places {
    /// The parts that have come since, and the places after them.
    fn next(
        &self,
        view: &View<'_>,
        q: &Question<'_>,
        summary: &mut Summary,
    ) -> Result<(Vec<Part>, Places), QueryError> {
        let mut parts = Vec::new();
        let mut next = Places {
            upto: self.upto.clone(),
            finished: HashSet::new(),
            shelf: view.sealed.clone(),
            newest: self.newest,
        };
        let upto = |number: u64| self.upto.get(&number).copied().unwrap_or(0);
        let fresh = |number: u64| !self.finished.contains(&number);
        for run in view.recent {
            let (number, span) = (run.reader().header().number, run.reader().span());
            if fresh(number) && span.end > upto(number) {
                parts.extend(Part::of_run(run, q, summary).map(|p| p.without(slice::from_ref(&(0..upto(number))))));
                let place = next.upto.entry(number).or_insert(0);
                *place = span.end.max(*place);
            }
        }
        let (held, none): (HashMap<u64, Vec<Range<u64>>>, _) = (view.in_memory(), Vec::new());
        for unsealed in &view.open {
            let (number, end) = (unsealed.segment.number, unsealed.segment.durable.unwrap_or(0));
            for gap in gaps(unsealed.start().max(upto(number))..end, held.get(&number).unwrap_or(&none)) {
                parts.extend(Part::of_gap(unsealed, gap, q, summary)?);
            }
            let place = next.upto.entry(number).or_insert(0);
            *place = end.max(*place);
        }
        if Arc::ptr_eq(&self.shelf, &view.sealed) {
            next.finished.clone_from(&self.finished);
        } else {
            for sealed in view.sealed.iter().take_while(|_| view.pace.go_on()) {
                let number = sealed.id();
                next.finished.insert(number);
                next.upto.remove(&number);
                let end = match &sealed.skip {
                    Some(skip) => Some(skip.about().end),
                    None => std::fs::metadata(&sealed.segment.path).ok().map(|m| m.len()),
                };
                let held = held.get(&number).unwrap_or(&none);
                let start = view.start_of(number).max(upto(number));
                if fresh(number) && !end.is_some_and(|end| gaps(start..end, held).is_empty()) {
                    let part = Part::of_sealed(sealed, q, summary)?;
                    parts.extend(part.map(|p| p.without(held).without(slice::from_ref(&(0..upto(number))))));
                }
            }
        }
        // What was being read and is nowhere any more was taken by retention, ...
        let mut there: HashSet<u64> = view.open.iter().map(|u| u.segment.number).chain(held.keys().copied()).collect();
        next.upto.retain(|number, upto| {
            let stays = there.contains(number);
            summary.expired_segments += u64::from(!stays && *upto > 0 && !next.finished.contains(number));
            stays
        });
        // ... and so were those that came and went between two rounds: numbers have no gaps.
        there.extend(view.sealed.iter().filter(|s| s.is_own()).map(|s| s.segment.number));
        next.newest = there.iter().copied().max().max(self.newest);
        if let (Some(before), Some(newest)) = (self.newest, next.newest) {
            let seen = there.iter().filter(|&&number| number > before).count() as u64;
            summary.expired_segments += (newest - before).saturating_sub(seen);
        }
        Ok((parts, next))
    }
}
