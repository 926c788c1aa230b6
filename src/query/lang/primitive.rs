//! What each primitive of pcap-filter implies in terms of the index. Called by the parser. An implication may be weaker
//! than the primitive (direction is ignored, a mask with holes becomes its leading ones) and must never be stronger;
//! `None` is "not understood", [`Leaf::Unknown`] "understood, and the index has nothing to say".

use super::ast::{Leaf, Shift};
use super::lex::{Kind, Token};
use crate::index::term::Term;
use crate::index::view::{GENEVE_PORT, ethertype as et};

/// What a name or number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addr {
    /// `host`, or nothing after a direction.
    Host,
    /// `net`
    Net,
    /// `port`, `portrange`
    Port,
    /// `proto`
    Proto,
    /// `protochain`
    ProtoChain,
}

/// Qualifiers before an id, without its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qual<'t> {
    /// A protocol's keyword.
    pub proto: Option<&'t str>,
    /// Kind of address.
    pub addr: Addr,
    /// Which end.
    pub end: End,
}

/// Which end of a packet is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Either: there is no word for it.
    Either,
    /// `src`
    Source,
    /// `dst`
    Destination,
    /// Something else: `src and dst`, an address of 802.11.
    Other,
}

fn one(t: Term) -> Vec<(Term, Term)> {
    vec![(t, t)]
}

fn all(of: Vec<Vec<(Term, Term)>>) -> Leaf {
    Leaf::Terms(of)
}

/// `host` and `net`, with what stands behind `/` or `mask`.
pub fn address(q: Qual, id: Token, mask: Option<Token>) -> Option<Leaf> {
    let v4 = matches!(q.proto, None | Some("ip" | "arp" | "rarp"));
    // Of every network libpcap compares nothing, so that it matches what is too short to have an address.
    let range = |value: u32, mask: u32| {
        if mask == 0 {
            return Leaf::Unknown;
        }
        // Of a mask with holes the leading ones.
        let ones = mask.leading_ones();
        let host = u32::MAX.checked_shr(ones).unwrap_or(0);
        all(vec![vec![(Term::Addr4(value & !host), Term::Addr4(value | host))]])
    };
    Some(match (id.kind, mask.map(|m| (m.kind, m.text))) {
        (Kind::Dotted, m) if v4 => {
            let (value, given) = dotted(id.text)?;
            let mask = match m {
                None => given,
                Some((Kind::Num(n), _)) => u32::MAX.checked_shl(32u32.checked_sub(n)?).unwrap_or(0),
                Some((Kind::Dotted, m)) => dotted(m)?.0,
                Some(_) => return Some(Leaf::Unknown),
            };
            range(value, mask)
        }
        (Kind::Num(n), None) if v4 && q.addr == Addr::Net => {
            // A short network number moves to the left: `net 10` is 10.0.0.0/8.
            let shift = if n == 0 { 0 } else { n.leading_zeros() / 8 * 8 };
            range(n << shift, u32::MAX << shift)
        }
        (Kind::Num(n), None) if v4 => range(n, u32::MAX),
        (Kind::V6(a), m) if matches!(q.proto, None | Some("ip6")) => {
            let ones = match m {
                None => 128,
                Some((Kind::Num(n), _)) if (1..=128).contains(&n) => n,
                Some(_) => return Some(Leaf::Unknown),
            };
            let host = u128::MAX.checked_shr(ones).unwrap_or(0);
            let a = a.to_bits();
            all(vec![vec![(Term::Addr6(a & !host), Term::Addr6(a | host))]])
        }
        // MAC addresses, names: libpcap knows.
        _ => Leaf::Unknown,
    })
}

/// A dotted address of two to four decimal numbers, moved to the left, and the mask that its length implies.
pub(super) fn dotted(s: &str) -> Option<(u32, u32)> {
    let mut value = 0u32;
    let mut bits = 0;
    for part in s.split('.') {
        if !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        value = value << 8 | u32::from(part.parse::<u8>().ok()?);
        bits += 8;
    }
    Some((value << (32 - bits), u32::MAX << (32 - bits)))
}

/// `port` and `portrange`.
pub fn port(q: Qual, id: Token) -> Option<Leaf> {
    let decimal = |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse::<u16>().ok()).flatten();
    let range = match id.kind {
        Kind::Num(n) => u16::try_from(n).ok().map(|n| (n, n)),
        Kind::Word | Kind::Escaped => id
            .text
            .split_once('-')
            .and_then(|(a, b)| Some((decimal(a)?, decimal(b)?)))
            .map(|(a, b)| (a.min(b), a.max(b))),
        _ => None,
    };
    // A service by name is libpcap's to look up.
    let Some((lo, hi)) = range else { return Some(Leaf::Unknown) };
    let mut of = vec![vec![(Term::Port(lo), Term::Port(hi))]];
    match q.proto {
        None => {}
        Some("tcp") => of.push(one(Term::Proto(6))),
        Some("udp") => of.push(one(Term::Proto(17))),
        Some("sctp") => of.push(one(Term::Proto(132))),
        Some(_) => return Some(Leaf::Unknown),
    }
    Some(all(of))
}

/// `proto`, by number or name.
pub fn proto(q: Qual, id: Token) -> Option<Leaf> {
    let named = matches!(id.kind, Kind::Word | Kind::Escaped).then_some(id.text);
    Some(match (q.proto, id.kind) {
        (None | Some("ip" | "ip6"), Kind::Num(n)) => {
            u8::try_from(n).map_or(Leaf::Unknown, |n| all(vec![one(Term::Proto(n))]))
        }
        (None | Some("ip" | "ip6"), _) => match named {
            // Only those that no /etc/protocols has otherwise.
            Some("icmp") => all(vec![one(Term::Proto(1))]),
            Some("tcp") => all(vec![one(Term::Proto(6))]),
            Some("udp") => all(vec![one(Term::Proto(17))]),
            _ => Leaf::Unknown,
        },
        (Some("ether" | "link"), Kind::Num(n)) => u16::try_from(n).ok().map_or(Leaf::Unknown, ether_type),
        (Some("ether" | "link"), _) => match named {
            Some("ip") => ether_type(et::IP),
            Some("ip6") => ether_type(et::IP6),
            Some("arp") => ether_type(et::ARP),
            Some("rarp") => ether_type(et::RARP),
            _ => Leaf::Unknown,
        },
        _ => Leaf::Unknown,
    })
}

fn ether_type(t: u16) -> Leaf {
    // Lengths and SAPs; and those that libpcap also looks for below 802.2, or that PPP has other numbers for.
    if t <= 1536 || matches!(t, 0x809b | 0x80f3 | 0x6003 | 0x8137) {
        return Leaf::Unknown;
    }
    all(vec![one(Term::EtherType(t))])
}

/// A protocol's keyword alone.
pub fn bare(word: &str) -> Leaf {
    let proto = |p| all(vec![one(Term::Proto(p))]);
    match word {
        "ip" => ether_type(et::IP),
        "ip6" => ether_type(et::IP6),
        "arp" => ether_type(et::ARP),
        "rarp" => ether_type(et::RARP),
        "pppoed" => ether_type(et::PPPOED),
        "icmp" => proto(1),
        "igmp" => proto(2),
        "tcp" => proto(6),
        "igrp" => proto(9),
        "udp" => proto(17),
        "esp" => proto(50),
        "ah" => proto(51),
        "icmp6" => proto(58),
        "pim" => proto(103),
        "vrrp" | "carp" => proto(112),
        "sctp" => proto(132),
        _ => Leaf::Unknown,
    }
}

/// `vlan`, `mpls`, `pppoes` and `geneve`, with their number if one is given.
pub fn shifted(shift: Shift, id: Option<u32>) -> Vec<Vec<(Term, Term)>> {
    match (shift, id) {
        (Shift::Vlan, Some(id)) => u16::try_from(id).map_or(vec![], |id| vec![one(Term::Vlan(id))]),
        (Shift::Vlan, None) => vec![et::VLAN.iter().map(|&t| (Term::EtherType(t), Term::EtherType(t))).collect()],
        (Shift::Mpls, Some(label)) => vec![one(Term::Mpls(label))],
        (Shift::Mpls, None) => vec![one(Term::EtherType(et::MPLS))],
        (Shift::Pppoes, _) => vec![one(Term::EtherType(et::PPPOES))],
        (Shift::Geneve, _) => vec![one(Term::Port(GENEVE_PORT)), one(Term::Proto(17))],
    }
}
