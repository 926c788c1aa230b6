//! The connections of an index while it is made: a number for each key, in the order of their coming. Owns the table; its hash has a seed
//! that nobody outside can know.

use crate::packet::Parser;
use crate::packet::key::Key;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// What is hashed is a hash already.
#[derive(Default)]
struct Through(u64);

impl Hasher for Through {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.0 = self.0.rotate_left(8) ^ u64::from(*b));
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Keys and their numbers.
pub struct Keys {
    hasher: Parser,
    numbers: HashMap<u64, u32, BuildHasherDefault<Through>>,
    keys: Vec<Key>,
}

impl Keys {
    /// None yet.
    pub fn new() -> Keys {
        let seed = RandomState::new().hash_one(0u64);
        Keys { hasher: Parser::new(seed, true), numbers: HashMap::default(), keys: Vec::new() }
    }

    /// Its number; that of a new one is how many there were.
    pub fn number(&mut self, key: &Key) -> u32 {
        let mut hash = self.hasher.hash(key);
        loop {
            match self.numbers.get(&hash) {
                Some(&n) if self.keys.get(n as usize) == Some(key) => return n,
                // Two keys of one hash, which hardly ever happens: the next place.
                Some(_) => hash = hash.wrapping_add(1),
                None => {
                    let n = self.keys.len() as u32;
                    self.numbers.insert(hash, n);
                    self.keys.push(*key);
                    return n;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::key::{Key4, Tail};

    #[test]
    fn each_key_has_one_number() {
        let key = |n: u32| {
            let [a, b] = (n as u16, (n >> 16) as u16).into();
            Key::V4(Key4 { addr: [[10, 0, 0, 1], [10, 0, 0, 2]], tail: Tail { port: [a, b], ..Tail::default() } })
        };
        let mut keys = Keys::new();
        for round in 0..2 {
            for n in 0..100_000 {
                assert_eq!(keys.number(&key(n)), n, "{round}");
            }
        }
    }
}
