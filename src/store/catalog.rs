//! The catalog: a small mapped file in which the recorder publishes what a reader can't see in the directory: which segments
//! are open, how far each is durable, that the recorder lives. Written by the keeper alone, so that no worker ever touches a
//! page that the kernel may be writing back; read by any process without a lock.
//!
//! Words of 64 bits. 0 magic, 1 version, 2 and 3 store id, 4 zero, 5 heartbeat (Unix
//! ns), 6 process id, 7 slots, 8 one once the ledger says that it records; from 16 on slots of 8 words: number + 1 (0: none), generation, durable bytes, committed bytes,
//! latest packet time, packets, class | worker << 8.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::disk::mmap::Words;
use super::format::StoreId;
use super::layout::Layout;
use super::lock;
use super::segment::{OpenSegment, Stage};
use crate::new_file;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const MAGIC: u64 = u64::from_le_bytes(*b"RTCATLG1");
const HEAD_WORDS: usize = 16;
const SLOT_WORDS: usize = 8;
const SLOTS: usize = 1024;
/// A recorder whose heartbeat is older is dead.
const ALIVE_NS: u64 = 5_000_000_000;

/// What the catalog says of an open segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenEntry {
    /// Number in the store.
    pub number: u64,
    /// All before this offset is complete.
    pub durable: u64,
    /// Bytes given to the disk.
    pub committed: u64,
    /// Latest packet time before `durable`, Unix ns; 0: no packet.
    pub last: u64,
    /// Packets before `durable`.
    pub packets: u64,
    /// Index of the class.
    pub class: u8,
    /// The worker.
    pub worker: u16,
}

/// The recorder's side.
#[derive(Debug)]
pub struct Publisher(Words);

impl Publisher {
    /// Makes the catalog anew.
    pub fn create(layout: &Layout, store: &StoreId) -> io::Result<Publisher> {
        // A new file, so that a reader which still maps the old one sees a dead recorder and no half-made page.
        let (path, tmp) = (layout.catalog(), layout.root().join("catalog.new"));
        let file = new_file::create(&tmp, new_file::SHARED)?;
        let words = HEAD_WORDS + SLOTS * SLOT_WORDS;
        // Written, not only sized: the pages have disk space, so that storing into them can't fail.
        io::Write::write_all(&mut &file, &vec![0; words * 8])?;
        let p = Publisher(Words::map(&file, true)?);
        let (low, high) = store.split_at(8);
        p.put(1, 1);
        p.put(2, u64::from_le_bytes(low.try_into().unwrap_or_default()));
        p.put(3, u64::from_le_bytes(high.try_into().unwrap_or_default()));
        p.put(6, std::process::id().into());
        p.put(7, SLOTS as u64);
        p.put(0, MAGIC);
        std::fs::rename(tmp, path)?;
        Ok(p)
    }

    fn put(&self, at: usize, value: u64) {
        if let Some(word) = self.0.get().get(at) {
            word.store(value, Release);
        }
    }

    /// Publishes how far the open segments are, and that we live.
    /// `recording`: the ledger has its start, so that its life covers time.
    pub fn publish(&self, open: &[Arc<OpenSegment>], recording: bool, unix_now: u64) {
        let shown = open.iter().filter(|s| s.stage() != Stage::Spare);
        let mut slots = 0;
        for (i, s) in shown.take(SLOTS).enumerate() {
            let at = HEAD_WORDS + i * SLOT_WORDS;
            let durable = s.durable();
            // A slot that changes hands has no number for a moment: a reader takes either segment or none, never a mixture.
            if self.number(at) != s.number + 1 {
                self.put(at, 0);
            }
            self.put(at + 1, s.generation);
            self.put(at + 2, durable);
            self.put(at + 3, s.committed());
            self.put(at + 4, s.last());
            self.put(at + 5, s.packets());
            self.put(at + 6, u64::from(s.class()) | u64::from(s.worker()) << 8);
            self.put(at, s.number + 1);
            slots = i + 1;
        }
        for i in slots..SLOTS {
            let at = HEAD_WORDS + i * SLOT_WORDS;
            if self.number(at) == 0 {
                break;
            }
            self.put(at, 0);
        }
        self.put(8, recording.into());
        self.put(5, unix_now);
    }

    fn number(&self, at: usize) -> u64 {
        self.0.get().get(at).map_or(0, |w| w.load(Relaxed))
    }

    /// The recorder ends: readers need not wait for the heartbeat to grow old.
    pub fn retire(&self) {
        self.put(5, 0);
    }
}

/// A reader's side.
#[derive(Debug)]
pub struct Catalog(Words);

impl Catalog {
    /// Maps a store's catalog. `None`: there is none that this program understands.
    pub fn open(layout: &Layout) -> Option<Catalog> {
        let file = std::fs::File::open(layout.catalog()).ok()?;
        if file.metadata().ok()?.len() < (HEAD_WORDS * 8) as u64 {
            return None;
        }
        let c = Catalog(Words::map(&file, false).ok()?);
        (c.word(0) == MAGIC && c.word(1) == 1).then_some(c)
    }

    fn word(&self, at: usize) -> u64 {
        self.0.get().get(at).map_or(0, |w| w.load(Acquire))
    }

    /// Whether a recorder writes to the store now: it has beaten lately and holds the lock.
    pub fn alive(&self, layout: &Layout, unix_now: u64) -> bool {
        let beat = self.word(5);
        beat != 0 && unix_now.saturating_sub(beat) < ALIVE_NS && lock::held(layout)
    }

    /// Whether the ledger has the start of the recording.
    pub fn recording(&self) -> bool {
        self.word(8) == 1
    }

    /// The last sign of life, Unix ns; 0: it ended in order.
    pub fn heartbeat(&self) -> u64 {
        self.word(5)
    }

    /// The recorder's process, by its number where it runs.
    pub fn process(&self) -> u64 {
        self.word(6)
    }

    /// The open segments.
    pub fn open_segments(&self) -> Vec<OpenEntry> {
        let slots = (self.word(7) as usize).min(SLOTS);
        let mut list = Vec::new();
        for at in (0..slots).map(|i| HEAD_WORDS + i * SLOT_WORDS) {
            let Some(number) = self.word(at).checked_sub(1) else { continue };
            let entry = OpenEntry {
                number,
                durable: self.word(at + 2),
                committed: self.word(at + 3),
                last: self.word(at + 4),
                packets: self.word(at + 5),
                class: self.word(at + 6) as u8,
                worker: (self.word(at + 6) >> 8) as u16,
            };
            if self.word(at) == number + 1 {
                list.push(entry);
            }
        }
        list
    }
}
