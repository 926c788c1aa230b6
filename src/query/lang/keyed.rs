//! An expression asked of a connection instead of its packets: whether its key answers it, and if so how. Addresses, networks, ports,
//! protocols and VLAN ids without a direction are the key's; everything else is the packets'. Called by `connections`.

use super::ast::{Expr, Leaf, Op};
use crate::index::term::Term;
use crate::limits::FILTER_LIST_MIN;
use crate::packet::key::{Key, Kind};

/// Whether every part of an expression can be told from a key.
pub fn tellable(e: &Expr) -> bool {
    match e {
        Expr::Leaf { exact, what, .. } => *exact && *what != Leaf::Unknown,
        Expr::Not(e, _) => tellable(e),
        Expr::Chain(first, rest, _) => tellable(first) && rest.iter().all(|(_, e)| tellable(e)),
    }
}

/// Whether a connection with these terms answers a tellable expression.
pub fn holds(e: &Expr, terms: &[Term]) -> bool {
    match e {
        Expr::Leaf { what: Leaf::Terms(of) | Leaf::Shift { terms: of, .. }, .. } => {
            of.iter().all(|any| terms.iter().any(|t| has(any, t)))
        }
        Expr::Leaf { what: Leaf::Unknown, .. } => false,
        Expr::Not(e, _) => !holds(e, terms),
        Expr::Chain(first, rest, _) => rest.iter().fold(holds(first, terms), |so_far, (op, e)| match op {
            Op::And => so_far && holds(e, terms),
            Op::Or => so_far || holds(e, terms),
        }),
    }
}

fn has(any: &[(Term, Term)], t: &Term) -> bool {
    let within = |(lo, hi): &(Term, Term)| lo <= t && t <= hi;
    match any.len() {
        ..FILTER_LIST_MIN => any.iter().any(within),
        // A long list is sorted, its ranges apart.
        _ => any.get(any.partition_point(|(_, hi)| hi < t)).is_some_and(within),
    }
}

/// Whether it asks for VLAN ids.
pub fn asks_vlan(e: &Expr) -> bool {
    let vlan = |t: &Term| matches!(t, Term::Vlan(_) | Term::EtherType(0x8100));
    match e {
        Expr::Leaf { what: Leaf::Terms(of) | Leaf::Shift { terms: of, .. }, .. } => {
            of.iter().flatten().any(|(lo, hi)| vlan(lo) || vlan(hi))
        }
        Expr::Leaf { what: Leaf::Unknown, .. } => false,
        Expr::Not(e, _) => asks_vlan(e),
        Expr::Chain(first, rest, _) => asks_vlan(first) || rest.iter().any(|(_, e)| asks_vlan(e)),
    }
}

/// What a key says of its connection.
pub fn terms_of(key: &Key) -> Vec<Term> {
    let t = key.tail();
    let mut terms = Vec::with_capacity(8);
    terms.extend(key.addrs().into_iter().flatten().map(Term::addr));
    for id in t.vlan.iter().filter(|v| **v != 0) {
        terms.push(Term::Vlan(id & 0xfff));
        terms.push(Term::EtherType(0x8100));
    }
    match t.kind() {
        Kind::Ip | Kind::Fragment => {
            terms.push(Term::EtherType(if matches!(key, Key::V4(_)) { 0x0800 } else { 0x86dd }));
            terms.push(Term::Proto(t.proto));
            if matches!(t.proto, 6 | 17 | 132) && t.kind() == Kind::Ip {
                terms.extend(t.port.map(Term::Port));
            }
        }
        Kind::Ether => terms.push(Term::EtherType(t.port.first().copied().unwrap_or(0))),
        Kind::Llc | Kind::Opaque => {}
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;
    use crate::packet::key::{Key4, Tail};

    #[test]
    fn keys_answer() {
        let tail = Tail { vlan: [0x8000 | 7, 0], port: [443, 50000], proto: 6, ..Tail::default() };
        let key = Key::V4(Key4 { addr: [[10, 1, 2, 3], [192, 0, 2, 9]], tail });
        let terms = terms_of(&key);
        for (text, want) in [
            ("host 10.1.2.3", Some(true)),
            ("host 10.1.2.4", Some(false)),
            ("net 192.0.2.0/24 and port 443", Some(true)),
            ("tcp and not port 53", Some(true)),
            ("udp or portrange 400-500", Some(true)),
            ("not (host 10.1.2.3 or host 10.1.2.4)", Some(false)),
            ("vlan 7", Some(true)),
            ("vlan 8", Some(false)),
            ("ip6", Some(false)),
            ("udp port 443", Some(false)),
            ("arp", Some(false)),
            ("src host 10.1.2.3", None),
            ("dst port 443", None),
            ("arp host 10.1.2.3", None),
            ("tcp[13] = 2", None),
            ("net 10.0.2.0 mask 255.0.255.0", None),
            ("host 10.1.2.3 and greater 100", None),
        ] {
            let e = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(tellable(&e).then(|| holds(&e, &terms)), want, "{text}");
        }
    }
}
