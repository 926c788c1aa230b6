//! Blocks in memory, read as a segment is. Called by the recorder's own queries: what memory holds was written by capture, so nothing is summed again.
//! Capture takes chunks back whatever readers know of them: a block is pinned only while it is looked at, and who comes later has it from
//! its segment's file. So no reader, however slow, keeps memory from newer packets. Held by `a_block_whose_memory_went_is_read_from_its_file`.

use super::packet::{Block, BlockBytes};
use super::segment_file::SegmentFile;
use super::{Bytes, ReadError, SegmentReader};
use crate::store::format::{BlockTotals, Damage, SegmentHeader};
use crate::store::scan::BlockRef;
use crate::window::BlockEntry;
use crate::window::arena::{ArenaView, ChunkPin};
use std::io;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

/// A whole block, head and trailer included, as the disk has it.
#[derive(Clone)]
pub struct MemoryBlock {
    pub(super) at: BlockRef,
    arena: Arc<ArenaView>,
    chunk: u32,
    generation: u64,
    /// The how manieth of its chunk.
    number: u32,
}

/// Bytes of a block, which stay as long as this does.
pub struct Pinned {
    chunk: ChunkPin,
    number: u32,
    len: usize,
}

impl Deref for Pinned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.chunk.block(self.number as usize).and_then(|all| all.get(..self.len)).unwrap_or_default()
    }
}

impl MemoryBlock {
    /// The `number`th block of a chunk in this generation; `at`: what the chunk's head says of it.
    pub fn new(at: BlockRef, arena: &Arc<ArenaView>, (chunk, generation, number): (u32, u64, u32)) -> MemoryBlock {
        MemoryBlock { at, arena: arena.clone(), chunk, generation, number }
    }

    /// Its place, times and counts.
    pub fn about(&self) -> &BlockRef {
        &self.at
    }

    /// The chunk that it lies in.
    pub fn chunk(&self) -> u32 {
        self.chunk
    }

    /// Its bytes; `None`: capture has taken its chunk back.
    pub fn pin(&self) -> Option<Pinned> {
        let chunk = self.arena.pin(self.chunk, self.generation)?;
        Some(Pinned { chunk, number: self.number, len: self.at.len })
    }
}

impl BlockRef {
    /// As the head of a chunk has it. `None`: no block can be so.
    pub fn of_entry(e: &BlockEntry) -> Option<BlockRef> {
        let (len, trailer_at) = (e.len as usize, e.trailer_at as usize);
        let totals = BlockTotals {
            packets: e.packets,
            runs: e.runs,
            first: e.first,
            last: e.last,
            wire_bytes: e.wire_bytes,
            data_bytes: e.data_bytes,
            stalled: e.stalled,
        };
        (trailer_at < len).then_some(BlockRef { offset: e.offset, len, trailer_at, totals })
    }

    /// For the head of a chunk; where it lies there is not said yet.
    pub fn to_entry(&self, segment: u64, class: u8) -> BlockEntry {
        let BlockTotals { packets, runs, first, last, wire_bytes, data_bytes, stalled } = self.totals;
        BlockEntry {
            segment,
            offset: self.offset,
            len: self.len as u32,
            trailer_at: self.trailer_at as u32,
            class: class.into(),
            packets,
            runs,
            first,
            last,
            wire_bytes,
            data_bytes,
            stalled,
            ..BlockEntry::default()
        }
    }
}

impl SegmentReader {
    /// Blocks of one segment in memory, in the order of their offsets. Nothing is copied. `file`: where they are when memory has taken them back.
    pub fn in_memory(
        header: Arc<SegmentHeader>,
        blocks: Vec<MemoryBlock>,
        file: Option<Arc<SegmentFile>>,
    ) -> SegmentReader {
        let refs: Vec<BlockRef> = blocks.iter().map(|b| b.at).collect();
        SegmentReader {
            path: PathBuf::from(format!("segment {} in memory", header.number)),
            header_len: 0,
            header,
            end: refs.last().map_or(0, |b| b.offset + b.len as u64),
            blocks: refs,
            bytes: Bytes::Memory(blocks, file),
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
        matches!(self.bytes, Bytes::Memory(..)).then(|| self.block(block))
    }

    /// Whether memory has taken this block back: to read it takes a file.
    pub fn is_gone(&self, block: &BlockRef) -> bool {
        self.held(block).is_some_and(|held| held.pin().is_none())
    }

    fn held(&self, block: &BlockRef) -> Option<&MemoryBlock> {
        let Bytes::Memory(all, _) = &self.bytes else { return None };
        let at = all.partition_point(|b| b.at.offset < block.offset);
        all.get(at).filter(|b| b.at == *block)
    }

    /// A block of memory, as it is or as its file has it; the flag says whether it must be summed.
    pub(super) fn of_memory(&self, block: &BlockRef) -> Result<(BlockBytes<'_>, bool), ReadError> {
        let held = self.held(block).ok_or_else(|| self.damaged(block.offset, Damage::Short))?;
        if let Some(pinned) = held.pin() {
            return Ok((BlockBytes::Pinned(pinned), false));
        }
        let Bytes::Memory(_, Some(file)) = &self.bytes else { return Err(self.io(io::ErrorKind::NotFound.into())) };
        let file = file.get().map_err(|e| self.io(e))?;
        Ok((BlockBytes::Owned(self.read_direct(file, block)?.to_vec()), true))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::store::format::Frame;
    use crate::window::PinWords;
    use crate::window::arena::ArenaWriter;

    /// Blocks as a recorder holds them: in shared memory, each in a chunk of its own, which can be taken back.
    pub(crate) struct SharedBlocks {
        arena: ArenaWriter,
        view: Arc<ArenaView>,
        next: usize,
    }

    impl SharedBlocks {
        /// Room for so many.
        pub(crate) fn new(blocks: usize) -> SharedBlocks {
            let mut arena = ArenaWriter::create(blocks).unwrap();
            let pins = PinWords::create(blocks).unwrap();
            let view = ArenaView::open(arena.file().unwrap(), pins.file().unwrap()).unwrap();
            arena.admit(pins);
            SharedBlocks { arena, view, next: 0 }
        }

        /// One more, from its bytes.
        pub(crate) fn put(&mut self, bytes: &[u8]) -> MemoryBlock {
            let (frame, chunk) = (Frame::decode_head(bytes).unwrap(), self.next);
            let (totals, _) = frame.decode_trailer(&bytes[frame.trailer_at..frame.len]).unwrap();
            let at = BlockRef { offset: frame.name.offset, len: frame.len, trailer_at: frame.trailer_at, totals };
            assert!(self.arena.take(chunk, 0, chunk as u64));
            assert!(self.arena.put(chunk, &at.to_entry(frame.name.segment, 0), &bytes[..frame.len], &[]));
            self.next += 1;
            MemoryBlock::new(at, &self.view, (chunk as u32, 1, 0))
        }

        /// Takes back what nobody looks at; how many chunks stay.
        pub(crate) fn take_back(&mut self) -> usize {
            (0..self.next).filter(|&chunk| !self.arena.take(chunk, 0, 0)).count()
        }
    }

    /// Of a store that another version of the program made: a segment with its bytes.
    fn segment() -> (SegmentReader, Vec<u8>) {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2/all");
        let mut files = std::fs::read_dir(golden).unwrap().map(|f| f.unwrap().path());
        let path = files.find(|p| p.extension().unwrap() == "pcapng").unwrap();
        (SegmentReader::open(&path).unwrap(), std::fs::read(&path).unwrap())
    }

    /// The same in memory, and its file where a segment is while it is written.
    fn in_memory(sealed: &SegmentReader, bytes: &[u8], store: &std::path::Path) -> (SegmentReader, SharedBlocks) {
        std::fs::create_dir(store.join("open")).unwrap();
        std::fs::write(store.join(format!("open/{}.open", sealed.header().number)), bytes).unwrap();
        let mut shared = SharedBlocks::new(sealed.blocks().len());
        let blocks = sealed.blocks().iter().map(|b| shared.put(&bytes[b.offset as usize..])).collect();
        let file = Arc::new(SegmentFile::new(store, sealed.header()));
        (SegmentReader::in_memory(sealed.shared_header(), blocks, Some(file)), shared)
    }

    fn packets(r: &SegmentReader) -> Vec<super::super::FoundPacket<'static>> {
        let of = |b| r.block(b).unwrap().found().map(|p| p.unwrap().into_owned()).collect::<Vec<_>>();
        r.blocks().iter().flat_map(of).collect()
    }

    #[test]
    fn a_block_whose_memory_went_is_read_from_its_file() {
        let ((sealed, bytes), dir) = (segment(), tempfile::tempdir().unwrap());
        let all = packets(&sealed);
        // Where it was written, and, for the second, where it is sealed.
        for moves in [false, true] {
            let store = dir.path().join(moves.to_string());
            std::fs::create_dir(&store).unwrap();
            let (memory, mut shared) = in_memory(&sealed, &bytes, &store);
            assert!(!all.is_empty() && packets(&memory) == all);
            let first = memory.block(&memory.blocks()[0]).unwrap();
            assert_eq!(shared.take_back(), 1, "who reads it keeps it");
            assert!(first.found().next().unwrap().unwrap() == all[0]);
            drop(first);
            assert_eq!(shared.take_back(), 0);
            assert!(memory.blocks().iter().all(|b| memory.is_gone(b)));
            if moves {
                let class = store.join(&sealed.header().class);
                std::fs::create_dir(&class).unwrap();
                let open = store.join(format!("open/{}.open", sealed.header().number));
                std::fs::rename(open, class.join(sealed.path().file_name().unwrap())).unwrap();
            }
            assert!(packets(&memory) == all, "it is in its file");
            assert!(all.iter().all(|p| memory.packet_at(p.offset).unwrap() == *p));
            assert!(memory.blocks().iter().all(|b| memory.salvage(b).len() as u32 == b.totals.packets));
        }
    }

    /// Whoever comes too late for a segment that is deleted is told that it has expired.
    #[test]
    fn a_deleted_segment_has_expired() {
        let ((sealed, bytes), dir) = (segment(), tempfile::tempdir().unwrap());
        let (memory, mut shared) = in_memory(&sealed, &bytes, dir.path());
        std::fs::remove_dir_all(dir.path().join("open")).unwrap();
        assert_eq!(packets(&memory), packets(&sealed));
        shared.take_back();
        let read = memory.block(&memory.blocks()[0]);
        assert!(matches!(read, Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound));
    }

    /// The bytes of a file that is not what memory had are not believed.
    #[test]
    fn a_file_that_changed_is_damage() {
        let ((sealed, mut bytes), dir) = (segment(), tempfile::tempdir().unwrap());
        let b = sealed.blocks()[0];
        let (memory, mut shared) = in_memory(&sealed, &bytes, dir.path());
        bytes[b.offset as usize + b.trailer_at - 1] ^= 1;
        std::fs::write(dir.path().join(format!("open/{}.open", sealed.header().number)), bytes).unwrap();
        assert!(memory.block(&b).is_ok());
        shared.take_back();
        assert!(memory.block(&b).is_err());
    }
}
