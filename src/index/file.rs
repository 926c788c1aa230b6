//! The file of an index: a head of fixed size, then five sections. Owns the layout (FORMAT.md tells it byte by byte) and its checks:
//! identity and checksums. Written to a temporary name and renamed, so that there is never half an index.

use super::IndexError;
use super::varint::Cursor;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// First bytes of the file.
const MAGIC: [u8; 8] = *b"rtindex\0";
/// Version of the layout.
pub const VERSION: u32 = 1;
/// Length of the head.
pub const HEAD_BYTES: usize = 160;
/// Where the head's checksum lies, over all that precedes it.
const HEAD_CRC_AT: usize = HEAD_BYTES - 4;

/// What an index says of itself and of its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
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
}

/// Groups, records, directory, dictionary, filter.
pub struct Sections(pub [Vec<u8>; 5]);

/// One of the five sections.
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
}

/// A section's place in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub start: usize,
    /// Its length.
    pub len: usize,
    /// CRC32C of its bytes.
    pub crc: u32,
}

/// The bytes of an index file.
pub fn assemble(about: &About, sections: Sections) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + sections.0.iter().map(Vec::len).sum::<usize>());
    out.extend(MAGIC);
    out.extend(VERSION.to_le_bytes());
    out.extend(about.connections.to_le_bytes());
    out.extend(about.store);
    for v in [about.number, about.generation, about.end, about.first, about.last, about.packets] {
        out.extend(v.to_le_bytes());
    }
    for s in &sections.0 {
        out.extend((s.len() as u64).to_le_bytes());
        out.extend(crc32c::crc32c(s).to_le_bytes());
    }
    out.resize(HEAD_CRC_AT, 0);
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    sections.0.iter().for_each(|s| out.extend(s));
    out
}

/// Takes the head apart. The sections' own checksums are checked when they are first used.
pub fn head(bytes: &[u8]) -> Result<(About, [Place; 5]), IndexError> {
    let head = bytes.get(..HEAD_BYTES).ok_or(IndexError::Damaged("its head"))?;
    let mut c = Cursor(head);
    let broken = || IndexError::Damaged("its head");
    if c.array::<8>() != Some(MAGIC) {
        return Err(broken());
    }
    let version = u32::from_le_bytes(c.array().ok_or_else(broken)?);
    if version != VERSION {
        return Err(IndexError::Version(version));
    }
    let crc = head.get(HEAD_CRC_AT..).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    if crc != head.get(..HEAD_CRC_AT).map(crc32c::crc32c) {
        return Err(broken());
    }
    let connections = u32::from_le_bytes(c.array().ok_or_else(broken)?);
    let store = c.array().ok_or_else(broken)?;
    let mut word = || c.array().map(u64::from_le_bytes).ok_or_else(broken);
    let [number, generation, end, first, last, packets] = [word()?, word()?, word()?, word()?, word()?, word()?];
    let about = About { connections, store, number, generation, end, first, last, packets };
    let mut places = [Place::default(); 5];
    let mut start = HEAD_BYTES;
    for p in &mut places {
        let len = c.array().map(u64::from_le_bytes).and_then(|n| usize::try_from(n).ok()).ok_or_else(broken)?;
        let crc = c.array().map(u32::from_le_bytes).ok_or_else(broken)?;
        let end = start.checked_add(len).filter(|&e| e <= bytes.len()).ok_or(IndexError::Damaged("its length"))?;
        *p = Place { start, len, crc };
        start = end;
    }
    if start != bytes.len() {
        return Err(IndexError::Damaged("its length"));
    }
    Ok((about, places))
}

/// Writes an index so that a reader sees all of it or nothing.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), IndexError> {
    let io = |source| IndexError::Io { path: path.to_owned(), source };
    let tmp = path.with_extension("idx.new");
    let written = File::create(&tmp).and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_data()));
    written.and_then(|()| fs::rename(&tmp, path)).map_err(|e| {
        let _ = fs::remove_file(&tmp);
        io(e)
    })
}
