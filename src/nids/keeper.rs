//! The thread of holds: waits until the alert's packets can be read, finds the connection, holds it, then the offender's past, and feeds the
//! connection back. Owns the holds' names. The recorder reads the packets.

use super::LOOK;
use super::commands::action;
use super::daemon::{Case, Refusal, Terms, Wanted};
use super::event::{ActedOn, Action};
use super::hub::Shared;
use super::judge::{Deed, Order};
use super::spool::Spool;
use super::suricata::Feed;
use crate::hold::HoldLine;
use crate::limits::{NIDS_FIND_NS, NIDS_ORDERS_WAITING, NIDS_SETTLE_NS};
use crate::query::ConnSpec;
use crate::units;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The keeper.
pub struct Keeper {
    shared: Arc<Shared>,
    feed: Option<(Feed, Spool)>,
    terms: Terms,
}

/// An order that waits for its packets.
struct Looking {
    order: Box<Order>,
    /// When it is looked for next.
    due: Instant,
    /// When it was looked for first.
    begun: Option<Instant>,
    /// How long it waits after the next look.
    pause: Duration,
}

/// The first look that finds nothing is followed by another after this time, and so on, each time twice as long.
const PAUSE: Duration = Duration::from_millis(100);

impl Keeper {
    /// Feeds back where there is somebody to be fed.
    pub fn new(shared: Arc<Shared>, feed: Option<(Feed, Spool)>, terms: Terms) -> Keeper {
        Keeper { shared, feed, terms }
    }

    /// Until nothing comes any more, and nothing is looked for. What is not found yet holds up no other order.
    pub fn run(&self, orders: &Receiver<Box<Order>>) {
        let (mut looking, mut over): (VecDeque<Looking>, bool) = (VecDeque::new(), false);
        loop {
            let stops = self.shared.stop.is_set();
            let due = |l: &Looking| stops || l.due <= Instant::now();
            if let Some(at) = looking.iter().position(due) {
                if let Some(again) = looking.remove(at).and_then(|l| self.look(l)) {
                    looking.push_back(again);
                }
                continue;
            }
            if over && looking.is_empty() {
                return;
            }
            let next = looking.iter().map(|l| l.due).min();
            let wait = next.map_or(LOOK, |at| at.saturating_duration_since(Instant::now()).min(LOOK));
            // As many are looked for as may wait: the others wait where they are.
            if over || looking.len() >= NIDS_ORDERS_WAITING {
                std::thread::sleep(wait);
                continue;
            }
            match orders.recv_timeout(wait) {
                Ok(order) => {
                    let due = Instant::now() + settles(&order);
                    looking.push_back(Looking { order, due, begun: None, pause: PAUSE });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => over = true,
            }
        }
    }

    /// Looks once; the order if it must be looked for again.
    fn look(&self, looking: Looking) -> Option<Looking> {
        let Looking { order, begun, pause, .. } = looking;
        if self.shared.stop.is_over() {
            self.shared.left();
            return None;
        }
        let begun = begun.unwrap_or_else(Instant::now);
        if let Some(conn) = order.alert.conn.as_ref().filter(|_| order.hold_connection) {
            let late = begun.elapsed() > Duration::from_nanos(NIDS_FIND_NS) || self.shared.stop.is_set();
            let done = self.connection(&order, conn, late);
            if matches!(done, Err(Refusal::Nothing)) && !late {
                let due = Instant::now() + pause;
                return Some(Looking { order, due, begun: Some(begun), pause: pause * 2 });
            }
            let (to, deed) = (ActedOn::connection(conn), Deed::HoldConnection(conn.name()));
            let held = self.told("hold_connection", &order, to, begun, done, deed);
            if let (Some(feed), Some(hold), true) = (&self.feed, held, order.feed_back) {
                self.feed_back(feed, &order, &hold);
            }
        }
        match order.hold_offender {
            Some(_) if self.shared.stop.is_over() => self.shared.left(),
            Some(history) => self.offender(&order, history),
            None => {}
        }
        None
    }

    /// The connection by its ends, else by its community ID (a NIDS behind a translation of addresses names other ends). `late`: it was looked for
    /// long enough, and if nothing is there of one that is to be followed what comes is held.
    fn connection(&self, order: &Order, conn: &ConnSpec, late: bool) -> Result<HoldLine, Refusal> {
        let a = &order.alert;
        let since = a.began.unwrap_or(a.time.saturating_sub(HOUR)).saturating_sub(SECOND);
        let (name, by_ends) = (name(order, None), Wanted::Conn(conn.clone()));
        for what in [Some(by_ends.clone()), a.community.clone().map(Wanted::Community)].into_iter().flatten() {
            let done = self.find(order, &what, since, &name);
            if !matches!(done, Err(Refusal::Nothing)) {
                return done;
            }
        }
        match late && order.follow.is_some() {
            true => self.hold(order, &by_ends, since, &name, order.follow),
            false => Err(Refusal::Nothing),
        }
    }

    /// Holds a connection that there is. A hold that follows is made of nothing as well, so it is looked for first.
    fn find(&self, order: &Order, what: &Wanted, since: u64, name: &str) -> Result<HoldLine, Refusal> {
        if order.follow.is_some() && !self.shared.insist(order, || self.shared.daemon.has(what, since))? {
            return Err(Refusal::Nothing);
        }
        self.hold(order, what, since, name, order.follow)
    }

    fn offender(&self, order: &Order, history: u64) {
        let Some(address) = order.offender else { return };
        let begun = Instant::now();
        let since = order.alert.time.saturating_sub(history);
        let name = name(order, Some(address));
        let done = self.hold(order, &Wanted::Host(address), since, &name, None);
        self.told("hold_offender", order, ActedOn::address(address), begun, done, Deed::HoldOffender(address));
    }

    fn hold(
        &self,
        order: &Order,
        what: &Wanted,
        since: u64,
        name: &str,
        follow: Option<u64>,
    ) -> Result<HoldLine, Refusal> {
        let a = &order.alert;
        let text = a.signature.as_deref().unwrap_or_default();
        let reason = format!("nids rule {}: {} {text}", order.rule, a.what());
        let case = Case { name, reason: reason.trim_end(), about: &a.record, follow, terms: self.terms };
        let mut again = false;
        self.shared.insist(order, || {
            // The recorder may have made it, and only its answer got lost.
            let made = if again { self.shared.daemon.made(case)? } else { None };
            again = true;
            made.map_or_else(|| self.shared.daemon.hold(what, since, case), Ok)
        })
    }

    fn told(
        &self,
        name: &'static str,
        order: &Order,
        to: ActedOn,
        begun: Instant,
        done: Result<HoldLine, Refusal>,
        deed: Deed,
    ) -> Option<HoldLine> {
        let (hold, error) = match done {
            Ok(hold) => (Some(hold), None),
            Err(e) => (None, Some(e)),
        };
        let record = hold.as_ref().and_then(|h| h.record.as_ref());
        let action = Action {
            hold: hold.as_ref().map(|h| h.name.clone()),
            file: hold.as_ref().and_then(|h| self.shared.daemon.place(&h.name)).map(|p| p.display().to_string()),
            packets: record.map(|r| r.packets),
            file_bytes: record.map(|r| r.file_bytes),
            sha256: record.map(|r| r.sha256.clone()),
            ..action(name, order, to, begun, error)
        };
        self.shared.acted(order, action, Some(deed), |c| c.held += 1);
        hold
    }

    fn feed_back(&self, (feed, spool): &(Feed, Spool), order: &Order, hold: &HoldLine) {
        let begun = Instant::now();
        let wrong = |e: std::io::Error| Refusal::No(format!("{}: {e}", feed.spool().display()));
        // A copy that broke off is made anew.
        let copied = self.shared.insist(order, || {
            let (name, file) = spool.create(&hold.name).map_err(wrong)?;
            let copied = self.shared.daemon.export(&hold.name, file);
            if copied.is_err() {
                let _ = spool.remove(&name);
            }
            copied.map(|()| name)
        });
        let done = copied.and_then(|name| {
            let given = feed.give(&spool.path(&name)).map_err(Refusal::No);
            if given.is_err() {
                let _ = spool.remove(&name);
            }
            given
        });
        let action = Action {
            hold: Some(hold.name.clone()),
            packets: hold.record.as_ref().map(|r| r.packets),
            ..action("feed_back", order, ActedOn { place: Some(feed.place()), ..ActedOn::default() }, begun, done.err())
        };
        self.shared.acted(order, action, None, |c| c.fed_back += 1);
    }
}

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;

/// A packet can be read when its block is closed and written: how long until that is so of the alert's.
fn settles(order: &Order) -> Duration {
    let since = units::now().saturating_sub(order.alert.time);
    let read = u64::try_from(order.received.elapsed().as_nanos()).unwrap_or(u64::MAX);
    // By either clock: a packet's time may be off.
    Duration::from_nanos(NIDS_SETTLE_NS.saturating_sub(since.max(read)))
}

/// `nids-20261121T145502-1-2024897-1217342323`, or `nids-20261121T145502-10.1.2.3`: what a folder may be called, with room for a number behind
/// it.
fn name(order: &Order, host: Option<IpAddr>) -> String {
    let a = &order.alert;
    let time: String = units::time(a.time).chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
    let short = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let name = match host {
        Some(host) => format!("nids-{time}-{host}"),
        None => format!("nids-{time}-{}-{}", short(&a.what(), 18), short(&a.flow, 20)),
    };
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    // An alert may be of no flow.
    name.trim_end_matches('-').to_owned()
}
