//! The connections of an answer: which there are, and what was cut of them, from the receipts and, of those that run, from the workers.

use super::Summary;
use super::met::{Met, Packets};
use crate::conn::receipt::LookedUp;
use crate::conn::receipt::{End, Receipt};
use crate::ledger::{LedgerError, Told};
use crate::limits::TOTALS_MAX;
use crate::packet::key::Key;
use crate::query::QueryError;
use crate::query::engine::Means;
use crate::query::lives::{ByName, RECEIPT_BYTES, Span, by_silence};
use crate::query::pace::{Pace, Stopped};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// So many names are settled between two looks at the pace.
pub(super) const ASKED_EACH: usize = 256;

impl Met {
    /// Fills in connections and what was cut of them: from the receipts and, of those that run, from what the workers know now. Ends early where
    /// the pace says so, with figures that nobody must take.
    pub fn settle(&mut self, means: Means<'_>, pace: &dyn Pace, summary: &mut Summary) -> Result<(), QueryError> {
        summary.uncounted_packets = self.uncounted.map_or(0, |(_, packets)| packets);
        if self.names.is_empty() {
            summary.connections = 0;
            return Ok(());
        }
        let told = self.receipts(means.told, pace, summary)?;
        // By their places: those of a name without VLAN ids are of all that differ in nothing else, and two may tell the same.
        let mut found = vec![false; told.len()];
        let (mut rest, mut lasting): (HashMap<Key, Vec<Span>>, HashMap<Key, usize>) = Default::default();
        for (n, (key, packets)) in self.names.iter().enumerate() {
            if n % ASKED_EACH == ASKED_EACH - 1 && !pace.go_on() {
                return Ok(());
            }
            let mut open = Vec::new();
            for span in packets.spans() {
                let mut known: Option<Span> = None;
                for at in told.places(key, span) {
                    let Some(r) = told.get(at) else { continue };
                    known = Some(known.map_or(Span::from(r), |k| k.and(Span::from(r))));
                    found.iter_mut().skip(at).take(1).for_each(|found| *found = true);
                    if r.end == End::Lasting {
                        lasting.insert(*key, at);
                    }
                }
                let rest = |known: Span| if packets.moved { Vec::new() } else { span.outside(known) };
                open.extend(known.map_or(vec![span], rest));
            }
            // What comes after the latest receipt of a connection that lasts is its, too.
            if let Some(r) = lasting.get(key).and_then(|at| told.get(*at)).map(Span::from) {
                let its = |s: &Span| s.last >= r.first && r.goes_on_with(*s);
                let its: Vec<Span> = by_silence(open.clone()).into_iter().filter(its).collect();
                open.retain(|s| !its.iter().any(|i| i.covers(*s)));
            }
            if !open.is_empty() {
                rest.insert(*key, open);
            }
        }
        let asked = |key: &Key| rest.contains_key(key) || lasting.contains_key(key);
        let (found_running, unknown) = self.running(means, asked)?;
        summary.running_unknown = unknown;
        let mut running: HashMap<(Key, u64), Receipt> = HashMap::new();
        for (key, r) in found_running {
            let span = Span::from(&r);
            // It was said up to a second ago, and it has ended since.
            if told.at(&key, span).any(|(t, _)| t.end != End::Lasting && Span::from(t).covers(span)) {
                continue;
            }
            if let Some(open) = rest.get_mut(&key) {
                // What has its first packet before it is of another, whose receipt is on its way, or that a killed recorder had.
                let begins = |s: &Span| self.names.get(&key).is_some_and(|p| p.spans().any(|p| p.first == s.first));
                *open = open.iter().filter(|s| begins(s)).filter_map(|s| s.before(span)).collect();
            }
            if let Some(before) = lasting.get(&key)
                && told.get(*before).is_some_and(|r| Span::from(r).overlaps(span))
            {
                found.iter_mut().skip(*before).take(1).for_each(|found| *found = false);
            }
            running.insert((r.key, r.first), r);
        }
        summary.running_connections = running.len() as u64;
        summary.open_connections = rest.into_values().map(|open| by_silence(open).len() as u64).sum();
        summary.connections = summary.open_connections;
        let of_receipts = told.all().zip(&found).filter(|(_, found)| **found).map(|(r, _)| r);
        for r in of_receipts.chain(running.values()) {
            summary.connections += 1;
            if r.cut {
                summary.cut_connections += 1;
                summary.cut_packets += r.seen_packets.saturating_sub(r.stored_packets);
                summary.cut_bytes += r.seen_bytes.saturating_sub(r.stored_bytes);
            }
        }
        Ok(())
    }

    /// The receipts of all names; those that there is no memory for are only counted.
    fn receipts(&mut self, told: &dyn Told, pace: &dyn Pace, summary: &mut Summary) -> Result<ByName, LedgerError> {
        let all = self.names.values().flat_map(Packets::spans).reduce(Span::and).unwrap_or(Span { first: 0, last: 0 });
        let keys: HashSet<Key> = self.names.keys().copied().collect();
        let (mut by_name, mut untold, memory) = (ByName::default(), 0, &mut self.memory);
        let names = memory.bytes;
        told.receipts((all.first, all.last.saturating_add(1)), &keys, &|| pace.go_on(), &mut |r, tagged| {
            // Growing doubles what it has.
            let next =
                if by_name.is_full() { by_name.bytes().max(RECEIPT_BYTES as u64 * 4) * 2 } else { by_name.bytes() };
            let more = (names + next).saturating_sub(memory.bytes);
            if untold > 0 || memory.fits(more).is_err() {
                untold += 1;
            } else {
                by_name.take(r, tagged);
            }
        })?;
        summary.uncounted_receipts = untold;
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
            self.names.iter().filter(|(k, p)| (p.cut || !means.at_hand) && may(k)).collect();
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
