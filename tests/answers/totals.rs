//! Connections and their totals: what `connections` must list, and what a summary must say of the connections of its packets. By name, first
//! and last packet, seen and stored, cut, class; exact where every connection has been told of, by names alone where a recorder was killed.

use crate::dice::Dice;
use crate::history::History;
use crate::model::{Kept, Known};
use crate::oracle::parse::{Name, parse};
use crate::product::key;
use crate::questions::Question;
use retrotap::packet::key::Key;
use retrotap::query::{Connection, Summary};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What can be asked of a connection's name.
#[derive(Clone, Copy, Debug)]
enum Term {
    Host(IpAddr),
    Port(u16),
    Proto(u8),
}

/// An expression that names answer: terms, each or its contrary, and whether one of them is enough.
#[derive(Clone, Debug, Default)]
pub struct ByName {
    terms: Vec<(bool, Term)>,
    one_of: bool,
}

impl ByName {
    pub fn any(d: &mut Dice) -> ByName {
        let term = |d: &mut Dice| match d.below(5) {
            0..2 if d.chance(30) => Term::Host(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, d.from(1, 5) as u16])),
            0..2 => Term::Host(IpAddr::from([10, 0, 0, d.from(1, 5) as u8])),
            2..4 => Term::Port(d.one(&crate::packets::PORTS)),
            _ => Term::Proto(d.one(&[6, 17])),
        };
        ByName { terms: (0..d.below(3)).map(|_| (d.chance(20), term(d))).collect(), one_of: d.chance(30) }
    }

    /// As pcap-filter has it.
    pub fn text(&self) -> String {
        let word = |(not, t): &(bool, Term)| {
            let not = if *not { "not " } else { "" };
            match t {
                Term::Host(a) => format!("{not}host {a}"),
                Term::Port(p) => format!("{not}port {p}"),
                Term::Proto(6) => format!("{not}tcp"),
                Term::Proto(_) => format!("{not}udp"),
            }
        };
        let words: Vec<String> = self.terms.iter().map(word).collect();
        words.join(if self.one_of { " or " } else { " and " })
    }

    fn holds(&self, name: &Name) -> bool {
        let (ends, of): (Vec<(IpAddr, Option<u16>)>, u8) = match name {
            Name::Ip { ends, proto, .. } => {
                let ported = matches!(proto, 6 | 17 | 132);
                (ends.iter().map(|(a, p)| (*a, Some(*p).filter(|_| ported))).collect(), *proto)
            }
            Name::Portless { pair, proto, .. } => (pair.iter().map(|a| (*a, None)).collect(), *proto),
            _ => (Vec::new(), 255),
        };
        let one = |(not, t): &(bool, Term)| {
            *not != match t {
                Term::Host(host) => ends.iter().any(|(a, _)| a == host),
                Term::Port(port) => ends.iter().any(|(_, p)| *p == Some(*port)),
                Term::Proto(proto) => of == *proto,
            }
        };
        match self.one_of {
            true => self.terms.is_empty() || self.terms.iter().any(one),
            false => self.terms.iter().all(one),
        }
    }
}

/// A connection as both sides tell it.
type Line = (Key, u64, u64, [u64; 4], bool, String);

fn meant(history: &History, c: &Known) -> Line {
    let c = &c.of;
    let totals = [c.seen_packets, c.seen_bytes, c.stored_packets, c.stored_bytes];
    (key(&c.name), c.first, c.last, totals, c.cut, history.classes[c.class].name.to_owned())
}

fn told(c: &Connection) -> Line {
    let totals = [c.seen_packets, c.seen_bytes, c.stored_packets, c.stored_bytes];
    (c.key, c.first, c.last, totals, c.cut, c.class.to_string())
}

/// Connections that answer a question, by number.
fn wanted<'a>(
    history: &'a History,
    q: &'a Question,
    by: &'a ByName,
    connections: &'a [Known],
) -> impl Iterator<Item = &'a Known> + 'a {
    connections.iter().filter(move |c| {
        let overlaps = q.since.is_none_or(|t| c.of.last >= t) && q.until.is_none_or(|t| c.of.first < t);
        overlaps && q.has_class(history, c.of.class) && by.holds(&c.of.name)
    })
}

/// How many connections answer; `None`: nobody can know it.
pub fn count(history: &History, q: &Question, by: &ByName, connections: &[Known]) -> Option<u64> {
    (!connections.iter().any(|c| c.unsaid)).then(|| wanted(history, q, by, connections).count() as u64)
}

/// What is wrong with a list of connections, if anything.
pub fn list_wrong(
    history: &History,
    q: &Question,
    by: &ByName,
    connections: &[Known],
    got: &[Connection],
) -> Option<String> {
    let want: Vec<&Known> = wanted(history, q, by, connections).collect();
    if connections.iter().any(|c| c.unsaid) {
        let names = |of: &mut dyn Iterator<Item = Key>| of.collect::<BTreeSet<Key>>();
        let said = names(&mut want.iter().filter(|c| !c.unsaid).map(|c| key(&c.of.name)));
        let there = names(&mut got.iter().map(|c| c.key));
        let lacking: Vec<_> = said.difference(&there).collect();
        return (!lacking.is_empty()).then(|| format!("{} connections; lacking: {lacking:?}", got.len()));
    }
    let mut lines: BTreeMap<Line, (usize, usize)> = BTreeMap::new();
    want.iter().for_each(|c| lines.entry(meant(history, c)).or_default().0 += 1);
    got.iter().for_each(|c| lines.entry(told(c)).or_default().1 += 1);
    lines.retain(|_, (want, got)| want != got);
    let (line, (n, m)) = lines.iter().next()?;
    Some(format!(
        "{} connections, {} expected; {m} times, not {n}: (key, first, last, [seen, bytes, stored, bytes], cut, class) {line:?}; differing {}",
        got.len(),
        want.len(),
        lines.len()
    ))
}

/// What is wrong with what a summary says of the connections of these packets, if anything.
pub fn summary_wrong(
    history: &History,
    packets: &[&Kept],
    connections: &[Known],
    s: &Summary,
    knows_running: bool,
) -> Option<String> {
    let of: BTreeSet<usize> = packets.iter().map(|p| p.connection).collect();
    // What is stored of a packet may lack the headers that its name is made of.
    let whole = |p: &&&Kept| parse(p.link, &p.data, history.vlans).name == connections[p.connection].of.name;
    if of.iter().any(|c| connections[*c].unsaid) || packets.iter().filter(whole).count() < packets.len() {
        return None;
    }
    let cut: Vec<_> = of.iter().map(|c| &connections[*c].of).filter(|c| c.cut).collect();
    let meant = (
        of.len() as u64,
        cut.len() as u64,
        cut.iter().map(|c| c.seen_packets - c.stored_packets).sum::<u64>(),
        cut.iter().map(|c| c.seen_bytes - c.stored_bytes).sum::<u64>(),
    );
    let told = (s.connections, s.cut_connections, s.cut_packets, s.cut_bytes);
    // What neither a receipt nor a worker tells is said to be unknown.
    let unsure = !knows_running || s.open_connections > 0;
    let wrong = told.0 != meant.0 || if unsure { told > meant } else { told != meant };
    wrong.then(|| format!("connections, those cut, packets and bytes cut of them: {told:?}, not {meant:?}"))
}
