//! What the tests of the kernel programs share: reading back what a program's parser found, and changed packets.
#![allow(dead_code)]

use crate::packets::cases;
use libbpf_rs::{MapCore, MapFlags};
use proptest::prelude::*;
use retrotap::packet::key::{Key, Key4, Key6, Tail};
use retrotap::packet::{Fragment, Parsed};

/// True, or a word on standard error.
pub fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// What either parser says.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub key: Key,
    pub hash: u64,
    pub fragment: u8,
    pub tcp_flags: u8,
    pub l3: u16,
}

impl Found {
    pub fn of(p: &Parsed) -> Found {
        let fragment = match p.fragment {
            Fragment::None => 0,
            Fragment::First(_) => 1,
            Fragment::Later(_) => 2,
        };
        Found { key: p.key, hash: p.hash, fragment, tcp_flags: p.tcp_flags, l3: p.l3 }
    }

    /// From the map `debug_found` (`struct rt_debug_found` of `ebpf/shunt.h`): what the program found in the last packet.
    pub fn read(map: &impl MapCore) -> Found {
        let bytes = map.lookup(&0u32.to_ne_bytes(), MapFlags::ANY).expect("map").expect("entry");
        let mut cut = Cut(&bytes);
        let addr4 = [cut.array(), cut.array()];
        let tail4 = cut.tail();
        let mut cut = Cut(&bytes);
        let addr6 = [cut.array(), cut.array()];
        let tail6 = cut.tail();
        let hash = u64::from_ne_bytes(cut.array());
        let [version, fragment, tcp_flags, _] = cut.array();
        let key = if version == 4 {
            Key::V4(Key4 { addr: addr4, tail: tail4 })
        } else {
            Key::V6(Key6 { addr: addr6, tail: tail6 })
        };
        Found { key, hash, fragment, tcp_flags, l3: u16::from_ne_bytes(cut.array()) }
    }
}

/// Takes fields off the front of a C structure.
struct Cut<'a>(&'a [u8]);

impl Cut<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk().expect("long enough");
        self.0 = rest;
        *head
    }

    fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.array())
    }

    fn tail(&mut self) -> Tail {
        Tail {
            net: u32::from_ne_bytes(self.array()),
            vlan: [self.u16(), self.u16()],
            port: [self.u16(), self.u16()],
            proto: self.array::<1>()[0],
            kind: self.array::<1>()[0],
            zero: self.u16(),
        }
    }
}

/// Buckets of the shunt in a program that was not told otherwise (`RT_SHUNT_BUCKETS`).
const BUCKETS: u32 = 32768;
/// Where the state is in the words of a slot (`struct rt_shunt_slot`), and the key.
const STATE: usize = 3;
const KEY: usize = 4;
/// One in so many goes up, and the packets that this is told by.
const SAMPLE: usize = 10;
const HITS: usize = 11;

/// Puts a connection into the shunt through the maps `buckets` and `slots`, as a worker does through its mapping. False: its bucket
/// is full.
pub fn shunt(buckets: &impl MapCore, slots: &impl MapCore, p: &Parsed, slot: u32, state: u32) -> bool {
    let mut words = [0; 16];
    words[STATE] = u64::from(state) | u64::from(matches!(p.key, Key::V6(_))) << 32;
    words[KEY..KEY + 6].copy_from_slice(&p.key.words());
    put(slots, slot, &words);
    let at = (p.hash >> 32) as u32 % BUCKETS;
    let mut places = get::<8>(buckets, at);
    let tag = p.hash << 32;
    let Some(free) = places.iter().position(|p| *p == 0 || *p >> 32 == tag >> 32) else { return false };
    places[free] = tag | u64::from(slot + 1);
    put(buckets, at, &places);
    true
}

/// A slot's counters and its state.
pub fn slot(slots: &impl MapCore, slot: u32) -> [u64; 4] {
    let [packets, bytes, last, state, ..] = get::<16>(slots, slot);
    [packets, bytes, last, state as u32 as u64]
}

/// Sends one packet in so many of a slot's connection up.
pub fn sample(slots: &impl MapCore, slot: u32, one_in: u32) {
    let mut words = get::<16>(slots, slot);
    (words[SAMPLE], words[HITS]) = (one_in.into(), 0);
    put(slots, slot, &words);
    set_state(slots, slot, 2);
}

/// Turns a slot to dropping or passing.
pub fn set_state(slots: &impl MapCore, slot: u32, state: u32) {
    let mut words = get::<16>(slots, slot);
    words[STATE] = words[STATE] >> 32 << 32 | u64::from(state);
    put(slots, slot, &words);
}

fn get<const N: usize>(map: &impl MapCore, at: u32) -> [u64; N] {
    let bytes = map.lookup(&at.to_ne_bytes(), MapFlags::ANY).expect("map").expect("entry");
    let mut words = bytes.chunks_exact(8).map(|w| u64::from_ne_bytes(w.try_into().unwrap()));
    std::array::from_fn(|_| words.next().unwrap())
}

fn put(map: &impl MapCore, at: u32, words: &[u64]) {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
    map.update(&at.to_ne_bytes(), &bytes, MapFlags::ANY).expect("update");
}

/// A named packet, changed at a few places and perhaps cut off.
pub fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let base = prop::sample::select(cases().into_iter().map(|c| c.bytes).filter(|b| b.len() >= 14).collect::<Vec<_>>());
    let byte = prop_oneof![any::<u8>(), prop::sample::select(vec![0, 1, 4, 6, 17, 41, 44, 47, 60, 0x45, 0x60, 0x81])];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), byte), 0..6);
    (base, changes, prop::option::weighted(0.3, any::<prop::sample::Index>())).prop_map(|(mut b, changes, cut)| {
        for (at, v) in changes {
            let at = at.index(b.len());
            b[at] = v;
        }
        if let Some(cut) = cut {
            b.truncate(14 + cut.index(b.len() - 13));
        }
        b
    })
}
