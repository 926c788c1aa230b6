//! An index as queries use it: lists of connections for a range of terms, and the connections themselves. Trusts no byte: each
//! section is summed when it is first used, and what does not decode is damage, never a panic.

use super::blocks::take_blocks;
#[cfg(test)]
use super::bounds::Bounds;
use super::bounds::Kinds;
use super::community;
use super::conns::{Before, Conn, GROUP, take_conn};
use super::file::{self, About, NEWEST, PAGE_BYTES, Place, Section};
use super::hashes::Table;
use super::list::{count_list, skip_list, take_list};
use super::posted::take_unlisted;
use super::skip;
use super::term::{KINDS, Term};
use super::varint::Cursor;
use super::{IndexError, Scope, TERMS_PER_GROUP, value_bytes};
use crate::store::disk::mmap::Mapped;
use crate::store::format::SegmentHeader;
use crate::store::reader::{BlockTable, SegmentReader};
use crate::store::scan::BlockRef;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

enum Bytes {
    Mapped(Mapped),
    Made(Vec<u8>),
}

/// The index of one segment.
pub struct Index {
    bytes: Bytes,
    about: About,
    places: [Place; 9],
    /// By kind of term: connections of which none of that kind is listed; taken apart when it is first asked for.
    unlisted: OnceLock<[Vec<u32>; KINDS]>,
    /// Which sections have been summed: of version 1 all, of later ones the sums.
    sound: [OnceLock<bool>; 9],
    /// From version 2 on: which pages have been summed, a bit each.
    pages: Vec<AtomicU64>,
}

impl Index {
    /// Opens a file. The head is checked, the rest when it is used.
    pub fn open(path: &Path) -> Result<Index, IndexError> {
        let io = |source| IndexError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let map = Mapped::scattered(&file).map_err(io)?;
        // The sums, which lie at the end, are on their way while the head is waited for.
        map.will_need(map.len().saturating_sub(map.len() / PAGE_BYTES * 4 + 4)..map.len());
        Index::of(Bytes::Mapped(map))
    }

    /// Makes the index of a segment that has none, or a damaged one.
    pub fn make(segment: &SegmentReader) -> Result<Index, IndexError> {
        Index::of(Bytes::Made(super::build::bytes_of(segment, Scope::Passing, &|_| true)?))
    }

    /// The same of some of its blocks.
    pub fn make_of(segment: &SegmentReader, wanted: &dyn Fn(&BlockRef) -> bool) -> Result<Index, IndexError> {
        Index::of(Bytes::Made(super::build::bytes_of(segment, Scope::Passing, wanted)?))
    }

    /// An index within smaller bounds, and what it took to make it.
    #[cfg(test)]
    pub(crate) fn bounded(segment: &SegmentReader, scope: Scope, bounds: Bounds) -> (Index, u64) {
        let (bytes, work) = super::build::counted(segment, scope, &|_| true, bounds).unwrap();
        (Index::of(Bytes::Made(bytes)).unwrap(), work)
    }

    /// The same of several.
    #[cfg(test)]
    pub(crate) fn merged(parts: &[&Index], scope: Scope, bounds: Bounds) -> Index {
        Index::of(Bytes::Made(super::merge::within(parts, scope, &bounds).unwrap())).unwrap()
    }

    /// One of neighbouring blocks of a segment, which these are the indexes of, in the order of their offsets.
    pub fn merge(parts: &[&Index], scope: Scope) -> Result<Index, IndexError> {
        Index::of(Bytes::Made(super::merge::bytes_of(parts, scope)?))
    }

    /// Its length.
    pub fn bytes(&self) -> usize {
        self.all().len()
    }

    /// Its bytes, as a file has them.
    pub fn all(&self) -> &[u8] {
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
        let pages = if matches!(bytes, Bytes::Made(_)) { 0 } else { all.len().div_ceil(PAGE_BYTES).div_ceil(64) };
        let pages = (0..pages).map(|_| AtomicU64::new(0)).collect();
        let unlisted = OnceLock::new();
        Ok(Index { bytes, about, places, unlisted, sound: Default::default(), pages })
    }

    /// What it says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Whether it is the index of this segment as it stands.
    pub fn belongs_to(&self, h: &SegmentHeader, end: u64) -> bool {
        self.about.is_of(h) && self.about.end == end
    }

    /// Sums every section and takes the connections and blocks apart.
    pub fn check(&self) -> Result<(), IndexError> {
        for (s, _) in Section::ALL.into_iter().zip(&self.places).filter(|(_, place)| place.len > 0) {
            self.section(s)?;
        }
        self.blocks()?;
        self.unlisted(0)?;
        let mut n = 0;
        self.each_conn(0, &mut |_, _| n += 1)?;
        if n == self.about.connections { Ok(()) } else { Err(IndexError::Damaged("its connections")) }
    }

    /// A whole section, summed.
    fn section(&self, which: Section) -> Result<&[u8], IndexError> {
        let len = self.places.get(which as usize).map_or(0, |p| p.len);
        self.part(which, 0..len)
    }

    /// A part of a section, summed: in version 1 with all of the section, else with the pages that it lies in.
    fn part(&self, which: Section, range: Range<usize>) -> Result<&[u8], IndexError> {
        let broken = || IndexError::Damaged(which.name());
        let place = self.places.get(which as usize).ok_or_else(broken)?;
        let whole = self.all().get(place.start..).and_then(|b| b.get(..place.len)).ok_or_else(broken)?;
        let part = whole.get(range.clone()).ok_or_else(broken)?;
        let sound = match self.about.version {
            // What this process has just made and holds needs no summing.
            _ if matches!(self.bytes, Bytes::Made(_)) => true,
            1 => self.sums_to(which, whole, place.crc),
            _ if which == Section::Sums => self.sums_to(which, whole, place.crc),
            _ => self.pages_hold(place.start + range.start, place.start + range.end)?,
        };
        // Pages that were summed may have left memory, and be unreadable now.
        if sound && !self.has_faulted() { Ok(part) } else { Err(broken()) }
    }

    fn has_faulted(&self) -> bool {
        matches!(&self.bytes, Bytes::Mapped(map) if map.has_faulted())
    }

    fn sums_to(&self, which: Section, bytes: &[u8], crc: u32) -> bool {
        // What a version does not have is empty, and so is its sum.
        self.sound.get(which as usize).is_some_and(|s| *s.get_or_init(|| crc32c::crc32c(bytes) == crc))
    }

    /// Whether the pages of `from..to`, offsets of the file, match their sums.
    fn pages_hold(&self, from: usize, to: usize) -> Result<bool, IndexError> {
        let [first, .., sums] = &self.places;
        let (start, end) = (first.start, sums.start);
        let body = self.all().get(start..end).unwrap_or_default();
        let mut asked = to - from <= PAGE_BYTES;
        for page in (from - start) / PAGE_BYTES..(to - start).div_ceil(PAGE_BYTES) {
            let (word, bit) = (self.pages.get(page / 64), 1u64 << (page % 64));
            if word.is_some_and(|w| w.load(Relaxed) & bit != 0) {
                continue;
            }
            if !std::mem::replace(&mut asked, true) {
                self.will_need(from..to);
            }
            let at = page * PAGE_BYTES;
            let bytes = body.get(at..(at + PAGE_BYTES).min(body.len())).unwrap_or_default();
            let sum = self.section(Section::Sums)?.get(page * 4..).and_then(|b| b.first_chunk());
            if sum.copied().map(u32::from_le_bytes) != Some(crc32c::crc32c(bytes)) {
                return Ok(false);
            }
            if let Some(w) = word {
                w.fetch_or(bit, Relaxed);
            }
        }
        Ok(true)
    }

    /// Has a part of the file read at once, where each page would be waited for.
    fn will_need(&self, part: Range<usize>) {
        if let Bytes::Mapped(map) = &self.bytes {
            map.will_need(part);
        }
    }

    /// Has the connections read that are going to be taken apart: `count` of them, if they are many.
    fn will_need_conns(&self, count: usize) {
        let [groups, records, ..] = &self.places;
        if count >= records.len / PAGE_BYTES {
            self.will_need(groups.start..groups.start + groups.len);
            self.will_need(records.start..records.start + records.len);
        }
    }

    /// The segment's blocks; `None`: this version does not know them.
    pub fn blocks(&self) -> Result<Option<BlockTable>, IndexError> {
        if self.about.version == 1 {
            return Ok(None);
        }
        let table = take_blocks(self.section(Section::Blocks)?, self.about.blocks, self.about.version);
        table.map(Some).ok_or(IndexError::Damaged(Section::Blocks.name()))
    }

    /// Appends the connections that may have this community ID. `None`: this version does not know.
    pub fn community(&self, id: &str, ids: &mut Vec<u32>) -> Result<Option<()>, IndexError> {
        if self.about.version == 1 {
            return Ok(None);
        }
        let (hash, version) = (community::hash(id), self.about.version);
        let find = |t: &Table<'_>, ids: &mut _| if version < 4 { t.find_v3(hash, ids) } else { t.find(hash, ids) };
        self.communities(|table| find(table, ids))?;
        ids.sort_unstable();
        ids.dedup();
        // Another one's bytes could name any number.
        ids.retain(|&id| id < self.about.connections);
        Ok(Some(()))
    }

    /// Works on the table of community IDs.
    fn communities(&self, work: impl FnOnce(&Table<'_>) -> Result<Option<()>, IndexError>) -> Result<(), IndexError> {
        let len = self.places.get(Section::Communities as usize).map_or(0, |p| p.len);
        let part = |range| self.part(Section::Communities, range);
        work(&Table { len, part: &part })?.ok_or(IndexError::Damaged(Section::Communities.name()))
    }

    /// False only if no packet of the segment has this address at any layer.
    pub fn may_have(&self, term: Term) -> Result<bool, IndexError> {
        let Some(key) = term.filter_key() else { return Ok(true) };
        skip::contains(self.filter()?, key).ok_or(IndexError::Damaged(Section::Filter.name()))
    }

    /// The bytes of the address filter.
    pub(super) fn filter(&self) -> Result<&[u8], IndexError> {
        self.section(Section::Filter)
    }

    /// The bytes of the joint filter; empty where this version, or this scope, has none.
    pub(super) fn joint(&self) -> Result<&[u8], IndexError> {
        match self.places.get(Section::Joint as usize) {
            Some(place) if place.len > 0 => self.section(Section::Joint),
            _ => Ok(&[]),
        }
    }

    /// Appends the connections that may have a term of any of these ranges (each of one kind), neither sorted nor without repetition.
    pub fn list(&self, ranges: impl Iterator<Item = (Term, Term)>, ids: &mut Vec<u32>) -> Result<(), IndexError> {
        let mut kinds = Kinds::default();
        for (lo, hi) in ranges {
            kinds.add(lo.kind());
            self.terms(lo, hi, &mut |c| take_list(c, self.about.connections, ids))?;
        }
        // Once for all ranges: they may be many.
        for kind in kinds.each() {
            ids.extend(self.unlisted(kind)?);
        }
        Ok(())
    }

    /// Connections of which no term of this kind is listed: they may have any.
    pub(super) fn unlisted(&self, kind: usize) -> Result<&[u32], IndexError> {
        if self.about.version < NEWEST {
            return Ok(&[]);
        }
        if self.unlisted.get().is_none() {
            let all =
                behind_groups(self.section(Section::Directory)?).and_then(|c| take_unlisted(c, self.about.connections));
            let _ = self.unlisted.set(all.ok_or(IndexError::Damaged(Section::Directory.name()))?);
        }
        Ok(self.unlisted.get().and_then(|all| all.get(kind)).map_or(&[][..], Vec::as_slice))
    }

    /// How many [`list`](Index::list) would append of one range: of one term exactly, of a range about. Less than the list is read for it.
    pub fn weight(&self, lo: Term, hi: Term) -> Result<usize, IndexError> {
        if lo != hi {
            let values = usize::try_from(hi.value().saturating_sub(lo.value())).unwrap_or(usize::MAX);
            return Ok(values.saturating_add(self.unlisted(lo.kind())?.len()).min(self.about.connections as usize));
        }
        let mut count = self.unlisted(lo.kind())?.len();
        self.terms(lo, hi, &mut |c| {
            count += count_list(c, self.about.connections)?;
            Some(())
        })?;
        Ok(count)
    }

    /// Gives `each` the lists of the terms from `lo` to `hi`.
    fn terms(&self, lo: Term, hi: Term, each: &mut dyn FnMut(&mut Cursor<'_>) -> Option<()>) -> Result<(), IndexError> {
        let broken = || IndexError::Damaged("its dictionary");
        let groups = self.groups_of(lo.kind())?;
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
            let mut c = Cursor(self.part(Section::Dictionary, start..end)?);
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
                    each(&mut c).ok_or_else(broken)?;
                } else {
                    skip_list(&mut c, self.about.connections).ok_or_else(broken)?;
                }
            }
        }
        Ok(())
    }

    /// Calls `each` with every term, sorted, and its connections, which ascend.
    pub(super) fn each_term(
        &self,
        each: &mut impl FnMut(Term, &[u32]) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let broken = || IndexError::Damaged("its dictionary");
        let mut ids = Vec::new();
        for kind in 0..KINDS {
            let mut groups = Cursor(self.groups_of(kind)?);
            let next = |groups: &mut Cursor<'_>| -> Option<(u128, usize)> {
                let mut value = [0; 16];
                value.iter_mut().zip(groups.bytes(value_bytes(kind))?).for_each(|(to, from)| *to = *from);
                Some((u128::from_le_bytes(value), u32::from_le_bytes(groups.array()?) as usize))
            };
            let mut here = next(&mut groups);
            while let Some((mut value, start)) = here {
                here = next(&mut groups);
                let end = here.map_or_else(|| self.end_of_kind(kind), |(_, end)| Ok(end))?;
                let mut c = Cursor(self.part(Section::Dictionary, start..end)?);
                while !c.0.is_empty() {
                    value = value.checked_add(c.wide().ok_or_else(broken)?).ok_or_else(broken)?;
                    ids.clear();
                    take_list(&mut c, self.about.connections, &mut ids).ok_or_else(broken)?;
                    each(Term::of(kind, value).ok_or_else(broken)?, &ids)?;
                }
            }
        }
        Ok(())
    }

    /// Calls `each` with the hash of every community ID and its connection; of blocks in memory only.
    pub(super) fn each_community(
        &self,
        each: &mut impl FnMut(u32, u32) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        self.communities(|table| table.each(each))
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
        Ok(self.places.get(Section::Dictionary as usize).map_or(0, |p| p.len))
    }

    /// Calls `each` with the connections of `ids`, which ascend.
    pub fn conns(&self, ids: &[u32], each: &mut impl FnMut(Conn)) -> Result<(), IndexError> {
        self.will_need_conns(ids.len());
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
        self.will_need_conns(self.about.connections as usize);
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
        let offset = |group: usize| -> Result<usize, IndexError> {
            let bytes = self.part(Section::Groups, group * 4..group * 4 + 4)?;
            bytes.first_chunk().map(|b| u32::from_le_bytes(*b) as usize).ok_or_else(broken)
        };
        let last = (group + 1) * GROUP >= self.about.connections as usize;
        let len = self.places.get(Section::Records as usize).map_or(0, |p| p.len);
        let end = if last { len } else { offset(group + 1)? };
        let mut c = Cursor(self.part(Section::Records, offset(group)?..end)?);
        let version = self.about.version;
        let mut before = if version < 4 { Before::default() } else { Before::group(self.about.first) };
        let first = group * GROUP;
        for id in first..(first + GROUP).min(self.about.connections as usize) {
            each(id as u32, take_conn(&mut c, &mut before, version).ok_or_else(broken)?);
        }
        Ok(())
    }
}

/// What lies behind the groups of a directory.
fn behind_groups(directory: &[u8]) -> Option<Cursor<'_>> {
    let mut c = Cursor(directory);
    for kind in 0..KINDS {
        let count = u32::from_le_bytes(c.array()?) as usize;
        c.bytes(count.checked_mul(value_bytes(kind) + 4)?)?;
    }
    Some(c)
}
