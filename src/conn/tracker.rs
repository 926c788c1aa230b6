//! The tracker of one worker: which connection a packet belongs to, when that begins and ends, and whether the packet is
//! stored. Owns the connection tables and everything that is decided by them; called by the worker's step. Time is packet
//! time, no clock is read; all memory is taken in [`Tracker::new`].

use super::cutoff::{REACHED, Secret};
use super::entry::*;
use super::flood::Floods;
use super::fragments::Fragments;
use super::orders::Orders;
use super::plan::{TrackerError, TrackerPlan};
use super::receipt::{End, Outgoing, Receipt};
use super::retire::Retirement;
use super::shunt::{Shunt, ShuntSlot};
use super::stats::TrackerStats;
use super::steer::Walk;
use super::sweep::{Cold, Round};
use super::table::{Place, Table};
use super::untracked::Cap;
use super::verdict::{Mark, Verdict};
use crate::class::{ClassId, ClassSet, Policy};
use crate::limits::*;
use crate::packet::key::{Key, Key4, Key6, Kind, Tail};
use crate::packet::{Fragment, Parsed};
use crate::source::Packet;

const FIN_FLAG: u8 = 1;
pub(super) const SYN_FLAG: u8 = 2;
const RST_FLAG: u8 = 4;
pub(super) const ACK_FLAG: u8 = 16;
/// The IP protocol number of TCP.
const TCP: u8 = 6;
const SECOND: u64 = 1_000_000_000;

/// Entries are asked for this many packets after their tags were: what the tags take to come.
const AHEAD: usize = 8;

/// The connections of one worker.
#[derive(Debug)]
pub struct Tracker {
    pub(super) v4: Table<Key4>,
    /// IPv6 and everything that is not IP.
    pub(super) v6: Table<Key6>,
    pub(super) core: Core,
    fragments: Fragments,
    /// Places whose tags were asked for and whose entries were not yet.
    ahead: [Option<Wanted>; AHEAD],
    next_ahead: usize,
}

#[derive(Clone, Copy, Debug)]
enum Wanted {
    V4(Place),
    V6(Place),
}

/// All of a tracker's state that is not in a table, so that both tables share the code.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) classes: ClassSet,
    pub(super) orders: Orders,
    pub(super) walk: Walk,
    pub(super) floods: Floods,
    secret: Secret,
    pub(super) outgoing: Outgoing,
    pub(super) retirement: Retirement,
    pub(super) stats: TrackerStats,
    pub(super) round: Round,
    pub(super) cold: Cold,
    shunt_slots: usize,
    pub(super) untracked: Cap,
    /// How late a packet may come and still say who began.
    pub(super) late_ns: u64,
}

impl Tracker {
    /// Takes and touches all memory. `secret` is the key of the jitter and of what else nobody may foresee.
    pub fn new(plan: &TrackerPlan, classes: ClassSet, secret: Secret) -> Result<Tracker, TrackerError> {
        plan.check(&classes)?;
        Ok(Tracker {
            v4: Table::new(plan.connections_v4),
            v6: Table::new(plan.connections_v6),
            fragments: Fragments::new(plan.fragments(), secret),
            core: Core {
                classes,
                orders: Orders::new(&secret),
                walk: Walk::default(),
                floods: Floods::new(plan, &secret),
                secret,
                outgoing: Outgoing::new(RECEIPTS_WAITING),
                retirement: Retirement::new(plan.shunt_slots),
                stats: TrackerStats::default(),
                round: Round::default(),
                cold: Cold::default(),
                shunt_slots: plan.shunt_slots,
                untracked: Cap::default(),
                late_ns: u64::MAX,
            },
            ahead: [None; AHEAD],
            next_ahead: 0,
        })
    }

    /// One source may have so many connections open that nobody has answered; of more, few are tracked. Without this, any number.
    pub fn limit_floods(&mut self, open: Option<u32>) {
        self.core.floods.limit(open);
    }

    /// Packets come from a wire: one whose time is further back than they can be late by was stamped by a clock that was set since, and
    /// does not say who began its connection. Without this, any does: files can be given in any order.
    pub fn from_wire(&mut self) {
        self.core.late_ns = DISORDER_NS;
    }

    /// Whom most of what a flood's limit refused came from: an IPv6 address, IPv4 mapped into it; 0: nobody.
    pub fn flood_source(&self) -> u128 {
        self.core.floods.suspect()
    }

    /// Compiles the class filters for a link type: to be called when an interface appears, since it allocates.
    pub fn prepare(&mut self, link_type: u16) {
        self.core.classes.prepare(link_type);
    }

    /// The same for one that has come up while recording: says which classes libpcap refuses there.
    pub fn meet(&mut self, link_type: u16) {
        self.core.classes.meet(link_type);
    }

    /// All link types that there will be are [prepared](Tracker::prepare): of others no class filter is asked.
    pub fn all_known(&mut self) {
        self.core.classes.all_known();
    }

    /// Asks for what [`judge`](Tracker::judge) will read of a packet's connection; changes no result. To be called for all packets of a batch
    /// before the first is judged.
    #[inline]
    pub fn prefetch(&mut self, p: &Parsed) {
        let wanted = match p.key {
            Key::V4(_) => {
                let place = self.v4.place(p.hash);
                self.v4.prefetch_tags(place);
                Wanted::V4(place)
            }
            Key::V6(_) => {
                let place = self.v6.place(p.hash);
                self.v6.prefetch_tags(place);
                Wanted::V6(place)
            }
        };
        self.next_ahead = (self.next_ahead + 1) % AHEAD;
        let earlier = self.ahead.get_mut(self.next_ahead).and_then(|slot| slot.replace(wanted));
        self.prefetch_entry(earlier);
    }

    #[inline]
    fn prefetch_entry(&self, wanted: Option<Wanted>) {
        match wanted {
            Some(Wanted::V4(place)) => self.v4.prefetch_entry(place),
            Some(Wanted::V6(place)) => self.v6.prefetch_entry(place),
            None => {}
        }
    }

    /// Gives a fragment its connection: a first one is remembered, a later one gets the key and the hash of its first,
    /// if that was seen in the last 30 s. Afterwards it is a packet like any other, and [`Parsed::fragment`] says so.
    pub fn resolve_fragment(&mut self, p: &mut Parsed, time: u64) {
        match p.fragment {
            Fragment::None => {}
            Fragment::First(id) => self.fragments.remember(p, id, time),
            Fragment::Later(id) => self.fragments.follow(p, id, time),
        }
        p.fragment = Fragment::None;
    }

    /// Decides on one packet and counts it.
    #[inline]
    pub fn judge(&mut self, p: &Parsed, packet: &Packet<'_>, link_type: u16, shunt: &mut impl Shunt) -> Verdict {
        for i in 0..AHEAD {
            let wanted = self.ahead.get_mut(i).and_then(Option::take);
            self.prefetch_entry(wanted);
        }
        let packet = Judged { p, packet, link_type };
        match p.key {
            Key::V4(key) => self.core.judge(&mut self.v4, key, packet, shunt),
            Key::V6(key) => self.core.judge(&mut self.v6, key, packet, shunt),
        }
    }

    /// Bytes kept of each packet of a class at most.
    #[inline]
    pub fn snaplen(&self, class: ClassId) -> usize {
        self.core.classes.policy(class).snaplen as usize
    }

    /// A packet that was judged to be stored was not: the store had no room. Its connection's receipt says so.
    pub fn not_stored(&mut self, p: &Parsed, wire_len: u32) {
        match p.key {
            Key::V4(key) => not_stored(&mut self.v4, &key, p.hash, wire_len),
            Key::V6(key) => not_stored(&mut self.v6, &key, p.hash, wire_len),
        }
    }

    /// The next receipt, oldest first. They wait in a bounded buffer: one for which there is no room is counted in
    /// `receipts_lost`.
    #[inline]
    pub fn next_receipt(&mut self) -> Option<Receipt> {
        self.core.outgoing.pop()
    }

    /// Counters and gauges.
    pub fn stats(&self) -> TrackerStats {
        TrackerStats {
            live_v4: self.v4.len() as u64,
            live_v6: self.v6.len() as u64,
            shunt_retiring: self.core.retirement.len() as u64,
            flooding: self.core.floods.at_limit(),
            one_sided: self.core.floods.one_sided(),
            crowded: u64::from(self.core.floods.crowded()),
            ..self.core.stats
        }
    }
}

fn not_stored<K: TableKey>(table: &mut Table<K>, key: &K, hash: u64, wire_len: u32) {
    if let Some(e) = table.find(table.place(hash), key).and_then(|i| table.get_mut(i)) {
        e.count_unstored(u64::from(wire_len));
    }
}

/// A packet and what is known of it.
#[derive(Clone, Copy)]
pub(super) struct Judged<'a> {
    pub(super) p: &'a Parsed,
    pub(super) packet: &'a Packet<'a>,
    pub(super) link_type: u16,
}

impl Judged<'_> {
    /// The sequence number of a SYN without ACK.
    #[inline]
    pub(super) fn syn(&self) -> Option<u32> {
        (self.p.tcp_flags & (SYN_FLAG | ACK_FLAG) == SYN_FLAG).then_some(self.p.tcp_seq)
    }

    /// SYN, FIN or RST.
    #[inline]
    fn control(&self) -> bool {
        self.p.tcp_flags & (SYN_FLAG | FIN_FLAG | RST_FLAG) != 0
    }
}

#[inline]
pub(super) fn is_tcp(tail: &Tail) -> bool {
    tail.proto == TCP && tail.kind() == Kind::Ip
}

impl Core {
    fn judge<K: TableKey>(&mut self, table: &mut Table<K>, key: K, j: Judged<'_>, shunt: &mut impl Shunt) -> Verdict {
        self.round.saw(j.packet.time);
        let place = table.place(j.p.hash);
        if let Some(e) = table.find(place, &key).and_then(|i| table.get_mut(i)) {
            if let Some(slot) = e.shunted() {
                e.advance(shunt.counts(slot).last);
            }
            if let Some(end) = self.over(e, j.packet.time, j.syn()) {
                self.close(e, place, end, shunt);
                self.stats.begun += 1;
                *e = self.begin(key, j);
                self.floods.begin(&j.p.key, j.p.swapped);
            } else {
                if j.tells(e) {
                    self.began(e, place, j, shunt);
                }
                if e.flags & (CLASSIFY | RETIRING) == CLASSIFY {
                    self.reclassify(e, place, j, shunt);
                }
            }
            return self.count(e, place, j, shunt);
        }
        let forgeable = j.p.tcp_flags & ACK_FLAG == 0;
        if let Some(why) = self.floods.refuses(&j.p.key, j.p.swapped, j.p.hash, forgeable) {
            return self.refused(why, j);
        }
        let entry = self.begin(key, j);
        let class = entry.class();
        self.make_room(table, place, j.packet.time, shunt);
        match table.insert(place, entry).and_then(|i| table.get_mut(i)) {
            Some(e) => {
                self.stats.begun += 1;
                self.floods.begin(&j.p.key, j.p.swapped);
                self.count(e, place, j, shunt)
            }
            None => {
                self.stats.table_full += 1;
                self.untracked(class, j.packet.time)
            }
        }
    }

    /// Why a connection has ended by the time of the packet that is about to be counted, if it has.
    #[inline]
    pub(super) fn over<K: TableKey>(&self, e: &Entry<K>, time: u64, syn: Option<u32>) -> Option<End> {
        let last = e.last();
        let now = time.max(last);
        let new_syn = syn.is_some_and(|seq| !e.has(SYN_KNOWN) || e.syn != seq);
        if e.has(ENDED) {
            // A SYN from before the end is late: it is no new beginning. What comes out of order by more has another order.
            let late = time < e.mark() && e.mark() - time <= DISORDER_NS;
            let over = (new_syn && !late) || now - e.mark() > LINGER_NS;
            return over.then_some(e.end_by_flags());
        }
        let silence = now - last;
        let idle = self.policy(e).idle.ns(e.key.tail());
        if (silence > idle && !e.has(HELD)) || now - e.first > AGE_MAX {
            Some(End::Idle)
        } else if new_syn && silence > SYN_SILENCE_NS {
            Some(End::Replaced)
        } else {
            None
        }
    }

    #[inline]
    pub(super) fn policy<K: TableKey>(&self, e: &Entry<K>) -> &Policy {
        self.classes.policy(e.class())
    }

    /// The packet that is about to be counted gives the connection its class, as if it were the first.
    fn reclassify<K: TableKey>(&mut self, e: &mut Entry<K>, place: Place, j: Judged<'_>, shunt: &mut impl Shunt) {
        e.set(CLASSIFY, false);
        e.set_class(self.classes.classify(j.link_type, j.packet));
        self.recount(e, place, j.packet.time, shunt);
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Counts a packet of a connection that goes on.
    #[inline]
    fn count<K: TableKey>(&mut self, e: &mut Entry<K>, place: Place, j: Judged<'_>, shunt: &mut impl Shunt) -> Verdict {
        let bytes = u64::from(j.packet.wire_len);
        e.advance(j.packet.time);
        if e.has(ONE_SIDED) && j.p.swapped != e.charged() && j.p.tcp_flags & (SYN_FLAG | RST_FLAG) == 0 {
            self.answered(e);
        }
        let policy = self.classes.policy(e.class());
        let (record, sample, renew) = (policy.record, policy.sample, policy.renew_ns(is_tcp(e.key.tail())));
        if !e.has(ENDED) && renew.is_some_and(|interval| e.last().saturating_sub(e.mark()) >= interval) {
            self.renew(e, place, shunt);
        }
        let class = e.class();
        let verdict = match e.phase() {
            Phase::Storing { bytes: left, packets } => {
                let left = if left == NO_BYTE_LIMIT { left } else { left.saturating_sub(bytes) };
                let packets = if packets == NO_PACKET_LIMIT { packets } else { packets.saturating_sub(1) };
                let reached = left == 0 || packets == 0;
                e.set_phase(if reached { REACHED } else { Phase::Storing { bytes: left, packets } });
                Verdict::Store { class, mark: if reached { Mark::CutHere } else { Mark::None } }
            }
            Phase::Past { .. } if !record => {
                self.shunt(e, j, shunt);
                Verdict::Discard { class }
            }
            Phase::Past { controls, retry, slot } => {
                e.set(CUT, true);
                if j.control() && controls < CONTROL_PACKETS_MAX {
                    e.set_phase(Phase::Past { controls: controls + 1, retry, slot });
                    Verdict::Store { class, mark: Mark::None }
                } else if sample == 0 {
                    self.shunt(e, j, shunt);
                    Verdict::Cut { class }
                } else {
                    // Where the kernel cuts, it draws.
                    let drawn = match e.has(SHUNTED) {
                        true => shunt.drawn(slot),
                        false => (e.seen().1 + 1).is_multiple_of(sample.into()),
                    };
                    self.shunt(e, j, shunt);
                    if drawn { Verdict::Store { class, mark: Mark::None } } else { Verdict::SampledOut { class } }
                }
            }
        };
        e.count(bytes, matches!(verdict, Verdict::Store { .. }));
        if j.p.tcp_flags != 0 {
            self.flags(e, place, j, shunt);
        }
        verdict
    }

    /// It is no part of a flood, or no longer there.
    fn answered<K: TableKey>(&mut self, e: &mut Entry<K>) {
        if e.has(ONE_SIDED) {
            e.set(ONE_SIDED, false);
            self.floods.release(&e.key.name(), e.charged());
        }
    }

    /// What SYN, FIN and RST say of a connection's life.
    fn flags<K: TableKey>(&mut self, e: &mut Entry<K>, place: Place, j: Judged<'_>, shunt: &mut impl Shunt) {
        if let Some(seq) = j.syn() {
            e.set(SYN_KNOWN, true);
            e.syn = seq;
        }
        if e.has(ENDED) {
            return;
        }
        if j.p.tcp_flags & FIN_FLAG != 0 {
            e.set(FIN << u32::from(j.p.swapped), true);
        }
        let reset = j.p.tcp_flags & RST_FLAG != 0;
        if reset {
            e.set(FIN | FIN << 1, false);
        }
        if reset || (e.has(FIN) && e.has(FIN << 1)) {
            e.set_ended();
            self.pass(e, place, shunt);
        }
    }

    /// The count starts anew with the packet that is about to be counted.
    fn renew<K: TableKey>(&mut self, e: &mut Entry<K>, place: Place, shunt: &mut impl Shunt) {
        self.pass(e, place, shunt);
        let since = e.last();
        e.set_mark(since);
        e.set_phase(self.limits(e, since));
        self.stats.renewed += 1;
    }

    /// Leaves a connection past its cutoff to the kernel, if it can be; at most one try a second.
    #[inline]
    fn shunt<K: TableKey>(&mut self, e: &mut Entry<K>, j: Judged<'_>, shunt: &mut impl Shunt) {
        if self.shunt_slots == 0 || e.flags & (SHUNTED | RETIRING | ENDED) != 0 {
            return;
        }
        let Phase::Past { controls, retry, .. } = e.phase() else { return };
        let second = (j.packet.time / SECOND) as u32;
        // Seconds are compared modulo 2^32, and a time that jumped back does not block for long.
        if retry != 0 && retry.wrapping_sub(second).wrapping_sub(1) < SHUNT_RETRY_SECONDS {
            return;
        }
        let slot = self.take_slot(j.p, shunt);
        e.set(SHUNTED, slot.is_some());
        if let Some(slot) = slot {
            self.answered(e);
            match self.policy(e).sample {
                0 => {}
                one_in => shunt.sample(slot, one_in),
            }
        }
        let retry = second.wrapping_add(SHUNT_RETRY_SECONDS).max(1);
        e.set_phase(Phase::Past { controls, retry, slot: slot.unwrap_or(ShuntSlot(0)) });
    }

    fn take_slot(&mut self, p: &Parsed, shunt: &mut impl Shunt) -> Option<ShuntSlot> {
        // Fragments go up whatever the shunt says.
        let useful = p.key.tail().kind() != Kind::Fragment;
        let in_use = self.stats.shunt_live as usize + self.retirement.len();
        if !useful {
            return None;
        }
        if in_use >= self.shunt_slots.min(shunt.capacity()) {
            self.stats.shunt_full += 1;
            self.cold.want();
            return None;
        }
        let slot = shunt.insert(&p.key);
        match slot {
            Some(_) => {
                self.stats.shunt_inserted += 1;
                self.stats.shunt_live += 1;
            }
            None => self.stats.shunt_failed += 1,
        }
        slot
    }

    /// A shunted connection's packets go up from now on; what the kernel has counted is added to the entry once it is final.
    pub(super) fn pass<K: TableKey>(&mut self, e: &mut Entry<K>, place: Place, shunt: &mut impl Shunt) {
        if let Some(slot) = e.shunted() {
            shunt.pass(slot);
            self.stats.shunt_live = self.stats.shunt_live.saturating_sub(1);
            self.retirement.push(e.key.name(), slot, place, None);
            e.set(SHUNTED, false);
            e.set(RETIRING, true);
        }
    }

    /// The connection has ended: makes its receipt, which waits for the kernel's counts if there are any. The entry is then
    /// to be removed or overwritten.
    pub(super) fn close<K: TableKey>(&mut self, e: &mut Entry<K>, place: Place, end: End, shunt: &mut impl Shunt) {
        self.stats.ended += 1;
        self.answered(e);
        self.pass(e, place, shunt);
        let receipt = e.receipt(end);
        if !(e.has(RETIRING) && self.retirement.attach(receipt)) {
            self.outgoing.push(receipt, &mut self.stats);
        }
    }
}
