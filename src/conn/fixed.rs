//! A hash table of fixed size with open addressing: linear probing, removal by shifting back, at most half full. Owns its slots;
//! never allocates after [`Fixed::new`]. Used for what is ordered, which is looked at once a connection and changed between batches.

use super::cutoff::Secret;

/// What a key is hashed by.
pub(super) trait Words: Copy + Eq {
    const NONE: Self;
    fn fold(&self, mix: impl Fn(u64, u64) -> u64, seed: u64) -> u64;
}

#[derive(Clone, Copy, Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    used: bool,
}

/// Keys with values.
#[derive(Debug)]
pub(super) struct Fixed<K, V> {
    slots: Box<[Slot<K, V>]>,
    len: usize,
    most: usize,
    seed: [u64; 2],
}

fn slots_for(most: usize) -> usize {
    (most * 2).max(2).next_power_of_two()
}

impl<K: Words, V: Copy + Default> Fixed<K, V> {
    /// Room for `most` keys. The secret keeps others from choosing keys that meet.
    pub(super) fn new(most: usize, secret: &Secret) -> Fixed<K, V> {
        let none = Slot { key: K::NONE, value: V::default(), used: false };
        let wide = u128::from_le_bytes(*secret);
        let seed = [wide as u64, (wide >> 64) as u64 | 1];
        Fixed { slots: vec![none; slots_for(most)].into_boxed_slice(), len: 0, most, seed }
    }

    /// Bytes that [`new`](Fixed::new) takes.
    pub(super) fn bytes(most: usize) -> usize {
        slots_for(most) * size_of::<Slot<K, V>>()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn home(&self, key: &K) -> usize {
        let [a, b] = self.seed;
        let mix = |h: u64, word: u64| {
            let wide = u128::from(h ^ word) * u128::from(b | 0x9E37_79B9_0000_0000);
            (wide as u64) ^ (wide >> 64) as u64
        };
        let hash = mix(key.fold(mix, a), 0xA076_1D64_78BD_642F);
        (hash >> 32) as usize & (self.slots.len() - 1)
    }

    /// Where a key is, or else the free slot where it would go.
    fn at(&self, key: &K) -> (usize, bool) {
        let mut i = self.home(key);
        while let Some(slot) = self.slots.get(i) {
            if !slot.used || slot.key == *key {
                return (i, slot.used);
            }
            i = (i + 1) & (self.slots.len() - 1);
        }
        (0, false)
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let (i, there) = self.at(key);
        self.slots.get(i).filter(|_| there).map(|s| s.value)
    }

    /// Sets a key's value; what it was. The error: there is no room for another key.
    pub(super) fn set(&mut self, key: K, value: V) -> Result<Option<V>, Full> {
        let (i, there) = self.at(&key);
        if !there && self.len >= self.most {
            return Err(Full);
        }
        let Some(slot) = self.slots.get_mut(i) else { return Err(Full) };
        let before = there.then_some(slot.value);
        *slot = Slot { key, value, used: true };
        self.len += usize::from(!there);
        Ok(before)
    }

    /// Takes a key out; what its value was.
    pub(super) fn take(&mut self, key: &K) -> Option<V> {
        let (mut hole, there) = self.at(key);
        let value = self.slots.get(hole).filter(|_| there)?.value;
        self.len -= 1;
        let mask = self.slots.len() - 1;
        let mut i = hole;
        loop {
            i = (i + 1) & mask;
            let Some(&slot) = self.slots.get(i).filter(|s| s.used) else { break };
            // It may fill the hole unless its home lies behind that.
            let home = self.home(&slot.key);
            if (i.wrapping_sub(home) & mask) >= (i.wrapping_sub(hole) & mask) {
                if let Some(to) = self.slots.get_mut(hole) {
                    *to = slot;
                }
                hole = i;
            }
        }
        if let Some(slot) = self.slots.get_mut(hole) {
            slot.used = false;
        }
        Some(value)
    }
}

/// No room for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    impl Words for u8 {
        const NONE: u8 = 0;
        fn fold(&self, mix: impl Fn(u64, u64) -> u64, seed: u64) -> u64 {
            mix(seed, u64::from(*self))
        }
    }

    proptest! {
        /// Against a map, full and half full.
        #[test]
        fn as_a_map(ops in prop::collection::vec((any::<u8>(), any::<Option<u16>>()), 0..600), most in 0usize..70, secret: [u8; 16]) {
            let mut table = Fixed::<u8, u16>::new(most, &secret);
            let mut model = HashMap::new();
            for (key, value) in ops {
                match value {
                    Some(value) if model.len() < most || model.contains_key(&key) => {
                        prop_assert_eq!(table.set(key, value), Ok(model.insert(key, value)));
                    }
                    Some(value) => prop_assert_eq!(table.set(key, value), Err(Full)),
                    None => prop_assert_eq!(table.take(&key), model.remove(&key)),
                }
                prop_assert_eq!(table.len(), model.len());
            }
            for key in 0..=u8::MAX {
                prop_assert_eq!(table.get(&key), model.get(&key).copied());
            }
        }
    }
}
