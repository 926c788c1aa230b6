//! The runs: which blocks of which segment are in memory, and which of them share an index. Owns their order, which is that of their
//! coming and of their going, and how they grow together: a block is indexed soon, with the few that came with it; eight neighbours
//! become one, up to a size. So a question looks at few indexes, and a block is indexed few times.

use super::pools::Held;
use crate::index::{IndexError, Run};
use crate::limits::{RUN_BYTES, RUN_FAN};
use crate::store::SegmentReader;
use crate::store::format::SegmentHeader;
use crate::store::reader::{MemoryBlock, Pinned};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Memory holds at least so many of the largest runs.
const RUNS_MIN: usize = 8;
/// Fresh blocks that are indexed together.
const FRESH_BYTES: usize = 4 << 20;

/// Consecutive blocks of one segment.
struct Entry {
    run: Arc<Run>,
    header: Arc<SegmentHeader>,
    blocks: Vec<MemoryBlock>,
    /// 0: not indexed yet; else how often its blocks were.
    level: u8,
    bytes: usize,
}

/// Those of a pool, the oldest first.
pub struct Runs {
    all: VecDeque<Entry>,
    /// Bytes of indexes, and how many there may be.
    indexes: usize,
    most: usize,
    /// Bytes of blocks that one index may be of: while it is made they can't go.
    run_bytes: usize,
}

/// Blocks that are to be indexed together.
pub struct Task {
    header: Arc<SegmentHeader>,
    blocks: Vec<MemoryBlock>,
    /// Their bytes, which stay until it is done.
    _pins: Vec<Pinned>,
    /// The runs that they are in, where all of these have an index.
    runs: Vec<Arc<Run>>,
    level: u8,
}

impl Task {
    /// Whose blocks these are.
    pub fn class(&self) -> &str {
        &self.header.class
    }

    /// Makes the run: takes a while, and no lock.
    pub fn make(&self) -> Result<Arc<Run>, IndexError> {
        let reader = SegmentReader::in_memory(self.header.clone(), self.blocks.clone());
        let run = if self.runs.is_empty() { Run::indexed(reader) } else { Run::joined(reader, &self.runs) };
        run.map(Arc::new)
    }
}

fn start(blocks: &[MemoryBlock]) -> u64 {
    blocks.first().map_or(0, |b| b.about().offset)
}

fn end(blocks: &[MemoryBlock]) -> u64 {
    blocks.last().map_or(0, |b| b.about().offset + b.about().len as u64)
}

fn bytes(blocks: &[MemoryBlock]) -> usize {
    blocks.iter().map(|b| b.about().len).sum()
}

impl Runs {
    /// None yet; `blocks`, `most`: bytes that there are for blocks and for their indexes.
    pub fn new(blocks: usize, most: usize) -> Runs {
        Runs { all: VecDeque::new(), indexes: 0, most, run_bytes: (blocks / RUNS_MIN).min(RUN_BYTES) }
    }

    /// As questions see them.
    pub fn shown(&self) -> impl Iterator<Item = Arc<Run>> + '_ {
        self.all.iter().map(|e| e.run.clone())
    }

    /// Adds what is held of each class.
    pub fn held(&self, to: &mut BTreeMap<String, Held>) {
        for e in &self.all {
            let held = to.entry(e.header.class.clone()).or_default();
            held.bytes += e.bytes as u64;
            let with_packets = e.blocks.iter().map(|b| b.about().totals).filter(|t| t.packets > 0);
            if let Some(first) = with_packets.map(|t| t.first).min() {
                held.since = if held.since == 0 { first } else { held.since.min(first) };
            }
        }
    }

    /// A block has come.
    pub fn add(&mut self, header: Arc<SegmentHeader>, block: MemoryBlock) {
        let (number, offset) = (header.number, block.about().offset);
        let tail = self.all.iter_mut().rev().find(|e| e.header.number == number);
        if let Some(tail) = tail.filter(|e| e.level == 0 && end(&e.blocks) == offset) {
            tail.blocks.push(block);
            tail.bytes = bytes(&tail.blocks);
            tail.run = unindexed(header, &tail.blocks);
            return;
        }
        let blocks = vec![block];
        let (run, bytes) = (unindexed(header.clone(), &blocks), bytes(&blocks));
        self.all.push_back(Entry { run, header, blocks, level: 0, bytes });
    }

    /// Bytes of the blocks.
    pub fn bytes(&self) -> usize {
        self.all.iter().map(|e| e.bytes).sum()
    }

    /// Lets the oldest go: how many bytes that is, its class, and the time of its latest packet. Who reads it has the rest from its file.
    pub fn evict(&mut self) -> Option<(usize, Arc<SegmentHeader>, u64)> {
        let gone = self.all.pop_front()?;
        gone.blocks.iter().for_each(MemoryBlock::let_go);
        self.indexes -= gone.run.index_bytes();
        let last = gone.blocks.iter().map(|b| b.about().totals.last).max().unwrap_or(0);
        Some((gone.bytes, gone.header, last))
    }

    /// Closes the files of deleted segments, which else keep their places on the disk.
    pub fn close_deleted(&self) {
        for e in self.all.iter().filter(|e| e.blocks.first().is_some_and(MemoryBlock::is_deleted)) {
            e.blocks.iter().for_each(MemoryBlock::close);
        }
    }

    /// Lets all of it go.
    pub fn let_go(&self) {
        self.all.iter().flat_map(|e| &e.blocks).for_each(MemoryBlock::let_go);
    }

    /// Blocks that have no index yet.
    pub fn fresh(&self) -> Option<Task> {
        self.all.iter().find(|e| e.level == 0).map(|e| self.some(e))
    }

    /// The first blocks of an entry that has none indexed.
    fn some(&self, e: &Entry) -> Task {
        let (mut blocks, mut bytes) = (Vec::new(), 0);
        for b in &e.blocks {
            bytes += b.about().len;
            if !blocks.is_empty() && bytes > self.run_bytes.min(FRESH_BYTES) {
                break;
            }
            blocks.push(b.clone());
        }
        let _pins = blocks.iter().filter_map(MemoryBlock::pin).collect();
        Task { header: e.header.clone(), blocks, _pins, runs: Vec::new(), level: 1 }
    }

    /// Neighbours that are to become one.
    pub fn neighbours(&self) -> Option<Task> {
        let mut seen: Vec<u64> = Vec::new();
        for first in &self.all {
            if seen.contains(&first.header.number) {
                continue;
            }
            seen.push(first.header.number);
            let of: Vec<&Entry> = self.all.iter().filter(|e| e.header.number == first.header.number).collect();
            for some in of.windows(RUN_FAN) {
                let level = some.first().map_or(0, |e| e.level);
                let alike = some.iter().all(|e| e.level == level) && level > 0;
                let joined = some.windows(2).all(|w| matches!(w, [a, b] if end(&a.blocks) == start(&b.blocks)));
                if alike && joined && some.iter().map(|e| e.bytes).sum::<usize>() <= self.run_bytes {
                    let blocks: Vec<MemoryBlock> = some.iter().flat_map(|e| e.blocks.iter().cloned()).collect();
                    let _pins = blocks.iter().filter_map(MemoryBlock::pin).collect();
                    let runs = some.iter().map(|e| e.run.clone()).collect();
                    return Some(Task { header: first.header.clone(), blocks, _pins, runs, level: level + 1 });
                }
            }
        }
        None
    }

    /// Puts a run in the place of what it was made of; nowhere, if some of that has gone meanwhile. What went because all indexes together grew
    /// too large: class and time of the latest packet of each run.
    pub fn replace(&mut self, task: &Task, run: Arc<Run>) -> Vec<(String, u64)> {
        let (from, to) = (start(&task.blocks), end(&task.blocks));
        let inside = |e: &Entry| e.header.number == task.header.number && (from..to).contains(&start(&e.blocks));
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
        let (header, blocks) = (task.header.clone(), task.blocks.clone());
        let entry = Entry { run, header: header.clone(), bytes: bytes(&blocks), blocks, level: task.level };
        self.all.insert(at.min(self.all.len()), entry);
        if !rest.is_empty() {
            let (run, bytes) = (unindexed(header.clone(), &rest), bytes(&rest));
            self.all.insert((at + 1).min(self.all.len()), Entry { run, header, blocks: rest, level: 0, bytes });
        }
        let mut went = Vec::new();
        while self.indexes > self.most && self.all.len() > 1 {
            went.extend(self.evict().map(|(_, header, last)| (header.class.clone(), last)));
        }
        went
    }
}

fn unindexed(header: Arc<SegmentHeader>, blocks: &[MemoryBlock]) -> Arc<Run> {
    Arc::new(Run::new(SegmentReader::in_memory(header, blocks.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a store that another version of the program made: the first block of a segment, as of this segment.
    fn block(number: u64) -> (Arc<SegmentHeader>, MemoryBlock) {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2/all");
        let mut files = std::fs::read_dir(golden).unwrap().map(|f| f.unwrap().path());
        let path = files.find(|p| p.extension().is_some_and(|e| e == "pcapng")).unwrap();
        let (reader, bytes) = (SegmentReader::open(&path).unwrap(), std::fs::read(&path).unwrap());
        let at = reader.blocks()[0];
        let file = Arc::new(std::fs::File::open(&path).unwrap());
        let block = MemoryBlock::new(Arc::new(bytes[at.offset as usize..][..at.len].to_vec())).unwrap();
        (Arc::new(SegmentHeader { number, ..reader.header().clone() }), block.also_in(file))
    }

    /// Whatever makes room tells what went: an answer from memory says how far memory reaches.
    #[test]
    fn what_goes_for_the_sake_of_indexes_is_told_and_gives_its_bytes_back() {
        let mut runs = Runs::new(1 << 30, 1);
        let ((first, a), (second, b)) = (block(1), block(2));
        runs.add(first.clone(), a.clone());
        runs.add(second, b.clone());
        let task = runs.fresh().unwrap();
        let went = runs.replace(&task, task.make().unwrap());
        assert_eq!(went, [(first.class.clone(), a.about().totals.last)]);
        assert!(a.pin().is_none() && b.pin().is_some());
        runs.let_go();
        assert!(b.pin().is_none());
    }
}
