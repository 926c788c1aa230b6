//! pcapng (draft-ietf-opsawg-pcapng): sections of either byte order, any number of interfaces with their own link type,
//! resolution and offset, enhanced, simple and old packet blocks; every other block is skipped. Reads what libpcap reads
//! (`sf-pcapng.c`) and more: it refuses files whose interfaces or sections differ. Called by the file source.

use super::pcap::longest_packet;
use super::record::{Interfaces, Order, Record};
use crate::limits::{FILE_WINDOW_BYTES, IFACES_FILE_MAX, SNAPLEN};
use crate::source::Packet;

/// Type of the section header block; reads alike in both byte orders.
pub const SECTION: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE: u32 = 1;
const PACKET_OLD: u32 = 2;
const PACKET_SIMPLE: u32 = 3;
const PACKET_ENHANCED: u32 = 6;

/// Bytes of type, length and the length again at the end.
const FRAME: usize = 12;
/// No block is believed to be longer: more than the longest packet of any link type.
const BLOCK_MAX: u32 = 130 << 20;

/// The latest packet time: below the largest number, so that a window that ends there without its end has every packet.
const LATEST: u64 = u64::MAX - 1;

/// The current section.
#[derive(Debug)]
pub struct Reader {
    order: Order,
    ifaces: Vec<Iface>,
    /// Name of interfaces that have none.
    name: String,
}

/// An interface of the current section.
#[derive(Clone, Copy, Debug)]
struct Iface {
    index: u16,
    /// Bound of a simple packet block's data, which does not give its length.
    snaplen: u32,
    clock: Clock,
}

/// How an interface's time stamps become Unix nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    unit: Unit,
    /// Seconds to add.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Nanoseconds of a tick.
    Times(u64),
    /// Ticks of a nanosecond.
    Per(u64),
    /// Ticks of a second, as a power of two.
    Binary(u8),
}

impl Reader {
    /// A reader that has seen no section yet; interfaces without a name get `name`.
    pub fn new(name: &str) -> Reader {
        Reader { order: Order::Little, ifaces: Vec::new(), name: name.to_owned() }
    }

    /// The block at the front of `bytes`.
    #[inline]
    pub fn next<'a>(&mut self, bytes: &'a [u8], interfaces: &mut Interfaces) -> Record<'a> {
        if bytes.len() < FRAME {
            return Record::Need(FRAME);
        }
        let kind = self.order.u32(bytes, 0);
        if kind == SECTION {
            return self.section(bytes);
        }
        let len = self.order.u32(bytes, 4);
        if let Err(why) = plausible(len) {
            return Record::Broken { why };
        }
        let is_packet = matches!(kind, PACKET_ENHANCED | PACKET_SIMPLE | PACKET_OLD);
        if !is_packet && kind != INTERFACE {
            return Record::Other { len: u64::from(len) };
        }
        // Longer than the window: the end is not checked, and the data is cut to the snap length.
        let whole = (len as usize).min(FILE_WINDOW_BYTES);
        let Some(block) = bytes.get(..whole) else {
            return Record::Need(whole);
        };
        let end = if len as usize == whole { whole - 4 } else { whole };
        if len as usize == whole && self.order.u32(block, end) != len {
            let again = self.order.u32(block, end);
            return Record::Broken { why: format!("a block says {len} bytes at its beginning and {again} at its end") };
        }
        let body = block.get(8..end).unwrap_or_default();
        let len = u64::from(len);
        match kind {
            PACKET_ENHANCED | PACKET_OLD => self.packet(kind, body, len),
            PACKET_SIMPLE => self.simple_packet(body, len),
            _ => match self.interface(body, interfaces) {
                Ok(()) => Record::Other { len },
                Err(why) => Record::Broken { why },
            },
        }
    }

    fn section<'a>(&mut self, bytes: &'a [u8]) -> Record<'a> {
        if bytes.len() < 28 {
            return Record::Need(28);
        }
        self.order = match (Order::Little.u32(bytes, 8), Order::Big.u32(bytes, 8)) {
            (BYTE_ORDER_MAGIC, _) => Order::Little,
            (_, BYTE_ORDER_MAGIC) => Order::Big,
            (m, _) => return Record::Broken { why: format!("a section header's byte order magic is {m:#010x}") },
        };
        let (len, major, minor) = (self.order.u32(bytes, 4), self.order.u16(bytes, 12), self.order.u16(bytes, 14));
        if let Err(why) = plausible(len) {
            return Record::Broken { why };
        }
        if len < 28 {
            return Record::Broken { why: format!("a section header claims {len} bytes") };
        }
        if (major, minor) != (1, 0) && (major, minor) != (1, 2) {
            return Record::Broken { why: format!("pcapng version {major}.{minor}; 1.0 and 1.2 can be read") };
        }
        self.ifaces.clear();
        Record::Other { len: u64::from(len) }
    }

    fn interface(&mut self, body: &[u8], interfaces: &mut Interfaces) -> Result<(), String> {
        if body.len() < 8 {
            return Err(format!("an interface description of {} bytes", body.len() + FRAME));
        }
        if self.ifaces.len() >= IFACES_FILE_MAX {
            return Err(format!("more than {IFACES_FILE_MAX} interfaces in a section"));
        }
        let link_type = self.order.u16(body, 0);
        let snaplen = match self.order.u32(body, 4) {
            0 | 0x8000_0000.. => longest_packet(u32::from(link_type)),
            n => n,
        };
        let mut clock = Clock { unit: Unit::Times(1000), offset: 0 };
        let mut name = None;
        for (code, value) in options(body.get(8..).unwrap_or_default(), self.order) {
            match (code, value) {
                (2, text) => name = Some(clean_name(text)),
                (9, [resolution]) => clock.unit = unit(*resolution)?,
                (14, offset) if offset.len() == 8 => clock.offset = self.order.u64(offset, 0) as i64,
                _ => {}
            }
        }
        let name = name.filter(|n| !n.is_empty());
        let index = interfaces.intern(name.as_deref().unwrap_or(&self.name), link_type).ok_or("too many interfaces")?;
        self.ifaces.push(Iface { index, snaplen, clock });
        Ok(())
    }

    /// An enhanced packet block, or the old one, whose interface number is shorter and followed by a drop count.
    #[inline]
    fn packet<'a>(&self, kind: u32, body: &'a [u8], len: u64) -> Record<'a> {
        let Some((head, rest)) = body.split_at_checked(20) else {
            return Record::Lost { len, why: format!("a packet block of {len} bytes") };
        };
        let number = match kind {
            PACKET_ENHANCED => self.order.u32(head, 0),
            _ => u32::from(self.order.u16(head, 0)),
        };
        let [high, low, captured, wire_len] = [4, 8, 12, 16].map(|at| self.order.u32(head, at));
        let Some(iface) = self.ifaces.get(number as usize) else {
            return Record::Lost { len, why: format!("a packet of interface {number}, which is not described") };
        };
        let Some(data) = rest.get(..captured.min(SNAPLEN) as usize).filter(|_| len >= u64::from(captured) + 32) else {
            return Record::Lost { len, why: format!("a packet of {captured} bytes in a block of {len}") };
        };
        let time = iface.clock.unix_ns(u64::from(high) << 32 | u64::from(low));
        Record::Packet { len, packet: Packet { time, wire_len, iface: iface.index, hash: None, data } }
    }

    /// A simple packet block: no time (1970), the section's first interface, as much data as its snap length allows.
    fn simple_packet<'a>(&self, body: &'a [u8], len: u64) -> Record<'a> {
        let Some((head, rest)) = body.split_at_checked(4) else {
            return Record::Lost { len, why: format!("a simple packet block of {len} bytes") };
        };
        let wire_len = self.order.u32(head, 0);
        let Some(iface) = self.ifaces.first() else {
            return Record::Lost { len, why: "a packet before any interface description".into() };
        };
        let captured = wire_len.min(iface.snaplen);
        let Some(data) = rest.get(..captured.min(SNAPLEN) as usize) else {
            return Record::Lost { len, why: format!("a packet of {captured} bytes in a simple block of {len}") };
        };
        let time = iface.clock.unix_ns(0);
        Record::Packet { len, packet: Packet { time, wire_len, iface: iface.index, hash: None, data } }
    }
}

/// A block's length can be one.
fn plausible(len: u32) -> Result<(), String> {
    match len {
        0..12 => Err(format!("a block claims {len} bytes, fewer than its frame")),
        _ if !len.is_multiple_of(4) => Err(format!("a block claims {len} bytes, not a multiple of 4")),
        _ if len > BLOCK_MAX => Err(format!("a block claims {len} bytes")),
        _ => Ok(()),
    }
}

/// The options of a block, up to the first that is cut short.
fn options(mut rest: &[u8], order: Order) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (code, len) = (order.u16(rest.get(..4)?, 0), usize::from(order.u16(rest, 2)));
        if code == 0 {
            return None;
        }
        let value = rest.get(4..4 + len)?;
        rest = rest.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    })
}

/// An interface's name as it can be shown and stored: no control characters, at most 64 characters.
fn clean_name(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(64).collect()
}

/// if_tsresol: ticks of a second, as a power of ten, or of two with the highest bit.
fn unit(resolution: u8) -> Result<Unit, String> {
    match resolution {
        0..=9 => Ok(Unit::Times(10u64.pow(9 - u32::from(resolution)))),
        10..=19 => Ok(Unit::Per(10u64.pow(u32::from(resolution) - 9))),
        0x80..=0xbf => Ok(Unit::Binary(resolution & 0x7f)),
        n if n < 0x80 => Err(format!("a time resolution of 10^-{n} s")),
        n => Err(format!("a time resolution of 2^-{} s", n & 0x7f)),
    }
}

impl Clock {
    /// Truncated to nanoseconds as libpcap does; held at the ends of what 64 bits can say (1970 and 2554).
    #[inline]
    fn unix_ns(self, ticks: u64) -> u64 {
        let ns = match self.unit {
            Unit::Times(n) => u128::from(ticks) * u128::from(n),
            Unit::Per(n) => u128::from(ticks / n),
            Unit::Binary(shift) => (u128::from(ticks) * 1_000_000_000) >> shift,
        };
        if self.offset == 0 {
            return u64::try_from(ns).unwrap_or(u64::MAX).min(LATEST);
        }
        let ns = ns as i128 + i128::from(self.offset) * 1_000_000_000;
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX).min(LATEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_every_resolution() {
        let at = |resolution, offset, ticks| Clock { unit: unit(resolution).unwrap(), offset }.unix_ns(ticks);
        assert_eq!(at(6, 0, 1_700_000_000_123_456), 1_700_000_000_123_456_000);
        assert_eq!(at(9, 0, 1_700_000_000_123_456_789), 1_700_000_000_123_456_789);
        assert_eq!(at(0, 0, 1_700_000_000), 1_700_000_000_000_000_000);
        assert_eq!(at(12, 0, 1_999), 1);
        assert_eq!(at(19, 0, 29_999_999_999), 2);
        assert_eq!(at(0x80 | 10, 0, 1536), 1_500_000_000);
        assert_eq!(at(0x80 | 63, 0, 1 << 62), 500_000_000);
        assert_eq!(at(6, 1000, 5), 1_000_000_005_000);
        assert_eq!(at(6, -1000, 5), 0, "held at 1970");
        assert_eq!(at(0, 0, u64::MAX), LATEST, "held at 2554");
        assert!(unit(20).is_err() && unit(0xc0).is_err());
    }
}
