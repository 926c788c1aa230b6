//! Connections and their totals: what `connections` must list, and what a summary must say of the connections of its packets. By name, first
//! and last packet, seen and stored, cut, class; exact where every connection has been told of, by names alone where a recorder was killed.

use crate::dice::Dice;
use crate::history::History;
use crate::model::{Kept, Known, Presence};
use crate::oracle::model::S;
use crate::oracle::parse::{Name, parse};
use crate::product::key;
use crate::questions::Question;
use retrotap::packet::key::Key;
use retrotap::query::{Connection, Summary};
use std::collections::{BTreeMap, BTreeSet, HashSet};
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

/// A question for connections, and what it is asked of.
pub struct Asked<'a> {
    pub history: &'a History,
    pub q: &'a Question,
    pub by: &'a ByName,
    pub kept: &'a [Kept],
    pub connections: &'a [Known],
    /// Numbers of the packets that match the expression.
    pub matching: &'a [usize],
    /// Numbers of connections that may run while the recorder is asked.
    pub may_run: &'a HashSet<usize>,
}

impl Asked<'_> {
    /// Connections that must be listed, and with `true` those that may be.
    fn wanted(&self) -> Vec<(bool, &Known)> {
        let admits = |p: &Kept| p.now != Presence::Expired && self.q.admits(self.history, p);
        let with =
            |sure: bool, i: &usize| Some(&self.kept[*i]).filter(|p| admits(p) && (!sure || p.now == Presence::There));
        // Packets of a link type that is not parsed are of one connection: which expressions it answers they say.
        let met = |sure| {
            self.matching.iter().filter_map(move |i| with(sure, i)).map(|p| p.connection).collect::<HashSet<_>>()
        };
        // One that runs has no receipt: it is known by its packets alone.
        let stored: HashSet<usize> =
            (0..self.kept.len()).filter_map(|i| with(true, &i)).map(|p| p.connection).collect();
        let (surely_met, maybe_met) = (met(true), met(false));
        let one = |(n, c): (usize, &'_ Known)| {
            let by_name = self.by.holds(&c.of.name);
            match c.of.name {
                Name::Opaque { link_type } if !is_parsed(link_type) => {
                    (!surely_met.contains(&n), by_name || maybe_met.contains(&n))
                }
                _ => (self.may_run.contains(&n) && !stored.contains(&n), by_name),
            }
        };
        let overlaps =
            |c: &Known| self.q.since.is_none_or(|t| c.of.last >= t) && self.q.until.is_none_or(|t| c.of.first < t);
        let all = self.connections.iter().enumerate();
        let all = all.filter(|(_, c)| overlaps(c) && self.q.has_class(self.history, c.of.class));
        all.map(|(n, c)| (one((n, c)), c)).filter(|((_, holds), _)| *holds).map(|((may, _), c)| (may, c)).collect()
    }

    fn unsaid(&self) -> bool {
        self.connections.iter().any(|c| c.unsaid)
    }

    /// How many connections answer, at least and at most; `None`: nobody can know it.
    pub fn count(&self) -> Option<(u64, u64)> {
        let all = self.wanted();
        (!self.unsaid()).then(|| (all.iter().filter(|(may, _)| !may).count() as u64, all.len() as u64))
    }

    /// What is wrong with a list of connections, if anything.
    pub fn list_wrong(&self, got: &[Connection]) -> Option<String> {
        let want = self.wanted();
        if self.unsaid() {
            let names = |of: &mut dyn Iterator<Item = Key>| of.collect::<BTreeSet<Key>>();
            let said = want.iter().filter(|(may, c)| !may && !c.unsaid);
            let said = names(&mut said.map(|(_, c)| key(&c.of.name)));
            let there = names(&mut got.iter().map(|c| c.key));
            let lacking: Vec<_> = said.difference(&there).collect();
            return (!lacking.is_empty()).then(|| format!("{} connections; lacking: {lacking:?}", got.len()));
        }
        let mut lines: BTreeMap<Line, (usize, usize, usize)> = BTreeMap::new();
        for (may, c) in &want {
            let line = lines.entry(meant(self.history, c)).or_default();
            (line.0, line.1) = (line.0 + usize::from(!may), line.1 + 1);
        }
        got.iter().for_each(|c| lines.entry(told(c)).or_default().2 += 1);
        lines.retain(|_, (least, most, got)| !(*least..=*most).contains(got));
        let (line, (least, most, got_of_it)) = lines.iter().next()?;
        Some(format!(
            "{} connections, {} expected; {got_of_it} times, not {least} to {most}: (key, first, last, [seen, bytes, stored, bytes], cut, class) \
             {line:?}; differing {}",
            got.len(),
            want.len(),
            lines.len()
        ))
    }
}

/// Link types whose packets are parsed: those of all others are of one connection.
fn is_parsed(link_type: u16) -> bool {
    matches!(link_type, 0 | 1 | 9 | 12 | 14 | 101 | 108 | 113 | 228 | 229 | 276)
}

/// What is wrong with what a summary says of the connections of these packets, if anything. `early`: fragments that came before their firsts,
/// which are in the answer with the connections of those.
pub fn summary_wrong(
    history: &History,
    packets: &[&Kept],
    connections: &[Known],
    s: &Summary,
    knows_running: bool,
    may_run: &HashSet<usize>,
    early: u64,
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
    // Of what neither a receipt nor a worker tells it is said how many they seem to be: nothing is known of them but their packets. Those of
    // one name are then one, unless a long silence parts them, which a cutoff makes too.
    let names: BTreeSet<_> = of.iter().map(|c| &connections[*c].of.name).collect();
    // One that runs and began within the tick in which its name's last one ended: what is told of that one tells all.
    let same = |a: &Known, b: &Known| a.of.name == b.of.name && a.of.first < b.of.first && a.of.last >= b.of.last;
    let hidden = |b: &&usize| may_run.contains(b) && of.iter().any(|a| same(&connections[*a], &connections[**b]));
    let hidden = of.iter().filter(hidden).count() as u64;
    // Packets of one name within a second are taken for one connection's, or for those that receipts tell of in that time: one of which the
    // answer has no packet may lie between two that it has packets of.
    let between = |(n, c): &(usize, &Known)| {
        let named = packets.iter().filter(|p| !of.contains(n) && connections[p.connection].of.name == c.of.name);
        let mut times: Vec<u64> = named.map(|p| p.time).collect();
        times.sort_unstable();
        times.windows(2).any(|t| t[1] - t[0] <= S && c.of.first <= t[1] && c.of.last >= t[0])
    };
    let between: Vec<&Known> = connections.iter().enumerate().filter(between).map(|(_, c)| c).collect();
    let cut_between = between.iter().filter(|c| c.of.cut);
    let most = (
        meant.0 + between.len() as u64,
        meant.1 + cut_between.clone().count() as u64,
        meant.2 + cut_between.clone().map(|c| c.of.seen_packets - c.of.stored_packets).sum::<u64>(),
        meant.3 + cut_between.map(|c| c.of.seen_bytes - c.of.stored_bytes).sum::<u64>(),
    );
    if early > 0 {
        // They are counted for the connections of their firsts, of which the answer may have no other packet.
        let wrong = told.0 < meant.0 || told.0 > most.0 + early;
        return wrong.then(|| format!("{} connections, not {} and up to {early}", told.0, meant.0));
    }
    let open = s.open_connections > 0 || s.running_unknown > 0;
    let within = told.0 <= most.0 && told.1 <= most.1 && told.2 <= most.2 && told.3 <= most.3;
    let wrong = match (open || hidden > 0, knows_running) {
        (false, _) => !within || told.0 < meant.0 || told.1 < meant.1 || told.2 < meant.2 || told.3 < meant.3,
        (true, true) => !within || told.0 < meant.0 - hidden,
        (true, false) => told.0 - s.open_connections > most.0 || told.0 < names.len() as u64 || told.1 > most.1,
    };
    wrong.then(|| {
        format!(
            "connections, those cut, packets and bytes cut of them: {told:?}, not {meant:?}; open {}",
            s.open_connections
        )
    })
}
