//! The connections of an answer: which there are, and what was cut of them, from the receipts and, of those that run, from the workers.

use super::Summary;
use crate::conn::receipt::{End, Receipt};
use crate::ledger::{LedgerError, Told};
use crate::limits::{SPAN_SILENCE_NS, SPANS_OF_NAME, TOTALS_MAX};
use crate::packet::key::Key;
use crate::query::QueryError;
use crate::query::engine::Means;
use crate::query::lives::{ByName, Span, by_silence};
use crate::query::pace::Stopped;
use crate::query::running::LookedUp;
use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// The connections of an answer, by name.
#[derive(Default)]
pub struct Met(HashMap<Key, Packets>);

/// What the answer has under one name. Connections that follow each other under it are told apart later, by their receipts: until then
/// packets are kept together only if they are surely of one.
struct Packets {
    latest: Span,
    before: Vec<Span>,
    /// One of them has reached its connection's cutoff.
    cut: bool,
}

impl Packets {
    fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        self.before.iter().copied().chain([self.latest])
    }

    fn last(&self) -> u64 {
        self.spans().map(|s| s.last).max().unwrap_or(0)
    }
}

/// A packet of an answer.
#[derive(Clone, Copy, Debug)]
pub struct MetPacket {
    /// Its connection's name.
    pub key: Key,
    /// Unix ns.
    pub time: u64,
    /// It may begin a connection: a SYN without ACK.
    pub begins: bool,
    /// Its connection's cutoff was reached with it.
    pub cut: bool,
}

impl Met {
    /// How many names they have.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Notes a packet.
    pub fn note(&mut self, p: MetPacket) {
        let now = Span { first: p.time, last: p.time };
        match self.0.entry(p.key) {
            Entry::Vacant(new) => drop(new.insert(Packets { latest: now, before: Vec::new(), cut: p.cut })),
            Entry::Occupied(known) => {
                let known = known.into_mut();
                known.cut |= p.cut;
                let silent = p.time > known.latest.last.saturating_add(SPAN_SILENCE_NS);
                let other = silent || p.begins && p.time > known.latest.last;
                if other && known.before.len() < SPANS_OF_NAME {
                    known.before.push(std::mem::replace(&mut known.latest, now));
                } else {
                    known.latest = known.latest.and(now);
                }
            }
        }
    }

    /// Whether there is one of this name.
    pub fn has_name(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }

    /// Their names.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }

    /// Whether the answer has a packet of this name and of these times.
    pub fn has(&self, key: &Key, times: Span) -> bool {
        self.0.get(key).is_some_and(|p| p.spans().any(|s| s.overlaps(times)))
    }

    /// Fills in connections and what was cut of them: from the receipts and, of those that run, from what the workers know now.
    pub fn settle(&self, means: Means<'_>, summary: &mut Summary) -> Result<(), QueryError> {
        if self.0.is_empty() {
            summary.connections = 0;
            return Ok(());
        }
        let told = self.receipts(means.told)?;
        // By name and first packet: those of a name without VLAN ids are of all that differ in nothing else.
        let mut found: HashMap<(Key, u64), Receipt> = HashMap::new();
        let (mut rest, mut lasting): (HashMap<Key, Vec<Span>>, HashMap<Key, Receipt>) = Default::default();
        for (key, packets) in &self.0 {
            let mut open = Vec::new();
            for span in packets.spans() {
                let mut known = false;
                for (r, _) in told.at(key, span) {
                    known = true;
                    found.insert((r.key, r.first), *r);
                    if r.end == End::Lasting {
                        lasting.insert(*key, *r);
                    }
                }
                if !known {
                    open.push(span);
                }
            }
            let mut open = by_silence(open);
            // What comes after the latest receipt of a connection that lasts is its, too.
            if let Some(r) = lasting.get(key).map(Span::from) {
                open.retain(|s| s.last < r.first || !r.goes_on_with(*s));
            }
            if !open.is_empty() {
                rest.insert(*key, open);
            }
        }
        let asked = |key: &Key| rest.contains_key(key) || lasting.contains_key(key);
        let (running, unknown) = self.running(means, asked)?;
        summary.running_connections = running.values().map(|r| (r.key, r.first)).collect::<HashSet<_>>().len() as u64;
        summary.running_unknown = unknown;
        for (key, r) in running {
            let span = Span::from(&r);
            if let Some(open) = rest.get_mut(&key) {
                open.retain(|s| !s.overlaps(span));
            }
            if let Some(before) = lasting.get(&key).filter(|b| Span::from(*b).overlaps(span)) {
                found.remove(&(before.key, before.first));
            }
            found.insert((r.key, r.first), r);
        }
        summary.open_connections = rest.values().map(|open| open.len() as u64).sum();
        summary.connections = found.len() as u64 + summary.open_connections;
        for r in found.values().filter(|r| r.cut) {
            summary.cut_connections += 1;
            summary.cut_packets += r.seen_packets.saturating_sub(r.stored_packets);
            summary.cut_bytes += r.seen_bytes.saturating_sub(r.stored_bytes);
        }
        Ok(())
    }

    fn receipts(&self, told: &dyn Told) -> Result<ByName, LedgerError> {
        let all = self.0.values().flat_map(Packets::spans).reduce(Span::and).unwrap_or(Span { first: 0, last: 0 });
        let keys: HashSet<Key> = self.0.keys().copied().collect();
        let mut by_name = ByName::default();
        told.receipts(all.first, all.last.saturating_add(1), &keys, &mut |r, tagged| by_name.take(r, tagged))?;
        by_name.sort();
        Ok(by_name)
    }

    /// What the workers know of those that may run, by our names, and of how many they did not say. One question for all; of more than it takes, those past their
    /// cutoff and then those that were heard of last. Where that must not wait for a worker, only those past their cutoff are looked for among
    /// what was asked lately; now and then another way has to answer.
    fn running(
        &self,
        means: Means<'_>,
        may: impl Fn(&Key) -> bool,
    ) -> Result<(HashMap<Key, Receipt>, u64), QueryError> {
        let Some(workers) = means.running else { return Ok(Default::default()) };
        let mut asked: Vec<(&Key, &Packets)> =
            self.0.iter().filter(|(k, p)| (p.cut || !means.at_hand) && may(k)).collect();
        if asked.is_empty() {
            return Ok(Default::default());
        }
        let mut unknown = asked.len().saturating_sub(TOTALS_MAX);
        if unknown > 0 {
            asked.sort_by_key(|(_, p)| Reverse((p.cut, p.last())));
            asked.truncate(TOTALS_MAX);
        }
        let keys: Vec<Key> = asked.iter().map(|(k, _)| **k).collect();
        let found = match means.at_hand {
            true => workers.known(&keys).ok_or(QueryError::Stopped(Stopped::NotAtHand))?,
            false => workers.totals(&keys),
        };
        let mut running = HashMap::new();
        for ((key, packets), one) in asked.into_iter().zip(found) {
            match one {
                LookedUp::Runs(r) if packets.last() >= r.first => drop(running.insert(*key, r)),
                LookedUp::Unknown => unknown += 1,
                LookedUp::Runs(_) | LookedUp::Absent => {}
            }
        }
        Ok((running, unknown as u64))
    }
}
