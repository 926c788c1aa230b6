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
    /// One of them is in no receipt of the name.
    moved: bool,
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
    /// A fragment that came before its first: the recorder did not know that it is of this connection.
    pub moved: bool,
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
            Entry::Vacant(new) => {
                new.insert(Packets { latest: now, before: Vec::new(), cut: p.cut, moved: p.moved });
            }
            Entry::Occupied(known) => {
                let known = known.into_mut();
                known.cut |= p.cut;
                known.moved |= p.moved;
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
        // By where they lie: those of a name without VLAN ids are of all that differ in nothing else, and two may tell the same.
        let mut found: HashMap<*const Receipt, &Receipt> = HashMap::new();
        let (mut rest, mut lasting): (HashMap<Key, Vec<Span>>, HashMap<Key, &Receipt>) = Default::default();
        for (key, packets) in &self.0 {
            let mut open = Vec::new();
            for span in packets.spans() {
                let mut known: Option<Span> = None;
                for (r, _) in told.at(key, span) {
                    known = Some(known.map_or(Span::from(r), |k| k.and(Span::from(r))));
                    found.insert(r, r);
                    if r.end == End::Lasting {
                        lasting.insert(*key, r);
                    }
                }
                let rest = |known: Span| if packets.moved { Vec::new() } else { span.outside(known) };
                open.extend(known.map_or(vec![span], rest));
            }
            // What comes after the latest receipt of a connection that lasts is its, too.
            if let Some(r) = lasting.get(key).map(|r| Span::from(*r)) {
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
                let begins = |s: &Span| self.0.get(&key).is_some_and(|p| p.spans().any(|p| p.first == s.first));
                *open = open.iter().filter(|s| begins(s)).filter_map(|s| s.before(span)).collect();
            }
            if let Some(before) = lasting.get(&key).filter(|b| Span::from(**b).overlaps(span)) {
                found.remove(&std::ptr::from_ref(*before));
            }
            running.insert((r.key, r.first), r);
        }
        summary.running_connections = running.len() as u64;
        summary.open_connections = rest.into_values().map(|open| by_silence(open).len() as u64).sum();
        summary.connections = summary.open_connections;
        for r in found.into_values().chain(running.values()) {
            summary.connections += 1;
            if r.cut {
                summary.cut_connections += 1;
                summary.cut_packets += r.seen_packets.saturating_sub(r.stored_packets);
                summary.cut_bytes += r.seen_bytes.saturating_sub(r.stored_bytes);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::ClassId;
    use crate::ledger::{Covered, ExpiredSpan, LossSum};
    use crate::query::Running;
    use crate::query::judge::Compiled;

    /// Receipts, and what a worker says of the one name.
    struct Entered(Vec<Receipt>, LookedUp);

    impl Told for Entered {
        fn losses(&self, _: u64, _: u64) -> Result<Vec<LossSum>, LedgerError> {
            Ok(Vec::new())
        }
        fn expired(&self, _: u64, _: u64) -> Result<Vec<ExpiredSpan>, LedgerError> {
            Ok(Vec::new())
        }
        fn broken_imports(&self) -> Result<Vec<u64>, LedgerError> {
            Ok(Vec::new())
        }
        fn covered(&self, _: u64, _: u64) -> Result<Covered, LedgerError> {
            Ok(Covered::default())
        }
        fn only_imported(&self) -> Result<bool, LedgerError> {
            Ok(false)
        }
        fn receipts(
            &self,
            _: u64,
            _: u64,
            _: &HashSet<Key>,
            each: &mut dyn FnMut(&Receipt, bool),
        ) -> Result<(), LedgerError> {
            self.0.iter().for_each(|r| each(r, true));
            Ok(())
        }
    }

    impl Running for Entered {
        fn totals(&self, keys: &[Key]) -> Vec<LookedUp> {
            vec![self.1; keys.len()]
        }
        fn known(&self, _: &[Key]) -> Option<Vec<LookedUp>> {
            None
        }
        fn class(&self, _: ClassId) -> Option<String> {
            None
        }
    }

    const MS: u64 = 1_000_000;

    /// Connections, those that run, those of which nobody tells, packets cut; of packets at these times, in ms, some of which begin one.
    fn settled(packets: &[(u64, bool)], receipts: &[Receipt], says: LookedUp) -> [u64; 4] {
        let mut met = Met::default();
        for &(ms, begins) in packets {
            met.note(MetPacket { key: Key::tcp(1), time: ms * MS, begins, cut: false, moved: false });
        }
        let books = Entered(receipts.to_vec(), says);
        let (compiled, mut s) = (Compiled::default(), Summary::default());
        let means = Means { told: &books, running: Some(&books), reach: None, compiled: &compiled, at_hand: false };
        met.settle(means, &mut s).unwrap();
        [s.connections, s.running_connections, s.open_connections, s.cut_packets]
    }

    fn receipt(first: u64, last: u64, end: End) -> Receipt {
        let r = Receipt::of_one(Key::tcp(1), first * MS, last * MS);
        Receipt { end, cut: true, seen_packets: 5, stored_packets: 2, ..r }
    }

    #[test]
    fn of_one_that_follows_another_both_are_told() {
        let packets = [(0, true), (10, false), (500, true), (510, false)];
        let (first, second) = (receipt(0, 20, End::Reset), receipt(500, 510, End::Lasting));
        let runs = LookedUp::Runs(second);
        assert_eq!(settled(&packets, &[first], runs), [2, 1, 0, 6]);
        // Its receipt is on its way: that there was one is told, and that its totals are not.
        assert_eq!(settled(&packets, &[], runs), [2, 1, 1, 3]);
        // The same without a SYN, so that their packets are not told apart.
        let alike = packets.map(|(ms, _)| (ms, false));
        assert_eq!(settled(&alike, &[first], runs), [2, 1, 0, 6]);
        assert_eq!(settled(&alike, &[], runs), [2, 1, 1, 3]);
        // What a worker said up to a second ago is of the one that has ended since.
        assert_eq!(settled(&packets, &[first], LookedUp::Runs(receipt(0, 10, End::Lasting))), [2, 0, 1, 3]);
        // Nobody knows: by silence.
        assert_eq!(settled(&packets, &[], LookedUp::Absent), [1, 0, 1, 0]);
        let apart = [(0, true), (10, false), (400_000, true)];
        assert_eq!(settled(&apart, &[], LookedUp::Absent), [2, 0, 2, 0]);
    }

    #[test]
    fn two_within_one_tick_are_two() {
        let (reset, next) = (receipt(5, 5, End::Reset), receipt(5, 9, End::Closed));
        assert_eq!(settled(&[(5, true), (9, false)], &[reset, next], LookedUp::Absent), [2, 0, 0, 6]);
        assert_eq!(settled(&[(5, true)], &[reset, reset], LookedUp::Absent), [2, 0, 0, 6]);
    }

    #[test]
    fn one_that_lasts_is_one() {
        let packets = [(0, true), (1000, false), (200_000, false), (400_000, false)];
        let hourly = receipt(0, 1000, End::Lasting);
        assert_eq!(settled(&packets, &[hourly], LookedUp::Absent), [1, 0, 0, 3]);
        assert_eq!(settled(&packets, &[hourly], LookedUp::Runs(receipt(0, 400_000, End::Lasting))), [1, 1, 0, 3]);
    }
}
