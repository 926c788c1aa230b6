//! The kernel's shunt as one worker sees it: two hash maps from a connection to a slot, and the mmapped slots. Owns a
//! partition of the slots and their reuse; called by the tracker through [`Shunt`]. An insert and a remove are one system
//! call each; counts and the turn to passing are plain memory access. Nothing allocates after the start.

use super::Error;
use super::abi::{DROP, PASS, Slot};
use super::map::Map;
use crate::conn::shunt::{Shunt, ShuntCounts, ShuntSlot};
use crate::packet::key::{Key, Key4, Key6, Kind};
use crate::source::clock::{Clock, monotonic};
use libbpf_rs::libbpf_sys as sys;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A freed slot rests this long, so that no program that found it under its old key still runs when it gets a new one.
const REST_NS: u64 = 10_000_000;

/// The maps, shared by all workers.
#[derive(Debug)]
pub struct ShuntMaps {
    v4: Map<Key4, u32>,
    v6: Map<Key6, u32>,
    array: Map<u32, Slots>,
    slots: NonNull<Slot>,
    len: usize,
    capacity: u32,
}

// SAFETY: slots are atomics; the descriptors may be used from any thread.
unsafe impl Send for ShuntMaps {}
// SAFETY: as above.
unsafe impl Sync for ShuntMaps {}

impl ShuntMaps {
    /// Bytes of kernel memory for `slots` places: a preallocated element (48 B and key and value) in each hash map, 8 to
    /// 16 B of bucket for each, and the slot.
    pub fn bytes(slots: u32) -> u64 {
        let buckets = u64::from(slots.max(1)).next_power_of_two() * 16;
        u64::from(slots) * ((48 + 24 + 8) + (48 + 48 + 8) + 64) + 2 * buckets
    }

    /// `array` has `capacity` values of `struct rt_shunt_slot` and is mmapable.
    pub(super) fn new(
        v4: Map<Key4, u32>,
        v6: Map<Key6, u32>,
        array: Map<u32, Slots>,
        capacity: u32,
    ) -> Result<ShuntMaps, Error> {
        let len = (capacity.max(1) as usize * size_of::<Slot>()).next_multiple_of(4096);
        // SAFETY: a fresh mapping of the array's values at an address of the kernel's choice.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                array.as_fd().as_raw_fd(),
                0,
            )
        };
        match NonNull::new(at.cast::<Slot>()) {
            Some(slots) if at != libc::MAP_FAILED => Ok(ShuntMaps { v4, v6, array, slots, len, capacity }),
            _ => Err(Error::Map { map: "slots", source: io::Error::last_os_error() }),
        }
    }

    /// The maps `shunt4`, `shunt6` and `slots`.
    pub(super) fn maps(&self) -> [BorrowedFd<'_>; 3] {
        [self.v4.as_fd(), self.v6.as_fd(), self.array.as_fd()]
    }

    #[inline]
    fn slot(&self, i: u32) -> &Slot {
        let i = i.min(self.capacity.saturating_sub(1));
        // SAFETY: within the mapped values, of which there is at least one; a slot's fields are atomics.
        unsafe { self.slots.add(i as usize).as_ref() }
    }

    fn insert(&self, key: &Key, slot: u32) -> io::Result<()> {
        match key {
            Key::V4(k) => self.v4.update(k, &slot, sys::BPF_NOEXIST),
            Key::V6(k) => self.v6.update(k, &slot, sys::BPF_NOEXIST),
        }
    }

    fn delete(&self, key: &Key) -> io::Result<()> {
        match key {
            Key::V4(k) => self.v4.delete(k),
            Key::V6(k) => self.v6.delete(k),
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

impl Drop for ShuntMaps {
    fn drop(&mut self) {
        // SAFETY: the range that mmap returned; nobody else holds a reference into it.
        unsafe { libc::munmap(self.slots.as_ptr().cast(), self.len) };
    }
}

/// A value of the map `slots`, for its size only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots(#[allow(dead_code)] [u64; 8]);

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
        let last = match slot.last.load(Ordering::Relaxed) {
            0 => 0,
            last => self.clock.unix(last),
        };
        ShuntCounts { packets: slot.packets.load(Ordering::Relaxed), bytes: slot.bytes.load(Ordering::Relaxed), last }
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
        let slot = self.maps.slot(index);
        slot.packets.store(0, Ordering::Relaxed);
        slot.bytes.store(0, Ordering::Relaxed);
        slot.last.store(0, Ordering::Relaxed);
        slot.state.store(DROP, Ordering::Release);
        if self.maps.insert(key, index).is_err() {
            slot.state.store(PASS, Ordering::Release);
            return None;
        }
        self.free.pop_front();
        Some(ShuntSlot(index))
    }

    fn counts(&self, slot: ShuntSlot) -> ShuntCounts {
        self.read(self.maps.slot(slot.0))
    }

    fn pass(&mut self, slot: ShuntSlot) {
        self.maps.slot(slot.0).state.store(PASS, Ordering::Release);
    }

    fn remove(&mut self, key: &Key, slot: ShuntSlot) -> ShuntCounts {
        let place = self.maps.slot(slot.0);
        place.state.store(PASS, Ordering::Release);
        let _ = self.maps.delete(key);
        let counts = self.read(place);
        self.free.push_back((slot.0, monotonic()));
        counts
    }

    fn capacity(&self) -> usize {
        self.size as usize
    }
}
