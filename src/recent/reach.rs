//! How far back memory has all packets, by class: for answers that are made from memory alone, so that they say what they can't have. Owns the
//! times of what has gone; told of each run that goes, asked by questions.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What has gone, or was never here.
pub struct MemoryGone(Mutex<Gone>);

struct Gone {
    /// Nothing from before this time is here, of any class, Unix ns.
    before: u64,
    /// Of each class the time of the latest packet that has gone, Unix ns.
    classes: BTreeMap<String, u64>,
    /// Blocks that had not come into memory by then.
    missed: u64,
}

impl MemoryGone {
    /// Memory that begins empty at this time.
    pub fn new(now: u64) -> MemoryGone {
        MemoryGone(Mutex::new(Gone { before: now, classes: BTreeMap::new(), missed: 0 }))
    }

    /// A run has gone.
    pub fn went(&self, class: &str, last: u64) {
        let mut gone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match gone.classes.get_mut(class) {
            Some(latest) => *latest = last.max(*latest),
            None => drop(gone.classes.insert(class.to_owned(), last)),
        }
    }

    /// Memory begins anew at this time.
    pub fn all_went(&self, now: u64) {
        let mut gone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gone.before = now.max(gone.before);
    }

    /// From when on all packets of a class are here, and (`None`) those of all others. `missed`: blocks that did not come into memory since the
    /// start, whose times nobody has noted: they may have come just now.
    pub fn reach(&self, missed: u64, now: u64) -> Vec<(Option<String>, u64)> {
        let mut gone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gone.missed != missed {
            (gone.missed, gone.before) = (missed, now.max(gone.before));
        }
        let before = gone.before;
        let later = gone.classes.iter().filter(|(_, last)| **last >= before);
        let later = later.map(|(class, last)| (Some(class.clone()), last.saturating_add(1)));
        std::iter::once((None, before)).chain(later).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_reaches_as_far_as_nothing_of_it_has_gone() {
        let m = MemoryGone::new(100);
        let dns = |at| (Some("dns".to_owned()), at);
        assert_eq!(m.reach(0, 200), [(None, 100)]);
        m.went("all", 90);
        m.went("dns", 150);
        m.went("dns", 140);
        assert_eq!(m.reach(0, 200), [(None, 100), dns(151)]);
        // A block that did not come into memory may be as new as now.
        assert_eq!(m.reach(1, 200), [(None, 200)]);
        assert_eq!(m.reach(1, 300), [(None, 200)]);
        m.went("dns", 250);
        m.all_went(240);
        assert_eq!(m.reach(1, 300), [(None, 240), dns(251)]);
    }
}
