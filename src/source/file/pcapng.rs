//! pcapng (draft-ietf-opsawg-pcapng): sections of either byte order, any number of interfaces with their own link type,
//! resolution and offset, enhanced, simple and old packet blocks, with what they say beside the packets. Reads what libpcap reads
//! (`sf-pcapng.c`) and more: it refuses files whose interfaces or sections differ. Called by the file source.

use super::behind::Behind;
use super::beside::Beside;
use super::clock::{Clock, unit};
use super::pcap::longest_packet;
use super::record::{Interfaces, Odd, Order, Record};
use super::report::Changed;
use crate::limits::{FILE_WINDOW_BYTES, IFACES_FILE_MAX, INTERFACE_OPTIONS_MAX, PACKET_OPTIONS_MAX, SNAPLEN};
use crate::source::described::Description;
use crate::source::options::{self, InputOptions, Of};
use crate::source::{Interface, Packet};
use std::sync::Arc;

/// Type of the section header block; reads alike in both byte orders.
pub const SECTION: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
pub(super) const INTERFACE: u32 = 1;
pub(super) const PACKET_OLD: u32 = 2;
pub(super) const PACKET_SIMPLE: u32 = 3;
pub(super) const NAMES: u32 = 4;
const STATISTICS: u32 = 5;
pub(super) const PACKET_ENHANCED: u32 = 6;
pub(super) const SECRETS: u32 = 10;
/// Our own, in segments that are read as captures: nothing in them but what the recorder needed.
const OURS: std::ops::RangeInclusive<u32> = 0x8052_5401..=0x8052_5403;

const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

/// Bytes of type, length and the length again at the end.
pub(super) const FRAME: usize = 12;
/// No block is believed to be longer: more than the longest packet of any link type.
const BLOCK_MAX: u32 = 130 << 20;

/// The current section.
#[derive(Debug)]
pub struct Reader {
    order: Order,
    ifaces: Vec<Iface>,
    /// Name of interfaces that have none.
    name: String,
    /// Options of the section's header.
    section: Vec<u8>,
    beside: Beside,
    /// What the file has behind its last packet, until its first section has it.
    behind: Vec<Behind>,
    /// What could not be kept as it stood, but for packets.
    pub changed: Changed,
}

/// An interface of the current section.
#[derive(Clone, Debug)]
struct Iface {
    /// As packets are given out with it, and its index then: with the names and secrets of this many changes.
    interface: Interface,
    index: u16,
    beside: Option<u32>,
    /// Bound of a simple packet block's data, which does not give its length.
    snaplen: u32,
    clock: Clock,
    /// What its statistics say was lost of it.
    lost: u64,
}

impl Reader {
    /// A reader that has seen no section yet; interfaces without a name get `name`.
    pub fn new(name: &str) -> Reader {
        Reader {
            order: Order::Little,
            ifaces: Vec::new(),
            name: name.to_owned(),
            section: Vec::new(),
            beside: Beside::default(),
            behind: Vec::new(),
            changed: Changed::default(),
        }
    }

    /// What the file has behind its last packet: its first section has that from the beginning, as Wireshark reads it.
    pub fn expect(&mut self, behind: Vec<Behind>) {
        self.behind = behind;
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
            return self.other(kind, bytes, len);
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
            PACKET_ENHANCED | PACKET_OLD => self.packet(kind, body, len, interfaces),
            PACKET_SIMPLE => self.simple_packet(body, len, interfaces),
            _ => match self.interface(body) {
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
        let whole = (len as usize).min(FILE_WINDOW_BYTES);
        let Some(block) = bytes.get(..whole) else {
            return Record::Need(whole);
        };
        let list = block.get(24..whole - 4).unwrap_or_default();
        let (section, dropped) = options::kept(Of::Section, list, self.order.is_big(), &[], INTERFACE_OPTIONS_MAX);
        self.changed.of_options(dropped);
        self.section = section;
        self.end();
        self.beside.begin();
        for Behind { secrets, order, body } in std::mem::take(&mut self.behind) {
            // What is wrong with it is told where it stands.
            let told = &mut Changed::default();
            match secrets {
                true => self.beside.secrets(&body, order, told),
                false => self.beside.names(&body, order, told),
            }
        }
        self.ifaces.clear();
        Record::Other { len: u64::from(len) }
    }

    /// Neither a packet nor an interface: what is not understood is passed over, and counted.
    fn other<'a>(&mut self, kind: u32, bytes: &'a [u8], len: u32) -> Record<'a> {
        let wanted = matches!(kind, NAMES | SECRETS | STATISTICS);
        let small = len as usize <= FILE_WINDOW_BYTES;
        if wanted && small {
            let Some(block) = bytes.get(..len as usize) else {
                return Record::Need(len as usize);
            };
            let body = block.get(8..block.len() - 4).unwrap_or_default();
            match kind {
                STATISTICS => self.statistics(body),
                NAMES => self.beside.names(body, self.order, &mut self.changed),
                _ => self.beside.secrets(body, self.order, &mut self.changed),
            }
        } else if wanted {
            self.changed.too_large(kind == SECRETS, u64::from(len));
        } else if !OURS.contains(&kind) {
            self.changed.other_blocks += 1;
        }
        Record::Other { len: u64::from(len) }
    }

    /// isb_ifdrop and isb_osdrop: counts since the capture's start, so the last ones hold.
    fn statistics(&mut self, body: &[u8]) {
        let Some(iface) = self.ifaces.get_mut(self.order.u32(body, 0) as usize) else { return };
        let list = options::walk(body.get(12..).unwrap_or_default(), self.order.is_big());
        let lost = list.filter(|(code, value)| matches!(code, 5 | 7) && value.len() == 8);
        let lost = lost.map(|(_, value)| self.order.u64(value, 0)).fold(0, u64::saturating_add);
        iface.lost = iface.lost.max(lost);
    }

    /// Adds what the section's interfaces have lost, and what no packet has brought along: at its end, and at the file's.
    pub fn end(&mut self) {
        let lost = self.ifaces.iter_mut().map(|i| std::mem::take(&mut i.lost)).fold(0, u64::saturating_add);
        self.changed.lost_before = self.changed.lost_before.saturating_add(lost);
        self.changed.blocks_late += self.beside.late();
    }

    fn interface(&mut self, body: &[u8]) -> Result<(), String> {
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
        let list = body.get(8..).unwrap_or_default();
        let (mut clock, mut name) = (Clock::MICROSECONDS, None);
        for (code, value) in options::walk(list, self.order.is_big()) {
            match (code, value) {
                (IF_NAME, text) => {
                    let clean = clean_name(text);
                    self.changed.names += u64::from(clean.as_bytes() != text);
                    name = Some(clean);
                }
                (IF_TSRESOL, [resolution]) => clock.unit = unit(*resolution)?,
                (IF_TSOFFSET, offset) if offset.len() == 8 => clock.offset = self.order.u64(offset, 0) as i64,
                _ => {}
            }
        }
        let not = [IF_NAME, IF_TSRESOL, IF_TSOFFSET];
        let (options, dropped) = options::kept(Of::Interface, list, self.order.is_big(), &not, INTERFACE_OPTIONS_MAX);
        self.changed.of_options(dropped);
        let name = name.filter(|n| !n.is_empty()).unwrap_or_else(|| self.name.clone());
        let description = Some(Arc::new(Description { options, section: self.section.clone() }));
        let interface = Interface { description, ..Interface::new(name, link_type) };
        self.ifaces.push(Iface { interface, index: 0, beside: None, snaplen, clock, lost: 0 });
        Ok(())
    }

    /// The interface with this number, and with the names and secrets that there are by now.
    #[inline]
    fn iface(&mut self, number: u32, interfaces: &mut Interfaces) -> Result<&Iface, String> {
        let Some(iface) = self.ifaces.get_mut(number as usize) else {
            return Err(format!("a packet of interface {number}, which is not described"));
        };
        if iface.beside != Some(self.beside.changes()) {
            iface.interface.beside = self.beside.now();
            iface.index = interfaces.intern(&iface.interface).ok_or("too many interfaces")?;
            iface.beside = Some(self.beside.changes());
        }
        Ok(iface)
    }

    /// An enhanced packet block, or the old one, whose interface number is shorter and followed by a drop count.
    #[inline]
    fn packet<'a>(&mut self, kind: u32, body: &'a [u8], len: u64, interfaces: &mut Interfaces) -> Record<'a> {
        let order = self.order;
        let Some((head, rest)) = body.split_at_checked(20) else {
            return Record::Lost { len, why: format!("a packet block of {len} bytes") };
        };
        let number = match kind {
            PACKET_ENHANCED => order.u32(head, 0),
            _ => u32::from(order.u16(head, 0)),
        };
        let [high, low, captured, wire_len] = [4, 8, 12, 16].map(|at| order.u32(head, at));
        let iface = match self.iface(number, interfaces) {
            Ok(iface) => iface,
            Err(why) => return Record::Lost { len, why },
        };
        let Some(data) = rest.get(..captured.min(SNAPLEN) as usize).filter(|_| len >= u64::from(captured) + 32) else {
            return Record::Lost { len, why: format!("a packet of {captured} bytes in a block of {len}") };
        };
        let (time, mut odd) = iface.clock.unix_ns(u64::from(high) << 32 | u64::from(low));
        odd.set_if(captured > SNAPLEN, Odd::BEYOND_SNAPLEN);
        odd.set_if(data.len() > wire_len as usize, Odd::LONGER_THAN_WIRE);
        // Behind the data; of a block that is longer than the window its end is not there.
        let list = rest.get((captured as usize).next_multiple_of(4)..).unwrap_or_default();
        let mut kept = InputOptions::NONE;
        if !list.is_empty() {
            let dropped;
            (kept, dropped) = InputOptions::of_packet(list, order.is_big(), PACKET_OPTIONS_MAX);
            odd.set_if(dropped.large > 0, Odd::OPTIONS_LARGE);
            odd.set_if(dropped.broken, Odd::OPTIONS_BROKEN);
        }
        let wire_len = wire_len.max(data.len() as u32);
        let packet = Packet { time, wire_len, iface: iface.index, hash: None, data, options: kept };
        Record::Packet { len, packet, odd }
    }

    /// A simple packet block: no time (1970), the section's first interface, as much data as its snap length allows.
    fn simple_packet<'a>(&mut self, body: &'a [u8], len: u64, interfaces: &mut Interfaces) -> Record<'a> {
        let Some((head, rest)) = body.split_at_checked(4) else {
            return Record::Lost { len, why: format!("a simple packet block of {len} bytes") };
        };
        let wire_len = self.order.u32(head, 0);
        if self.ifaces.is_empty() {
            return Record::Lost { len, why: "a packet before any interface description".into() };
        }
        let iface = match self.iface(0, interfaces) {
            Ok(iface) => iface,
            Err(why) => return Record::Lost { len, why },
        };
        let captured = wire_len.min(iface.snaplen);
        let Some(data) = rest.get(..captured.min(SNAPLEN) as usize) else {
            return Record::Lost { len, why: format!("a packet of {captured} bytes in a simple block of {len}") };
        };
        let (time, _) = iface.clock.unix_ns(0);
        let mut odd = Odd::default();
        odd.set_if(true, Odd::WITHOUT_TIME);
        odd.set_if(captured > SNAPLEN, Odd::BEYOND_SNAPLEN);
        let packet = Packet { time, wire_len, iface: iface.index, hash: None, data, options: InputOptions::NONE };
        Record::Packet { len, packet, odd }
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

/// An interface's name as it can be shown and stored: no control characters, at most 64 characters.
fn clean_name(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(64).collect()
}
