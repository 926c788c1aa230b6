//! What frames a block: its head, which names it, and its trailer, which describes and protects it. Called by the writer
//! when it places a block and by every reader before it believes one.

use super::{Damage, Put, StoreId, block_type, u16_at, u32_at, u64_at};
use crate::limits::{BLOCK_BYTES, SECTOR_BYTES, STRIPE_BYTES};

/// Length of a head.
pub const HEAD_BYTES: usize = 76;
const HEAD_MAGIC: u32 = u32::from_le_bytes(*b"RTB1");
const TRAILER_MAGIC: u32 = u32::from_le_bytes(*b"RTE1");
/// A trailer without checksums and padding: 64 bytes of fields, its own checksum, its length.
const TRAILER_FIXED: usize = 72;

/// Which block of which segment: what a head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockName {
    /// The store.
    pub store: StoreId,
    /// Number of the segment, unique in the store.
    pub segment: u64,
    /// Random, drawn when the segment's file is made.
    pub generation: u64,
    /// Offset of the block in the file.
    pub offset: u64,
    /// Counts the blocks of a segment from 0; the header is none.
    pub number: u32,
    /// The worker that wrote it.
    pub worker: u16,
    /// Link type of its packets.
    pub link_type: u16,
}

/// What a trailer says of the block's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockTotals {
    /// Packets.
    pub packets: u32,
    /// Time-sorted runs that the packets form.
    pub runs: u32,
    /// Earliest time, Unix ns.
    pub first: u64,
    /// Latest time, Unix ns.
    pub last: u64,
    /// Sum of lengths on the wire.
    pub wire_bytes: u64,
    /// Sum of captured lengths.
    pub data_bytes: u64,
    /// Packets that this writer had to drop since its start (`disk_stall`).
    pub stalled: u64,
}

/// A decoded and checked frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The name in the head.
    pub name: BlockName,
    /// Length of the block, a multiple of 4096.
    pub len: usize,
    /// Where the trailer begins: end of the packets and statistics.
    pub trailer_at: usize,
}

/// Length of the trailer of a block whose trailer begins at `trailer_at`: fills the block up to a multiple of 4096.
pub fn trailer_bytes(trailer_at: usize) -> usize {
    let least = TRAILER_FIXED + 4 * trailer_at.div_ceil(STRIPE_BYTES);
    (trailer_at + least).next_multiple_of(SECTOR_BYTES) - trailer_at
}

/// Writes the head at the start of `block`, whose length is final.
pub fn write_head(block: &mut [u8], name: &BlockName, trailer_at: usize) {
    let len = block.len() as u32;
    let mut put = Put::new(block, 0);
    put.u32(block_type::HEAD).u32(HEAD_BYTES as u32).u32(HEAD_MAGIC).u32(len).bytes(&name.store);
    put.u64(name.segment).u64(name.generation).u64(name.offset).u32(name.number).u32(trailer_at as u32);
    put.u16(name.worker).u16(name.link_type);
    let at = put.end();
    let crc = crc32c::crc32c(block.get(..at).unwrap_or_default());
    Put::new(block, at).u32(crc).u32(HEAD_BYTES as u32);
}

/// Writes the trailer at `trailer_at`; it ends with `block`. `stripes` are the checksums of the bytes before it.
pub fn write_trailer(block: &mut [u8], trailer_at: usize, totals: &BlockTotals, stripes: &[u32]) {
    let len = block.len() - trailer_at;
    let crc_at = block.len() - 8;
    let mut put = Put::new(block, trailer_at);
    put.u32(block_type::TRAILER).u32(len as u32).u32(TRAILER_MAGIC).u32(totals.packets).u64(totals.first);
    put.u64(totals.last).u64(totals.wire_bytes).u64(totals.data_bytes).u64(totals.stalled).u32(totals.runs);
    put.u32(stripes.len() as u32);
    for crc in stripes {
        put.u32(*crc);
    }
    let at = put.end();
    put.zeros(crc_at - at);
    let crc = crc32c::crc32c(block.get(trailer_at..crc_at).unwrap_or_default());
    Put::new(block, crc_at).u32(crc).u32(len as u32);
}

impl Frame {
    /// Reads the head at the start of `b`, of which [`HEAD_BYTES`] suffice: magic, checksum and lengths hold.
    pub fn decode_head(b: &[u8]) -> Result<Frame, Damage> {
        let field = |at| u32_at(b, at).ok_or(Damage::Short);
        if field(0)? != block_type::HEAD || field(4)? as usize != HEAD_BYTES || field(8)? != HEAD_MAGIC {
            return Err(Damage::NoHead);
        }
        if crc32c::crc32c(b.get(..HEAD_BYTES - 8).ok_or(Damage::Short)?) != field(HEAD_BYTES - 8)? {
            return Err(Damage::Checksum("the head"));
        }
        let (len, trailer_at) = (field(12)? as usize, field(60)? as usize);
        if field(HEAD_BYTES - 4)? as usize != HEAD_BYTES
            || !len.is_multiple_of(SECTOR_BYTES)
            || len > BLOCK_BYTES
            || trailer_at < HEAD_BYTES
            || !trailer_at.is_multiple_of(4)
            || trailer_at + trailer_bytes(trailer_at) != len
        {
            return Err(Damage::Structure("the head"));
        }
        let long = |at| u64_at(b, at).ok_or(Damage::Short);
        let store = b.get(16..32).and_then(|s| s.try_into().ok()).ok_or(Damage::Short)?;
        let short = |at| u16_at(b, at).ok_or(Damage::Short);
        let name = BlockName {
            store,
            segment: long(32)?,
            generation: long(40)?,
            offset: long(48)?,
            number: field(56)?,
            worker: short(64)?,
            link_type: short(66)?,
        };
        Ok(Frame { name, len, trailer_at })
    }

    /// Fails if the block is not one of this store, segment and generation, or does not lie at `offset`.
    pub fn expect(&self, store: &StoreId, segment: u64, generation: u64, offset: u64) -> Result<(), Damage> {
        let n = &self.name;
        let ours = n.store == *store && n.segment == segment && n.generation == generation && n.offset == offset;
        if ours { Ok(()) } else { Err(Damage::Foreign) }
    }

    /// Reads the trailer out of its bytes (`len - trailer_at` of them): checksum and structure hold.
    pub fn decode_trailer(&self, trailer: &[u8]) -> Result<(BlockTotals, Stripes), Damage> {
        let size = self.len - self.trailer_at;
        let field = |at| u32_at(trailer, at).ok_or(Damage::Short);
        if field(0)? != block_type::TRAILER || field(4)? as usize != size || field(8)? != TRAILER_MAGIC {
            return Err(Damage::Structure("the trailer"));
        }
        if crc32c::crc32c(trailer.get(..size - 8).ok_or(Damage::Short)?) != field(size - 8)? {
            return Err(Damage::Checksum("the trailer"));
        }
        if field(size - 4)? as usize != size || field(60)? as usize != self.stripes() {
            return Err(Damage::Structure("the trailer"));
        }
        let long = |at| u64_at(trailer, at).ok_or(Damage::Short);
        let totals = BlockTotals {
            packets: field(12)?,
            first: long(16)?,
            last: long(24)?,
            wire_bytes: long(32)?,
            data_bytes: long(40)?,
            stalled: long(48)?,
            runs: field(56)?,
        };
        let mut crcs = [0; BLOCK_BYTES / STRIPE_BYTES];
        for (i, crc) in crcs.iter_mut().enumerate().take(self.stripes()) {
            *crc = field(64 + 4 * i)?;
        }
        Ok((totals, Stripes { crcs, trailer_at: self.trailer_at }))
    }

    /// Reads and checks everything of a whole block but its packets' structure.
    pub fn verify(&self, block: &[u8]) -> Result<BlockTotals, Damage> {
        let trailer = block.get(self.trailer_at..self.len).ok_or(Damage::Short)?;
        let (totals, stripes) = self.decode_trailer(trailer)?;
        for i in 0..self.stripes() {
            let (from, to) = stripes.range(i);
            stripes.check(i, block.get(from..to).ok_or(Damage::Short)?)?;
        }
        Ok(totals)
    }

    /// Stripes of the bytes before the trailer.
    pub fn stripes(&self) -> usize {
        self.trailer_at.div_ceil(STRIPE_BYTES)
    }
}

/// The checksums of a block's stripes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripes {
    crcs: [u32; BLOCK_BYTES / STRIPE_BYTES],
    trailer_at: usize,
}

impl Stripes {
    /// Where stripe `i` begins and ends in the block.
    pub fn range(&self, i: usize) -> (usize, usize) {
        (i * STRIPE_BYTES, ((i + 1) * STRIPE_BYTES).min(self.trailer_at))
    }

    /// Fails if `bytes` are not those of stripe `i`.
    pub fn check(&self, i: usize, bytes: &[u8]) -> Result<(), Damage> {
        match self.crcs.get(i) {
            Some(crc) if *crc == crc32c::crc32c(bytes) => Ok(()),
            _ => Err(Damage::Checksum("a stripe")),
        }
    }
}
