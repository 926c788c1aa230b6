//! A model of the kernel's shunt. Owns what a packet meets before the worker does; the tests' clock drives it.

use super::*;

/// `struct rt_shunt_slot`, and how user space has treated it.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    counts: ShuntCounts,
    passing_since: Option<u64>,
    sample: u32,
    hits: u64,
    taken: u64,
}

/// The kernel's shunt: counts and drops, and goes on doing so for a moment in programs that read a slot before it passed.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    pub(super) now: u64,
    pub(super) slots: Vec<Option<Slot>>,
    pub(super) map: HashMap<Key, u32>,
    pub(super) stopped: bool,
}

impl Kernel {
    pub(super) fn new(slots: usize) -> Kernel {
        Kernel { slots: vec![None; slots], ..Kernel::default() }
    }

    /// What the program does with a packet; `late`: it looked the slot up before it passed. True: dropped.
    pub(super) fn packet(&mut self, p: &Parsed, time: u64, bytes: u32, late: bool) -> bool {
        if p.tcp_flags & (SYN | FIN | RST) != 0 || p.key.tail().kind() == crate::packet::key::Kind::Fragment {
            return false;
        }
        let Some(slot) = self.map.get(&p.key).and_then(|&i| self.slots[i as usize].as_mut()) else { return false };
        let mut drops = slot.passing_since.is_none_or(|since| late && self.now < since + RETIRE_NS);
        if drops && slot.sample > 0 {
            slot.hits += 1;
            drops = !slot.hits.is_multiple_of(slot.sample.into());
        }
        if drops {
            slot.counts.packets += 1;
            slot.counts.bytes += u64::from(bytes);
            slot.counts.last = slot.counts.last.max(time);
        }
        drops
    }

    pub(super) fn slot(&self, slot: ShuntSlot) -> &Slot {
        self.slots[slot.0 as usize].as_ref().expect("a slot that is in use")
    }
}

impl Shunt for Kernel {
    fn insert(&mut self, key: &Key) -> Option<ShuntSlot> {
        if self.map.contains_key(key) {
            return None;
        }
        let free = self.slots.iter().position(Option::is_none)?;
        self.slots[free] = Some(Slot::default());
        self.map.insert(*key, free as u32);
        Some(ShuntSlot(free as u32))
    }
    fn sample(&mut self, slot: ShuntSlot, one_in: u32) {
        let slot = self.slots[slot.0 as usize].as_mut().expect("a slot that is in use");
        (slot.sample, slot.taken) = (one_in, slot.hits.checked_div(one_in.into()).unwrap_or(0));
    }
    fn drawn(&mut self, slot: ShuntSlot) -> bool {
        let slot = self.slots[slot.0 as usize].as_mut().expect("a slot that is in use");
        let up = slot.hits.checked_div(slot.sample.into()).unwrap_or(0);
        let drawn = slot.taken < up;
        slot.taken += u64::from(drawn);
        drawn
    }
    fn counts(&self, slot: ShuntSlot) -> ShuntCounts {
        self.slot(slot).counts
    }
    fn pass(&mut self, slot: ShuntSlot) {
        let now = self.now;
        let slot = self.slots[slot.0 as usize].as_mut().expect("a slot that is in use");
        assert!(slot.passing_since.replace(now).is_none(), "passes once");
    }
    fn remove(&mut self, key: &Key, slot: ShuntSlot) -> ShuntCounts {
        let since = self.slot(slot).passing_since.expect("passes before it is removed");
        assert!(self.stopped || self.now >= since + RETIRE_NS, "removed {} ns after it passed", self.now - since);
        assert_eq!(self.map.remove(key), Some(slot.0), "the slot is the key's");
        self.slots[slot.0 as usize].take().map(|s| s.counts).unwrap_or_default()
    }
    fn capacity(&self) -> usize {
        self.slots.len()
    }
}
