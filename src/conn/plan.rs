//! What a tracker is made of: how many connections it holds and what memory that takes. Read by `record --plan` before
//! anything is started; pure.

use super::cutoff;
use super::flood::Floods;
use super::fragments::Fragments;
use super::orders::Orders;
use super::receipt::Outgoing;
use super::retire::Retirement;
use super::table::Table;
use crate::class::ClassSet;
use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_PER_FRAGMENT, FRAGMENTS_MIN, RECEIPTS_WAITING};
use crate::packet::key::{Key4, Key6};

/// Sizes of one worker's tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerPlan {
    /// IPv4 connections that can be tracked at a time, those in their linger or not yet timed out included.
    pub connections_v4: usize,
    /// The same for IPv6 and for everything that is not IP.
    pub connections_v6: usize,
    /// The worker's part of the shunt; 0 where there is none.
    pub shunt_slots: usize,
}

/// Bytes of a tracker, by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerMemory {
    /// IPv4 connections, tags and free places included.
    pub connections_v4: usize,
    /// The same for IPv6 and for everything that is not IP.
    pub connections_v6: usize,
    /// First fragments.
    pub fragments: usize,
    /// Receipts that wait for their way out.
    pub receipts: usize,
    /// Slots of the shunt that are retiring.
    pub retirement: usize,
    /// What is ordered for addresses and connections.
    pub orders: usize,
    /// One-sided connections by source.
    pub floods: usize,
}

impl TrackerMemory {
    /// All of it.
    pub fn total(&self) -> usize {
        self.connections_v4
            + self.connections_v6
            + self.fragments
            + self.receipts
            + self.retirement
            + self.orders
            + self.floods
    }
}

/// Why a tracker can't be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrackerError {
    /// A limit that an entry can't hold.
    #[error(
        "class {class:?}: cutoff and jitter together must be below 1 TiB, cutoff_packets below 4294967295; to store all of a connection set no cutoff"
    )]
    Cutoff {
        /// The class.
        class: String,
    },
    /// More than can be told apart.
    #[error("a connection table of {0} connections; at most {CONNECTIONS_MAX} a worker")]
    Connections(usize),
}

impl TrackerPlan {
    /// First fragments that are remembered at a time, at least.
    pub(super) fn fragments(&self) -> usize {
        ((self.connections_v4 + self.connections_v6) / CONNECTIONS_PER_FRAGMENT).max(FRAGMENTS_MIN)
    }

    /// What [`Tracker::new`](super::Tracker::new) takes.
    pub fn memory(&self) -> TrackerMemory {
        TrackerMemory {
            connections_v4: Table::<Key4>::bytes(self.connections_v4),
            connections_v6: Table::<Key6>::bytes(self.connections_v6),
            fragments: Fragments::bytes(self.fragments()),
            receipts: Outgoing::bytes(RECEIPTS_WAITING),
            retirement: Retirement::bytes(self.shunt_slots),
            orders: Orders::bytes(),
            floods: Floods::bytes(),
        }
    }

    pub(super) fn check(&self, classes: &ClassSet) -> Result<(), TrackerError> {
        for connections in [self.connections_v4, self.connections_v6] {
            if connections > CONNECTIONS_MAX {
                return Err(TrackerError::Connections(connections));
            }
        }
        expressible(classes)
    }
}

/// Whether entries can hold the limits of all classes: to be asked before they are given to a [`Tracker`](super::Tracker).
pub fn expressible(classes: &ClassSet) -> Result<(), TrackerError> {
    match classes.classes().iter().find(|c| !cutoff::expressible(&c.policy)) {
        Some(class) => Err(TrackerError::Cutoff { class: class.name.clone() }),
        None => Ok(()),
    }
}
