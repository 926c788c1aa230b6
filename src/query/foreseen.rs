//! Receipts asked for before they are needed: the indexes tell early which connections few candidates are of, and while their packets are
//! read, so are the receipts. Owned by one query; what was not foreseen, or has come meanwhile, is asked as ever.

use crate::conn::receipt::Receipt;
use crate::ledger::{Ahead, Covered, LedgerError, LossSum, Told};
use crate::limits::FORESEEN_KEYS;
use crate::packet::key::Key;
use std::cell::RefCell;
use std::collections::HashSet;

/// A connection of candidates: its name, its first and its last packet in a segment.
pub type Expected = (Key, u64, u64);

/// What was asked for.
struct Asked {
    from: u64,
    to: u64,
    keys: HashSet<Key>,
    ahead: Ahead,
}

/// Ledger and receipts, some of which may be on their way.
pub struct Foreseen<'a> {
    told: &'a dyn Told,
    asked: RefCell<Option<Asked>>,
}

impl<'a> Foreseen<'a> {
    /// Nothing is asked for yet.
    pub fn new(told: &'a dyn Told) -> Foreseen<'a> {
        Foreseen { told, asked: RefCell::new(None) }
    }

    /// These will be asked for, if they are few; only the first time.
    pub fn expect(&self, expected: impl Iterator<Item = Expected>) {
        let mut asked = self.asked.borrow_mut();
        if asked.is_some() {
            return;
        }
        let (mut keys, mut from, mut to) = (HashSet::new(), u64::MAX, 0);
        for (key, first, last) in expected {
            keys.insert(key);
            (from, to) = (from.min(first), to.max(last.saturating_add(1)));
            if keys.len() > FORESEEN_KEYS {
                return;
            }
        }
        if !keys.is_empty() {
            *asked = self.told.ahead(from, to, &keys).map(|ahead| Asked { from, to, keys, ahead });
        }
    }
}

impl Told for Foreseen<'_> {
    fn losses(&self, from: u64, to: u64) -> Result<Vec<LossSum>, LedgerError> {
        self.told.losses(from, to)
    }

    fn expired(&self, before: u64) -> Result<bool, LedgerError> {
        self.told.expired(before)
    }

    fn covered(&self, from: u64, to: u64) -> Result<Covered, LedgerError> {
        self.told.covered(from, to)
    }

    fn only_imported(&self) -> Result<bool, LedgerError> {
        self.told.only_imported()
    }

    fn receipts(
        &self,
        from: u64,
        to: u64,
        keys: &HashSet<Key>,
        each: &mut dyn FnMut(&Receipt, bool),
    ) -> Result<(), LedgerError> {
        let asked = self.asked.take().filter(|a| a.from <= from && to <= a.to && !keys.is_disjoint(&a.keys));
        let Some(found) = asked.and_then(|a| Some((a.ahead.found()?, a.keys))) else {
            return self.told.receipts(from, to, keys, each);
        };
        let (found, foreseen) = found;
        let untagged: HashSet<Key> = keys.iter().map(|k| k.untagged()).collect();
        let mut has: HashSet<(Key, bool)> = HashSet::new();
        for (r, tagged) in found.iter().filter(|(r, _)| r.first < to && r.last >= from) {
            if if *tagged { keys } else { &untagged }.contains(&r.key) {
                each(r, *tagged);
                has.insert((r.key, *tagged));
            }
        }
        // Of the others, and of those that had none yet, one may have been written since.
        let told =
            |k: &Key| foreseen.contains(k) && (has.contains(&(*k, true)) || has.contains(&(k.untagged(), false)));
        let rest: HashSet<Key> = keys.iter().filter(|k| !told(k)).copied().collect();
        if rest.is_empty() { Ok(()) } else { self.told.receipts(from, to, &rest, each) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Files, Receipts};

    /// Whatever was foreseen, and whatever is written meanwhile: the receipts are those of the files.
    #[test]
    fn what_was_foreseen_is_what_the_files_say() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("receipts");
        let mut receipts = Receipts::open(&path, 1 << 30).unwrap();
        let all: Vec<Receipt> =
            (1..=6).map(|n| Receipt::of_one(Key::tcp(n), 100 * u64::from(n), 100 * u64::from(n) + 10)).collect();
        receipts.append(1, &all[..5]).unwrap();
        let files = Files { ledger: dir.path().join("ledger"), receipts: path };
        let seen = |told: &dyn Told, from, to, keys: &[u16]| {
            let (mut got, keys) = (Vec::new(), keys.iter().map(|n| Key::tcp(*n)).collect());
            told.receipts(from, to, &keys, &mut |r, tagged| got.push((r.key, r.first, tagged))).unwrap();
            got.sort();
            got
        };
        let expect = |told: &Foreseen<'_>, keys: &[u16]| {
            told.expect(keys.iter().map(|n| (Key::tcp(*n), 100 * u64::from(*n), 100 * u64::from(*n) + 10)));
        };
        for (foreseen, from, to, asked) in [
            (&[1, 2, 3][..], 0, 1000, &[1, 2, 3][..]),
            (&[1, 2, 3], 100, 311, &[1, 2, 3]),
            (&[1, 2, 3], 100, 311, &[2]),
            (&[1, 2, 3], 150, 250, &[1, 2, 3]),
            (&[1, 4], 100, 411, &[1, 2, 3, 4]),
            (&[5], 100, 411, &[1, 2]),
            (&[], 100, 411, &[1, 2]),
            (&[1, 9], 100, 911, &[1, 9]),
        ] {
            let told = Foreseen::new(&files);
            expect(&told, foreseen);
            assert_eq!(
                seen(&told, from, to, asked),
                seen(&files, from, to, asked),
                "{foreseen:?} {from} {to} {asked:?}"
            );
        }
        let told = Foreseen::new(&files);
        expect(&told, &[1, 6]);
        receipts.append(2, &all[5..]).unwrap();
        assert_eq!(seen(&told, 100, 611, &[1, 6]), [(Key::tcp(1), 100, true), (Key::tcp(6), 600, true)]);
    }
}
