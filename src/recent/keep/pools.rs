//! Which chunk is taken next: a pool for each class that has memory of its own, and one for all others, so that what a class brings pushes out only
//! what is in its pool. A pool takes its oldest chunk that nobody looks at; one that has fewer than it may have takes one that is free, or
//! of a pool that has more. Of what goes the window is told first.

use super::super::Shares;
use crate::limits::{CLASSES_MAX, POOLS_MAX};
use crate::store::format::{self, SegmentHeader};
use crate::store::scan::BlockRef;
use crate::window::arena::ArenaWriter;
use crate::window::{HeldOfClass, PinWords, Window};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A chunk with blocks in it.
struct KeptChunk {
    chunk: usize,
    /// What it has of each class in it.
    of: Vec<OfClass>,
}

/// What a chunk has of a class.
struct OfClass {
    class: u8,
    bytes: u64,
    /// Times of its packets, Unix ns; `None`: there are only blocks without.
    first: Option<u64>,
    latest: u64,
}

impl KeptChunk {
    /// A block of a class has come into it.
    fn took(&mut self, class: u8, about: &BlockRef) {
        let at = self.of.iter().position(|of| of.class == class).unwrap_or(self.of.len());
        if at == self.of.len() {
            self.of.push(OfClass { class, bytes: 0, first: None, latest: 0 });
        }
        let Some(of) = self.of.get_mut(at) else { return };
        of.bytes += about.len as u64;
        of.latest = of.latest.max(about.totals.last);
        if about.totals.packets > 0 {
            of.first = Some(of.first.map_or(about.totals.first, |first| first.min(about.totals.first)));
        }
    }
}

/// Those of a class, or of all others.
struct KeepPool {
    /// `None`: all classes without one.
    class: Option<String>,
    quota: usize,
    /// The oldest first; the last is being filled.
    chunks: VecDeque<KeptChunk>,
}

/// All of them, and the arena.
pub struct KeepPools {
    arena: ArenaWriter,
    window: Arc<Window>,
    /// That of all others first; one keeps its number as long as the recording lasts.
    pools: Vec<KeepPool>,
    free: Vec<usize>,
    /// Chunks that were taken so far.
    taken: u64,
    /// What there is of each class, by id.
    held: Vec<HeldOfClass>,
    /// The header that was encoded last, and whose it is.
    header: (Option<u64>, Vec<u8>),
}

impl KeepPools {
    /// Empty ones.
    pub fn new(shares: &Shares, window: Arc<Window>) -> io::Result<KeepPools> {
        let arena = ArenaWriter::create(shares.chunks())?;
        let free = (0..arena.chunks()).rev().collect();
        let header = (None, Vec::new());
        let held = vec![HeldOfClass::default(); CLASSES_MAX];
        let mut pools = KeepPools { arena, window, pools: Vec::new(), free, taken: 0, held, header };
        pools.share(shares);
        Ok(pools)
    }

    /// The arena, for those who read.
    pub fn file(&self) -> io::Result<OwnedFd> {
        self.arena.file()
    }

    /// Chunks of the arena.
    pub fn chunks(&self) -> usize {
        self.arena.chunks()
    }

    /// Does what can wait for moments in which no block waits. False: there is no more of that.
    pub fn rest(&mut self) -> bool {
        self.arena.collapse_one()
    }

    /// From now on these pins count.
    pub fn admit(&mut self, pins: PinWords) {
        self.arena.admit(pins);
    }

    /// Other shares from now on. Nothing goes before somebody needs its place.
    pub fn share(&mut self, shares: &Shares) {
        self.pools.iter_mut().for_each(|p| p.quota = 0);
        for (class, quota) in shares.quotas(self.arena.chunks()) {
            let known = self.pools.iter().position(|p| p.class == class);
            if let Some(pool) = known.and_then(|at| self.pools.get_mut(at)) {
                pool.quota = quota;
            } else if self.pools.len() < POOLS_MAX {
                self.pools.push(KeepPool { class, quota, chunks: VecDeque::new() });
            }
            // A store has no more classes than that: one that finds no pool is with all others.
        }
        for (n, pool) in self.pools.iter().enumerate() {
            self.arena.set_quota(n, pool.quota);
        }
    }

    /// Where the blocks of a class go.
    fn of(&self, class: &str) -> usize {
        self.pools.iter().position(|p| p.quota > 0 && p.class.as_deref() == Some(class)).unwrap_or(0)
    }

    /// Copies a block of a class by its id. False: whoever reads looks at all chunks that could make room.
    pub fn put(&mut self, class: u8, header: &SegmentHeader, about: &BlockRef, bytes: &[u8]) -> bool {
        let (pool, entry) = (self.of(&header.class), about.to_entry(header.number, class));
        if self.header.0 != Some(header.number) {
            self.header.1.resize(format::header_bytes(&header.interfaces), 0);
            format::write_header(&mut self.header.1, header);
            self.header.0 = Some(header.number);
        }
        // Into the chunk that is being filled, else into the next.
        for full in [false, true] {
            if full && !self.next(pool) {
                return false;
            }
            let Some(open) = self.pools.get_mut(pool).and_then(|p| p.chunks.back_mut()) else { continue };
            if self.arena.put(open.chunk, &entry, bytes, &self.header.1) {
                open.took(class, about);
                self.came(class, about);
                return true;
            }
        }
        false
    }

    /// A block of a class has come: says what there is of it now.
    fn came(&mut self, class: u8, about: &BlockRef) {
        let Some(held) = self.held.get_mut(usize::from(class)) else { return };
        held.bytes += about.len as u64;
        if about.totals.packets > 0 && (held.since == 0 || about.totals.first < held.since) {
            held.since = about.totals.first;
        }
        self.window.holds(class, held);
    }

    /// A chunk is gone: says what there is now of what was in it.
    fn went(&mut self, gone: &KeptChunk) {
        for of in &gone.of {
            let Some(held) = self.held.get_mut(usize::from(of.class)) else { continue };
            held.bytes = held.bytes.saturating_sub(of.bytes);
            if of.first == Some(held.since) {
                let all = self.pools.iter().flat_map(|p| &p.chunks).flat_map(|k| &k.of);
                held.since = all.filter(|o| o.class == of.class).filter_map(|o| o.first).min().unwrap_or(0);
            }
            self.window.holds(of.class, held);
        }
    }

    /// Gives a pool another chunk.
    fn next(&mut self, pool: usize) -> bool {
        let more = self.pools.get(pool).is_some_and(|p| p.chunks.len() < p.quota);
        let found = more.then(|| self.unused(pool).or_else(|| self.of_others(pool))).flatten();
        let Some(chunk) = found.or_else(|| self.take(pool, pool, 1)) else { return false };
        self.taken += 1;
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.chunks.push_back(KeptChunk { chunk, of: Vec::new() });
        }
        true
    }

    fn unused(&mut self, pool: usize) -> Option<usize> {
        let at = self.free.iter().rposition(|&chunk| self.arena.take(chunk, pool, self.taken))?;
        Some(self.free.remove(at))
    }

    fn of_others(&mut self, pool: usize) -> Option<usize> {
        (0..self.pools.len()).filter(|&from| from != pool).find_map(|from| {
            let p = self.pools.get(from).filter(|p| p.chunks.len() > p.quota)?;
            // Of one that is there no more also the last.
            let stay = usize::from(p.quota > 0);
            self.take(from, pool, stay)
        })
    }

    /// Takes the oldest chunk of a pool that nobody looks at, but for the newest `stay`.
    fn take(&mut self, from: usize, pool: usize, stay: usize) -> Option<usize> {
        let kept = &mut self.pools.get_mut(from)?.chunks;
        for at in 0..kept.len().saturating_sub(stay) {
            let Some(KeptChunk { chunk, of }) = kept.get(at).filter(|k| self.arena.is_free(k.chunk)) else {
                continue;
            };
            // Before it is so: who finds it gone finds it said.
            of.iter().for_each(|of| self.window.gone(of.class, of.latest));
            if self.arena.take(*chunk, pool, self.taken) {
                let gone = kept.remove(at)?;
                self.went(&gone);
                return Some(gone.chunk);
            }
        }
        None
    }
}
