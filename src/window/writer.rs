//! The window as capture has it: it alone writes. Owns which slot is whose; hands out parts of it to writers, segments and the ledger, each of which
//! writes its own words.

use super::cells::{ClassCells, LAYOUT_VERSION, ProgressCells, SEALED_NAMED, SegmentCells, WindowCells};
use super::shared::{Cells, SharedMemory, Writable};
use crate::limits::{SEGMENT_SLOTS, WRITERS_MAX};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// A segment that was sealed: all that its path is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedInWindow {
    /// Unique in the store.
    pub number: u64,
    /// Id of its class.
    pub class: u8,
    /// Its worker.
    pub worker: u16,
    /// Time of its first packet, Unix ns.
    pub first: u64,
}

/// What memory holds of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldOfClass {
    /// Its blocks, bytes.
    pub bytes: u64,
    /// Time of the oldest packet, Unix ns; 0: there is none.
    pub since: u64,
}

/// Bits of a word.
const BITS: usize = 64;

/// The window.
#[derive(Debug)]
pub struct Window {
    cells: Cells<WindowCells>,
    /// Slots of segments that are taken, a bit each: not by what others could write.
    taken: [AtomicU64; SEGMENT_SLOTS / BITS],
}

impl Window {
    /// Makes one; capture begins now.
    pub fn create() -> io::Result<Arc<Window>> {
        let memory = SharedMemory::create("retrotap-window", size_of::<WindowCells>(), Writable::ByOne)?;
        let window = Window { cells: Cells::new(memory)?, taken: std::array::from_fn(|_| AtomicU64::new(0)) };
        window.cells.started.store(crate::units::now(), Relaxed);
        window.cells.version.store(LAYOUT_VERSION, Release);
        Ok(Arc::new(window))
    }

    /// For those who read it.
    pub fn file(&self) -> io::Result<OwnedFd> {
        self.cells.memory().file()
    }

    /// Its words.
    pub fn cells(&self) -> &WindowCells {
        &self.cells
    }

    /// Which store this is.
    pub fn name_store(&self, id: &[u8; 16]) {
        let (words, _) = id.as_chunks::<8>();
        for (cell, bytes) in self.cells.store.iter().zip(words) {
            cell.store(u64::from_le_bytes(*bytes), Relaxed);
        }
    }

    /// What a class is called: once.
    pub fn name_class(&self, id: u8, name: &str) {
        let Some(class) = self.cells.classes.get(usize::from(id)) else { return };
        if class.len.load(Relaxed) > 0 || name.len() > 8 * class.name.len() {
            return;
        }
        for (cell, bytes) in class.name.iter().zip(name.as_bytes().chunks(8)) {
            let mut word = [0; 8];
            word.iter_mut().zip(bytes).for_each(|(to, b)| *to = *b);
            cell.store(u64::from_le_bytes(word), Relaxed);
        }
        class.len.store(name.len() as u64, Release);
    }

    /// A sign of life, and how full rings and blocks are, each as a part of 1.
    pub fn beat(&self, mono_ns: u64, ring: f64, blocks: f64) {
        self.cells.ring.store(ring.to_bits(), Relaxed);
        self.cells.blocks.store(blocks.to_bits(), Relaxed);
        self.cells.beat.store(mono_ns, Release);
    }

    /// Memory gives up packets of a class up to this time. To be said before it does.
    pub fn gone(&self, class: u8, last: u64) {
        if let Some(class) = self.cells.classes.get(usize::from(class)) {
            class.gone.fetch_max(last, AcqRel);
        }
    }

    /// What memory holds of a class from now on.
    pub fn holds(&self, class: u8, held: &HeldOfClass) {
        if let Some(class) = self.cells.classes.get(usize::from(class)) {
            class.held.store(held.bytes, Relaxed);
            class.since.store(held.since, Relaxed);
        }
    }

    /// What memory holds of each class that there was.
    pub fn held(&self) -> BTreeMap<String, HeldOfClass> {
        let of = |c: &ClassCells| HeldOfClass { bytes: c.held.load(Relaxed), since: c.since.load(Relaxed) };
        let named = |c: &ClassCells| Some((c.name()?, of(c)));
        self.cells.classes.iter().filter_map(named).filter(|(_, held)| held.bytes > 0).collect()
    }

    /// A block has come into memory.
    pub fn took_in(&self) {
        self.cells.taken.fetch_add(1, Release);
    }

    /// A block has not: it is on disk only.
    pub fn missed(&self) {
        self.cells.missed.fetch_add(1, Release);
    }

    /// Blocks that came into memory, and that did not.
    pub fn counts(&self) -> (u64, u64) {
        (self.cells.taken.load(Acquire), self.cells.missed.load(Acquire))
    }

    /// A segment is where sealed ones are. One thread says so.
    pub fn sealed(&self, segment: &SealedInWindow) {
        let n = self.cells.sealed.load(Relaxed);
        if let Some(cells) = self.cells.last_sealed.get(n as usize % SEALED_NAMED) {
            cells.number.store(segment.number, Relaxed);
            cells.about.store(u64::from(segment.class) | u64::from(segment.worker) << 16, Relaxed);
            cells.first.store(segment.first, Relaxed);
        }
        self.cells.sealed.store(n + 1, Release);
    }

    /// A writer begins. `None`: there were too many.
    pub fn begin(self: &Arc<Window>) -> Option<WriterProgress> {
        let taken = self.cells.writers.fetch_update(AcqRel, Acquire, |n| (n < WRITERS_MAX as u64).then_some(n + 1));
        let progress = WriterProgress { window: self.clone(), at: taken.ok()? as usize };
        progress.set(u64::MAX, 0, 0);
        Some(progress)
    }

    /// A slot for a segment. `None`: all are taken.
    pub fn segment(self: &Arc<Window>, number: u64) -> Option<SegmentSlot> {
        let at = self.taken.iter().enumerate().find_map(|(n, word)| {
            let free = |bits: u64| (bits != u64::MAX).then(|| bits | 1 << bits.trailing_ones());
            let before = word.fetch_update(AcqRel, Acquire, free).ok()?;
            Some(n * BITS + before.trailing_ones() as usize)
        })?;
        let slot = SegmentSlot { window: self.clone(), at };
        let cells = slot.cells()?;
        cells.settled.store(0, Relaxed);
        cells.about.store(0, Relaxed);
        cells.number.store(number.saturating_add(1), Release);
        self.cells.segments_end.fetch_max(at as u64 + 1, AcqRel);
        Some(slot)
    }
}

/// Where a writer says how far it is.
#[derive(Debug)]
pub struct WriterProgress {
    window: Arc<Window>,
    at: usize,
}

impl WriterProgress {
    /// Earliest time that can't be read yet, when it looked, how old packets were: as [`ProgressCells`] has them.
    pub fn set(&self, unsettled: u64, looked: u64, lag: u64) {
        let Some(ProgressCells { unsettled: first, looked: when, lag: age }) = self.window.cells.progress.get(self.at)
        else {
            return;
        };
        age.store(lag, Release);
        first.store(unsettled, Release);
        when.store(looked, Release);
    }
}

/// Where an unsealed segment is shown. The slot is its own as long as this is there.
#[derive(Debug)]
pub struct SegmentSlot {
    window: Arc<Window>,
    pub(super) at: usize,
}

impl SegmentSlot {
    fn cells(&self) -> Option<&SegmentCells> {
        self.window.cells.segments.get(self.at)
    }

    /// Whose it is.
    pub fn open(&self, class: u8, worker: u16) {
        if let Some(cells) = self.cells() {
            cells.about.store(u64::from(class) | u64::from(worker) << 16, Release);
        }
    }

    /// All before this offset can be read.
    pub fn settle(&self, offset: u64) {
        if let Some(cells) = self.cells() {
            cells.settled.fetch_max(offset, AcqRel);
        }
    }

    /// How far it can be read.
    pub fn settled(&self) -> u64 {
        self.cells().map_or(0, |cells| cells.settled.load(Acquire))
    }

    /// It is shown no more: it is sealed, or gone. Whoever still has it may settle what he likes.
    pub fn hide(&self) {
        if let Some(cells) = self.cells() {
            cells.number.store(0, Release);
        }
    }
}

impl Drop for SegmentSlot {
    fn drop(&mut self) {
        self.hide();
        if let Some(word) = self.window.taken.get(self.at / BITS) {
            word.fetch_and(!(1 << (self.at % BITS)), AcqRel);
        }
    }
}
