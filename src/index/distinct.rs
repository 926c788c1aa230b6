//! Things of a connection, each once, in the order of their coming. Owns how it is found out that one is new: a handful is gone through,
//! which is faster than any table; of more there is a set, so that a connection that has very many costs no more for each of them.

use std::collections::HashSet;
use std::hash::Hash;

/// So many are gone through.
const FEW: usize = 24;

/// Things, each once.
#[derive(Debug)]
pub struct Distinct<T> {
    all: Vec<T>,
    /// All of them, once they are many.
    #[expect(clippy::box_collection, reason = "most connections have none, and there are very many of them")]
    set: Option<Box<HashSet<T>>>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Distinct<T> {
        Distinct { all: Vec::new(), set: None }
    }
}

impl<T: Copy + Eq + Hash> Distinct<T> {
    /// Adds one. False: it is there already.
    pub fn add(&mut self, new: T) -> bool {
        let is_new = match &mut self.set {
            Some(set) => set.insert(new),
            None => !self.all.contains(&new),
        };
        if is_new {
            self.all.push(new);
            if self.set.is_none() && self.all.len() > FEW {
                self.set = Some(Box::new(self.all.iter().copied().collect()));
            }
        }
        is_new
    }

    /// Leaves those of which `keep` says so.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.all.retain(&keep);
        if let Some(set) = &mut self.set {
            set.retain(&keep);
        }
    }

    /// About how many are looked at to add another: what tests count.
    pub fn effort(&self) -> usize {
        if self.set.is_some() { 1 } else { self.all.len() }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.all.iter().copied()
    }

    /// The same, taken out.
    pub fn take(&mut self) -> Vec<T> {
        self.set = None;
        std::mem::take(&mut self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_once_in_the_order_of_coming(all in prop::collection::vec(0u16..300, 0..500)) {
            let (mut it, mut want) = (Distinct::default(), Vec::new());
            for n in all {
                prop_assert_eq!(it.add(n), !want.contains(&n));
                if !want.contains(&n) {
                    want.push(n);
                }
            }
            it.retain(|n| n % 3 != 0);
            want.retain(|n| n % 3 != 0);
            // What was taken out is new again.
            prop_assert!(it.add(3));
            want.push(3);
            prop_assert_eq!(it.take(), want);
        }
    }
}
