//! A connection as it is shown: the originator first, where it is known; sorted and limited. Owns the names of the fields and of the orders;
//! made by the command line from a store's files and by the daemon, which sends them as JSON lines.

use super::Connection;
use crate::conn::receipt::End;
use crate::index::community;
use crate::packet::key::{Key, Kind};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cmp::Reverse;

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// The most bytes seen
    Bytes,
    /// The most packets seen
    Packets,
    /// The earliest first packet
    #[default]
    First,
    /// The latest last packet
    Last,
    /// The longest
    Duration,
}

/// A connection as it is shown. Times are Unix ns, bytes lengths on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// First packet.
    pub first: u64,
    /// Last packet that is known of.
    pub last: u64,
    /// The originator, where it is known: address and port, as far as there are.
    pub a: String,
    /// The other end.
    pub b: String,
    /// `tcp`, `udp`, a number, an ethertype.
    pub protocol: String,
    /// VLAN ids, the outer first.
    pub vlan: Vec<u16>,
    /// Packets seen.
    pub seen_packets: u64,
    /// Their bytes.
    pub seen_bytes: u64,
    /// Packets stored.
    pub stored_packets: u64,
    /// Their bytes.
    pub stored_bytes: u64,
    /// Past its cutoff.
    pub cut: bool,
    /// How it ended. `running`: the totals are those of this moment, as the recorder has them; `lasting`: of its latest hourly
    /// receipt; `no_receipt`: of its packets in the store.
    pub end: Cow<'static, str>,
    /// Storage class.
    pub class: String,
    /// Community ID, version 1, seed 0.
    pub community_id: Option<String>,
}

/// The first `top` of them in this order. Ties in the order of time, then of names: the same question has the same answer.
pub fn listed(mut connections: Vec<Connection>, by: Sort, top: Option<usize>) -> Vec<Listed> {
    let tie = |c: &Connection| (c.first, c.key);
    match by {
        Sort::Bytes => connections.sort_by_key(|c| (Reverse(c.seen_bytes), tie(c))),
        Sort::Packets => connections.sort_by_key(|c| (Reverse(c.seen_packets), tie(c))),
        Sort::First => connections.sort_by_key(tie),
        Sort::Last => connections.sort_by_key(|c| (Reverse(c.last), tie(c))),
        Sort::Duration => connections.sort_by_key(|c| (Reverse(c.last.saturating_sub(c.first)), tie(c))),
    }
    connections.truncate(top.unwrap_or(usize::MAX));
    connections.iter().map(Listed::from).collect()
}

impl From<&Connection> for Listed {
    fn from(c: &Connection) -> Listed {
        let t = c.key.tail();
        let (a, b) = match c.originator {
            Some(1) => (name(&c.key, 1), name(&c.key, 0)),
            _ => (name(&c.key, 0), name(&c.key, 1)),
        };
        Listed {
            first: c.first,
            last: c.last,
            a,
            b,
            protocol: protocol(&c.key),
            vlan: t.vlan.iter().filter(|v| **v != 0).map(|v| v & 0xfff).collect(),
            seen_packets: c.seen_packets,
            seen_bytes: c.seen_bytes,
            stored_packets: c.stored_packets,
            stored_bytes: c.stored_bytes,
            cut: c.cut,
            end: Cow::Borrowed(match c.end {
                _ if c.running => "running",
                None => "no_receipt",
                Some(End::Lasting) => "lasting",
                Some(End::Reset) => "reset",
                Some(End::Closed) => "closed",
                Some(End::Idle) => "idle",
                Some(End::Replaced) => "replaced",
                Some(End::Stopped) => "stopped",
            }),
            class: c.class.to_string(),
            community_id: community_id(c),
        }
    }
}

/// Of ICMP by one of its first packets; without that by the id of its echoes, which the originator asks for.
fn community_id(c: &Connection) -> Option<String> {
    let t = c.key.tail();
    if let Some(id) = community::of_key(&c.key) {
        return Some(id);
    }
    let request = match (&c.key, c.originator) {
        (Key::V4(_), Some(from)) => (from == 1, 8, 0),
        (Key::V6(_), Some(from)) => (from == 1, 128, 0),
        (_, None) => (false, 0, 0),
    };
    let echo = c.originator.is_some() && t.port != [0; 2] && community::has_kinds(&c.key);
    community::of_icmp(&c.key, c.icmp.or(echo.then_some(request))?)
}

fn name(key: &Key, i: usize) -> String {
    let t = key.tail();
    let port = t.port.get(i).copied().unwrap_or(0);
    match (key.addrs(), key) {
        (Some(addrs), _) => match addrs.get(i) {
            Some(a) if matches!(t.proto, 6 | 17 | 132) => std::net::SocketAddr::new(*a, port).to_string(),
            Some(a) => a.to_string(),
            None => String::new(),
        },
        (None, Key::V6(k)) => k
            .addr
            .get(i)
            .map_or(String::new(), |a| a.iter().take(6).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")),
        _ => String::new(),
    }
}

fn protocol(key: &Key) -> String {
    let t = key.tail();
    let [port, _] = t.port;
    match (t.kind(), t.proto) {
        (Kind::Ip | Kind::Fragment, 1) => "icmp".to_owned(),
        (Kind::Ip | Kind::Fragment, 6) => "tcp".to_owned(),
        (Kind::Ip | Kind::Fragment, 17) => "udp".to_owned(),
        (Kind::Ip | Kind::Fragment, 58) => "icmp6".to_owned(),
        (Kind::Ip | Kind::Fragment, 132) => "sctp".to_owned(),
        (Kind::Ip | Kind::Fragment, n) => n.to_string(),
        (Kind::Ether, _) if port == 0x0806 => "arp".to_owned(),
        (Kind::Ether, _) => format!("0x{port:04x}"),
        (Kind::Llc, _) => format!("llc-0x{port:04x}"),
        (Kind::Opaque, _) => "opaque".to_owned(),
    }
}
