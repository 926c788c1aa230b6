//! What the bytes of a segment are known by without reading all of them: SHA-256 over head and trailer of each good block. A head names
//! store, segment, generation and place; a trailer has times, counts and a CRC32C of each stripe of the block. So it is the same for a segment that is
//! being written, up to an offset, and for the sealed one later. Made for manifests; a few KiB are read for each MiB.

use super::{Bytes, ReadError, SegmentReader};
use crate::limits::SECTOR_BYTES;
use crate::store::disk::buffers::Aligned;
use crate::store::format::HEAD_BYTES;
use crate::store::scan::{self, BlockRef};
use sha2::{Digest as _, Sha256};

/// What a segment is known by, up to an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentDigest {
    /// End of the last block that is in it.
    pub upto: u64,
    /// Blocks.
    pub blocks: u64,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

impl SegmentReader {
    /// Of all good blocks that end at or before `upto`.
    pub fn digest(&self, upto: u64) -> Result<SegmentDigest, ReadError> {
        let (mut sum, mut digest) = (Sha256::new(), SegmentDigest { upto: 0, blocks: 0, sha256: String::new() });
        for block in self.blocks().iter().take_while(|b| b.offset + b.len as u64 <= upto) {
            self.frame(block, &mut |bytes| sum.update(bytes))?;
            digest.upto = block.offset + block.len as u64;
            digest.blocks += 1;
        }
        digest.sha256 = sum.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Ok(digest)
    }

    /// Gives out head and trailer of a block.
    fn frame(&self, block: &BlockRef, each: &mut dyn FnMut(&[u8])) -> Result<(), ReadError> {
        let trailer = block.trailer_at..block.len;
        match &self.bytes {
            Bytes::Mapped(map) => {
                let whole = map.get(block.offset as usize..block.offset as usize + block.len).unwrap_or_default();
                each(whole.get(..HEAD_BYTES).unwrap_or_default());
                each(whole.get(trailer).unwrap_or_default());
            }
            Bytes::Direct(file, _) | Bytes::Sparse(file) => {
                // Past the page cache reads are aligned.
                let from = block.trailer_at - block.trailer_at % SECTOR_BYTES;
                let mut head = Aligned::new(SECTOR_BYTES).map_err(|e| self.io(e))?;
                let mut rest = Aligned::new(block.len - from).map_err(|e| self.io(e))?;
                scan::read_at(file, &mut head, block.offset).map_err(|e| self.io(e))?;
                scan::read_at(file, &mut rest, block.offset + from as u64).map_err(|e| self.io(e))?;
                each(head.get(..HEAD_BYTES).unwrap_or_default());
                each(rest.get(block.trailer_at - from..).unwrap_or_default());
            }
            Bytes::Memory(..) => {
                let whole = self.block(block)?;
                each(whole.bytes.get(..HEAD_BYTES).unwrap_or_default());
                each(whole.bytes.get(trailer).unwrap_or_default());
            }
        }
        Ok(())
    }
}
