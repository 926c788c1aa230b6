//! The TPACKET_V3 ring of one packet socket: blocks that the kernel fills and hands over. Owns the shared memory; called
//! by the packet source. Puts the VLAN tag that the kernel took out of a packet back into its bytes.
//!
//! Layout: include/uapi/linux/if_packet.h (`tpacket_block_desc`, `tpacket3_hdr`).
#![allow(unsafe_code)]

use super::socket::PacketSocket;
use memmap2::{MmapOptions, MmapRaw};
use std::cell::Cell;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A block that has packets is handed over at the latest after this time.
const RETIRE_MS: u32 = 10;
/// Bytes of a VLAN tag: room that is kept in front of each packet.
const TAG: usize = 4;
/// Both MAC addresses: what a tag is put behind.
const MACS: usize = 12;

/// The ring of one socket.
pub struct Ring {
    socket: PacketSocket,
    map: Arc<MmapRaw>,
    block_bytes: usize,
    blocks: usize,
    /// The block that the kernel hands over next, or is being read.
    current: usize,
    /// Packets of it that are still to be read, and the offset of the next; `None`: not handed over yet.
    open: Option<(u32, usize)>,
}

/// A packet in the ring.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// CLOCK_REALTIME of its arrival, ns.
    pub realtime: u64,
    /// Bytes on the wire, the tag included.
    pub wire_len: u32,
    /// Captured bytes, the tag included.
    pub data: &'a [u8],
}

impl Ring {
    /// Gives `socket`, not yet bound, a ring of at least `bytes` bytes.
    pub fn new(socket: PacketSocket, bytes: usize) -> io::Result<Ring> {
        let block_bytes = if bytes >= 16 << 20 { 1 << 20 } else { 256 << 10 };
        let blocks = bytes.div_ceil(block_bytes).max(4);
        socket.set_packet(libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as i32))?;
        socket.set_packet(libc::PACKET_RESERVE, &(TAG as u32))?;
        const FRAME: usize = 2048;
        let request = libc::tpacket_req3 {
            tp_block_size: block_bytes as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: FRAME as u32,
            tp_frame_nr: (block_bytes / FRAME * blocks) as u32,
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        socket.set_packet(libc::PACKET_RX_RING, &request)?;
        let map = Arc::new(MmapOptions::new().len(block_bytes * blocks).map_raw(&socket.as_fd())?);
        Ok(Ring { socket, map, block_bytes, blocks, current: 0, open: None })
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.block_bytes * self.blocks
    }

    /// How full it is, for whoever does not read it.
    pub fn level(&self) -> Level {
        Level { map: self.map.clone(), block_bytes: self.block_bytes, blocks: self.blocks }
    }

    /// The block to read from, if the kernel has handed one over.
    pub fn block(&mut self) -> Option<Block<'_>> {
        let base = self.current * self.block_bytes;
        if self.open.is_none() {
            if self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                return None;
            }
            let header = offset_of!(libc::tpacket_block_desc, hdr);
            let first = self.word(base + header + offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt))?;
            let packets = self.word(base + header + offset_of!(libc::tpacket_hdr_v1, num_pkts))?;
            self.open = Some((packets, first as usize));
        }
        let open = Cell::new(self.open?);
        Some(Block { ring: self, base, open })
    }

    /// Nothing is left: the kernel has put no packet into the block that comes next, neither handed over nor still filling.
    pub fn is_empty(&self) -> bool {
        self.open.is_none() && self.header_word(offset_of!(libc::tpacket_hdr_v1, num_pkts)).load(Ordering::Acquire) == 0
    }

    /// Packets can be read: a block was handed over and is not read to its end.
    pub fn is_ready(&self) -> bool {
        self.open.is_some() || self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// An eighth of its blocks waits to be read.
    pub fn is_pressed(&self) -> bool {
        let ahead = (self.current + (self.blocks / 8).max(1)) % self.blocks;
        let status = offset_of!(libc::tpacket_hdr_v1, block_status);
        self.header_word_of(ahead, status).load(Ordering::Relaxed) & libc::TP_STATUS_USER != 0
    }

    fn status(&self) -> &AtomicU32 {
        self.header_word(offset_of!(libc::tpacket_hdr_v1, block_status))
    }

    /// A word of the current block's header.
    fn header_word(&self, field: usize) -> &AtomicU32 {
        self.header_word_of(self.current, field)
    }

    /// The same of any block.
    fn header_word_of(&self, block: usize, field: usize) -> &AtomicU32 {
        let at = block * self.block_bytes + offset_of!(libc::tpacket_block_desc, hdr) + field;
        // SAFETY: within the block, which is mapped while `self` lives; 4-byte aligned; kernel and process use it as an
        // atomic word.
        unsafe { &*self.map.as_mut_ptr().add(at).cast::<AtomicU32>() }
    }

    /// The word at `at`; `None` outside the map.
    fn word(&self, at: usize) -> Option<u32> {
        // SAFETY: checked to lie within the map; any bits are a u32. The block was handed over (acquire) by the kernel.
        (at + 4 <= self.map.len()).then(|| unsafe { self.map.as_mut_ptr().add(at).cast::<u32>().read_unaligned() })
    }
}

/// A look at how full a ring is.
pub struct Level {
    map: Arc<MmapRaw>,
    block_bytes: usize,
    blocks: usize,
}

impl Level {
    /// The part of its blocks that the kernel has handed over and nobody has read.
    pub fn fill(&self) -> f64 {
        let status = offset_of!(libc::tpacket_block_desc, hdr) + offset_of!(libc::tpacket_hdr_v1, block_status);
        let waits = |n: &usize| {
            // SAFETY: within the block, which is mapped while `self` lives; 4-byte aligned; kernel and process use it as
            // an atomic word.
            let word = unsafe { &*self.map.as_mut_ptr().add(n * self.block_bytes + status).cast::<AtomicU32>() };
            word.load(Ordering::Relaxed) & libc::TP_STATUS_USER != 0
        };
        (0..self.blocks).filter(waits).count() as f64 / self.blocks as f64
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A block that is being read; goes back to the kernel when this ends and all its packets have been taken.
pub struct Block<'a> {
    ring: &'a mut Ring,
    base: usize,
    open: Cell<(u32, usize)>,
}

impl Block<'_> {
    /// CLOCK_REALTIME of the next packet, ns; `None`: there is none.
    #[inline]
    pub fn time(&self) -> Option<u64> {
        let (left, at) = self.open.get();
        let word = |field| self.ring.word(self.base + at + field);
        let (seconds, ns) =
            (word(offset_of!(libc::tpacket3_hdr, tp_sec))?, word(offset_of!(libc::tpacket3_hdr, tp_nsec))?);
        (left > 0).then(|| u64::from(seconds) * 1_000_000_000 + u64::from(ns))
    }

    /// The next packet, lent while the block is.
    #[inline]
    pub fn next(&self) -> Option<Frame<'_>> {
        let (left, at) = self.open.get();
        if left == 0 {
            return None;
        }
        let frame = self.frame(at);
        // A packet that is not within its block ends it: the kernel makes none such.
        let next = match (&frame, self.ring.word(self.base + at)) {
            (Some(_), Some(offset)) if offset != 0 => (left - 1, at + offset as usize),
            (Some(_), _) => (left - 1, at),
            (None, _) => (0, at),
        };
        self.open.set(next);
        frame
    }

    fn frame(&self, at: usize) -> Option<Frame<'_>> {
        use libc::tpacket3_hdr as H;
        if at + size_of::<H>() > self.ring.block_bytes {
            return None;
        }
        let header = self.base + at;
        // SAFETY: the header lies within the block (checked), which the kernel has handed over.
        let h = unsafe { self.ring.map.as_mut_ptr().add(header).cast::<H>().read_unaligned() };
        let (mac, mut len) = (usize::from(h.tp_mac), h.tp_snaplen as usize);
        if mac < size_of::<H>() + TAG || at + mac + len > self.ring.block_bytes {
            return None;
        }
        let mut start = header + mac;
        let mut wire_len = h.tp_len;
        if h.tp_status & libc::TP_STATUS_VLAN_VALID != 0 && len >= MACS {
            let tpid = if h.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0 { h.hv1.tp_vlan_tpid } else { 0x8100 };
            let [a, b] = tpid.to_be_bytes();
            let [c, d] = (h.hv1.tp_vlan_tci as u16).to_be_bytes();
            // SAFETY: the reserve of PACKET_RESERVE lies between header and packet (`mac` was checked for it); the
            // packet is ours, and this is the only time that it is read (`next` goes on to the one after).
            unsafe {
                let packet = self.ring.map.as_mut_ptr().add(start);
                std::ptr::copy(packet, packet.sub(TAG), MACS);
                packet.sub(TAG).add(MACS).cast::<[u8; 4]>().write([a, b, c, d]);
            }
            start -= TAG;
            len += TAG;
            wire_len += TAG as u32;
        }
        // SAFETY: within the block (checked above). The kernel does not write to it until it gets it back, which is when
        // the `Block` is dropped that this is borrowed from; `next` never comes back to it, so nobody else writes either.
        let data = unsafe { std::slice::from_raw_parts(self.ring.map.as_mut_ptr().add(start), len) };
        Some(Frame { realtime: u64::from(h.tp_sec) * 1_000_000_000 + u64::from(h.tp_nsec), wire_len, data })
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        self.ring.open = Some(self.open.get());
        if self.open.get().0 > 0 {
            return;
        }
        // So that `is_empty` does not take the old count for packets: the kernel sets it when it opens the block again.
        self.ring.header_word(offset_of!(libc::tpacket_hdr_v1, num_pkts)).store(0, Ordering::Relaxed);
        self.ring.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.ring.open = None;
        self.ring.current = (self.ring.current + 1) % self.ring.blocks;
    }
}
