//! A binary fuse filter (Graf, Lemire: Binary Fuse Filters, 2022) as the crate xorf makes and lays it out: a descriptor, then
//! fingerprints. Owns how one is made, what the descriptor says and xorf's hash of a key, so that a descriptor is taken apart once and not for each key,
//! and so that of each fingerprint half may be kept: the filter is a xor of three of them, bit by bit.

use super::varint::Cursor;
use xorf::{BinaryFuse8, DmaSerializable};

/// Bytes of a descriptor: seed (8), length of a segment, its mask, the span of a key's first places (4 each).
pub const DESCRIPTOR: usize = BinaryFuse8::DESCRIPTOR_LEN;

/// Descriptor and fingerprints of a filter of these keys; both empty if there are none.
pub fn make(mut keys: Vec<u64>) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Ok(Default::default());
    }
    let filter = BinaryFuse8::try_from(&keys)?;
    let mut descriptor = vec![0; DESCRIPTOR];
    filter.dma_copy_descriptor_to(&mut descriptor);
    Ok((descriptor, filter.dma_fingerprints().to_vec()))
}

/// A descriptor, checked.
#[derive(Clone, Copy, Debug)]
pub struct Fuse {
    seed: u64,
    length: u32,
    mask: u32,
    span: u32,
}

impl Fuse {
    /// Of a filter's first bytes, which so many fingerprints follow. `None`: it is none, or places would lie past them.
    pub fn of(filter: &[u8], prints: usize) -> Option<Fuse> {
        let mut c = Cursor(filter.get(..DESCRIPTOR)?);
        let seed = u64::from_le_bytes(c.array()?);
        let mut word = || c.array().map(u32::from_le_bytes);
        let (length, mask, span) = (word()?, word()?, word()?);
        let fits = (span as usize).checked_add((length as usize).checked_mul(2)?)? <= prints;
        (fits && length.is_power_of_two() && mask == length - 1).then_some(Fuse { seed, length, mask, span })
    }

    /// The places of a key, one in each of three neighbouring segments, and what stands there together.
    fn places(&self, key: u64) -> ([usize; 3], u8) {
        let hash = murmur(key.wrapping_add(self.seed));
        let [length, mask] = [self.length, self.mask].map(u64::from);
        let first = ((u128::from(hash) * u128::from(self.span)) >> 64) as u64;
        let second = (first + length) ^ (hash >> 18 & mask);
        let third = (first + 2 * length) ^ (hash & mask);
        ([first, second, third].map(|at| at as usize), (hash ^ hash >> 32) as u8)
    }

    /// Whether the filter has a key. `None`: there are fewer fingerprints than were told.
    pub fn has(&self, prints: &[u8], key: u64) -> Option<bool> {
        let ([a, b, c], sum) = self.places(key);
        Some(prints.get(a)? ^ prints.get(b)? ^ prints.get(c)? == sum)
    }

    /// The same with half a fingerprint a place, two of them in a byte, the first in its lower half.
    pub fn has_half(&self, halves: &[u8], key: u64) -> Option<bool> {
        let (places, sum) = self.places(key);
        let [a, b, c] = places.map(|at| halves.get(at / 2).map(|byte| byte >> (at % 2 * 4)));
        Some((a? ^ b? ^ c? ^ sum) & 15 == 0)
    }
}

/// The finaliser of MurmurHash3, which xorf hashes with.
fn murmur(mut k: u64) -> u64 {
    k = (k ^ k >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    k = (k ^ k >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ k >> 33
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::term::Term;
    use proptest::prelude::*;
    use xorf::Filter;

    /// It finds what xorf finds, and with half of each fingerprint that and more.
    #[test]
    fn half_a_fingerprint_is_a_filter() {
        let keys: Vec<u64> = (0..10_000).map(Term::mix).collect();
        let xorf = BinaryFuse8::try_from(&keys).unwrap();
        let mut descriptor = vec![0; DESCRIPTOR];
        xorf.dma_copy_descriptor_to(&mut descriptor);
        let prints = xorf.dma_fingerprints();
        let halves: Vec<u8> = prints.chunks(2).map(|two| two[0] & 15 | two.get(1).map_or(0, |b| b << 4)).collect();
        let fuse = Fuse::of(&descriptor, prints.len()).unwrap();
        assert!(Fuse::of(&descriptor, prints.len() / 2).is_none());
        let both = |key| (fuse.has(prints, key).unwrap(), fuse.has_half(&halves, key).unwrap());
        assert!(keys.iter().all(|k| both(*k) == (true, true)));
        let (mut wrong, mut wrong_whole) = (0, 0);
        for other in (10_000..110_000).map(Term::mix) {
            let (whole, half) = both(other);
            assert_eq!(whole, xorf.contains(&other));
            assert!(half || !whole, "what the whole finds its half finds");
            (wrong, wrong_whole) = (wrong + u32::from(half), wrong_whole + u32::from(whole));
        }
        assert!(
            (5_500..7_000).contains(&wrong) && wrong_whole < 1_000,
            "one in 16, not {wrong} of 100,000 ({wrong_whole})"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_up_in(bytes in prop::collection::vec(any::<u8>(), 0..200), key in any::<u64>(), log in 0..8u32) {
            let length = 1u32 << log;
            let good = [key.to_le_bytes().to_vec(), [length, length - 1, length].map(u32::to_le_bytes).concat()].concat();
            for descriptor in [&bytes, &good] {
                if let Some(fuse) = Fuse::of(descriptor, bytes.len()) {
                    prop_assert!(fuse.has(&bytes, key).is_some());
                }
                if let Some(fuse) = Fuse::of(descriptor, bytes.len() * 2) {
                    prop_assert!(fuse.has_half(&bytes, key).is_some());
                }
            }
        }
    }
}
