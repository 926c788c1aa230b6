//! The shelf: what sealed segments there are, and the disk budget. Owned by the keeper. Retention goes by recording time,
//! which is the order of segment numbers.

use crate::store::layout;
use crate::store::segment::OpenSegment;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What the disk holds of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// Its name.
    pub class: String,
    /// Segments, those being written included.
    pub segments: u64,
    /// Their bytes, with their indexes.
    pub bytes: u64,
    /// Packet time of the first packet of the oldest sealed one, Unix ns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// A sealed segment on the shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelved {
    /// The file.
    pub path: PathBuf,
    /// Name of its class.
    pub class: String,
    /// Its length with that of its index.
    pub bytes: u64,
}

/// Limits in bytes; `None`: unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// For the store.
    pub total: Option<u64>,
    /// For each class, by name.
    pub classes: Vec<(String, u64)>,
}

/// The sealed segments, by number.
#[derive(Debug, Default)]
pub struct Shelf {
    sealed: BTreeMap<u64, Shelved>,
    bytes: u64,
}

impl Shelf {
    /// Puts a segment on the shelf.
    pub fn put(&mut self, number: u64, segment: Shelved) {
        self.bytes += segment.bytes;
        if let Some(old) = self.sealed.insert(number, segment) {
            self.bytes -= old.bytes;
        }
    }

    /// A segment's length has changed: its index is there.
    pub fn resize(&mut self, number: u64, bytes: u64) {
        if let Some(s) = self.sealed.get_mut(&number) {
            self.bytes = self.bytes - s.bytes + bytes;
            s.bytes = bytes;
        }
    }

    /// Bytes of all sealed segments.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What each class holds, those of `names` first and in their order. `open`: unsealed segments in use.
    pub fn holdings(&self, names: &[String], open: &[Arc<OpenSegment>]) -> Vec<Holding> {
        let mut all: Vec<Holding> = names.iter().map(|n| Holding { class: n.clone(), ..Holding::default() }).collect();
        for s in self.sealed.values() {
            let at = all.iter().position(|h| h.class == s.class).unwrap_or_else(|| {
                all.push(Holding { class: s.class.clone(), ..Holding::default() });
                all.len() - 1
            });
            let Some(h) = all.get_mut(at) else { continue };
            h.segments += 1;
            h.bytes += s.bytes;
            // A file of an old trace may be recorded after one of a newer.
            h.since = [h.since, layout::first_time(&s.path)].into_iter().flatten().min();
        }
        for s in open {
            if let Some(h) = all.get_mut(usize::from(s.class())) {
                h.segments += 1;
                h.bytes += s.committed();
            }
        }
        all
    }

    /// Takes the oldest segment whose class, or the store, is over its budget. `open`: bytes of unsealed segments, for each
    /// class by name; those of spare ones under `None`.
    pub fn excess(&mut self, budget: &Budget, open: &[(Option<&str>, u64)]) -> Option<Shelved> {
        let number = self.over_class(budget, open).or_else(|| {
            let used = self.bytes + open.iter().map(|(_, b)| b).sum::<u64>();
            let over = budget.total.is_some_and(|total| used > total);
            over.then(|| self.sealed.keys().next().copied()).flatten()
        })?;
        let gone = self.sealed.remove(&number)?;
        self.bytes -= gone.bytes;
        Some(gone)
    }

    fn over_class(&self, budget: &Budget, open: &[(Option<&str>, u64)]) -> Option<u64> {
        budget.classes.iter().find_map(|(class, limit)| {
            let mine = || self.sealed.iter().filter(|(_, s)| s.class == *class);
            let sealed: u64 = mine().map(|(_, s)| s.bytes).sum();
            let open: u64 = open.iter().filter(|(c, _)| *c == Some(class.as_str())).map(|(_, b)| b).sum();
            (sealed + open > *limit).then(|| mine().next().map(|(n, _)| *n)).flatten()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is sealed, the store stays within its budget, the oldest go first, and nothing goes without need.
        #[test]
        fn budget_is_kept_by_dropping_the_oldest(
            sizes in prop::collection::vec((0u8..3, 1u64..100), 1..60), total in 100u64..400, limit in 50u64..200, open in 0u64..40,
        ) {
            let budget = Budget { total: Some(total), classes: vec![("c1".into(), limit)] };
            let open = [(Some("c1"), open), (None, 7)];
            let mut shelf = Shelf::default();
            for (n, (class, bytes)) in sizes.iter().enumerate() {
                let class = format!("c{class}");
                shelf.put(n as u64, Shelved { path: PathBuf::from(n.to_string()), class, bytes: *bytes });
                let before: Vec<u64> = shelf.sealed.keys().copied().collect();
                let mut gone = Vec::new();
                while let Some(s) = shelf.excess(&budget, &open) {
                    gone.push(s);
                }
                prop_assert_eq!(shelf.bytes, shelf.sealed.values().map(|s| s.bytes).sum::<u64>());
                prop_assert!(shelf.bytes + open[0].1 + 7 <= total || shelf.sealed.is_empty());
                let of_class: u64 = shelf.sealed.values().filter(|s| s.class == "c1").map(|s| s.bytes).sum();
                prop_assert!(of_class + open[0].1 <= limit || of_class == 0);
                // Each that went is older than all that stayed of the class that was over, or of the store.
                for g in &gone {
                    let n: u64 = g.path.to_str().unwrap().parse().unwrap();
                    prop_assert!(before.contains(&n));
                    prop_assert!(shelf.sealed.iter().filter(|(_, s)| s.class == g.class).all(|(m, _)| *m > n));
                    if g.class != "c1" {
                        prop_assert!(shelf.sealed.keys().all(|m| *m > n));
                    }
                }
            }
        }
    }
}
