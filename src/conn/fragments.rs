//! First fragments of the last 30 s, so that the fragments that follow find their connection. Owns a bounded table: a flood
//! of first fragments pushes out the oldest of a bucket, nothing else. Called by the tracker for fragments only.
//!
//! A datagram is known by its addresses with their direction, protocol (IPv4), identification, VLAN ids and tunnel id, here as
//! a keyed hash of 64 bits: nobody can make two of them meet. The latest first fragment with a name counts.

use super::cutoff::Secret;
use crate::limits::FRAGMENT_NS;
use crate::packet::Parsed;
use crate::packet::key::{Key, Key4};
use siphasher::sip::SipHasher24;
use std::hash::{Hash, Hasher};

/// Fragments of one bucket.
const BUCKET: usize = 8;

#[derive(Clone, Copy, Debug)]
struct First {
    /// The datagram; 0: unused.
    name: u64,
    time: u64,
    hash: u64,
    key: Key,
    swapped: bool,
}

/// Nothing of it is zero but the name, so that making the table touches its memory.
const UNUSED: First = First {
    name: 0,
    time: 0,
    hash: u64::MAX,
    key: Key::V4(Key4 { addr: [[255; 4]; 2], tail: super::table::NO_TAIL }),
    swapped: false,
};

/// The first fragments that are remembered.
#[derive(Debug)]
pub(super) struct Fragments {
    firsts: Box<[First]>,
    secret: Secret,
}

impl Fragments {
    /// Room for at least `capacity` datagrams.
    pub(super) fn new(capacity: usize, secret: Secret) -> Fragments {
        Fragments { firsts: vec![UNUSED; capacity.next_multiple_of(BUCKET).max(BUCKET)].into_boxed_slice(), secret }
    }

    /// Bytes that [`new`](Fragments::new) takes.
    pub(super) fn bytes(capacity: usize) -> usize {
        capacity.next_multiple_of(BUCKET).max(BUCKET) * size_of::<First>()
    }

    /// The name of the datagram that a packet is a fragment of.
    fn name(&self, p: &Parsed, id: u32) -> u64 {
        let mut pair = p.key.portless();
        let one_sided = match &mut pair {
            Key::V4(k) => k.addr[0] == k.addr[1],
            Key::V6(k) => {
                // A later fragment of IPv6 does not always tell the protocol.
                k.tail.proto = 0;
                k.addr[0] == k.addr[1]
            }
        };
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        // Without ports a connection with itself has no direction.
        (pair, p.swapped && !one_sided, id).hash(&mut hasher);
        hasher.finish().max(1)
    }

    fn bucket(&mut self, name: u64) -> &mut [First] {
        let buckets = self.firsts.len() / BUCKET;
        let at = ((u128::from(name) * buckets as u128) >> 64) as usize * BUCKET;
        self.firsts.get_mut(at..at + BUCKET).unwrap_or_default()
    }

    /// Remembers a first fragment.
    pub(super) fn remember(&mut self, p: &Parsed, id: u32, time: u64) {
        let name = self.name(p, id);
        let first = First { name, time, hash: p.hash, key: p.key, swapped: p.swapped };
        let bucket = self.bucket(name);
        let oldest =
            bucket.iter_mut().min_by_key(|f| if f.name == name { (0, 0) } else { (1 + u8::from(f.name != 0), f.time) });
        if let Some(slot) = oldest {
            *slot = first;
        }
    }

    /// Gives a later fragment the connection of its first, if that was seen in the last 30 s.
    pub(super) fn follow(&mut self, p: &mut Parsed, id: u32, time: u64) {
        let name = self.name(p, id);
        let first = self.bucket(name).iter().find(|f| f.name == name && time.saturating_sub(f.time) <= FRAGMENT_NS);
        if let Some(first) = first {
            (p.key, p.hash, p.swapped, p.renamed) = (first.key, first.hash, first.swapped, true);
        }
    }
}
