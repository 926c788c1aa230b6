//! A connection as it is shown: the originator first, where it is known; sorted and limited. Owns the names of the fields and of the orders;
//! made by the command line from a store's files and by the daemon, which sends them as JSON lines.

use super::Connection;
use super::conn::protocol_name;
use crate::conn::receipt::End;
use crate::index::community;
use crate::packet::key::{Key, Kind, Net};
use crate::shape::{Count, Endpoint, Ends, Time};
use schemars::JsonSchema;
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

/// A connection as it is shown: a line of `connections`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Connection")]
pub struct Listed {
    /// First packet.
    #[serde(with = "Time")]
    pub first: u64,
    /// Last packet that is known of.
    #[serde(with = "Time")]
    pub last: u64,
    /// Protocol and ends.
    #[serde(flatten)]
    pub ends: Ends,
    /// VLAN ids, the outer first.
    pub vlan: Vec<u16>,
    /// The innermost tunnel that has an id; null: there is none.
    pub tunnel: Option<Tunnel>,
    /// Packets seen.
    #[serde(with = "Count")]
    pub seen_packets: u64,
    /// Their bytes on the wire.
    #[serde(with = "Count")]
    pub seen_bytes: u64,
    /// Packets stored, also those that have expired since.
    #[serde(with = "Count")]
    pub stored_packets: u64,
    /// Their bytes on the wire.
    #[serde(with = "Count")]
    pub stored_bytes: u64,
    /// Past its cutoff.
    pub cut: bool,
    /// How it ended: `closed`, `reset`, `idle`, `replaced` by another of its name, `stopped` with the recorder. It has not ended:
    /// `running` (the totals are those of this moment, as the recorder has them), `lasting` (of its latest hourly receipt),
    /// `no_receipt` (of its packets in the store).
    pub end: Cow<'static, str>,
    /// Storage class.
    pub class: String,
    /// Community ID, version 1, seed 0; null: it has none.
    pub community_id: Option<String>,
}

/// A tunnel that a connection is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tunnel {
    /// `vxlan`, `geneve`, `gre`.
    pub kind: Cow<'static, str>,
    /// Its network identifier, or its key.
    pub id: u32,
}

/// The first `top` of them in this order, one after another: as they are shown all of them would take much more memory. Ties in the order of
/// time, then of names: the same question has the same answer.
pub fn listed(mut connections: Vec<Connection>, by: Sort, top: Option<usize>) -> impl Iterator<Item = Listed> {
    let tie = |c: &Connection| (c.first, c.key, c.last, c.seen_packets, c.seen_bytes);
    // In place: a stable sort takes half as much memory once more.
    match by {
        Sort::Bytes => connections.sort_unstable_by_key(|c| (Reverse(c.seen_bytes), tie(c))),
        Sort::Packets => connections.sort_unstable_by_key(|c| (Reverse(c.seen_packets), tie(c))),
        Sort::First => connections.sort_unstable_by_key(tie),
        Sort::Last => connections.sort_unstable_by_key(|c| (Reverse(c.last), tie(c))),
        Sort::Duration => {
            connections.sort_unstable_by_key(|c| (Reverse(c.last.saturating_sub(c.first)), tie(c)));
        }
    }
    connections.into_iter().take(top.unwrap_or(usize::MAX)).map(|c| Listed::from(&c))
}

impl From<&Connection> for Listed {
    fn from(c: &Connection) -> Listed {
        let t = c.key.tail();
        Listed {
            first: c.first,
            last: c.last,
            ends: ends(&c.key, c.originator),
            vlan: t.vlan.iter().filter(|v| **v != 0).map(|v| v & 0xfff).collect(),
            tunnel: tunnel(&c.key),
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

/// As a connection is named; `originator`: which end of the key began it, if that is known.
pub fn ends(key: &Key, originator: Option<u8>) -> Ends {
    let (a, b) = if originator == Some(1) { (1, 0) } else { (0, 1) };
    Ends { protocol: protocol(key), a: endpoint(key, a), b: endpoint(key, b) }
}

fn endpoint(key: &Key, i: usize) -> Endpoint {
    let t = key.tail();
    let port = t.port.get(i).copied().filter(|_| matches!(t.proto, 6 | 17 | 132));
    match (key.addrs(), key) {
        (Some(addrs), _) => addrs.get(i).map_or_else(Endpoint::default, |a| Endpoint::new(*a, port)),
        (None, Key::V6(k)) => {
            let octets = |a: &[u8; 16]| a.iter().take(6).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":");
            Endpoint { address: k.addr.get(i).map(octets).filter(|_| t.kind() != Kind::Opaque), port: None }
        }
        _ => Endpoint::default(),
    }
}

fn tunnel(key: &Key) -> Option<Tunnel> {
    let t = key.tail();
    let kind = match t.kind >> 4 {
        n if n == Net::Vxlan as u8 => "vxlan",
        n if n == Net::Geneve as u8 => "geneve",
        n if n == Net::Gre as u8 => "gre",
        _ => return None,
    };
    Some(Tunnel { kind: Cow::Borrowed(kind), id: t.net })
}

fn protocol(key: &Key) -> String {
    let t = key.tail();
    let [port, _] = t.port;
    match (t.kind(), t.proto) {
        (Kind::Ip | Kind::Fragment, n) => protocol_name(n),
        (Kind::Ether, _) if port == 0x0806 => "arp".to_owned(),
        (Kind::Ether, _) => format!("0x{port:04x}"),
        (Kind::Llc, _) => format!("llc-0x{port:04x}"),
        (Kind::Opaque, _) => "opaque".to_owned(),
    }
}
