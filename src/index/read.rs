//! An index as queries use it: lists of connections for a range of terms, and the connections themselves. Trusts no byte: each
//! section is summed when it is first used, and what does not decode is damage, never a panic.

use super::conns::{Before, Conn, GROUP, take_conn};
use super::file::{self, About, Place, Section};
use super::list::{skip_list, take_list};
use super::term::{KINDS, Term};
use super::varint::Cursor;
use super::{IndexError, TERMS_PER_GROUP, value_bytes};
use crate::store::disk::mmap::Mapped;
use crate::store::format::SegmentHeader;
use crate::store::reader::SegmentReader;
use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

enum Bytes {
    Mapped(Mapped),
    Made(Vec<u8>),
}

/// The index of one segment.
pub struct Index {
    bytes: Bytes,
    about: About,
    places: [Place; 5],
    sound: [OnceLock<bool>; 5],
}

impl Index {
    /// Opens a file. The head is checked, the rest when it is used.
    pub fn open(path: &Path) -> Result<Index, IndexError> {
        let io = |source| IndexError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        Index::of(Bytes::Mapped(Mapped::map(&file).map_err(io)?))
    }

    /// Makes the index of a segment that has none, or a damaged one.
    pub fn make(segment: &SegmentReader) -> Result<Index, IndexError> {
        Index::of(Bytes::Made(super::build::bytes_of(segment)?))
    }

    /// From the bytes of an index, as [`make`](Index::make) and a file have them.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Index, IndexError> {
        Index::of(Bytes::Made(bytes))
    }

    /// Its length.
    pub fn bytes(&self) -> usize {
        self.all().len()
    }

    fn all(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(m) => m,
            Bytes::Made(v) => v,
        }
    }

    fn of(bytes: Bytes) -> Result<Index, IndexError> {
        let all: &[u8] = match &bytes {
            Bytes::Mapped(m) => m,
            Bytes::Made(v) => v,
        };
        let (about, places) = file::head(all)?;
        Ok(Index { bytes, about, places, sound: Default::default() })
    }

    /// What it says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Whether it is the index of this segment as it stands.
    pub fn belongs_to(&self, h: &SegmentHeader, end: u64) -> bool {
        let a = &self.about;
        (a.store, a.number, a.generation, a.end) == (h.store, h.number, h.generation, end)
    }

    /// Sums every section.
    pub fn check(&self) -> Result<(), IndexError> {
        for s in [Section::Groups, Section::Records, Section::Directory, Section::Dictionary, Section::Filter] {
            self.section(s)?;
        }
        let mut n = 0;
        self.each_conn(0, &mut |_, _| n += 1)?;
        if n == self.about.connections { Ok(()) } else { Err(IndexError::Damaged("its connections")) }
    }

    fn section(&self, which: Section) -> Result<&[u8], IndexError> {
        let all = self.all();
        let i = which as usize;
        let (Some(p), Some(sound)) = (self.places.get(i), self.sound.get(i)) else {
            return Err(IndexError::Damaged("its head"));
        };
        let bytes = all.get(p.start..).and_then(|b| b.get(..p.len)).ok_or(IndexError::Damaged("its length"))?;
        if *sound.get_or_init(|| crc32c::crc32c(bytes) == p.crc) {
            Ok(bytes)
        } else {
            Err(IndexError::Damaged(match which {
                Section::Groups | Section::Records => "its connections",
                Section::Directory | Section::Dictionary => "its dictionary",
                Section::Filter => "its filter",
            }))
        }
    }

    /// False only if no packet of the segment has this address at any layer.
    pub fn may_have(&self, term: Term) -> Result<bool, IndexError> {
        let Some(key) = term.filter_key() else { return Ok(true) };
        let bytes = self.section(Section::Filter)?;
        let Some((descriptor, prints)) = bytes.split_at_checked(BinaryFuse8::DESCRIPTOR_LEN) else {
            return Ok(!bytes.is_empty());
        };
        if !sane(descriptor, prints.len()) {
            return Err(IndexError::Damaged("its filter"));
        }
        Ok(BinaryFuse8Ref::from_dma(descriptor, prints).contains(&key))
    }

    /// Appends the connections that have a term from `lo` to `hi` (of one kind), neither sorted nor without repetition.
    pub fn list(&self, lo: Term, hi: Term, ids: &mut Vec<u32>) -> Result<(), IndexError> {
        let broken = || IndexError::Damaged("its dictionary");
        let (groups, dictionary) = (self.groups_of(lo.kind())?, self.section(Section::Dictionary)?);
        let width = value_bytes(lo.kind());
        let group = |i: usize| -> Option<(u128, usize)> {
            let mut c = Cursor(groups.get(i * (width + 4)..)?);
            let mut value = [0; 16];
            value.iter_mut().zip(c.bytes(width)?).for_each(|(to, from)| *to = *from);
            Some((u128::from_le_bytes(value), u32::from_le_bytes(c.array()?) as usize))
        };
        let count = groups.len() / (width + 4);
        // The last group that begins at or before `lo`.
        let (mut from, mut to) = (0, count);
        while from < to {
            let mid = (from + to) / 2;
            if group(mid).ok_or_else(broken)?.0 <= lo.value() { from = mid + 1 } else { to = mid }
        }
        for i in from.saturating_sub(1)..count {
            let (first, start) = group(i).ok_or_else(broken)?;
            if first > hi.value() {
                break;
            }
            let end = group(i + 1).map_or(self.end_of_kind(lo.kind()), |(_, end)| Ok(end))?;
            let mut c = Cursor(dictionary.get(start..end).ok_or_else(broken)?);
            let mut value = first;
            for _ in 0..TERMS_PER_GROUP {
                if c.0.is_empty() {
                    break;
                }
                value = value.checked_add(c.wide().ok_or_else(broken)?).ok_or_else(broken)?;
                if value > hi.value() {
                    break;
                }
                if value >= lo.value() {
                    take_list(&mut c, self.about.connections, ids).ok_or_else(broken)?;
                } else {
                    skip_list(&mut c, self.about.connections).ok_or_else(broken)?;
                }
            }
        }
        Ok(())
    }

    /// The directory's entries of one kind.
    fn groups_of(&self, kind: usize) -> Result<&[u8], IndexError> {
        let broken = || IndexError::Damaged("its dictionary");
        let mut c = Cursor(self.section(Section::Directory)?);
        for k in 0..KINDS {
            let count = u32::from_le_bytes(c.array().ok_or_else(broken)?) as usize;
            let len = count.checked_mul(value_bytes(k) + 4).ok_or_else(broken)?;
            let groups = c.bytes(len).ok_or_else(broken)?;
            if k == kind {
                return Ok(groups);
            }
        }
        Err(broken())
    }

    /// Where the last group of a kind ends: where the next kind's first begins.
    fn end_of_kind(&self, kind: usize) -> Result<usize, IndexError> {
        for k in kind + 1..KINDS {
            let groups = self.groups_of(k)?;
            if let Some(at) = groups.get(value_bytes(k)..).and_then(|b| b.first_chunk()) {
                return Ok(u32::from_le_bytes(*at) as usize);
            }
        }
        Ok(self.section(Section::Dictionary)?.len())
    }

    /// Calls `each` with the connections of `ids`, which ascend.
    pub fn conns(&self, ids: &[u32], each: &mut impl FnMut(Conn)) -> Result<(), IndexError> {
        let mut ids = ids;
        while let Some(&next) = ids.first() {
            let group = next as usize / GROUP;
            let here = ids.partition_point(|&id| id as usize / GROUP == group);
            let (mut of_group, rest) = ids.split_at_checked(here).unwrap_or((ids, &[]));
            self.group(group, &mut |id, conn| {
                if of_group.first() == Some(&id) {
                    of_group = of_group.get(1..).unwrap_or_default();
                    each(conn);
                }
            })?;
            if !of_group.is_empty() {
                return Err(IndexError::Damaged("its connections"));
            }
            ids = rest;
        }
        Ok(())
    }

    /// Calls `each` with every connection from `from` on.
    pub fn each_conn(&self, from: u32, each: &mut impl FnMut(u32, Conn)) -> Result<(), IndexError> {
        for group in from as usize / GROUP..(self.about.connections as usize).div_ceil(GROUP) {
            self.group(group, &mut |id, conn| {
                if id >= from {
                    each(id, conn);
                }
            })?;
        }
        Ok(())
    }

    fn group(&self, group: usize, each: &mut impl FnMut(u32, Conn)) -> Result<(), IndexError> {
        let broken = || IndexError::Damaged("its connections");
        let (groups, records) = (self.section(Section::Groups)?, self.section(Section::Records)?);
        let start = groups.get(group * 4..).and_then(|b| b.first_chunk()).ok_or_else(broken)?;
        let mut c = Cursor(records.get(u32::from_le_bytes(*start) as usize..).ok_or_else(broken)?);
        let mut before = Before::default();
        let first = group * GROUP;
        for id in first..(first + GROUP).min(self.about.connections as usize) {
            each(id as u32, take_conn(&mut c, &mut before).ok_or_else(broken)?);
        }
        Ok(())
    }
}

/// xorf believes its descriptor; a look-up must stay within the fingerprints all the same. Layout: seed u64, then u32 each:
/// segment length, its mask, length of all segments but two.
fn sane(descriptor: &[u8], prints: usize) -> bool {
    let mut c = Cursor(descriptor);
    let (Some(_), Some(length), Some(mask), Some(span)) =
        (c.array::<8>(), c.array::<4>(), c.array::<4>(), c.array::<4>())
    else {
        return false;
    };
    let [length, mask, span] = [length, mask, span].map(|b| u32::from_le_bytes(b) as usize);
    length.is_power_of_two() && mask + 1 == length && span.saturating_add(2 * length) <= prints
}
