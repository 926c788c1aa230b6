//! Running connections under new orders: what is ordered is put down, and a walk over the tables applies it to every connection that
//! runs, a few places a round. Owns the walk and the recount; called by the worker between batches, never for a packet.
//!
//! **The recount** is the definition applied anew, by the policy that now holds: its limit, with the jitter that the connection would have
//! drawn from the beginning, less what its count has seen, shunted packets included. If something is left of it the connection is stored
//! again from the next packet (what was cut between stays cut), else it is past. What is decided beyond that:
//! - A count that was renewed does not know what it has seen apart from the connection: it begins anew with the recount.
//! - SYN, FIN and RST that were stored past a limit are data where the one that now holds is not reached: the 16 of them begin anew. So what is
//!   stored of a count is never more than the limit that holds and 16 packets.
//! - Counts of a slot that is still retiring are waited for: the connection stays as it was for that second.
//! - A class that records nothing does so whatever is suspended.
//! - A connection whose assignment has ended, or whose class has gone, gets its class by its next packet, as if that were its first.

use super::Tracker;
use super::cutoff;
use super::entry::*;
use super::orders::{AddressOrder, ConnOrder, Plain, Prefix};
use super::receipt::{End, Receipt};
use super::shunt::{Shunt, ShuntCounts};
use super::table::{BUCKET, Place, Table};
use super::tracker::Core;
use crate::class::{ClassSet, Policy};
use crate::limits::{RETIRING_SEARCHED_MAX, WALK_NS, WALK_PLACES};
use crate::packet::key::Key;

/// Where the walk is.
#[derive(Debug, Default)]
pub(super) struct Walk {
    cursor: usize,
    /// Buckets to go until all were visited since the last order.
    left: usize,
    /// The same since the classes changed, and which did.
    changed_left: usize,
    changed: u64,
    changed_at: u64,
    /// Classes that are there no more.
    gone: u64,
    /// Something could not be done in this round.
    postponed: bool,
    /// Entries that had moved when this round began: one may have gone behind the cursor.
    moves: u64,
    mono: u64,
    credit: u64,
}

impl Walk {
    /// The whole way once more from here.
    fn again(&mut self, total: usize, moves: u64) {
        (self.left, self.moves, self.postponed) = (total, moves, false);
    }

    fn is(set: u64, class: u8) -> bool {
        set >> (class & 63) & 1 == 1
    }
}

/// True if limits of the two differ.
fn differ(a: &Policy, b: &Policy) -> bool {
    let limits = |p: &Policy| (p.cutoff_bytes, p.cutoff_packets, p.cutoff_jitter, p.sample, p.record);
    limits(a) != limits(b)
}

impl Tracker {
    /// An order for an address or a net, in the place of the one before; the default one takes it back. False: no room.
    pub fn order_address(&mut self, prefix: Prefix, order: AddressOrder) -> bool {
        let done = self.core.orders.address(prefix, order).is_ok();
        self.walk_again();
        done
    }

    /// An order for a connection, in the place of the one before; holds at once where it is neither in a VLAN nor a tunnel, elsewhere
    /// when the walk comes by. `hash` is that of the name's key. False: no room.
    pub fn order_conn(&mut self, name: Plain, order: ConnOrder, hash: u64, now: u64, shunt: &mut impl Shunt) -> bool {
        let done = self.core.orders.conn(name, order).is_ok();
        match name.key() {
            Key::V4(key) => self.core.visit_key(&mut self.v4, &key, hash, now, shunt),
            Key::V6(key) => self.core.visit_key(&mut self.v6, &key, hash, now, shunt),
        }
        self.walk_again();
        done
    }

    /// Classes that are to hold from now on, in exchange for those before. A class keeps its id; those in `gone` (a bit each) are
    /// there no more. Timeouts hold at once, limits of running connections when the walk comes by.
    pub fn adopt(&mut self, classes: &mut ClassSet, gone: u64, now: u64) {
        classes.replace(&mut self.core.classes);
        let both = self.core.classes.classes().iter().zip(classes.classes());
        let changed = both.enumerate().filter(|(_, (new, old))| differ(&new.policy, &old.policy));
        let walk = &mut self.core.walk;
        walk.changed = changed.fold(walk.changed, |set, (id, _)| set | 1 << (id & 63));
        (walk.changed_left, walk.changed_at, walk.gone) = (self.v4.buckets() + self.v6.buckets(), now, gone);
        self.walk_again();
    }

    fn walk_again(&mut self) {
        let total = self.v4.buckets() + self.v6.buckets();
        self.core.walk.again(total, self.v4.moves() + self.v6.moves());
    }

    /// True while connections may not be as ordered yet.
    pub fn walking(&self) -> bool {
        self.core.walk.left > 0
    }

    /// Goes on with the walk: so far that all of the way takes [`WALK_NS`] of `mono`, at most [`WALK_PLACES`]. `now` is Unix time.
    pub fn walk(&mut self, mono: u64, now: u64, shunt: &mut impl Shunt) {
        let total = self.v4.buckets() + self.v6.buckets();
        let walk = &mut self.core.walk;
        let passed = mono.saturating_sub(std::mem::replace(&mut walk.mono, mono)).min(WALK_NS);
        if walk.left == 0 {
            walk.credit = 0;
            return;
        }
        walk.credit = (walk.credit + passed).min(WALK_NS);
        let of_one = (WALK_NS / total as u64).max(1);
        let due = ((walk.credit / of_one) as usize).clamp(1, WALK_PLACES / BUCKET).min(walk.left);
        walk.credit = walk.credit.saturating_sub(due as u64 * of_one);
        for _ in 0..due {
            let bucket = self.core.walk.cursor;
            self.core.walk.cursor = (bucket + 1) % total;
            match bucket.checked_sub(self.v4.buckets()) {
                None => self.core.visit_bucket(&mut self.v4, bucket, now, shunt),
                Some(bucket) => self.core.visit_bucket(&mut self.v6, bucket, now, shunt),
            }
            let walk = &mut self.core.walk;
            (walk.left, walk.changed_left) = (walk.left - 1, walk.changed_left.saturating_sub(1));
        }
        let moves = self.v4.moves() + self.v6.moves();
        let walk = &mut self.core.walk;
        if walk.left == 0 && (walk.postponed || walk.moves != moves) {
            if walk.changed != 0 {
                walk.changed_left = total;
            }
            walk.again(total, moves);
        } else if walk.changed_left == 0 && !walk.postponed {
            walk.changed = 0;
        }
    }

    /// What is known of a connection that runs, as its receipt would say it now, what the kernel has counted included.
    pub fn totals(&self, key: &Key, hash: u64, shunt: &impl Shunt) -> Option<Receipt> {
        match key {
            Key::V4(key) => self.core.totals(&self.v4, key, hash, shunt),
            Key::V6(key) => self.core.totals(&self.v6, key, hash, shunt),
        }
    }
}

impl Core {
    fn visit_key<K: TableKey>(&mut self, t: &mut Table<K>, key: &K, hash: u64, now: u64, shunt: &mut impl Shunt) {
        let place = t.place(hash);
        if let Some(e) = t.find(place, key).and_then(|i| t.get_mut(i)) {
            let done = self.revisit(e, place, now, shunt);
            self.walk.postponed |= !done;
        }
    }

    fn visit_bucket<K: TableKey>(&mut self, t: &mut Table<K>, bucket: usize, now: u64, shunt: &mut impl Shunt) {
        for index in bucket * BUCKET..(bucket + 1) * BUCKET {
            let Some(place) = t.place_of(index) else { continue };
            if let Some(e) = t.get_mut(index) {
                let done = self.revisit(e, place, now, shunt);
                self.walk.postponed |= !done;
            }
        }
    }

    /// Makes a connection what is ordered. False: it can't be told yet, and nothing was done.
    fn revisit<K: TableKey>(&mut self, e: &mut Entry<K>, place: Place, now: u64, shunt: &mut impl Shunt) -> bool {
        let order = self.orders.of(&e.key.name(), e.has(FROM_ONE));
        let before = (e.flags, e.class());
        let renewed_since = !e.has(ENDED) && e.renewed() && e.mark() >= self.walk.changed_at;
        let mut recount = self.walk.changed_left > 0 && Walk::is(self.walk.changed, e.class()) && !renewed_since;
        match order.class {
            Some(class) => {
                recount |= class != e.class();
                e.set_class(class);
                e.set(ASSIGNED, true);
                e.set(CLASSIFY, false);
            }
            None if e.has(ASSIGNED) || Walk::is(self.walk.gone, e.class()) => {
                e.set(ASSIGNED, false);
                e.set(CLASSIFY, true);
            }
            None => {}
        }
        recount |= order.suspend_cutoff != e.has(SUSPENDED);
        e.set(SUSPENDED, order.suspend_cutoff);
        e.set(HELD, order.suspend_timeout);
        if recount && !self.recount(e, place, now, shunt) {
            e.flags = before.0;
            e.set_class(before.1);
            return false;
        }
        if e.has(CLASSIFY) {
            // Its next packet has to come up.
            self.pass(e, place, shunt);
        }
        true
    }

    /// The limits of a count that begins at `since`.
    pub(super) fn limits<K: TableKey>(&self, e: &Entry<K>, since: u64) -> Phase {
        let policy = self.policy(e);
        if e.has(SUSPENDED) && policy.record {
            return Phase::Storing { bytes: NO_BYTE_LIMIT, packets: NO_PACKET_LIMIT };
        }
        cutoff::begin(policy, self.secret(), &e.key.name(), since)
    }

    /// The definition applied anew. False: counts are still on their way, and nothing was done.
    pub(super) fn recount<K: TableKey>(
        &mut self,
        e: &mut Entry<K>,
        place: Place,
        now: u64,
        shunt: &mut impl Shunt,
    ) -> bool {
        let renewed = e.renewed();
        let since = if renewed { now.max(e.last()) } else { e.first };
        let mut phase = self.limits(e, since);
        if renewed {
            if !e.has(ENDED) {
                e.set_mark(since);
            }
        } else if let Phase::Storing { bytes, packets } = phase
            && (bytes, packets) != (NO_BYTE_LIMIT, NO_PACKET_LIMIT)
        {
            if e.has(RETIRING) {
                return false;
            }
            let kernel = e.shunted().map_or(ShuntCounts::default(), |slot| shunt.counts(slot));
            let (seen_bytes, seen_packets) = e.seen();
            let left = |limit: u64, none, seen: u64, more| match limit == none {
                true => none,
                false => limit.saturating_sub(seen).saturating_sub(more),
            };
            let bytes = left(bytes, NO_BYTE_LIMIT, seen_bytes, kernel.bytes);
            let packets = left(packets, NO_PACKET_LIMIT, seen_packets, kernel.packets);
            phase = if bytes == 0 || packets == 0 { cutoff::REACHED } else { Phase::Storing { bytes, packets } };
        }
        match (phase, e.phase()) {
            // It goes on as it is, be it in the shunt.
            (Phase::Past { .. }, Phase::Past { controls, retry, slot }) => {
                let controls = if renewed { 0 } else { controls };
                e.set_phase(Phase::Past { controls, retry, slot });
                if let Some(slot) = e.shunted() {
                    shunt.sample(slot, self.policy(e).sample);
                }
            }
            (Phase::Storing { .. }, Phase::Past { .. }) => {
                self.pass(e, place, shunt);
                e.set_phase(phase);
            }
            (_, Phase::Storing { .. }) => e.set_phase(phase),
        }
        self.stats.recounted += 1;
        true
    }

    fn totals<K: TableKey>(&self, t: &Table<K>, key: &K, hash: u64, shunt: &impl Shunt) -> Option<Receipt> {
        let e = t.find(t.place(hash), key).and_then(|i| t.get(i))?;
        let mut receipt = e.receipt(End::Lasting);
        let slot = match e.has(RETIRING) {
            true => self.retirement.slot_of(&receipt.key, RETIRING_SEARCHED_MAX),
            false => e.shunted(),
        };
        if let Some(slot) = slot {
            receipt.fold(shunt.counts(slot));
        }
        Some(receipt)
    }
}
