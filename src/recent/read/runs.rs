//! The runs: which blocks of which segment are in memory, and which of them share an index. Owns their order, which is that of their
//! coming and of their going, and how they grow together: a block is indexed soon, with the few that came with it; eight neighbours
//! become one, up to a size. So a question looks at few indexes, and a block is indexed few times.

use crate::index::{IndexError, Run};
use crate::limits::{RUN_BYTES, RUN_FAN};
use crate::store::SegmentReader;
use crate::store::format::SegmentHeader;
use crate::store::reader::{MemoryBlock, Pinned, SegmentFile};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// Memory holds at least so many of the largest runs.
const RUNS_MIN: usize = 8;
/// Fresh blocks that are indexed together.
const FRESH_BYTES: usize = 4 << 20;

/// Consecutive blocks of one segment.
struct BlockRun {
    run: Arc<Run>,
    header: Arc<SegmentHeader>,
    blocks: Vec<MemoryBlock>,
    /// The chunks that they lie in.
    chunks: Vec<u32>,
    /// 0: not indexed yet; else how often its blocks were.
    level: u8,
    bytes: usize,
    /// Blocks have come that `run` has not.
    stale: bool,
}

/// Those of a pool, the oldest first.
pub struct Runs {
    store: Arc<PathBuf>,
    all: VecDeque<BlockRun>,
    /// Bytes of indexes.
    indexes: usize,
}

/// Blocks that are to be indexed together.
pub struct Task {
    store: Arc<PathBuf>,
    header: Arc<SegmentHeader>,
    blocks: Vec<MemoryBlock>,
    /// Their bytes, where these are to be read, which stay until it is done.
    _pins: Vec<Pinned>,
    /// The runs that they are in, where all of these have an index.
    runs: Vec<Arc<Run>>,
    level: u8,
}

impl Task {
    /// Makes the run: takes a while, and no lock.
    pub fn make(&self) -> Result<Arc<Run>, IndexError> {
        let reader = reader(&self.store, &self.header, &self.blocks);
        let run = if self.runs.is_empty() { Run::indexed(reader) } else { Run::joined(reader, &self.runs) };
        run.map(Arc::new)
    }
}

/// Each run has a file of its own, which is opened, if ever, for those who read what memory has taken back: it goes with the run.
fn reader(store: &Arc<PathBuf>, header: &Arc<SegmentHeader>, blocks: &[MemoryBlock]) -> SegmentReader {
    let file = Arc::new(SegmentFile::new(store, header));
    SegmentReader::in_memory(header.clone(), blocks.to_vec(), Some(file))
}

fn start(blocks: &[MemoryBlock]) -> u64 {
    blocks.first().map_or(0, |b| b.about().offset)
}

fn end(blocks: &[MemoryBlock]) -> u64 {
    blocks.last().map_or(0, |b| b.about().offset + b.about().len as u64)
}

impl BlockRun {
    fn new(run: Arc<Run>, header: Arc<SegmentHeader>, blocks: Vec<MemoryBlock>, level: u8) -> BlockRun {
        let mut new = BlockRun { run, header, blocks: Vec::new(), chunks: Vec::new(), level, bytes: 0, stale: false };
        blocks.into_iter().for_each(|b| new.push(b));
        new
    }

    fn push(&mut self, block: MemoryBlock) {
        if !self.chunks.contains(&block.chunk()) {
            self.chunks.push(block.chunk());
        }
        self.bytes += block.about().len;
        self.blocks.push(block);
    }

    fn last(&self) -> u64 {
        self.blocks.iter().map(|b| b.about().totals.last).max().unwrap_or(0)
    }
}

impl Runs {
    /// None yet. `store`: where the files of their segments are.
    pub fn new(store: Arc<PathBuf>) -> Runs {
        Runs { store, all: VecDeque::new(), indexes: 0 }
    }

    /// As questions see them.
    pub fn shown(&self) -> impl Iterator<Item = Arc<Run>> + '_ {
        self.all.iter().map(|e| e.run.clone())
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Numbers of their segments, some more than once.
    pub fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.all.iter().map(|e| e.header.number)
    }

    /// A block has come. It is shown when the runs are [renewed](Runs::renew).
    pub fn add(&mut self, header: Arc<SegmentHeader>, block: MemoryBlock) {
        let (number, offset) = (header.number, block.about().offset);
        let tail = self.all.iter_mut().rev().find(|e| e.header.number == number);
        if let Some(tail) = tail.filter(|e| e.level == 0 && end(&e.blocks) == offset) {
            tail.push(block);
            tail.stale = true;
            return;
        }
        let blocks = vec![block];
        let run = unindexed(&self.store, &header, &blocks);
        self.all.push_back(BlockRun::new(run, header, blocks, 0));
    }

    /// All blocks that have come are shown.
    pub fn renew(&mut self) {
        for e in self.all.iter_mut().filter(|e| e.stale) {
            e.run = unindexed(&self.store, &e.header, &e.blocks);
            e.stale = false;
        }
    }

    /// Lets go of runs whose blocks are not all here any more, since capture has taken these chunks. Class and latest packet of each. Who reads them
    /// has the rest from the file.
    pub fn drop_chunks(&mut self, chunks: &[u32]) -> Vec<(String, u64)> {
        let mut went = Vec::new();
        let indexes = &mut self.indexes;
        self.all.retain(|e| {
            let stays = !e.chunks.iter().any(|c| chunks.contains(c));
            if !stays {
                *indexes -= e.run.index_bytes();
                went.push((e.header.class.clone(), e.last()));
            }
            stays
        });
        went
    }

    /// Lets the oldest go: its class, and the time of its latest packet.
    fn evict(&mut self) -> Option<(String, u64)> {
        let gone = self.all.pop_front()?;
        self.indexes -= gone.run.index_bytes();
        Some((gone.header.class.clone(), gone.last()))
    }

    /// Blocks that have no index yet; `pool`: bytes that there are of blocks.
    pub fn fresh(&self, pool: usize) -> Option<Task> {
        let most = largest(pool).min(FRESH_BYTES);
        self.all.iter().filter(|e| e.level == 0 && !e.stale).find_map(|e| {
            let mut bytes = 0;
            let fits = |b: &&MemoryBlock| {
                bytes += b.about().len;
                bytes == b.about().len || bytes <= most
            };
            let blocks: Vec<MemoryBlock> = e.blocks.iter().take_while(fits).cloned().collect();
            // Of what is gone an index helps nobody.
            let pins: Option<Vec<Pinned>> = blocks.iter().map(MemoryBlock::pin).collect();
            let (store, header) = (self.store.clone(), e.header.clone());
            Some(Task { store, header, blocks, _pins: pins?, runs: Vec::new(), level: 1 })
        })
    }

    /// Neighbours that are to become one; `pool`: bytes that there are of blocks.
    pub fn neighbours(&self, pool: usize) -> Option<Task> {
        let mut seen: Vec<u64> = Vec::new();
        for first in &self.all {
            if seen.contains(&first.header.number) {
                continue;
            }
            seen.push(first.header.number);
            let of: Vec<&BlockRun> = self.all.iter().filter(|e| e.header.number == first.header.number).collect();
            for some in of.windows(RUN_FAN) {
                let level = some.first().map_or(0, |e| e.level);
                let alike = some.iter().all(|e| e.level == level) && level > 0;
                let joined = some.windows(2).all(|w| matches!(w, [a, b] if end(&a.blocks) == start(&b.blocks)));
                if alike && joined && some.iter().map(|e| e.bytes).sum::<usize>() <= largest(pool) {
                    let blocks: Vec<MemoryBlock> = some.iter().flat_map(|e| e.blocks.iter().cloned()).collect();
                    // Made of their indexes: no block is read.
                    let runs = some.iter().map(|e| e.run.clone()).collect();
                    let (store, header) = (self.store.clone(), first.header.clone());
                    return Some(Task { store, header, blocks, _pins: Vec::new(), runs, level: level + 1 });
                }
            }
        }
        None
    }

    /// Puts a run in the place of what it was made of; nowhere, if some of that has gone meanwhile. `most`: bytes of indexes that there may be. What
    /// went because they are more: class and time of the latest packet of each run.
    pub fn replace(&mut self, task: &Task, run: Arc<Run>, most: usize) -> Vec<(String, u64)> {
        let (from, to) = (start(&task.blocks), end(&task.blocks));
        let inside = |e: &BlockRun| e.header.number == task.header.number && (from..to).contains(&start(&e.blocks));
        let have: usize = self.all.iter().filter(|e| inside(e)).map(|e| e.blocks.len()).sum();
        let Some(at) = self.all.iter().position(inside).filter(|_| have >= task.blocks.len()) else {
            return Vec::new();
        };
        // Blocks that came to the last one since.
        let mut rest = Vec::new();
        let mut less = 0;
        self.all.retain(|e| {
            if inside(e) {
                rest.extend(e.blocks.iter().filter(|b| b.about().offset >= to).cloned());
                less += e.run.index_bytes();
            }
            !inside(e)
        });
        self.indexes = self.indexes - less + run.index_bytes();
        let header = task.header.clone();
        let entry = BlockRun::new(run, header.clone(), task.blocks.clone(), task.level);
        self.all.insert(at.min(self.all.len()), entry);
        if !rest.is_empty() {
            let run = unindexed(&self.store, &header, &rest);
            self.all.insert((at + 1).min(self.all.len()), BlockRun::new(run, header, rest, 0));
        }
        let mut went = Vec::new();
        while self.indexes > most && self.all.len() > 1 {
            went.extend(self.evict());
        }
        went
    }
}

/// Bytes of blocks that one index may be of.
fn largest(pool: usize) -> usize {
    (pool / RUNS_MIN).min(RUN_BYTES)
}

fn unindexed(store: &Arc<PathBuf>, header: &Arc<SegmentHeader>, blocks: &[MemoryBlock]) -> Arc<Run> {
    Arc::new(Run::new(reader(store, header, blocks)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::reader::SharedBlocks;

    /// Of a store that another version of the program made: the first block of a segment, as of this segment.
    fn block(number: u64, shared: &mut SharedBlocks) -> (Arc<SegmentHeader>, MemoryBlock) {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2/all");
        let mut files = std::fs::read_dir(golden).unwrap().map(|f| f.unwrap().path());
        let path = files.find(|p| p.extension().is_some_and(|e| e == "pcapng")).unwrap();
        let (reader, bytes) = (SegmentReader::open(&path).unwrap(), std::fs::read(&path).unwrap());
        let block = shared.put(&bytes[reader.blocks()[0].offset as usize..]);
        (Arc::new(SegmentHeader { number, ..reader.header().clone() }), block)
    }

    /// Whatever is shown no more is told: an answer from memory says how far memory reaches.
    #[test]
    fn what_goes_is_told() {
        let (mut runs, mut shared) = (Runs::new(Arc::default()), SharedBlocks::new(2));
        let ((first, a), (second, b)) = (block(1, &mut shared), block(2, &mut shared));
        runs.add(first.clone(), a.clone());
        runs.add(second, b.clone());
        let task = runs.fresh(1 << 30).unwrap();
        assert_eq!(shared.take_back(), 1, "what is being indexed stays");
        assert!(a.pin().is_some() && b.pin().is_none());
        let told = (first.class.clone(), a.about().totals.last);
        assert_eq!(
            runs.replace(&task, task.make().unwrap(), 1),
            std::slice::from_ref(&told),
            "for the sake of indexes"
        );
        assert!(runs.fresh(1 << 30).is_none(), "what is gone is not indexed");
        assert_eq!(runs.drop_chunks(&[a.chunk()]), []);
        assert_eq!(runs.drop_chunks(&[b.chunk()]), [told], "with its chunk");
        assert_eq!((runs.count(), runs.indexes), (0, 0));
    }
}
