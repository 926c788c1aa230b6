//! Link types for which libpcap refuses the expression: whose packets could not be asked, how many, and in libpcap's words why. Where that
//! is all that is asked, so is the question refused. Called before a query begins; opens no segment but to name interfaces.

use super::QueryError;
use super::interfaces::wanted;
use super::judge::Judge;
use super::part::Question;
use super::run::link_types;
use super::summary::Refused;
use super::view::View;
use crate::filter::{Filter, FilterError, link_type_name};
use crate::limits::REFUSED_NAMED;
use crate::store::format::SegmentHeader;
use std::collections::BTreeMap;

/// Packets of one link type.
#[derive(Default)]
struct Held {
    packets: u64,
    interfaces: Vec<String>,
    /// Sealed segments, whose headers tell interfaces.
    unread: Vec<usize>,
}

impl Held {
    fn header(&mut self, h: &SegmentHeader) {
        for i in &h.interfaces {
            if self.interfaces.len() < REFUSED_NAMED && !self.interfaces.contains(&i.name) {
                self.interfaces.push(i.name.clone());
            }
        }
    }
}

/// What of the question's window and classes can't be asked; an error if that is all that the store has, or if it has nothing and no link type
/// takes the expression. A window that has only such packets is no error: its answer lacks them, and says so.
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
    asked = asked || link_types(view).into_iter().any(|link_type| judge.prepare(link_type));
    if !asked {
        errors.sort_by_key(|(link_type, held, _)| (std::cmp::Reverse(held.packets), *link_type));
        return match errors.into_iter().next() {
            // With its place in the text.
            Some((link_type, _, error)) => {
                Err(Filter::compile(judge.text(), link_type).err().unwrap_or(error).of_link_type(link_type).into())
            }
            None => Ok(Filter::check(judge.text()).map(|()| Vec::new())?),
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
    errors.retain(|(_, _, error)| !error.rejects_all());
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
    let mut header = |h: &SegmentHeader, packets: u64| {
        if let Some(i) = h.interfaces.iter().find(|i| wanted(q.interfaces, i))
            && q.wants_class(&h.class)
        {
            let held = all.entry(i.link_type).or_default();
            held.packets += packets;
            held.header(h);
        }
    };
    let in_memory = view.in_memory();
    for run in view.recent.iter().filter(|r| r.packets() > 0 && q.overlaps(r.times().0, r.times().1)) {
        header(run.reader().header(), run.packets());
    }
    for open in &view.open {
        match &open.header {
            Some(h) => header(h, 0),
            None => match open.segment.header() {
                Ok(h) => header(&h, 0),
                // It has moved since, or is unused.
                Err(_) => open.segment.open().into_iter().flatten().for_each(|r| header(r.header(), 0)),
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
            }
            None => sealed.segment.header().into_iter().for_each(|h| {
                if let Some(i) = h.interfaces.iter().find(|i| wanted(q.interfaces, i)) {
                    let held = all.entry(i.link_type).or_default();
                    held.packets += sealed.about().map_or(0, |a| a.packets);
                    held.header(&h);
                }
            }),
        }
    }
    all
}
