//! Reading stripes of a sealed segment past the page cache. What an index names lies scattered, and on a page cache that holds none of it
//! each page would be faulted in, allocated and given up again; so the stripes go into a buffer that is used over and over, several
//! neighbours by one read. Called by queries; only for readers that an index has opened.

use super::{Bytes, ReadError, SegmentReader};
use crate::limits::{SECTOR_BYTES, STRIPE_BYTES};
use crate::store::disk::buffers::Aligned;
use crate::store::format::Damage;
use crate::store::scan::{self, BlockRef};

/// Most packets are no longer: one that begins in the last so many bytes of a stripe probably ends in the next.
const PACKET_BYTES: usize = 2048;

impl SegmentReader {
    /// Whether packets are to be got by [`fetch`](SegmentReader::fetch).
    pub fn sparse(&self) -> bool {
        matches!(self.bytes, Bytes::Sparse(_))
    }

    /// Reads stripes of a block, a bit each, to their places in `to`, which is as long as the block, and checks them. What else is
    /// in `to` has no meaning. Returns the bytes that were read.
    pub fn fetch(&self, block: &BlockRef, stripes: u32, to: &mut Aligned) -> Result<u64, ReadError> {
        let short = || self.damaged(block.offset, Damage::Short);
        let (Bytes::Sparse(file), Some((sums, starts))) = (&self.bytes, &self.sums) else { return Err(short()) };
        let at = self.blocks.partition_point(|b| b.offset < block.offset);
        let sums = starts.get(at).and_then(|&s| sums.get(s..)).ok_or_else(short)?;
        let count = block.trailer_at.div_ceil(STRIPE_BYTES);
        let (mut i, mut read) = (0, 0);
        while i < count {
            if stripes & bit(i) == 0 {
                i += 1;
                continue;
            }
            let run = (i..count).take_while(|&j| stripes & bit(j) != 0).count();
            let (from, end) = (i * STRIPE_BYTES, ((i + run) * STRIPE_BYTES).min(block.trailer_at));
            let part = to.get_mut(from..end.next_multiple_of(SECTOR_BYTES)).ok_or_else(short)?;
            scan::read_at(file, part, block.offset + from as u64).map_err(|source| self.io(source))?;
            read += part.len() as u64;
            for (n, stripe) in part.get(..end - from).unwrap_or_default().chunks(STRIPE_BYTES).enumerate() {
                if sums.get(i + n) != Some(&crc32c::crc32c(stripe)) {
                    let offset = block.offset + ((i + n) * STRIPE_BYTES) as u64;
                    return Err(self.damaged(offset, Damage::Checksum("a stripe")));
                }
            }
            i += run;
        }
        Ok(read)
    }

    /// The same for the packets at these offsets of the file, all of them of the block.
    pub fn fetch_at(&self, block: &BlockRef, offsets: &[u64], to: &mut Aligned) -> Result<u64, ReadError> {
        let inner = |o: u64| (o - block.offset.min(o)) as usize;
        let wanted = |bits: u32, o: usize, len: usize| bits | bit(o / STRIPE_BYTES) | bit((o + len - 1) / STRIPE_BYTES);
        let bits = offsets.iter().fold(0, |bits, &o| wanted(bits, inner(o), PACKET_BYTES));
        let read = self.fetch(block, bits, to)?;
        // Packets that are longer end in stripes that follow.
        let mut more = 0;
        for o in offsets.iter().map(|&o| inner(o)) {
            let len = crate::store::format::u32_at(to, o + 4).unwrap_or(0) as usize;
            let end = o.saturating_add(len.clamp(1, crate::store::format::EPB_BYTES_MAX)).min(block.trailer_at);
            more = (o / STRIPE_BYTES..end.div_ceil(STRIPE_BYTES)).fold(more, |bits, i| bits | bit(i));
        }
        if more & !bits == 0 { Ok(read) } else { Ok(read + self.fetch(block, more & !bits, to)?) }
    }
}

/// A stripe's; a block has 16 at most.
fn bit(stripe: usize) -> u32 {
    1u32.checked_shl(stripe as u32).unwrap_or(0)
}
