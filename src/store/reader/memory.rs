//! A run of blocks in memory, read as a segment is. Called by the recorder's own queries: what it holds was written by this
//! process, so nothing is summed again. Memory can take a block's bytes back while readers know of it: from then on they have it from its
//! file, so that no reader, however slow, keeps memory from newer packets. Held by `a_block_whose_memory_went_is_read_from_its_file`.

use super::packet::{Block, BlockBytes};
use super::{Bytes, ReadError, SegmentReader};
use crate::store::format::{Damage, Frame, SegmentHeader};
use crate::store::scan::BlockRef;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

type Shared = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A whole block, head and trailer included, as the disk has it.
#[derive(Clone)]
pub struct MemoryBlock {
    pub(super) at: BlockRef,
    lies: Arc<RwLock<Lies>>,
}

/// Where the bytes of a block are.
struct Lies {
    /// `None`: memory has taken them back.
    bytes: Option<Shared>,
    /// `None`: nowhere else, or the segment has been deleted.
    file: Option<Arc<File>>,
}

/// Bytes of a block, which stay as long as this does.
pub struct Pinned {
    bytes: Shared,
    len: usize,
}

impl Deref for Pinned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all: &[u8] = (*self.bytes).as_ref();
        all.get(..self.len).unwrap_or_default()
    }
}

impl MemoryBlock {
    /// From its bytes; more than the block's length may be given.
    pub fn new(bytes: Shared) -> Result<MemoryBlock, Damage> {
        let all: &[u8] = (*bytes).as_ref();
        let frame = Frame::decode_head(all)?;
        let trailer = all.get(frame.trailer_at..frame.len).ok_or(Damage::Short)?;
        let (totals, _) = frame.decode_trailer(trailer)?;
        let at = BlockRef { offset: frame.name.offset, len: frame.len, trailer_at: frame.trailer_at, totals };
        Ok(MemoryBlock { at, lies: Arc::new(RwLock::new(Lies { bytes: Some(bytes), file: None })) })
    }

    /// The same, which can be read from this segment's file as well.
    pub fn also_in(self, file: Arc<File>) -> MemoryBlock {
        self.write().file = Some(file);
        self
    }

    /// Its place, times and counts.
    pub fn about(&self) -> &BlockRef {
        &self.at
    }

    /// Takes its bytes back. Who reads them at this moment keeps them until he has; others have them from the file, if there is one still.
    pub fn let_go(&self) {
        self.write().bytes = None;
    }

    /// Whether the segment that it lies in has been deleted, while its file is open here: its place on the disk is taken as long as that is so.
    pub fn is_deleted(&self) -> bool {
        let file = self.read().file.clone();
        file.is_some_and(|file| file.metadata().is_ok_and(|m| m.nlink() == 0))
    }

    /// Closes the file. Who has not read it by the time that memory takes it back finds it expired, as in any segment that is deleted.
    pub fn close(&self) {
        self.write().file = None;
    }

    /// Its bytes; `None`: memory has taken them back.
    pub fn pin(&self) -> Option<Pinned> {
        let bytes = self.read().bytes.clone()?;
        Some(Pinned { bytes, len: self.at.len })
    }

    fn read(&self) -> RwLockReadGuard<'_, Lies> {
        self.lies.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Lies> {
        self.lies.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SegmentReader {
    /// Blocks of one segment in memory, in the order of their offsets. Nothing is copied.
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

    /// A whole block of a reader of memory, for more than one packet of it; `None`: the reader is none.
    pub fn memory_block(&self, block: &BlockRef) -> Option<Result<Block<'_>, ReadError>> {
        matches!(self.bytes, Bytes::Memory(_)).then(|| self.block(block))
    }

    /// Whether memory has taken this block back: to read it takes a file.
    pub fn is_gone(&self, block: &BlockRef) -> bool {
        self.held(block).is_some_and(|held| held.pin().is_none())
    }

    pub(super) fn held(&self, block: &BlockRef) -> Option<&MemoryBlock> {
        let Bytes::Memory(all) = &self.bytes else { return None };
        let at = all.partition_point(|b| b.at.offset < block.offset);
        all.get(at).filter(|b| b.at == *block)
    }

    /// A block of memory, as it is or as its file has it; the flag says whether it must be summed.
    pub(super) fn of_memory(&self, block: &BlockRef) -> Result<(BlockBytes<'_>, bool), ReadError> {
        let held = self.held(block).ok_or_else(|| self.damaged(block.offset, Damage::Short))?;
        if let Some(pinned) = held.pin() {
            return Ok((BlockBytes::Pinned(pinned), false));
        }
        let file = held.read().file.clone();
        let file = file.ok_or_else(|| self.io(io::ErrorKind::NotFound.into()))?;
        Ok((BlockBytes::Owned(self.read_direct(&file, block)?.to_vec()), true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Of a store that another version of the program made: a segment with its blocks.
    fn segment() -> (SegmentReader, Vec<u8>) {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2/all");
        let path =
            std::fs::read_dir(golden).unwrap().map(|f| f.unwrap().path()).find(|p| p.extension().unwrap() == "pcapng");
        let path = path.unwrap();
        (SegmentReader::open(&path).unwrap(), std::fs::read(&path).unwrap())
    }

    #[test]
    fn a_block_whose_memory_went_is_read_from_its_file() {
        let (sealed, bytes) = segment();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let file = Arc::new(file.reopen().unwrap());
        let of = |b: &BlockRef| MemoryBlock::new(Arc::new(bytes[b.offset as usize..][..b.len].to_vec())).unwrap();
        let blocks: Vec<MemoryBlock> = sealed.blocks().iter().map(|b| of(b).also_in(file.clone())).collect();
        let memory = SegmentReader::in_memory(sealed.shared_header(), blocks.clone());
        let packets = |r: &SegmentReader| -> Vec<_> {
            r.blocks()
                .iter()
                .flat_map(|b| r.block(b).unwrap().found().map(|p| p.unwrap().into_owned()).collect::<Vec<_>>())
                .collect()
        };
        let all = packets(&sealed);
        assert!(!all.is_empty() && packets(&memory) == all);
        let first = memory.block(&memory.blocks()[0]).unwrap();
        blocks.iter().for_each(MemoryBlock::let_go);
        assert!(memory.blocks().iter().all(|b| memory.is_gone(b)));
        assert!(first.found().next().unwrap().unwrap() == all[0], "who reads it keeps it");
        assert!(packets(&memory) == all, "and the others have it from its file");
        assert!(all.iter().all(|p| memory.packet_at(p.offset).unwrap() == *p));
        assert!(memory.blocks().iter().all(|b| memory.salvage(b).len() as u32 == b.totals.packets));
    }

    /// A deleted segment takes no place on the disk because memory has its file open; who comes too late is told that it has expired.
    #[test]
    fn a_deleted_segment_is_let_go() {
        let (sealed, bytes) = segment();
        let b = sealed.blocks()[0];
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let block = MemoryBlock::new(Arc::new(bytes[b.offset as usize..][..b.len].to_vec())).unwrap();
        let block = block.also_in(Arc::new(file.reopen().unwrap()));
        let memory = SegmentReader::in_memory(sealed.shared_header(), vec![block.clone()]);
        assert!(!block.is_deleted());
        file.close().unwrap();
        assert!(block.is_deleted());
        block.let_go();
        block.close();
        assert!(!block.is_deleted());
        assert!(
            matches!(memory.block(&b), Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound)
        );
    }

    /// The bytes of a file that is not what memory had are not believed.
    #[test]
    fn a_file_that_changed_is_damage() {
        let (sealed, bytes) = segment();
        let b = sealed.blocks()[0];
        let mut wrong = bytes.clone();
        wrong[b.offset as usize + b.trailer_at - 1] ^= 1;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&wrong).unwrap();
        let block = MemoryBlock::new(Arc::new(bytes[b.offset as usize..][..b.len].to_vec())).unwrap();
        let block = block.also_in(Arc::new(file.reopen().unwrap()));
        let memory = SegmentReader::in_memory(sealed.shared_header(), vec![block.clone()]);
        block.let_go();
        assert!(memory.block(&b).is_err());
    }
}
