//! A query from start to end: window, plan, segments, merge, judge, summary. Called by the CLI, by the recorder's query threads and by
//! tests. What reads and sifts for it runs on threads of its own, at the priority of its caller.

use super::conn::Which;
use super::engine::{Engine, Means, Shelf};
use super::extensions::behind_extensions;
use super::foreseen::Foreseen;
use super::interfaces;
use super::judge::{self, Compiled, Judge};
use super::lang::plan::Plan;
use super::merge::Merge;
use super::output::Nothing;
use super::pace::{Freely, Pace, Stopped};
use super::part::{Part, Question};
use super::plans::{EVERYTHING, Plans};
use super::refused::refused;
use super::summary::{Met, MetPacket, NothingFound, Summary, beyond_memory, from_ledger};
use super::view::View;
use super::whose::Whose;
use super::{Answer, PacketSink, Query, QueryError};
use crate::conn::verdict::Mark;
use crate::index::Run;
use crate::store::disk::fault;
use crate::store::list::{self, SegmentRef};
use crate::store::live::Unsealed;
use crate::units;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// Answers `query` into `out`.
pub fn run(query: &Query, out: &mut dyn PacketSink) -> Result<Summary, QueryError> {
    run_with(query, &[], out)
}

/// The same where this process records into the store: `recent` are blocks in memory, as they were BEFORE this call, so that each
/// is there or has been published as durable. What lies in them is read from memory and not from its file.
pub fn run_with(query: &Query, recent: &[Arc<Run>], out: &mut dyn PacketSink) -> Result<Summary, QueryError> {
    Engine::new(&query.store).answer(query, recent, &Freely, out)
}

impl Engine {
    /// Answers a query of this store; `recent` as for [`run_with`].
    pub fn answer(
        &self,
        query: &Query,
        recent: &[Arc<Run>],
        pace: &dyn Pace,
        out: &mut dyn PacketSink,
    ) -> Result<Summary, QueryError> {
        answer(query, self.means(), &self.view(query, recent, pace)?, out).map(|(summary, _)| summary)
    }

    /// An error for a class or an interface that nobody has heard of.
    pub fn known_names(&self, query: &Query) -> Result<(), QueryError> {
        let none = query.classes.is_empty() && query.interfaces.is_empty();
        if none { Ok(()) } else { known_names(query, &self.view(query, &[], &Freely)?) }
    }

    /// What there is now, as the files say.
    pub fn view<'a>(&self, query: &Query, recent: &'a [Arc<Run>], pace: &'a dyn Pace) -> Result<View<'a>, QueryError> {
        let (open, sealed) = if query.memory_only { Default::default() } else { self.segments()? };
        let open = open.into_iter().map(|segment| Unsealed { segment, header: None }).collect();
        Ok(View { open, made: Vec::new(), sealed, ended: false, recent, pace })
    }

    /// The same in the recorder's own process: `open` are its unsealed segments, looked at after `recent`.
    pub fn answer_live(
        &self,
        query: &Query,
        recent: &[Arc<Run>],
        open: Vec<Unsealed>,
        pace: &dyn Pace,
        out: &mut dyn PacketSink,
    ) -> Result<Summary, QueryError> {
        let mut view = View { open, made: Vec::new(), sealed: Shelf::default(), ended: false, recent, pace };
        if query.memory_only {
            view.open.clear();
        } else {
            view.sealed = self.shelf()?;
            view.once();
        }
        answer(query, self.means(), &view, out).map(|(summary, _)| summary)
    }
}

/// Whether libpcap takes an expression.
pub(super) fn compiles(text: &str) -> Result<(), QueryError> {
    let mut judge = Judge::new(text, false, None, &Compiled::default());
    let refused = judge.refuses(ETHERNET).and_then(|_| judge::check(text, ETHERNET).err());
    refused.map_or(Ok(()), |error| Err(error.into()))
}

/// The summary, and the connections that were met; of an empty answer also what there would have been to find.
pub(super) fn answer(
    query: &Query,
    means: Means<'_>,
    view: &View<'_>,
    out: &mut dyn PacketSink,
) -> Result<(Summary, Met), QueryError> {
    let faults = fault::count();
    let (mut summary, met) = found(query, means, view, out)?;
    let s = &mut summary;
    if fault::count() > faults && s.damaged_segments + s.damaged_blocks + s.damaged_packets + s.damaged_indexes == 0 {
        // Somewhere bytes left memory after they were summed, and can't be read any more.
        s.damaged_blocks += 1;
    }
    if summary.packets == 0 && query.limit != Some(0) {
        let window = (summary.since.unwrap_or(0), summary.until.unwrap_or(u64::MAX));
        summary.nothing = Some(NothingFound::of(query, view, window, units::now(), &summary));
    }
    Ok((summary, met))
}

fn found(
    query: &Query,
    means: Means<'_>,
    view: &View<'_>,
    out: &mut dyn PacketSink,
) -> Result<(Summary, Met), QueryError> {
    let started = Instant::now();
    let now = units::now();
    let mut summary = Summary { asked_at: now, ..Summary::default() };
    if means.at_hand && !query.interfaces.is_empty() {
        // Whether there is one of this name, headers of files may have to tell.
        return Err(QueryError::Stopped(Stopped::NotAtHand));
    }
    known_names(query, view)?;
    let (from, to) = window(query, means, view, now)?;
    (summary.since, summary.until) = ((from > 0).then_some(from), (to < u64::MAX).then_some(to));

    let everything = Question {
        plans: &EVERYTHING,
        from,
        to,
        classes: &query.classes,
        interfaces: &query.interfaces,
        full_scan: query.full_scan,
        pace: view.pace,
    };
    let ((plan, idle), mut connection, mut which) = (Plan::with_idle(&query.filter), Plan::All, None);
    if let Some(conn) = &query.conn {
        connection = conn.plan();
        which = Some(Which::Ends(conn.clone()));
    } else if let Some(id) = &query.community {
        connection = id.plan(&view.sealed, view.recent, &everything);
        which = Some(Which::Community(id.clone()));
    }
    let plans = if query.full_scan { EVERYTHING.clone() } else { Plans::new(plan, connection) };
    (summary.plan, summary.idle) = (plans.whole().to_string(), idle);
    let question = Question {
        plans: &plans,
        from,
        to,
        classes: &query.classes,
        interfaces: &query.interfaces,
        full_scan: query.full_scan,
        pace: view.pace,
    };
    if means.at_hand && !(query.filter.trim().is_empty() || means.compiled.has(query.filter.trim())) {
        return Err(QueryError::Stopped(Stopped::NotAtHand));
    }
    let mut judge = Judge::new(&query.filter, query.any_layer, which, means.compiled);
    if !query.filter.trim().is_empty() {
        summary.refused = refused(&mut judge, view, &question)?;
    }
    let parts = view.parts(&question, &mut summary)?;
    let (mut whose, mut met, foreseen) = (Whose::default(), Met::new(means.counts), Foreseen::new(means.told));
    let mut merge = Merge::new(parts, query.limit.is_none(), Some(&foreseen));
    loop {
        let limited = query.limit.is_some_and(|limit| summary.packets >= limit);
        let next = merge.next(&question, &mut judge, &mut summary, |p, reader, judge| {
            let Some(interface) = reader.interfaces().get(p.iface as usize) else { return Ok(None) };
            if !interfaces::wanted(&query.interfaces, interface) {
                return Ok(None);
            }
            let mut named = whose.of(reader.header(), p);
            let key = named.key;
            if judge.asks_connection() {
                named = whose.ask_first(named, p.time, (&plans, means, view))?;
                if !judge.belongs(&named) {
                    return Ok(None);
                }
            }
            if limited {
                return Ok(Some(None));
            }
            let segment = reader.header();
            let (data, options) = (&*p.data, &*p.options);
            out.packet(&Answer { time: p.time, wire_len: p.wire_len, data, options, interface, segment })?;
            let (cut, begins, moved) = (p.mark == Mark::CutHere, named.begins, named.key != key);
            let met = MetPacket { key: named.key, time: p.time, begins, cut, moved };
            Ok::<_, QueryError>(Some(Some((p.wire_len, met))))
        })?;
        match next.transpose()? {
            None => break,
            Some(None) => {}
            Some(Some(None)) => {
                summary.limited = true;
                break;
            }
            Some(Some(Some((wire_len, packet)))) => {
                summary.packets += 1;
                summary.bytes += u64::from(wire_len);
                summary.first.get_or_insert(packet.time);
                summary.last = Some(packet.time);
                met.note(packet);
            }
        }
    }
    if let Some(why) = view.pace.stopped() {
        return Err(QueryError::Stopped(why));
    }
    foreseen.wait();
    met.settle(means, view.pace, &mut summary)?;
    if let Some(why) = view.pace.stopped() {
        return Err(QueryError::Stopped(why));
    }
    from_ledger(means.told, (from, to), &query.classes, now, &mut summary)?;
    if query.memory_only {
        beyond_memory(means, from, &query.classes, &mut summary)?;
    }
    if summary.packets == 0 && !query.any_layer && query.limit != Some(0) && *plans.whole() != Plan::All {
        summary.try_any_layer = exists_deeper(query, means, view)?;
    }
    if summary.packets == 0 && !summary.try_any_layer && question.pace.stopped().is_none() {
        summary.behind_extensions = behind_extensions(query, view, &question);
    }
    summary.elapsed_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    Ok((summary.concluded(), met))
}

pub(super) const ETHERNET: u16 = 1;

/// A name that nobody has heard of is a slip of the pen.
pub fn known_names(query: &Query, view: &View<'_>) -> Result<(), QueryError> {
    known_classes(query, view)?;
    interfaces::known(query, view)
}

/// A class that has no packet yet is known all the same.
fn known_classes(query: &Query, view: &View<'_>) -> Result<(), QueryError> {
    if query.classes.is_empty() {
        return Ok(());
    }
    let in_memory = view.recent.iter().map(|r| r.reader().header().class.as_str());
    let open = view.open.iter().filter_map(|s| s.segment.class.as_deref());
    let sealed = view.sealed.iter().filter_map(|s| s.segment.class.as_deref());
    let mut have: BTreeSet<String> = sealed.chain(in_memory).chain(open).map(str::to_owned).collect();
    let missing = |have: &BTreeSet<String>| query.classes.iter().find(|c| !have.contains(*c)).cloned();
    if missing(&have).is_some() {
        // Segments that another process writes do not tell theirs in the listing.
        have.extend(view.open.iter().filter_map(|s| Some(s.segment.open().ok()??.header().class.clone())));
        have.extend(list::class_names(&query.store));
    }
    match missing(&have) {
        Some(class) => Err(QueryError::Class { class, have: Vec::from_iter(have).join(", ") }),
        None => Ok(()),
    }
}

/// From and to, Unix ns, the end exclusive.
pub(super) fn window(query: &Query, means: Means<'_>, view: &View<'_>, now: u64) -> Result<(u64, u64), QueryError> {
    let (from, to) = (query.since.unwrap_or(0), query.until.unwrap_or(u64::MAX));
    let Some(last) = query.last else { return Ok((from, to)) };
    if !means.told.only_imported()? {
        return Ok((now.saturating_sub(last), to));
    }
    let mut newest = Summary::default();
    let everything = Question {
        plans: &EVERYTHING,
        from: 0,
        to: u64::MAX,
        classes: &[],
        interfaces: &[],
        full_scan: false,
        pace: &Freely,
    };
    for open in &view.open {
        Part::of_file(open.segment.clone(), &everything, &mut newest)?;
    }
    for sealed in view.sealed.iter() {
        Part::of_sealed(sealed, &everything, &mut newest)?;
    }
    Ok((newest.store_last().unwrap_or(now).saturating_sub(last), to))
}

/// Link types of the segments, those that can be opened.
pub(super) fn link_types(view: &View<'_>) -> Vec<u16> {
    // By its first bytes; one that has moved since is found by the long way.
    let opened = |s: &SegmentRef| match s.header() {
        Ok(header) => header.interfaces.first().map(|i| i.link_type),
        Err(_) => Some(s.open().ok()??.link_type()),
    };
    let sealed = view.sealed.iter().filter_map(|s| match s.about() {
        Some(about) => Some(about.link_type),
        None => opened(&s.segment),
    });
    let memory = view.recent.iter().map(|r| r.reader().link_type());
    let mut types: Vec<u16> =
        view.open.iter().map(|u| &u.segment).filter_map(opened).chain(sealed).chain(memory).collect();
    types.sort_unstable();
    types.dedup();
    types
}

/// Whether the same question finds something inside tags or tunnels.
fn exists_deeper(query: &Query, means: Means<'_>, view: &View<'_>) -> Result<bool, QueryError> {
    let deeper = Query { any_layer: true, limit: Some(1), ..query.clone() };
    Ok(found(&deeper, means, view, &mut Nothing)?.0.packets > 0)
}
