//! What an answer says of itself: how much it is, and what is missing from it: cut, lost, not recorded, expired, damaged. Owns the
//! figures; made by the executor from packets, receipts, ledger and, in the recorder's own process, what its workers know of connections
//! that run; shown by the CLI.

use super::QueryError;
use super::engine::Means;
use super::pace::Stopped;
use crate::conn::receipt::{End, Receipt};
use crate::ledger::{LedgerError, LossSum, Told};
use crate::limits::{DAMAGE_NAMED, GAP_MIN_NS, TOTALS_MAX};
use crate::packet::key::Key;
use serde::{Deserialize, Serialize};
use std::cell::LazyCell;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// How the answer was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pruning {
    /// Segments of the store.
    pub segments: u64,
    /// Runs of blocks in memory.
    pub runs: u64,
    /// Of these, of another class.
    pub by_class: u64,
    /// Outside of the window.
    pub by_time: u64,
    /// Ruled out by their address filter.
    pub by_filter: u64,
    /// Ruled out by their index.
    pub by_index: u64,
    /// Scanned because they have no index yet.
    pub without_index: u64,
    /// Packets that libpcap had to look at.
    pub candidates: u64,
    /// Bytes of segments read.
    pub bytes_read: u64,
}

/// Packets lost in the window by one cause in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// A cause of the account.
    pub cause: String,
    /// Where.
    pub place: String,
    /// How many.
    pub packets: u64,
}

/// Where a segment can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file.
    pub segment: String,
    /// Offset of the damaged block, or of the packet.
    pub offset: u64,
}

/// An answer's figures. Times are Unix ns, bytes are lengths on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Packets in the answer.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Connections that they are of.
    pub connections: u64,
    /// Time of the first packet.
    pub first: Option<u64>,
    /// Time of the last.
    pub last: Option<u64>,
    /// More would have matched.
    pub limited: bool,
    /// Of a follower: it ended because the recorder did.
    pub recorder_ended: bool,
    /// Of a follower: packets that were given out after newer ones, because they came so late.
    pub late: u64,
    /// The window asked for.
    pub since: Option<u64>,
    /// Its end.
    pub until: Option<u64>,
    /// Of the connections, those past their cutoff.
    pub cut_connections: u64,
    /// Packets of these connections that were not stored.
    pub cut_packets: u64,
    /// Their bytes.
    pub cut_bytes: u64,
    /// Of the connections, those that run, as the recorder says: what is cut of them is in the figures, as it was a second ago at most.
    pub running_connections: u64,
    /// Connections of which neither a receipt nor the recorder tells: they last, or their receipts have expired. What was cut of them is
    /// not in the figures.
    pub open_connections: u64,
    /// Packets lost in the window.
    pub lost: Vec<Loss>,
    /// Times of the window when nothing was recorded: from, to.
    pub not_recorded: Vec<(u64, u64)>,
    /// The window begins before the store's oldest packet, this, and segments of then have expired.
    pub expired_before: Option<u64>,
    /// Segments that expired while the answer was made.
    pub expired_segments: u64,
    /// Segments, blocks, packets and indexes that are damaged: `retrotap verify` names them.
    pub damaged_segments: u64,
    /// Blocks.
    pub damaged_blocks: u64,
    /// Packets.
    pub damaged_packets: u64,
    /// Indexes; their segments were scanned.
    pub damaged_indexes: u64,
    /// Where blocks and packets are damaged: the first that were met.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<Place>,
    /// The answer is empty, but inside tags or tunnels there are packets that match: ask with `--any-layer`.
    pub try_any_layer: bool,
    /// What of the question segments were ruled out by, as the planner understands it.
    pub plan: String,
    /// Parts of the expression that rule out nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// How it was found.
    pub pruning: Pruning,
    /// Time it took, ns.
    pub elapsed_ns: u64,
    /// Oldest packet of the store.
    #[serde(skip)]
    pub store_first: Option<u64>,
    /// Newest packet of the store.
    #[serde(skip)]
    pub store_last: Option<u64>,
}

impl Summary {
    /// Notes what a segment holds.
    pub(super) fn saw(&mut self, packets: u64, first: u64, last: u64) {
        if packets > 0 {
            self.store_first = Some(self.store_first.map_or(first, |t| t.min(first)));
            self.store_last = Some(self.store_last.map_or(last, |t| t.max(last)));
        }
    }

    /// Names a place that can't be read.
    pub(super) fn damaged_at(&mut self, segment: &Path, offset: u64) {
        if self.damage.len() < DAMAGE_NAMED {
            self.damage.push(Place { segment: segment.display().to_string(), offset });
        }
    }

    /// Takes in what was found beside this one: pruning and damage.
    pub(super) fn absorb(&mut self, other: Summary) {
        self.expired_segments += other.expired_segments;
        self.damaged_segments += other.damaged_segments;
        self.damaged_blocks += other.damaged_blocks;
        self.damaged_packets += other.damaged_packets;
        self.damaged_indexes += other.damaged_indexes;
        let room = DAMAGE_NAMED.saturating_sub(self.damage.len());
        self.damage.extend(other.damage.into_iter().take(room));
        let (own, other) = (&mut self.pruning, other.pruning);
        own.by_filter += other.by_filter;
        own.by_index += other.by_index;
        own.candidates += other.candidates;
        own.bytes_read += other.bytes_read;
    }

    /// Nothing that was seen in the window is missing but by the cutoff.
    pub fn is_whole(&self) -> bool {
        self.lost.is_empty()
            && self.not_recorded.is_empty()
            && self.expired_before.is_none()
            && self.expired_segments + self.damaged_segments + self.damaged_blocks + self.damaged_packets == 0
    }
}

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

/// Fills in what the ledger knows of the window.
pub fn from_ledger(told: &dyn Told, from: u64, to: u64, now: u64, summary: &mut Summary) -> Result<(), LedgerError> {
    let loss = |LossSum { cause, place, packets }| Loss { cause, place, packets };
    summary.lost = told.losses(from, to)?.into_iter().map(loss).collect();
    if let Some(oldest) = summary.store_first.filter(|&t| from < t)
        && told.expired(to.min(oldest))?
    {
        summary.expired_before = Some(oldest);
    }
    // A window without ends is as long as what there is.
    let begin = if from > 0 { from } else { summary.store_first.unwrap_or(now) };
    let c = told.covered(begin, to.min(now))?;
    if !c.any && told.only_imported()? {
        // A store of traces: the ledger knows when they were imported, not what they cover.
        return Ok(());
    }
    summary.not_recorded = c.gaps.into_iter().filter(|(a, b)| b - a >= GAP_MIN_NS).collect();
    Ok(())
}
