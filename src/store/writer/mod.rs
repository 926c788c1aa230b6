//! The writer: what a worker appends packets to. Owns the worker's block buffers, its open blocks and the segments that it
//! fills; called from the worker's thread only. Never waits for the disk (but in `finish`), never allocates for a packet, never
//! reads a clock: the loop brings the time with each `tick`.
//!
//! A packet goes into the open block of its stream (class and link type). A closed block waits for a place in a segment of
//! its stream ([`place`]); a failed one goes back to waiting and gets another place. So memory is the only thing that
//! `append` needs, and the only thing that a stalled disk can exhaust.

mod block;
mod interfaces;
mod place;
mod share;

use crate::class::ClassId;
use crate::limits::{
    BATCH_PACKETS, BLOCKS_MIN, FINISH_FULL_NS, FINISH_NS, FLUSH_NS, OPEN_SEGMENTS_MAX, SNAPLEN, STREAMS_MAX,
};
use crate::metrics::account::StoreCounts;
use crate::metrics::latency::Histogram;
use crate::source::{Interface, Packet};
use crate::store::disk::buffers::Buffer;
use crate::store::disk::{AnyDisk, Disk, Done};
use crate::store::event::StoreEvent;
use crate::store::format::{IfaceDrops, PacketOptions, packet_bytes};
use crate::store::inbox::{Filled, Inbox};
use crate::store::keeper::Supply;
use crate::store::scan::BlockRef;
use crate::store::segment::OpenSegment;
use crate::store::sink::{Appended, Recorder, Sink, WriterStats};
use crate::window::WriterProgress;
use block::{ClosedBlock, OpenBlock};
use crossbeam_queue::ArrayQueue;
use interfaces::Tables;
use place::{Flight, Segment};
use share::Shares;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An open block of one class and link type.
#[derive(Debug)]
struct Stream {
    class: ClassId,
    table: u16,
    block: OpenBlock,
    /// Rises with use: the stream with the lowest makes room for a new one.
    used: u64,
}

/// A worker's writer.
#[derive(Debug)]
pub struct Writer<D = AnyDisk> {
    worker: u16,
    disk: D,
    supply: Arc<Supply>,
    tables: Tables,
    /// Monotonic time of the last tick, ns.
    now: u64,
    uses: u64,
    /// Packets that found no free block.
    stalled: u64,
    streams: Vec<Stream>,
    /// Open blocks at a time: with fewer buffers fewer, so that others are left for what is on its way.
    streams_max: usize,
    shares: Shares,
    free: Vec<Buffer>,
    /// Buffers for segment headers, apart, because a full house of blocks waits for a header.
    headers: Vec<Buffer>,
    buffers: usize,
    waiting: VecDeque<ClosedBlock>,
    segments: Vec<Segment>,
    /// By buffer index: what is at the disk.
    flights: Vec<Option<Flight>>,
    /// Writes to be tried again where they are.
    again: Vec<crate::store::disk::Write>,
    done: Vec<Done>,
    appended: u64,
    durable: u64,
    failed: u64,
    written_bytes: u64,
    /// When the oldest block that is not durable was begun, and when this was looked at.
    oldest_pending: u64,
    looked: u64,
    /// The wall clock at the last tick; 0: not known.
    unix: u64,
    /// From the arrival of a block's oldest packet until the block is durable, ns.
    durable_ns: Arc<Histogram>,
    /// Writes are failing.
    failing: bool,
    /// Where written blocks go, and where their buffers come back.
    inbox: Option<Arc<Inbox>>,
    home: Arc<ArrayQueue<Buffer>>,
    away: usize,
    /// By buffer index: time of the earliest packet in a closed block that can't be read yet; `u64::MAX`: none.
    firsts: Vec<u64>,
    progress: WriterProgress,
    told: u64,
    /// The oldest packet since it told, and how old packets were lately.
    oldest_new: u64,
    lag: u64,
}

/// Buffers kept for segment headers.
const HEADER_BUFFERS: usize = 2;
/// One block in so many may be on its way to memory in any case, and all that are written while as many are free: those absorb a stall of the disk.
const BLOCKS_PER_COPY: usize = 4;
/// Of what it knows of the age of packets, one part in so many is forgotten each time it tells.
const LAG_DECAY: u64 = 256;
/// How often it tells what can't be read yet.
const TELL_NS: u64 = 1_000_000;
/// How often it looks for the oldest block that is not durable.
const LOOK_NS: u64 = 10_000_000;

impl Writer {
    /// A writer with so many block buffers (at least [`BLOCKS_MIN`]) on the disk that the machine allows.
    pub(crate) fn new(worker: u16, blocks: usize, supply: Arc<Supply>) -> io::Result<Writer> {
        let buffers = Buffer::allocate(blocks.max(BLOCKS_MIN) + HEADER_BUFFERS)?;
        let (disk, why) = AnyDisk::new(&buffers, OPEN_SEGMENTS_MAX);
        if let Some(error) = why {
            supply.tell(StoreEvent::NoUring { error: error.to_string() });
        }
        Writer::on(worker, buffers, disk, supply).ok_or_else(|| io::Error::other("too many writers"))
    }
}

impl<D: Disk> Writer<D> {
    /// A writer on any disk; two of the buffers are for headers. `None`: there are too many writers.
    pub(crate) fn on(worker: u16, mut free: Vec<Buffer>, disk: D, supply: Arc<Supply>) -> Option<Writer<D>> {
        let all = free.len();
        let headers = free.split_off(all - HEADER_BUFFERS);
        let (inbox, progress) = (supply.inbox().cloned(), supply.begin()?);
        Some(Writer {
            worker,
            disk,
            supply,
            tables: Tables::default(),
            now: 0,
            uses: 0,
            stalled: 0,
            streams: Vec::with_capacity(STREAMS_MAX),
            streams_max: STREAMS_MAX.min(free.len() / 2).max(1),
            shares: Shares::new(free.len(), all),
            buffers: free.len(),
            waiting: VecDeque::with_capacity(free.len()),
            segments: Vec::with_capacity(OPEN_SEGMENTS_MAX),
            flights: (0..all).map(|_| None).collect(),
            again: Vec::with_capacity(all),
            done: Vec::with_capacity(all),
            free,
            headers,
            appended: 0,
            durable: 0,
            failed: 0,
            written_bytes: 0,
            oldest_pending: 0,
            looked: 0,
            unix: 0,
            durable_ns: Arc::default(),
            failing: false,
            inbox,
            home: Arc::new(ArrayQueue::new(all)),
            away: 0,
            firsts: vec![u64::MAX; all],
            progress,
            told: 0,
            oldest_new: u64::MAX,
            lag: 0,
        })
    }

    /// What an interface (by its index in the source) has received and lost since the start: written with each block.
    pub fn note_drops(&mut self, iface: u16, drops: IfaceDrops) {
        self.tables.note_drops(iface, drops);
    }

    /// From the arrival of a block's oldest packet until the block is durable, ns; empty for files.
    pub fn durable_ns(&self) -> Arc<Histogram> {
        self.durable_ns.clone()
    }

    /// Ends all segments, so that what comes next begins new ones: for a step of the clock.
    pub fn rotate(&mut self) {
        while let Some(stream) = self.streams.pop() {
            self.close(stream);
        }
        self.place_waiting();
        // What still waits for a segment goes to a new one, which begins before the step: times in it are sorted all the same.
        self.segments.iter_mut().for_each(|s| s.leaving = true);
        self.release_segments();
    }

    /// The open block for a packet that takes so many bytes, if there is memory for it.
    #[inline]
    fn stream_for(&mut self, class: ClassId, table: u16, bytes: usize) -> Option<&mut Stream> {
        self.uses += 1;
        let found = self.streams.iter().position(|s| s.class == class && s.table == table);
        let at = match found {
            Some(at) if self.streams[at].block.fits(bytes) => at,
            _ => self.open_block(found, class, table)?,
        };
        let stream = &mut self.streams[at];
        stream.used = self.uses;
        Some(stream)
    }

    /// Closes the stream's full block, if it has one, and opens the next. `None`: no free buffer.
    #[cold]
    fn open_block(&mut self, full: Option<usize>, class: ClassId, table: u16) -> Option<usize> {
        let victim = full.or_else(|| {
            let lru = self.streams.iter().enumerate().min_by_key(|(_, s)| s.used).map(|(i, _)| i);
            lru.filter(|_| self.streams.len() >= self.streams_max)
        });
        if let Some(at) = victim {
            let stream = self.streams.swap_remove(at);
            self.close(stream);
        }
        // Files wait for room instead, and have no wall clock.
        if self.unix > 0 && !self.shares.allows(class, self.free.len(), self.supply.classes().names().count()) {
            return None;
        }
        let buffer = self.free.pop()?;
        self.shares.take(buffer.index(), class);
        let block = OpenBlock::new(buffer, self.now);
        self.streams.push(Stream { class, table, block, used: 0 });
        Some(self.streams.len() - 1)
    }

    fn close(&mut self, stream: Stream) {
        let Stream { class, table, block, .. } = stream;
        let closed = block.close(class, table, self.stalled, |iface| self.tables.drops(table, iface));
        self.firsts[usize::from(closed.buffer.index())] = closed.about.totals.first;
        self.waiting.push_back(closed);
    }

    fn close_aged(&mut self) {
        let mut i = 0;
        while i < self.streams.len() {
            if self.now.saturating_sub(self.streams[i].block.opened) >= FLUSH_NS {
                let stream = self.streams.swap_remove(i);
                self.close(stream);
            } else {
                i += 1;
            }
        }
    }

    /// Time of the earliest packet that can't be read yet.
    fn unsettled(&self) -> u64 {
        let open = self.streams.iter().map(|s| s.block.first());
        open.chain(self.firsts.iter().copied()).min().unwrap_or(u64::MAX)
    }

    /// A block is durable with all before it: into memory, if there is one and it has room.
    fn remember(&mut self, buffer: Buffer, about: BlockRef, segment: &Arc<OpenSegment>) {
        let mut buffer = buffer;
        // A disk may finish many at once: what has been copied meanwhile does not count.
        self.come_home();
        if let Some(inbox) = &self.inbox {
            let (segment, home, part) = (segment.clone(), self.home.clone(), self.buffers / BLOCKS_PER_COPY);
            let block = Filled { buffer, about, segment, home };
            match if self.away < part || self.free.len() > part { inbox.give(block) } else { Err(block) } {
                Ok(()) => {
                    self.away += 1;
                    return;
                }
                Err(back) => buffer = back.buffer,
            }
            inbox.miss();
        }
        segment.settle(about.offset + about.len as u64);
        self.put_free(buffer);
    }

    /// Takes back what has been copied.
    fn come_home(&mut self) {
        while let Some(buffer) = self.home.pop() {
            self.away -= 1;
            self.put_free(buffer);
        }
    }

    fn put_free(&mut self, buffer: Buffer) {
        self.firsts[usize::from(buffer.index())] = u64::MAX;
        self.shares.give_back(buffer.index());
        self.free.push(buffer);
    }

    /// When the oldest block that is not durable was begun; 0: there is none.
    fn oldest_pending(&self) -> u64 {
        let open = self.streams.iter().map(|s| s.block.opened);
        let waiting = self.waiting.iter().map(|b| b.about.opened);
        open.chain(waiting).chain(self.flights.iter().flatten().filter_map(Flight::opened)).min().unwrap_or(0)
    }

    /// Whether anything is not yet on disk.
    fn busy(&self) -> bool {
        !self.streams.is_empty() || !self.waiting.is_empty() || !self.again.is_empty() || self.in_flight()
    }

    fn in_flight(&self) -> bool {
        self.flights.iter().any(Option::is_some)
    }

    /// As `finish`, with a bound on the time. Packets that are not on disk by then count as `write_failed`.
    pub(crate) fn finish_within(&mut self, limit: Duration) {
        let (start, from) = (Instant::now(), self.now);
        let mut full: Option<Instant> = None;
        let now = |start: Instant| from + start.elapsed().as_nanos() as u64;
        self.rotate();
        // What memory has not taken in yet nobody can read: it belongs to the end.
        while (self.busy() || self.away > 0) && start.elapsed() < limit {
            self.tick(now(start));
            if self.in_flight() {
                self.disk.wait(Duration::from_millis(10));
            } else if self.busy() || self.away > 0 {
                // Waits for a segment, for the time of a retry or for memory; for room on the disk not as long.
                if !self.supply.full() {
                    full = None;
                    self.supply.wake();
                } else if full.get_or_insert_with(Instant::now).elapsed() > Duration::from_nanos(FINISH_FULL_NS) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.tick(now(start));
        self.abandon();
        if self.away == 0 {
            self.progress.set(u64::MAX, u64::MAX, 0);
        }
    }
}

impl<D: Disk> Sink for Writer<D> {
    #[inline]
    fn append(
        &mut self,
        class: ClassId,
        packet: &Packet<'_>,
        interfaces: &[Interface],
        options: &PacketOptions,
    ) -> Appended {
        let data = packet.data.get(..SNAPLEN as usize).unwrap_or(packet.data);
        let Some(place) = self.tables.place(packet.iface, interfaces) else {
            debug_assert!(false, "a packet's interface is one of the source's");
            return Appended::Stalled;
        };
        let bytes = packet_bytes(data.len(), options, packet.options.len());
        match self.stream_for(class, place.table, bytes) {
            Some(stream) => {
                stream.block.push(packet, data, place.id, options);
                self.appended += 1;
                self.oldest_new = self.oldest_new.min(packet.time);
                Appended::Stored
            }
            None => {
                self.stalled += 1;
                Appended::Stalled
            }
        }
    }
}

impl<D: Disk> Recorder for Writer<D> {
    fn room(&self) -> bool {
        // Three packets fit a block, whatever their length, so a batch of n streams needs at most 64 / 3 + n blocks; where
        // streams must push each other out, each packet may need one.
        let streams = self.supply.classes().names().count() * (self.tables.len() + 1);
        let need = if streams <= self.streams_max { BATCH_PACKETS.div_ceil(3) + streams } else { BATCH_PACKETS };
        self.free.len() >= need.min(self.buffers - self.streams.len())
    }

    fn tick(&mut self, mono_ns: u64) {
        self.now = self.now.max(mono_ns);
        self.reap();
        self.come_home();
        self.close_aged();
        self.place_waiting();
        self.age_segments();
        self.release_segments();
        self.disk.submit();
        if self.now.saturating_sub(self.told) >= TELL_NS {
            self.told = self.now;
            // Files bring times of their own, and `unix` is 0.
            let seen = self.unix.saturating_sub(std::mem::replace(&mut self.oldest_new, u64::MAX));
            self.lag = seen.max(self.lag - self.lag / LAG_DECAY);
            self.progress.set(self.unsettled(), self.now, self.lag);
        }
        if self.now.saturating_sub(self.looked) >= LOOK_NS {
            self.looked = self.now;
            self.oldest_pending = self.oldest_pending();
        }
    }

    fn note_time(&mut self, unix_ns: u64) {
        self.unix = unix_ns;
    }

    fn stats(&self) -> WriterStats {
        let (blocks, free) = (self.buffers as u64, self.free.len() as u64);
        let (open, waiting) = (self.streams.len() as u64, self.waiting.len() as u64);
        WriterStats {
            blocks,
            free,
            open,
            waiting,
            in_flight: blocks.saturating_sub(free + open + waiting),
            written_bytes: self.written_bytes,
            oldest_pending: self.oldest_pending,
        }
    }

    fn counts(&self) -> StoreCounts {
        let pending = self.appended - self.durable - self.failed;
        StoreCounts { durable: self.durable, pending, write_failed: self.failed }
    }

    fn finish(&mut self) {
        self.finish_within(Duration::from_nanos(FINISH_NS));
    }
}
