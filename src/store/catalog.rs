//! The catalog: a small file in which the recorder publishes what a reader can't see in the directory: which segments are open, how far each
//! is durable, that the recorder lives. Written in place by the keeper alone, which never maps it: a disk that fails, or somebody who cuts the
//! file short, gives it an error and no signal. Read by any process without a lock, mapped.
//!
//! Words of 64 bits. 0 magic, 1 version, 2 and 3 store id, 4 zero, 5 heartbeat (Unix
//! ns), 6 process id, 7 slots, 8 one once the ledger says that it records; from 16 on slots of 8 words: number + 1 (0: none), generation, durable bytes, committed bytes,
//! latest packet time, packets, class | worker << 8.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

use super::disk::mmap::Words;
use super::format::StoreId;
use super::layout::Layout;
use super::lock;
use super::segment::{OpenSegment, Stage};
use crate::new_file;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

const MAGIC: u64 = u64::from_le_bytes(*b"RTCATLG1");
const HEAD_WORDS: usize = 16;
const SLOT_WORDS: usize = 8;
const SLOTS: usize = 1024;
/// A reader looks so often, at most, until it sees the same twice.
const LOOKS: usize = 64;
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
pub struct Publisher {
    file: File,
    /// What the file is to hold.
    words: Vec<u64>,
    /// A write has failed: what the file holds nobody knows.
    unsure: bool,
}

impl Publisher {
    /// Makes the catalog anew.
    pub fn create(layout: &Layout, store: &StoreId) -> io::Result<Publisher> {
        // A new file, so that a reader which still maps the old one sees a dead recorder and no half-made page.
        let (path, tmp) = (layout.catalog(), layout.root().join("catalog.new"));
        let file = new_file::create(&tmp, new_file::SHARED)?;
        let mut words = vec![0; HEAD_WORDS + SLOTS * SLOT_WORDS];
        let (low, high) = store.split_at(8);
        let half = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        for (word, value) in
            words.iter_mut().zip([MAGIC, 1, half(low), half(high), 0, 0, std::process::id().into(), SLOTS as u64])
        {
            *word = value;
        }
        // All of it, so that it has its place on the disk: what is written later needs none.
        (&file).write_all(&bytes_of(&words))?;
        std::fs::rename(tmp, path)?;
        Ok(Publisher { file, words, unsure: false })
    }

    /// Publishes how far the open segments are, and that we live.
    /// `recording`: the ledger has its start, so that its life covers time.
    pub fn publish(&mut self, open: &[Arc<OpenSegment>], recording: bool, unix_now: u64) -> io::Result<()> {
        if std::mem::take(&mut self.unsure) {
            self.write(0, self.words.len())?;
        }
        let shown: Vec<[u64; SLOT_WORDS]> =
            open.iter().filter(|s| s.stage() != Stage::Spare).take(SLOTS).map(|s| slot_of(s)).collect();
        let places = (HEAD_WORDS..).step_by(SLOT_WORDS);
        // A slot that changes hands has no number for a moment: a reader takes either segment or none, never a mixture.
        let none = [0; SLOT_WORDS];
        for (at, [number, ..]) in places.clone().zip(shown.iter().chain(std::iter::repeat(&none))).take(SLOTS) {
            match self.word(at) {
                0 if *number == 0 => break,
                before if before != 0 && before != *number => self.put(at, &[0])?,
                _ => {}
            }
        }
        let mut changed = None;
        for (at, [_, rest @ ..]) in places.clone().zip(&shown) {
            let Some(words) = self.words.get_mut(at + 1..at + SLOT_WORDS).filter(|words| **words != rest[..]) else {
                continue;
            };
            words.copy_from_slice(rest);
            changed = Some((changed.map_or(at + 1, |(from, _)| from), at + SLOT_WORDS));
        }
        if let Some((from, to)) = changed {
            self.write(from, to)?;
        }
        for (at, [number, ..]) in places.zip(&shown) {
            self.put(at, &[*number])?;
        }
        self.put(8, &[recording.into()])?;
        self.put(5, &[unix_now])
    }

    /// The recorder ends: readers need not wait for the heartbeat to grow old.
    pub fn retire(&mut self) -> io::Result<()> {
        self.put(5, &[0])
    }

    fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    /// Writes words that are others than those that are there.
    fn put(&mut self, at: usize, values: &[u64]) -> io::Result<()> {
        match self.words.get_mut(at..at + values.len()) {
            Some(words) if words != values => words.copy_from_slice(values),
            _ => return Ok(()),
        }
        self.write(at, at + values.len())
    }

    fn write(&mut self, from: usize, to: usize) -> io::Result<()> {
        let words = self.words.get(from..to).unwrap_or_default();
        let written = self.file.write_all_at(&bytes_of(words), from as u64 * 8);
        self.unsure |= written.is_err();
        written
    }
}

fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

fn slot_of(s: &OpenSegment) -> [u64; SLOT_WORDS] {
    // First of all: what is read of the rest is at least as new.
    let durable = s.durable();
    let whose = u64::from(s.class()) | u64::from(s.worker()) << 8;
    [s.number + 1, s.generation, durable, s.committed(), s.last(), s.packets(), whose, 0]
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
        let c = Catalog(Words::map(&file).ok()?);
        (c.word(0) == MAGIC && c.word(1) == 1).then_some(c)
    }

    fn word(&self, at: usize) -> u64 {
        let [word] = self.words(at);
        word
    }

    /// Some words as they stood together: nothing promises that a write puts them there at once, so it looks until it sees the same twice.
    fn words<const N: usize>(&self, at: usize) -> [u64; N] {
        let look = || std::array::from_fn(|i| self.0.get().get(at + i).map_or(0, |w| w.load(Acquire)));
        let mut seen = look();
        for _ in 0..LOOKS {
            let before = std::mem::replace(&mut seen, look());
            if seen == before {
                break;
            }
        }
        seen
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
            let [number, _, durable, committed, last, packets, whose, _] = self.words(at);
            let Some(n) = number.checked_sub(1).filter(|_| self.word(at) == number) else { continue };
            let (class, worker) = (whose as u8, (whose >> 8) as u16);
            list.push(OpenEntry { number: n, durable, committed, last, packets, class, worker });
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    fn segment(number: u64) -> Arc<OpenSegment> {
        let shown = crate::window::Window::create().unwrap().segment(number).unwrap();
        let s = OpenSegment::new(number, 1, 1 << 20, tempfile::tempfile().unwrap(), shown);
        s.open(3, 7);
        Arc::new(s)
    }

    fn at(dir: &tempfile::TempDir) -> (Layout, Publisher, Catalog) {
        let layout = Layout::new(dir.path());
        let publisher = Publisher::create(&layout, &[9; 16]).unwrap();
        let catalog = Catalog::open(&layout).unwrap();
        (layout, publisher, catalog)
    }

    #[test]
    fn a_reader_sees_what_was_published() {
        let dir = tempfile::tempdir().unwrap();
        let (_, mut p, c) = at(&dir);
        assert_eq!((c.heartbeat(), c.recording(), c.open_segments()), (0, false, vec![]));
        let all: Vec<_> = (10..14).map(segment).collect();
        all[1].commit(8192);
        all[1].advance(4096, 5, (1, 2));
        let numbers = |c: &Catalog| c.open_segments().iter().map(|e| e.number).collect::<Vec<_>>();
        p.publish(&all, true, 77).unwrap();
        assert_eq!((c.heartbeat(), c.recording(), numbers(&c)), (77, true, vec![10, 11, 12, 13]));
        let entry = OpenEntry { number: 11, durable: 4096, committed: 8192, last: 2, packets: 5, class: 3, worker: 7 };
        assert_eq!(c.open_segments()[1], entry);
        // Slots change hands, and some are nobody's any more.
        p.publish(&all[1..3], true, 78).unwrap();
        assert_eq!((numbers(&c), c.open_segments()[0]), (vec![11, 12], entry));
        p.publish(&[], true, 79).unwrap();
        assert_eq!(numbers(&c), [] as [u64; 0]);
        p.publish(&all[3..], true, 80).unwrap();
        assert_eq!(numbers(&c), [13]);
        p.retire().unwrap();
        assert_eq!((c.heartbeat(), c.process()), (0, u64::from(std::process::id())));
    }

    /// Whoever reads while it is written sees whole words, and only those of the segment whose number stands there.
    #[test]
    fn no_reader_sees_a_mixture_of_segments() {
        let dir = tempfile::tempdir().unwrap();
        let (layout, mut p, _) = at(&dir);
        let (done, seen) = (std::sync::atomic::AtomicBool::new(false), std::sync::atomic::AtomicU64::new(0));
        // All bytes of a word are the same; those of even numbers are odd, and those of odd ones even.
        let told = |round: u64, number: u64| ((round * 2 + number % 2) % 251 + 1) * 0x0101_0101_0101_0101;
        std::thread::scope(|scope| {
            let reader = || {
                let c = Catalog::open(&layout).unwrap();
                while !done.load(Acquire) {
                    for e in c.open_segments() {
                        for word in [e.durable, e.last, e.packets] {
                            assert_eq!(word, u64::from(word as u8) * 0x0101_0101_0101_0101, "{e:?}");
                            assert_eq!(word % 2, (e.number + 1) % 2, "{e:?}");
                        }
                        seen.fetch_add(1, Relaxed);
                    }
                }
            };
            let readers = [scope.spawn(reader), scope.spawn(reader)];
            let mut round = 0u64;
            while round < 20_000 || seen.load(Relaxed) < 1000 && !readers.iter().any(|r| r.is_finished()) {
                let open: Vec<_> = [0, 1]
                    .iter()
                    .map(|i| {
                        let s = segment(round / 3 + i);
                        let word = told(round % 125, s.number);
                        s.advance(word, word, (0, word));
                        s
                    })
                    .collect();
                p.publish(&open, true, 1).unwrap();
                round += 1;
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
    }

    /// After a write that failed all is written again.
    #[test]
    fn what_could_not_be_written_is_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let (layout, mut p, c) = at(&dir);
        let good = std::mem::replace(&mut p.file, File::open(layout.catalog()).unwrap());
        assert!(p.publish(&[segment(1)], true, 5).is_err());
        assert!(p.publish(&[segment(1), segment(2)], true, 6).is_err());
        assert_eq!((c.heartbeat(), c.open_segments().len()), (0, 0));
        p.file = good;
        p.publish(&[segment(2)], true, 7).unwrap();
        assert_eq!((c.heartbeat(), c.open_segments().len(), c.open_segments()[0].number), (7, 1, 2));
    }
}
