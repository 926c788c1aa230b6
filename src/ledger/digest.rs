//! The ledger in memory, as far as queries want it: losses, when a recorder ran, what has expired. Read from the ledger's files, from where
//! the last look ended; so it says what they say. Bounded: of more losses than it holds the files tell.

use super::timeline::Timeline;
use super::told::{Covered, LossSum};
use super::{Entry, ExpiredSpan, LedgerError, LedgerSummary, What, at, days};
use crate::limits::LOSSES_HELD;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// All of a ledger that queries want.
pub struct Digest {
    /// Days and how far their files were read.
    read: Vec<(u64, u64)>,
    timeline: Timeline,
    /// The latest losses: first and last packet, place in `names`, packets; in the order of writing.
    losses: VecDeque<(u64, u64, u32, u64)>,
    /// Latest last packet of those that are not held any more.
    let_go: Option<u64>,
    /// Of all losses the earliest last packet and the latest first one.
    lost: (u64, u64),
    /// Cause, place and class, and all that was lost so.
    names: Vec<(String, String, Option<String>, u64)>,
    summary: LedgerSummary,
}

impl Digest {
    /// Of nothing.
    pub fn new() -> Digest {
        Digest {
            read: Vec::new(),
            timeline: Timeline::new(),
            losses: VecDeque::new(),
            let_go: None,
            lost: (u64::MAX, 0),
            names: Vec::new(),
            summary: LedgerSummary::default(),
        }
    }

    /// Reads what has come.
    pub fn read_on(&mut self, dir: &Path) -> Result<(), LedgerError> {
        let days = days::list(dir)?;
        // What the budget took is not known any more: what is left is read anew.
        if self.read.iter().any(|(day, _)| days.iter().all(|(d, _)| d != day)) {
            *self = Digest::new();
        }
        // It is written before its entries are: what is read of these it has.
        self.summary = LedgerSummary::read(dir)?;
        let newest = self.read.last().map_or(0, |(day, _)| *day);
        for (day, path) in days.iter().filter(|(day, _)| *day >= newest) {
            let from = self.read.iter().find(|(d, _)| d == day).map_or(0, |(_, to)| *to);
            let mut text = Vec::new();
            match File::open(path) {
                // The budget may have taken it since the listing.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                other => {
                    let mut file = other.map_err(at(path))?;
                    file.seek(SeekFrom::Start(from)).map_err(at(path))?;
                    file.read_to_end(&mut text).map_err(at(path))?;
                }
            }
            // A line that is being written is read next time.
            let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            for line in text.get(..whole).unwrap_or_default().split(|b| *b == b'\n') {
                if let Ok(entry) = serde_json::from_slice(line) {
                    self.take(&entry);
                }
            }
            self.read.retain(|(d, _)| d != day);
            self.read.push((*day, from + whole as u64));
        }
        Ok(())
    }

    fn take(&mut self, e: &Entry) {
        if let (What::Loss { cause, place, class, packets, .. }, Some(between)) = (&e.what, e.lost_between()) {
            self.loss(between, (cause, place, class), *packets);
        }
        self.timeline.take(e);
    }

    fn loss(&mut self, (first, last): (u64, u64), name: (&String, &String, &Option<String>), packets: u64) {
        if self.losses.len() >= LOSSES_HELD
            && let Some((_, last, ..)) = self.losses.pop_front()
        {
            self.let_go = self.let_go.max(Some(last));
        }
        let at = self.names.iter().position(|(c, p, class, _)| (c, p, class) == name).unwrap_or_else(|| {
            self.names.push((name.0.clone(), name.1.clone(), name.2.clone(), 0));
            self.names.len() - 1
        });
        if let Some((.., all)) = self.names.get_mut(at) {
            *all += packets;
        }
        self.lost = (self.lost.0.min(last), self.lost.1.max(first));
        self.losses.push_back((first, last, at as u32, packets));
    }

    /// As [`Told::losses`](super::told::Told::losses); `None`: some of them are not held any more.
    pub fn losses(&self, from: u64, to: u64) -> Option<Vec<LossSum>> {
        let mut sums = vec![None; self.names.len()];
        if self.lost.0 >= from && self.lost.1 < to {
            sums = self.names.iter().map(|(.., all)| Some(*all)).collect();
        } else if self.let_go.is_some_and(|t| t >= from) {
            return None;
        } else {
            for (_, _, name, packets) in self.losses.iter().filter(|(first, last, ..)| *first < to && *last >= from) {
                if let Some(sum) = sums.get_mut(*name as usize) {
                    *sum = Some(sum.unwrap_or(0) + packets);
                }
            }
        }
        let named = self.names.iter().zip(sums).filter_map(|((cause, place, class, _), packets)| {
            let (cause, place, class) = (cause.clone(), place.clone(), class.clone());
            packets.map(|packets| LossSum { cause, place, class, packets })
        });
        let mut all: Vec<LossSum> = named.collect();
        all.sort_by(|a, b| (&a.cause, &a.place, &a.class).cmp(&(&b.cause, &b.place, &b.class)));
        Some(all)
    }

    /// As [`Told::expired`](super::told::Told::expired).
    pub fn expired(&self, from: u64, to: u64) -> Vec<ExpiredSpan> {
        self.summary.spans(from, to)
    }

    /// As [`Told::broken_imports`](super::told::Told::broken_imports).
    pub fn broken_imports(&self) -> Vec<u64> {
        self.summary.broken_imports().to_vec()
    }

    /// As [`Told::covered`](super::told::Told::covered); `alive`: the last sign of life.
    pub fn covered(&self, from: u64, to: u64, alive: u64) -> Covered {
        self.timeline.covered(from, to, alive)
    }

    /// As [`Told::only_imported`](super::told::Told::only_imported).
    pub fn only_imported(&self) -> bool {
        self.timeline.only_imported()
    }
}
