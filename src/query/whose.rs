//! Whose a packet is: its connection's name, as the recorder gave it or as its bytes say. Owns what is known of fragmented datagrams, whose later
//! fragments do not say it. Called by queries and followers for each packet that an expression lets through.

use super::engine::Means;
use super::judge::Judge;
use super::merge::Merge;
use super::part::Question;
use super::plans::Plans;
use super::view::View;
use super::{QueryError, Summary};
use crate::index::community::{self, IcmpKind};
use crate::limits::{DATAGRAMS_KNOWN, FRAGMENT_NS};
use crate::packet::key::Key;
use crate::packet::{Fragment, Parsed, Parser};
use crate::store::format::SegmentHeader;
use crate::store::reader::FoundPacket;
use std::collections::HashMap;

/// A datagram: the port-less name of its pair, its identification, its direction.
type Datagram = (Key, u32, bool);

/// What the first fragment of a datagram says.
#[derive(Clone, Copy)]
struct First {
    key: Key,
    icmp: Option<IcmpKind>,
    time: u64,
}

/// A packet's connection.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// Its name.
    pub key: Key,
    /// Of ICMP: direction, type and code.
    pub icmp: Option<IcmpKind>,
    /// It may begin a connection: a SYN without ACK.
    pub begins: bool,
    /// Of a later fragment: its datagram, if the first fragment would say more.
    pub untold: Option<Datagram>,
}

/// Names the connections of packets that come in time order.
pub struct Whose {
    tagged: Parser,
    untagged: Parser,
    /// First fragments of the last while, and of the while before.
    young: HashMap<Datagram, First>,
    old: HashMap<Datagram, First>,
    since: u64,
    searched: Searched,
}

/// First fragments were looked for from the first to the second time.
#[derive(Clone, Copy, Debug, Default)]
struct Searched(Option<(u64, u64)>);

impl Searched {
    /// What is still to be looked at for a fragment of this time, whose first one may be before or after it. It reaches ahead, so that of fragments
    /// that follow each other closely one in a while takes a search, and each block is read once.
    fn next(&mut self, time: u64) -> Option<(u64, u64)> {
        let (from, to) = (time.saturating_sub(FRAGMENT_NS), time.saturating_add(FRAGMENT_NS + 1));
        match self.0.filter(|(begun, ended)| *begun <= from && from <= *ended) {
            Some((_, ended)) if to <= ended => None,
            Some((begun, ended)) => {
                let to = to.max(ended.saturating_add(FRAGMENT_NS));
                self.0 = Some((begun, to));
                Some((ended, to))
            }
            None => {
                self.0 = Some((from, to));
                Some((from, to))
            }
        }
    }
}

impl Default for Whose {
    fn default() -> Whose {
        let (tagged, untagged) = (Parser::new(0, true), Parser::new(0, false));
        Whose { tagged, untagged, young: HashMap::new(), old: HashMap::new(), since: 0, searched: Searched::default() }
    }
}

impl Whose {
    /// Whose a packet of a segment with this header is.
    pub fn of(&mut self, h: &SegmentHeader, p: &FoundPacket<'_>) -> Named {
        let link_type = h.interfaces.first().map_or(0, |i| i.link_type);
        let parser = if h.vlan_in_key { &self.tagged } else { &self.untagged };
        let parsed = parser.parse(link_type, &p.data);
        let (key, icmp) = (p.key.unwrap_or(parsed.key), community::icmp(&parsed, &p.data));
        let begins = parsed.tcp_flags & (SYN | ACK) == SYN;
        let mut named = Named { key, icmp, begins, untold: None };
        match parsed.fragment {
            Fragment::None => {}
            Fragment::First(id) => self.note(datagram(&parsed, id), First { key, icmp, time: p.time }),
            Fragment::Later(id) => {
                let datagram = datagram(&parsed, id);
                named.icmp = None;
                // Before version 2 nobody has written whose it is; and of ICMP the first fragment has the type.
                let wanting = p.key.is_none() || community::has_kinds(&key);
                match self.find(&datagram, p.time) {
                    // One that came before its first is of no connection but its pair's, as the recorder counts.
                    Some(first) if h.version == 1 || p.key.is_some() => {
                        (named.key, named.icmp) = (first.key, first.icmp)
                    }
                    _ if wanting => named.untold = Some(datagram),
                    _ => {}
                }
            }
        }
        named
    }

    /// The same with what the first fragment of its datagram says, which is looked for in time around it: it may have come later, or be outside of what is
    /// asked for.
    pub fn ask_first(
        &mut self,
        named: Named,
        time: u64,
        (plans, means, view): (&Plans, Means<'_>, &View<'_>),
    ) -> Result<Named, QueryError> {
        let Some(datagram) = named.untold else { return Ok(named) };
        if let Some(first) = self.find(&datagram, time) {
            return Ok(Named { key: first.key, icmp: first.icmp, untold: None, ..named });
        }
        if let Some((from, to)) = self.searched.next(time) {
            self.search(from, to, plans, means, view)?;
        }
        Ok(match self.find(&datagram, time) {
            Some(first) => Named { key: first.key, icmp: first.icmp, untold: None, ..named },
            None => named,
        })
    }

    fn search(
        &mut self,
        from: u64,
        to: u64,
        plans: &Plans,
        means: Means<'_>,
        view: &View<'_>,
    ) -> Result<(), QueryError> {
        let q = Question { plans, from, to, classes: &[], interfaces: &[], full_scan: false, pace: view.pace };
        let (mut judge, mut aside) = (Judge::new("", false, None, means.compiled), Summary::default());
        let mut merge = Merge::new(view.parts(&q, &mut aside)?, false, None);
        let mut each = |p: &FoundPacket<'_>, h: &SegmentHeader| {
            let _ = self.of(h, p);
        };
        while merge.next(&q, &mut judge, &mut aside, |p, reader, _| each(p, reader.header()))?.is_some() {}
        Ok(())
    }

    fn note(&mut self, datagram: Datagram, first: First) {
        if first.time.abs_diff(self.since) > KNOWN_NS || self.young.len() >= DATAGRAMS_KNOWN {
            self.old = std::mem::take(&mut self.young);
            self.since = first.time;
        }
        self.young.insert(datagram, first);
    }

    fn find(&self, datagram: &Datagram, time: u64) -> Option<First> {
        let near = |first: &&First| first.time.abs_diff(time) <= FRAGMENT_NS;
        self.young.get(datagram).filter(near).or_else(|| self.old.get(datagram).filter(near)).copied()
    }
}

/// First fragments of so long are together: a search reaches so far from the fragment that it is for.
const KNOWN_NS: u64 = 3 * FRAGMENT_NS;

const SYN: u8 = 2;
const ACK: u8 = 16;

/// As `conn::fragments` names it.
fn datagram(p: &Parsed, id: u32) -> Datagram {
    let mut pair = p.key.portless();
    let with_itself = match &mut pair {
        Key::V4(k) => k.addr[0] == k.addr[1],
        Key::V6(k) => {
            // A later fragment of IPv6 does not always tell the protocol.
            k.tail.proto = 0;
            k.addr[0] == k.addr[1]
        }
    };
    (pair, id, p.swapped && !with_itself)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fragments a millisecond apart, for three minutes and after a gap: all of the time around each is looked at, no time twice, and seldom.
    #[test]
    fn what_is_looked_for_is_looked_for_once() {
        let (mut searched, mut windows) = (Searched::default(), Vec::<(u64, u64)>::new());
        let burst = |from: u64| (0..180_000u64).map(move |n| from + n * 1_000_000);
        for time in burst(100 * FRAGMENT_NS).chain(burst(900 * FRAGMENT_NS)) {
            windows.extend(searched.next(time));
            let known = |at: u64| windows.iter().any(|(from, to)| (*from..*to).contains(&at));
            assert!([time - FRAGMENT_NS, time, time + FRAGMENT_NS].into_iter().all(known), "{time}");
        }
        assert!(windows.len() < 20, "{}", windows.len());
        assert!(windows.windows(2).all(|w| w[0].1 <= w[1].0), "{windows:?}");
    }

    fn first(n: u64, time: u64) -> (Datagram, First) {
        ((Key::tcp(n as u16), n as u32, false), First { key: Key::tcp(n as u16), icmp: None, time })
    }

    /// Whatever was found ahead is still known when its fragment comes.
    #[test]
    fn what_was_found_ahead_is_known_in_time() {
        let (mut whose, mut searched) = (Whose::default(), Searched::default());
        let all: Vec<(Datagram, First)> = (0..3000).map(|n| first(n, (n + 1000) * 100_000_000)).collect();
        for (datagram, of) in &all {
            if let Some((from, to)) = searched.next(of.time) {
                all.iter().filter(|(_, f)| (from..to).contains(&f.time)).for_each(|(d, f)| whose.note(*d, *f));
            }
            // A later fragment may come as long before or after the first.
            assert!(whose.find(datagram, of.time).is_some(), "{}", of.time);
            let near = |f: &First| f.time.abs_diff(of.time) <= FRAGMENT_NS;
            assert!(all.iter().filter(|(_, f)| near(f)).all(|(d, _)| whose.find(d, of.time).is_some()), "{}", of.time);
        }
    }
}
