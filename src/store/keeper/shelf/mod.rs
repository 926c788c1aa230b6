//! The shelf: what sealed segments there are, and which of them are to go. Owned by the keeper. Retention goes by recording time,
//! which is the order of segment numbers.

use super::roll::Roll;
use crate::class::Keep;
use crate::limits::SEAL_AGE_NS;
use crate::store::layout;
use crate::store::segment::OpenSegment;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// What the disk holds of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Its name.
    pub class: String,
    /// Segments, those being written included.
    pub segments: u64,
    /// Their bytes, with their indexes.
    pub bytes: u64,
    /// Packet time of the first packet of the oldest sealed one, Unix ns.
    pub since: Option<u64>,
    /// When the oldest sealed one was recorded (its end), Unix ns.
    pub recorded: Option<u64>,
    /// How much past its budget will hold at the rate of what it has, ns; none where there is no budget, or nothing to tell it by.
    pub holds_ns: Option<u64>,
}

/// A sealed segment on the shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelved {
    /// The file.
    pub path: PathBuf,
    /// Name of its class.
    pub class: String,
    /// When its packets came.
    pub times: PacketTimes,
    /// Its length with that of its index.
    pub bytes: u64,
    /// When it was written last, Unix ns.
    pub ended: u64,
}

/// When the packets of a segment came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketTimes {
    /// The first and the last, Unix ns.
    Known(u64, u64),
    /// Recovery has yet to tell: the segment does not go before, or the ledger would lack them for ever.
    Awaited,
    /// Nobody can tell.
    Unknown,
}

impl PacketTimes {
    /// First and last, where they are known.
    pub fn known(self) -> Option<(u64, u64)> {
        match self {
            PacketTimes::Known(first, last) => Some((first, last)),
            PacketTimes::Awaited | PacketTimes::Unknown => None,
        }
    }
}

impl From<Option<(u64, u64)>> for PacketTimes {
    fn from(times: Option<(u64, u64)>) -> PacketTimes {
        times.map_or(PacketTimes::Unknown, |(first, last)| PacketTimes::Known(first, last))
    }
}

/// What is to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Bytes of the store; `None`: what the filesystem has, less a reserve.
    pub total: Option<u64>,
    /// The classes by name. What a class without a budget of its own holds goes first where the store is over its own.
    pub classes: Vec<(String, Keep)>,
}

/// Bytes of an unsealed segment.
#[derive(Clone, Copy, Debug)]
pub struct Unsealed<'a> {
    /// Its class; none for a spare one.
    pub class: Option<&'a str>,
    /// What it may still become.
    pub most: u64,
    /// What it takes of the disk now.
    pub taken: u64,
}

/// Why a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its class keeps nothing that old.
    Age,
    /// Its class is over its budget.
    Class,
    /// The store is over its budget, or its filesystem full.
    Store,
}

#[derive(Debug, Default)]
struct Mine {
    numbers: BTreeSet<u64>,
    bytes: u64,
}

/// The sealed segments, by number.
#[derive(Debug, Default)]
pub struct Shelf {
    sealed: BTreeMap<u64, Shelved>,
    classes: BTreeMap<String, Mine>,
    bytes: u64,
    /// What was to go last did not, because its times are awaited.
    waits: bool,
}

impl Shelf {
    /// Puts a segment on the shelf.
    pub fn put(&mut self, number: u64, segment: Shelved) {
        self.take(number);
        self.bytes += segment.bytes;
        let mine = self.classes.entry(segment.class.clone()).or_default();
        mine.numbers.insert(number);
        mine.bytes += segment.bytes;
        self.sealed.insert(number, segment);
    }

    fn take(&mut self, number: u64) -> Option<Shelved> {
        let gone = self.sealed.remove(&number)?;
        self.bytes -= gone.bytes;
        if let Some(mine) = self.classes.get_mut(&gone.class) {
            mine.numbers.remove(&number);
            mine.bytes -= gone.bytes;
        }
        Some(gone)
    }

    /// A segment's length has changed: its index is there.
    pub fn resize(&mut self, number: u64, bytes: u64) {
        if let Some(s) = self.take(number) {
            self.put(number, Shelved { bytes, ..s });
        }
    }

    /// When the packets of a segment came, if that was awaited.
    pub fn note_times(&mut self, number: u64, times: Option<(u64, u64)>) {
        if let Some(s) = self.sealed.get_mut(&number).filter(|s| s.times == PacketTimes::Awaited) {
            s.times = times.into();
        }
    }

    /// Nobody will tell of the rest.
    pub fn no_more_times(&mut self) {
        self.sealed
            .values_mut()
            .filter(|s| s.times == PacketTimes::Awaited)
            .for_each(|s| s.times = PacketTimes::Unknown);
    }

    /// Whether what was asked for last is on the shelf still, only because its times are awaited.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// Takes a segment that is to go, unless its times are awaited.
    fn let_go(&mut self, number: u64) -> Option<Shelved> {
        self.waits = self.sealed.get(&number)?.times == PacketTimes::Awaited;
        if self.waits { None } else { self.take(number) }
    }

    /// Bytes of all sealed segments.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What each class holds, those of the roll first and in its order. `open`: unsealed segments in use.
    pub fn holdings(&self, roll: &Roll, open: &[Arc<OpenSegment>]) -> Vec<Holding> {
        let mut all: Vec<Holding> =
            roll.names().map(|n| Holding { class: n.to_owned(), ..Holding::default() }).collect();
        for s in self.sealed.values() {
            let at = all.iter().position(|h| h.class == s.class).unwrap_or_else(|| {
                all.push(Holding { class: s.class.clone(), ..Holding::default() });
                all.len() - 1
            });
            let Some(h) = all.get_mut(at) else { continue };
            h.segments += 1;
            h.bytes += s.bytes;
            // A file of an old trace may be recorded after one of a newer.
            h.since = [h.since, layout::first_time(&s.path)].into_iter().flatten().min();
            h.recorded = [h.recorded, Some(s.ended)].into_iter().flatten().min();
        }
        for s in open {
            if let Some(h) = all.get_mut(usize::from(s.class())) {
                h.segments += 1;
                h.bytes += s.committed();
            }
        }
        all
    }

    /// Takes the oldest segment that is to go, with the reason. `now` is Unix time, ns.
    pub fn excess(&mut self, keep: &Retention, open: &[Unsealed<'_>], now: u64) -> Option<(Shelved, Cause)> {
        self.waits = false;
        let aged = self.too_old(keep, now).map(|n| (n, Cause::Age));
        let (number, why) = aged
            .or_else(|| self.over_class(keep, open).map(|n| (n, Cause::Class)))
            .or_else(|| self.over_all(keep, open).map(|n| (n, Cause::Store)))?;
        Some((self.let_go(number)?, why))
    }

    /// Takes the oldest segment of those that `may` go, whatever the budgets: of classes without one of their own first.
    pub fn oldest_of_all(&mut self, keep: &Retention, may: impl Fn(&Shelved) -> bool) -> Option<Shelved> {
        self.waits = false;
        let first = |own: bool| {
            let these = self.sealed.iter().filter(|(_, s)| has_budget(keep, &s.class) == own);
            these.filter(|(_, s)| may(s)).map(|(n, _)| *n).next()
        };
        let number = first(false).or_else(|| first(true))?;
        self.let_go(number)
    }

    fn oldest(&self, class: &str) -> Option<u64> {
        self.classes.get(class)?.numbers.first().copied()
    }

    /// Counted from the longest that a segment is written: what it holds may be that much older than its end.
    fn too_old(&self, keep: &Retention, now: u64) -> Option<u64> {
        keep.classes.iter().find_map(|(class, k)| {
            let oldest = self.oldest(class)?;
            let age = now.saturating_sub(self.sealed.get(&oldest)?.ended).saturating_add(SEAL_AGE_NS);
            (age >= k.max_age_ns?).then_some(oldest)
        })
    }

    fn over_class(&self, keep: &Retention, open: &[Unsealed<'_>]) -> Option<u64> {
        keep.classes.iter().find_map(|(class, k)| {
            let limit = k.disk?;
            let sealed = self.classes.get(class).map_or(0, |m| m.bytes);
            let open: u64 = open.iter().filter(|s| s.class == Some(class.as_str())).map(|s| s.most).sum();
            (sealed + open > limit).then(|| self.oldest(class)).flatten()
        })
    }

    /// A budget of its own is a class's share too: the others don't push it out.
    fn over_all(&self, keep: &Retention, open: &[Unsealed<'_>]) -> Option<u64> {
        let used = self.bytes + open.iter().map(|s| s.taken).sum::<u64>();
        if used <= keep.total? {
            return None;
        }
        let others =
            self.classes.iter().filter(|(class, _)| !has_budget(keep, class)).filter_map(|(_, m)| m.numbers.first());
        others.min().or(self.sealed.keys().next()).copied()
    }
}

/// A budget of its own.
fn has_budget(keep: &Retention, class: &str) -> bool {
    keep.classes.iter().any(|(name, k)| name == class && k.disk.is_some())
}

#[cfg(test)]
mod tests;
