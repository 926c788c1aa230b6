//! Receipts looked for before they are wanted: the indexes tell early which connections few candidates are of, and while their packets
//! are read, so is what holds their receipts. Only a hint, which brings that into memory: the receipts themselves are asked for when the
//! packets have been given out, because others may have been written since. Owned by one query.

use crate::ledger::{Ahead, Told};
use crate::limits::FORESEEN_KEYS;
use crate::packet::key::Key;
use std::cell::RefCell;
use std::collections::HashSet;

/// A connection of candidates: its name, its first and its last packet in a segment.
pub type Expected = (Key, u64, u64);

/// What is expected of a query's answer.
enum State {
    Nothing,
    /// Too many, or there is nothing to read.
    Dropped,
    Sought(Ahead),
}

/// Receipts on their way into memory.
pub struct Foreseen<'a> {
    told: &'a dyn Told,
    state: RefCell<State>,
}

impl<'a> Foreseen<'a> {
    /// Nothing is looked for yet.
    pub fn new(told: &'a dyn Told) -> Foreseen<'a> {
        Foreseen { told, state: RefCell::new(State::Nothing) }
    }

    /// The receipts of these will be wanted. They are looked for if they are few, and nothing was expected before.
    pub fn expect(&self, expected: impl Iterator<Item = Expected>) {
        let mut state = self.state.borrow_mut();
        if !matches!(*state, State::Nothing) {
            return;
        }
        let (mut keys, mut from, mut to) = (HashSet::new(), u64::MAX, 0);
        for (key, first, last) in expected {
            keys.insert(key);
            (from, to) = (from.min(first), to.max(last.saturating_add(1)));
        }
        if !keys.is_empty() {
            let few = keys.len() <= FORESEEN_KEYS;
            let ahead = if few { self.told.ahead(from, to, keys) } else { None };
            *state = ahead.map_or(State::Dropped, State::Sought);
        }
    }

    /// Waits for what is being read: to ask for it meanwhile would read it twice.
    pub fn wait(&self) {
        if let State::Sought(ahead) = self.state.replace(State::Dropped) {
            ahead.wait();
        }
    }
}
