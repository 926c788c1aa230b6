//! One block from its first packet until it is on disk. Called by the writer; knows nothing of segments but the name that it
//! is given when it gets its place.

use crate::class::ClassId;
use crate::limits::{BLOCK_BYTES, IFACES_MAX, SECTOR_BYTES, STRIPE_BYTES};
use crate::source::Packet;
use crate::store::disk::buffers::Buffer;
use crate::store::format::{self, BlockName, BlockTotals, HEAD_BYTES, ISB_BYTES, IfaceDrops, PacketOptions};

const STRIPES: usize = BLOCK_BYTES / STRIPE_BYTES;
/// What is kept free behind the packets: statistics, and a trailer with its padding.
const RESERVE: usize = IFACES_MAX * ISB_BYTES + 72 + 4 * STRIPES + SECTOR_BYTES;
/// Where packets must end.
const PACKETS_END: usize = BLOCK_BYTES - RESERVE;

const _: () =
    assert!(HEAD_BYTES + 3 * format::EPB_BYTES_MAX <= PACKETS_END, "three packets fit, whatever their length");

/// The block that packets are appended to.
#[derive(Debug)]
pub struct OpenBlock {
    buffer: Buffer,
    used: usize,
    /// Checksums of finished stripes; that of the first waits for the head.
    crcs: [u32; STRIPES],
    summed: usize,
    totals: BlockTotals,
    latest: u64,
    /// The first interfaces that packets came from: these get statistics.
    ifaces: [u32; IFACES_MAX],
    ifaces_len: usize,
    max_iface: u32,
    /// When it was begun: monotonic clock of the last tick, ns.
    pub opened: u64,
}

impl OpenBlock {
    /// An empty block.
    pub fn new(buffer: Buffer, opened: u64) -> OpenBlock {
        OpenBlock {
            buffer,
            used: HEAD_BYTES,
            crcs: [0; STRIPES],
            summed: 1,
            totals: BlockTotals { first: u64::MAX, ..BlockTotals::default() },
            latest: u64::MAX,
            ifaces: [0; IFACES_MAX],
            ifaces_len: 0,
            max_iface: 0,
            opened,
        }
    }

    /// Whether a packet that takes so many bytes fits.
    #[inline]
    pub fn fits(&self, bytes: usize) -> bool {
        self.used + bytes <= PACKETS_END
    }

    /// Appends a packet that fits; `iface` is its interface's number in the segment.
    #[inline]
    pub fn push(&mut self, packet: &Packet<'_>, data: &[u8], iface: u32, options: &PacketOptions) {
        let end = self.used + format::packet_bytes(data.len(), options, packet.options.len());
        format::write_packet(&mut self.buffer[self.used..end], iface, packet, data, options);
        self.used = end;
        let t = &mut self.totals;
        // The first packet begins the first run, because `latest` is above it or equal.
        t.runs += u32::from(packet.time < self.latest || t.packets == 0);
        self.latest = packet.time;
        t.packets += 1;
        t.first = t.first.min(packet.time);
        t.last = t.last.max(packet.time);
        t.wire_bytes += u64::from(packet.wire_len);
        t.data_bytes += data.len() as u64;
        if !self.ifaces[..self.ifaces_len].contains(&iface) {
            self.max_iface = self.max_iface.max(iface);
            if self.ifaces_len < IFACES_MAX {
                self.ifaces[self.ifaces_len] = iface;
                self.ifaces_len += 1;
            }
        }
        self.sum_finished();
    }

    /// Sums stripes that are full, while they are in the cache.
    #[inline]
    fn sum_finished(&mut self) {
        while (self.summed + 1) * STRIPE_BYTES <= self.used {
            let from = self.summed * STRIPE_BYTES;
            self.crcs[self.summed] = crc32c::crc32c(&self.buffer[from..from + STRIPE_BYTES]);
            self.summed += 1;
        }
    }

    /// Its earliest packet, Unix ns; `u64::MAX`: it has none.
    pub fn first(&self) -> u64 {
        self.totals.first
    }

    /// Ends the block: statistics of its interfaces, and its length is known.
    pub fn close(mut self, class: ClassId, table: u16, stalled: u64, drops: impl Fn(u32) -> IfaceDrops) -> ClosedBlock {
        self.totals.stalled = stalled;
        for i in 0..self.ifaces_len {
            let (iface, end) = (self.ifaces[i], self.used + ISB_BYTES);
            format::write_statistics(&mut self.buffer[self.used..end], iface, self.totals.last, drops(iface));
            self.used = end;
        }
        self.sum_finished();
        for i in self.summed..self.used.div_ceil(STRIPE_BYTES) {
            let from = i * STRIPE_BYTES;
            self.crcs[i] = crc32c::crc32c(&self.buffer[from..self.used.min(from + STRIPE_BYTES)]);
        }
        ClosedBlock {
            buffer: self.buffer,
            about: About {
                class,
                table,
                ifaces: self.max_iface as usize + 1,
                trailer_at: self.used,
                crcs: self.crcs,
                totals: self.totals,
                opened: self.opened,
                failed: None,
                retry_at: 0,
            },
        }
    }
}

/// A block that is complete but for its name.
#[derive(Debug)]
pub struct ClosedBlock {
    /// Its bytes.
    pub buffer: Buffer,
    /// What is known of it.
    pub about: About,
}

/// What is known of a closed block while its buffer is away.
#[derive(Debug)]
pub struct About {
    /// Storage class.
    pub class: ClassId,
    /// The interface table that its interface numbers point into.
    pub table: u16,
    /// The segment must describe at least so many interfaces.
    pub ifaces: usize,
    /// Times, counts.
    pub totals: BlockTotals,
    /// When the block was begun, monotonic ns.
    pub opened: u64,
    /// When its first write failed, monotonic ns.
    pub failed: Option<u64>,
    /// Not to be written before.
    pub retry_at: u64,
    /// End of its packets and statistics.
    pub trailer_at: usize,
    crcs: [u32; STRIPES],
}

impl About {
    /// Whether the other block is of the same class and link type.
    pub fn same_stream(&self, other: &About) -> bool {
        self.class == other.class && self.table == other.table
    }

    /// Length on disk.
    pub fn len(&self) -> usize {
        self.trailer_at + format::trailer_bytes(self.trailer_at)
    }
}

impl ClosedBlock {
    /// Gives the block its name: writes head and trailer. May be done again when it must move.
    pub fn place(&mut self, name: &BlockName) {
        let (len, at) = (self.about.len(), self.about.trailer_at);
        let block = &mut self.buffer[..len];
        format::write_head(block, name, at);
        self.about.crcs[0] = crc32c::crc32c(&block[..at.min(STRIPE_BYTES)]);
        format::write_trailer(block, at, &self.about.totals, &self.about.crcs[..at.div_ceil(STRIPE_BYTES)]);
    }
}
