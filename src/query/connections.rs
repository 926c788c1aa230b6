//! The connections themselves: from the receipts (their true totals, shunted bytes included) and, where a connection has none yet, from the
//! indexes. No packet is read where the keys answer the expression, but for those of which neither says whose they are; where they don't, the packets say which connections are
//! meant, and index and receipts say the rest. Called by the command line and by the recorder's query threads.

use super::engine::{Engine, joined, will_have};
use super::extent::Extent;
use super::gathered::Gathered;
use super::lang::ast::Expr;
use super::lang::keyed::{asks_vlan, holds, tellable, terms_of};
use super::lang::parse::parse;
use super::lang::plan::Plan;
use super::lives::Span;
use super::pace::Pace;
use super::part::Question;
use super::plans::{EVERYTHING, Plans};
use super::room::{AnswerRoom, RoomFull, Share};
use super::sealed::Sealed;
use super::summary::Met;
use super::view::View;
use super::{Query, QueryError, Summary};
use crate::conn::receipt::End;
use crate::index::Run;
use crate::index::community::IcmpKind;
use crate::index::term::Term;
use crate::ledger::search::{Wanted, search_while};
use crate::ledger::{What, latest};
use crate::packet::key::{Key, Kind};
use crate::packet::understood;
use std::collections::HashSet;
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
    pub class: Arc<str>,
    /// Which endpoint of the key sent the first packet, if that is known.
    pub originator: Option<u8>,
    /// Of ICMP, where packets are in the store: direction, type and code of one of the first.
    pub icmp: Option<IcmpKind>,
    /// The recorder says that it runs: its totals are those of this moment.
    pub running: bool,
}

/// The connections of an answer and how they were found.
#[derive(Debug, Default)]
pub struct Found {
    /// In no order.
    pub connections: Vec<Connection>,
    /// Packets had to be looked at: the expression asks what a key does not tell.
    pub through_packets: bool,
    /// Of the packets, if they were looked at; else what was pruned, and damage.
    pub summary: Summary,
    /// Memory that the connections have, as long as this is there.
    pub(super) share: Option<Share>,
}

impl Found {
    /// Has room for asking the workers of those that may run.
    pub fn may_ask(&mut self) -> Result<(), QueryError> {
        let asked = self.connections.iter().filter(|c| super::running::is_open(c)).count() * ASKED_BYTES;
        let bytes = self.connections.capacity() * size_of::<Connection>() + asked;
        let Some(share) = &mut self.share else { return Ok(()) };
        share.up_to(bytes as u64).map_err(|full| refused(full, self.connections.len(), share.room()))
    }
}

/// Memory that it takes to ask for one that may run.
const ASKED_BYTES: usize = 4 * size_of::<Key>() + size_of::<super::LookedUp>();

/// Why a list has no room; `n`: what was gathered by then.
pub(super) fn refused(full: RoomFull, n: usize, room: &AnswerRoom) -> QueryError {
    match full {
        RoomFull::Own => QueryError::TooMany(n, room.of_one()),
        RoomFull::Others => QueryError::NoRoom,
    }
}

/// Which connections.
pub(super) enum Asked<'a> {
    All,
    Expression(&'a Expr),
    /// The same, but of link types that are not parsed, whose keys say nothing, those of an answer's packets.
    Partly {
        of: &'a Expr,
        met: &'a Met,
    },
    /// Those of an answer's packets.
    Met {
        met: &'a Met,
        untagged: HashSet<Key>,
    },
}

impl Asked<'_> {
    /// `tagged`: VLAN ids are in the key, if there are any.
    pub(super) fn wants(&self, key: &Key, tagged: bool) -> bool {
        match self {
            Asked::All => true,
            Asked::Partly { met, .. } if unparsed(key) => met.has_name(key),
            Asked::Expression(e) | Asked::Partly { of: e, .. } => holds(e, &terms_of(key)),
            Asked::Met { met, untagged } => met.has_name(key) || !tagged && untagged.contains(key),
        }
    }

    /// Of those of a name that is wanted.
    pub(super) fn wants_at(&self, key: &Key, times: Span) -> bool {
        match self {
            Asked::Met { met, .. } if met.has_name(key) => met.has(key, times),
            Asked::Partly { met, .. } if unparsed(key) => met.has(key, times),
            _ => true,
        }
    }

    /// All names, if they are few.
    pub(super) fn few(&self) -> Option<HashSet<Key>> {
        match self {
            Asked::Met { met, untagged } if met.len() <= FEW => Some(met.keys().chain(untagged).copied().collect()),
            _ => None,
        }
    }
}

/// It stands for all packets of a link type that is not parsed.
fn unparsed(key: &Key) -> bool {
    key.tail().kind() == Kind::Opaque && key.tail().port.first().is_some_and(|link_type| !understood(*link_type))
}

/// So many names are looked for in the indexes; of more all connections are gone through.
const FEW: usize = 64;

impl Engine {
    /// The connections that answer `query`: its filter, window and classes. `recent` as for [`run_with`](super::run_with).
    pub fn connections(&self, query: &Query, recent: &[Arc<Run>], pace: &dyn Pace) -> Result<Found, QueryError> {
        self.connections_in(query, &self.view(query, recent, pace)?)
    }

    /// The same of what a view has.
    pub fn connections_in(&self, query: &Query, view: &View<'_>) -> Result<Found, QueryError> {
        let expression = parse(&query.filter);
        let simple =
            query.conn.is_none() && query.community.is_none() && !query.any_layer && query.interfaces.is_empty();
        let text = query.filter.trim();
        if simple && text.is_empty() {
            return Ok(self.list(query, view, &Asked::All, &EVERYTHING, Found::default())?.0);
        }
        let through_packets = || -> Result<(Found, Met), QueryError> {
            let (summary, met) = super::run::answer(query, self.means(), view, &mut super::output::Nothing)?;
            if let Some(full) = met.full() {
                // Not all that were met are known: a list of the others would look whole.
                return Err(refused(full, met.len(), self.counts()));
            }
            Ok((Found { summary, through_packets: true, ..Found::default() }, met))
        };
        if let Some(e) = expression.filter(|e| simple && tellable(e)) {
            super::run::compiles(text)?;
            let plans = Plans::new(Plan::of(text), Plan::All);
            let (found, untagged) = if super::run::link_types(view).into_iter().all(understood) {
                self.list(query, view, &Asked::Expression(&e), &plans, Found::default())?
            } else {
                // Where a key says nothing only the packets know; of all others the keys do, also of those that have no packet.
                let (found, met) = through_packets()?;
                self.list(query, view, &Asked::Partly { of: &e, met: &met }, &plans, found)?
            };
            // Names without VLAN ids don't answer what is asked of these.
            if !(untagged && asks_vlan(&e)) {
                return Ok(found);
            }
        }
        let (found, met) = through_packets()?;
        let untagged = met.keys().map(|k| k.untagged()).collect();
        let asked = Asked::Met { met: &met, untagged };
        let plans = Plans::new(Plan::All, asked.few().map_or(Plan::All, plan_of));
        Ok(self.list(query, view, &asked, &plans, found)?.0)
    }

    /// Those that are asked for, and whether names without VLAN ids were met.
    fn list(
        &self,
        query: &Query,
        view: &View<'_>,
        asked: &Asked<'_>,
        plans: &Plans,
        mut found: Found,
    ) -> Result<(Found, bool), QueryError> {
        super::run::known_names(query, view)?;
        let (from, to) = super::run::window(query, self.means(), view, crate::units::now())?;
        let q =
            Question { plans, from, to, classes: &query.classes, interfaces: &[], full_scan: false, pace: view.pace };
        let mut all = Gathered::new(asked, &q, self.lists());
        will_have(&view.sealed, &q);
        let held = view.in_memory();
        let may = |e: &Extent<'_>| e.sealed().is_none_or(|s| s.may_overlap(&q) && s.may_have(plans));
        let extents: Vec<Extent<'_>> = view.extents(&held, true).filter(may).collect();
        let extents = joined(extents, plans, |e| e.sealed());
        let mut met = Summary::default();
        for (n, extent) in extents.iter().enumerate().take_while(|_| view.pace.go_on()) {
            all.extent(n, extent, view, &mut met)?;
        }
        self.receipts(&mut all)?;
        all.settle(&extents, view, &mut met)?;
        // Where packets were looked at, they have told most of it.
        found.summary.again(met);
        if let Some(why) = view.pace.stopped() {
            return Err(QueryError::Stopped(why));
        }
        let untagged = all.untagged();
        let (connections, share) = all.finish();
        (found.connections, found.share) = (connections, Some(share));
        if !found.through_packets {
            let sealed = |s: &Arc<Sealed>| Some((s.segment.class.clone()?, *s.skip.as_ref()?.about()));
            for (class, about) in view.sealed.iter().filter_map(sealed).filter(|(c, _)| q.wants_class(c)) {
                found.summary.saw(&class, about.packets, about.first, about.last);
            }
            let (summary, now) = (&mut found.summary, crate::units::now());
            (summary.since, summary.until) = ((from > 0).then_some(from), (to < u64::MAX).then_some(to));
            super::summary::from_ledger(self.means().told, (from, to), &query.classes, now, summary)?;
        }
        found.summary = std::mem::take(&mut found.summary).concluded();
        Ok((found, untagged))
    }

    fn receipts(&self, all: &mut Gathered<'_>) -> Result<(), QueryError> {
        all.receipt_classes = self.receipt_classes()?;
        let (q, asked, reach) = (all.question(), all.asked(), all.reach);
        let may = |ask: &mut dyn FnMut(Term) -> bool| q.plans.whole().may(&mut |lo, hi| lo != hi || ask(lo));
        let names = asked.few();
        let wanted = match (&names, asked) {
            (Some(names), _) => Wanted::Keys(names),
            (None, Asked::Met { .. } | Asked::Partly { .. }) => Wanted::All,
            (None, _) => Wanted::Files(&may),
        };
        let window = (reach.first, reach.last.saturating_add(1));
        search_while(
            &self.layout().receipts(),
            window,
            &wanted,
            || q.pace.go_on(),
            |r, tagged| all.receipt(r, tagged),
        )?;
        Ok(())
    }

    /// Names of classes by their ids in receipts.
    pub(super) fn receipt_classes(&self) -> Result<Vec<Arc<str>>, QueryError> {
        let started =
            latest(&self.layout().ledger(), |e| matches!(e.what, What::Started { .. } | What::Configuration { .. }))?;
        let Some(What::Started { config, .. } | What::Configuration { config }) = started.map(|e| e.what) else {
            return Ok(Vec::new());
        };
        let list = |name: &str| config.get(name).and_then(|c| c.as_array());
        let named = |c: &serde_json::Value| c.as_str().or_else(|| c.get("name")?.as_str()).unwrap_or("?").into();
        Ok(list("ids").or_else(|| list("classes")).into_iter().flatten().map(named).collect())
    }
}

/// What the connections of few names have.
fn plan_of(keys: HashSet<Key>) -> Plan {
    let of = |key: &Key| match key.addrs() {
        Some([a, b]) => Plan::Range(Term::addr(a), Term::addr(a)).and(Plan::Range(Term::addr(b), Term::addr(b))),
        None => Plan::All,
    };
    keys.iter().map(of).reduce(Plan::or).unwrap_or(Plan::All)
}
