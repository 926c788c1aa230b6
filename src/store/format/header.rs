//! The segment's header: a Section Header Block that names the segment, and an Interface Description Block for each
//! interface, filled up to a multiple of 4096. Written once, as the first write of a segment.

use super::{Damage, FORMAT_VERSION, Put, StoreId, block_type, option, pcapng_block, u16_at, u32_at, u64_at};
use crate::limits::{SECTOR_BYTES, SNAPLEN};
use crate::source::Interface;

/// Longest name of an interface that is written; longer ones are cut at a character.
pub const IFACE_NAME_MAX: usize = 64;
/// Longest name of a class.
pub const CLASS_NAME_MAX: usize = 32;
/// Interfaces of one segment; more of one link type go to another segment.
pub const SEGMENT_IFACES_MAX: usize = 4096;
/// Bound of a header's length.
pub const HEADER_BYTES_MAX: usize = 2 * SECTOR_BYTES + SEGMENT_IFACES_MAX * IDB_BYTES_MAX;

/// In the header's flags: VLAN ids do not tell connections apart.
const NO_VLANS: u16 = 1;
const MAGIC: u32 = u32::from_le_bytes(*b"RTS1");
const USERAPPL: &str = concat!("retrotap ", env!("CARGO_PKG_VERSION"));
/// Value of the segment option.
const SEGMENT_BYTES: usize = 64 + CLASS_NAME_MAX;
/// Where that value begins: the option is the first of the SHB.
const SEGMENT_AT: usize = 28;
const CRC_AT: usize = SEGMENT_AT + 8;
const IDB_BYTES_MAX: usize = 16 + 4 + IFACE_NAME_MAX + 8 + 4 + 4;

/// Which segment this is and what its packets' interfaces are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Version of its layout. Before version 2 no packet tells its connection where its bytes name another, and nothing is said of VLAN ids.
    pub version: u32,
    /// VLAN ids tell connections apart.
    pub vlan_in_key: bool,
    /// The store.
    pub store: StoreId,
    /// Unique in the store and never used again; rises in the order in which segments are made.
    pub number: u64,
    /// Random, drawn when the file is made.
    pub generation: u64,
    /// When recording into it began, Unix ns.
    pub created: u64,
    /// The worker that wrote it.
    pub worker: u16,
    /// Name of the class.
    pub class: String,
    /// The interfaces, all of one link type; a packet's interface is an index into them.
    pub interfaces: Vec<Interface>,
}

fn cut(name: &str) -> &str {
    let mut end = name.len().min(IFACE_NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

fn idb_bytes(name: &str) -> usize {
    16 + 4 + cut(name).len().next_multiple_of(4) + 8 + 4 + 4
}

/// SHB without the filling option: 24 bytes, segment option, user application, filling option's head, end, length.
const SHB_LEAST: usize = 24 + 4 + SEGMENT_BYTES + 4 + USERAPPL.len().next_multiple_of(4) + 4 + 4 + 4;

/// Length of the header of a segment with these interfaces: a multiple of 4096.
pub fn header_bytes(interfaces: &[Interface]) -> usize {
    let idbs: usize = interfaces.iter().map(|i| idb_bytes(&i.name)).sum();
    (SHB_LEAST + idbs).next_multiple_of(SECTOR_BYTES)
}

/// Writes the header over the first [`header_bytes`] of `buf` and returns how many they are.
pub fn write_header(buf: &mut [u8], h: &SegmentHeader) -> usize {
    let total = header_bytes(&h.interfaces);
    let idbs: usize = h.interfaces.iter().map(|i| idb_bytes(&i.name)).sum();
    let shb = total - idbs;
    let class = h.class.as_bytes();
    let class = class.get(..class.len().min(CLASS_NAME_MAX)).unwrap_or_default();
    let mut put = Put::new(buf, 0);
    put.u32(block_type::SHB).u32(shb as u32).u32(0x1a2b_3c4d).u16(1).u16(0).u64(u64::MAX);
    put.u16(option::SEGMENT).u16(SEGMENT_BYTES as u16);
    put.u32(MAGIC).u32(h.version).u32(0).u32(total as u32).bytes(&h.store);
    put.u64(h.number).u64(h.generation).u64(h.created).u16(h.worker).u16(h.interfaces.len() as u16);
    put.u16(class.len() as u16)
        .u16(if h.vlan_in_key { 0 } else { NO_VLANS })
        .bytes(class)
        .zeros(CLASS_NAME_MAX - class.len());
    put.option(option::USERAPPL, USERAPPL.as_bytes());
    let fill = shb - SHB_LEAST;
    put.u16(option::FILL).u16(fill as u16).zeros(fill).u16(option::END).u16(0).u32(shb as u32);
    for i in &h.interfaces {
        let len = idb_bytes(&i.name) as u32;
        put.u32(block_type::IDB).u32(len).u16(i.link_type).u16(0).u32(SNAPLEN);
        put.option(option::IF_NAME, cut(&i.name).as_bytes());
        put.option(option::IF_TSRESOL, &[9]).u16(option::END).u16(0).u32(len);
    }
    let end = put.end();
    debug_assert_eq!(end, total);
    let crc = crc32c::crc32c(buf.get(..total).unwrap_or_default());
    Put::new(buf, CRC_AT).u32(crc);
    total
}

impl SegmentHeader {
    /// Length of the header whose first 4096 bytes are given, before anything is believed but magic and version.
    pub fn peek_len(start: &[u8]) -> Result<usize, Damage> {
        let field = |at| u32_at(start, at).ok_or(Damage::Short);
        if field(0)? != block_type::SHB || field(8)? != 0x1a2b_3c4d || field(SEGMENT_AT)? != MAGIC {
            return Err(Damage::NoHeader);
        }
        let version = field(SEGMENT_AT + 4)?;
        if !(1..=FORMAT_VERSION).contains(&version) {
            return Err(Damage::Version(version));
        }
        let len = field(SEGMENT_AT + 12)? as usize;
        if len == 0 || !len.is_multiple_of(SECTOR_BYTES) || len > HEADER_BYTES_MAX {
            return Err(Damage::Structure("the segment header"));
        }
        Ok(len)
    }

    /// Reads the header at the start of `b`; returns it and its length.
    pub fn decode(b: &[u8]) -> Result<(SegmentHeader, usize), Damage> {
        let len = SegmentHeader::peek_len(b)?;
        let b = b.get(..len).ok_or(Damage::Short)?;
        let (before, after) = (b.get(..CRC_AT).unwrap_or_default(), b.get(CRC_AT + 4..).unwrap_or_default());
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]), after);
        if Some(crc) != u32_at(b, CRC_AT) {
            return Err(Damage::Checksum("the segment header"));
        }
        SegmentHeader::fields(b).ok_or(Damage::Structure("the segment header")).map(|h| (h, len))
    }

    fn fields(b: &[u8]) -> Option<SegmentHeader> {
        let at = SEGMENT_AT;
        let class_len = usize::from(u16_at(b, at + 60)?);
        let class = b.get(at + 64..at + SEGMENT_BYTES)?.get(..class_len)?;
        let mut h = SegmentHeader {
            version: u32_at(b, at + 4)?,
            vlan_in_key: u16_at(b, at + 62)? & NO_VLANS == 0,
            store: b.get(at + 16..at + 32)?.try_into().ok()?,
            number: u64_at(b, at + 32)?,
            generation: u64_at(b, at + 40)?,
            created: u64_at(b, at + 48)?,
            worker: u16_at(b, at + 56)?,
            class: std::str::from_utf8(class).ok()?.to_owned(),
            interfaces: Vec::new(),
        };
        let count = usize::from(u16_at(b, at + 58)?);
        let (mut pos, _) = pcapng_block(b, 0).map(|(_, len)| (len, ()))?;
        while pos < b.len() {
            let (kind, len) = pcapng_block(b, pos)?;
            let idb = b.get(pos..pos + len)?;
            if kind != block_type::IDB || u16_at(idb, 16)? != option::IF_NAME {
                return None;
            }
            let name = idb.get(20..20 + usize::from(u16_at(idb, 18)?))?;
            let name = String::from_utf8_lossy(name).into_owned();
            h.interfaces.push(Interface { name, link_type: u16_at(idb, 8)? });
            pos += len;
        }
        (h.interfaces.len() == count).then_some(h)
    }
}
