//! The window as serve has it: mapped read-only. Whatever it finds there it takes for numbers: an index or a length that can't be is nothing.

use super::cells::{LAYOUT_VERSION, SEALED_NAMED, SegmentCells, WindowCells};
use super::shared::{Cells, SharedMemory};
use super::writer::SealedInWindow;
use crate::limits::{SEGMENT_SLOTS, WRITERS_MAX};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::{AtomicU64, fence};

/// The window, to look through.
#[derive(Debug)]
pub struct WindowView {
    cells: Cells<WindowCells>,
}

/// An unsealed segment as the window shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownSegment {
    /// Unique in the store.
    pub number: u64,
    /// Id of its class.
    pub class: u8,
    /// Its worker.
    pub worker: u16,
    /// All before this offset can be read; `None`: another recorder has left it, and all that holds counts.
    pub settled: Option<u64>,
}

/// How far one writer is, as [`ProgressCells`](super::cells::ProgressCells) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownProgress {
    /// Earliest time of a packet that can't be read yet.
    pub unsettled: u64,
    /// When it looked.
    pub looked: u64,
    /// How old packets were lately.
    pub lag: u64,
}

impl WindowView {
    /// Maps a window that somebody has made. Fails if it is of another layout.
    pub fn open(file: OwnedFd) -> io::Result<Arc<WindowView>> {
        let cells: Cells<WindowCells> = Cells::new(SharedMemory::read_only(file)?)?;
        match cells.version.load(Acquire) {
            LAYOUT_VERSION => Ok(Arc::new(WindowView { cells })),
            other => Err(io::Error::other(format!("a window of layout {other} instead of {LAYOUT_VERSION}"))),
        }
    }

    /// The store's id.
    pub fn store(&self) -> [u8; 16] {
        let [a, b] = &self.cells.store;
        (u128::from(b.load(Relaxed)) << 64 | u128::from(a.load(Relaxed))).to_le_bytes()
    }

    /// When capture began, Unix ns.
    pub fn started(&self) -> u64 {
        self.cells.started.load(Relaxed)
    }

    /// Capture's last sign of life, monotonic ns: its control thread's, or a writer's.
    pub fn beat(&self) -> u64 {
        let writers = self.progress().map(|p| p.looked).filter(|looked| *looked < u64::MAX);
        writers.max().unwrap_or(0).max(self.cells.beat.load(Acquire))
    }

    /// How full rings and blocks are, each as a part of 1.
    pub fn load(&self) -> (f64, f64) {
        let part = |bits: &AtomicU64| f64::from_bits(bits.load(Relaxed)).clamp(0.0, 1.0);
        (part(&self.cells.ring), part(&self.cells.blocks))
    }

    /// Blocks that came into memory, and that did not.
    pub fn counts(&self) -> (u64, u64) {
        (self.cells.taken.load(Acquire), self.cells.missed.load(Acquire))
    }

    /// Segments that were sealed since capture began.
    pub fn sealed(&self) -> u64 {
        self.cells.sealed.load(Acquire)
    }

    /// Its words, which must not be written: that is a fault here.
    pub fn cells(&self) -> &WindowCells {
        &self.cells
    }

    /// Those that were sealed after so many were, in that order; `None`: too many for all to be named.
    pub fn sealed_since(&self, count: u64) -> Option<Vec<SealedInWindow>> {
        let now = self.sealed();
        let one = |n: u64| {
            let cells = self.cells.last_sealed.get(n as usize % SEALED_NAMED)?;
            let (number, about) = (cells.number.load(Relaxed), cells.about.load(Relaxed));
            let first = cells.first.load(Relaxed);
            Some(SealedInWindow { number, class: about as u8, worker: (about >> 16) as u16, first })
        };
        if now.checked_sub(count)? >= SEALED_NAMED as u64 {
            return None;
        }
        let all = (count..now).map(one).collect::<Option<Vec<_>>>()?;
        // What is there is of them, if none has been written over, or is about to be.
        fence(Acquire);
        (self.sealed().saturating_sub(count) < SEALED_NAMED as u64).then_some(all)
    }

    /// Name of a class; `None`: it has none.
    pub fn class(&self, id: u8) -> Option<String> {
        self.cells.classes.get(usize::from(id))?.name()
    }

    /// Of each class of which memory has given something up: its name, and the time of the latest packet of that, Unix ns.
    pub fn gone(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let one = move |(id, class): (u8, &super::cells::ClassCells)| {
            let last = Some(class.gone.load(Acquire)).filter(|last| *last > 0)?;
            Some((self.class(id)?, last))
        };
        (0..).zip(&self.cells.classes).filter_map(one)
    }

    /// How far each writer is.
    pub fn progress(&self) -> impl Iterator<Item = ShownProgress> + '_ {
        let writers = self.cells.writers.load(Acquire).min(WRITERS_MAX as u64) as usize;
        // In this order: what is read of the rest is at least as new.
        self.cells.progress.iter().take(writers).map(|p| {
            let looked = p.looked.load(Acquire);
            ShownProgress { looked, unsettled: p.unsettled.load(Acquire), lag: p.lag.load(Acquire) }
        })
    }

    /// The unsealed segments of which something can be read; and the numbers of those that are made and have nothing yet that can be read. They are those
    /// of one moment: there is none besides with a number that is not higher than all of these.
    pub fn segments(&self) -> (Vec<ShownSegment>, Vec<u64>) {
        loop {
            let before = self.numbers();
            let all: Vec<ShownSegment> = self.slots().filter_map(shown).collect();
            // Numbers are never used again: where the same ones are there twice nothing came or went in between.
            if self.numbers() == before {
                let (made, open): (Vec<_>, Vec<_>) = all.into_iter().partition(|s| s.settled == Some(0));
                return (open, made.into_iter().map(|s| s.number).collect());
            }
            // Capture makes a segment, or seals one: it does so a few times a second.
            std::thread::yield_now();
        }
    }

    fn slots(&self) -> impl Iterator<Item = &SegmentCells> {
        let end = self.cells.segments_end.load(Acquire).min(SEGMENT_SLOTS as u64) as usize;
        self.cells.segments.iter().take(end)
    }

    /// What lies in each slot.
    fn numbers(&self) -> Vec<u64> {
        self.slots().map(|cells| cells.number.load(Acquire)).collect()
    }
}

fn shown(cells: &SegmentCells) -> Option<ShownSegment> {
    let number = cells.number.load(Acquire);
    let (about, settled) = (cells.about.load(Acquire), cells.settled.load(Acquire));
    let settled = (settled < u64::MAX).then_some(settled);
    let number = number.checked_sub(1)?;
    Some(ShownSegment { number, class: about as u8, worker: (about >> 16) as u16, settled })
}

#[cfg(test)]
mod tests {
    use super::super::Window;
    use super::*;

    fn pair() -> (Arc<Window>, Arc<WindowView>) {
        let window = Window::create().unwrap();
        let view = WindowView::open(window.file().unwrap()).unwrap();
        (window, view)
    }

    /// What capture writes serve reads, by another mapping.
    #[test]
    fn what_is_shown_is_seen() {
        let (window, view) = pair();
        let id = *b"0123456789abcdef";
        window.name_store(&id);
        window.beat(77, 0.25, 2.0);
        window.took_in();
        window.missed();
        window.sealed(&SealedInWindow { number: 5, class: 1, worker: 2, first: 3 });
        assert_eq!(
            (view.store(), view.beat(), view.load(), view.counts(), view.sealed()),
            (id, 77, (0.25, 1.0), (1, 1), 1)
        );
        assert!(view.started() > 0 && view.class(0).is_none() && view.class(200).is_none());
        for (id, name) in [(0, "all"), (63, "a-name-of-thirty-two-characters_")] {
            window.name_class(id, name);
            window.name_class(id, "another");
            assert_eq!(view.class(id).as_deref(), Some(name));
        }
        window.name_class(1, "a-name-of-thirty-three-characters");
        assert_eq!(view.class(1), None);
        window.gone(63, 9);
        window.gone(63, 7);
        window.gone(2, 7);
        assert_eq!(view.gone().collect::<Vec<_>>(), [("a-name-of-thirty-two-characters_".to_owned(), 9)]);
    }

    /// Whoever is not too late has the names of all, in their order.
    #[test]
    fn sealed_segments_are_named_while_there_is_room() {
        let (window, view) = pair();
        let one = |n: u64| SealedInWindow { number: 7 * n, class: n as u8, worker: n as u16 ^ 0x1ff, first: n << 40 };
        assert_eq!(view.sealed_since(0), Some(vec![]));
        for n in 0..3 * SEALED_NAMED as u64 {
            window.sealed(&one(n));
            let first = (n + 1).saturating_sub(SEALED_NAMED as u64 - 1);
            assert_eq!(view.sealed_since(first), Some((first..=n).map(one).collect()));
            assert_eq!(view.sealed_since(n), Some(vec![one(n)]));
            if first > 0 {
                assert_eq!(view.sealed_since(first - 1), None);
            }
        }
        assert_eq!(view.sealed_since(u64::MAX), None, "of another recording");
    }

    /// A segment keeps its slot; one that is sealed is shown no more, and what comes late for it is nobody else's.
    #[test]
    fn segments_keep_their_slots() {
        let (window, view) = pair();
        let [first, second] = [0, 8].map(|n| window.segment(n).unwrap());
        assert_eq!(view.segments(), (vec![], vec![0, 8]), "nothing of them can be read");
        first.open(3, 7);
        first.settle(4096);
        second.settle(u64::MAX);
        let a = ShownSegment { number: 0, class: 3, worker: 7, settled: Some(4096) };
        let b = ShownSegment { number: 8, class: 0, worker: 0, settled: None };
        assert_eq!(view.segments(), (vec![a, b], vec![]));
        first.hide();
        first.settle(8192);
        let third = window.segment(9).unwrap();
        third.settle(1);
        first.settle(9000);
        let c = ShownSegment { number: 9, class: 0, worker: 0, settled: Some(1) };
        assert_eq!(view.segments(), (vec![b, c], vec![]));
        drop(first);
        let fourth = window.segment(10).unwrap();
        assert_eq!((fourth.at, fourth.settled()), (0, 0), "its slot is free");
        let all: Vec<_> = std::iter::from_fn(|| window.segment(11)).collect();
        assert_eq!(all.len(), SEGMENT_SLOTS - 3);
        drop(all);
        assert!(window.segment(12).is_some());
    }

    /// A writer's look is a sign of life, its end is none.
    #[test]
    fn writers_tell_how_far_they_are() {
        let (window, view) = pair();
        let writers: Vec<_> = std::iter::from_fn(|| window.begin()).collect();
        assert_eq!(writers.len(), WRITERS_MAX);
        window.beat(5, 0.0, 0.0);
        writers[1].set(100, 50, 3);
        writers[2].set(u64::MAX, u64::MAX, 0);
        let all: Vec<_> = view.progress().collect();
        assert_eq!(all[1], ShownProgress { unsettled: 100, looked: 50, lag: 3 });
        assert_eq!((all[0].unsettled, view.beat()), (u64::MAX, 50));
    }

    /// Another layout is not looked at.
    #[test]
    fn another_version_is_refused() {
        let (window, _) = pair();
        window.cells().version.store(LAYOUT_VERSION + 1, Relaxed);
        assert!(WindowView::open(window.file().unwrap()).is_err());
        let short = SharedMemory::create("test", 4096, super::super::shared::Writable::ByOne).unwrap();
        assert!(WindowView::open(short.file().unwrap()).is_err());
    }
}
