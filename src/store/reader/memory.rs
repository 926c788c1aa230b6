//! A run of blocks in memory, read as a segment is. Called by the recorder's own queries: what it holds was written by this
//! process, so nothing is summed again.

use super::{Bytes, SegmentReader};
use crate::store::format::{Damage, Frame, SegmentHeader};
use crate::store::scan::BlockRef;
use std::path::PathBuf;
use std::sync::Arc;

/// A whole block, head and trailer included, as the disk has it or will have it.
#[derive(Clone)]
pub struct MemoryBlock {
    pub(super) at: BlockRef,
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
}

impl MemoryBlock {
    /// From its bytes; more than the block's length may be given.
    pub fn new(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Result<MemoryBlock, Damage> {
        let all: &[u8] = (*bytes).as_ref();
        let frame = Frame::decode_head(all)?;
        let trailer = all.get(frame.trailer_at..frame.len).ok_or(Damage::Short)?;
        let (totals, _) = frame.decode_trailer(trailer)?;
        let at = BlockRef { offset: frame.name.offset, len: frame.len, trailer_at: frame.trailer_at, totals };
        Ok(MemoryBlock { at, bytes })
    }

    /// Its place, times and counts.
    pub fn about(&self) -> &BlockRef {
        &self.at
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let all: &[u8] = (*self.bytes).as_ref();
        all.get(..self.at.len).unwrap_or_default()
    }
}

impl SegmentReader {
    /// Blocks of one segment in memory, in the order of their offsets. Nothing is copied; the blocks are held as long as the
    /// reader is.
    pub fn in_memory(header: Arc<SegmentHeader>, blocks: Vec<MemoryBlock>) -> SegmentReader {
        let refs: Vec<BlockRef> = blocks.iter().map(|b| b.at).collect();
        SegmentReader {
            path: PathBuf::from(format!("segment {} in memory", header.number)),
            header_len: 0,
            header,
            end: refs.last().map_or(0, |b| b.offset + b.len as u64),
            blocks: refs,
            bytes: Bytes::Memory(blocks),
            bad: Vec::new(),
            checked: Vec::new(),
            sums: None,
        }
    }

    /// From which offset of the segment to which the blocks of a reader of memory reach.
    pub fn span(&self) -> std::ops::Range<u64> {
        self.blocks.first().map_or(0, |b| b.offset)..self.end
    }
}
