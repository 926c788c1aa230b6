//! What comes out of a segment: whole blocks and single packets. Made by the reader, used by whoever reads.

use super::memory::Pinned;
use super::{ReadError, SegmentReader};
use crate::conn::verdict::Mark;
use crate::limits::PIECE_BYTES;
use crate::packet::key::Key;
use crate::store::format::{self, HEAD_BYTES, Item, StoredPacket};
use crate::store::scan::BlockRef;
use std::borrow::Cow;
use std::ops::Deref;

/// A whole, checked block.
pub struct Block<'a> {
    pub(super) reader: &'a SegmentReader,
    pub(super) block: BlockRef,
    pub(super) bytes: BlockBytes<'a>,
}

/// Whose a block's bytes are.
pub(super) enum BlockBytes<'a> {
    /// A mapping's.
    Borrowed(&'a [u8]),
    /// Read for this block.
    Owned(Vec<u8>),
    /// Memory's, which keeps them meanwhile.
    Pinned(Pinned),
}

impl Deref for BlockBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            BlockBytes::Borrowed(bytes) => bytes,
            BlockBytes::Owned(bytes) => bytes,
            BlockBytes::Pinned(bytes) => bytes,
        }
    }
}

impl Block<'_> {
    /// What its trailer says.
    pub fn about(&self) -> &BlockRef {
        &self.block
    }

    /// CRC32C of each of its pieces.
    pub fn sums(&self) -> Vec<u32> {
        let contents = self.bytes.get(..self.block.trailer_at).unwrap_or_default();
        contents.chunks(PIECE_BYTES).map(crc32c::crc32c).collect()
    }

    /// Its packets as they were stored: not sorted by time where `totals.runs` is more than 1. Ends after the first error,
    /// which a block whose checksums hold does not have.
    pub fn packets(&self) -> impl Iterator<Item = Result<StoredPacket<'_>, ReadError>> {
        let start = self.block.offset;
        format::walk(&self.bytes, HEAD_BYTES, self.block.trailer_at).filter_map(move |item| match item {
            Ok(Item::Packet(p)) => Some(self.reader.checked_packet(StoredPacket { offset: start + p.offset, ..p })),
            Ok(Item::Statistics { .. }) => None,
            Err(why) => Some(Err(self.reader.damaged(start, why))),
        })
    }
}

impl Block<'_> {
    /// The packet whose EPB begins at this offset of the file.
    pub fn packet(&self, offset: u64) -> Result<FoundPacket<'_>, ReadError> {
        self.reader.packet_in(&self.bytes, &self.block, offset)
    }

    /// The same, as they are got by their offsets.
    pub fn found(&self) -> impl Iterator<Item = Result<FoundPacket<'_>, ReadError>> {
        self.reader.packets_in(&self.bytes, &self.block)
    }
}

impl SegmentReader {
    /// The packets of a block from its bytes, which have been checked.
    pub fn packets_in<'a>(
        &'a self,
        bytes: &'a [u8],
        block: &BlockRef,
    ) -> impl Iterator<Item = Result<FoundPacket<'a>, ReadError>> {
        let start = block.offset;
        format::walk(bytes, HEAD_BYTES, block.trailer_at).filter_map(move |item| match item {
            Ok(Item::Packet(p)) => {
                let checked = self.checked_packet(StoredPacket { offset: start + p.offset, ..p });
                Some(checked.map(FoundPacket::from))
            }
            Ok(Item::Statistics { .. }) => None,
            Err(why) => Some(Err(self.damaged(start, why))),
        })
    }
}

/// A packet that was fetched by its offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPacket<'a> {
    /// Where its EPB begins in the file.
    pub offset: u64,
    /// Unix time, ns.
    pub time: u64,
    /// Index into the segment's interfaces.
    pub iface: u32,
    /// Length on the wire.
    pub wire_len: u32,
    /// Captured bytes.
    pub data: Cow<'a, [u8]>,
    /// What the recorder said of it.
    pub mark: Mark,
    /// Its connection, where its bytes name another.
    pub key: Option<Key>,
    /// What its block in the input said of it: whole options, little-endian, without the end.
    pub options: Cow<'a, [u8]>,
}

impl FoundPacket<'_> {
    /// With bytes of its own.
    pub fn into_owned(self) -> FoundPacket<'static> {
        let (data, options) = (Cow::Owned(self.data.into_owned()), Cow::Owned(self.options.into_owned()));
        FoundPacket { data, options, ..self }
    }
}

impl<'a> From<StoredPacket<'a>> for FoundPacket<'a> {
    fn from(p: StoredPacket<'a>) -> Self {
        let StoredPacket { offset, time, iface, wire_len, mark, key, data, options } = p;
        let (data, options) = (Cow::Borrowed(data), Cow::Borrowed(options));
        FoundPacket { offset, time, iface, wire_len, data, mark, key, options }
    }
}
