//! A token bucket, and a memory of bounded size for what is to be known of many: both take the time from their caller.

use super::values::Rate;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Lets so many through in a time; full at first.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: Rate,
    /// Tokens times the rate's time: whole numbers lose nothing.
    level: u128,
    at: u64,
}

impl Bucket {
    /// Full, at this time.
    pub fn new(rate: Rate, now: u64) -> Bucket {
        Bucket { rate, level: u128::from(rate.count) * u128::from(rate.time), at: now }
    }

    /// Takes a token if there is one.
    pub fn take(&mut self, now: u64) -> bool {
        let (count, time) = (u128::from(self.rate.count), u128::from(self.rate.time));
        let since = u128::from(now.saturating_sub(self.at));
        self.at = self.at.max(now);
        self.level = (self.level + since * count).min(count * time);
        match self.level.checked_sub(time) {
            Some(left) => {
                self.level = left;
                true
            }
            None => false,
        }
    }

    /// Gives one back: what it was taken for did not happen.
    pub fn give(&mut self) {
        let time = u128::from(self.rate.time);
        self.level = (self.level + time).min(u128::from(self.rate.count) * time);
    }
}

/// A map that forgets what came first when it is full.
#[derive(Debug)]
pub struct Memory<K, V> {
    known: HashMap<K, V>,
    order: VecDeque<K>,
    most: usize,
}

impl<K: Hash + Eq + Clone, V> Memory<K, V> {
    /// Of at most so many.
    pub fn new(most: usize) -> Memory<K, V> {
        Memory { known: HashMap::new(), order: VecDeque::new(), most: most.max(1) }
    }

    /// What is known of it, made if nothing is.
    pub fn entry(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        if !self.known.contains_key(key) {
            while self.order.len() >= self.most {
                let Some(oldest) = self.order.pop_front() else { break };
                self.known.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        self.known.entry(key.clone()).or_insert_with(make)
    }

    /// What is known of it.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.known.get(key)
    }

    /// What is known of it, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.known.get_mut(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const S: u64 = 1_000_000_000;

    #[test]
    fn lets_the_rate_through_and_no_more() {
        let rate: Rate = "10/1s".parse().unwrap();
        let mut b = Bucket::new(rate, 0);
        // A thousand a second for ten seconds: ten at once, then ten a second.
        let through = (0..10_000u64).filter(|n| b.take(n * S / 1000)).count();
        assert!((109..=110).contains(&through), "{through}");
        assert!((0..10).all(|_| b.take(100 * S)) && !b.take(100 * S));
        b.give();
        assert!(b.take(100 * S));
        // A clock that goes back gives nothing.
        assert!(!b.take(50 * S) && !b.take(100 * S));
    }

    #[test]
    fn forgets_the_first_when_full() {
        let mut m = Memory::new(2);
        for (k, v) in [("a", 1), ("b", 2), ("a", 9), ("c", 3)] {
            m.entry(&k, || v);
        }
        assert_eq!((m.get(&"a"), m.get(&"b"), m.get(&"c")), (None, Some(&2), Some(&3)));
        assert!(m.known.len() == 2 && m.order.len() == 2);
    }
}
