//! The layout of the window: which word says what. Owned by this version of the program: another layout has another number, and who finds a number
//! that is not its own reads nothing. Held by `the_layout_is_this_one`.
#![allow(unsafe_code)]

use super::shared::OfAtomics;
use crate::limits::{CLASSES_MAX, SEGMENT_SLOTS, WRITERS_MAX};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// Of this layout; the first word.
pub const LAYOUT_VERSION: u64 = 2;
/// Words of the longest name of a class.
pub const NAME_WORDS: usize = 4;
/// Of the last sealed segments so many are named.
pub const SEALED_NAMED: usize = 1024;

/// All of it.
#[derive(Debug)]
#[repr(C)]
pub struct WindowCells {
    /// [`LAYOUT_VERSION`], once the rest has its first values.
    pub version: AtomicU64,
    /// When capture began, Unix ns.
    pub started: AtomicU64,
    /// The store's id.
    pub store: [AtomicU64; 2],
    /// Capture's last sign of life, monotonic ns.
    pub beat: AtomicU64,
    /// How full the fullest ring is, as bits of an f64 from 0 to 1.
    pub ring: AtomicU64,
    /// How many blocks of the fullest worker wait for the disk, as `ring`.
    pub blocks: AtomicU64,
    /// Blocks that came into memory.
    pub taken: AtomicU64,
    /// Blocks that did not.
    pub missed: AtomicU64,
    /// Segments sealed.
    pub sealed: AtomicU64,
    /// Of the ledger.
    pub ledger: PulseCells,
    /// Of the receipts.
    pub receipts: PulseCells,
    /// How many writers there are.
    pub writers: AtomicU64,
    /// Slots of segments behind this one were never used.
    pub segments_end: AtomicU64,
    /// The classes, by id.
    pub classes: [ClassCells; CLASSES_MAX],
    /// The writers, by their beginning.
    pub progress: [ProgressCells; WRITERS_MAX],
    /// The segments that were sealed last: the n-th of the recording at the rest of n by their number.
    pub last_sealed: [SealedCells; SEALED_NAMED],
    /// Unsealed segments, in slots that they keep.
    pub segments: [SegmentCells; SEGMENT_SLOTS],
}

/// That something was written.
#[derive(Debug, Default)]
#[repr(C)]
pub struct PulseCells {
    /// How often.
    pub writes: AtomicU64,
    /// The last sign of life that was written, Unix ns.
    pub alive: AtomicU64,
    /// 1: while capture lives, time is recorded.
    pub recording: AtomicU64,
}

/// A class.
#[derive(Debug)]
#[repr(C)]
pub struct ClassCells {
    /// Length of its name; 0: there is none yet.
    pub len: AtomicU64,
    /// Its name, the first byte lowest.
    pub name: [AtomicU64; NAME_WORDS],
    /// Time of its latest packet that memory has given up, Unix ns.
    pub gone: AtomicU64,
    /// Its blocks in memory, bytes.
    pub held: AtomicU64,
    /// Time of the oldest packet in them, Unix ns; 0: there is none.
    pub since: AtomicU64,
}

/// How far one writer is.
#[derive(Debug)]
#[repr(C)]
pub struct ProgressCells {
    /// Earliest time of a packet that can't be read yet, Unix ns; `u64::MAX`: there is none.
    pub unsettled: AtomicU64,
    /// When it looked, monotonic ns; `u64::MAX`: it has ended.
    pub looked: AtomicU64,
    /// How old packets were lately when they came, ns.
    pub lag: AtomicU64,
}

/// An unsealed segment.
#[derive(Debug)]
#[repr(C)]
pub struct SegmentCells {
    /// Its number and 1; 0: none. Changed before the others are, and after.
    pub number: AtomicU64,
    /// Its class, and from bit 16 on its worker.
    pub about: AtomicU64,
    /// All before this offset can be read; 0: nothing yet; `u64::MAX`: another recorder has left it, and all that holds counts.
    pub settled: AtomicU64,
}

impl ClassCells {
    /// Its name; `None`: it has none.
    pub fn name(&self) -> Option<String> {
        let len = usize::try_from(self.len.load(Acquire)).ok().filter(|len| *len > 0)?;
        let bytes: Vec<u8> = self.name.iter().flat_map(|w| w.load(Relaxed).to_le_bytes()).take(len).collect();
        String::from_utf8(bytes).ok()
    }
}

/// A sealed segment, as the name of its file has it.
#[derive(Debug)]
#[repr(C)]
pub struct SealedCells {
    /// Its number.
    pub number: AtomicU64,
    /// Its class, and from bit 16 on its worker.
    pub about: AtomicU64,
    /// Time of its first packet, Unix ns.
    pub first: AtomicU64,
}

// SAFETY: `repr(C)`, of atomics alone.
unsafe impl OfAtomics for WindowCells {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    /// Who changes this changes the number: two versions of the program may look at the same window.
    #[test]
    fn the_layout_is_this_one() {
        macro_rules! words {
            ($($field:ident),*) => { [$((stringify!($field), offset_of!(WindowCells, $field) / 8)),*] };
        }
        let at = words![
            version,
            started,
            store,
            beat,
            ring,
            blocks,
            taken,
            missed,
            sealed,
            ledger,
            receipts,
            writers,
            segments_end,
            classes,
            progress,
            last_sealed,
            segments
        ];
        let want = [
            ("version", 0),
            ("started", 1),
            ("store", 2),
            ("beat", 4),
            ("ring", 5),
            ("blocks", 6),
            ("taken", 7),
            ("missed", 8),
            ("sealed", 9),
            ("ledger", 10),
            ("receipts", 13),
            ("writers", 16),
            ("segments_end", 17),
            ("classes", 18),
            ("progress", 18 + 64 * 8),
            ("last_sealed", 18 + 64 * 8 + 256 * 3),
            ("segments", 18 + 64 * 8 + 256 * 3 + 1024 * 3),
        ];
        assert_eq!((LAYOUT_VERSION, at), (2, want));
        assert_eq!(size_of::<WindowCells>() / 8, 18 + 64 * 8 + 256 * 3 + 1024 * 3 + 16_384 * 3);
        assert_eq!([offset_of!(SealedCells, about), offset_of!(SealedCells, first)], [8, 16]);
        assert_eq!([offset_of!(ClassCells, name), offset_of!(ClassCells, gone)], [8, 40]);
        assert_eq!([offset_of!(ClassCells, held), offset_of!(ClassCells, since)], [48, 56]);
        assert_eq!([offset_of!(ProgressCells, looked), offset_of!(ProgressCells, lag)], [8, 16]);
        assert_eq!([offset_of!(SegmentCells, about), offset_of!(SegmentCells, settled)], [8, 16]);
        assert_eq!([offset_of!(PulseCells, alive), offset_of!(PulseCells, recording)], [8, 16]);
    }
}
