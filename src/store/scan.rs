//! Finds the blocks of a segment's file. Called by the keeper before it seals, by recovery and by `verify`; never believes a
//! block that does not name this store, segment, generation and place.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::disk::buffers::Aligned;
use super::disk::files;
use super::format::{self, BlockTotals, Damage, Frame, HEADER_BYTES_MAX, SegmentHeader, StoreId};
use crate::limits::SECTOR_BYTES;
use std::fs::File;
use std::io;

/// A block that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length.
    pub len: usize,
    /// End of its packets and statistics, from its beginning.
    pub trailer_at: usize,
    /// Times and counts.
    pub totals: BlockTotals,
}

/// Bytes that no good block covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Where they begin.
    pub offset: u64,
    /// How many.
    pub len: u64,
    /// What is wrong with the first of them.
    pub why: Damage,
}

/// How much is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Heads and trailers are checked.
    Frames,
    /// Every byte is summed.
    Whole,
}

/// What a file holds.
#[derive(Debug)]
pub struct Scan {
    /// The header, if it is good.
    pub header: Result<SegmentHeader, Damage>,
    /// Length of the header; where it is damaged, the offset of the first block.
    pub header_len: u64,
    /// The blocks and what lies between them.
    pub found: Blocks,
}

/// A walk over the blocks of a file.
#[derive(Debug)]
pub struct Blocks {
    store: StoreId,
    number: u64,
    /// Generation that the blocks must name; of a file without a header that of its first block.
    pub generation: Option<u64>,
    /// Worker and link type that the first block names.
    pub origin: (u16, u16),
    /// Good blocks, in the order of their offsets.
    pub blocks: Vec<BlockRef>,
    /// Bad regions before the last good block.
    pub bad: Vec<Bad>,
    /// The bad region at which the walk stands: damage, or the end of what is written.
    pub pending: Option<Bad>,
    /// Padding that an earlier recovery put there, bytes.
    pub padding: u64,
    /// End of the last good block.
    pub end: u64,
    /// Where the walk stands.
    pub at: u64,
}

/// Reads what is at `offset` into `to`; what lies past the end of the file reads as zero.
pub(crate) fn read_at(file: &File, to: &mut [u8], offset: u64) -> io::Result<usize> {
    let n = files::read_full(file, to, offset)?;
    if let Some(rest) = to.get_mut(n..) {
        rest.fill(0);
    }
    Ok(n)
}

/// Scans a file up to `limit`. `number`: the segment that its name says it is.
pub fn scan(file: &File, limit: u64, store: &StoreId, number: u64, depth: Depth) -> io::Result<Scan> {
    let mut buf = Aligned::new(HEADER_BYTES_MAX)?;
    let (header, start) = match read_header(file, &mut buf, limit)? {
        Ok((h, _)) if h.store != *store || h.number != number => (Err(Damage::Foreign), SECTOR_BYTES),
        Ok((h, len)) => (Ok(h), len),
        Err(why) => (Err(why), SECTOR_BYTES),
    };
    let generation = header.as_ref().ok().map(|h| h.generation);
    let mut found = Blocks::new(*store, number, generation, start as u64);
    found.look(file, limit, depth)?;
    let mut header_len = start as u64;
    if let (Err(_), Some(first)) = (&header, found.blocks.first()) {
        // All bytes before the first block are the header's.
        header_len = first.offset;
        found.bad.retain(|b| b.offset > header_len);
    }
    Ok(Scan { header, header_len, found })
}

impl Blocks {
    fn new(store: StoreId, number: u64, generation: Option<u64>, at: u64) -> Blocks {
        let (blocks, bad) = (Vec::new(), Vec::new());
        Blocks { store, number, generation, origin: (0, 1), blocks, bad, pending: None, padding: 0, end: at, at }
    }

    /// A walk over a segment with this header, from `at` on.
    pub fn of(header: &SegmentHeader, at: u64) -> Blocks {
        Blocks::new(header.store, header.number, Some(header.generation), at)
    }

    /// Walks on to `limit`.
    pub fn look(&mut self, file: &File, limit: u64, depth: Depth) -> io::Result<()> {
        let mut sector = Aligned::new(SECTOR_BYTES)?;
        while self.at < limit {
            let at = self.at;
            read_at(file, &mut sector, at)?;
            match look(file, &sector, at, limit, depth, |frame| {
                let generation = self.generation.unwrap_or(frame.name.generation);
                frame.expect(&self.store, self.number, generation, at)
            })? {
                Ok(Found::Block(block, frame)) => {
                    self.bad.extend(self.pending.take());
                    if self.blocks.is_empty() {
                        self.origin = (frame.name.worker, frame.name.link_type);
                        self.generation = Some(frame.name.generation);
                    }
                    self.blocks.push(block);
                    self.at += block.len as u64;
                    self.end = self.at;
                }
                Ok(Found::Pad(len)) => {
                    self.bad.extend(self.pending.take());
                    self.padding += len as u64;
                    self.at += len as u64;
                }
                Err(why) => {
                    self.pending.get_or_insert(Bad { offset: at, len: 0, why }).len += SECTOR_BYTES as u64;
                    self.at += SECTOR_BYTES as u64;
                }
            }
        }
        Ok(())
    }
}

/// The header at the start of a file and its length.
pub(crate) fn read_header(
    file: &File,
    buf: &mut Aligned,
    limit: u64,
) -> io::Result<Result<(SegmentHeader, usize), Damage>> {
    let start = buf.get_mut(..SECTOR_BYTES).unwrap_or_default();
    read_at(file, start, 0)?;
    let len = match SegmentHeader::peek_len(start) {
        Ok(len) if len as u64 <= limit => len,
        Ok(_) => return Ok(Err(Damage::Short)),
        Err(e) => return Ok(Err(e)),
    };
    let whole = buf.get_mut(..len).unwrap_or_default();
    read_at(file, whole, 0)?;
    Ok(SegmentHeader::decode(whole))
}

enum Found {
    Block(BlockRef, Frame),
    Pad(usize),
}

/// What begins at `here`, whose first 4096 bytes are in `sector`; `ours` says whether a head is one of the segment's.
fn look(
    file: &File,
    sector: &[u8],
    here: u64,
    limit: u64,
    depth: Depth,
    ours: impl Fn(&Frame) -> Result<(), Damage>,
) -> io::Result<Result<Found, Damage>> {
    if let Some(len) = format::pad_len(sector).filter(|len| here + *len as u64 <= limit) {
        let mut pad = Aligned::new(len)?;
        read_at(file, &mut pad, here)?;
        if format::is_pad(&pad, 0).is_some() {
            return Ok(Ok(Found::Pad(len)));
        }
    }
    let frame = match Frame::decode_head(sector) {
        Ok(frame) if here + frame.len as u64 > limit => return Ok(Err(Damage::Short)),
        Ok(frame) => frame,
        Err(why) => return Ok(Err(why)),
    };
    // O_DIRECT reads are aligned: the trailer's sectors, or all.
    let from = if depth == Depth::Whole { 0 } else { frame.trailer_at - frame.trailer_at % SECTOR_BYTES };
    let mut bytes = Aligned::new(frame.len - from)?;
    read_at(file, &mut bytes, here + from as u64)?;
    let checked = match depth {
        Depth::Whole => frame.verify(&bytes),
        Depth::Frames => {
            frame.decode_trailer(bytes.get(frame.trailer_at - from..).unwrap_or_default()).map(|(totals, _)| totals)
        }
    };
    // Identity comes last: the generation of a file without a header is that of its first block that is otherwise good.
    Ok(checked.and_then(|totals| {
        ours(&frame)?;
        Ok(Found::Block(BlockRef { offset: here, len: frame.len, trailer_at: frame.trailer_at, totals }, frame))
    }))
}
