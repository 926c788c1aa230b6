//! Slots of the shunt on their way out: passing since a while, to be read and freed when no program can still count in
//! them. Owns the second step of a retirement and what its counts belong to. Called by the tracker.

use super::receipt::Receipt;
use super::shunt::{RETIRE_NS, ShuntSlot};
use super::table::Place;
use crate::packet::key::Key;
use std::collections::VecDeque;

/// A slot between its two steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retiring {
    pub(super) key: Key,
    pub(super) slot: ShuntSlot,
    /// Where its connection was; it may have moved to the other bucket.
    pub(super) place: Place,
    /// The connection has ended: this is its receipt, without what the slot has counted. Else the counts go to the entry.
    pub(super) receipt: Option<Receipt>,
    /// When it began to pass, by the clock of the sweep; 0 until the next sweep.
    since: u64,
}

/// All of them, oldest first. There are never more than the shunt has slots.
#[derive(Debug)]
pub(super) struct Retirement {
    waiting: VecDeque<Retiring>,
    /// How many of the newest have no time yet.
    unstamped: usize,
}

impl Retirement {
    /// For a shunt of this many slots.
    pub(super) fn new(slots: usize) -> Retirement {
        let mut waiting = VecDeque::with_capacity(slots);
        // Touches the memory: `u32::MAX` is not zero.
        let none = Retiring {
            key: Key::V4(Default::default()),
            slot: ShuntSlot(u32::MAX),
            place: Place::default(),
            receipt: None,
            since: u64::MAX,
        };
        waiting.resize(slots, none);
        waiting.clear();
        Retirement { waiting, unstamped: 0 }
    }

    /// Bytes that [`new`](Retirement::new) takes.
    pub(super) fn bytes(slots: usize) -> usize {
        slots * size_of::<Retiring>()
    }

    /// Slots that are retiring.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// A slot that passes from now on.
    pub(super) fn push(&mut self, key: Key, slot: ShuntSlot, place: Place, receipt: Option<Receipt>) {
        debug_assert!(self.waiting.len() < self.waiting.capacity(), "slots in use are counted");
        self.waiting.push_back(Retiring { key, slot, place, receipt, since: 0 });
        self.unstamped += 1;
    }

    /// The connection has ended before its slot was freed: the receipt waits for the counts. False: no slot of it waits.
    pub(super) fn attach(&mut self, receipt: Receipt) -> bool {
        let waiting = self.waiting.iter_mut().rev().find(|r| r.key == receipt.key && r.receipt.is_none());
        waiting.map(|r| r.receipt = Some(receipt)).is_some()
    }

    /// The slot of a connection, if it is among the newest `most`.
    pub(super) fn slot_of(&self, key: &Key, most: usize) -> Option<ShuntSlot> {
        self.waiting.iter().rev().take(most).find(|r| r.key == *key && r.receipt.is_none()).map(|r| r.slot)
    }

    /// The sweep's clock is `now`.
    pub(super) fn stamp(&mut self, now: u64) {
        let from = self.waiting.len() - self.unstamped.min(self.waiting.len());
        for r in self.waiting.range_mut(from..) {
            r.since = now;
        }
        self.unstamped = 0;
        // A clock that was set back: wait again rather than for as long as it was set back.
        if let Some(oldest) = self.waiting.front_mut() {
            oldest.since = oldest.since.min(now);
        }
    }

    /// The oldest, if it has passed for long enough.
    pub(super) fn due(&mut self, now: u64) -> Option<Retiring> {
        self.waiting.front().filter(|r| now.saturating_sub(r.since) >= RETIRE_NS)?;
        self.waiting.pop_front()
    }

    /// The oldest, however short it has passed: nothing counts any more.
    pub(super) fn any(&mut self) -> Option<Retiring> {
        self.unstamped = 0;
        self.waiting.pop_front()
    }
}
