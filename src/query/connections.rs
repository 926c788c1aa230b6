//! The connections themselves: from the receipts (their true totals, shunted bytes included) and, where a connection has none yet, from the
//! indexes. No packet is read where the keys answer the expression; where they don't, the packets say which connections are meant, and
//! index and receipts say the rest. Called by the command line.

use super::engine::{Engine, Sealed, joined, will_have};
use super::lang::ast::Expr;
use super::lang::keyed::{holds, tellable, terms_of};
use super::lang::parse::parse;
use super::lang::plan::Plan;
use super::pace::Pace;
use super::part::Question;
use super::select;
use super::{Query, QueryError, Summary};
use crate::conn::receipt::{End, Receipt};
use crate::index::conns::Conn;
use crate::index::{Index, Run};
use crate::ledger::search::{Wanted, search};
use crate::ledger::{What, latest};
use crate::limits::CONNECTIONS_LISTED_MAX;
use crate::packet::key::{Key, Kind};
use crate::store::list::SegmentRef;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A connection, as far as the store knows it. Times are Unix ns, bytes lengths on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its name; without VLAN ids where they do not tell connections apart.
    pub key: Key,
    /// First packet.
    pub first: u64,
    /// Last packet that is known of.
    pub last: u64,
    /// Packets seen and stored, as far as is known.
    pub seen_packets: u64,
    /// Their bytes.
    pub seen_bytes: u64,
    /// Packets stored, also those that have expired since.
    pub stored_packets: u64,
    /// Their bytes.
    pub stored_bytes: u64,
    /// Past its cutoff.
    pub cut: bool,
    /// How it ended; `None`: it has no receipt yet, or it has expired: the totals are those of its packets in the store.
    pub end: Option<End>,
    /// Storage class.
    pub class: String,
    /// Which endpoint of the key sent the first packet, if that is known.
    pub originator: Option<u8>,
    /// The recorder says that it runs: its totals are those of this moment.
    pub running: bool,
}

/// The connections of an answer and how they were found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// In no order.
    pub connections: Vec<Connection>,
    /// Packets had to be looked at: the expression asks what a key does not tell.
    pub through_packets: bool,
    /// Of the packets, if they were looked at; else what was pruned, and damage.
    pub summary: Summary,
}

/// Which connections.
enum Asked<'a> {
    All,
    Expression(&'a Expr),
    Keys(&'a HashSet<Key>),
}

impl Asked<'_> {
    fn wants(&self, key: &Key) -> bool {
        match self {
            Asked::All => true,
            Asked::Expression(e) => holds(e, &terms_of(key)),
            Asked::Keys(keys) => keys.contains(key),
        }
    }
}

impl Engine {
    /// The connections that answer `query`: its filter, window and classes.
    pub fn connections(&self, query: &Query, recent: &[Arc<Run>], pace: &dyn Pace) -> Result<Found, QueryError> {
        let expression = parse(&query.filter);
        let simple = query.conn.is_none() && query.community.is_none() && !query.any_layer;
        let (mut found, mut keys) = (Found::default(), HashSet::new());
        let text = query.filter.trim();
        let asked = match &expression {
            _ if simple && text.is_empty() => Asked::All,
            Some(e) if simple && tellable(e) && !text.is_empty() => {
                super::run::compiles(text)?;
                Asked::Expression(e)
            }
            _ => {
                found.through_packets = true;
                let (summary, met) = self.answer_met(query, recent, pace, &mut super::output::Nothing)?;
                found.summary = summary;
                keys.extend(met);
                Asked::Keys(&keys)
            }
        };
        let plan = if matches!(asked, Asked::Expression(_)) { Plan::of(text) } else { Plan::All };
        let view = self.view(query, recent, pace)?;
        super::run::known_classes(query, &view)?;
        let (from, to) = super::run::window(query, self.means(), &view, crate::units::now())?;
        let q = Question { plan: &plan, from, to, classes: &query.classes, full_scan: false, pace };
        let mut all = Gathered { to_find: &asked, q: &q, by_key: HashMap::new(), count: 0 };
        self.receipts(&mut all)?;
        let summary = &mut found.summary;
        will_have(&view.sealed, &q);
        let sealed = view.sealed.iter().filter(|s| s.may_overlap(&q) && s.may_have(&plan)).collect();
        for s in joined(sealed, &plan, |s| s) {
            if pace.go_on() {
                all.segment(&s.segment, Some(s), summary)?;
            }
        }
        let held: HashSet<u64> = recent.iter().map(|r| r.reader().header().number).collect();
        for s in view.open.iter().map(|u| &u.segment).filter(|s| !held.contains(&s.number)) {
            all.segment(s, None, summary)?;
        }
        for run in recent {
            let made = if run.index().is_none() { Index::make(run.reader()).ok() } else { None };
            if let Some(index) = run.index().or(made.as_ref()) {
                all.index(index, &run.reader().header().class)?;
            }
        }
        if let Some(why) = pace.stopped() {
            return Err(QueryError::Stopped(why));
        }
        found.connections = all.finish();
        Ok(found)
    }

    fn receipts(&self, all: &mut Gathered<'_>) -> Result<(), QueryError> {
        let ledger = self.layout().ledger();
        let started = latest(&ledger, |e| matches!(e.what, What::Started { .. } | What::Configuration { .. }))?;
        let classes: Vec<String> = match started.map(|e| e.what) {
            Some(What::Started { config, .. } | What::Configuration { config }) if config.get("ids").is_some() => {
                let ids = config.get("ids").and_then(|i| i.as_array());
                ids.into_iter().flatten().map(|n| n.as_str().unwrap_or("?").to_owned()).collect()
            }
            Some(What::Started { config, .. } | What::Configuration { config }) => {
                let name = |c: &serde_json::Value| c.get("name").and_then(|n| n.as_str()).unwrap_or("?").to_owned();
                config.get("classes").and_then(|c| c.as_array()).into_iter().flatten().map(name).collect()
            }
            _ => Vec::new(),
        };
        let (plan, from, to) = (all.q.plan, all.q.from, all.q.to);
        let may = |ask: &mut dyn FnMut(crate::index::term::Term) -> bool| plan.may(&mut |lo, hi| lo != hi || ask(lo));
        let keys = match all.to_find {
            Asked::Keys(keys) => Some(*keys),
            _ => None,
        };
        let wanted = keys.map_or(Wanted::Files(&may), Wanted::Keys);
        let untagged: HashSet<Key> = keys.into_iter().flatten().map(|k| k.untagged()).collect();
        let mut full = false;
        search(&self.layout().receipts(), from, to, &wanted, |r, tagged| {
            let class = classes.get(usize::from(r.class)).map_or("?", String::as_str);
            let mine = all.to_find.wants(&r.key) || !tagged && untagged.contains(&r.key);
            if mine && all.q.wants_class(class) {
                full |= !all.receipt(r, class);
            }
        })?;
        if full { Err(QueryError::TooMany(CONNECTIONS_LISTED_MAX)) } else { Ok(()) }
    }
}

/// Connections as they are gathered: of each key those that followed each other.
struct Gathered<'a> {
    to_find: &'a Asked<'a>,
    q: &'a Question<'a>,
    by_key: HashMap<Key, Vec<Connection>>,
    count: usize,
}

/// Parts of one connection in segments that follow each other are at most so far apart, if no receipt says more: the longest idle
/// timeout by default.
const SAME_NS: u64 = 300_000_000_000;

impl Gathered<'_> {
    fn receipt(&mut self, r: &Receipt, class: &str) -> bool {
        let list = self.by_key.entry(r.key).or_default();
        let one = Connection {
            key: r.key,
            first: r.first,
            last: r.last,
            seen_packets: r.seen_packets,
            seen_bytes: r.seen_bytes,
            stored_packets: r.stored_packets,
            stored_bytes: r.stored_bytes,
            cut: r.cut,
            end: Some(r.end),
            class: class.to_owned(),
            originator: Some(r.originator),
            running: false,
        };
        match list.iter_mut().find(|c| c.first == r.first) {
            // Those of a connection that lasts repeat what the ones before said.
            Some(known) if known.seen_packets > r.seen_packets => {}
            Some(known) => *known = one,
            None => {
                list.push(one);
                self.count += 1;
            }
        }
        self.count <= CONNECTIONS_LISTED_MAX
    }

    fn segment(&mut self, s: &SegmentRef, sealed: Option<&Sealed>, summary: &mut Summary) -> Result<(), QueryError> {
        let class = |name: &str| s.class.clone().unwrap_or_else(|| name.to_owned());
        if sealed.is_some_and(|s| s.skip.is_some()) {
            if let Ok(index) = Index::open(&s.index())
                && index.about().number == s.number
                && self.index(&index, &class("?")).is_ok()
            {
                return self.bounded();
            }
            summary.damaged_indexes += u64::from(s.path.exists());
        }
        match s.open() {
            Ok(Some(reader)) => {
                let index = Index::make(&reader);
                let name = class(&reader.header().class);
                if let (Ok(index), true) = (index, self.q.wants_class(&name)) {
                    let _ = self.index(&index, &name);
                }
                self.bounded()
            }
            Ok(None) => {
                summary.expired_segments += u64::from(s.sealed);
                Ok(())
            }
            Err(_) => {
                summary.damaged_segments += 1;
                Ok(())
            }
        }
    }

    fn bounded(&self) -> Result<(), QueryError> {
        if self.count <= CONNECTIONS_LISTED_MAX { Ok(()) } else { Err(QueryError::TooMany(CONNECTIONS_LISTED_MAX)) }
    }

    fn index(&mut self, index: &Index, class: &str) -> Result<(), QueryError> {
        let q = self.q;
        // Gathered first: an index that turns out to be damaged adds nothing.
        let mut found = Vec::new();
        let read = select::connections(q.plan, index, &mut |c| {
            if q.overlaps(c.first, c.last) && c.key.tail().kind() != Kind::Fragment && self.to_find.wants(&c.key) {
                found.push(Conn { offsets: vec![c.offsets.len() as u64], ..c });
            }
        });
        read.map_err(|e| QueryError::Index(e.to_string()))?;
        found.iter().for_each(|c| self.stored(c, class));
        Ok(())
    }

    /// What one segment has of a connection.
    fn stored(&mut self, c: &Conn, class: &str) {
        let packets = c.offsets.first().copied().unwrap_or(0);
        // Receipts of a recorder to which VLAN ids tell nothing are without.
        let key = if self.by_key.contains_key(&c.key) { c.key } else { c.key.untagged() };
        let key = if self.by_key.contains_key(&key) { key } else { c.key };
        let list = self.by_key.entry(key).or_default();
        let near = |k: &&mut Connection| match k.end {
            // The receipt has counted these packets; one that lasts may have had more since.
            Some(End::Lasting) => c.last >= k.first && c.first <= k.last.saturating_add(SAME_NS),
            Some(_) => c.last >= k.first && c.first <= k.last,
            None => c.last.saturating_add(SAME_NS) >= k.first && c.first <= k.last.saturating_add(SAME_NS),
        };
        match list.iter_mut().find(near) {
            Some(k) => {
                k.first = k.first.min(c.first);
                if k.end.is_none() {
                    k.seen_packets += packets;
                    k.seen_bytes += c.bytes;
                    k.stored_packets += packets;
                    k.stored_bytes += c.bytes;
                    k.cut |= c.cut;
                }
                if !matches!(k.end, Some(e) if e != End::Lasting) {
                    k.last = k.last.max(c.last);
                }
                if k.class == "?" {
                    class.clone_into(&mut k.class);
                }
            }
            None => {
                self.count += 1;
                list.push(Connection {
                    key,
                    first: c.first,
                    last: c.last,
                    seen_packets: packets,
                    seen_bytes: c.bytes,
                    stored_packets: packets,
                    stored_bytes: c.bytes,
                    cut: c.cut,
                    end: None,
                    class: class.to_owned(),
                    originator: None,
                    running: false,
                });
            }
        }
    }

    fn finish(self) -> Vec<Connection> {
        self.by_key.into_values().flatten().collect()
    }
}
