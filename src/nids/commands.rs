//! The thread of commands: cutoffs and assignments, at once and one after the other, and words for the audit log; what is to be held goes on to the
//! keeper. Started by the hub.

use super::daemon::Refusal;
use super::event::{ActedOn, Action};
use super::hub::Shared;
use super::judge::{Deed, Order};
use crate::limits::NIDS_ORDERS_WAITING;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::Instant;

/// What waits for it.
pub enum Work {
    /// An order.
    Order(Box<Order>),
    /// A word for the audit log.
    Note(String),
}

/// The thread of commands.
pub struct Commands {
    /// What the threads share.
    pub shared: Arc<Shared>,
    /// Where holds go.
    pub keep: SyncSender<Box<Order>>,
}

impl Commands {
    /// Until nothing comes any more.
    pub fn run(&self, todo: &Receiver<Work>) {
        while let Ok(work) = todo.recv() {
            match work {
                // The last word is the hub's.
                Work::Note(text) if !self.shared.stop.is_over() => drop(self.shared.daemon.note(&text)),
                Work::Note(_) => {}
                Work::Order(_) if self.shared.stop.is_over() => self.shared.left(),
                Work::Order(order) => {
                    self.suspend(&order);
                    self.assign(&order);
                    if order.hold_connection || order.hold_offender.is_some() {
                        self.keep(order);
                    }
                }
            }
        }
    }

    /// Gives holds to their own thread. Where that is behind they are not made, which is told: what is meant at once does not wait for them.
    fn keep(&self, order: Box<Order>) {
        let Err(TrySendError::Full(order)) = self.keep.try_send(order) else { return };
        let why = || Some(Refusal::No(format!("{NIDS_ORDERS_WAITING} holds wait already")));
        if let Some(conn) = order.alert.conn.as_ref().filter(|_| order.hold_connection) {
            let to = ActedOn::connection(conn);
            let action = action("hold_connection", &order, to, Instant::now(), why());
            self.shared.acted(&order, action, Some(Deed::HoldConnection(conn.name())), |_| ());
        }
        if let Some(address) = order.offender.filter(|_| order.hold_offender.is_some()) {
            let action = action("hold_offender", &order, ActedOn::address(address), Instant::now(), why());
            self.shared.acted(&order, action, Some(Deed::HoldOffender(address)), |_| ());
        }
    }

    fn suspend(&self, order: &Order) {
        let (Some(lasting), Some(conn)) = (order.suspend, &order.alert.conn) else { return };
        let begun = Instant::now();
        let done = self.shared.insist(order, || self.shared.daemon.suspend(conn, lasting));
        let action = action("suspend_cutoff", order, ActedOn::connection(conn), begun, done.err());
        self.shared.acted(order, action, Some(Deed::Suspend(conn.name())), |c| c.suspended += 1);
    }

    fn assign(&self, order: &Order) {
        let (Some((class, lasting)), Some(address)) = (&order.assign, order.offender) else { return };
        let begun = Instant::now();
        let done = self.shared.insist(order, || self.shared.daemon.assign(address, class, *lasting));
        let to = ActedOn { class: Some(class.clone()), ..ActedOn::address(address) };
        let action = action("assign", order, to, begun, done.err());
        self.shared.acted(order, action, Some(Deed::Assign(address, class.clone())), |c| c.assigned += 1);
    }
}

/// An action of an order that has ended now.
pub fn action<'a>(
    name: &'static str,
    order: &'a Order,
    to: ActedOn,
    begun: Instant,
    error: Option<Refusal>,
) -> Action<'a> {
    Action {
        action: name,
        rule: &order.rule,
        what: order.alert.what(),
        to,
        error: error.map(Refusal::text),
        took_ns: u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX),
        request: order.alert.request.clone(),
        ..Action::default()
    }
}
