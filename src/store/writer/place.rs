//! Where closed blocks go: segments, writes under way, what becomes of failed ones. Part of the writer.
//!
//! A segment of the writer's is a queue of flights in the order of their offsets; `durable` moves over those at its front that
//! are done. A segment in which a write failed takes no more blocks, and the failed block goes to another.

use super::{ClosedBlock, Writer};
use crate::class::ClassId;
use crate::limits::{BLOCK_BYTES, OPEN_SEGMENTS_MAX, SEAL_AGE_NS, SECTOR_BYTES, WRITE_GIVE_UP_NS, WRITE_RETRY_NS};
use crate::store::disk::buffers::Buffer;
use crate::store::disk::{Disk, Done, FileSlot, Write};
use crate::store::event::StoreEvent;
use crate::store::format::{self, BlockName, BlockTotals, HEADER_BYTES_MAX, SegmentHeader};
use crate::store::scan::BlockRef;
use crate::store::segment::OpenSegment;
use crate::store::writer::block::About;
use rustix::io::Errno;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::Arc;

const _: () = assert!(HEADER_BYTES_MAX <= BLOCK_BYTES, "a header fits a buffer");

/// A segment that this writer fills, or waits for.
#[derive(Debug)]
pub(super) struct Segment {
    shared: Arc<OpenSegment>,
    slot: FileSlot,
    class: ClassId,
    table: u16,
    link_type: u16,
    /// Interfaces that its header describes.
    ifaces: usize,
    /// Offset and number of the next block.
    next: u64,
    number: u32,
    /// Where its blocks end: it may be longer.
    limit: u64,
    opened: u64,
    used: u64,
    /// Takes no more blocks; goes to the keeper when nothing is under way.
    pub(super) leaving: bool,
    queue: VecDeque<Queued>,
    durable: u64,
    packets: u64,
    /// Of its earliest and its latest packet that is durable.
    first: u64,
    last: u64,
    /// Where writes have failed.
    holes: Vec<Range<u64>>,
}

/// A write, in the order of offsets.
#[derive(Debug)]
struct Queued {
    /// Of a header: without packets.
    about: BlockRef,
    done: bool,
    /// The written block, until all before it are.
    buffer: Option<Buffer>,
}

/// What is at the disk: a block, or a segment's header.
#[derive(Debug)]
pub(super) struct Flight {
    segment: u64,
    offset: u64,
    about: Option<About>,
    tries: u32,
}

impl Flight {
    /// When its block was begun, if it is one.
    pub(super) fn opened(&self) -> Option<u64> {
        self.about.as_ref().map(|a| a.opened)
    }
}

/// What a block asks of a segment.
struct Want {
    class: ClassId,
    table: u16,
    ifaces: usize,
    len: usize,
}

/// A write that fails in a passing way is tried so often before it counts as failed.
const TRIES: u32 = 64;

impl<D: Disk> Writer<D> {
    /// Gives each waiting block a place, if there is one for it now.
    pub(super) fn place_waiting(&mut self) {
        for write in self.again.drain(..) {
            self.disk.write(write);
        }
        let mut i = 0;
        while i < self.waiting.len() {
            let about = &self.waiting[i].about;
            // Blocks of a stream keep their order: packets of one time come back as they arrived.
            let overtakes = self.waiting.range(..i).any(|b| b.about.failed.is_none() && b.about.same_stream(about));
            let ripe = about.retry_at <= self.now && !overtakes;
            let want = Want { class: about.class, table: about.table, ifaces: about.ifaces, len: about.len() };
            match ripe.then(|| self.segment_for(&want)).flatten().and_then(|at| Some((at, self.waiting.remove(i)?))) {
                Some((at, block)) => self.send(at, block),
                None => i += 1,
            }
        }
    }

    /// The segment that takes a block like this: the open one of its class and link type, or a new one.
    fn segment_for(&mut self, block: &Want) -> Option<usize> {
        let open = self.segments.iter().position(|s| !s.leaving && s.class == block.class && s.table == block.table);
        if let Some(at) = open {
            let s = &mut self.segments[at];
            if s.next + block.len as u64 <= s.limit && block.ifaces <= s.ifaces {
                return Some(at);
            }
            s.leaving = true;
        }
        self.new_segment(block)
    }

    fn new_segment(&mut self, block: &Want) -> Option<usize> {
        if self.segments.len() == OPEN_SEGMENTS_MAX {
            self.leave_oldest();
            return None;
        }
        let mut buffer = self.headers.pop()?;
        let Some(shared) = self.supply.take() else {
            self.headers.push(buffer);
            // With nothing to be had, what this writer keeps open without need may be what fills the budget.
            if self.supply.starved() {
                self.leave_oldest();
            }
            return None;
        };
        let Ok(slot) = self.disk.attach(shared.file.clone()) else {
            shared.open(block.class, self.worker);
            shared.close(Vec::new());
            self.headers.push(buffer);
            return None;
        };
        let header = SegmentHeader {
            version: format::segment_version(self.tables.get(block.table)),
            vlan_in_key: self.supply.vlan_in_key(),
            store: *self.supply.store_id(),
            number: shared.number,
            generation: shared.generation,
            created: self.supply.unix_now(),
            worker: self.worker,
            class: self.supply.classes().name(block.class).to_owned(),
            interfaces: self.tables.get(block.table).to_vec(),
        };
        let len = format::write_header(&mut buffer, &header);
        shared.open(block.class, self.worker);
        let (ifaces, link_type) = (header.interfaces.len(), header.interfaces.first().map_or(0, |i| i.link_type));
        shared.set_header(header);
        let limit = shared.bytes.min(self.supply.classes().segment_bytes(block.class));
        self.segments.push(Segment {
            shared,
            slot,
            class: block.class,
            table: block.table,
            link_type,
            ifaces,
            next: 0,
            number: 0,
            limit,
            opened: self.now,
            used: self.uses,
            leaving: false,
            queue: VecDeque::with_capacity(self.buffers + 1),
            durable: 0,
            packets: 0,
            first: u64::MAX,
            last: 0,
            holes: Vec::new(),
        });
        let at = self.segments.len() - 1;
        self.start(at, buffer, len, None);
        Some(at)
    }

    /// Lets go of the segment that was used least recently.
    fn leave_oldest(&mut self) {
        if let Some(s) = self.segments.iter_mut().filter(|s| !s.leaving && s.queue.is_empty()).min_by_key(|s| s.used) {
            s.leaving = true;
        }
    }

    fn send(&mut self, at: usize, mut block: ClosedBlock) {
        let s = &mut self.segments[at];
        let (store, segment, generation) = (*self.supply.store_id(), s.shared.number, s.shared.generation);
        let (worker, link_type) = (self.worker, s.link_type);
        block.place(&BlockName { store, segment, generation, offset: s.next, number: s.number, worker, link_type });
        s.number += 1;
        s.used = self.uses;
        let len = block.about.len();
        self.start(at, block.buffer, len, Some(block.about));
    }

    fn start(&mut self, at: usize, buffer: crate::store::disk::buffers::Buffer, len: usize, about: Option<About>) {
        let s = &mut self.segments[at];
        let offset = s.next;
        let (totals, trailer_at) = about.as_ref().map(|a| (a.totals, a.trailer_at)).unwrap_or_default();
        s.next += len as u64;
        s.shared.commit(s.next);
        s.queue.push_back(Queued { about: BlockRef { offset, len, trailer_at, totals }, done: false, buffer: None });
        let flight = Flight { segment: s.shared.number, offset, about, tries: 0 };
        self.flights[usize::from(buffer.index())] = Some(flight);
        self.disk.write(Write { file: s.slot, offset, buffer, from: 0, to: len });
    }

    /// Takes in what the disk has finished.
    pub(super) fn reap(&mut self) {
        let mut done = std::mem::take(&mut self.done);
        self.disk.reap(&mut done);
        for d in done.drain(..) {
            self.finished(d);
        }
        self.done = done;
    }

    fn finished(&mut self, Done { mut write, result }: Done) {
        let index = usize::from(write.buffer.index());
        let Some(mut flight) = self.flights[index].take() else { return };
        let left = write.to - write.from;
        self.written_bytes += result.as_ref().map_or(0, |n| *n.min(&left) as u64);
        match result {
            Ok(n) if n >= left => {
                if std::mem::take(&mut self.failing) {
                    self.supply.tell(StoreEvent::WriteRecovered { worker: self.worker });
                }
                if flight.about.is_some() {
                    self.landed(&flight, Some(write.buffer));
                } else {
                    self.landed(&flight, None);
                    self.headers.push(write.buffer);
                }
            }
            // A short write goes on where it stopped, at a multiple of the sector.
            Ok(n) if n >= SECTOR_BYTES => {
                let n = n - n % SECTOR_BYTES;
                write.from += n;
                write.offset += n as u64;
                self.flights[index] = Some(flight);
                self.again.push(write);
            }
            Err(e) if flight.tries < TRIES && passing(&e) => {
                flight.tries += 1;
                self.flights[index] = Some(flight);
                self.again.push(write);
            }
            Ok(_) => self.write_error(flight, write, Errno::NOSPC.raw_os_error()),
            Err(e) => self.write_error(flight, write, e.raw_os_error().unwrap_or(0)),
        }
    }

    /// A write failed for good in this place: its segment is left, its block waits for another.
    fn write_error(&mut self, flight: Flight, write: Write, errno: i32) {
        if !std::mem::replace(&mut self.failing, true) {
            let (segment, offset) = (flight.segment, flight.offset);
            self.supply.tell(StoreEvent::WriteFailed { worker: self.worker, errno, segment, offset });
        }
        self.abort(&flight);
        let Some(mut about) = flight.about else { return self.headers.push(write.buffer) };
        let since = *about.failed.get_or_insert(self.now);
        if self.now - since >= WRITE_GIVE_UP_NS {
            self.failed += u64::from(about.totals.packets);
            self.given_up(about.class, about.totals.packets.into(), (about.totals.first, about.totals.last));
            self.put_free(write.buffer);
        } else {
            about.retry_at = self.now + WRITE_RETRY_NS;
            self.waiting.push_back(ClosedBlock { buffer: write.buffer, about });
        }
    }

    fn given_up(&self, class: ClassId, packets: u64, times: (u64, u64)) {
        let class = self.supply.classes().name(class).to_owned();
        self.supply.tell(StoreEvent::GivenUp { worker: self.worker, class, packets, times });
    }

    /// Marks a write of a segment as over, with its block if it is there now, and moves `durable` on. Blocks become readable in
    /// the order of their offsets: a reader's place in a segment is one number.
    fn landed(&mut self, flight: &Flight, block: Option<Buffer>) {
        let Some(at) = self.segments.iter().position(|s| s.shared.number == flight.segment) else {
            return block.into_iter().for_each(|b| self.put_free(b));
        };
        let s = &mut self.segments[at];
        if let Some(q) = s.queue.iter_mut().find(|q| q.about.offset == flight.offset) {
            q.done = true;
            q.buffer = block;
        }
        let (before, mut oldest) = (s.durable, 0);
        loop {
            let s = &mut self.segments[at];
            if !s.queue.front().is_some_and(|q| q.done) {
                break;
            }
            let Some(q) = s.queue.pop_front() else { break };
            let BlockTotals { packets, first, last, .. } = q.about.totals;
            s.durable = q.about.offset + q.about.len as u64;
            s.packets += u64::from(packets);
            if packets > 0 {
                (s.first, s.last) = (s.first.min(first), s.last.max(last));
            }
            self.durable += u64::from(packets);
            if packets > 0 && self.unix > 0 {
                self.durable_ns.record(self.unix.saturating_sub(first));
                oldest = if oldest == 0 { first } else { oldest.min(first) };
            }
            if let Some(buffer) = q.buffer {
                let segment = s.shared.clone();
                self.remember(buffer, q.about, &segment);
            }
        }
        let s = &self.segments[at];
        if s.durable != before {
            s.shared.advance(s.durable, s.packets, (s.first, s.last));
            s.shared.arrived(oldest);
        }
    }

    /// A write of a segment failed for good: there is a hole, and nothing more goes there.
    fn abort(&mut self, flight: &Flight) {
        if let Some(s) = self.segments.iter_mut().find(|s| s.shared.number == flight.segment) {
            if let Some(q) = s.queue.iter_mut().find(|q| q.about.offset == flight.offset) {
                q.about.totals.packets = 0;
                s.holes.push(q.about.offset..q.about.offset + q.about.len as u64);
            }
            s.leaving = true;
        }
        self.landed(flight, None);
    }

    /// Lets go of segments that are old.
    pub(super) fn age_segments(&mut self) {
        for s in &mut self.segments {
            s.leaving |= self.now.saturating_sub(s.opened) >= SEAL_AGE_NS;
        }
    }

    /// Hands segments that are left and quiet to the keeper.
    pub(super) fn release_segments(&mut self) {
        let mut i = 0;
        while i < self.segments.len() {
            if self.segments[i].leaving && self.segments[i].queue.is_empty() {
                let s = self.segments.swap_remove(i);
                self.disk.detach(s.slot);
                s.shared.close(s.holes);
                self.supply.wake();
            } else {
                i += 1;
            }
        }
    }

    /// The end: what is not on disk is counted as failed; segments with writes under way are left to recovery.
    pub(super) fn abandon(&mut self) {
        self.failed += self.appended - self.durable - self.failed;
        // By class and second: the blocks may be more than there is room for events.
        let mut lost: BTreeMap<(ClassId, u64), (u64, u64, u64)> = BTreeMap::new();
        let waiting = self.waiting.iter().map(|b| (b.about.class, b.about.totals));
        let under_way = self.segments.iter().flat_map(|s| s.queue.iter().map(move |q| (s.class, q.about.totals)));
        for (class, t) in waiting.chain(under_way).filter(|(_, t)| t.packets > 0) {
            let sum = lost.entry((class, t.first / 1_000_000_000)).or_insert((0, t.first, t.last));
            *sum = (sum.0 + u64::from(t.packets), sum.1.min(t.first), sum.2.max(t.last));
        }
        for ((class, _), (packets, first, last)) in lost {
            self.given_up(class, packets, (first, last));
        }
        for s in self.segments.drain(..).filter(|s| s.queue.is_empty()) {
            s.shared.close(s.holes);
        }
        self.supply.wake();
    }
}

/// Whether trying the same write again may help.
fn passing(e: &io::Error) -> bool {
    let again = [Errno::AGAIN, Errno::INTR, Errno::BUSY, Errno::NOMEM];
    e.raw_os_error().is_some_and(|n| again.iter().any(|a| a.raw_os_error() == n))
}
