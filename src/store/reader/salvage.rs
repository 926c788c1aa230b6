//! What a damaged block still has. Its sums are taken in pieces, so that damage hides only the packets that lie in it: those before it are found
//! from the block's begin, those behind it from the block's end, since a packet block tells its length at both of its ends. What lies
//! between two damaged pieces only an index can name. Called where a whole block can't be had; checks all that it gives out.

use super::{Bytes, FoundPacket, ReadError, SegmentReader};
use crate::limits::STRIPE_BYTES;
use crate::store::disk::buffers::Aligned;
use crate::store::format::{self, Frame, HEAD_BYTES, Item, StoredPacket};
use crate::store::scan::{self, BlockRef};
use std::borrow::Cow;
use std::ops::Range;

/// The bytes of a block, and which of its pieces hold.
struct Pieces<'a> {
    bytes: Cow<'a, [u8]>,
    /// End of the packets.
    end: usize,
    /// Bytes of a piece.
    piece: usize,
    sound: Vec<bool>,
}

impl Pieces<'_> {
    /// Whether all that lies there holds.
    fn hold(&self, at: Range<usize>) -> bool {
        let pieces = self.sound.get(at.start / self.piece..at.end.div_ceil(self.piece));
        at.start < at.end && at.end <= self.end && pieces.is_some_and(|p| p.iter().all(|sound| *sound))
    }

    /// Length of the block of pcapng that begins there, if it may be believed.
    fn forward(&self, at: usize) -> Option<usize> {
        let len = self.hold(at..at + 8).then(|| format::u32_at(&self.bytes, at + 4))?? as usize;
        self.hold(at..at.checked_add(len)?).then_some(len)
    }

    /// The same of the one that ends there.
    fn backward(&self, end: usize) -> Option<usize> {
        let at = end.checked_sub(4)?;
        let len = self.hold(at..end).then(|| format::u32_at(&self.bytes, at))?? as usize;
        self.hold(end.checked_sub(len)?..end).then_some(len)
    }

    /// What lies before the damage, and what lies behind it.
    fn parts(&self) -> [Range<usize>; 2] {
        let (mut front, mut back) = (HEAD_BYTES, self.end);
        while let Some(len) = self.forward(front).filter(|len| *len > 0) {
            front += len;
        }
        while back > front
            && let Some(len) = self.backward(back).filter(|len| *len > 0 && back - len >= front)
        {
            back -= len;
        }
        [HEAD_BYTES..front, back..self.end]
    }
}

impl SegmentReader {
    /// The packets of a block that can be had although it is damaged, in the order of their offsets; none if it can't be read at all.
    pub fn salvage(&self, block: &BlockRef) -> Vec<FoundPacket<'static>> {
        let Some(pieces) = self.pieces(block) else { return Vec::new() };
        let mut found = Vec::new();
        for part in pieces.parts() {
            for item in format::walk(&pieces.bytes, part.start, part.end) {
                match item.map(|item| (item, block.offset)) {
                    Ok((Item::Packet(p), start)) => {
                        let p = self.checked_packet(StoredPacket { offset: start + p.offset, ..p });
                        found.extend(p.map(|p| FoundPacket::from(p).into_owned()));
                    }
                    Ok((Item::Statistics { .. }, _)) => {}
                    Err(_) => break,
                }
            }
        }
        found
    }

    fn pieces(&self, block: &BlockRef) -> Option<Pieces<'_>> {
        let at = self.blocks.partition_point(|b| b.offset < block.offset);
        let bytes: Cow<'_, [u8]> = match &self.bytes {
            Bytes::Mapped(map) => {
                let start = block.offset as usize;
                Cow::Borrowed(map.get(start..start + block.len)?)
            }
            Bytes::Direct(file, _) => Cow::Owned(self.read_direct(file, block).ok()?.to_vec()),
            Bytes::Sparse(file) => Cow::Owned(self.read_sparse(file, block).ok()?.to_vec()),
            Bytes::Memory(..) => Cow::Owned(self.of_memory(block).ok()?.0.to_vec()),
        };
        let contents = bytes.get(..block.trailer_at)?;
        let (piece, sound) = match &self.sums {
            Some(sums) => {
                let known = sums.of(at)?;
                let sound = |(n, b): (usize, &[u8])| known.get(n) == Some(&crc32c::crc32c(b));
                (sums.piece, contents.chunks(sums.piece).enumerate().map(sound).collect())
            }
            None => {
                let frame = Frame::decode_head(&bytes).ok()?;
                let h = &self.header;
                frame.expect(&h.store, h.number, h.generation, block.offset).ok()?;
                let (_, stripes) = frame.decode_trailer(bytes.get(frame.trailer_at..frame.len)?).ok()?;
                let same = frame.trailer_at == block.trailer_at;
                let sound = |(n, b): (usize, &[u8])| same && stripes.check(n, b).is_ok();
                (STRIPE_BYTES, contents.chunks(STRIPE_BYTES).enumerate().map(sound).collect())
            }
        };
        Some(Pieces { end: block.trailer_at, piece, sound, bytes })
    }

    /// A sector of the disk may be bad: what can be read is read, and the rest does not hold.
    fn read_sparse(&self, file: &std::fs::File, block: &BlockRef) -> Result<Aligned, ReadError> {
        let mut buf = Aligned::new(block.len).map_err(|source| self.io(source))?;
        let piece = self.sums.as_ref().map_or(block.len, |s| s.piece);
        let mut at = 0;
        for part in buf.chunks_mut(piece) {
            // Of what can't be read the sum says so.
            let _ = scan::read_at(file, part, block.offset + at);
            at += part.len() as u64;
        }
        Ok(buf)
    }
}
