//! The ledger in memory, as far as queries want it: losses, when a recorder ran, what has expired. Read from the ledger's files, from where
//! the last look ended; so it says what they say. Bounded: of more losses than it holds the files tell.

use super::coverage::{State, clip, gaps};
use super::told::{Covered, LossSum};
use super::{Entry, LedgerError, What, at, days};
use crate::limits::LOSSES_HELD;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

const SECOND: u64 = 1_000_000_000;

/// All of a ledger that queries want.
pub struct Digest {
    /// Days and how far their files were read.
    read: Vec<(u64, u64)>,
    state: State,
    ran: Vec<(u64, u64)>,
    /// The latest losses: second, place in `names`, packets; in the order of writing.
    losses: VecDeque<(u64, u32, u64)>,
    /// Latest second of those that are not held any more.
    let_go: Option<u64>,
    /// Earliest and latest second of all losses.
    lost: (u64, u64),
    /// Cause and place, and all that was lost there.
    names: Vec<(String, String, u64)>,
    /// First time of the expired segment that began the earliest.
    expired: u64,
    /// A recorder has started: any; one of a live source.
    started: (bool, bool),
    /// The last sign of life.
    alive: u64,
}

impl Digest {
    /// Of nothing.
    pub fn new() -> Digest {
        Digest {
            read: Vec::new(),
            state: State::Stopped,
            ran: Vec::new(),
            losses: VecDeque::new(),
            let_go: None,
            lost: (u64::MAX, 0),
            names: Vec::new(),
            expired: u64::MAX,
            started: (false, false),
            alive: 0,
        }
    }

    /// Reads what has come; `alive`: the last sign of life.
    pub fn read_on(&mut self, dir: &Path, alive: u64) -> Result<(), LedgerError> {
        let days = days::list(dir)?;
        // What the budget took is not known any more: what is left is read anew.
        if self.read.iter().any(|(day, _)| days.iter().all(|(d, _)| d != day)) {
            *self = Digest::new();
        }
        self.alive = alive;
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
        match &e.what {
            What::Started { source, .. } | What::Continues { source, .. } => {
                self.started.0 = true;
                self.started.1 |= source != "file";
            }
            What::Expired { first } => self.expired = self.expired.min(*first),
            What::Loss { cause, place, packets, .. } => self.loss(e.t, cause, place, *packets),
            _ => {}
        }
        self.ran.extend(self.state.step(e));
    }

    fn loss(&mut self, t: u64, cause: &str, place: &str, packets: u64) {
        if self.losses.len() >= LOSSES_HELD
            && let Some((t, ..)) = self.losses.pop_front()
        {
            self.let_go = self.let_go.max(Some(t));
        }
        let name = self.names.iter().position(|(c, p, _)| c == cause && p == place).unwrap_or_else(|| {
            self.names.push((cause.to_owned(), place.to_owned(), 0));
            self.names.len() - 1
        });
        if let Some((.., all)) = self.names.get_mut(name) {
            *all += packets;
        }
        self.lost = (self.lost.0.min(t), self.lost.1.max(t));
        self.losses.push_back((t, name as u32, packets));
    }

    /// As [`Told::losses`](super::told::Told::losses); `None`: some of them are not held any more.
    pub fn losses(&self, from: u64, to: u64) -> Option<Vec<LossSum>> {
        let from = from.saturating_sub(SECOND - 1);
        let mut sums = vec![None; self.names.len()];
        if self.lost.0 >= from && self.lost.1 < to {
            sums = self.names.iter().map(|(.., all)| Some(*all)).collect();
        } else if self.let_go.is_some_and(|t| t >= from) {
            return None;
        } else {
            for (_, name, packets) in self.losses.iter().filter(|(t, ..)| (from..to).contains(t)) {
                if let Some(sum) = sums.get_mut(*name as usize) {
                    *sum = Some(sum.unwrap_or(0) + packets);
                }
            }
        }
        let named = self.names.iter().zip(sums).filter_map(|((cause, place, _), packets)| {
            packets.map(|packets| LossSum { cause: cause.clone(), place: place.clone(), packets })
        });
        let mut all: Vec<LossSum> = named.collect();
        all.sort_by(|a, b| (&a.cause, &a.place).cmp(&(&b.cause, &b.place)));
        Some(all)
    }

    /// As [`Told::expired`](super::told::Told::expired).
    pub fn expired(&self, before: u64) -> bool {
        self.expired < before
    }

    /// As [`Told::covered`](super::told::Told::covered).
    pub fn covered(&self, from: u64, to: u64) -> Covered {
        let now = match self.state {
            State::Running { since, live: true, seen } => Some((since, self.alive.max(seen).max(since))),
            _ => None,
        };
        let recorded = clip(self.ran.iter().copied().chain(now).collect(), from, to);
        Covered { any: !recorded.is_empty(), gaps: gaps(&recorded, from, to) }
    }

    /// As [`Told::only_imported`](super::told::Told::only_imported).
    pub fn only_imported(&self) -> bool {
        self.started == (true, false)
    }
}
