//! The thread of holds: waits until the alert's packets can be read, finds the connection, holds it, then the offender's past, and feeds the
//! connection back. Owns the holds' names. The recorder reads the packets.

use super::commands::action;
use super::daemon::{Case, Refusal, Wanted};
use super::event::{ActedOn, Action};
use super::hub::Shared;
use super::judge::{Deed, Order};
use super::suricata::Feed;
use crate::hold::HoldLine;
use crate::limits::{NIDS_FIND_NS, NIDS_SETTLE_NS};
use crate::units;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// The keeper.
pub struct Keeper {
    shared: Arc<Shared>,
    feed: Option<Feed>,
}

impl Keeper {
    /// Feeds back where there is somebody to be fed.
    pub fn new(shared: Arc<Shared>, feed: Option<Feed>) -> Keeper {
        Keeper { shared, feed }
    }

    /// Until nothing comes any more.
    pub fn run(&self, orders: &Receiver<Box<Order>>) {
        while let Ok(order) = orders.recv() {
            if self.shared.stop.is_over() {
                self.shared.left();
                continue;
            }
            settle(&order);
            let held = order.hold_connection.then(|| self.connection(&order)).flatten();
            if let (Some(feed), Some(hold), true) = (&self.feed, held, order.feed_back) {
                self.feed_back(feed, &order, &hold);
            }
            match order.hold_offender {
                Some(_) if self.shared.stop.is_over() => self.shared.left(),
                Some(history) => self.offender(&order, history),
                None => {}
            }
        }
    }

    /// The connection by its ends, else by its community ID (a NIDS behind a translation of addresses names other ends).
    fn connection(&self, order: &Order) -> Option<HoldLine> {
        let a = &order.alert;
        let conn = a.conn.as_ref()?;
        let begun = Instant::now();
        let since = a.began.unwrap_or(a.time.saturating_sub(HOUR)).saturating_sub(SECOND);
        let name = name(order, None);
        let ways = [Some(Wanted::Conn(conn.clone())), a.community.clone().map(Wanted::Community)];
        let ways: Vec<Wanted> = ways.into_iter().flatten().collect();
        let done = loop {
            let mut done = Err(Refusal::Nothing);
            for what in &ways {
                done = self.find(order, what, since, &name);
                if !matches!(done, Err(Refusal::Nothing)) {
                    break;
                }
            }
            let late = begun.elapsed() > Duration::from_nanos(NIDS_FIND_NS) || self.shared.stop.is_set();
            match (done, late, ways.first()) {
                // Nothing of it yet: what comes is held.
                (Err(Refusal::Nothing), true, Some(what)) if order.follow.is_some() => {
                    break self.hold(order, what, since, &name, order.follow);
                }
                (done @ Err(Refusal::Nothing), true, _) => break done,
                (Err(Refusal::Nothing), false, _) => self.shared.stop.wait(Duration::from_millis(100)),
                (done, ..) => break done,
            }
        };
        self.told("hold_connection", order, ActedOn::connection(conn), begun, done, Deed::HoldConnection(conn.name()))
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
        let case = Case { name, reason: reason.trim_end(), about: &a.record, follow };
        self.shared.insist(order, || self.shared.daemon.hold(what, since, case))
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

    fn feed_back(&self, feed: &Feed, order: &Order, hold: &HoldLine) {
        let begun = Instant::now();
        let file = feed.spool().join(format!("{}.pcapng", hold.name));
        let done = self.shared.daemon.export(&hold.name, &file).and_then(|()| feed.give(&file).map_err(Refusal::No));
        if done.is_err() {
            let _ = std::fs::remove_file(&file);
        }
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

/// A packet can be read when its block is closed and written: waits until that is so of the alert's.
fn settle(order: &Order) {
    let since = units::now().saturating_sub(order.alert.time);
    let read = u64::try_from(order.received.elapsed().as_nanos()).unwrap_or(u64::MAX);
    // By either clock: a packet's time may be off.
    if let Some(left @ 1..) = NIDS_SETTLE_NS.checked_sub(since.max(read)) {
        std::thread::sleep(Duration::from_nanos(left));
    }
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
