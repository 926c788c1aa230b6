//! Opening a sealed segment by what its index knows of its blocks: nothing is read but the header, and later the pieces that are asked
//! for (`fetch`). Called by queries; the table was checked by the index.

use super::{Bytes, ReadError, SegmentReader};
use crate::store::disk::buffers::Aligned;
use crate::store::disk::files;
use crate::store::format::{self, Damage};
use crate::store::scan::{self, BlockRef};
use std::path::Path;
use std::sync::Arc;

/// Blocks of a segment and the sums of their pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockTable {
    /// In the order of their offsets.
    pub blocks: Vec<BlockRef>,
    /// CRC32C of each piece of each block, one after another.
    pub sums: Vec<u32>,
    /// Bytes of a piece; the last of a block, which ends with its trailer, may be shorter.
    pub piece: usize,
    /// Where each block's sums begin.
    starts: Vec<usize>,
}

impl BlockTable {
    /// One of no blocks, with pieces of so many bytes.
    pub fn new(piece: usize) -> BlockTable {
        BlockTable { blocks: Vec::new(), sums: Vec::new(), piece, starts: Vec::new() }
    }

    /// Adds a block with as many sums as it has pieces. `None`: `sum` ran out; nothing was added.
    pub fn push(&mut self, block: BlockRef, mut sum: impl FnMut() -> Option<u32>) -> Option<()> {
        let start = self.sums.len();
        for _ in 0..block.trailer_at.div_ceil(self.piece) {
            let Some(crc) = sum() else {
                self.sums.truncate(start);
                return None;
            };
            self.sums.push(crc);
        }
        self.starts.push(start);
        self.blocks.push(block);
        Some(())
    }
}

/// Sums of a segment's pieces, by the number of the block.
pub(super) struct Sums {
    all: Vec<u32>,
    starts: Vec<usize>,
    /// Bytes of a piece.
    pub piece: usize,
}

impl Sums {
    /// Those from the first of a block on.
    pub fn of(&self, block: usize) -> Option<&[u32]> {
        self.all.get(*self.starts.get(block)?..)
    }
}

impl SegmentReader {
    /// Opens a sealed segment whose last good block ends at `end` and whose blocks are these. Damage to the blocks is found when they
    /// are read.
    pub fn open_by(path: &Path, end: u64, table: BlockTable) -> Result<SegmentReader, ReadError> {
        let io = |source| ReadError::Io { path: path.to_owned(), source };
        let damaged = |offset, why| ReadError::Damaged { path: path.to_owned(), offset, why };
        let file = files::read_direct(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        if len != end {
            return Err(damaged(len, Damage::Short));
        }
        let mut buf = Aligned::new(format::HEADER_BYTES_MAX).map_err(io)?;
        let (header, header_len) =
            scan::read_header(&file, &mut buf, len).map_err(io)?.map_err(|why| damaged(0, why))?;
        let BlockTable { blocks, sums, piece, starts } = table;
        Ok(SegmentReader {
            path: path.to_owned(),
            header: Arc::new(header),
            header_len: header_len as u64,
            end,
            checked: Vec::new(),
            blocks,
            bytes: Bytes::Sparse(file),
            bad: Vec::new(),
            sums: Some(Sums { all: sums, starts, piece }),
        })
    }
}
