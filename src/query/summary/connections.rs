//! The connections of an answer: which there are, and what was cut of them, from the receipts and, of those that run, from the workers.

use super::Summary;
use crate::conn::receipt::{End, Receipt};
use crate::ledger::{LedgerError, Told};
use crate::limits::TOTALS_MAX;
use crate::packet::key::Key;
use crate::query::QueryError;
use crate::query::engine::Means;
use crate::query::pace::Stopped;
use std::cell::LazyCell;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// The connections of an answer.
#[derive(Default)]
pub struct Met(HashMap<Key, Times>);

/// What the answer has of a connection: times of its first and last packet, and whether one of them has reached the cutoff.
#[derive(Clone, Copy)]
struct Times {
    first: u64,
    last: u64,
    cut: bool,
}

impl Times {
    fn and(self, other: Times) -> Times {
        let Times { first, last, cut } = other;
        Times { first: self.first.min(first), last: self.last.max(last), cut: self.cut || cut }
    }

    fn overlap(&self, r: &Receipt) -> bool {
        r.first <= self.last && r.last >= self.first
    }
}

impl Met {
    /// How many they are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Notes a packet; `cut`: its connection's cutoff was reached with it.
    pub fn note(&mut self, key: Key, time: u64, cut: bool) {
        let one = Times { first: time, last: time, cut };
        self.0.entry(key).and_modify(|t| *t = t.and(one)).or_insert(one);
    }

    /// All of them.
    pub fn keys(self) -> Vec<Key> {
        self.0.into_keys().collect()
    }

    /// Fills in connections and what was cut of them: from the receipts and, of those that run, from what the workers know now.
    pub fn settle(&self, means: Means<'_>, summary: &mut Summary) -> Result<(), QueryError> {
        summary.connections = self.0.len() as u64;
        if self.0.is_empty() {
            return Ok(());
        }
        let mut told = Receipts::default();
        told.read(&self.0, means.told)?;
        let told_of = |key: &Key| told.last.get(&(*key, true)).or_else(|| told.last.get(&(key.untagged(), false)));
        let running = self.running(means, |key, times| {
            // One that lasts has a receipt each hour; under the name of one that has ended another may run.
            told_of(key).is_none_or(|(last, end)| *end == End::Lasting || *last < times.last)
        })?;
        summary.open_connections =
            self.0.keys().filter(|k| told_of(k).is_none() && !running.contains_key(*k)).count() as u64;
        summary.running_connections = running.len() as u64;
        running.values().for_each(|r| told.take(r));
        for r in told.latest.values().filter(|r| r.cut) {
            summary.cut_connections += 1;
            summary.cut_packets += r.seen_packets.saturating_sub(r.stored_packets);
            summary.cut_bytes += r.seen_bytes.saturating_sub(r.stored_bytes);
        }
        Ok(())
    }

    /// What the workers know of those that may run. One question for all; of more than it takes, those past their cutoff and then those that
    /// were heard of last. Where that must not wait for a worker, only those past their cutoff are looked for among what was asked
    /// lately; now and then another way has to answer.
    fn running(
        &self,
        means: Means<'_>,
        may: impl Fn(&Key, &Times) -> bool,
    ) -> Result<HashMap<Key, Receipt>, QueryError> {
        let Some(workers) = means.running else { return Ok(HashMap::new()) };
        let mut asked: Vec<(&Key, &Times)> =
            self.0.iter().filter(|(k, t)| (t.cut || !means.at_hand) && may(k, t)).collect();
        if asked.is_empty() {
            return Ok(HashMap::new());
        }
        if asked.len() > TOTALS_MAX {
            asked.sort_by_key(|(_, t)| Reverse((t.cut, t.last)));
            asked.truncate(TOTALS_MAX);
        }
        let keys: Vec<Key> = asked.iter().map(|(k, _)| **k).collect();
        let found = match means.at_hand {
            true => Some(workers.known(&keys).ok_or(QueryError::Stopped(Stopped::NotAtHand))?),
            false => workers.totals(&keys),
        };
        let found = found.unwrap_or_default();
        let ours =
            asked.into_iter().zip(found).filter_map(|((key, times), r)| Some((*key, r.filter(|r| times.overlap(r))?)));
        Ok(ours.collect())
    }
}

/// The receipts of an answer's connections.
#[derive(Default)]
struct Receipts {
    /// By name and first packet the one that has counted most: those of a connection that lasts repeat what the ones before said.
    latest: HashMap<(Key, u64), Receipt>,
    /// By name, and whether VLAN ids are in it: the last packet that a receipt tells of, and how it ended.
    last: HashMap<(Key, bool), (u64, End)>,
}

impl Receipts {
    fn read(&mut self, met: &HashMap<Key, Times>, told: &dyn Told) -> Result<(), LedgerError> {
        // Where VLAN ids do not tell connections apart, one receipt is of all that differ in nothing else. Made when one comes.
        let untagged = LazyCell::new(|| {
            let mut untagged: HashMap<Key, Times> = HashMap::new();
            for (key, &times) in met {
                untagged.entry(key.untagged()).and_modify(|t| *t = t.and(times)).or_insert(times);
            }
            untagged
        });
        let all = met.values().fold((u64::MAX, 0), |a, t| (a.0.min(t.first), a.1.max(t.last)));
        let keys: HashSet<Key> = met.keys().copied().collect();
        told.receipts(all.0, all.1.saturating_add(1), &keys, &mut |r, tagged| {
            let met = if tagged { met } else { &untagged };
            if met.get(&r.key).is_some_and(|times| times.overlap(r)) {
                self.take(r);
                let last = self.last.entry((r.key, tagged)).or_insert((r.last, r.end));
                if (r.last, last.1 == End::Lasting) >= (last.0, true) {
                    *last = (r.last, r.end);
                }
            }
        })
    }

    fn take(&mut self, r: &Receipt) {
        let one = self.latest.entry((r.key, r.first)).or_insert(*r);
        if r.seen_packets >= one.seen_packets {
            *one = *r;
        }
    }
}
