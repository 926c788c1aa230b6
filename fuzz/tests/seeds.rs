//! What cargo-fuzz begins with, without cargo-fuzz: every target takes its first inputs, some mutations of them, and what was once found.

use retrotap_fuzz::{TARGETS, Target};
use std::path::Path;

/// First inputs that are tried, and mutations of them.
const FIRST: usize = 200;
const MUTATIONS: usize = 200;

/// SplitMix64: the same numbers each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// A few bytes changed, put in, or left out.
fn mutated(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + dice.below(4) {
        let at = dice.below(bytes.len());
        match (dice.below(4), bytes.get_mut(at)) {
            (0, Some(byte)) => *byte ^= 1 << dice.below(8),
            (1, Some(byte)) => *byte = [0, 0xff, 0x7f, 0x80][dice.below(4)],
            (2, Some(_)) => bytes.truncate(at.max(1)),
            _ => bytes.insert(at, dice.next() as u8),
        }
    }
    bytes
}

fn tried(name: &str) {
    let target: &Target = TARGETS.iter().find(|t| t.name == name).expect("a target");
    let mut seeds = Vec::new();
    (target.seeds)(&mut |bytes| seeds.push(bytes));
    assert!(!seeds.is_empty());
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("found").join(name);
    for file in std::fs::read_dir(found).into_iter().flatten().flatten() {
        (target.run)(&std::fs::read(file.path()).expect("an input that was found"));
    }
    seeds.iter().step_by(seeds.len().div_ceil(FIRST)).for_each(|seed| (target.run)(seed));
    let mut dice = Dice(7);
    for _ in 0..MUTATIONS {
        let seed = &seeds[dice.below(seeds.len())];
        (target.run)(&mutated(seed, &mut dice));
    }
}

macro_rules! each {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { tried(stringify!($name)); })*

        #[test]
        fn all_of_them() {
            let here = [$(stringify!($name)),*];
            assert_eq!(TARGETS.iter().map(|t| t.name).collect::<Vec<_>>(), here);
            let manifest = include_str!("../Cargo.toml");
            let bins: Vec<&str> = manifest.split("[[bin]]\nname = \"").skip(1).filter_map(|b| b.split('"').next()).collect();
            assert_eq!(bins, here, "fuzz/Cargo.toml has a program for each");
        }
    };
}

each!(
    packet, view, capture, segment, index, filters, receipts, ledger, store, records, config, tm_conf, lang, words,
    conn_log, nids_eve, nids_zeek, nids_rules, frames, messages, cursor, splice, programs, scrape, api,
);
