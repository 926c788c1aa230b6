//! That something was written: counted by ledger and receipts after each write, looked at by what holds them in memory. Only
//! counters, which lie in the window: whoever writes never waits for whoever reads, and knows nothing of him.

use crate::limits::BEAT_NS;
use crate::units::{monotonic, now};
use crate::window::cells::PulseCells;
use crate::window::{Window, WindowView};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Whose pulse it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Book {
    /// The ledger's.
    Ledger,
    /// That of the receipts.
    Receipts,
}

/// Of one writer.
#[derive(Debug)]
pub struct Pulse(Lies);

/// Where the counters are.
#[derive(Debug)]
enum Lies {
    /// Nobody else sees them: this process both writes and reads.
    Here(PulseCells),
    Written(Arc<Window>, Book),
    Read(Arc<WindowView>, Book),
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse(Lies::Here(PulseCells::default()))
    }
}

impl Pulse {
    /// As its writer has it, who is of capture.
    pub fn written(window: &Arc<Window>, book: Book) -> Arc<Pulse> {
        Arc::new(Pulse(Lies::Written(window.clone(), book)))
    }

    /// As those have it who read what is written.
    pub fn read(window: &Arc<WindowView>, book: Book) -> Arc<Pulse> {
        Arc::new(Pulse(Lies::Read(window.clone(), book)))
    }

    fn cells(&self) -> &PulseCells {
        let (of, book) = match &self.0 {
            Lies::Here(cells) => return cells,
            Lies::Written(window, book) => (window.cells(), book),
            Lies::Read(window, book) => (window.cells(), book),
        };
        match book {
            Book::Ledger => &of.ledger,
            Book::Receipts => &of.receipts,
        }
    }

    /// Those that its writer may write; who reads has them mapped read-only.
    fn own(&self) -> Option<&PulseCells> {
        (!matches!(self.0, Lies::Read(..))).then(|| self.cells())
    }

    /// Something has been written.
    pub(super) fn wrote(&self) {
        if let Some(cells) = self.own() {
            cells.writes.fetch_add(1, Ordering::Release);
        }
    }

    /// How often so far. To be asked before what was written is read.
    pub(super) fn writes(&self) -> u64 {
        self.cells().writes.load(Ordering::Acquire)
    }

    /// The ledger: a sign of life.
    pub(super) fn beat(&self, t: u64) {
        if let Some(cells) = self.own() {
            cells.alive.store(t, Ordering::Release);
        }
    }

    /// Capture records, or no longer does: while it does, its life is a sign of life.
    pub fn recording(&self, is: bool) {
        if let Some(cells) = self.own() {
            cells.recording.store(is.into(), Ordering::Release);
        }
    }

    /// The last sign of life, Unix ns; 0: none yet. Of a capture that is dead or stopped, it lies a moment behind its last beat.
    pub(super) fn alive(&self) -> u64 {
        let recorded = match (&self.0, self.cells().recording.load(Ordering::Acquire)) {
            (_, 0) => 0,
            (Lies::Read(window, _), _) => until(window.beat(), monotonic(), now()),
            _ => now(),
        };
        recorded.max(self.cells().alive.load(Ordering::Acquire))
    }
}

/// Until when time is recorded, Unix ns, where `beat` was the last sign of life, `mono` and `unix` are now.
fn until(beat: u64, mono: u64, unix: u64) -> u64 {
    match beat {
        0 => 0,
        beat => unix.saturating_sub(mono.saturating_sub(beat).saturating_sub(BEAT_NS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_by_another_mapping() {
        let window = Window::create().unwrap();
        let view = WindowView::open(window.file().unwrap()).unwrap();
        for book in [Book::Ledger, Book::Receipts] {
            let (written, read) = (Pulse::written(&window, book), Pulse::read(&view, book));
            assert_eq!((read.writes(), read.alive()), (0, 0));
            written.wrote();
            written.beat(77);
            assert_eq!((read.writes(), read.alive()), (1, 77));
            window.cells().beat.store(0, Ordering::Relaxed);
            written.recording(true);
            assert_eq!(read.alive(), 77, "who has given no sign of life records nothing");
            window.beat(monotonic(), 0.0, 0.0);
            assert!(read.alive() > 77);
            written.recording(false);
            assert_eq!(read.alive(), 77);
        }
    }

    #[test]
    fn a_capture_that_stands_still_records_no_more() {
        assert_eq!(until(0, 10, 1_000), 0);
        assert_eq!(until(10, 10, 5_000_000_000), 5_000_000_000);
        assert_eq!(until(10, 10 + BEAT_NS, 5_000_000_000), 5_000_000_000);
        assert_eq!(until(10, 10 + 3 * BEAT_NS, 5_000_000_000), 3_000_000_000);
        assert_eq!(until(20, 10, 5_000_000_000), 5_000_000_000, "it has beaten since it was looked at the clock");
        assert_eq!(until(1, 2 * BEAT_NS, 7), 0);
    }
}
