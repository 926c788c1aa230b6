//! What the index knows a packet by: the terms that postings are kept for. Owns their order, which is the order of the
//! index's dictionary. Made by [`super::view`] and from the parser's layers, asked for by the planner of `query::lang`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One thing that can be said of a packet, at any of its layers. Sorted by kind, then by value, so that a network, a
/// range of ports or one address is one run of the dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    /// An IPv4 address: source or destination of IPv4, sender or target of ARP and RARP.
    Addr4(u32),
    /// An IPv6 address. What a cut-off packet does not hold of it is 0.
    Addr6(u128),
    /// A port of TCP, UDP or SCTP.
    Port(u16),
    /// IPv4 protocol, or IPv6 next header (the fragment header's too).
    Proto(u8),
    /// Ethertype, also where another layer says it in its own numbers (PPP, the first nibble after MPLS or in raw IP).
    EtherType(u16),
    /// VLAN id.
    Vlan(u16),
    /// MPLS label.
    Mpls(u32),
}

/// Kinds of terms: sections of the dictionary.
pub const KINDS: usize = 7;

impl std::fmt::Display for Term {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Term::Addr4(a) => write!(f, "address {}", Ipv4Addr::from_bits(*a)),
            Term::Addr6(a) => write!(f, "address {}", std::net::Ipv6Addr::from_bits(*a)),
            Term::Port(p) => write!(f, "port {p}"),
            Term::Proto(p) => write!(f, "protocol {p}"),
            Term::EtherType(t) => write!(f, "ethertype {t:#06x}"),
            Term::Vlan(v) => write!(f, "vlan {v}"),
            Term::Mpls(l) => write!(f, "mpls {l}"),
        }
    }
}

impl Term {
    /// Section of the dictionary.
    pub fn kind(self) -> usize {
        match self {
            Term::Addr4(_) => 0,
            Term::Addr6(_) => 1,
            Term::Port(_) => 2,
            Term::Proto(_) => 3,
            Term::EtherType(_) => 4,
            Term::Vlan(_) => 5,
            Term::Mpls(_) => 6,
        }
    }

    /// The value within its kind.
    pub fn value(self) -> u128 {
        match self {
            Term::Addr4(v) | Term::Mpls(v) => v.into(),
            Term::Addr6(v) => v,
            Term::Port(v) | Term::EtherType(v) | Term::Vlan(v) => v.into(),
            Term::Proto(v) => v.into(),
        }
    }

    /// The term of this kind with this value; `None`: there is none.
    pub fn of(kind: usize, value: u128) -> Option<Term> {
        let narrow = u32::try_from(value);
        Some(match kind {
            0 => Term::Addr4(narrow.ok()?),
            1 => Term::Addr6(value),
            2 => Term::Port(narrow.ok()?.try_into().ok()?),
            3 => Term::Proto(narrow.ok()?.try_into().ok()?),
            4 => Term::EtherType(narrow.ok()?.try_into().ok()?),
            5 => Term::Vlan(narrow.ok()?.try_into().ok()?),
            6 => Term::Mpls(narrow.ok()?),
            _ => return None,
        })
    }

    /// The term of an address.
    pub fn addr(a: IpAddr) -> Term {
        match a {
            IpAddr::V4(a) => Term::Addr4(a.to_bits()),
            IpAddr::V6(a) => Term::Addr6(a.to_bits()),
        }
    }

    /// The address, if it is one.
    pub fn as_addr(self) -> Option<IpAddr> {
        match self {
            Term::Addr4(a) => Some(Ipv4Addr::from_bits(a).into()),
            Term::Addr6(a) => Some(Ipv6Addr::from_bits(a).into()),
            _ => None,
        }
    }

    /// What the address filter of a segment hashes: IPv4 as IPv4-mapped, folded to 64 bits. `None`: not an address.
    pub fn filter_key(self) -> Option<u64> {
        let v = match self {
            Term::Addr4(a) => 0xffff_0000_0000 | u128::from(a),
            Term::Addr6(a) => a,
            _ => return None,
        };
        // Over both halves: the filter wants keys that differ in all their bits.
        Some(Term::mix(Term::mix((v >> 64) as u64) ^ v as u64))
    }

    /// SplitMix64's finaliser (Vigna).
    pub(super) fn mix(mut z: u64) -> u64 {
        z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
