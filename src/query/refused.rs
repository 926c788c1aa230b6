//! Link types for which libpcap refuses the expression: whose packets could not be asked, how many, and in libpcap's words why. Where that
//! is all that the store has, the question is refused. Called before a query begins; opens no segment but to name interfaces, or to know the times
//! of one that has no index.

use super::QueryError;
use super::interfaces::wanted;
use super::judge::{self, Judge};
use super::part::Question;
use super::run::link_types;
use super::summary::Refused;
use super::view::View;
use crate::filter::{FilterError, link_type_name};
use crate::limits::REFUSED_NAMED;
use crate::store::format::SegmentHeader;
use crate::store::list::SegmentRef;
use std::collections::BTreeMap;

/// Packets of one link type.
#[derive(Default)]
struct Held {
    packets: u64,
    interfaces: Vec<String>,
    /// Sealed segments, whose headers tell interfaces.
    unread: Vec<usize>,
    /// Some of them are of the window's times, as far as is known without a look at a block.
    timely: bool,
    /// Segments that tell their times only if they are opened, and whether their packets have been counted.
    untimed: Vec<(SegmentRef, bool)>,
}

impl Held {
    fn header(&mut self, h: &SegmentHeader) {
        for i in &h.interfaces {
            if self.interfaces.len() < REFUSED_NAMED && !self.interfaces.contains(&i.name) {
                self.interfaces.push(i.name.clone());
            }
        }
    }

    /// Whether any of it may be of the window.
    fn may_overlap(&mut self, q: &Question<'_>) -> bool {
        for (segment, counted) in std::mem::take(&mut self.untimed).into_iter().take_while(|_| q.pace.go_on()) {
            match segment.open() {
                Ok(Some(reader)) => {
                    let times = || reader.blocks().iter().map(|b| &b.totals);
                    // What can't be read may be of any time.
                    if !reader.bad().is_empty() || times().any(|t| q.overlaps(t.first, t.last)) {
                        self.timely = true;
                        let packets = || times().map(|t| u64::from(t.packets)).sum::<u64>();
                        self.packets += if counted { 0 } else { packets() };
                    }
                }
                Ok(None) => {}
                Err(_) => self.timely = true,
            }
        }
        self.timely
    }
}

/// What of the question's window and classes can't be asked; an error if no link type of all that the store has takes the expression, whatever the
/// window and the classes, or if it has nothing and no link type at all takes it. Where only what is asked for can't be asked that is no error:
/// the answer lacks it, and says so.
pub(super) fn refused(judge: &mut Judge, view: &View<'_>, q: &Question<'_>) -> Result<Vec<Refused>, QueryError> {
    let held = held(view, q);
    let mut errors: Vec<(u16, Held, FilterError)> = Vec::new();
    let mut asked = false;
    for (link_type, held) in held {
        match judge.refuses(link_type) {
            None => asked = true,
            Some(FilterError::Refused { message, near }) => {
                errors.push((link_type, held, FilterError::Refused { message, near }));
            }
            // Nobody's packets can be asked that.
            Some(other) => return Err(other.into()),
        }
    }
    let mut elsewhere = None;
    if !asked {
        for link_type in link_types(view) {
            match judge.refuses(link_type) {
                None => asked = true,
                Some(error) => elsewhere = elsewhere.or(Some((link_type, error))),
            }
        }
    }
    if !asked {
        errors.sort_by_key(|(link_type, held, _)| (std::cmp::Reverse(held.packets), *link_type));
        let first = errors.into_iter().next().map(|(link_type, _, error)| (link_type, error));
        return match first.or(elsewhere) {
            // With its place in the text.
            Some((link_type, error)) => {
                Err(judge::check(judge.text(), link_type).err().unwrap_or(error).of_link_type(link_type).into())
            }
            None => Ok(judge::check_any(judge.text()).map(|()| Vec::new())?),
        };
    }
    let told = |(link_type, mut held, error): (u16, Held, FilterError)| {
        let unread = std::mem::take(&mut held.unread);
        for sealed in unread.into_iter().take(REFUSED_NAMED).filter_map(|at| view.sealed.get(at)) {
            sealed.segment.header().into_iter().for_each(|h| held.header(&h));
        }
        let (packets, interfaces) = (held.packets, held.interfaces);
        Refused { link_type, name: link_type_name(link_type), interfaces, packets, error: error.reason() }
    };
    // Where no packet can match none is missing.
    errors.retain_mut(|(_, held, error)| !error.rejects_all() && held.may_overlap(q));
    Ok(errors.into_iter().map(told).collect())
}

/// Adds link types that have come up since.
pub(super) fn since_then(judge: &Judge, refused: &mut Vec<Refused>) {
    let mut new: Vec<Refused> = Vec::new();
    for (link_type, error) in
        judge.refused().filter(|(l, e)| !e.rejects_all() && refused.iter().all(|r| r.link_type != *l))
    {
        let (name, interfaces) = (link_type_name(link_type), Vec::new());
        new.push(Refused { link_type, name, interfaces, packets: 0, error: error.reason() });
    }
    new.sort_by_key(|r| r.link_type);
    refused.append(&mut new);
}

/// What there is, by link type.
fn held(view: &View<'_>, q: &Question<'_>) -> BTreeMap<u16, Held> {
    let mut all: BTreeMap<u16, Held> = BTreeMap::new();
    let in_memory = view.in_memory();
    let mut header = |h: &SegmentHeader, packets: u64, untimed: Option<&SegmentRef>| {
        if let Some(i) = h.interfaces.iter().find(|i| wanted(q.interfaces, i))
            && q.wants_class(&h.class)
        {
            let held = all.entry(i.link_type).or_default();
            held.packets += packets;
            held.header(h);
            held.timely |= untimed.is_none();
            held.untimed.extend(untimed.map(|s| (s.clone(), in_memory.contains_key(&h.number))));
        }
    };
    for run in view.recent.iter().filter(|r| r.packets() > 0 && q.overlaps(r.times().0, r.times().1)) {
        header(run.reader().header(), run.packets(), None);
    }
    for open in &view.open {
        match &open.header {
            Some(h) => header(h, 0, Some(&open.segment)),
            None => match open.segment.header() {
                Ok(h) => header(&h, 0, Some(&open.segment)),
                // It has moved since, or is unused.
                Err(_) => {
                    let opened = open.segment.open().into_iter().flatten();
                    opened.for_each(|r| header(r.header(), 0, Some(&open.segment)));
                }
            },
        }
    }
    for (at, sealed) in view.sealed.iter().enumerate().filter(|(_, s)| s.may_overlap(q)) {
        match sealed.about().filter(|_| q.interfaces.is_empty()) {
            Some(about) => {
                let held = all.entry(about.link_type).or_default();
                // What of it lies in memory has been counted.
                held.packets += if in_memory.contains_key(&sealed.id()) { 0 } else { about.packets };
                held.unread.push(at);
                held.timely = true;
            }
            None => sealed.segment.header().into_iter().for_each(|h| {
                if let Some(i) = h.interfaces.iter().find(|i| wanted(q.interfaces, i))
                    && q.wants_class(&h.class)
                {
                    let held = all.entry(i.link_type).or_default();
                    held.header(&h);
                    match sealed.about() {
                        Some(about) => (held.packets, held.timely) = (held.packets + about.packets, true),
                        None => held.untimed.push((sealed.segment.clone(), in_memory.contains_key(&sealed.id()))),
                    }
                }
            }),
        }
    }
    all
}
