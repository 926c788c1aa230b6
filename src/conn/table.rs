//! The connection table: a fixed number of places, each key in one of two buckets of eight. Owns the places and how they
//! are found, filled and freed; knows nothing of what an entry means. Called by the tracker; never allocates after [`Table::new`].
//!
//! A cuckoo hash table with tags (Fan, Andersen, Kaminsky, Mitzenmacher: Cuckoo Filter, CoNEXT 2014): the other bucket of an
//! entry follows from its bucket and its tag of one byte, so entries move without their hash. A look-up reads two words of
//! tags and, as a rule, one entry; removing frees a place at once (no tombstones); 96 % of the places can be filled.

use super::entry::{Entry, TableKey};
use crate::limits::TABLE_LOAD_PERCENT;
use crate::memory::{huge_vec, prefetch};
use crate::packet::key::Tail;

/// Places of one bucket: the tags of a bucket are one word.
pub(super) const BUCKET: usize = 8;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// No key has it: `zero` is always 0.
pub(super) const NO_TAIL: Tail =
    Tail { net: u32::MAX, vlan: [u16::MAX; 2], port: [u16::MAX; 2], proto: u8::MAX, kind: u8::MAX, zero: u16::MAX };

/// Where a key belongs: one of its buckets, and its tag, which is never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    bucket: u32,
    tag: u8,
}

/// A table for one size of key.
#[derive(Debug)]
pub(super) struct Table<K> {
    /// Eight tags a bucket; 0: free.
    tags: Box<[u64]>,
    entries: Box<[Entry<K>]>,
    len: usize,
    capacity: usize,
    moves: u64,
}

/// The bytes of `word` that equal `byte`, as their high bits. Exact: the usual shorter form may also mark a byte above a
/// match, such as a free place, whose key is still that of the connection that left it.
#[inline(always)]
fn equal_bytes(word: u64, byte: u8) -> u64 {
    let x = word ^ (LOW * u64::from(byte));
    !(((x & !HIGH).wrapping_add(!HIGH)) | x) & HIGH
}

#[inline(always)]
fn lowest(bytes: u64) -> usize {
    bytes.trailing_zeros() as usize / 8
}

fn buckets_for(capacity: usize) -> usize {
    (capacity * 100).div_ceil(TABLE_LOAD_PERCENT * BUCKET).max(1)
}

impl<K: TableKey> Table<K> {
    /// A table for `capacity` connections; its memory is taken and touched here.
    pub(super) fn new(capacity: usize) -> Table<K> {
        let buckets = buckets_for(capacity);
        // Tags are zero, which the allocator gives untouched: writing something first makes the pages be there.
        let mut tags = huge_vec(buckets, 1_u64).into_boxed_slice();
        std::hint::black_box(&mut tags).fill(0);
        let entries = huge_vec(buckets * BUCKET, Entry::NONE).into_boxed_slice();
        Table { tags, entries, len: 0, capacity, moves: 0 }
    }

    /// Bytes that [`new`](Table::new) takes.
    pub(super) fn bytes(capacity: usize) -> usize {
        buckets_for(capacity) * (size_of::<u64>() + BUCKET * size_of::<Entry<K>>())
    }

    /// Connections that are in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many are such.
    #[cfg(test)]
    pub(super) fn count(&self, is: impl Fn(&Entry<K>) -> bool) -> u64 {
        let there = |(i, e): &(usize, &Entry<K>)| self.place_of(*i).is_some() && is(e);
        self.entries.iter().enumerate().filter(there).count() as u64
    }

    /// Buckets, for those who go through all of it.
    pub(super) fn buckets(&self) -> usize {
        self.tags.len()
    }

    /// Entries that were moved to make room, so far.
    pub(super) fn moves(&self) -> u64 {
        self.moves
    }

    /// Where a key of this hash belongs. The hash's low half also chooses the worker, so its bits are mixed first.
    #[inline]
    pub(super) fn place(&self, hash: u64) -> Place {
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bucket = (((mixed >> 32) * self.tags.len() as u64) >> 32) as u32;
        Place { bucket, tag: ((mixed >> 8) as u8).max(1) }
    }

    /// Where the entry at `index` is, if there is one.
    #[inline]
    pub(super) fn place_of(&self, index: usize) -> Option<Place> {
        let word = self.tags.get(index / BUCKET)?;
        let tag = (word >> (index % BUCKET * 8)) as u8;
        (tag != 0).then_some(Place { bucket: (index / BUCKET) as u32, tag })
    }

    /// The other bucket; the other's other is this one.
    #[inline]
    fn other(&self, p: Place) -> Place {
        let buckets = self.tags.len() as u32;
        let sum = ((u64::from((u32::from(p.tag)).wrapping_mul(0x9E37_79B1)) * u64::from(buckets)) >> 32) as u32;
        let bucket = if sum >= p.bucket { sum - p.bucket } else { sum + (buckets - p.bucket) };
        Place { bucket, tag: p.tag }
    }

    #[inline]
    fn word(&self, p: Place) -> u64 {
        self.tags.get(p.bucket as usize).copied().unwrap_or(0)
    }

    #[inline]
    fn index(p: Place, i: usize) -> usize {
        p.bucket as usize * BUCKET + i
    }

    /// Starts to load the tags of a key.
    #[inline]
    pub(super) fn prefetch_tags(&self, p: Place) {
        for p in [p, self.other(p)] {
            if let Some(word) = self.tags.get(p.bucket as usize) {
                prefetch(word);
            }
        }
    }

    /// Starts to load the first entry that has the key's tag, or the place where a new one would go.
    #[inline]
    pub(super) fn prefetch_entry(&self, p: Place) {
        let other = self.other(p);
        let wanted = [(p, p.tag), (other, p.tag), (p, 0)].into_iter().find_map(|(p, tag)| {
            let found = equal_bytes(self.word(p), tag);
            (found != 0).then(|| Self::index(p, lowest(found)))
        });
        if let Some(entry) = wanted.and_then(|index| self.entries.get(index)) {
            prefetch(&entry.key);
            prefetch(entry.middle());
            prefetch(entry.end());
        }
    }

    /// The index of a key's entry.
    #[inline]
    pub(super) fn find(&self, p: Place, key: &K) -> Option<usize> {
        for p in [p, self.other(p)] {
            let mut found = equal_bytes(self.word(p), p.tag);
            while found != 0 {
                let index = Self::index(p, lowest(found));
                if self.entries.get(index).is_some_and(|e| e.key == *key) {
                    return Some(index);
                }
                found &= found - 1;
            }
        }
        None
    }

    /// An entry by its index.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Entry<K>> {
        self.entries.get(index)
    }

    /// The same, to change it.
    #[inline]
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Entry<K>> {
        self.entries.get_mut(index)
    }

    /// The indices that a key could be at.
    pub(super) fn window(&self, p: Place) -> impl Iterator<Item = usize> + use<K> {
        [p, self.other(p)].into_iter().flat_map(|p| (0..BUCKET).map(move |i| Self::index(p, i)))
    }

    /// Finds a free place for a key that is not there, moving others if need be, and puts the entry in it. `None`: full.
    pub(super) fn insert(&mut self, p: Place, entry: Entry<K>) -> Option<usize> {
        if self.len >= self.capacity {
            return None;
        }
        let free = |t: &Self, p: Place| {
            let free = equal_bytes(t.word(p), 0);
            (free != 0).then(|| Self::index(p, lowest(free)))
        };
        let index = free(self, p).or_else(|| free(self, self.other(p))).or_else(|| self.make_room(p))?;
        self.put(index, p.tag, entry);
        self.len += 1;
        Some(index)
    }

    /// Takes the entry at `index` out.
    pub(super) fn remove(&mut self, index: usize) {
        self.set_tag(index, 0);
        self.len = self.len.saturating_sub(1);
    }

    /// True if a key would need room made for it: the table or both of its buckets are full.
    pub(super) fn crowded(&self, p: Place) -> bool {
        self.len >= self.capacity
            || (equal_bytes(self.word(p), 0) == 0 && equal_bytes(self.word(self.other(p)), 0) == 0)
    }

    #[inline]
    fn put(&mut self, index: usize, tag: u8, entry: Entry<K>) {
        self.set_tag(index, tag);
        if let Some(e) = self.entries.get_mut(index) {
            *e = entry;
        }
    }

    #[inline]
    fn set_tag(&mut self, index: usize, tag: u8) {
        if let Some(word) = self.tags.get_mut(index / BUCKET) {
            let shift = index % BUCKET * 8;
            *word = *word & !(0xFF << shift) | u64::from(tag) << shift;
        }
    }

    /// Frees a place in one of the two full buckets of `p` by moving one entry, or two one after the other, to their other
    /// buckets. At most 16 + 128 buckets are looked at.
    fn make_room(&mut self, p: Place) -> Option<usize> {
        for steps in 1..=2 {
            for index in self.window(p) {
                if self.move_away(index, steps) {
                    return Some(index);
                }
            }
        }
        None
    }

    /// Moves the entry at `index` to its other bucket, after making room there if `steps` allow.
    fn move_away(&mut self, index: usize, steps: usize) -> bool {
        let Some(from) = self.place_of(index) else { return true };
        let to = self.other(from);
        if to.bucket == from.bucket {
            return false;
        }
        let free = equal_bytes(self.word(to), 0);
        let target = if free != 0 {
            Self::index(to, lowest(free))
        } else {
            // The entries there can't come back to `from`: it is full.
            let moved = steps > 1 && (0..BUCKET).any(|i| self.move_away(Self::index(to, i), steps - 1));
            let free = equal_bytes(self.word(to), 0);
            if !moved || free == 0 {
                return false;
            }
            Self::index(to, lowest(free))
        };
        let Some(entry) = self.entries.get(index).copied() else { return false };
        self.put(target, from.tag, entry);
        self.set_tag(index, 0);
        self.moves += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{NO_BYTE_LIMIT, NO_PACKET_LIMIT, Phase};
    use super::*;
    use crate::packet::key::Key4;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn key(n: u32) -> Key4 {
        Key4 { addr: [n.to_be_bytes(), [9; 4]], ..Key4::default() }
    }

    fn entry(n: u32, first: u64) -> Entry<Key4> {
        Entry::new(key(n), first, 0, 0, Phase::Storing { bytes: NO_BYTE_LIMIT, packets: NO_PACKET_LIMIT })
    }

    fn mix(n: u32) -> u64 {
        (u64::from(n) + 1).wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(29).wrapping_mul(0xA076_1D64_78BD_642F)
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u32),
        Remove(u32),
        Find(u32),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = (0..3u8, 0..400u32).prop_map(|(what, n)| match what {
            0 => Op::Insert(n),
            1 => Op::Remove(n),
            _ => Op::Find(n),
        });
        prop::collection::vec(op, 0..2000)
    }

    proptest! {
        /// Against a map: whatever the hash is worth, a table holds what was put in and not taken out.
        #[test]
        fn as_a_map(ops in ops(), capacity in 0usize..300, hash_bits in 0u32..64) {
            let hash = |n| mix(n) & (u64::MAX >> hash_bits);
            let mut table = Table::<Key4>::new(capacity);
            let mut model = HashMap::new();
            for (time, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Insert(n) if !model.contains_key(&n) => {
                        let crowded = table.crowded(table.place(hash(n)));
                        match table.insert(table.place(hash(n)), entry(n, time as u64)) {
                            Some(_) => { model.insert(n, time as u64); }
                            None => prop_assert!(crowded && model.len() <= capacity),
                        }
                    }
                    Op::Insert(_) => {}
                    Op::Remove(n) => {
                        let at = table.find(table.place(hash(n)), &key(n));
                        prop_assert_eq!(at.is_some(), model.remove(&n).is_some());
                        if let Some(at) = at {
                            let place = table.place_of(at).unwrap();
                            prop_assert_eq!(table.find(place, &key(n)), Some(at), "found from where it is");
                            table.remove(at);
                        }
                    }
                    Op::Find(n) => {
                        let at = table.find(table.place(hash(n)), &key(n));
                        prop_assert_eq!(at.and_then(|i| table.get_mut(i)).map(|e| e.first), model.get(&n).copied());
                    }
                }
                prop_assert_eq!(table.len(), model.len());
            }
            for (n, first) in model {
                let at = table.find(table.place(hash(n)), &key(n));
                prop_assert_eq!(at.and_then(|i| table.get_mut(i)).map(|e| e.first), Some(first));
            }
        }
    }

    #[test]
    fn bytes_are_found_exactly() {
        for n in 0..100_000 {
            let word = mix(n) & mix(n + 1) & 0x0303_0303_0303_0303;
            for byte in 0..4 {
                let expected = word.to_le_bytes().map(|b| if b == byte { 0x80 } else { 0 });
                assert_eq!(equal_bytes(word, byte), u64::from_le_bytes(expected), "{word:#x} {byte}");
            }
        }
    }

    #[test]
    fn takes_what_it_was_made_for_and_no_more() {
        for capacity in [1, 7, 100, 50_000] {
            let mut table = Table::<Key4>::new(capacity);
            for n in 0..capacity as u32 {
                assert!(table.insert(table.place(mix(n)), entry(n, 0)).is_some(), "{n} of {capacity}");
            }
            assert!(table.insert(table.place(mix(u32::MAX)), entry(u32::MAX, 0)).is_none());
            assert!((0..capacity as u32).all(|n| table.find(table.place(mix(n)), &key(n)).is_some()));
        }
    }
}
