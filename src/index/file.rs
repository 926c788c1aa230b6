//! The file of an index: a head of fixed size, then sections. Owns the layout of every version (FORMAT.md tells it byte by byte) and
//! its checks: identity and checksums. Written to a temporary name and renamed, so that there is never half an index.

use super::IndexError;
use super::varint::Cursor;
use super::view;
use crate::new_file;
use crate::packet;
use crate::store::format::SegmentHeader;
use crate::store::layout;
use crate::store::list::SegmentRef;
use std::fs;
use std::io::Write;
use std::path::Path;

/// First bytes of the file.
const MAGIC: [u8; 8] = *b"rtindex\0";
/// Version of the layout that is written; all from 1 on are read.
pub const VERSION: u32 = 5;
/// The same where some connections are not listed: programs that know nothing of these must not take it for whole.
pub const NEWEST: u32 = 6;
/// Length of the head, by version.
const HEAD_BYTES: [usize; 6] = [160, 256, 256, 256, 256, 256];
/// Sections, by version.
const SECTIONS: [usize; 6] = [5, 8, 9, 9, 9, 9];
/// Bytes that one sum covers, from version 2 on.
pub const PAGE_BYTES: usize = 4096;

/// Flags of the head, from version 5 on: packets tell their connection where their bytes name another ...
const KEYS_TOLD: u16 = 1;
/// ... and VLAN ids do not tell connections apart.
const NO_VLANS: u16 = 2;

/// What an index says of itself and of its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Version of its layout; 0: not told, by a file of filters that an older program wrote.
    pub version: u32,
    /// Connections in it.
    pub connections: u32,
    /// The segment's store.
    pub store: [u8; 16],
    /// The segment's number.
    pub number: u64,
    /// The segment's generation.
    pub generation: u64,
    /// End of the segment's last good block.
    pub end: u64,
    /// Earliest packet, Unix ns.
    pub first: u64,
    /// Latest packet, Unix ns.
    pub last: u64,
    /// Packets.
    pub packets: u64,
    /// Link type of the packets. Version 1 does not tell it.
    pub link_type: u16,
    /// From version 5 on: its connections are the recorder's: fragments are of their first one's, and headers that were cut name what they
    /// named before.
    pub keys_told: bool,
    /// VLAN ids tell its connections apart.
    pub vlan_in_key: bool,
    /// From version 2 on: blocks, the good ones.
    pub blocks: u32,
    /// From version 2 on: regions that no good block covered when the index was made.
    pub bad: u32,
}

impl About {
    /// False if 0 may stand for a link type that is not told.
    pub fn tells_link_type(&self) -> bool {
        self.version > 1 || self.link_type != 0
    }

    /// Whether it has every term that libpcap could compare in its packets.
    pub fn has_terms(&self) -> bool {
        self.tells_link_type() && view::understood(self.link_type)
    }

    /// Whether its connections are those of the packets' own keys, with every address of theirs among the terms.
    pub fn has_keys(&self) -> bool {
        self.tells_link_type() && packet::understood(self.link_type)
    }

    /// False if the name of the segment's file says that it is of another one.
    pub fn may_be_of(&self, segment: &SegmentRef) -> bool {
        let time = layout::first_time(&segment.path).filter(|_| self.packets > 0);
        self.number == segment.number && time.is_none_or(|t| self.first <= t && t <= self.last)
    }

    /// Whether it is of the segment with this header.
    pub fn is_of(&self, h: &SegmentHeader) -> bool {
        (self.store, self.number, self.generation) == (h.store, h.number, h.generation)
    }

    /// Whether both are of one state of one segment.
    pub fn same_segment(&self, other: &About) -> bool {
        let one = |a: &About| (a.store, a.number, a.generation, a.end);
        one(self) == one(other)
    }
}

/// A section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Offset of each group of records: u32.
    Groups = 0,
    /// Connection records.
    Records = 1,
    /// Of the dictionary: counts and first values of its groups.
    Directory = 2,
    /// Terms with their lists.
    Dictionary = 3,
    /// The address filter.
    Filter = 4,
    /// The segment's blocks: places, times, sums. From version 2 on, as all that follow.
    Blocks = 5,
    /// Community IDs.
    Communities = 6,
    /// The joint filter. From version 3 on.
    Joint = 7,
    /// A sum for each page of the sections before.
    Sums = 8,
}

impl Section {
    /// All of them, in the order of the file.
    pub const ALL: [Section; 9] = [
        Section::Groups,
        Section::Records,
        Section::Directory,
        Section::Dictionary,
        Section::Filter,
        Section::Blocks,
        Section::Communities,
        Section::Joint,
        Section::Sums,
    ];

    /// What is damaged when it is.
    pub fn name(self) -> &'static str {
        match self {
            Section::Groups | Section::Records => "its connections",
            Section::Directory | Section::Dictionary => "its dictionary",
            Section::Filter => "its filter",
            Section::Joint => "its joint filter",
            Section::Blocks => "its block table",
            Section::Communities => "its community IDs",
            Section::Sums => "its sums",
        }
    }
}

/// A section's place in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub start: usize,
    /// Its length.
    pub len: usize,
    /// CRC32C of its bytes; from version 2 on that of the sums only.
    pub crc: u32,
}

/// The bytes of an index file: all sections but the sums are given.
pub fn assemble(about: &About, sections: [Vec<u8>; 8]) -> Vec<u8> {
    let [.., head_bytes] = HEAD_BYTES;
    let body: Vec<u8> = sections.concat();
    let sums: Vec<u8> = body.chunks(PAGE_BYTES).flat_map(|page| crc32c::crc32c(page).to_le_bytes()).collect();
    let mut out = Vec::with_capacity(head_bytes + body.len() + sums.len());
    out.extend(MAGIC);
    out.extend(about.version.to_le_bytes());
    out.extend(about.connections.to_le_bytes());
    out.extend(about.store);
    for v in [about.number, about.generation, about.end, about.first, about.last, about.packets] {
        out.extend(v.to_le_bytes());
    }
    out.extend(about.link_type.to_le_bytes());
    let flags = if about.keys_told { KEYS_TOLD } else { 0 } | if about.vlan_in_key { 0 } else { NO_VLANS };
    out.extend(flags.to_le_bytes());
    out.extend(about.blocks.to_le_bytes());
    out.extend(about.bad.to_le_bytes());
    out.extend([0; 4]);
    for s in sections.iter().chain([&sums]) {
        out.extend((s.len() as u64).to_le_bytes());
    }
    out.extend(crc32c::crc32c(&sums).to_le_bytes());
    out.resize(head_bytes - 4, 0);
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    out.extend(body);
    out.extend(sums);
    out
}

/// Takes the head apart. The sections' own checksums are checked when they are first used.
pub fn head(bytes: &[u8]) -> Result<(About, [Place; 9]), IndexError> {
    let broken = || IndexError::Damaged("its head");
    if bytes.get(..8) != Some(&MAGIC) {
        return Err(broken());
    }
    let version = Cursor(bytes.get(8..).unwrap_or_default()).array().map(u32::from_le_bytes).ok_or_else(broken)?;
    let known = version.checked_sub(1).map(|v| v as usize);
    let of = |by_version: [usize; 6]| known.and_then(|v| by_version.get(v).copied());
    let (Some(len), Some(sections)) = (of(HEAD_BYTES), of(SECTIONS)) else { return Err(IndexError::Version(version)) };
    let head = bytes.get(..len).ok_or_else(broken)?;
    let (summed, crc) = head.split_at_checked(len - 4).ok_or_else(broken)?;
    if crc != crc32c::crc32c(summed).to_le_bytes() {
        return Err(broken());
    }
    fields(summed, version, sections, len, bytes.len())
}

fn fields(
    head: &[u8],
    version: u32,
    sections: usize,
    head_len: usize,
    file: usize,
) -> Result<(About, [Place; 9]), IndexError> {
    let broken = || IndexError::Damaged("its head");
    let mut c = Cursor(head.get(12..).unwrap_or_default());
    let connections = u32::from_le_bytes(c.array().ok_or_else(broken)?);
    let store = c.array().ok_or_else(broken)?;
    let mut words = [0; 6];
    for w in &mut words {
        *w = u64::from_le_bytes(c.array().ok_or_else(broken)?);
    }
    let [number, generation, end, first, last, packets] = words;
    let (mut link_type, mut flags, mut blocks, mut bad) = (0, 0, 0, 0);
    if version > 1 {
        link_type = u16::from_le_bytes(c.array().ok_or_else(broken)?);
        flags = u16::from_le_bytes(c.array().ok_or_else(broken)?);
        blocks = u32::from_le_bytes(c.array().ok_or_else(broken)?);
        bad = u32::from_le_bytes(c.array().ok_or_else(broken)?);
        c.bytes(4);
    }
    let (keys_told, vlan_in_key) = (flags & KEYS_TOLD != 0, flags & NO_VLANS == 0);
    let about = About {
        version,
        connections,
        store,
        number,
        generation,
        end,
        first,
        last,
        packets,
        link_type,
        keys_told,
        vlan_in_key,
        blocks,
        bad,
    };
    let mut places = [Place::default(); 9];
    let mut start = head_len;
    for p in places.iter_mut().take(sections) {
        let len = c.array().map(u64::from_le_bytes).and_then(|n| usize::try_from(n).ok()).ok_or_else(broken)?;
        let crc = if version == 1 { u32::from_le_bytes(c.array().ok_or_else(broken)?) } else { 0 };
        let end = start.checked_add(len).filter(|&e| e <= file).ok_or(IndexError::Damaged("its length"))?;
        *p = Place { start, len, crc };
        start = end;
    }
    if version > 1
        && let Some(sums) = places.get_mut(sections - 1)
    {
        sums.crc = u32::from_le_bytes(c.array().ok_or_else(broken)?);
        if sums.len != (sums.start - head_len).div_ceil(PAGE_BYTES) * 4 {
            return Err(IndexError::Damaged("its length"));
        }
    }
    if start != file {
        return Err(IndexError::Damaged("its length"));
    }
    if version == 2 {
        // Its sums are where the joint filter is now, which it does not have.
        places.swap(Section::Joint as usize, Section::Sums as usize);
    }
    Ok((about, places))
}

/// Writes an index so that a reader sees all of it or nothing.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), IndexError> {
    let io = |source| IndexError::Io { path: path.to_owned(), source };
    let tmp = path.with_extension("idx.new");
    let written =
        new_file::create(&tmp, new_file::SHARED).and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_data()));
    written.and_then(|()| fs::rename(&tmp, path)).map_err(|e| {
        let _ = fs::remove_file(&tmp);
        io(e)
    })
}
