//! The segment's header: a Section Header Block that names the segment, an Interface Description Block for each interface, and of packets
//! of pcapng files the names and secrets that they are read with, filled up to a multiple of 4096. Written once, as the first write of
//! a segment.

use super::{
    Damage, FORMAT_VERSION, FORMAT_VERSION_DESCRIBED, Put, StoreId, block_type, option, pcapng_block, u16_at, u32_at,
    u64_at,
};
use crate::limits::{NAMES_MAX, SECRETS_MAX, SECTOR_BYTES, SEGMENT_OPTIONS_MAX, SNAPLEN};
use crate::source::Interface;
use crate::source::described::{Description, NamesAndSecrets};
use crate::source::options::each;
use std::sync::Arc;

/// Longest name of an interface that is written; longer ones are cut at a character.
pub const IFACE_NAME_MAX: usize = 64;
/// Longest name of a class.
pub const CLASS_NAME_MAX: usize = 32;
/// Interfaces of one segment; more of one link type go to another segment.
pub const SEGMENT_IFACES_MAX: usize = 4096;
/// Bound of a header's length.
pub const HEADER_BYTES_MAX: usize =
    2 * SECTOR_BYTES + SEGMENT_IFACES_MAX * IDB_BYTES_MAX + SEGMENT_OPTIONS_MAX + NAMES_MAX + SECRETS_MAX;

/// In the header's flags: VLAN ids do not tell connections apart.
const NO_VLANS: u16 = 1;
const _: () = assert!(CLASS_NAME_MAX == 8 * crate::window::cells::NAME_WORDS, "a class's name fits the window");
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

/// An interface's name as a segment has it.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(IFACE_NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

/// What an interface's description adds to its block.
pub fn description_bytes(i: &Interface) -> usize {
    let section = |d: &Description| if d.section.is_empty() { 0 } else { 4 + d.section.len() };
    i.description.as_ref().map_or(0, |d| d.options.len() + section(d))
}

fn idb_bytes(i: &Interface) -> usize {
    16 + 4 + cut(&i.name).len().next_multiple_of(4) + description_bytes(i) + 8 + 4 + 4
}

/// SHB without the filling option: 24 bytes, segment option, user application, filling option's head, end, length.
const SHB_LEAST: usize = 24 + 4 + SEGMENT_BYTES + 4 + USERAPPL.len().next_multiple_of(4) + 4 + 4 + 4;

/// Names and secrets: the interfaces of one segment have the same.
fn beside(interfaces: &[Interface]) -> &[u8] {
    interfaces.first().and_then(|i| i.beside.as_ref()).map_or(&[], |b| b.bytes())
}

/// All behind the SHB.
fn rest_bytes(interfaces: &[Interface]) -> usize {
    interfaces.iter().map(idb_bytes).sum::<usize>() + beside(interfaces).len()
}

/// Length of the header of a segment with these interfaces: a multiple of 4096.
pub fn header_bytes(interfaces: &[Interface]) -> usize {
    (SHB_LEAST + rest_bytes(interfaces)).next_multiple_of(SECTOR_BYTES)
}

/// Version of a segment with these interfaces that is written.
pub fn segment_version(interfaces: &[Interface]) -> u32 {
    let described = interfaces.iter().any(|i| i.description.is_some() || i.beside.is_some());
    if described { FORMAT_VERSION_DESCRIBED } else { FORMAT_VERSION }
}

/// Writes the header over the first [`header_bytes`] of `buf` and returns how many they are.
pub fn write_header(buf: &mut [u8], h: &SegmentHeader) -> usize {
    let total = header_bytes(&h.interfaces);
    let shb = total - rest_bytes(&h.interfaces);
    let class = h.class.as_bytes();
    let class = class.get(..class.len().min(CLASS_NAME_MAX)).unwrap_or_default();
    let mut put = Put::new(buf, 0);
    put.u32(block_type::SHB).u32(shb as u32).u32(0x1a2b_3c4d).u16(1).u16(0).u64(u64::MAX);
    put.u16(option::SEGMENT).u16(SEGMENT_BYTES as u16);
    // What is described needs its version, whatever the header was.
    let version = if segment_version(&h.interfaces) > h.version { segment_version(&h.interfaces) } else { h.version };
    put.u32(MAGIC).u32(version).u32(0).u32(total as u32).bytes(&h.store);
    put.u64(h.number).u64(h.generation).u64(h.created).u16(h.worker).u16(h.interfaces.len() as u16);
    put.u16(class.len() as u16)
        .u16(if h.vlan_in_key { 0 } else { NO_VLANS })
        .bytes(class)
        .zeros(CLASS_NAME_MAX - class.len());
    put.option(option::USERAPPL, USERAPPL.as_bytes());
    let fill = shb - SHB_LEAST;
    put.u16(option::FILL).u16(fill as u16).zeros(fill).u16(option::END).u16(0).u32(shb as u32);
    for i in &h.interfaces {
        let len = idb_bytes(i) as u32;
        put.u32(block_type::IDB).u32(len).u16(i.link_type).u16(0).u32(SNAPLEN);
        put.option(option::IF_NAME, cut(&i.name).as_bytes());
        if let Some(d) = &i.description {
            put.bytes(&d.options);
            if !d.section.is_empty() {
                put.option(option::SECTION, &d.section);
            }
        }
        put.option(option::IF_TSRESOL, &[9]).u16(option::END).u16(0).u32(len);
    }
    put.bytes(beside(&h.interfaces));
    let end = put.end();
    debug_assert_eq!(end, total);
    let crc = crc32c::crc32c(buf.get(..total).unwrap_or_default());
    Put::new(buf, CRC_AT).u32(crc);
    total
}

/// The interface that an IDB describes; `described`: more than its name and times' resolution is looked for.
fn interface(idb: &[u8], described: bool) -> Option<Interface> {
    if u16_at(idb, 16)? != option::IF_NAME {
        return None;
    }
    let name = idb.get(20..20 + usize::from(u16_at(idb, 18)?))?;
    let mut found = Interface::new(String::from_utf8_lossy(name), u16_at(idb, 8)?);
    if described {
        let list = idb.get(16..idb.len().checked_sub(4)?)?;
        let mut d = Description::default();
        // The first is the name; the last, times' resolution, is ours.
        let (mut at, mut kept) = (4 + name.len().next_multiple_of(4), 4 + name.len().next_multiple_of(4));
        for (code, value) in each(list).skip(1) {
            at += 4 + value.len().next_multiple_of(4);
            match code {
                option::SECTION => d.section = value.to_vec(),
                option::IF_TSRESOL => {}
                _ => kept = at,
            }
        }
        d.options = list.get(4 + name.len().next_multiple_of(4)..kept)?.to_vec();
        found.description = Some(Arc::new(d));
    }
    Some(found)
}

impl SegmentHeader {
    /// Length of the header whose first 4096 bytes are given, before anything is believed but magic and version.
    pub fn peek_len(start: &[u8]) -> Result<usize, Damage> {
        let field = |at| u32_at(start, at).ok_or(Damage::Short);
        if field(0)? != block_type::SHB || field(8)? != 0x1a2b_3c4d || field(SEGMENT_AT)? != MAGIC {
            return Err(Damage::NoHeader);
        }
        let version = field(SEGMENT_AT + 4)?;
        if !(1..=FORMAT_VERSION_DESCRIBED).contains(&version) {
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
        let described = u32_at(b, at + 4)? >= FORMAT_VERSION_DESCRIBED;
        let mut pos = pcapng_block(b, 0).map(|(_, len)| len)?;
        while pos < b.len() && h.interfaces.len() < count {
            let (kind, len) = pcapng_block(b, pos)?;
            if kind != block_type::IDB {
                return None;
            }
            h.interfaces.push(interface(b.get(pos..pos + len)?, described)?);
            pos += len;
        }
        let rest = b.get(pos..)?;
        if !rest.is_empty() {
            let mut at = 0;
            while at < rest.len() {
                let (kind, len) = pcapng_block(rest, at)?;
                if !described || !matches!(kind, block_type::NRB | block_type::DSB) {
                    return None;
                }
                at += len;
            }
            let all = Arc::new(NamesAndSecrets::new(rest.to_vec()));
            h.interfaces.iter_mut().for_each(|i| i.beside = Some(all.clone()));
        }
        (h.interfaces.len() == count).then_some(h)
    }
}
