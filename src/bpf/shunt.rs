//! The kernel's shunt as one worker sees it: a hash table in two arrays of the kernel that are mapped here, buckets of places
//! and slots of connections. Owns a partition of the slots and their reuse, and the rule by which workers share the buckets;
//! called by the tracker through [`Shunt`]. Everything is plain memory access: no system call, no lock, no allocation.

use super::Error;
use super::abi::{Bucket, DROP, PASS, SAMPLE, Slot};
use super::array::Array;
use crate::conn::shunt::{Shunt, ShuntCounts, ShuntSlot};
use crate::packet::Hasher;
use crate::packet::key::{Key, Kind};
use crate::source::clock::{Clock, monotonic};
use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// A freed slot rests this long, so that no program that found it under its old key still runs when it gets a new one.
const REST_NS: u64 = 10_000_000;

/// Buckets for so many slots: with two connections a bucket on the average, one connection in 4,000 finds its bucket full.
pub(super) fn buckets(slots: u32) -> u32 {
    (slots / 2).max(1).next_power_of_two()
}

/// The maps, shared by all workers.
#[derive(Debug)]
pub struct ShuntMaps {
    buckets: Array<Bucket>,
    slots: Array<Slot>,
    capacity: u32,
    hasher: Hasher,
}

impl ShuntMaps {
    /// Bytes of kernel memory for `slots` places.
    pub fn bytes(slots: u32) -> u64 {
        Array::<Slot>::bytes(slots.max(1)) + Array::<Bucket>::bytes(buckets(slots))
    }

    /// # Safety
    /// `buckets` and `slots` are those maps of a program that was made for `capacity` slots.
    pub(super) unsafe fn new(
        buckets: OwnedFd,
        slots: OwnedFd,
        capacity: u32,
        hasher: Hasher,
    ) -> Result<ShuntMaps, Error> {
        // SAFETY: abi.rs asserts the sizes of the values, which are atomics; the caller vouches for their number.
        let (buckets, slots) = unsafe {
            (Array::new("buckets", buckets, self::buckets(capacity))?, Array::new("slots", slots, capacity.max(1))?)
        };
        Ok(ShuntMaps { buckets, slots, capacity, hasher })
    }

    /// The maps `buckets` and `slots`.
    pub(super) fn maps(&self) -> [BorrowedFd<'_>; 2] {
        [self.buckets.map(), self.slots.map()]
    }

    /// The bucket of a key, and the place that leads from it to a slot.
    #[inline]
    fn place(&self, key: &Key, slot: u32) -> (&Bucket, u64) {
        let hash = self.hasher.hash(key);
        let bucket = (hash >> 32) as u32 & (self.buckets.len() - 1);
        (self.buckets.at(bucket), hash << 32 | u64::from(slot + 1))
    }

    /// Leads a key to a slot. False: no place is free, or one has the key's tag, be it the key's own that is retiring.
    fn enter(&self, key: &Key, slot: u32) -> bool {
        let (Bucket(places), place) = self.place(key, slot);
        // Only its owner puts a key in: it can't come in twice between this look and the exchange.
        if places.iter().map(|p| p.load(Relaxed)).any(|p| p != 0 && p >> 32 == place >> 32) {
            return false;
        }
        // Another worker may take a place that was free a moment ago. Release: whoever finds the place sees the slot's key.
        places.iter().any(|p| p.load(Relaxed) == 0 && p.compare_exchange(0, place, Release, Relaxed).is_ok())
    }

    /// The key leads nowhere from now on.
    fn leave(&self, key: &Key, slot: u32) {
        let (Bucket(places), place) = self.place(key, slot);
        if let Some(p) = places.iter().find(|p| p.load(Relaxed) == place) {
            p.store(0, Release);
        }
    }

    /// Cuts the places into one partition a worker.
    pub fn partition(self: &Arc<Self>, workers: usize, clock: &Arc<Clock>) -> Vec<KernelShunt> {
        let each = self.capacity / workers.max(1) as u32;
        (0..workers as u32)
            .map(|w| KernelShunt {
                maps: self.clone(),
                clock: clock.clone(),
                size: each,
                free: (w * each..(w + 1) * each).map(|slot| (slot, 0)).collect(),
            })
            .collect()
    }
}

/// One worker's part of the shunt.
#[derive(Debug)]
pub struct KernelShunt {
    maps: Arc<ShuntMaps>,
    clock: Arc<Clock>,
    size: u32,
    /// Free slots with the time they were freed, longest free first.
    free: VecDeque<(u32, u64)>,
}

impl KernelShunt {
    /// Places in use, retiring ones included.
    pub fn used(&self) -> usize {
        self.size as usize - self.free.len()
    }

    fn read(&self, slot: &Slot) -> ShuntCounts {
        let last = match slot.last.load(Relaxed) {
            0 => 0,
            last => self.clock.unix(last),
        };
        ShuntCounts { packets: slot.packets.load(Relaxed), bytes: slot.bytes.load(Relaxed), last }
    }
}

impl Shunt for KernelShunt {
    fn insert(&mut self, key: &Key) -> Option<ShuntSlot> {
        // What the kernel never drops by its key needs no place: fragments go up, and so does what it can't parse.
        if !matches!(key.tail().kind(), Kind::Ip | Kind::Ether | Kind::Llc) {
            return None;
        }
        let now = monotonic();
        let &(index, freed) = self.free.front()?;
        if freed != 0 && now < freed + REST_NS {
            return None;
        }
        let slot = self.maps.slots.at(index);
        for counter in [&slot.packets, &slot.bytes, &slot.last, &slot.hits, &slot.taken] {
            counter.store(0, Relaxed);
        }
        for (to, word) in slot.key.iter().zip(key.words()) {
            to.store(word, Relaxed);
        }
        slot.wide.store(matches!(key, Key::V6(_)).into(), Relaxed);
        slot.state.store(DROP, Relaxed);
        if !self.maps.enter(key, index) {
            slot.state.store(PASS, Release);
            return None;
        }
        self.free.pop_front();
        Some(ShuntSlot(index))
    }

    fn counts(&self, slot: ShuntSlot) -> ShuntCounts {
        self.read(self.maps.slots.at(slot.0))
    }

    fn sample(&mut self, slot: ShuntSlot, one_in: u32) {
        let slot = self.maps.slots.at(slot.0);
        slot.sample.store(one_in, Relaxed);
        // What went up under another number is not waited for.
        slot.taken.store(slot.hits.load(Relaxed).checked_div(one_in.into()).unwrap_or(0), Relaxed);
        slot.state.store(if one_in == 0 { DROP } else { SAMPLE }, Release);
    }

    fn drawn(&mut self, slot: ShuntSlot) -> bool {
        let slot = self.maps.slots.at(slot.0);
        let up = slot.hits.load(Relaxed).checked_div(slot.sample.load(Relaxed).into()).unwrap_or(0);
        let taken = slot.taken.load(Relaxed);
        let drawn = taken < up;
        slot.taken.store(taken + u64::from(drawn), Relaxed);
        drawn
    }

    fn pass(&mut self, slot: ShuntSlot) {
        self.maps.slots.at(slot.0).state.store(PASS, Release);
    }

    fn remove(&mut self, key: &Key, slot: ShuntSlot) -> ShuntCounts {
        let place = self.maps.slots.at(slot.0);
        place.state.store(PASS, Release);
        self.maps.leave(key, slot.0);
        let counts = self.read(place);
        self.free.push_back((slot.0, monotonic()));
        counts
    }

    fn capacity(&self) -> usize {
        self.size as usize
    }
}
