//! Where a follower stands: what it has read, up to which time it has given that, and what is still to be done of the work of another one that it goes on
//! from. Owns how that becomes a cursor and how a cursor is believed: numbers of segments mean what they meant as long as one recorder gives
//! them, or as long as the newest segment of then is there.

use super::QueryError;
use super::cursor::{Cursor, SegmentMarks};
use super::engine::{Shelf, own};
use super::merge::Order;
use super::read_so_far::ReadSoFar;
use super::summary::SoFar;
use super::view::View;
use crate::store::list::SegmentRef;
use std::collections::BTreeSet;

/// Which store it reads, as long as one recorder writes it.
#[derive(Clone, Copy, Debug)]
pub struct Recording<'a> {
    /// Identity of the store, 32 hexadecimal digits.
    pub store: &'a str,
    /// When the recorder was started, Unix ns.
    pub start: u64,
}

/// How far it is between two rounds.
pub struct Stands {
    /// `None`: the store has no identity, and nobody can go on from here.
    store: Option<u128>,
    start: u64,
    /// The newest segment that had packets, and its generation.
    witness: Option<(u64, u64)>,
    /// What was read.
    pub read: ReadSoFar,
    /// Of what was read, all packets before this time were given.
    pub settled: u64,
    /// What is still to be done of another follower's work.
    pub resumed: Resumed,
    /// Another recorder writes now and has made no segment yet.
    pub renumbered: bool,
    /// The sealed segments of the last round.
    pub shelf: Shelf,
}

/// What is still to be done of another follower's work.
pub enum Resumed {
    /// Nothing.
    No,
    /// What it held back is to be read again.
    HeldBack,
    /// Its last round was under way.
    Round {
        /// What it was to read.
        reading: ReadSoFar,
        /// Up to which time, Unix ns.
        before: u64,
        /// What it gave last.
        last: Order,
    },
}

/// What a round gives, and what it will have read then.
pub struct Round<'a> {
    /// Where it stood before.
    pub stands: &'a Stands,
    /// Packets from this time on were asked for, Unix ns.
    pub from: u64,
    /// It gives those before this time.
    pub before: u64,
    /// What it will have read.
    pub reading: &'a ReadSoFar,
    /// What of earlier rounds could not be read.
    pub lacking: SoFar,
}

impl Stands {
    /// At the beginning of the past.
    pub fn new(recording: Recording<'_>) -> Stands {
        Stands {
            store: u128::from_str_radix(recording.store, 16).ok().filter(|_| recording.store.len() == 32),
            start: recording.start,
            witness: None,
            read: ReadSoFar::default(),
            settled: 0,
            resumed: Resumed::No,
            renumbered: false,
            shelf: Shelf::default(),
        }
    }

    /// Goes on where a cursor says. An error where that can't be told any more.
    pub fn go_on(&mut self, c: &Cursor, view: &View<'_>) -> Result<(), QueryError> {
        if Some(c.store) != self.store {
            return Err(QueryError::Cursor("it is of another store".into()));
        }
        let (mut read, mut reading) = (
            ReadSoFar::new(c.segments.iter().map(|s| (s.number, s.read)), c.done_below),
            ReadSoFar::new(c.segments.iter().map(|s| (s.number, s.reading)), c.doing_below),
        );
        self.renumbered = c.start != self.start;
        if self.renumbered && (c.doing_below > 0 || !c.segments.is_empty()) {
            // A recorder counts on from the segments that it finds: while one of then is there, lower numbers are what they were.
            let gone = || {
                QueryError::Cursor(
                    "the recorder was started anew since, and of what was there then nothing is left".into(),
                )
            };
            let (number, generation) = c.witness.ok_or_else(gone)?;
            if generation_of(view, number) != Some(generation) {
                return Err(gone());
            }
            (read, reading) = (read.up_to(number), reading.up_to(number));
        }
        (self.witness, self.read, self.settled) = (c.witness, read, c.settled);
        self.resumed = match c.last {
            None => Resumed::HeldBack,
            Some(last) => Resumed::Round { reading, before: c.before, last },
        };
        Ok(())
    }

    /// Notes the newest segment that has packets.
    pub fn look(&mut self, view: &View<'_>) {
        let newest = view.open.iter().filter_map(|u| u.header.as_ref()).map(|h| (h.number, h.generation)).max();
        self.witness = newest.max(self.witness).or_else(|| {
            let last = view.sealed.iter().rev().find(|s| s.is_own())?;
            Some((last.segment.number, last.segment.header().ok()?.generation))
        });
    }

    /// For whoever goes on from here; `latest`: time of the latest packet that was given.
    pub fn cursor(&self, from: u64, latest: Option<u64>) -> Option<Cursor> {
        match &self.resumed {
            Resumed::Round { reading, before, last, .. } => self.marks(reading, (from, *before), Some(*last), latest),
            _ => self.marks(&self.read, (from, self.settled), None, latest),
        }
    }

    /// In a round that reads so far and gives what is before this time, behind its last packet.
    fn marks(
        &self,
        reading: &ReadSoFar,
        (from, before): (u64, u64),
        last: Option<Order>,
        latest: Option<u64>,
    ) -> Option<Cursor> {
        let named: BTreeSet<u64> = self.read.named().chain(reading.named()).collect();
        let marks = |number| SegmentMarks { number, read: self.read.of(number), reading: reading.of(number) };
        Some(Cursor {
            store: self.store?,
            start: self.start,
            witness: self.witness,
            from,
            latest: latest.unwrap_or(0),
            settled: self.settled,
            before,
            last,
            done_below: self.read.done_below(),
            doing_below: reading.done_below(),
            segments: named.into_iter().map(marks).collect(),
        })
    }
}

impl Round<'_> {
    /// Where the follower stands behind this packet.
    pub fn cursor(&self, last: Order, latest: Option<u64>) -> Option<Cursor> {
        self.stands.marks(self.reading, (self.from, self.before), Some(last), latest)
    }
}

fn generation_of(view: &View<'_>, number: u64) -> Option<u64> {
    let open = view.open.iter().find(|u| u.segment.number == number);
    let header = |s: &SegmentRef| s.header().ok().map(|h| h.generation);
    match open {
        Some(u) => u.header.as_ref().map(|h| h.generation).or_else(|| header(&u.segment)),
        None => own(&view.sealed, number).and_then(|s| header(&s.segment)),
    }
}
