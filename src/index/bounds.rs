//! What the index lists at most: values of one packet, of one connection, and of all. Packets are made by anybody, and every value that a
//! packet can hold is listed with its connection; so a packet that is all labels, or headers within headers, would make an index larger
//! than its packets and memory many times as large. What is beyond a bound is *not listed*: the connection is then among the answers to
//! every question about that kind of value, and its packets are looked at. Owns the counting; used by the builder and by the merge.

use super::distinct::Distinct;
use super::term::{KINDS, Term};
use crate::limits::{TERMS_CROWDED, TERMS_OF_CONNECTION, TERMS_OF_INDEX, TERMS_OF_PACKET};

/// The bounds; tests have smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Values of one kind of one packet.
    pub packet: usize,
    /// The same in an index that is full.
    pub crowded: usize,
    /// Values of one kind of one connection.
    pub connection: usize,
    /// Values with their connections after which an index is full.
    pub index: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            packet: TERMS_OF_PACKET,
            crowded: TERMS_CROWDED,
            connection: TERMS_OF_CONNECTION,
            index: TERMS_OF_INDEX,
        }
    }
}

/// Kinds of terms, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

const _: () = assert!(KINDS <= 8);

impl Kinds {
    /// Adds one.
    pub fn add(&mut self, kind: usize) {
        self.0 |= 1 << kind;
    }

    /// Whether it is there.
    pub fn has(self, kind: usize) -> bool {
        self.0 >> kind & 1 != 0
    }

    /// All that are there.
    pub fn each(self) -> impl Iterator<Item = usize> {
        (0..KINDS).filter(move |kind| self.has(*kind))
    }
}

/// The terms of a connection.
#[derive(Debug, Default)]
pub struct Terms {
    listed: Distinct<Term>,
    /// Of these kinds nothing is listed.
    pub unlisted: Kinds,
}

impl Terms {
    /// Those that are listed, taken out, in no order that means anything.
    pub fn take(&mut self) -> Vec<Term> {
        let unlisted = self.unlisted;
        self.listed.retain(|t| !unlisted.has(t.kind()));
        self.listed.take()
    }

    /// How many are gathered.
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    fn unlist(&mut self, kind: usize) {
        self.unlisted.add(kind);
    }

    /// Every so many, those kinds go of which there are too many.
    fn thin_out(&mut self, bounds: &Bounds) {
        let mut counts = [0; KINDS];
        self.listed.iter().for_each(|t| counts.iter_mut().skip(t.kind()).take(1).for_each(|n| *n += 1));
        for (kind, _) in counts.iter().enumerate().filter(|(_, n)| **n > bounds.connection) {
            self.unlist(kind);
        }
        let unlisted = self.unlisted;
        self.listed.retain(|t| !unlisted.has(t.kind()));
    }
}

/// Takes the terms of packets.
pub struct Taking {
    bounds: Bounds,
    /// Terms listed so far, of all connections.
    listed: usize,
    /// Of the packet: values of each kind.
    values: [usize; KINDS],
    /// What it took, in terms looked at: what tests count.
    pub work: u64,
}

impl Taking {
    /// None yet.
    pub fn new(bounds: Bounds) -> Taking {
        Taking { bounds, listed: 0, values: [0; KINDS], work: 0 }
    }

    /// Another packet.
    pub fn begin(&mut self) {
        self.values = [0; KINDS];
    }

    /// A value of the packet, for its connection.
    pub fn take(&mut self, term: Term, of: &mut Terms) {
        let kind = term.kind();
        if of.unlisted.has(kind) {
            return;
        }
        let Some(values) = self.values.get_mut(kind) else { return };
        *values += 1;
        let full = self.listed >= self.bounds.index;
        if *values > if full { self.bounds.crowded } else { self.bounds.packet } {
            return of.unlist(kind);
        }
        self.work += of.listed.effort() as u64 + 1;
        if of.listed.add(term) {
            self.listed += 1;
            if of.listed.len().is_multiple_of(self.bounds.connection.max(1)) {
                of.thin_out(&self.bounds);
            }
        }
    }
}
