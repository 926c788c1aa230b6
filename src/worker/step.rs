//! One batch: parse, prefetch, filter, decide, store. Owns the worker's state and writes its tallies; a function of the packets
//! and that state alone: no system call, clock, lock or allocation. Called by the loop, by benches and by fuzzers.

use super::dedup::Dedup;
use super::filter::Filters;
use super::handoff::{Handoff, Parcel};
use super::mailbox::{Command, Errand, Look, Rules};
use crate::conn::Tracker;
use crate::conn::shunt::Shunt;
use crate::conn::verdict::{Mark, Verdict};
use crate::limits::{BATCH_PACKETS, TOTALS_PER_ROUND};
use crate::metrics::tallies::{Early, Fate, Tallies};
use crate::packet::key::Key;
use crate::packet::{Fragment, Parsed, Parser};
use crate::source::{Interface, Packet};
use crate::store::format::PacketOptions;
use crate::store::sink::{Appended, Sink};
use std::sync::Arc;

/// From the beginning of the innermost IPv4 header: that, and what a key needs of what follows it.
const IPV4_HEADERS_MAX: usize = 60 + 20;

/// The state of one worker between batches.
pub struct Step<K, S> {
    /// From bytes to connections.
    pub parser: Parser,
    /// The connection table.
    pub tracker: Tracker,
    /// Connections that the kernel cuts.
    pub shunt: K,
    /// Where packets are stored.
    pub sink: S,
    /// The global filter.
    pub filters: Filters,
    /// Copies that a mirror port made.
    pub dedup: Dedup,
    /// To and from the other workers.
    pub handoff: Handoff,
    /// What became of the packets; others read it.
    pub tallies: Arc<Tallies>,
    /// Newest packet time seen, Unix ns.
    pub newest: u64,
    /// What came in a box and is not done yet, with its number.
    pub(super) errand: Option<(u64, Errand)>,
    parsed: Vec<Parsed>,
    /// Interfaces that the filters are compiled for.
    known: usize,
}

impl<K: Shunt, S: Sink> Step<K, S> {
    #[allow(clippy::too_many_arguments, reason = "each part is given once, by those who made it")]
    /// A worker's state; all memory is taken by the caller and here.
    pub fn new(
        parser: Parser,
        tracker: Tracker,
        shunt: K,
        sink: S,
        filters: Filters,
        dedup: Dedup,
        handoff: Handoff,
        tallies: Arc<Tallies>,
    ) -> Self {
        let parsed = Vec::with_capacity(BATCH_PACKETS);
        Step {
            parser,
            tracker,
            shunt,
            sink,
            filters,
            dedup,
            handoff,
            tallies,
            newest: 0,
            errand: None,
            parsed,
            known: 0,
        }
    }

    /// Compiles filters for interfaces that are new since the last call. Allocates: for the loop, between batches. Of a wire all are known.
    pub fn learn(&mut self, interfaces: &[Interface]) {
        for i in interfaces.get(self.known..).unwrap_or_default() {
            self.filters.meet(i.link_type);
            self.tracker.meet(i.link_type);
        }
        self.known = interfaces.len();
    }

    /// Does as a command says. False: no room for it.
    pub fn order(&mut self, command: &Command, now: u64) -> bool {
        match *command {
            Command::Address { prefix, order } => self.tracker.order_address(prefix, order),
            Command::Connection { name, hash, order } => {
                self.tracker.order_conn(name, order, hash, now, &mut self.shunt)
            }
        }
    }

    /// Puts rules in force and leaves in them what was.
    pub fn adopt(&mut self, rules: &mut Rules, now: u64, interfaces: &[Interface]) {
        self.tracker.adopt(&mut rules.classes, rules.gone, now);
        rules.filters.replace(&mut self.filters);
        self.dedup.set_window(rules.dedup_ns);
        self.tracker.limit_floods(rules.flood_limit);
        // Nothing to do but for a link type that its maker did not know; of a wire there is none.
        self.known = 0;
        self.learn(interfaces);
    }

    /// Looks some connections up; true: that was the last.
    pub fn look(&self, look: &mut Look) -> bool {
        let until = look.keys.len().min(look.next + TOTALS_PER_ROUND);
        for i in look.next..until {
            if let (Some((key, hash)), Some(found)) = (look.keys.get(i), look.found.get_mut(i)) {
                *found = self.tracker.totals(key, *hash, &self.shunt);
            }
        }
        look.next = until;
        until == look.keys.len()
    }

    /// Works one batch off. Every packet ends in exactly one of the counters of
    /// [`WorkerCounts`](crate::metrics::account::WorkerCounts), here or in the worker that
    /// it is handed to.
    pub fn run(&mut self, packets: &[Packet<'_>], interfaces: &[Interface]) {
        // A file may describe an interface in front of the very packets of this batch.
        if self.known < interfaces.len() {
            self.learn(interfaces);
        }
        self.parsed.clear();
        for p in packets {
            let parsed = self.parser.parse(link_type(p, interfaces), p.data);
            self.tracker.prefetch(&parsed);
            self.parsed.push(parsed);
        }
        for (i, p) in packets.iter().enumerate() {
            let Some(&parsed) = self.parsed.get(i) else { break };
            self.tallies.early(p.iface, Early::Received, p.wire_len);
            if !self.filters.accept(link_type(p, interfaces), p) {
                self.tallies.early(p.iface, Early::Filtered, p.wire_len);
            } else if parsed.fragment != Fragment::None {
                self.fragment(p, parsed, interfaces);
            } else {
                self.route(p, &parsed, interfaces);
            }
        }
        self.handoff.settle();
    }

    /// Works off a parcel from another worker.
    pub fn run_parcel(&mut self, parcel: &Parcel, interfaces: &[Interface]) {
        for i in 0..parcel.len() {
            if let Some((_, parsed)) = parcel.get(i) {
                self.tracker.prefetch(&parsed);
            }
        }
        for i in 0..parcel.len() {
            let Some((p, parsed)) = parcel.get(i) else { break };
            if parsed.fragment != Fragment::None {
                self.fragment(&p, parsed, interfaces);
            } else {
                self.judge(&p, &parsed, interfaces);
            }
        }
        self.handoff.flush();
    }

    /// Fragments go first to the worker that owns their datagram, which knows the first fragment whichever queue brought it,
    /// then to the owner of the connection; there they count as any other packet.
    fn fragment(&mut self, p: &Packet<'_>, mut parsed: Parsed, interfaces: &[Interface]) {
        let home = self.parser.datagram_hash(&parsed);
        if self.handoff.is_mine(home) {
            self.tracker.resolve_fragment(&mut parsed, p.time);
            self.route(p, &parsed, interfaces);
        } else {
            self.give(self.handoff.owner(home), p, &parsed);
        }
    }

    #[inline]
    fn route(&mut self, p: &Packet<'_>, parsed: &Parsed, interfaces: &[Interface]) {
        if self.handoff.is_mine(parsed.hash) {
            self.judge(p, parsed, interfaces);
        } else {
            self.give(self.handoff.owner(parsed.hash), p, parsed);
        }
    }

    fn give(&mut self, to: usize, p: &Packet<'_>, parsed: &Parsed) {
        if self.handoff.give(to, p, parsed) {
            self.tallies.early(p.iface, Early::HandedOver, p.wire_len);
        } else {
            self.tallies.early(p.iface, Early::HandoffFull, p.wire_len);
        }
    }

    /// The worker that this parcel was for has died.
    pub fn bury(&mut self, parcel: &Parcel) {
        for i in 0..parcel.len() {
            if let Some((p, _)) = parcel.get(i) {
                self.tallies.early(p.iface, Early::HandoffFull, p.wire_len);
            }
        }
    }

    fn judge(&mut self, p: &Packet<'_>, parsed: &Parsed, interfaces: &[Interface]) {
        self.newest = self.newest.max(p.time);
        if self.dedup.is_duplicate(p) {
            self.tallies.early(p.iface, Early::Duplicate, p.wire_len);
            return;
        }
        if parsed.key.aggregate() {
            self.tallies.early(p.iface, Early::Unfollowed, p.wire_len);
        }
        match self.tracker.judge(parsed, p, link_type(p, interfaces), &mut self.shunt) {
            Verdict::Store { class, mark } => {
                let keep = p.data.len().min(self.tracker.snaplen(class));
                let kept = Packet { data: p.data.get(..keep).unwrap_or(p.data), ..*p };
                let key = match parsed.renamed || keep < p.data.len() {
                    true => self.other_key(parsed, &kept, link_type(p, interfaces)),
                    false => None,
                };
                match self.sink.append(class, &kept, interfaces, &PacketOptions { mark, key }) {
                    Appended::Stored => {
                        self.tallies.fate(p.iface, class, Fate::Stored, p.wire_len);
                        if mark == Mark::Untracked {
                            self.tallies.fate(p.iface, class, Fate::Untracked, p.wire_len);
                        }
                    }
                    Appended::Stalled => {
                        self.tracker.not_stored(parsed, p.wire_len);
                        self.tallies.fate(p.iface, class, Fate::DiskStall, p.wire_len);
                    }
                }
            }
            Verdict::Cut { class } => self.tallies.fate(p.iface, class, Fate::Cut, p.wire_len),
            Verdict::SampledOut { class } => self.tallies.fate(p.iface, class, Fate::SampledOut, p.wire_len),
            Verdict::Discard { class } => self.tallies.fate(p.iface, class, Fate::Discarded, p.wire_len),
            Verdict::Flood => self.tallies.early(p.iface, Early::Flood, p.wire_len),
        }
    }

    /// The connection of a packet of which these bytes are kept, if they name another.
    #[cold]
    fn other_key(&self, parsed: &Parsed, kept: &Packet<'_>, link_type: u16) -> Option<Key> {
        if parsed.renamed {
            return Some(parsed.key);
        }
        let headers = usize::from(parsed.l3) + IPV4_HEADERS_MAX;
        if matches!(parsed.key, Key::V4(_)) && kept.data.len() >= headers {
            return None;
        }
        Some(parsed.key).filter(|key| self.parser.parse(link_type, kept.data).key != *key)
    }
}

#[inline]
fn link_type(p: &Packet<'_>, interfaces: &[Interface]) -> u16 {
    interfaces.get(usize::from(p.iface)).map_or(u16::MAX, |i| i.link_type)
}
