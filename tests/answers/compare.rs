//! An answer against what the history says it must be: equal, or incomplete with the true reason.

use crate::history::History;
use crate::judge::Refusing;
use crate::model::{Kept, Known, Presence};
use crate::oracle::parse::{FragmentId, Name, parse};
use crate::questions::{Question, Wanted};
use crate::reasons;
use crate::totals;
use crate::ways::{Got, Reply};
use retrotap::query::Summary;
use std::collections::{BTreeMap, HashSet};

/// What the store must hold, and what of it the judge says is meant.
pub struct Truth<'a> {
    pub history: &'a History,
    pub kept: &'a [Kept],
    pub connections: &'a [Known],
    /// Numbers of the packets that match the expression; `None`: it is refused.
    pub matching: Option<Vec<usize>>,
    /// Link types of the history for which libpcap refuses it.
    pub refusing: Vec<Refusing>,
    /// Who is asked knows what was cut of connections that run.
    pub knows_running: bool,
    /// libpcap takes it for Ethernet.
    pub common: bool,
    /// Numbers of connections that may run while it is asked.
    pub may_run: HashSet<usize>,
}

/// What is wrong: of which kind, and in words.
pub type Wrong = (Kind, String);

/// What an answer can be wrong in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Its packets.
    Packets,
    /// It is refused and should not be, or the other way round.
    Refusal,
    /// What it says, or does not say, of what is missing.
    Missing,
    /// How many connections, and what was cut of them.
    Totals,
    /// The connections that are listed.
    Connections,
    /// The recording itself: its account, its segments, its end.
    Recording,
}

/// How often each packet must be there, and may be.
#[derive(Default)]
struct Bounds {
    least: BTreeMap<Got, usize>,
    most: BTreeMap<Got, usize>,
    /// Of packets that match some have expired.
    expired: bool,
}

fn got(p: &Kept) -> Got {
    Got { time: p.time, wire: p.wire, link: p.link, data: p.data.clone() }
}

impl Truth<'_> {
    /// The packet is of the connection that is asked for; `None`: what is stored of it does not tell.
    fn of_connection(&self, q: &Question, p: &Kept) -> Option<bool> {
        let Some(wanted) = &q.conn else { return Some(true) };
        let name = &self.connections[p.connection].of.name;
        let stored = parse(p.link, &p.data, self.history.vlans);
        if let (Name::Portless { .. }, Some(datagram)) = (name, &stored.later_fragment_of) {
            return self.of_datagram(wanted, p.time, datagram);
        }
        let whole = stored.name == *name || stored.later_fragment_of.is_some();
        whole.then(|| wanted.is(name))
    }

    /// A later fragment that the recorder counts to no connection but its pair's, since it came before its first: it is given out with
    /// the connection of that, if it is of the same half minute. Of several nobody knows which it belongs to.
    fn of_datagram(&self, wanted: &Wanted, time: u64, datagram: &FragmentId) -> Option<bool> {
        let near = self.kept.iter().filter(|f| f.time.abs_diff(time) <= 30_000_000_000);
        let first = |f: &&Kept| parse(f.link, &f.data, self.history.vlans).first_fragment_of.as_ref() == Some(datagram);
        let firsts: Vec<&Kept> = near.filter(first).collect();
        let of = |f: &&&Kept| wanted.is(&self.connections[f.connection].of.name);
        match firsts.iter().filter(of).count() {
            0 => Some(false),
            n if n == firsts.len() && firsts.iter().all(|f| f.now == Presence::There) => Some(true),
            _ => None,
        }
    }

    fn bounds(&self, q: &Question) -> Bounds {
        let matching: HashSet<usize> = self.matching.iter().flatten().copied().collect();
        let mut b = Bounds::default();
        for (i, p) in self.kept.iter().enumerate().filter(|(_, p)| q.admits(self.history, p)) {
            let sure = match self.of_connection(q, p) {
                Some(true) => matching.contains(&i),
                Some(false) => continue,
                None => false,
            };
            if !sure && !q.any_layer && (q.conn.is_none() || !matching.contains(&i)) {
                continue;
            }
            b.expired |= sure && p.now == Presence::Expired;
            if p.now == Presence::Expired {
                continue;
            }
            *b.most.entry(got(p)).or_default() += 1;
            if sure && p.now == Presence::There {
                *b.least.entry(got(p)).or_default() += 1;
            }
        }
        b
    }

    fn is_there(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter().filter(|p| p.now == Presence::There)
    }

    /// No packet that is surely there is of a link type that takes the expression. Of a store that has nothing any more nobody knows which there were.
    fn may_refuse(&self) -> bool {
        !(self.refusing.is_empty() && self.common) && self.is_there().all(|p| self.refuses(p.link))
    }

    /// Packets are there, and no link type that there ever was takes it. Inner layers are asked as link types of their own.
    fn must_refuse(&self) -> bool {
        self.is_there().next().is_some() && self.kept.iter().all(|p| self.refuses(p.link))
    }

    fn refuses(&self, link: u16) -> bool {
        self.refusing.iter().any(|r| r.link == link)
    }

    /// Packets could not be asked, and some of them might have matched.
    fn unasked(&self, link: u16) -> bool {
        self.refusing.iter().any(|r| r.link == link && !r.never)
    }

    /// A packet of the window and the classes is surely there that could not be asked.
    fn lacks_unasked(&self, q: &Question) -> bool {
        self.is_there().any(|p| self.unasked(p.link) && q.admits(self.history, p))
    }

    /// A segment of the window and the classes may be there whose packets could not be asked: from its first packet to its last it is taken for
    /// one of the window, and one in which something is damaged is of any.
    fn may_lack_unasked(&self, q: &Question) -> bool {
        self.refusing.iter().filter(|r| !r.never).any(|r| {
            let left = |p: &&Kept| p.link == r.link && p.now != Presence::Expired;
            let of = |class: usize| self.kept.iter().filter(left).filter(move |p| p.class == class);
            let asked = (0..self.history.classes.len()).filter(|c| q.has_class(self.history, *c));
            asked.map(of).any(|all| {
                let (first, last) = all.clone().fold((u64::MAX, 0), |(f, l), p| (p.time.min(f), p.time.max(l)));
                let window = q.until.is_none_or(|t| first < t) && q.since.is_none_or(|t| last >= t);
                all.clone().next().is_some() && window || all.clone().any(|p| p.now == Presence::Doubtful)
            })
        })
    }

    /// What is wrong with a reply to `q`, if anything.
    pub fn wrong(&self, q: &Question, reply: &Result<Reply, String>) -> Option<Wrong> {
        let refusal = |why| Some((Kind::Refusal, why));
        let reply = match (reply, &self.matching) {
            (Err(_), None) => return None,
            (Err(_), Some(_)) if self.may_refuse() => return None,
            (Ok(_), Some(_)) if !q.any_layer && self.must_refuse() => {
                return refusal("libpcap refuses the expression for all that there is, and it is answered".into());
            }
            (Ok(_), None) => return refusal("libpcap refuses the expression, and it is answered".into()),
            (Err(why), Some(_)) => return refusal(format!("refused: {why}")),
            (Ok(reply), Some(_)) => reply,
        };
        let b = self.bounds(q);
        let Some(s) = &reply.summary else {
            let packets = reply.packets.as_deref().unwrap_or_default();
            let s = summary_of(packets);
            return self.packets_wrong(q, &b, packets, &s).map(|w| (Kind::Packets, w));
        };
        let (least, most) = (b.least.values().sum::<usize>(), b.most.values().sum::<usize>());
        if let Some(packets) = &reply.packets {
            if let Some(wrong) = self.packets_wrong(q, &b, packets, s) {
                return Some((Kind::Packets, wrong));
            }
        } else if q.limit.is_none() && !(least as u64..=most as u64).contains(&s.packets) {
            return Some((Kind::Packets, format!("{} packets, {} to {} expected", s.packets, least, most)));
        }
        let limit = q.limit.unwrap_or(u64::MAX);
        if least == most && (s.packets != limit.min(least as u64) || s.limited != (least as u64 > limit)) {
            return Some((Kind::Packets, format!("{} packets, limited {}: {least} match", s.packets, s.limited)));
        }
        if let Some(wrong) = self.incomplete_wrong(q, &b, s) {
            return Some((Kind::Missing, wrong));
        }
        if least == most && q.limit.is_none() && !q.any_layer {
            let matching = self.matching.iter().flatten().map(|i| &self.kept[*i]);
            let ours = |p: &&Kept| {
                p.now == Presence::There && q.admits(self.history, p) && self.of_connection(q, p) == Some(true)
            };
            let own =
                |p: &&Kept| q.conn.as_ref().is_none_or(|wanted| wanted.is(&self.connections[p.connection].of.name));
            let (packets, early): (Vec<&Kept>, Vec<&Kept>) = matching.filter(ours).partition(own);
            let wrong = totals::summary_wrong(
                self.history,
                &packets,
                self.connections,
                s,
                self.knows_running,
                &self.may_run,
                early.len() as u64,
            );
            return wrong.map(|w| (Kind::Totals, w));
        }
        None
    }

    /// The same of what memory has of the answer: some of it, or all.
    pub fn wrong_of_memory(&self, q: &Question, reply: &Result<Reply, String>) -> Option<Wrong> {
        // A class of which it has nothing it does not know.
        let packets = reply.as_ref().ok().filter(|_| self.matching.is_some())?.packets.as_ref()?;
        let some = Bounds { least: BTreeMap::new(), ..self.bounds(q) };
        self.packets_wrong(q, &some, packets, &summary_of(packets)).map(|w| (Kind::Packets, w))
    }

    /// The same of a follower, which gives out late what came late.
    pub fn wrong_of_follower(&self, q: &Question, reply: &Result<Reply, String>) -> Option<Wrong> {
        let refusal = |why| Some((Kind::Refusal, why));
        let reply = match reply {
            Ok(reply) => reply,
            Err(_) if self.matching.is_none() || self.may_refuse() => return None,
            Err(why) => return refusal(format!("refused: {why}")),
        };
        let mut packets = reply.packets.clone().unwrap_or_default();
        packets.sort_by_key(|p| p.time);
        if !reply.summary.as_ref().is_some_and(|s| s.recorder_ended && s.packets == packets.len() as u64) {
            return Some((Kind::Missing, format!("its end and its packets are not told: {:?}", reply.summary)));
        }
        self.packets_wrong(q, &self.bounds(q), &packets, &summary_of(&packets)).map(|w| (Kind::Packets, w))
    }

    fn packets_wrong(&self, q: &Question, b: &Bounds, packets: &[Got], s: &Summary) -> Option<String> {
        if !packets.is_sorted_by_key(|p| p.time) {
            return Some("packets out of the order of time".into());
        }
        let meant = summary_of(packets);
        let told = |s: &Summary| (s.packets, s.bytes, s.first, s.last);
        if told(s) != told(&meant) {
            return Some(format!(
                "the summary says {:?} (packets, bytes, first, last); it is {:?}",
                told(s),
                told(&meant)
            ));
        }
        let mut counts: BTreeMap<&Got, usize> = BTreeMap::new();
        packets.iter().for_each(|p| *counts.entry(p).or_default() += 1);
        for (p, n) in &counts {
            let most = b.most.get(*p).copied().unwrap_or(0);
            if *n > most {
                let why = if most > 0 { "too often" } else { "that is not of it" };
                return Some(format!(
                    "{} packets, among them one {why} ({n} times, {most} expected): {}",
                    packets.len(),
                    few(p)
                ));
            }
        }
        let lacking: Vec<&Got> =
            b.least.iter().filter(|(p, n)| counts.get(p).copied().unwrap_or(0) < **n).map(|(p, _)| p).collect();
        match q.limit {
            None if !lacking.is_empty() => Some(format!(
                "{} packets, {} expected; lacking the first: {}",
                packets.len(),
                b.least.values().sum::<usize>(),
                few(lacking[0])
            )),
            // The earliest of them: whatever is lacking is not older than the last that came.
            Some(_) if lacking.iter().any(|p| packets.last().is_some_and(|last| p.time < last.time)) => Some(format!(
                "with a limit {:?}, and not the earliest: lacking {}",
                packets.iter().map(|p| p.time).collect::<Vec<_>>(),
                few(lacking[0])
            )),
            _ => None,
        }
    }

    /// Whether the answer says what is missing, and nothing else.
    fn incomplete_wrong(&self, q: &Question, b: &Bounds, s: &Summary) -> Option<String> {
        let said = match reasons::of(s) {
            Ok(said) => said,
            Err(why) => return Some(why),
        };
        let says = |why: &[&str]| said.iter().any(|r| why.contains(&r.as_str()));
        let expired = says(&["expired", "expired_meanwhile"]);
        if b.expired && !expired && !s.limited {
            return Some(format!("packets of the answer have expired, and it says of what is missing {said:?}"));
        }
        let (least, most) = (b.least.values().sum::<usize>(), b.most.values().sum::<usize>());
        let unsure = q.any_layer || q.conn.is_some() || q.limit.is_some();
        if most > least && !unsure && s.packets < most as u64 && !says(&["damaged"]) {
            return Some(format!("packets of the answer are damaged, and it says of what is missing {said:?}"));
        }
        if self.lacks_unasked(q) && !says(&["refused"]) {
            return Some(format!("packets could not be asked, and it says of what is missing {said:?}"));
        }
        let any = |now: Presence| self.kept.iter().any(|p| p.now == now && q.has_class(self.history, p.class));
        let untrue = |why: &&String| match why.as_str() {
            "expired" | "expired_meanwhile" => !any(Presence::Expired),
            "damaged" => !any(Presence::Doubtful),
            "limited" => !s.limited,
            "refused" => !self.may_lack_unasked(q),
            // What a killed recorder had not read nobody knows.
            "import_cut_short" => !self.connections.iter().any(|c| c.unsaid),
            // The workers of a machine that has no time for them.
            "running_unknown" => false,
            _ => true,
        };
        said.iter().find(untrue).map(|why| format!("it says {why:?}, and that is not so"))
    }
}

/// It says that something is damaged.
pub fn says_damaged(s: &Summary) -> bool {
    s.damaged_segments + s.damaged_blocks + s.damaged_packets > 0
}

/// How two ways' sorted answers to one question differ, where they may not: one may lack what is damaged, if it says so. An index names packets behind
/// damage that a scan can't find.
pub fn difference(a: &[Got], a_damaged: bool, b: &[Got], b_damaged: bool) -> Option<String> {
    let lacking = |of: &[Got], all: &[Got]| all.iter().find(|p| of.binary_search(p).is_err()).cloned();
    let (of_a, of_b) = (lacking(a, b), lacking(b, a));
    let told = match (&of_a, &of_b) {
        // The same packets, another number of them.
        (None, None) => a_damaged || b_damaged,
        _ => (of_a.is_none() || a_damaged) && (of_b.is_none() || b_damaged),
    };
    let one = of_a.or(of_b);
    (!told).then(|| {
        let (n, m, one) = (b.len(), a.len(), one.as_ref().map(few));
        format!("{n} packets, and {m} by another way; only in one of them: {one:?}")
    })
}

/// What a summary must say of these packets themselves.
fn summary_of(packets: &[Got]) -> Summary {
    Summary {
        packets: packets.len() as u64,
        bytes: packets.iter().map(|p| u64::from(p.wire)).sum(),
        first: packets.first().map(|p| p.time),
        last: packets.last().map(|p| p.time),
        ..Summary::default()
    }
}

/// A packet in a few words.
pub fn few(p: &Got) -> String {
    format!("time {}, {} of {} bytes, link type {}: {}", p.time, p.data.len(), p.wire, p.link, hex(&p.data))
}

fn hex(data: &[u8]) -> String {
    data.iter().take(64).map(|b| format!("{b:02x}")).collect()
}
