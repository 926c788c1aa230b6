//! Who began a connection, and the class that follows from it. Owns what a packet tells of that when it comes after packets that it is
//! earlier than, or beside: two ports, queues and workers are read one after the other, and files are given in any order. Called by
//! the tracker for the first packet of a connection, and for others only where they can tell something.
//!
//! A SYN (without ACK) says it, else a SYN-ACK, whose receiver it is; of several of them the one that is earlier than all known packets.
//! Without either it is the sender of the earliest packet. The class is that of the originator's first packet: its SYN, else the earliest
//! that was known when it came. Where a packet of the other side had to give it, the originator's next one decides anew, as does one that
//! says that the originator is another. What was stored until then stays where it is.

use super::entry::*;
use super::receipt::End;
use super::shunt::Shunt;
use super::table::Place;
use super::tracker::{ACK_FLAG, Core, Judged, SYN_FLAG};
use crate::class::ClassId;

impl Judged<'_> {
    /// A SYN-ACK: its sender did not begin.
    #[inline]
    pub(super) fn accepts(&self) -> bool {
        const BOTH: u8 = SYN_FLAG | ACK_FLAG;
        self.p.tcp_flags & BOTH == BOTH
    }

    /// Whether it can tell of a connection's beginning what was not known.
    #[inline]
    pub(super) fn tells<K: TableKey>(&self, e: &Entry<K>) -> bool {
        self.packet.time < e.first
            || self.p.tcp_flags & SYN_FLAG != 0
            || (e.has(PROVISIONAL) && self.p.swapped == e.has(FROM_ONE))
    }
}

impl Core {
    /// The connection of a first packet, which is yet to be counted.
    pub(super) fn begin<K: TableKey>(&mut self, key: K, j: Judged<'_>) -> Entry<K> {
        let first = j.packet.time;
        let accepted = j.accepts() && !key.is_loop();
        let from_one = j.p.swapped != accepted;
        let order = self.orders.of(&j.p.key, from_one);
        let class = order.class.unwrap_or_else(|| self.classes.classify(j.link_type, j.packet));
        let mut entry = Entry::new(key, first, class, self.round.hour_flag(first), super::cutoff::REACHED);
        entry.set(ONE_SIDED, true);
        entry.set(FROM_ONE, from_one);
        entry.set(PROVISIONAL, accepted);
        if accepted {
            entry.set_accepted();
        }
        entry.set(ASSIGNED, order.class.is_some());
        entry.set(SUSPENDED, order.suspend_cutoff);
        entry.set(HELD, order.suspend_timeout);
        entry.set_phase(self.limits(&entry, first));
        entry
    }

    /// The class that a packet gives, and whether by an assignment.
    pub(super) fn class_by(&mut self, j: Judged<'_>, from_one: bool) -> (ClassId, bool) {
        match self.orders.of(&j.p.key, from_one).class {
            Some(class) => (class, true),
            None => (self.classes.classify(j.link_type, j.packet), false),
        }
    }

    /// Takes what a packet that [`tells`](Judged::tells) something says, before it is counted.
    #[cold]
    pub(super) fn began<K: TableKey>(&mut self, e: &mut Entry<K>, place: Place, j: Judged<'_>, shunt: &mut impl Shunt) {
        let (time, side) = (j.packet.time, j.p.swapped);
        let (charged, syn_known, accepted) = (e.charged(), e.has(SYN_KNOWN), e.accepted());
        let before_all = time < e.first;
        let earliest = before_all && e.first - time <= self.late_ns;
        if before_all {
            e.antedate(time);
            if self.policy(e).cutoff_jitter > 0 && !e.renewed() {
                // What is drawn goes by the first packet's time.
                self.recount(e, place, time, shunt);
            }
        }
        if e.key.is_loop() {
            return;
        }
        let by_syn = j.syn().is_some() && (!syn_known || earliest);
        let by_accept = j.accepts() && !syn_known && (!accepted || earliest);
        let by_time = earliest && !syn_known && !accepted && !by_accept;
        if by_accept {
            e.set_accepted();
        }
        let turned = match (by_syn || by_time, by_accept) {
            (true, _) => side != e.has(FROM_ONE),
            (false, true) => side == e.has(FROM_ONE),
            (false, false) => false,
        };
        e.set(FROM_ONE, e.has(FROM_ONE) != turned);
        let of_originator = side == e.has(FROM_ONE);
        if turned || (of_originator && (e.has(PROVISIONAL) || by_syn || by_time)) {
            self.decide(e, place, j, shunt);
        }
        if !e.has(ONE_SIDED) {
            return;
        }
        // Where no flags have said otherwise both sides have sent data by now.
        let refused = e.has(ENDED) && e.end_by_flags() == End::Reset;
        let answered = turned && of_originator && !syn_known && !accepted && !refused;
        if answered || e.charged() != charged {
            self.floods.release(&e.key.name(), charged);
            e.set(ONE_SIDED, !answered);
            if !answered {
                self.floods.begin(&e.key.name(), e.charged());
            }
        }
    }

    /// The packet that is about to be counted gives the connection its class.
    fn decide<K: TableKey>(&mut self, e: &mut Entry<K>, place: Place, j: Judged<'_>, shunt: &mut impl Shunt) {
        let (class, assigned) = self.class_by(j, e.has(FROM_ONE));
        if class != e.class() && e.has(RETIRING) {
            // Its counts are on their way: the originator's next packet decides.
            e.set(PROVISIONAL, true);
            return;
        }
        e.set(ASSIGNED, assigned);
        e.set(CLASSIFY, false);
        e.set(PROVISIONAL, j.p.swapped != e.has(FROM_ONE));
        if class != e.class() {
            e.set_class(class);
            self.recount(e, place, j.packet.time, shunt);
        }
    }
}
