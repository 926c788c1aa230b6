//! Reading pieces of a sealed segment past the page cache. What an index names lies scattered, and on a page cache that holds none of it
//! each page would be faulted in, allocated and given up again; so the pieces go into a buffer that is used over and over, several
//! neighbours by one read. Called by queries; only for readers that an index has opened.

use super::{Bytes, ReadError, SegmentReader};
use crate::limits::{PIECE_BYTES, SECTOR_BYTES};
use crate::store::disk::buffers::Aligned;
use crate::store::format::Damage;
use crate::store::scan::{self, BlockRef};
use std::ops::Range;

/// Most packets are no longer: one that begins in the last so many bytes of a piece probably ends in the next.
const PACKET_BYTES: usize = 1600;
/// Type and length of a packet block.
const HEAD_BYTES: usize = 8;
/// To read so much that is not wanted costs less than another read.
const GAP_BYTES: usize = 32 << 10;

impl SegmentReader {
    /// Whether packets are to be got by [`fetch`](SegmentReader::fetch).
    pub fn sparse(&self) -> bool {
        matches!(self.bytes, Bytes::Sparse(_))
    }

    /// Reads pieces of a block, a bit each, to their places in `to`, which is as long as the block, and checks them; what lies between two
    /// that are near is read with them. What else is in `to` has no meaning. Returns the bytes that were read.
    pub fn fetch(&self, block: &BlockRef, pieces: u64, to: &mut Aligned) -> Result<u64, ReadError> {
        let short = || self.damaged(block.offset, Damage::Short);
        let (Bytes::Sparse(file), Some(all)) = (&self.bytes, &self.sums) else { return Err(short()) };
        let at = self.blocks.partition_point(|b| b.offset < block.offset);
        let (sums, piece) = (all.of(at).ok_or_else(short)?, all.piece);
        let mut rest = pieces & bits(0..block.trailer_at.div_ceil(piece));
        let mut read = 0;
        while let Some((run, more)) = next_run(rest, GAP_BYTES / piece) {
            rest = more;
            let (from, end) = (run.start * piece, (run.end * piece).min(block.trailer_at));
            let part = to.get_mut(from..end.next_multiple_of(SECTOR_BYTES)).ok_or_else(short)?;
            scan::read_at(file, part, block.offset + from as u64).map_err(|source| self.io(source))?;
            read += part.len() as u64;
            for (n, bytes) in part.get(..end - from).unwrap_or_default().chunks(piece).enumerate() {
                if sums.get(run.start + n) != Some(&crc32c::crc32c(bytes)) {
                    let offset = block.offset + ((run.start + n) * piece) as u64;
                    return Err(self.damaged(offset, Damage::Checksum("a piece")));
                }
            }
        }
        Ok(read)
    }

    /// The same for the packets at these offsets of the file, all of them of the block.
    pub fn fetch_at(&self, block: &BlockRef, offsets: &[u64], to: &mut Aligned) -> Result<u64, ReadError> {
        let piece = self.sums.as_ref().map_or(PIECE_BYTES, |s| s.piece);
        let inner = |o: u64| (o - block.offset.min(o)) as usize;
        let wanted = |o: usize, len: usize| bits(o / piece..(o + len).div_ceil(piece));
        let all = |len| offsets.iter().fold(0, |all, &o| all | wanted(inner(o), len));
        let likely = all(PACKET_BYTES);
        let (read, got) = match self.fetch(block, likely, to) {
            // The damage may be in a piece that this one does not reach.
            Err(_) if offsets.len() == 1 => (self.fetch(block, all(HEAD_BYTES), to)?, all(HEAD_BYTES)),
            read => (read?, likely),
        };
        // Packets that are longer end in pieces that follow.
        let mut more = 0;
        for o in offsets.iter().map(|&o| inner(o)) {
            let len = crate::store::format::u32_at(to, o + 4).unwrap_or(0) as usize;
            let len = len.clamp(1, crate::store::format::EPB_BYTES_MAX).min(block.trailer_at.saturating_sub(o));
            more |= wanted(o, len);
        }
        if more & !got == 0 { Ok(read) } else { Ok(read + self.fetch(block, more & !got, to)?) }
    }
}

/// A bit for each of these pieces; a block has 64 at most.
fn bits(pieces: Range<usize>) -> u64 {
    let below = |n: usize| 1u64.checked_shl(n as u32).map_or(u64::MAX, |bit| bit - 1);
    below(pieces.end) & !below(pieces.start)
}

/// The first pieces that are read at once, over gaps of at most so many others, and the bits of those after them.
fn next_run(pieces: u64, gap: usize) -> Option<(Range<usize>, u64)> {
    if pieces == 0 {
        return None;
    }
    let start = pieces.trailing_zeros() as usize;
    let mut end = start;
    loop {
        end += pieces.checked_shr(end as u32).map_or(0, u64::trailing_ones) as usize;
        let rest = pieces & !bits(0..end);
        let next = rest.trailing_zeros() as usize;
        if rest == 0 || next > end + gap {
            return Some((start..end, rest));
        }
        end = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_pieces_are_read_together() {
        let runs = |mut rest: u64, gap| {
            let mut runs = Vec::new();
            while let Some((run, more)) = next_run(rest, gap) {
                runs.push((run.start, run.end));
                rest = more;
            }
            runs
        };
        assert_eq!(runs(0, 2), []);
        assert_eq!(runs(0b1, 2), [(0, 1)]);
        assert_eq!(runs(0b1011_0001, 0), [(0, 1), (4, 6), (7, 8)]);
        assert_eq!(runs(0b1011_0001, 1), [(0, 1), (4, 8)]);
        assert_eq!(runs(0b1011_0001, 3), [(0, 8)]);
        assert_eq!(runs(u64::MAX, 0), [(0, 64)]);
        assert_eq!(runs(1 << 63 | 1, 2), [(0, 1), (63, 64)]);
        assert_eq!(runs(bits(60..64) | bits(0..58), 2), [(0, 64)]);
        assert_eq!((bits(0..64), bits(0..0), bits(3..5), bits(62..70)), (u64::MAX, 0, 24, 3 << 62));
    }
}
