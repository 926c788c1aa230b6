//! Reading a segment. Called by queries, the indexer, `verify` and `info`; takes no lock and trusts no byte: a packet is given
//! out only after the checksum of the stripes that it lies in. A sealed segment is mapped where all of it is read, and where its index
//! says what is needed that is read past the page cache (`fetch`); an unsealed one is read past it too, up to what its recorder has published, or, when the recorder is dead, to what holds; of one that this process
//! records the latest blocks are read where they lie in memory.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod digest;
mod fetch;
mod memory;
mod packet;
mod salvage;
mod segment_file;
mod table;

pub use digest::SegmentDigest;
#[cfg(test)]
pub(crate) use memory::tests::SharedBlocks;
pub use memory::{MemoryBlock, Pinned};
use packet::BlockBytes;
pub use packet::{Block, FoundPacket};
pub use segment_file::SegmentFile;
pub use table::BlockTable;
use table::Sums;

use super::disk::buffers::Aligned;
use super::disk::files;
use super::disk::mmap::Mapped;
use super::format::{self, Damage, Frame, SegmentHeader, StoredPacket};
use super::layout;
use super::scan::{self, Bad, BlockRef, Depth};
use crate::limits::STRIPE_BYTES;
use crate::source::Interface;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Why a segment, or a part of it, can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused something.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes that are not what they should be. The rest of the segment is readable.
    #[error("{path}, offset {offset}: {why}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        why: Damage,
    },
}

enum Bytes {
    Mapped(Mapped),
    /// The file of a sealed segment of which an index knows the sums of its pieces.
    Sparse(File),
    /// The file, and the block that was read last with its offset, whole and checked.
    Direct(File, Mutex<Option<(u64, Aligned)>>),
    /// Blocks in the recorder's memory, as many as there are `blocks`, which are not summed again there; and where they are when they are gone.
    Memory(Vec<MemoryBlock>, Option<Arc<SegmentFile>>),
}

/// An open segment.
pub struct SegmentReader {
    path: PathBuf,
    header: Arc<SegmentHeader>,
    header_len: u64,
    bytes: Bytes,
    blocks: Vec<BlockRef>,
    bad: Vec<Bad>,
    /// How far the file has been looked at.
    end: u64,
    /// Of a mapped file: which stripes have been checked, a bit each, for each block.
    checked: Vec<std::sync::atomic::AtomicU32>,
    /// Where an index has told them.
    sums: Option<Sums>,
}

impl SegmentReader {
    /// Opens a sealed segment.
    pub fn open(path: &Path) -> Result<SegmentReader, ReadError> {
        let io = |source| ReadError::Io { path: path.to_owned(), source };
        let damaged = |offset, why| ReadError::Damaged { path: path.to_owned(), offset, why };
        let file = File::open(path).map_err(io)?;
        let map = Mapped::map(&file).map_err(io)?;
        let (header, header_len) = SegmentHeader::decode(&map).map_err(|why| damaged(0, why))?;
        let len = map.len() as u64;
        let mut reader = SegmentReader {
            path: path.to_owned(),
            header_len: header_len as u64,
            header: Arc::new(header),
            bytes: Bytes::Mapped(map),
            blocks: Vec::new(),
            bad: Vec::new(),
            end: header_len as u64,
            checked: Vec::new(),
            sums: None,
        };
        reader.look_to(&file, len, Depth::Frames).map_err(io)?;
        Ok(reader)
    }

    /// Opens an unsealed segment. `durable`: how far a live recorder has published it; `None`: no recorder lives, and all
    /// that holds counts. `Ok(None)`: nothing has been written to it yet.
    pub fn open_unsealed(path: &Path, durable: Option<u64>) -> Result<Option<SegmentReader>, ReadError> {
        let io = |source| ReadError::Io { path: path.to_owned(), source };
        let file = files::read_direct(path).map_err(io)?;
        let limit = file.metadata().map_err(io)?.len();
        let mut buf = Aligned::new(format::HEADER_BYTES_MAX).map_err(io)?;
        let (header, header_len) = match scan::read_header(&file, &mut buf, limit).map_err(io)? {
            Ok(found) => found,
            Err(Damage::NoHeader | Damage::Short) => return Ok(None),
            Err(why) => return Err(ReadError::Damaged { path: path.to_owned(), offset: 0, why }),
        };
        let mut reader = SegmentReader {
            path: path.to_owned(),
            header_len: header_len as u64,
            header: Arc::new(header),
            bytes: Bytes::Direct(file, Mutex::new(None)),
            blocks: Vec::new(),
            bad: Vec::new(),
            end: header_len as u64,
            checked: Vec::new(),
            sums: None,
        };
        reader.refresh(durable)?;
        Ok(Some(reader))
    }

    /// Only the header of a segment, sealed or not.
    pub fn header_of(path: &Path) -> Result<SegmentHeader, ReadError> {
        let io = |source| ReadError::Io { path: path.to_owned(), source };
        let file = files::read_direct(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let mut buf = Aligned::new(format::HEADER_BYTES_MAX).map_err(io)?;
        let read = scan::read_header(&file, &mut buf, len).map_err(io)?;
        read.map(|(header, _)| header).map_err(|why| ReadError::Damaged { path: path.to_owned(), offset: 0, why })
    }

    /// Opens a part of an unsealed segment whose header is known: `part` begins and ends with a block.
    pub fn open_part(
        path: &Path,
        header: Arc<SegmentHeader>,
        part: std::ops::Range<u64>,
    ) -> Result<SegmentReader, ReadError> {
        let io = |source| ReadError::Io { path: path.to_owned(), source };
        let file = files::read_direct(path).map_err(io)?;
        let again = file.try_clone().map_err(io)?;
        let mut reader = SegmentReader {
            path: path.to_owned(),
            header_len: format::header_bytes(&header.interfaces) as u64,
            header,
            bytes: Bytes::Direct(file, Mutex::new(None)),
            blocks: Vec::new(),
            bad: Vec::new(),
            end: part.start,
            checked: Vec::new(),
            sums: None,
        };
        reader.look_to(&again, part.end, Depth::Whole).map_err(io)?;
        Ok(reader)
    }

    /// Looks for blocks that have been appended to an unsealed segment. `durable` as for
    /// [`open_unsealed`](SegmentReader::open_unsealed). Offsets stay valid, also after sealing.
    pub fn refresh(&mut self, durable: Option<u64>) -> Result<(), ReadError> {
        let io = |source| ReadError::Io { path: self.path.clone(), source };
        let Bytes::Direct(file, _) = &self.bytes else { return Ok(()) };
        let file = file.try_clone().map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let path = self.path.clone();
        self.look_to(&file, durable.unwrap_or(u64::MAX).min(len), Depth::Whole)
            .map_err(|source| ReadError::Io { path, source })
    }

    fn look_to(&mut self, file: &File, limit: u64, depth: Depth) -> io::Result<()> {
        let mut found = scan::Blocks::of(&self.header, self.end);
        // Of a sealed file the reads go to the page cache, which the mapping shares.
        found.look(file, limit, depth)?;
        if matches!(self.bytes, Bytes::Mapped(_)) && found.at > found.end && found.pending.is_some() {
            // A sealed file ends with its last block: what follows is damage too.
            found.bad.extend(found.pending.take());
        }
        self.end = found.end.max(self.end);
        self.checked.extend(found.blocks.iter().map(|_| 0.into()));
        self.blocks.append(&mut found.blocks);
        self.bad.append(&mut found.bad);
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which segment this is.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The same, to keep.
    pub fn shared_header(&self) -> Arc<SegmentHeader> {
        self.header.clone()
    }

    /// The interfaces, all of one link type; a packet's `iface` is an index into them.
    pub fn interfaces(&self) -> &[Interface] {
        &self.header.interfaces
    }

    /// The link type of all packets.
    pub fn link_type(&self) -> u16 {
        self.header.interfaces.first().map_or(0, |i| i.link_type)
    }

    /// Whether the segment is sealed.
    pub fn sealed(&self) -> bool {
        matches!(self.bytes, Bytes::Mapped(_) | Bytes::Sparse(_))
    }

    /// Whether reading a packet again may cost the reading of its block; of one in memory, because memory may take it back meanwhile.
    pub fn costly(&self) -> bool {
        matches!(self.bytes, Bytes::Direct(..) | Bytes::Sparse(_) | Bytes::Memory(..))
    }

    /// Length of the header: where the first block begins.
    pub fn header_len(&self) -> u64 {
        self.header_len
    }

    /// End of the last good block.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Blocks whose head and trailer hold, in the order of their offsets.
    pub fn blocks(&self) -> &[BlockRef] {
        &self.blocks
    }

    /// The block that an offset lies in.
    pub fn block_of(&self, offset: u64) -> Option<&BlockRef> {
        let at = self.blocks.partition_point(|b| b.offset <= offset).checked_sub(1)?;
        self.blocks.get(at).filter(|b| offset < b.offset + b.len as u64)
    }

    /// Regions that no good block covers.
    pub fn bad(&self) -> &[Bad] {
        &self.bad
    }

    /// Where the index of a sealed segment lies, once it has one.
    pub fn index(&self) -> PathBuf {
        layout::index_of(&self.path)
    }

    fn damaged(&self, offset: u64, why: Damage) -> ReadError {
        ReadError::Damaged { path: self.path.clone(), offset, why }
    }

    /// A whole block, checked.
    pub fn block(&self, block: &BlockRef) -> Result<Block<'_>, ReadError> {
        let bytes = match &self.bytes {
            Bytes::Mapped(map) => {
                let at = block.offset as usize;
                let bytes = map.get(at..at + block.len).ok_or_else(|| self.damaged(block.offset, Damage::Short))?;
                BlockBytes::Borrowed(bytes)
            }
            Bytes::Direct(file, _) => BlockBytes::Owned(self.read_direct(file, block)?.to_vec()),
            Bytes::Sparse(_) => {
                let mut buf = Aligned::new(block.len).map_err(|source| self.io(source))?;
                self.fetch(block, u64::MAX, &mut buf)?;
                return Ok(Block { reader: self, block: *block, bytes: BlockBytes::Owned(buf.to_vec()) });
            }
            Bytes::Memory(..) => match self.of_memory(block)? {
                (bytes, false) => return Ok(Block { reader: self, block: *block, bytes }),
                (bytes, true) => bytes,
            },
        };
        let at = self.blocks.partition_point(|b| b.offset < block.offset);
        let frame = Frame::decode_head(&bytes).map_err(|why| self.damaged(block.offset, why))?;
        let h = &self.header;
        frame
            .expect(&h.store, h.number, h.generation, block.offset)
            .and_then(|()| frame.verify(&bytes))
            .map_err(|why| self.damaged(block.offset, why))?;
        if frame.trailer_at != block.trailer_at {
            return Err(self.damaged(block.offset, Damage::Structure("the block")));
        }
        if let Some(done) = self.checked.get(at) {
            done.fetch_or(u32::MAX, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(Block { reader: self, block: *block, bytes })
    }

    fn read_direct(&self, file: &File, block: &BlockRef) -> Result<Aligned, ReadError> {
        let io = |source| self.io(source);
        let mut buf = Aligned::new(block.len).map_err(io)?;
        scan::read_at(file, &mut buf, block.offset).map_err(io)?;
        Ok(buf)
    }

    fn io(&self, source: io::Error) -> ReadError {
        ReadError::Io { path: self.path.clone(), source }
    }

    /// The packet whose EPB begins at `offset` of the file, as an index names it. Only the stripes that it lies in are read
    /// and checked, each once.
    pub fn packet_at(&self, offset: u64) -> Result<FoundPacket<'_>, ReadError> {
        let at = self.blocks.partition_point(|b| b.offset <= offset).checked_sub(1);
        let (index, block) = at
            .and_then(|i| Some((i, self.blocks.get(i)?)))
            .filter(|(_, b)| offset < b.offset + b.trailer_at as u64)
            .ok_or_else(|| self.damaged(offset, Damage::Structure("the index")))?;
        let inner = (offset - block.offset) as usize;
        match &self.bytes {
            Bytes::Mapped(map) => {
                let start = block.offset as usize;
                let bytes = map.get(start..start + block.len).ok_or_else(|| self.damaged(offset, Damage::Short))?;
                let len = format::u32_at(bytes, inner + 4).unwrap_or(0) as usize;
                let last = inner.saturating_add(len.clamp(1, format::EPB_BYTES_MAX)).min(block.trailer_at) - 1;
                self.check_stripes(index, block, bytes, inner / STRIPE_BYTES, last / STRIPE_BYTES)?;
                self.packet_in(bytes, block, offset)
            }
            Bytes::Sparse(_) => {
                let mut buf = Aligned::new(block.len).map_err(|source| self.io(source))?;
                self.fetch_at(block, &[offset], &mut buf)?;
                self.packet_in(&buf, block, offset).map(FoundPacket::into_owned)
            }
            Bytes::Memory(..) => self.block(block)?.packet(offset).map(FoundPacket::into_owned),
            Bytes::Direct(file, cache) => {
                let mut cache = cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if cache.as_ref().is_none_or(|(at, _)| *at != block.offset) {
                    let buf = self.read_direct(file, block)?;
                    let checked = Frame::decode_head(&buf).and_then(|f| f.verify(&buf));
                    checked.map_err(|why| self.damaged(block.offset, why))?;
                    *cache = Some((block.offset, buf));
                }
                let bytes = cache.as_ref().map(|(_, b)| &**b).unwrap_or_default();
                self.packet_in(bytes, block, offset).map(FoundPacket::into_owned)
            }
        }
    }

    /// The packet at `offset` of the file in the bytes of its block, which have been checked.
    pub fn packet_in<'a>(&self, bytes: &'a [u8], block: &BlockRef, offset: u64) -> Result<FoundPacket<'a>, ReadError> {
        let contents = bytes.get(..block.trailer_at).unwrap_or_default();
        let inner = (offset - block.offset) as usize;
        let (p, _) = format::packet_at(contents, inner).map_err(|why| self.damaged(offset, why))?;
        let p = self.checked_packet(StoredPacket { offset, ..p })?;
        Ok(FoundPacket::from(p))
    }

    /// A packet's interface must be one of the segment's.
    fn checked_packet<'a>(&self, p: StoredPacket<'a>) -> Result<StoredPacket<'a>, ReadError> {
        if (p.iface as usize) < self.header.interfaces.len() {
            return Ok(p);
        }
        Err(self.damaged(p.offset, Damage::Structure("a packet block")))
    }

    fn check_stripes(
        &self,
        index: usize,
        block: &BlockRef,
        bytes: &[u8],
        from: usize,
        to: usize,
    ) -> Result<(), ReadError> {
        use std::sync::atomic::Ordering::Relaxed;
        let Some(done) = self.checked.get(index) else { return Err(self.damaged(block.offset, Damage::Short)) };
        let wanted = (from..=to).fold(0u32, |bits, i| bits | 1 << i.min(31));
        if done.load(Relaxed) & wanted == wanted {
            return Ok(());
        }
        let frame = Frame::decode_head(bytes).map_err(|why| self.damaged(block.offset, why))?;
        let trailer = bytes.get(frame.trailer_at..).unwrap_or_default();
        let (_, stripes) = frame.decode_trailer(trailer).map_err(|why| self.damaged(block.offset, why))?;
        for i in from..=to {
            let (start, end) = stripes.range(i);
            let stripe = bytes.get(start..end).unwrap_or_default();
            stripes.check(i, stripe).map_err(|why| self.damaged(block.offset + start as u64, why))?;
        }
        done.fetch_or(wanted, Relaxed);
        Ok(())
    }
}
