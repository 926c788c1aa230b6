//! What serve asks of capture. Owns the form of these messages: a head of 16 bytes, and as many structs of one size as it says. This is all
//! that the recorder reads of a process that parses what strangers send: it has one form, every byte of it is looked at, and it carries no file.

use super::key;
use super::order::{Order, OrderedBy};
use super::wire::{Malformed, Reading, Writing};
use crate::limits::{LOOK_UPS_OF_MESSAGE, ORDERS_OF_MESSAGE};
use crate::packet::key::Key;

/// A message to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What its answer is known by; not 0.
    pub id: u64,
    /// What is asked.
    pub asked: RequestKind,
}

/// What serve asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// Orders, carried out one after the other until one can't be: 1 to [`ORDERS_OF_MESSAGE`].
    Orders {
        /// Who orders.
        by: OrderedBy,
        /// What.
        orders: Vec<Order>,
    },
    /// The totals of connections that may run: 1 to [`LOOK_UPS_OF_MESSAGE`].
    LookUp(Vec<Key>),
    /// All orders of a kind that are in force.
    List(ListKind),
}

/// Which orders a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Classes of addresses.
    Assignments,
    /// Suspended cutoffs and timeouts.
    Suspensions,
}

impl Request {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writing::default();
        let (kind, count) = match &self.asked {
            RequestKind::Orders { orders, .. } => (1, orders.len()),
            RequestKind::LookUp(keys) => (2, keys.len()),
            RequestKind::List(ListKind::Assignments) => (3, 0),
            RequestKind::List(ListKind::Suspensions) => (4, 0),
        };
        to.u8(kind).zero(3).u32(count as u32).u64(self.id);
        match &self.asked {
            RequestKind::Orders { by, orders } => {
                by.write(&mut to);
                orders.iter().for_each(|o| o.write(&mut to));
            }
            RequestKind::LookUp(keys) => keys.iter().for_each(|k| key::write(k, &mut to)),
            RequestKind::List(_) => {}
        }
        to.done()
    }

    /// Of bytes, which may be anything.
    pub fn decode(bytes: &[u8]) -> Result<Request, Malformed> {
        let mut from = Reading::new(bytes);
        let kind = from.u8()?;
        from.zero::<3>()?;
        let (count, id) = (from.u32()? as usize, from.u64()?);
        if id == 0 {
            return Err(Malformed("an answer to it would be nobody's"));
        }
        let most = match kind {
            1 => ORDERS_OF_MESSAGE,
            2 => LOOK_UPS_OF_MESSAGE,
            _ => 0,
        };
        if count > most || (count == 0) != (most == 0) {
            return Err(Malformed("it has more structs than such a message, or none"));
        }
        let asked = match kind {
            1 => {
                let by = OrderedBy::read(&mut from)?;
                let orders = (0..count).map(|_| Order::read(&mut from)).collect::<Result<_, _>>()?;
                RequestKind::Orders { by, orders }
            }
            2 => RequestKind::LookUp((0..count).map(|_| key::read(&mut from)).collect::<Result<_, _>>()?),
            3 => RequestKind::List(ListKind::Assignments),
            4 => RequestKind::List(ListKind::Suspensions),
            _ => return Err(Malformed("of no kind")),
        };
        from.end()?;
        Ok(Request { id, asked })
    }
}
