//! What others tell a running worker: small commands by value, large things in boxes that it exchanges with its own or fills, and
//! gives back. Owns the queues, all of fixed size; written by `steer`, read by the loop between batches. The worker allocates
//! and frees nothing for it, and waits for nobody.

use super::filter::Filters;
use crate::class::ClassSet;
use crate::conn::orders::{AddressOrder, ConnOrder, Plain, Prefix};
use crate::conn::receipt::Receipt;
use crate::limits::COMMANDS_WAITING;
use crate::packet::key::Key;
use crossbeam_queue::ArrayQueue;
use std::sync::atomic::AtomicU64;

/// A small command.
#[derive(Clone, Copy, Debug)]
pub enum Command {
    /// What holds for an address or a net from now on.
    Address {
        /// Which.
        prefix: Prefix,
        /// In the place of what held.
        order: AddressOrder,
    },
    /// What holds for a connection from now on.
    Connection {
        /// Which.
        name: Plain,
        /// The flow hash of its key.
        hash: u64,
        /// In the place of what held.
        order: ConnOrder,
    },
}

/// What is in force from now on; the worker leaves in it what was.
#[derive(Debug)]
pub struct Rules {
    /// The classes, compiled for every link type that is known. Ids stay: a class that is there no more keeps its place,
    /// with its bit in `gone`; new ones are behind.
    pub classes: ClassSet,
    /// Classes that are there no more: their connections are classified by their next packet.
    pub gone: u64,
    /// The global filter, compiled too.
    pub filters: Filters,
    /// Within this time a copy of a frame is a duplicate, ns; `None`: never.
    pub dedup_ns: Option<u64>,
    /// One source may have so many connections open that nobody has answered; `None`: any number.
    pub flood_limit: Option<u32>,
}

/// Connections to be looked up.
#[derive(Debug, Default)]
pub struct Look {
    /// Key and flow hash of each.
    pub keys: Vec<(Key, u64)>,
    /// What is known of each; of the same length from the start.
    pub found: Vec<Option<Receipt>>,
    /// How many are done.
    pub next: usize,
}

/// What comes in a box and goes back in it.
#[derive(Debug)]
pub enum Errand {
    /// New rules; back comes what they were.
    Rules(Box<Rules>),
    /// A look-up.
    Look(Box<Look>),
}

/// The queues of one worker.
#[derive(Debug)]
pub struct Mailbox {
    /// To the worker.
    pub commands: ArrayQueue<Command>,
    /// To the worker, one at a time, each with a number that it comes back with.
    pub errands: ArrayQueue<(u64, Errand)>,
    /// And back.
    pub done: ArrayQueue<(u64, Errand)>,
    /// Commands that found no room in the worker's tables.
    pub refused: AtomicU64,
}

impl Default for Mailbox {
    fn default() -> Mailbox {
        Mailbox {
            commands: ArrayQueue::new(COMMANDS_WAITING),
            errands: ArrayQueue::new(1),
            // One that its sender has given up on may come back before the next.
            done: ArrayQueue::new(2),
            refused: AtomicU64::new(0),
        }
    }
}
