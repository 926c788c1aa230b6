//! The joint filter of a segment: which pairs of addresses, which addresses with which port, and which community IDs some connection of
//! it has. So that a question for two hosts that both talk all day, but not to each other, opens no index. Made from the postings of a
//! whole segment; asked by whoever has asked the address filter. Says "no" only if it is so.
//!
//! A binary fuse filter of which the lower half of each fingerprint is kept (`fuse`).

use super::fuse::{self, DESCRIPTOR, Fuse};
use super::term::Term;

/// A connection with more addresses, or more of these ports, has its addresses marked instead of its pairs: those of all ARP of a
/// gateway would be too many.
const PAIRED_MAX: usize = 8;
/// Some addresses are marked.
const MARKED: u32 = 1;

/// Services above port 1023 that are known by their port. FORMAT.md names them: another list is another version of the index.
const SERVICES: [u16; 20] = [
    1433, 1521, 1883, 2049, 3128, 3306, 3389, 5060, 5222, 5432, 5555, 5900, 5985, 6379, 8000, 8080, 8443, 9200, 11211,
    27017,
];

/// Whether a port is one that services are asked at: ports that clients choose are rare in a segment anyhow.
fn serves(port: u16) -> bool {
    port < 1024 || SERVICES.contains(&port)
}

/// The key of two terms that a connection has; `None`: no filter knows these together.
fn key(a: Term, b: Term) -> Option<u64> {
    match (a, b) {
        (Term::Port(port), addr) | (addr, Term::Port(port)) => serves(port).then(|| with_port(addr, port))?,
        _ if a == b => None,
        _ => {
            let (a, b) = (a.filter_key()?, b.filter_key()?);
            Some(Term::mix(Term::mix(a.min(b)) ^ a.max(b)))
        }
    }
}

fn with_port(addr: Term, port: u16) -> Option<u64> {
    Some(Term::mix(addr.filter_key()? ^ Term::mix(0x1_0000 | u64::from(port))))
}

/// The mark of an address: as with a port that serves nothing, and has no key of its own.
fn mark(addr: Term) -> Option<u64> {
    with_port(addr, u16::MAX)
}

/// The key of a community ID, by its hash.
fn community_key(hash: u32) -> u64 {
    Term::mix(0x2_0000_0000 | u64::from(hash))
}

/// The filter of these postings, which are sorted, and of hashes of community IDs; empty if there are none.
pub fn joint_filter(postings: &[(Term, u32)], communities: &[(u32, u32)]) -> Result<Vec<u8>, &'static str> {
    let joins = |t: Term| t.filter_key().is_some() || matches!(t, Term::Port(p) if serves(p));
    let mut terms: Vec<(u32, Term)> = postings.iter().filter(|(t, _)| joins(*t)).map(|&(t, id)| (id, t)).collect();
    // Stable, and the postings are sorted: addresses come before ports.
    terms.sort_by_key(|(id, _)| *id);
    let (mut keys, mut marks) = (Vec::with_capacity(terms.len() * 2), Vec::new());
    for conn in terms.chunk_by(|a, b| a.0 == b.0) {
        let addrs = conn.partition_point(|(_, t)| t.filter_key().is_some());
        let (addrs, ports) = conn.split_at_checked(addrs).unwrap_or_default();
        if addrs.len() > PAIRED_MAX || ports.len() > PAIRED_MAX {
            marks.extend(addrs.iter().filter_map(|(_, a)| mark(*a)));
            continue;
        }
        for (i, (_, a)) in addrs.iter().enumerate() {
            let others = addrs.iter().skip(i + 1).chain(ports);
            keys.extend(others.filter_map(|(_, b)| key(*a, *b)));
        }
    }
    let flags = if marks.is_empty() { 0 } else { MARKED };
    keys.append(&mut marks);
    keys.extend(communities.iter().map(|(hash, _)| community_key(*hash)));
    let (descriptor, prints) = fuse::make(keys)?;
    if prints.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = flags.to_le_bytes().to_vec();
    out.extend(descriptor);
    let halves = |two: &[u8]| two.iter().rev().fold(0, |byte, print| byte << 4 | print & 15);
    out.extend(prints.chunks(2).map(halves));
    Ok(out)
}

/// How a joint filter is asked: taken from its first bytes.
#[derive(Clone, Copy, Debug)]
pub struct Joint {
    marked: bool,
    fuse: Fuse,
}

impl Joint {
    /// `None`: these bytes are no filter, or an empty one, which says nothing.
    pub fn of(filter: &[u8]) -> Option<Joint> {
        let (flags, rest) = filter.split_first_chunk()?;
        let fuse = Fuse::of(rest, rest.len().checked_sub(DESCRIPTOR)?.checked_mul(2)?)?;
        Some(Joint { marked: u32::from_le_bytes(*flags) & MARKED != 0, fuse })
    }

    fn has(&self, filter: &[u8], key: u64) -> Option<bool> {
        self.fuse.has_half(filter.get(4 + DESCRIPTOR..)?, key)
    }

    /// False only if no connection has both terms. `None`: the filter is another one.
    pub fn may_join(&self, filter: &[u8], a: Term, b: Term) -> Option<bool> {
        let Some(pair) = key(a, b) else { return Some(true) };
        if self.has(filter, pair)? {
            return Some(true);
        }
        if !self.marked {
            return Some(false);
        }
        let marked = |t: Term| mark(t).map_or(Some(true), |k| self.has(filter, k));
        Some(marked(a)? && marked(b)?)
    }

    /// False only if no connection has a community ID of this hash. `None`: the filter is another one.
    pub fn may_have_community(&self, filter: &[u8], hash: u32) -> Option<bool> {
        self.has(filter, community_key(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addr(n: u32) -> Term {
        if n.is_multiple_of(5) { Term::Addr6(u128::from(n) << 64) } else { Term::Addr4(n) }
    }

    /// Connections of two addresses and two ports; those of a number that 50 divides have many addresses.
    fn postings(seed: u32, conns: u32) -> Vec<(Term, u32)> {
        let mut all = Vec::new();
        for id in 0..conns {
            let of = |n: u32| (seed ^ id).wrapping_mul(0x9e37_79b9).rotate_left(n) % (conns * 2);
            all.extend([(addr(of(3)), id), (addr(of(11)), id), (Term::Port(443), id), (Term::Port(u16::MAX), id)]);
            if seed % 2 == 1 && id % 50 == 0 {
                all.extend((0..12).map(|n| (addr(of(n)), id)));
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    fn may_join(filter: &[u8], a: Term, b: Term) -> Option<bool> {
        Joint::of(filter)?.may_join(filter, a, b)
    }

    fn may_have_community(filter: &[u8], hash: u32) -> Option<bool> {
        Joint::of(filter)?.may_have_community(filter, hash)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Two terms of one connection are never ruled out, in either order; those of none mostly are.
        #[test]
        fn what_is_together_is_found(seed in any::<u32>(), conns in 1u32..400) {
            let all = postings(seed, conns);
            let communities: Vec<(u32, u32)> = (0..conns).map(|id| (id.wrapping_mul(seed), id)).collect();
            let filter = joint_filter(&all, &communities).unwrap();
            prop_assert!(communities.iter().all(|(hash, _)| may_have_community(&filter, *hash) == Some(true)));
            prop_assert!(Joint::of(&[]).is_none());
            let mut of: Vec<Vec<Term>> = vec![Vec::new(); conns as usize];
            all.iter().for_each(|(t, id)| of[*id as usize].push(*t));
            for terms in &of {
                for (a, b) in terms.iter().flat_map(|a| terms.iter().map(move |b| (*a, *b))) {
                    prop_assert_eq!(may_join(&filter, a, b), Some(true), "{} and {}", a, b);
                }
            }
            let strange = (0..500u32).map(|n| (addr(n * 7 + 1_000_000), addr(n % conns)));
            let passed = strange.filter(|(a, b)| may_join(&filter, *a, *b) == Some(true)).count();
            prop_assert!(passed < 100, "{passed} of 500 pairs that are not there");
            let ports = (0..500u16).filter(|p| may_join(&filter, addr(u32::from(*p) % conns), Term::Port(500 + p)) == Some(true));
            // A marked address may have any.
            prop_assert!(seed % 2 == 1 || ports.count() < 150, "ports that nobody has");
        }

        #[test]
        fn any_bytes_are_asked(bytes in prop::collection::vec(any::<u8>(), 0..200), a in any::<u32>(), b in any::<u32>()) {
            let _ = (may_join(&bytes, Term::Addr4(a), Term::Addr4(b)), may_have_community(&bytes, a));
        }
    }
}
