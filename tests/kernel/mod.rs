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

/// A key's tail as the kernel has it.
pub fn tail_bytes(t: &Tail) -> [u8; 16] {
    let halves = [t.vlan[0], t.vlan[1], t.port[0], t.port[1], u16::from_ne_bytes([t.proto, t.kind]), t.zero];
    let mut bytes = t.net.to_ne_bytes().to_vec();
    bytes.extend(halves.iter().flat_map(|h| h.to_ne_bytes()));
    bytes.try_into().unwrap()
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
