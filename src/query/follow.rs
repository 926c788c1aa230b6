//! Following: the past, then what comes, each packet once and in the order of time. Owns how far it is, and the packets that are too new: others,
//! older ones, may still be on their way from another worker. A round reads what has come since the last one; from memory where it still is,
//! from the files where the follower was slow. Where it stands is a [`Cursor`], with which another one goes on.

use super::conn::Which;
use super::cursor::Cursor;
use super::engine::Means;
use super::interfaces::wanted;
use super::judge::Judge;
use super::lang::plan::Plan;
use super::merge::{Merge, Order};
use super::pace::Pace;
use super::part::Question;
use super::plans::{EVERYTHING, Plans};
use super::read_so_far::{Look, ReadSoFar};
use super::refused::{refused, since_then};
use super::run::{known_names, window};
use super::stands::{Recording, Resumed, Round, Stands};
use super::summary::{Met, MetPacket, SoFar, Summary, expired_of, rest_of_ledger};
use super::view::View;
use super::whose::Whose;
use super::{Answer, PacketSink, Query, QueryError};
use crate::conn::verdict::Mark;
use crate::ledger::ExpiredSpan;
use crate::limits::FOLLOW_HELD;
use crate::store::format::SegmentHeader;
use crate::store::reader::FoundPacket;
use crate::units;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// One follower.
pub struct Follower {
    query: Query,
    plans: Plans,
    judge: Judge,
    window: (u64, u64),
    stands: Stands,
    given: Given,
    /// What reading it took.
    summary: Summary,
    /// What had expired of the window when it began: what expires later it has read. `None`: it has not begun, or another one has.
    expired: Option<Vec<ExpiredSpan>>,
    resumed: bool,
    started: Instant,
}

/// What it has given out and what it holds back.
struct Given {
    held: BTreeMap<Order, (FoundPacket<'static>, Arc<SegmentHeader>)>,
    /// Memory that they take.
    held_bytes: usize,
    met: Met,
    whose: Whose,
    summary: Summary,
    limit: Option<u64>,
    interfaces: Vec<String>,
    /// Time of the latest packet.
    latest: Option<u64>,
}

impl Follower {
    /// A follower that has read nothing, or one that goes on where another one stood; `view` is only looked at for its times and classes.
    pub(super) fn new(
        query: &Query,
        means: Means<'_>,
        view: &View<'_>,
        recording: Recording<'_>,
        after: Option<&Cursor>,
    ) -> Result<Follower, QueryError> {
        known_names(query, view)?;
        let mut stands = Stands::new(recording);
        let window = match after {
            None => window(query, means, view, units::now())?,
            Some(cursor) => {
                stands.go_on(cursor, view)?;
                (cursor.from, query.until.unwrap_or(u64::MAX))
            }
        };
        let (mut connection, mut which) = (Plan::All, None);
        if let Some(conn) = &query.conn {
            connection = conn.plan();
            which = Some(Which::Ends(conn.clone()));
        } else if let Some(id) = &query.community {
            // Of what comes nobody knows the addresses yet.
            which = Some(Which::Community(id.clone()));
        }
        let plans = if query.full_scan { EVERYTHING.clone() } else { Plans::new(Plan::of(&query.filter), connection) };
        let judge = Judge::new(&query.filter, query.any_layer, which, means.compiled);
        let given = Given {
            held: BTreeMap::new(),
            held_bytes: 0,
            met: Met::new(means.counts),
            whose: Whose::default(),
            summary: Summary::default(),
            limit: query.limit,
            interfaces: query.interfaces.clone(),
            latest: after.map(|c| c.latest).filter(|t| *t > 0),
        };
        let (summary, started) = (Summary::default(), Instant::now());
        let (query, expired, resumed) = (query.clone(), None, after.is_some());
        let mut new = Follower { query, plans, judge, window, stands, given, summary, expired, resumed, started };
        if !new.query.filter.trim().is_empty() {
            let question = question(&new.query, &new.plans, new.window, view);
            new.summary.refused = refused(&mut new.judge, view, &question)?;
        }
        Ok(new)
    }

    /// Where it stands, so that another one can go on; to be asked between two rounds. `None`: nobody could.
    pub fn cursor(&self) -> Option<(Cursor, SoFar)> {
        let so_far = SoFar::lacking(&self.summary).with(&self.given.summary);
        Some((self.stands.cursor(self.window.0, self.given.latest)?, so_far))
    }

    /// Gives out what has come and is before `before`: all earlier packets are in `view`, which was looked at after `before` was
    /// asked for. True: that was the last, by the limit or the end of the window.
    pub(super) fn round(
        &mut self,
        means: Means<'_>,
        view: &View<'_>,
        before: u64,
        out: &mut dyn PacketSink,
    ) -> Result<bool, QueryError> {
        self.stands.look(view);
        if self.expired.is_none() && !self.resumed {
            // After the look: what goes from now on is missed and counted.
            self.expired = Some(means.told.expired(self.window.0, self.window.1)?);
        }
        if matches!(self.stands.resumed, Resumed::Round { .. })
            && let Resumed::Round { reading, before, last } =
                std::mem::replace(&mut self.stands.resumed, Resumed::HeldBack)
        {
            self.rest_of_round(view, (&reading, before, last), out)?;
            (self.stands.read, self.stands.settled) = (reading, before);
            if self.given.full() {
                return Ok(true);
            }
            // The round that is asked for comes all the same: it may be the last.
        }
        // A time that was said once holds: what is older and comes now is late.
        let (from, to) = self.window;
        let before = before.max(self.stands.settled);
        let held_back = matches!(self.stands.resumed, Resumed::HeldBack);
        let look = Look {
            again: held_back.then_some(self.stands.settled),
            most: None,
            fresh: !Arc::ptr_eq(&self.stands.shelf, &view.sealed),
            renumbered: self.stands.renumbered,
        };
        let question = question(&self.query, &self.plans, self.window, view);
        let (parts, reading) = self.stands.read.next(view, &question, look, &mut self.summary)?;
        let (mut merge, given) = (Merge::new(parts, false, None), &mut self.given);
        let lacking = SoFar::lacking(&self.summary);
        let mut round = Round { stands: &self.stands, from, before, reading: &reading, lacking };
        while !given.full() {
            let next = merge.next(&question, &mut self.judge, &mut self.summary, |p, reader, judge| {
                let h = reader.header();
                let order = (p.time, h.worker, h.number, p.offset);
                // What is held back for longer is: no packet of this round may overtake it.
                given.release(order.min((round.before, 0, 0, 0)), judge, &round, out)?;
                if p.time < round.before {
                    return given.give(p, h, judge, &round, out);
                }
                given.hold(order, p, reader.shared_header());
                Ok(())
            })?;
            match next {
                None => break,
                Some(done) => done?,
            }
            // More than that it does not hold back: what is older and comes later is late.
            while given.held_bytes > FOLLOW_HELD
                && let Some((first, _)) = given.held.first_key_value()
            {
                round.before = first.0.saturating_add(1);
                given.release((round.before, 0, 0, 0), &mut self.judge, &round, out)?;
            }
        }
        if let Some(why) = view.pace.stopped() {
            return Err(QueryError::Stopped(why));
        }
        given.release((round.before, 0, 0, 0), &mut self.judge, &round, out)?;
        let (settled, stands) = (round.before, &mut self.stands);
        (stands.read, stands.settled, stands.resumed, stands.shelf) =
            (reading, settled, Resumed::No, view.sealed.clone());
        stands.renumbered &= view.made.is_empty() && view.open.iter().all(|u| u.segment.durable.is_none());
        Ok(given.full() || before >= to)
    }

    /// What another follower's round was still to give: packets behind its last one. What it held back the next round finds.
    fn rest_of_round(
        &mut self,
        view: &View<'_>,
        (reading, before, last): (&ReadSoFar, u64, Order),
        out: &mut dyn PacketSink,
    ) -> Result<(), QueryError> {
        let from = self.window.0;
        let question = question(&self.query, &self.plans, (from.max(last.0), self.window.1), view);
        let renumbered = self.stands.renumbered;
        let look = Look { again: Some(self.stands.settled), most: Some(reading), fresh: true, renumbered };
        let (parts, _) = self.stands.read.next(view, &question, look, &mut self.summary)?;
        let (mut merge, given) = (Merge::new(parts, false, None), &mut self.given);
        let lacking = SoFar::lacking(&self.summary);
        let round = Round { stands: &self.stands, from, before, reading, lacking };
        let mut over = false;
        while !given.full() && !over {
            let next = merge.next(&question, &mut self.judge, &mut self.summary, |p, reader, judge| {
                let h = reader.header();
                over = p.time >= before;
                if over || (p.time, h.worker, h.number, p.offset) <= last {
                    return Ok(());
                }
                given.give(p, h, judge, &round, out)
            })?;
            match next {
                None => break,
                Some(done) => done?,
            }
        }
        view.pace.stopped().map_or(Ok(()), |why| Err(QueryError::Stopped(why)))
    }

    /// The end: what is missing from all that was given out.
    pub(super) fn finish(self, means: Means<'_>, pace: &dyn Pace) -> Result<Summary, QueryError> {
        let Follower { query, mut given, summary: mut read, judge, window: (from, to), expired, started, .. } = self;
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
        let gone = expired.map_or_else(|| means.told.expired(from, to.min(now)), Ok)?;
        expired_of(gone, to.min(now), &query.classes, &mut summary);
        rest_of_ledger(means.told, (from, to.min(now)), &query.classes, now, &mut summary)?;
        summary.elapsed_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Ok(summary.concluded())
    }
}

impl Given {
    fn full(&self) -> bool {
        self.limit.is_some_and(|l| self.summary.packets >= l)
    }

    /// Holds back one that is too new.
    fn hold(&mut self, order: Order, p: &FoundPacket<'_>, header: Arc<SegmentHeader>) {
        let p = p.clone().into_owned();
        self.held_bytes += held_bytes(&p);
        self.held.insert(order, (p, header));
    }

    /// Gives out what is held and comes before this.
    fn release(
        &mut self,
        before: Order,
        judge: &mut Judge,
        round: &Round<'_>,
        out: &mut dyn PacketSink,
    ) -> Result<(), QueryError> {
        while let Some(first) = self.held.first_entry().filter(|e| *e.key() < before) {
            let (p, header) = first.remove();
            self.held_bytes = self.held_bytes.saturating_sub(held_bytes(&p));
            self.give(&p, &header, judge, round, out)?;
        }
        Ok(())
    }

    fn give(
        &mut self,
        p: &FoundPacket<'_>,
        header: &SegmentHeader,
        judge: &mut Judge,
        round: &Round<'_>,
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
        s.late += u64::from(self.latest.is_some_and(|latest| p.time < latest));
        self.latest = Some(self.latest.map_or(p.time, |t| t.max(p.time)));
        s.first = Some(s.first.map_or(p.time, |t| t.min(p.time)));
        s.last = Some(s.last.map_or(p.time, |t| t.max(p.time)));
        s.limited = self.limit.is_some_and(|l| s.packets >= l);
        let (cut, begins) = (p.mark == Mark::CutHere, named.begins);
        self.met.note(MetPacket { key: named.key, time: p.time, begins, cut, moved: false });
        let (order, latest) = ((p.time, header.worker, header.number, p.offset), self.latest);
        out.given(&|| Some((round.cursor(order, latest)?, round.lacking.with(&self.summary))))?;
        Ok(())
    }
}

/// Memory that one takes which is held back.
fn held_bytes(p: &FoundPacket<'_>) -> usize {
    p.data.len() + p.options.len() + 200
}

fn question<'a>(query: &'a Query, plans: &'a Plans, (from, to): (u64, u64), view: &View<'a>) -> Question<'a> {
    let (classes, interfaces) = (&query.classes[..], &query.interfaces[..]);
    Question { plans, from, to, classes, interfaces, full_scan: query.full_scan, pace: view.pace }
}
