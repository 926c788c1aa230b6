//! The runs of each pool, and how much memory their indexes may take: a pool of capture has runs of its own here, so that its blocks go in their order
//! and its indexes push out nobody else's.

use super::super::shares::INDEX_SHARE;
use super::ShownRuns;
use super::runs::{Runs, Task};
use crate::index::Run;
use crate::limits::POOLS_MAX;
use crate::store::format::SegmentHeader;
use crate::store::reader::MemoryBlock;
use crate::window::arena::{ArenaView, CHUNK_ALL_BYTES, CHUNK_BYTES};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// By the pools' numbers.
pub struct ReadPools {
    arena: Arc<ArenaView>,
    store: Arc<PathBuf>,
    all: Vec<Runs>,
}

impl ReadPools {
    /// None yet.
    pub fn new(arena: Arc<ArenaView>, store: PathBuf) -> ReadPools {
        ReadPools { arena, store: Arc::new(store), all: Vec::new() }
    }

    /// A block has come to a pool.
    pub fn add(&mut self, pool: usize, header: Arc<SegmentHeader>, block: MemoryBlock) {
        let pool = if pool < POOLS_MAX { pool } else { 0 };
        while self.all.len() <= pool {
            self.all.push(Runs::new(self.store.clone()));
        }
        if let Some(runs) = self.all.get_mut(pool) {
            runs.add(header, block);
        }
    }

    /// Capture has taken these chunks. Class and latest packet of each run that had blocks there, and is shown no more.
    pub fn drop_chunks(&mut self, chunks: &[u32]) -> Vec<(String, u64)> {
        if chunks.is_empty() {
            return Vec::new();
        }
        self.all.iter_mut().flat_map(|runs| runs.drop_chunks(chunks)).collect()
    }

    /// Blocks have been added.
    pub fn renew(&mut self) {
        self.all.iter_mut().for_each(Runs::renew);
    }

    /// Blocks of a pool that one index may be of, in bytes, and bytes of all its indexes.
    fn room(&self, pool: usize) -> (usize, usize) {
        let chunks = self.arena.quota(pool);
        (chunks * CHUNK_BYTES, chunks * CHUNK_ALL_BYTES / (INDEX_SHARE - 1))
    }

    /// What should be indexed now, and for which pool: fresh blocks of any pool first.
    pub fn task(&self) -> Option<(usize, Task)> {
        let of = |task: &dyn Fn(&Runs, usize) -> Option<Task>| {
            self.all.iter().enumerate().find_map(|(n, runs)| Some((n, task(runs, self.room(n).0)?)))
        };
        of(&|runs, bytes| runs.fresh(bytes)).or_else(|| of(&|runs, bytes| runs.neighbours(bytes)))
    }

    /// Puts a run in the place of what it was made of. Class and latest packet of each run that went because the indexes of its pool had grown too
    /// large.
    pub fn replace(&mut self, pool: usize, task: &Task, run: Arc<Run>) -> Vec<(String, u64)> {
        let (_, most) = self.room(pool);
        self.all.get_mut(pool).map_or_else(Vec::new, |runs| runs.replace(task, run, most))
    }

    /// As questions see them: of each pool the oldest first.
    pub fn shown(&self) -> ShownRuns {
        self.all.iter().flat_map(Runs::shown).collect()
    }

    /// How many segments are here, about.
    pub fn segments(&self) -> usize {
        self.all.iter().map(Runs::count).sum()
    }

    /// Their numbers.
    pub fn numbers(&self) -> HashSet<u64> {
        self.all.iter().flat_map(Runs::numbers).collect()
    }
}
