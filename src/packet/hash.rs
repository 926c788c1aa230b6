//! The flow hash: which worker owns a connection, and where it sits in a table. The same in the kernel (`ebpf/key.h`).
//! Owns nothing but arithmetic; called by the parser, the connection table and hand-over.
//!
//! NH (Black, Halevi, Krawczyk, Krovetz, Rogaway: UMAC, 1999) over the key's words: for a secret seed two keys collide with a chance
//! of 2^-32, whichever keys an attacker picks, and its products do not wait for each other. Murmur3's 64-bit
//! finaliser spreads the sum over all bits, so that any of them may be taken.

use super::key::Key;

/// Words of the larger key (`RT_HASH_WORDS`).
pub const HASH_WORDS: usize = 6;

/// The flow hash under one seed.
#[derive(Clone, Copy, Debug)]
pub struct Hasher {
    keys: [u64; HASH_WORDS],
}

impl Hasher {
    /// Expands the seed (SplitMix64, Steele et al. 2014).
    pub fn new(seed: u64) -> Hasher {
        let mut state = seed;
        let keys = [0; HASH_WORDS].map(|_: u64| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Hasher { keys }
    }

    /// The flow hash that the kernel programs were given these words of the seed for.
    pub fn of_keys(keys: [u64; HASH_WORDS]) -> Hasher {
        Hasher { keys }
    }

    /// What the kernel programs need of the seed: their constant `rt_hash_key`.
    pub fn keys(&self) -> [u64; HASH_WORDS] {
        self.keys
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, key: &Key) -> u64 {
        let [a, b, c, d, e, f] = key.words();
        match key {
            Key::V4(_) => self.nh([a, b, c]),
            Key::V6(_) => self.nh([a, b, c, d, e, f]),
        }
    }

    #[inline]
    fn nh<const N: usize>(&self, words: [u64; N]) -> u64 {
        let sum = words.iter().zip(&self.keys).fold(0u64, |h, (&w, &k)| {
            let lo = u64::from((w as u32).wrapping_add(k as u32));
            let hi = u64::from(((w >> 32) as u32).wrapping_add((k >> 32) as u32));
            h.wrapping_add(lo.wrapping_mul(hi))
        });
        finish(sum)
    }
}

#[inline]
fn finish(mut h: u64) -> u64 {
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

#[cfg(test)]
mod tests {
    use super::super::key::{Key4, Key6, Tail};
    use super::*;

    fn key4(a: u32, b: u32, ports: [u16; 2]) -> Key {
        let tail = Tail { port: ports, proto: 6, ..Tail::default() };
        Key::V4(Key4 { addr: [a.to_be_bytes(), b.to_be_bytes()], tail })
    }

    fn key6(i: u64) -> Key {
        let addr = |low: u64| (0x2001_0db8_0000_0000_0000_0000_0000_0000 | u128::from(low)).to_be_bytes();
        Key::V6(Key6 { addr: [addr(i), addr(1 << 40)], tail: Tail { proto: 17, port: [53; 2], ..Tail::default() } })
    }

    /// Connections as a scan, a busy server and a carrier's addresses make them: they differ in few, low bits.
    fn families() -> Vec<Vec<Key>> {
        vec![
            (0..65536).map(|p| key4(0x0a00_0001, 0x0a00_0002, [p as u16, 443])).collect(),
            (0..65536).map(|a| key4(0x0a00_0000 + a, 0xc000_0201, [40000, 443])).collect(),
            (0..65536).map(|a| key4(0x0a00_0000u32.wrapping_add(a << 16), 0xc000_0201, [40000, 443])).collect(),
            (0..65536).map(|i| key4(0x0a00_0000 + (i >> 8), 0xc000_0201 + (i & 255), [1, 2])).collect(),
            (0..65536).map(key6).collect(),
            (0..65536).map(|i| key6(i << 32)).collect(),
        ]
    }

    /// Low bits, high bits and a remainder put connections into buckets as evenly as chance does.
    #[test]
    fn spreads_like_chance() {
        type Bucket = fn(u64) -> usize;
        let buckets: [(&str, usize, Bucket); 4] = [
            ("low bits", 1024, |h| h as usize & 1023),
            ("high bits", 1024, |h| (h >> 54) as usize),
            ("bits 32 to 41", 1024, |h| (h >> 32) as usize & 1023),
            ("the low half's remainder", 7, |h| (h as u32 % 7) as usize),
        ];
        for seed in 0..8 {
            let hasher = Hasher::new(seed);
            for (family, keys) in families().iter().enumerate() {
                for (name, n, bucket) in buckets {
                    let mut counts = vec![0f64; n];
                    for key in keys {
                        counts[bucket(hasher.hash(key))] += 1.0;
                    }
                    let expected = keys.len() as f64 / n as f64;
                    let chi2: f64 = counts.iter().map(|c| (c - expected).powi(2) / expected).sum();
                    // Mean n - 1, deviation sqrt(2 (n - 1)); six of them either way.
                    let (mean, deviation) = ((n - 1) as f64, (2.0 * (n - 1) as f64).sqrt());
                    assert!((chi2 - mean).abs() < 6.0 * deviation + 6.0, "seed {seed} family {family} {name}: {chi2}");
                }
            }
        }
    }

    /// Each bit of the key changes each bit of the hash about half the time, over seeds.
    #[test]
    fn avalanche() {
        const SEEDS: u64 = 2048;
        let base = [0x0a00_0001_u32, 0xc000_0201];
        for bit in 0..96 {
            let mut flips = [0u32; 64];
            for seed in 0..SEEDS {
                let hasher = Hasher::new(seed);
                let flip = |from: u32| if (from..from + 32).contains(&bit) { 1 << (bit - from) } else { 0 };
                let ports = flip(64);
                let changed =
                    key4(base[0] ^ flip(0), base[1] ^ flip(32), [80 ^ ports as u16, 9 ^ (ports >> 16) as u16]);
                let differs = hasher.hash(&key4(base[0], base[1], [80, 9])) ^ hasher.hash(&changed);
                for (i, n) in flips.iter_mut().enumerate() {
                    *n += (differs >> i & 1) as u32;
                }
            }
            for (i, n) in flips.into_iter().enumerate() {
                let share = f64::from(n) / SEEDS as f64;
                assert!((0.42..0.58).contains(&share), "key bit {bit}, hash bit {i}: {share}");
            }
        }
    }

    /// Keys that differ in what words of other families share still differ: nothing of the key is left out.
    #[test]
    fn every_field_counts() {
        let hasher = Hasher::new(3);
        let base = Key4 {
            addr: [[10, 0, 0, 1], [10, 0, 0, 2]],
            tail: Tail { net: 1, vlan: [2, 3], port: [4, 5], proto: 6, kind: 7, zero: 0 },
        };
        let h = |k: Key4| hasher.hash(&Key::V4(k));
        let t = base.tail;
        for tail in [
            Tail { net: 9, ..t },
            Tail { vlan: [9, 3], ..t },
            Tail { vlan: [2, 9], ..t },
            Tail { port: [9, 5], ..t },
            Tail { port: [4, 9], ..t },
            Tail { proto: 9, ..t },
            Tail { kind: 9, ..t },
        ] {
            assert_ne!(h(base), h(Key4 { tail, ..base }), "{tail:?}");
        }
        assert_ne!(hasher.hash(&Key::V4(base)), Hasher::new(4).hash(&Key::V4(base)));
    }
}
