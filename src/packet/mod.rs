//! From bytes to the connection they belong to. Owns the parser, the key and the flow hash; called by the worker for
//! every packet, and by indexer and queries ([`layers`]). Pure: no state but the settings, no memory, no clock; any bytes
//! are taken without a panic. The rules are those of `ebpf/parse.h`, and `tests/bpf_run.rs` compares the two.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod bytes;
mod datagram;
mod ether;
mod hash;
mod ip;
pub mod key;
mod l4;
pub mod layers;
mod link;
mod tunnel;
mod walk;

pub use hash::{HASH_WORDS, Hasher};
pub use layers::{Layer, What, layers};
pub use link::understood;

use bytes::Bytes;
use key::{Key, Key4, Key6, Kind, Tail};
use walk::{Addrs, Reached};

/// What a packet is of a fragmented IP packet: with the identification, 16 bits in IPv4 and 32 in IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// Not a fragment.
    #[default]
    None,
    /// The first: it has the ports.
    First(u32),
    /// One of the others.
    Later(u32),
}

/// What the parser says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The connection.
    pub key: Key,
    /// Its flow hash.
    pub hash: u64,
    /// The packet's source is endpoint 1 of the key.
    pub swapped: bool,
    /// TCP flags (FIN 1, SYN 2, RST 4, PSH 8, ACK 16); 0 if not TCP, a later fragment, or cut off.
    pub tcp_flags: u8,
    /// TCP sequence number; 0 where `tcp_flags` would be.
    pub tcp_seq: u32,
    /// Of the innermost IP header.
    pub fragment: Fragment,
    /// Offset of the innermost IP header; 0 if there is none.
    pub l3: u16,
    /// The key is not that of the packet's bytes: a later fragment has its first one's.
    pub renamed: bool,
}

/// The parser with its settings.
#[derive(Clone, Copy, Debug)]
pub struct Parser {
    hasher: Hasher,
    vlan_in_key: bool,
}

impl Parser {
    /// `seed` should be secret: it keeps others from choosing connections that collide. Without `vlan_in_key`, VLAN ids do
    /// not tell connections apart.
    pub fn new(seed: u64, vlan_in_key: bool) -> Parser {
        Parser { hasher: Hasher::new(seed), vlan_in_key }
    }

    /// What the kernel programs need of the seed: their constant `rt_hash_key`.
    pub fn hash_keys(&self) -> [u64; HASH_WORDS] {
        self.hasher.keys()
    }

    /// Whether VLAN ids tell connections apart.
    pub fn vlan_in_key(&self) -> bool {
        self.vlan_in_key
    }

    /// The flow hash of a key.
    #[inline]
    pub fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash(key)
    }

    /// Parses a packet of a pcap link type (`LINKTYPE_*`).
    #[inline]
    pub fn parse(&self, link_type: u16, data: &[u8]) -> Parsed {
        let found = link::find(link_type, Bytes::new(data));
        let (key, swapped) = match &found {
            link::Found::Ip(reached) => self.ip_key(reached),
            link::Found::Other { macs, what, path } => {
                let (kind, value) = match *what {
                    ether::Type::Ether(t) => (Kind::Ether, t),
                    ether::Type::Llc(t) => (Kind::Llc, t),
                };
                let mut tail = Tail { port: [value; 2], kind: kind as u8, ..Tail::default() };
                if self.vlan_in_key {
                    tail.vlan = path.vlan;
                }
                let [dst, src] = macs.map(|[a, b, c, d, e, f]| [a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                let swapped = src > dst;
                (Key::V6(Key6 { addr: if swapped { [dst, src] } else { [src, dst] }, tail }), swapped)
            }
            link::Found::Opaque => {
                let tail = Tail { port: [link_type; 2], kind: Kind::Opaque as u8, ..Tail::default() };
                (Key::V6(Key6 { tail, ..Key6::default() }), false)
            }
        };
        let hash = self.hash(&key);
        match found {
            link::Found::Ip(r) => Parsed {
                key,
                hash,
                swapped,
                tcp_flags: r.tcp_flags,
                tcp_seq: r.tcp_seq,
                fragment: r.fragment,
                l3: r.l3,
                renamed: false,
            },
            _ => {
                Parsed { key, hash, swapped, tcp_flags: 0, tcp_seq: 0, fragment: Fragment::None, l3: 0, renamed: false }
            }
        }
    }

    #[inline]
    fn ip_key(&self, r: &Reached) -> (Key, bool) {
        let [sport, dport] = r.ports;
        let kind = if matches!(r.fragment, Fragment::Later(_)) { Kind::Fragment } else { Kind::Ip };
        let tail = |swapped| Tail {
            net: r.path.net,
            vlan: if self.vlan_in_key { r.path.vlan } else { [0; 2] },
            port: if swapped { [dport, sport] } else { [sport, dport] },
            proto: r.proto,
            kind: kind as u8 | (r.path.net_kind as u8) << 4,
            zero: 0,
        };
        match r.addrs {
            Addrs::V4(src, dst) => {
                let swapped = (src, sport) > (dst, dport);
                let addr = if swapped { [dst, src] } else { [src, dst] }.map(|a| a.octets());
                (Key::V4(Key4 { addr, tail: tail(swapped) }), swapped)
            }
            Addrs::V6(src, dst) => {
                let swapped = (src, sport) > (dst, dport);
                let addr = if swapped { [dst, src] } else { [src, dst] }.map(|a| a.octets());
                (Key::V6(Key6 { addr, tail: tail(swapped) }), swapped)
            }
        }
    }
}
