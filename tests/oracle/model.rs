//! The rules of connections and cutoff, word by word after the definition: maps without bounds, nothing ever swept.

use std::collections::HashMap;

use super::parse::{FragmentId, Name, Seen, parse};

/// One second in the unit of packet times.
pub const S: u64 = 1_000_000_000;

/// What is set; the defaults are those of the definition, without a cutoff.
#[derive(Clone, Debug)]
pub struct Rules {
    pub cutoff_bytes: Option<u64>,
    pub cutoff_packets: Option<u64>,
    /// What may carry many connections has no cutoff.
    pub whole_unknown: bool,
    pub idle_tcp: u64,
    pub idle_other: u64,
    pub renew_tcp: Option<u64>,
    pub renew_other: Option<u64>,
    /// False: VLAN ids are no part of a connection.
    pub vlans: bool,
    /// False: counted, never stored.
    pub record: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            cutoff_bytes: None,
            cutoff_packets: None,
            whole_unknown: true,
            idle_tcp: 300 * S,
            idle_other: 180 * S,
            renew_tcp: None,
            renew_other: Some(600 * S),
            vlans: true,
            record: true,
        }
    }
}

/// What the oracle says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub stored: bool,
    /// Number of its connection, from 1, in order of their first packets.
    pub connection: usize,
    /// It is the connection's first packet.
    pub new: bool,
    /// The class of the connection, as far as is known now.
    pub class: usize,
    /// Endpoint of the name that began the connection, as far as is known now.
    pub originator: usize,
}

/// No connection is longer: a packet that is earlier still counts, and names nothing.
const AGE_MAX_NS: u64 = (1 << 56) - 1;

/// A connection and its totals.
#[derive(Clone, Debug)]
pub struct Connection {
    pub name: Name,
    /// Its class, by number.
    pub class: usize,
    pub first: u64,
    pub last: u64,
    pub seen_packets: u64,
    pub seen_bytes: u64,
    pub stored_packets: u64,
    pub stored_bytes: u64,
    /// The time of the packet that ended it, and whether that was an RST.
    pub ended: Option<(u64, bool)>,
    /// A packet was not stored for its cutoff's sake, or could not have been; a class that records nothing has none.
    pub cut: bool,
    /// Since when, how much, and how many SYN, FIN and RST past the cutoff the present count holds.
    since: u64,
    count_bytes: u64,
    count_packets: u64,
    control: u32,
    fin: [bool; 2],
    syn: Option<u32>,
    /// Endpoint of the name that began it.
    pub originator: usize,
    /// A SYN-ACK was seen while no SYN was.
    syn_ack: bool,
    /// Its class was decided by a packet of the other side.
    by_other: bool,
}

/// All that was seen.
pub struct Oracle {
    /// Of each class.
    rules: Vec<Rules>,
    /// Every connection there ever was.
    pub connections: Vec<Connection>,
    /// The latest connection of a name.
    current: HashMap<Name, usize>,
    /// When a first fragment was seen, and what connection it belongs to.
    fragments: HashMap<FragmentId, (u64, Name)>,
}

impl Oracle {
    pub fn new(rules: Rules) -> Oracle {
        Oracle::with_classes(vec![rules])
    }

    /// With classes, each with its rules; whether VLAN ids count the first one says.
    pub fn with_classes(rules: Vec<Rules>) -> Oracle {
        Oracle { rules, connections: Vec::new(), current: HashMap::new(), fragments: HashMap::new() }
    }

    /// Takes one packet: `time` in ns, `wire` its length on the wire, `data` what was captured of it.
    pub fn packet(&mut self, time: u64, wire: u32, link_type: u16, data: &[u8]) -> Outcome {
        self.packet_of(time, wire, link_type, data, || 0)
    }

    /// The same where `class` tells the class of a connection that this packet decides.
    pub fn packet_of(
        &mut self,
        time: u64,
        wire: u32,
        link_type: u16,
        data: &[u8],
        class: impl FnOnce() -> usize,
    ) -> Outcome {
        let seen = parse(link_type, data, self.rules[0].vlans);
        let name = self.name_of(&seen, time);
        self.judge(name, &seen, time, u64::from(wire), class)
    }

    /// The name of the packet's connection; first fragments are remembered.
    fn name_of(&mut self, seen: &Seen, time: u64) -> Name {
        let mut name = seen.name.clone();
        if let Some(id) = &seen.later_fragment_of
            && let Some((at, first)) = self.fragments.get(id)
            && time.saturating_sub(*at) <= 30 * S
        {
            name = first.clone();
        }
        if let Some(id) = &seen.first_fragment_of {
            self.fragments.insert(id.clone(), (time, name.clone()));
        }
        name
    }

    fn judge(&mut self, name: Name, seen: &Seen, time: u64, wire: u64, class: impl FnOnce() -> usize) -> Outcome {
        let new_syn = |c: &Connection| seen.tcp.is_some_and(|t| t.syn && !t.ack && c.syn != Some(t.seq));
        let is_tcp = name.is_tcp();
        let known = self.current.get(&name).copied().filter(|&i| {
            let c = &self.connections[i];
            let silence = time.saturating_sub(c.last);
            let now = time.max(c.last);
            match c.ended {
                Some((end, _)) => {
                    let late = time < end && end - time <= 4 * S;
                    now - end <= 30 * S && (late || !new_syn(c))
                }
                None => {
                    let rules = &self.rules[c.class];
                    let idle = if is_tcp { rules.idle_tcp } else { rules.idle_other };
                    silence <= idle && !(silence > 60 * S && new_syn(c))
                }
            }
        });
        let new = known.is_none();
        let index = known.unwrap_or_else(|| {
            self.connections.push(Connection::begin(name.clone(), time));
            self.current.insert(name, self.connections.len() - 1);
            self.connections.len() - 1
        });
        let c = &mut self.connections[index];
        let (decides, before) = (c.began(new, seen, time), c.class);
        if decides {
            c.class = class();
        }
        let now = time.max(c.last);
        c.last = now;
        if c.class != before && c.since != c.first {
            // Of a count that was renewed nobody says what it would have been by another class's limits.
            c.count_anew(now);
        }

        let rules = &self.rules[c.class];
        let renew = if is_tcp { rules.renew_tcp } else { rules.renew_other };
        if c.ended.is_none() && renew.is_some_and(|interval| now - c.since >= interval) {
            c.count_anew(now);
        }

        let below = rules.whole_unknown && c.name.carries_unknown()
            || rules.cutoff_bytes.is_none_or(|limit| c.count_bytes < limit)
                && rules.cutoff_packets.is_none_or(|limit| c.count_packets < limit);
        let control = seen.tcp.is_some_and(|t| t.syn || t.fin || t.rst);
        let stored = rules.record && (below || (control && c.control < 16));
        if rules.record {
            // What is before the cutoff that holds is not among the 16, whatever another class made of it.
            c.control = if below { 0 } else { c.control + u32::from(control) };
            c.cut |= !below;
        }
        c.count_bytes += wire;
        c.count_packets += 1;
        c.seen_bytes += wire;
        c.seen_packets += 1;
        if stored {
            c.stored_bytes += wire;
            c.stored_packets += 1;
        }

        if let Some(t) = seen.tcp {
            if t.syn && !t.ack {
                c.syn = Some(t.seq);
            }
            c.fin[seen.sender] |= t.fin;
            if c.ended.is_none() && (t.rst || c.fin == [true, true]) {
                c.ended = Some((now, t.rst));
            }
        }
        Outcome { stored, connection: index + 1, new, class: c.class, originator: c.originator }
    }
}

impl Connection {
    fn begin(name: Name, time: u64) -> Connection {
        Connection {
            name,
            class: 0,
            first: time,
            last: time,
            seen_packets: 0,
            seen_bytes: 0,
            stored_packets: 0,
            stored_bytes: 0,
            ended: None,
            cut: false,
            since: time,
            count_bytes: 0,
            count_packets: 0,
            control: 0,
            fin: [false; 2],
            syn: None,
            originator: 0,
            syn_ack: false,
            by_other: false,
        }
    }

    /// With the packet of this time another count begins.
    fn count_anew(&mut self, time: u64) {
        (self.since, self.count_bytes, self.count_packets, self.control) = (time, 0, 0, 0);
    }

    /// Takes what a packet says of the beginning; `c.syn` is still what it was before. True: it decides the class.
    fn began(&mut self, new: bool, seen: &Seen, time: u64) -> bool {
        let earliest = new || time < self.first;
        if time < self.first && self.last - time <= AGE_MAX_NS {
            if self.since == self.first {
                self.since = time;
            }
            self.first = time;
        }
        if !new && self.name.has_one_end() {
            return false;
        }
        let syn = seen.tcp.is_some_and(|t| t.syn && !t.ack) && (self.syn.is_none() || earliest);
        let syn_ack = seen.tcp.is_some_and(|t| t.syn && t.ack);
        let says_by_ack = syn_ack && self.syn.is_none() && (!self.syn_ack || earliest) && !self.name.has_one_end();
        let flags = self.syn.is_some() || self.syn_ack;
        let before = self.originator;
        let mut decides = new;
        if says_by_ack {
            self.originator = 1 - seen.sender;
            self.syn_ack = true;
        } else if syn || (earliest && !flags) {
            self.originator = seen.sender;
            decides = true;
        }
        let own = seen.sender == self.originator;
        let decides = decides || self.originator != before || (own && self.by_other);
        if decides {
            self.by_other = !own;
        }
        decides
    }
}
