//! The sweep: goes round the tables a few places at a time, frees what has ended, makes receipts, settles what the shunt has
//! counted. Owns when something is freed, never what is decided: results do not depend on when the sweep comes by. Called by
//! the worker once a batch.
//!
//! A connection is freed when no packet that may still come can belong to it. Packets come out of order (several queues, files
//! whose times jump), so "now" is the *horizon*: [`DISORDER_NS`] before the earliest packet time of this and the last round, at most
//! the time given. A packet that is older than that may find its connection gone and begin a new one.

use super::Tracker;
use super::entry::{ENDED, Entry, ODD_HOUR, RETIRING, TableKey};
use super::receipt::End;
use super::retire::Retiring;
use super::shunt::{Shunt, ShuntCounts};
use super::table::{BUCKET, Place, Table};
use super::tracker::{Core, is_tcp};
use crate::limits::{DISORDER_NS, HOUR_NS, SHUNT_COLD_MAX, SHUNT_COLD_NS, SWEEP_ROUND_NS};
use crate::packet::key::Key;

/// Where the sweep is, and the earliest packet time of this round and of the one before.
#[derive(Debug)]
pub(super) struct Round {
    cursor: usize,
    earliest: u64,
    earliest_before: u64,
    /// The time given last, and how much of the time gone by is not used up.
    now: u64,
    credit: u64,
    /// All shunted connections pass and only receipts are to be made.
    finishing: bool,
}

impl Default for Round {
    fn default() -> Round {
        Round { cursor: 0, earliest: u64::MAX, earliest_before: u64::MAX, now: 0, credit: 0, finishing: false }
    }
}

impl Round {
    /// A packet of this time was judged.
    #[inline]
    pub(super) fn saw(&mut self, time: u64) {
        self.earliest = self.earliest.min(time);
    }

    /// The flag of an entry that begins at `first`: an hourly receipt is due when the hour's parity differs from it.
    #[inline]
    pub(super) fn hour_flag(&self, first: u64) -> u16 {
        if first / HOUR_NS % 2 == 1 { ODD_HOUR } else { 0 }
    }

    /// How many of `total` buckets are due, so that a round takes [`SWEEP_ROUND_NS`].
    fn due(&mut self, now: u64, total: usize, most: usize) -> usize {
        self.credit = (self.credit + now.saturating_sub(self.now).min(SWEEP_ROUND_NS)).min(SWEEP_ROUND_NS);
        self.now = now;
        let of_one = (SWEEP_ROUND_NS / total as u64).max(1);
        let due = ((self.credit / of_one) as usize).min(most);
        self.credit -= due as u64 * of_one;
        due
    }

    fn horizon(&self, now: u64) -> u64 {
        now.min(self.earliest).min(self.earliest_before).saturating_sub(DISORDER_NS)
    }

    /// The next bucket of `total`.
    fn step(&mut self, total: usize) -> usize {
        let bucket = self.cursor;
        self.cursor += 1;
        if self.cursor >= total {
            self.cursor = 0;
            self.earliest_before = std::mem::replace(&mut self.earliest, u64::MAX);
        }
        bucket
    }
}

/// The coldest shunted connections that the sweep has met, for when others need their slots.
#[derive(Debug, Default)]
pub(super) struct Cold {
    met: [Option<(u64, Place, Key)>; SHUNT_COLD_MAX],
    /// Connections that found the shunt full.
    wanted: usize,
}

impl Cold {
    /// A connection would have a slot if there was one.
    pub(super) fn want(&mut self) {
        self.wanted = (self.wanted + 1).min(SHUNT_COLD_MAX);
    }

    fn offer(&mut self, last: u64, place: Place, key: Key) {
        // An empty place first, else that of the hottest, if this one is colder.
        let hottest = self.met.iter_mut().max_by_key(|m| m.as_ref().map_or(u64::MAX, |(last, ..)| *last));
        if let Some(slot) = hottest
            && slot.as_ref().is_none_or(|(l, ..)| last < *l)
        {
            *slot = Some((last, place, key));
        }
    }

    fn take_coldest(&mut self) -> Option<(u64, Place, Key)> {
        self.met
            .iter_mut()
            .filter(|m| m.is_some())
            .min_by_key(|m| m.as_ref().map_or(u64::MAX, |(last, ..)| *last))?
            .take()
    }
}

impl Tracker {
    /// Places of both tables, for those who say how many to sweep.
    pub fn places(&self) -> usize {
        (self.v4.buckets() + self.v6.buckets()) * BUCKET
    }

    /// Goes on with the sweep: at most `slots` places, fewer when the round is ahead of its time. `now` is Unix time, ns:
    /// the clock where packets come from a wire, the newest packet time where they come from files.
    pub fn sweep(&mut self, now: u64, slots: usize, shunt: &mut impl Shunt) {
        self.core.retirement.stamp(now);
        while self.core.outgoing.room() {
            let Some(retired) = self.core.retirement.due(now) else { break };
            let counts = shunt.remove(&retired.key, retired.slot);
            self.settle(retired, counts);
        }
        let total = self.v4.buckets() + self.v6.buckets();
        for _ in 0..self.core.round.due(now, total, (slots / BUCKET).max(1)) {
            // Receipts wait for those who fetch them, and the table with them.
            if self.core.outgoing.room_for(BUCKET) {
                let horizon = self.core.round.horizon(now);
                let bucket = self.core.round.step(total);
                match bucket.checked_sub(self.v4.buckets()) {
                    None => self.core.sweep(&mut self.v4, bucket, horizon, now, shunt),
                    Some(bucket) => self.core.sweep(&mut self.v6, bucket, horizon, now, shunt),
                }
            }
        }
        self.evict_cold(now, shunt);
    }

    /// Makes the receipts of all connections, when no packet comes any more and the kernel's programs are detached. False: not done, because the
    /// receipts made so far have to be fetched first. The first call only lets all shunted connections pass.
    pub fn finish(&mut self, now: u64, shunt: &mut impl Shunt) -> bool {
        let total = self.v4.buckets() + self.v6.buckets();
        if !self.core.round.finishing {
            self.core.round.finishing = true;
            self.core.round.cursor = 0;
            for bucket in 0..self.v4.buckets() {
                self.core.pass_bucket(&mut self.v4, bucket, shunt);
            }
            for bucket in 0..self.v6.buckets() {
                self.core.pass_bucket(&mut self.v6, bucket, shunt);
            }
            return false;
        }
        loop {
            if !self.core.outgoing.room_for(BUCKET) {
                return false;
            }
            if let Some(retired) = self.core.retirement.any() {
                let counts = shunt.remove(&retired.key, retired.slot);
                self.settle(retired, counts);
                continue;
            }
            let bucket = self.core.round.cursor;
            if bucket >= total {
                return true;
            }
            self.core.round.cursor += 1;
            match bucket.checked_sub(self.v4.buckets()) {
                None => self.core.close_bucket(&mut self.v4, bucket, now, shunt),
                Some(bucket) => self.core.close_bucket(&mut self.v6, bucket, now, shunt),
            }
        }
    }

    /// The final counts of a slot go where they belong.
    fn settle(&mut self, retired: Retiring, counts: ShuntCounts) {
        match (retired.receipt, retired.key) {
            (Some(mut receipt), _) => {
                receipt.fold(counts);
                self.core.outgoing.push(receipt, &mut self.core.stats);
            }
            (None, Key::V4(key)) => settle(&mut self.v4, retired.place, &key, counts),
            (None, Key::V6(key)) => settle(&mut self.v6, retired.place, &key, counts),
        }
    }

    /// Gives the slots of cold connections to those that found the shunt full: the worker cuts the cold ones itself.
    fn evict_cold(&mut self, now: u64, shunt: &mut impl Shunt) {
        while self.core.cold.wanted > 0 {
            let Some((last, place, key)) = self.core.cold.take_coldest() else { break };
            let passed = match key {
                Key::V4(key) => self.core.evict(&mut self.v4, place, &key, last, now, shunt),
                Key::V6(key) => self.core.evict(&mut self.v6, place, &key, last, now, shunt),
            };
            if passed {
                self.core.cold.wanted -= 1;
                self.core.stats.shunt_evicted += 1;
            }
        }
    }
}

fn settle<K: TableKey>(table: &mut Table<K>, place: Place, key: &K, counts: ShuntCounts) {
    let entry = table.find(place, key).and_then(|i| table.get_mut(i));
    debug_assert!(entry.as_ref().is_some_and(|e| e.has(RETIRING)), "an entry leaves its receipt when it goes");
    if let Some(e) = entry {
        e.fold(counts);
        e.set(RETIRING, false);
    }
}

impl Core {
    fn sweep<K: TableKey>(
        &mut self,
        table: &mut Table<K>,
        bucket: usize,
        horizon: u64,
        now: u64,
        shunt: &mut impl Shunt,
    ) {
        for index in bucket * BUCKET..(bucket + 1) * BUCKET {
            let Some(place) = table.place_of(index) else { continue };
            let Some(e) = table.get_mut(index) else { continue };
            let slot = e.shunted();
            if let Some(slot) = slot {
                e.advance(shunt.counts(slot).last);
                self.cold.offer(e.last(), place, e.key.name());
            }
            if let Some(end) = self.over(e, horizon, None) {
                self.close(e, place, end, shunt);
                table.remove(index);
                continue;
            }
            if slot.is_some() && self.ends_before(e, now.saturating_add(2 * SWEEP_ROUND_NS)) {
                // Ahead of time, since the sweep comes by again only after a round: otherwise the kernel would go on dropping
                // what belongs to a new connection or a new count. Before that the worker cuts.
                self.pass(e, place, shunt);
            }
            let hour = horizon / HOUR_NS;
            if !e.has(ENDED) && hour > e.first / HOUR_NS && (hour % 2 == 1) != e.has(ODD_HOUR) {
                e.set(ODD_HOUR, hour % 2 == 1);
                e.set_told();
                let mut receipt = e.receipt(End::Lasting);
                if let Some(slot) = e.shunted() {
                    receipt.fold(shunt.counts(slot));
                }
                self.outgoing.push(receipt, &mut self.stats);
            }
        }
    }

    /// Whether a connection that sees no more packets is over, or its count due to start anew, by then.
    fn ends_before<K: TableKey>(&self, e: &Entry<K>, then: u64) -> bool {
        let renew = self.policy(e).renew_ns(is_tcp(e.key.tail()));
        let renewed = !e.has(ENDED) && renew.is_some_and(|interval| then.saturating_sub(e.mark()) >= interval);
        renewed || self.over(e, then, None).is_some()
    }

    fn pass_bucket<K: TableKey>(&mut self, table: &mut Table<K>, bucket: usize, shunt: &mut impl Shunt) {
        for index in bucket * BUCKET..(bucket + 1) * BUCKET {
            let Some(place) = table.place_of(index) else { continue };
            if let Some(e) = table.get_mut(index) {
                self.pass(e, place, shunt);
            }
        }
    }

    fn close_bucket<K: TableKey>(&mut self, table: &mut Table<K>, bucket: usize, now: u64, shunt: &mut impl Shunt) {
        for index in bucket * BUCKET..(bucket + 1) * BUCKET {
            let Some(place) = table.place_of(index) else { continue };
            let Some(e) = table.get_mut(index) else { continue };
            let end = self.over(e, now, None).unwrap_or(match e.has(ENDED) {
                true => e.end_by_flags(),
                false => End::Stopped,
            });
            self.close(e, place, end, shunt);
            table.remove(index);
        }
    }

    /// Lets a connection pass that was cold when the sweep met it, if it still is.
    fn evict<K: TableKey>(
        &mut self,
        table: &mut Table<K>,
        place: Place,
        key: &K,
        last: u64,
        now: u64,
        shunt: &mut impl Shunt,
    ) -> bool {
        let Some(e) = table.find(place, key).and_then(|i| table.get_mut(i)) else { return false };
        let Some(slot) = e.shunted() else { return false };
        e.advance(shunt.counts(slot).last);
        let cold = e.last() == last && now.saturating_sub(last) >= SHUNT_COLD_NS;
        if cold {
            self.pass(e, place, shunt);
        }
        cold
    }
}
