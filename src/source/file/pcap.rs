//! The classic capture format: a header, then records. Reads what libpcap reads (`sf-pcap.c`), to the byte: both byte
//! orders, micro- and nanoseconds, Kuznetzov's modified format, versions 2.0 to 2.4 and 543.0 with their swapped
//! lengths, packets longer than the file's snap length cut to it. Called by the file source.

use super::record::{Odd, Order, Record};
use crate::limits::SNAPLEN;
use crate::source::{InputOptions, Packet};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;
/// Bytes of the file header.
pub const HEADER: usize = 24;
const ETHERNET: u32 = 1;
/// Not assigned, and reserved for that.
const NO_LINK_TYPE: u32 = 0xffff;

/// Which end of a record header holds the captured length: versions before 2.3 had it second, 2.3 either way.
#[derive(Clone, Copy, Debug)]
enum Lengths {
    CapturedFirst,
    CapturedLast,
    SmallerIsCaptured,
}

/// A file after its header.
#[derive(Debug)]
pub struct Reader {
    order: Order,
    /// Nanoseconds of one unit of the second half of a time.
    unit: u64,
    record_header: usize,
    lengths: Lengths,
    snaplen: u32,
    /// Lengths above this are lies.
    longest: u32,
    iface: u16,
}

/// The byte order of a pcap file, from its first four bytes; `None`: not pcap.
pub fn order(magic: [u8; 4]) -> Option<Order> {
    let known = |m| matches!(m, MICROSECONDS | NANOSECONDS | MODIFIED);
    match (known(u32::from_le_bytes(magic)), known(u32::from_be_bytes(magic))) {
        (true, _) => Some(Order::Little),
        (_, true) => Some(Order::Big),
        _ => None,
    }
}

impl Reader {
    /// Reads the file header (the first [`HEADER`] bytes); `interface` gives the index for the link type.
    pub fn new(header: &[u8], order: Order, interface: impl FnOnce(u16) -> Option<u16>) -> Result<Reader, String> {
        let magic = order.u32(header, 0);
        let (major, minor) = (order.u16(header, 4), order.u16(header, 6));
        let lengths = match (major, minor) {
            (2, 0..3) | (543, 0) => Lengths::CapturedLast,
            (2, 3) => Lengths::SmallerIsCaptured,
            (2, 4) => Lengths::CapturedFirst,
            _ => return Err(format!("pcap version {major}.{minor}; 2.0 to 2.4 can be read")),
        };
        let field = order.u32(header, 20);
        // The upper 16 bits: length of the frame check sequence and its presence; the rest reserved. A link type that needs
        // those is none; its packets are kept all the same, under a number that is nobody's.
        let link_type = if field & 0x03ff_0000 == 0 { field & 0xffff } else { NO_LINK_TYPE };
        let longest = longest_packet(link_type);
        let mut snaplen = match order.u32(header, 16) {
            0 | 0x8000_0000.. => longest,
            n => n,
        };
        let record_header = if magic == MODIFIED { 24 } else { 16 };
        if magic == MODIFIED && link_type == ETHERNET {
            // Captures in cooked mode got an Ethernet header in front after the cut to the snap length.
            snaplen = snaplen.saturating_add(14);
        }
        let iface = interface(link_type as u16).ok_or("too many interfaces")?;
        let unit = if magic == NANOSECONDS { 1 } else { 1000 };
        Ok(Reader { order, unit, record_header, lengths, snaplen, longest, iface })
    }

    /// The record at the front of `bytes`.
    #[inline]
    pub fn next<'a>(&self, bytes: &'a [u8]) -> Record<'a> {
        let Some((head, rest)) = bytes.split_at_checked(self.record_header) else {
            return Record::Need(self.record_header);
        };
        let [seconds, fraction, first, second] = [0, 4, 8, 12].map(|at| self.order.u32(head, at));
        let (captured, wire_len) = match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::SmallerIsCaptured if first <= second => (first, second),
            _ => (second, first),
        };
        if captured > self.longest {
            return Record::Broken { why: format!("a packet claims {captured} captured bytes") };
        }
        let kept = captured.min(self.snaplen).min(SNAPLEN) as usize;
        let len = self.record_header as u64 + u64::from(captured);
        let Some(data) = rest.get(..kept) else {
            return Record::Need(self.record_header + kept);
        };
        // A record whose end is cut off counts as unreadable, unless it exceeds any window.
        if captured as usize <= 2 * SNAPLEN as usize && rest.len() < captured as usize {
            return Record::Need(len as usize);
        }
        let time = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit;
        let mut odd = Odd::default();
        odd.set_if(data.len() > wire_len as usize, Odd::LONGER_THAN_WIRE);
        odd.set_if(captured as usize > kept, Odd::BEYOND_SNAPLEN);
        let wire_len = wire_len.max(data.len() as u32);
        let packet = Packet { time, wire_len, iface: self.iface, hash: None, data, options: InputOptions::NONE };
        Record::Packet { len, packet, odd }
    }
}

/// The longest packet that libpcap believes for a link type (`max_snaplen_for_dlt`).
pub fn longest_packet(link_type: u32) -> u32 {
    match link_type {
        231 => 128 << 20,       // D-Bus
        279 => 8 << 20,         // Elektrobit
        189 | 220 => 128 << 20, // Linux USB
        249 => 128 << 20,       // USBPcap
        _ => SNAPLEN,
    }
}
