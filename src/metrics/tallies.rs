//! What one worker did with each packet, by interface and class. Owns the cells: written in place by the worker, one plain add
//! each, read at any time by the control thread, without a lock; at rest exact. The worker's part of the account is
//! their sum, so that the whole and its parts can't disagree.

use super::account::{Tally, WorkerCounts};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What is known of a packet before it has a class.
#[derive(Clone, Copy, Debug)]
pub enum Early {
    /// Taken from the source.
    Received,
    /// Part of received: handed over to the worker that owns the connection.
    HandedOver,
    /// Not matched by the global filter.
    Filtered,
    /// The ring to the connection's owner was full.
    HandoffFull,
    /// Of a connection that is not tracked and not to be stored: a flood.
    Flood,
    /// A copy that a mirror port made.
    Duplicate,
    /// Part of received: of what is not followed, and may be many connections under one name.
    Unfollowed,
}

/// What becomes of a packet that has a class.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Appended to a block.
    Stored,
    /// Part of stored: its connection is not tracked.
    Untracked,
    /// Past the cutoff.
    Cut,
    /// Past the cutoff of a sampled class, and not drawn.
    SampledOut,
    /// Of a class that records nothing.
    Discarded,
    /// No free block.
    DiskStall,
}

const EARLY: usize = 7;
const FATES: usize = 6;

#[derive(Debug, Default)]
struct Cell {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Cell {
    /// Only the one writer adds, so that load and store need not be one step.
    #[inline]
    fn add(&self, wire_len: u32) {
        self.packets.store(self.packets.load(Relaxed) + 1, Relaxed);
        self.bytes.store(self.bytes.load(Relaxed) + u64::from(wire_len), Relaxed);
    }

    fn get(&self) -> Tally {
        Tally { packets: self.packets.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }
}

/// The tallies of one worker. What comes from an interface past the last row counts on the last.
#[derive(Debug)]
pub struct Tallies {
    interfaces: usize,
    classes: usize,
    early: Box<[Cell]>,
    fates: Box<[Cell]>,
}

impl Default for Tallies {
    fn default() -> Tallies {
        Tallies::new(1, 1)
    }
}

impl Tallies {
    /// Takes all memory.
    pub fn new(interfaces: usize, classes: usize) -> Tallies {
        let (interfaces, classes) = (interfaces.max(1), classes.max(1));
        let cells = |n: usize| (0..n).map(|_| Cell::default()).collect();
        Tallies {
            interfaces,
            classes,
            early: cells(Tallies::early_cells(interfaces)),
            fates: cells(interfaces * classes * FATES),
        }
    }

    /// Bytes that [`Tallies::new`] takes.
    pub fn bytes(interfaces: usize, classes: usize) -> usize {
        (Tallies::early_cells(interfaces.max(1)) + interfaces.max(1) * classes.max(1) * FATES) * size_of::<Cell>()
    }

    fn early_cells(interfaces: usize) -> usize {
        interfaces * EARLY
    }

    /// Counts a packet that has no class, yet or ever.
    #[inline]
    pub fn early(&self, interface: u16, what: Early, wire_len: u32) {
        let row = usize::from(interface).min(self.interfaces - 1);
        if let Some(cell) = self.early.get(row * EARLY + what as usize) {
            cell.add(wire_len);
        }
    }

    /// Packets that the disk was too slow for, by class.
    pub fn stalled(&self) -> Vec<u64> {
        let of = |row: usize, class: usize| (row * self.classes + class) * FATES + Fate::DiskStall as usize;
        let one = |row, class| self.fates.get(of(row, class)).map_or(0, |c| c.get().packets);
        (0..self.classes).map(|class| (0..self.interfaces).map(|row| one(row, class)).sum()).collect()
    }

    /// Counts a packet of a class.
    #[inline]
    pub fn fate(&self, interface: u16, class: u8, what: Fate, wire_len: u32) {
        let row = usize::from(interface).min(self.interfaces - 1) * self.classes;
        let at = row + usize::from(class).min(self.classes - 1);
        if let Some(cell) = self.fates.get(at * FATES + what as usize) {
            cell.add(wire_len);
        }
    }

    /// Everything, added to `rows`: one for each interface.
    pub fn add_to(&self, rows: &mut Vec<Row>) {
        if rows.len() < self.interfaces {
            rows.resize_with(self.interfaces, || Row::new(self.classes));
        }
        for (row, early) in rows.iter_mut().zip(self.early.chunks_exact(EARLY)) {
            let get = |what: Early| early.get(what as usize).map(Cell::get).unwrap_or_default();
            let e = &mut row.early;
            e.received += get(Early::Received);
            e.handed_over += get(Early::HandedOver);
            e.filtered += get(Early::Filtered);
            e.dropped.handoff_full += get(Early::HandoffFull);
            e.dropped.flood += get(Early::Flood);
            e.duplicate += get(Early::Duplicate);
            e.unfollowed += get(Early::Unfollowed);
        }
        let classes = rows.iter_mut().flat_map(|r| r.classes.iter_mut());
        for (class, fates) in classes.zip(self.fates.chunks_exact(FATES)) {
            let get = |what: Fate| fates.get(what as usize).map(Cell::get).unwrap_or_default();
            class.stored += get(Fate::Stored);
            class.untracked += get(Fate::Untracked);
            class.cut += get(Fate::Cut);
            class.sampled_out += get(Fate::SampledOut);
            class.class_discard += get(Fate::Discarded);
            class.dropped.disk_stall += get(Fate::DiskStall);
        }
    }

    /// The sum of all cells.
    pub fn total(&self) -> WorkerCounts {
        let mut rows = Vec::new();
        self.add_to(&mut rows);
        let mut sum = WorkerCounts::default();
        rows.iter().for_each(|r| sum += r.total());
        sum
    }
}

/// What was counted of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// What has no class: received, handed over, filtered, duplicates, two kinds of loss. The rest is 0.
    pub early: WorkerCounts,
    /// By class the rest.
    pub classes: Vec<WorkerCounts>,
}

impl Row {
    fn new(classes: usize) -> Row {
        Row { early: WorkerCounts::default(), classes: vec![WorkerCounts::default(); classes] }
    }

    /// All of it.
    pub fn total(&self) -> WorkerCounts {
        let mut sum = self.early;
        self.classes.iter().for_each(|c| sum += *c);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_in_a_cell_is_read_there_and_in_the_sum() {
        let t = Tallies::new(2, 3);
        t.early(0, Early::Received, 60);
        t.early(1, Early::Received, 100);
        t.early(1, Early::Flood, 100);
        t.fate(1, 2, Fate::Stored, 60);
        t.fate(1, 2, Fate::Stored, 1500);
        t.fate(0, 1, Fate::Cut, 7);
        // Past the last row and class: nothing is lost.
        t.fate(9, 9, Fate::DiskStall, 5);
        let mut rows = Vec::new();
        t.add_to(&mut rows);
        t.add_to(&mut rows);
        let tally = |packets, bytes| Tally { packets, bytes };
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].early.received, tally(2, 120));
        assert_eq!((rows[1].early.received, rows[1].early.dropped.flood), (tally(2, 200), tally(2, 200)));
        assert_eq!((rows[1].classes[2].stored, rows[0].classes[1].cut), (tally(4, 3120), tally(2, 14)));
        assert_eq!(rows[1].classes[2].dropped.disk_stall, tally(2, 10));
        let total = t.total();
        assert_eq!((total.received, total.stored, total.cut), (tally(2, 160), tally(2, 1560), tally(1, 7)));
        assert_eq!(total.dropped.total(), tally(2, 105));
    }
}
