//! Questions: expressions across the language over what histories have and what they don't, windows whose edges are packets' times to the
//! nanosecond, classes, single connections, limits.

use crate::dice::Dice;
use crate::history::{History, START};
use crate::model::{Kept, Known, Presence};
use crate::oracle::parse::Name;
use crate::packets::PORTS;
use retrotap::control::{Ask, Form};
use retrotap::query::Query;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// A connection by its ends, whatever tag or tunnel it is in; of ICMP every one between two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    proto: u8,
    ends: [(IpAddr, u16); 2],
    /// Asked by its community ID.
    by_id: bool,
}

impl Wanted {
    /// Whether a name is that of this connection.
    pub fn is(&self, name: &Name) -> bool {
        let Name::Ip { ends: [a, b], proto, .. } = name else { return false };
        let [x, y] = self.ends;
        let same = |a: &(IpAddr, u16), x: (IpAddr, u16)| a.0 == x.0 && (a.1 == x.1 || matches!(proto, 1 | 58));
        *proto == self.proto && (same(a, x) && same(b, y) || same(a, y) && same(b, x))
    }

    pub fn is_icmp(&self) -> bool {
        matches!(self.proto, 1 | 58)
    }

    /// Its community ID.
    pub fn id(&self) -> String {
        let [(a, p), (b, q)] = self.ends;
        community_id::calculate_community_id(0, a, b, Some(p), Some(q), self.proto, false).expect("an ID")
    }
}

/// As `--conn` takes it.
impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (word, ports) = match self.proto {
            6 => ("tcp", true),
            17 => ("udp", true),
            132 => ("sctp", true),
            1 => ("icmp", false),
            _ => ("icmp6", false),
        };
        f.write_str(word)?;
        self.ends.iter().try_for_each(|(addr, port)| match ports {
            true => write!(f, " {}", SocketAddr::new(*addr, *port)),
            false => write!(f, " {addr}"),
        })
    }
}

/// What is asked of every way in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    pub filter: String,
    pub any_layer: bool,
    pub conn: Option<Wanted>,
    /// Names; empty: all.
    pub classes: Vec<&'static str>,
    pub since: Option<u64>,
    pub until: Option<u64>,
    /// Asked so, and `since` is what it means: back from the newest packet.
    pub last: Option<u64>,
    pub limit: Option<u64>,
}

impl Question {
    /// As the library takes it.
    pub fn query(&self, store: &Path) -> Query {
        Query {
            store: store.to_owned(),
            filter: self.filter.clone(),
            any_layer: self.any_layer,
            conn: self.conn.filter(|c| !c.by_id).map(|c| c.to_string().parse().expect("our own connection")),
            community: self.conn.filter(|c| c.by_id).map(|c| c.id().parse().expect("an ID")),
            classes: self.classes.iter().map(|c| (*c).to_owned()).collect(),
            since: self.since.filter(|_| self.last.is_none()),
            last: self.last,
            until: self.until,
            limit: self.limit,
            ..Query::default()
        }
    }

    /// As the API takes it.
    pub fn ask(&self) -> Ask {
        Ask::of(&self.query(Path::new("")), Form::Pcapng)
    }

    /// The packet may be of the answer, as far as window and classes say.
    pub fn admits(&self, history: &History, p: &Kept) -> bool {
        self.in_window(p.time) && self.has_class(history, p.class)
    }

    pub fn in_window(&self, time: u64) -> bool {
        self.since.is_none_or(|t| time >= t) && self.until.is_none_or(|t| time < t)
    }

    pub fn has_class(&self, history: &History, class: usize) -> bool {
        self.classes.is_empty() || self.classes.contains(&history.classes[class].name)
    }
}

/// As `retrotap query` is asked.
impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "'{}'", self.filter)?;
        if self.any_layer {
            f.write_str(" --any-layer")?;
        }
        self.conn.iter().try_for_each(|c| match c.by_id {
            true => write!(f, " --community-id {} ({c})", c.id()),
            false => write!(f, " --conn '{c}'"),
        })?;
        self.classes.iter().try_for_each(|c| write!(f, " --class {c}"))?;
        let time = |ns: u64| retrotap::units::time(ns);
        self.last.iter().try_for_each(|t| write!(f, " --last {t}ns"))?;
        self.since.iter().try_for_each(|t| write!(f, " --since {} ({t})", time(*t)))?;
        self.until.iter().try_for_each(|t| write!(f, " --until {} ({t})", time(*t)))?;
        self.limit.iter().try_for_each(|n| write!(f, " --limit {n}"))
    }
}

/// A question about a history with these classes, packets and connections.
pub fn any(d: &mut Dice, classes: &[&'static str], kept: &[Kept], connections: &[Known]) -> Question {
    let mut q = Question::default();
    if d.chance(85) {
        q.filter = expression(d, 3);
    }
    q.any_layer = d.chance(8);
    if d.chance(10)
        && let Some(wanted) = connection(d, connections)
    {
        q.conn = Some(wanted);
        q.filter.clear();
        q.any_layer = false;
    }
    if d.chance(25) {
        q.classes = (0..d.from(1, 2)).map(|_| d.one(classes)).collect();
        q.classes.dedup();
    }
    (q.since, q.until) = window(d, kept);
    // What is expired or damaged may have been the newest.
    if d.chance(5) && kept.iter().all(|p| p.now == Presence::There) {
        let (newest, last) = (kept.iter().map(|p| p.time).max().unwrap_or(0), d.below(20_000_000_000) + 1);
        (q.last, q.since, q.until) = (Some(last), Some(newest.saturating_sub(last)), None);
    }
    if d.chance(12) {
        q.limit = Some(d.one(&[0, 1, 2, 5, 100]));
    }
    q
}

fn window(d: &mut Dice, kept: &[Kept]) -> (Option<u64>, Option<u64>) {
    let some_time = |d: &mut Dice| {
        let at = kept.get(d.below(kept.len().max(1) as u64) as usize).map_or(START, |p| p.time);
        at + d.below(3) - 1
    };
    match d.below(10) {
        0..4 => (None, None),
        4 => (Some(some_time(d)), None),
        5 => (None, Some(some_time(d))),
        6 | 7 => {
            let (a, b) = (some_time(d), some_time(d));
            (Some(a.min(b)), Some(a.max(b) + 1))
        }
        // One packet's nanosecond, and hours before the first or after the last.
        8 => {
            let t = some_time(d);
            (Some(t), Some(t + 1))
        }
        _ if d.chance(50) => (Some(START - 7_200_000_000_000), Some(START - 3_600_000_000_000)),
        _ => (Some(START + 360_000_000_000_000), Some(START + 370_000_000_000_000)),
    }
}

/// A connection that there is, or was.
pub fn connection(d: &mut Dice, connections: &[Known]) -> Option<Wanted> {
    let at = d.below(connections.len().max(1) as u64) as usize;
    let Name::Ip { ends: [a, b], proto, .. } = connections.get(at)?.of.name else { return None };
    let ends = if d.chance(50) { [a, b] } else { [b, a] };
    // An ICMP connection has an ID for each of its types: not asked here.
    let by_id = d.chance(40) && !matches!(proto, 1 | 58);
    matches!(proto, 1 | 6 | 17 | 58 | 132).then_some(Wanted { proto, ends, by_id })
}

/// An expression of the grammar, so many levels deep.
pub fn expression(d: &mut Dice, depth: u64) -> String {
    if depth == 0 || d.chance(45) {
        return leaf(d);
    }
    match d.below(6) {
        0 => format!("not ({})", expression(d, depth - 1)),
        1 | 2 => format!("{} and {}", expression(d, depth - 1), expression(d, depth - 1)),
        3 => format!("({}) or ({})", expression(d, depth - 1), expression(d, depth - 1)),
        4 => format!("{} or {}", expression(d, depth - 1), leaf(d)),
        _ => format!("({}) and not ({})", expression(d, depth - 1), leaf(d)),
    }
}

const WORDS: [&str; 38] = [
    "ip",
    "ip6",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "arp",
    "sctp",
    "vlan",
    "vlan 10",
    "vlan 300 and ip",
    "mpls",
    "pppoes",
    "ether broadcast",
    "ether host 02:00:00:00:00:01",
    "ip proto 47",
    "ip proto 4",
    "ip6 proto 58",
    "proto 50",
    "len > 200",
    "len = 60",
    "less 70",
    "greater 1000",
    "tcp[13] & 2 != 0",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "ip[6:2] & 0x3fff != 0",
    "ip6[6] = 44",
    "udp[2:2] = 53",
    "icmp[icmptype] = icmp-echo",
    "ether proto 0x86dd",
    "ether proto 0x88cc",
    "ether[12:2] > 1500",
    "ip multicast",
    "ip[8] = 64",
    "net 10",
    "ip6 net 2001:db8::/32",
    "net 0.0.0.0/0",
    "ip6 net ::/0",
];

fn leaf(d: &mut Dice) -> String {
    let side = d.one(&["", "", "src ", "dst ", "src or dst ", "src and dst "]);
    match d.below(10) {
        0..3 => {
            let host = d.one(&[1, 1, 2, 3, 4, 9, 12, 13, 25, 26]);
            if d.chance(25) { format!("{side}host 2001:db8::{host:x}") } else { format!("{side}host 10.0.0.{host}") }
        }
        3 => format!("{side}net {}", d.one(&["10.0.0.0/30", "10.0.0.0/8", "192.168", "2001:db8::/127"])),
        4 | 5 => {
            let proto = d.one(&["", "", "tcp ", "udp ", "sctp "]);
            format!("{proto}{side}port {}", if d.chance(80) { d.one(&PORTS) } else { 9 })
        }
        6 => format!("{side}portrange {}", d.one(&["50-100", "400-1000", "1-65535", "0-65535", "2000-3000"])),
        _ => d.one(&WORDS).to_owned(),
    }
}
