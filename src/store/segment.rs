//! An unsealed segment, as writer and keeper share it. The keeper makes it, the one writer that takes it fills it, the keeper
//! syncs and seals it, by what stands here: not a byte of the file is read for it. Each field has one writer; the other side reads.

use super::format::SegmentHeader;
use crate::window::SegmentSlot;
use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Where an unsealed segment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// Preallocated, not yet taken.
    Spare = 0,
    /// Taken by a writer.
    Open = 1,
    /// Nothing is written to it any more.
    Closed = 2,
}

/// The segment.
#[derive(Debug)]
pub struct OpenSegment {
    /// Unique in the store.
    pub number: u64,
    /// Random.
    pub generation: u64,
    /// Preallocated length.
    pub bytes: u64,
    /// The file.
    pub file: Arc<File>,
    /// What its header says; the keeper writes it anew if the writer could not.
    header: OnceLock<Arc<SegmentHeader>>,
    stage: AtomicU8,
    class: AtomicU16,
    worker: AtomicU16,
    committed: AtomicU64,
    durable: AtomicU64,
    /// Where questions see it.
    shown: SegmentSlot,
    packets: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
    arrived: AtomicU64,
    /// Set when it is closed.
    holes: OnceLock<Vec<Range<u64>>>,
}

impl OpenSegment {
    /// A spare one.
    pub fn new(number: u64, generation: u64, bytes: u64, file: File, shown: SegmentSlot) -> OpenSegment {
        OpenSegment {
            number,
            generation,
            bytes,
            file: Arc::new(file),
            header: OnceLock::new(),
            stage: AtomicU8::new(Stage::Spare as u8),
            class: AtomicU16::new(0),
            worker: AtomicU16::new(0),
            committed: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            shown,
            packets: AtomicU64::new(0),
            first: AtomicU64::new(u64::MAX),
            last: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            holes: OnceLock::new(),
        }
    }

    /// Its stage.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Spare,
            1 => Stage::Open,
            _ => Stage::Closed,
        }
    }

    /// Writer: takes it.
    pub fn open(&self, class: u8, worker: u16) {
        self.class.store(class.into(), Ordering::Relaxed);
        self.worker.store(worker, Ordering::Relaxed);
        self.shown.open(class, worker);
        self.stage.store(Stage::Open as u8, Ordering::Release);
    }

    /// Writer: what the header says.
    pub fn set_header(&self, header: SegmentHeader) {
        let _ = self.header.set(Arc::new(header));
    }

    /// What the header says, once the segment is open.
    pub fn header(&self) -> Option<&SegmentHeader> {
        self.header.get().map(|h| &**h)
    }

    /// The same, to keep.
    pub fn shared_header(&self) -> Option<Arc<SegmentHeader>> {
        self.header.get().cloned()
    }

    /// Writer: so many bytes are given to the disk.
    pub fn commit(&self, bytes: u64) {
        self.committed.store(bytes, Ordering::Release);
    }

    /// Writer: all before this offset is written (or will never be, where a write has failed). `times`: of the first and the last packet of
    /// these, Unix ns; `(u64::MAX, 0)`: there is none.
    pub fn advance(&self, durable: u64, packets: u64, times: (u64, u64)) {
        self.packets.store(packets, Ordering::Relaxed);
        self.first.store(times.0, Ordering::Relaxed);
        self.last.store(times.1, Ordering::Relaxed);
        self.durable.store(durable, Ordering::Release);
    }

    /// Writer, after [`advance`](OpenSegment::advance): when the oldest packet that is durable now arrived, Unix ns; 0: not
    /// known. Kept until the keeper has asked.
    pub fn arrived(&self, first: u64) {
        let _ = self.arrived.compare_exchange(0, first, Ordering::Release, Ordering::Relaxed);
    }

    /// Keeper, before it publishes: what [`arrived`](OpenSegment::arrived) was told, once.
    pub fn take_arrived(&self) -> Option<u64> {
        Some(self.arrived.swap(0, Ordering::Acquire)).filter(|t| *t > 0)
    }

    /// Writer: gives it to the keeper. `holes`: where writes have failed, in any order.
    pub fn close(&self, mut holes: Vec<Range<u64>>) {
        holes.sort_unstable_by_key(|hole| hole.start);
        let _ = self.holes.set(holes);
        self.stage.store(Stage::Closed as u8, Ordering::Release);
    }

    /// Class, as an index into the store's list.
    pub fn class(&self) -> u8 {
        self.class.load(Ordering::Relaxed) as u8
    }

    /// The worker that took it.
    pub fn worker(&self) -> u16 {
        self.worker.load(Ordering::Relaxed)
    }

    /// Bytes given to the disk.
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// All before this offset is complete.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// All before this offset can be read: from memory or, where it did not get there, from the file.
    pub fn settle(&self, offset: u64) {
        self.shown.settle(offset);
    }

    /// Keeper: it is sealed, or gone, and is no longer among those that are not.
    pub fn hide(&self) {
        self.shown.hide();
    }

    /// Packets before [`durable`](OpenSegment::durable).
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// Latest packet time before [`durable`](OpenSegment::durable), Unix ns; 0: no packet.
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Times of the first and the last packet before [`durable`](OpenSegment::durable), Unix ns; `None`: there is none.
    pub fn times(&self) -> Option<(u64, u64)> {
        (self.packets() > 0).then(|| (self.first.load(Ordering::Relaxed), self.last()))
    }

    /// Keeper, once it is closed: where writes have failed, in the order of their offsets.
    pub fn holes(&self) -> &[Range<u64>] {
        self.holes.get().map_or(&[], Vec::as_slice)
    }
}
