//! What capture tells serve: answers, and what it says unasked. Owns the form of these messages. What is long is a document: the message says
//! what it is, and its file comes with it.

use super::document::DocumentKind;
use super::key;
use super::order::InForce;
use super::refusal::OrderError;
use super::wire::{Malformed, Reading, Writing};
use crate::conn::receipt::LookedUp;
use crate::limits::{CLASS_NAME_BYTES, CLASSES_MAX, DOCUMENT_BYTES, LOOK_UPS_OF_MESSAGE, ORDERS_OF_MESSAGE};
use crate::packet::key::Key;
use std::sync::Arc;

/// A message to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The classes in force, by id; `None`: it is gone.
    Classes(Vec<Option<String>>),
    /// What came of orders.
    Orders(u64, OrdersTaken),
    /// What was found of connections, in the order in which they were asked for.
    LookedUp(u64, Vec<LookedUp>),
    /// It can't be done now: too many wait.
    Busy(u64),
    /// A document, whose file comes with the message.
    Document {
        /// Whose answer it is; 0: it was not asked for.
        id: u64,
        /// What it is.
        kind: DocumentKind,
        /// Its length.
        bytes: u64,
    },
}

/// What came of the orders of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrdersTaken {
    /// So many are in force, the first ones.
    pub taken: u32,
    /// Why the next is not.
    pub refused: Option<OrderError>,
    /// What the last one took back.
    pub was: Option<InForce>,
}

impl Report {
    /// Its bytes. `keys`: of a look-up what was asked for.
    pub fn encode(&self, keys: &[Key]) -> Vec<u8> {
        let mut to = Writing::default();
        let (kind, count, id) = match self {
            Report::Classes(classes) => (1, classes.len(), 0),
            Report::Orders(id, taken) => (2, taken.taken as usize, *id),
            Report::LookedUp(id, found) => (3, found.len(), *id),
            Report::Busy(id) => (4, 0, *id),
            Report::Document { id, .. } => (5, 0, *id),
        };
        to.u8(kind).zero(3).u32(count as u32).u64(id);
        match self {
            Report::Classes(classes) => classes.iter().for_each(|name| {
                to.text::<CLASS_NAME_BYTES>(name.as_deref().unwrap_or_default());
            }),
            Report::Orders(_, OrdersTaken { refused, was, .. }) => {
                to.u8(refused.as_ref().map_or(0, OrderError::code)).u8(was.is_some().into()).zero(6);
                was.iter().for_each(|was| was.write(&mut to));
            }
            Report::LookedUp(_, found) => {
                keys.iter().zip(found).for_each(|(key, found)| key::write_found(key, found, &mut to));
            }
            Report::Busy(_) => {}
            Report::Document { kind, bytes, .. } => {
                to.u16(kind.code()).zero(6).u64(*bytes);
            }
        }
        to.done()
    }

    /// Of bytes. `keys`: what was asked for in a look-up of this number.
    pub fn decode(bytes: &[u8], keys: impl FnOnce(u64) -> Option<Arc<[Key]>>) -> Result<Report, Malformed> {
        let mut from = Reading::new(bytes);
        let kind = from.u8()?;
        from.zero::<3>()?;
        let (count, id) = (from.u32()? as usize, from.u64()?);
        let most = match kind {
            1 => CLASSES_MAX,
            2 => ORDERS_OF_MESSAGE,
            3 => LOOK_UPS_OF_MESSAGE,
            _ => 0,
        };
        if count > most {
            return Err(Malformed("it has more structs than such a message"));
        }
        let report = match kind {
            1 if id == 0 => {
                let name = |_| from.text::<CLASS_NAME_BYTES>().map(|name| Some(name).filter(|n| !n.is_empty()));
                Report::Classes((0..count).map(name).collect::<Result<_, _>>()?)
            }
            2 => {
                let (code, was) = (from.u8()?, from.flag()?);
                from.zero::<6>()?;
                let refused = OrderError::of_code(code);
                if refused.is_none() && code != 0 {
                    return Err(Malformed("no reason to refuse an order"));
                }
                let was = was.then(|| InForce::read(&mut from)).transpose()?;
                Report::Orders(id, OrdersTaken { taken: count as u32, refused, was })
            }
            3 => {
                let keys = keys(id).filter(|k| k.len() == count).ok_or(Malformed("an answer to nothing"))?;
                Report::LookedUp(id, keys.iter().map(|k| key::read_found(k, &mut from)).collect::<Result<_, _>>()?)
            }
            4 => Report::Busy(id),
            5 => {
                let kind = DocumentKind::of_code(from.u16()?).ok_or(Malformed("a document of no kind"))?;
                from.zero::<6>()?;
                let bytes = from.u64()?;
                if bytes > DOCUMENT_BYTES as u64 {
                    return Err(Malformed("a document is too long"));
                }
                Report::Document { id, kind, bytes }
            }
            _ => return Err(Malformed("of no kind")),
        };
        from.end()?;
        Ok(report)
    }
}
