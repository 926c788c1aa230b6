//! How the memory is shared: a pool for each class that has memory of its own, and one for all others. A pool has an arena of its own, so that
//! what a class brings pushes out only what is in its pool. Owns which class has which; the bytes are the arena's, the order of going is that of
//! the pool's runs.

use super::runs::{Runs, Task};
use crate::index::Run;
use crate::store::disk::arena::Arena;
use crate::store::format::SegmentHeader;
use crate::store::reader::MemoryBlock;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Of a pool, this part is for the indexes.
const INDEX_SHARE: usize = 16;

/// All of the memory, and how much of it each class has that has its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// All of it, bytes.
    pub total: u64,
    /// Classes with memory of their own.
    pub own: Vec<(String, u64)>,
}

impl Shares {
    /// The pools: that of all others first.
    fn pools(&self) -> Vec<(Option<String>, usize)> {
        let own: u64 = self.own.iter().map(|(_, bytes)| bytes).sum();
        let rest = self.total.saturating_sub(own) as usize;
        let own = self.own.iter().map(|(name, bytes)| (Some(name.clone()), *bytes as usize));
        std::iter::once((None, rest)).chain(own).collect()
    }
}

/// What memory holds of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Its blocks, bytes.
    pub bytes: u64,
    /// Time of the oldest packet, Unix ns; 0: there is none.
    pub since: u64,
}

struct Pool {
    /// `None`: all classes without one.
    class: Option<String>,
    bytes: usize,
    runs: Runs,
}

/// The arenas, in the order of the pools; of the thread that copies.
pub struct Arenas(Vec<Arena>);

/// What is in the pools.
pub struct Pools(Vec<Pool>);

impl Pools {
    /// Empty ones.
    pub fn new(shares: &Shares) -> io::Result<(Pools, Arenas)> {
        let (mut pools, mut arenas) = (Pools(Vec::new()), Arenas(Vec::new()));
        for (class, bytes) in shares.pools() {
            arenas.0.push(Arena::new(for_blocks(bytes))?);
            pools.0.push(Pool::new(class, bytes));
        }
        Ok((pools, arenas))
    }

    /// Other shares from now on. A pool whose size is another begins empty: what it held is on disk.
    pub fn share(&mut self, arenas: &mut Arenas, shares: &Shares) -> io::Result<()> {
        let wanted = shares.pools();
        let same = |p: &Pool, (class, bytes): &(Option<String>, usize)| p.class == *class && p.bytes == *bytes;
        // All that can fail first.
        let mut fresh = Vec::new();
        for w in wanted.iter().filter(|w| !self.0.iter().any(|p| same(p, w))) {
            fresh.push(Arena::new(for_blocks(w.1))?);
        }
        let mut old: Vec<(Pool, Arena)> = std::mem::take(&mut self.0).into_iter().zip(arenas.0.drain(..)).collect();
        let mut fresh = fresh.into_iter();
        for w in wanted {
            let kept = old.iter().position(|(p, _)| same(p, &w)).map(|at| old.swap_remove(at));
            let (pool, arena) = match kept {
                Some(kept) => kept,
                None => (Pool::new(w.0, w.1), fresh.next().ok_or(io::ErrorKind::Other)?),
            };
            self.0.push(pool);
            arenas.0.push(arena);
        }
        // Readers of what these held go on from its files.
        old.iter().for_each(|(pool, _)| pool.runs.let_go());
        Ok(())
    }

    /// Where the blocks of a class go.
    pub fn of(&self, class: &str) -> usize {
        self.0.iter().position(|p| p.class.as_deref() == Some(class)).unwrap_or(0)
    }

    /// The runs of a pool.
    pub fn runs(&mut self, pool: usize) -> Option<&mut Runs> {
        self.0.get_mut(pool).map(|p| &mut p.runs)
    }

    /// A block has come.
    pub fn add(&mut self, header: Arc<SegmentHeader>, block: MemoryBlock) {
        let pool = self.of(&header.class);
        if let Some(runs) = self.runs(pool) {
            runs.add(header, block);
        }
    }

    /// What should be indexed now: fresh blocks of any pool first.
    pub fn task(&self) -> Option<Task> {
        let fresh = self.0.iter().find_map(|p| p.runs.fresh());
        fresh.or_else(|| self.0.iter().find_map(|p| p.runs.neighbours()))
    }

    /// Puts a run in the place of what it was made of; what went because all indexes together grew too large: class and time of the latest
    /// packet of each run.
    pub fn replace(&mut self, task: &Task, run: Arc<Run>) -> Vec<(String, u64)> {
        let pool = self.of(task.class());
        self.runs(pool).map_or_else(Vec::new, |runs| runs.replace(task, run))
    }

    /// As questions see them: of each pool the oldest first.
    pub fn shown(&self) -> super::Shown {
        self.0.iter().flat_map(|p| p.runs.shown()).collect()
    }

    /// Closes the files of deleted segments.
    pub fn close_deleted(&self) {
        self.0.iter().for_each(|p| p.runs.close_deleted());
    }

    /// What is held of each class.
    pub fn held(&self) -> BTreeMap<String, Held> {
        let mut held = BTreeMap::new();
        self.0.iter().for_each(|p| p.runs.held(&mut held));
        held
    }
}

impl Pool {
    fn new(class: Option<String>, bytes: usize) -> Pool {
        Pool { class, bytes, runs: Runs::new(for_blocks(bytes), bytes / INDEX_SHARE) }
    }
}

fn for_blocks(bytes: usize) -> usize {
    bytes - bytes / INDEX_SHARE
}

impl Arenas {
    /// That of a pool.
    pub fn of(&mut self, pool: usize) -> Option<&mut Arena> {
        self.0.get_mut(pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn shares(total: u64, own: &[(&str, u64)]) -> Shares {
        Shares { total: total * MIB, own: own.iter().map(|(name, n)| ((*name).into(), n * MIB)).collect() }
    }

    #[test]
    fn a_class_has_its_own_pool_or_that_of_all_others() {
        let (mut pools, mut arenas) = Pools::new(&shares(64, &[("dns", 16), ("web", 24)])).unwrap();
        assert_eq!(["dns", "web", "all", "other"].map(|c| pools.of(c)), [1, 2, 0, 0]);
        let sizes = |a: &mut Arenas| (0..4).map_while(|p| a.of(p).map(|a| a.bytes() as u64 / MIB)).collect::<Vec<_>>();
        // A sixteenth is for indexes; chunks have 2 MiB.
        assert_eq!(sizes(&mut arenas), [22, 14, 22]);
        let slice = arenas.of(1).and_then(|a| a.put(&[7; 100])).expect("room");
        pools.share(&mut arenas, &shares(64, &[("mail", 16), ("dns", 16)])).unwrap();
        assert_eq!(["dns", "web", "mail"].map(|c| pools.of(c)), [2, 0, 1]);
        assert_eq!(sizes(&mut arenas), [30, 14, 14]);
        assert_eq!(slice.as_ref(), [7; 100], "what somebody holds stays");
    }
}
