//! A run: consecutive blocks of one segment that are still in memory, with an index of the same format as a segment's. Made by
//! whoever keeps recent blocks, asked by queries beside the files; immutable, so that many ask at once.

use super::{Index, IndexError, Scope};
use crate::store::reader::SegmentReader;
use std::sync::Arc;

/// Blocks in memory and what finds a packet in them.
pub struct Run {
    reader: SegmentReader,
    index: Option<Index>,
    first: u64,
    last: u64,
    packets: u64,
}

impl Run {
    /// Without an index: queries scan it. For the few blocks that have come since the last index was made.
    pub fn new(reader: SegmentReader) -> Run {
        let totals = || reader.blocks().iter().map(|b| &b.totals).filter(|t| t.packets > 0);
        let first = totals().map(|t| t.first).min().unwrap_or(u64::MAX);
        let last = totals().map(|t| t.last).max().unwrap_or(0);
        let packets = totals().map(|t| u64::from(t.packets)).sum();
        Run { reader, index: None, first, last, packets }
    }

    /// Makes its index: off the packet path, in time and memory that go with its packets.
    pub fn indexed(reader: SegmentReader) -> Result<Run, IndexError> {
        let index = Index::make(&reader)?;
        Ok(Run { index: Some(index), ..Run::new(reader) })
    }

    /// Of runs that follow each other: from their indexes, without a look at a packet, where they have some.
    pub fn joined(reader: SegmentReader, parts: &[Arc<Run>]) -> Result<Run, IndexError> {
        let indexes: Option<Vec<&Index>> = parts.iter().map(|p| p.index()).collect();
        match indexes.map(|i| Index::merge(&i, Scope::Passing)) {
            Some(Ok(index)) => Ok(Run { index: Some(index), ..Run::new(reader) }),
            _ => Run::indexed(reader),
        }
    }

    /// The blocks.
    pub fn reader(&self) -> &SegmentReader {
        &self.reader
    }

    /// What finds packets in them.
    pub fn index(&self) -> Option<&Index> {
        self.index.as_ref()
    }

    /// Earliest and latest packet, Unix ns; the first is after the last if there is none.
    pub fn times(&self) -> (u64, u64) {
        (self.first, self.last)
    }

    /// Packets.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes that it holds beside the blocks.
    pub fn index_bytes(&self) -> usize {
        self.index.as_ref().map_or(0, Index::bytes)
    }
}
