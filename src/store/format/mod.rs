//! The bytes of a segment, as FORMAT.md tells them. Owns every constant and every encoder and decoder of the file; called
//! by the writer (encode), the readers and recovery (decode). Never does I/O and never panics on bytes it is given.
//!
//! A segment is plain pcapng (draft-ietf-opsawg-pcapng), little-endian: a header (SHB and IDBs), then blocks. What is ours
//! lies in block types and option codes with the top bit set, which that draft reserves for local use and which no reader
//! shows.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod frame;
mod header;
mod packet;
mod pad;

pub use frame::{BlockName, BlockTotals, Frame, HEAD_BYTES, Stripes, trailer_bytes, write_head, write_trailer};
pub use header::{
    CLASS_NAME_MAX, HEADER_BYTES_MAX, IFACE_NAME_MAX, SEGMENT_IFACES_MAX, SegmentHeader, description_bytes,
    header_bytes, segment_version, write_header,
};
pub use packet::{
    EPB_BYTES_MAX, ISB_BYTES, IfaceDrops, Item, PacketOptions, StoredPacket, packet_at, packet_bytes, walk,
    write_packet, write_statistics,
};
pub use pad::{is_pad, pad_len, write_pads};

/// Version of the store as a whole; another is refused.
pub const STORE_VERSION: u32 = 1;
/// Version of a segment's layout that is written; all from 1 on are read.
pub const FORMAT_VERSION: u32 = 2;
/// Version of a segment whose interfaces are described: of packets of pcapng files.
pub const FORMAT_VERSION_DESCRIBED: u32 = 3;

/// pcapng block types that a segment holds.
pub mod block_type {
    /// Section Header Block.
    pub const SHB: u32 = 0x0a0d_0d0a;
    /// Interface Description Block.
    pub const IDB: u32 = 1;
    /// Name Resolution Block.
    pub const NRB: u32 = 4;
    /// Interface Statistics Block.
    pub const ISB: u32 = 5;
    /// Decryption Secrets Block.
    pub const DSB: u32 = 10;
    /// Enhanced Packet Block.
    pub const EPB: u32 = 6;
    /// Ours: begins a block ("RT" and 1). 0x80000001 is taken: Apple's process event.
    pub const HEAD: u32 = 0x8052_5401;
    /// Ours: ends a block.
    pub const TRAILER: u32 = 0x8052_5402;
    /// Ours: fills what recovery found unreadable.
    pub const PAD: u32 = 0x8052_5403;
}

/// pcapng option codes that a segment holds.
pub mod option {
    /// End of the list.
    pub const END: u16 = 0;
    /// SHB: the program that wrote the file.
    pub const USERAPPL: u16 = 4;
    /// IDB: name of the interface.
    pub const IF_NAME: u16 = 2;
    /// IDB: resolution of times, here 10^-9.
    pub const IF_TSRESOL: u16 = 9;
    /// ISB: packets received since the start.
    pub const ISB_IFRECV: u16 = 4;
    /// ISB: packets dropped since the start.
    pub const ISB_IFDROP: u16 = 5;
    /// Ours, in the SHB: which segment this is. Codes below 0x8010 are taken: Apple's.
    pub const SEGMENT: u16 = 0xd201;
    /// Ours, in the SHB: zeros up to the next multiple of 4096.
    pub const FILL: u16 = 0xd202;
    /// All of ours: what an earlier recorder said is not its input's word.
    pub const OURS: std::ops::RangeInclusive<u16> = 0xd200..=0xd2ff;
    /// Ours, in an EPB: the packet's mark.
    pub const MARK: u16 = 0xd203;
    /// Ours, in an EPB: the packet's connection, where its bytes name another.
    pub const KEY: u16 = 0xd205;
    /// Ours, in an IDB: the options of the input's section header.
    pub const SECTION: u16 = 0xd204;
}

/// The identity of a store: 16 random bytes in store.toml, in each segment's header and in each block.
pub type StoreId = [u8; 16];

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The bytes end too early.
    #[error("it is cut short")]
    Short,
    /// No header of ours at the file's start.
    #[error("there is no segment header")]
    NoHeader,
    /// A header of another version of the layout.
    #[error("the segment has format version {0}, this program reads versions up to {FORMAT_VERSION_DESCRIBED}")]
    Version(u32),
    /// No block begins here.
    #[error("no block begins here")]
    NoHead,
    /// A good block, but of another store, segment or generation, or of another place in the file.
    #[error("the block belongs elsewhere")]
    Foreign,
    /// A checksum does not match.
    #[error("the checksum of {0} does not match")]
    Checksum(&'static str),
    /// A length or a field contradicts another.
    #[error("{0} contradicts itself")]
    Structure(&'static str),
}

/// Little-endian `u16` at `at`.
pub(crate) fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    b.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes)
}

/// Little-endian `u32` at `at`.
pub(crate) fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    b.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

/// Little-endian `u64` at `at`.
pub(crate) fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    b.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

/// Type and length of the pcapng block at `at`, if both of its length fields agree and it lies inside `b`.
pub(crate) fn pcapng_block(b: &[u8], at: usize) -> Option<(u32, usize)> {
    let (kind, len) = (u32_at(b, at)?, u32_at(b, at.checked_add(4)?)?);
    let len = usize::try_from(len).ok()?;
    if len < 12 || !len.is_multiple_of(4) || u32_at(b, at.checked_add(len)?.checked_sub(4)?)? as usize != len {
        return None;
    }
    Some((kind, len))
}

/// Writes fields one after another into a buffer that the caller has made large enough; what would not fit is an error of
/// the caller and fails [`Put::end`].
pub(crate) struct Put<'a> {
    buf: &'a mut [u8],
    at: usize,
}

impl<'a> Put<'a> {
    pub(crate) fn new(buf: &'a mut [u8], at: usize) -> Put<'a> {
        Put { buf, at }
    }

    pub(crate) fn bytes(&mut self, b: &[u8]) -> &mut Self {
        if let Some(to) = self.buf.get_mut(self.at..self.at + b.len()) {
            to.copy_from_slice(b);
        }
        self.at += b.len();
        self
    }

    pub(crate) fn u16(&mut self, v: u16) -> &mut Self {
        self.bytes(&v.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, v: u32) -> &mut Self {
        self.bytes(&v.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, v: u64) -> &mut Self {
        self.bytes(&v.to_le_bytes())
    }

    pub(crate) fn zeros(&mut self, n: usize) -> &mut Self {
        if let Some(to) = self.buf.get_mut(self.at..self.at + n) {
            to.fill(0);
        }
        self.at += n;
        self
    }

    /// The next `n` bytes, to be written by the caller.
    pub(crate) fn take(&mut self, n: usize) -> &mut [u8] {
        let from = self.at;
        self.at += n;
        self.buf.get_mut(from..from + n).unwrap_or_default()
    }

    /// An option: code, length, value, zeros up to a multiple of four.
    pub(crate) fn option(&mut self, code: u16, value: &[u8]) -> &mut Self {
        self.u16(code).u16(value.len() as u16).bytes(value).zeros(value.len().next_multiple_of(4) - value.len())
    }

    /// Where the next field goes.
    pub(crate) fn end(&self) -> usize {
        debug_assert!(self.at <= self.buf.len(), "the caller reserved too little");
        self.at
    }
}
