//! Gathering: where the candidates of a part are few, their packets are read at once, after the look. Works on many blocks at a time,
//! whichever part they are of: each is a read or two that the disk takes its time for. Called by the merge; asks no filter. What it can't
//! read is left for later, when somebody wants it.

use super::Part;
use super::look::within;
use crate::limits::{BLOCK_BYTES, GATHERED_BYTES, GATHERED_PACKETS, GATHERERS};
use crate::query::summary::Summary;
use crate::store::disk::buffers::Aligned;
use crate::store::reader::{FoundPacket, ReadError, SegmentReader};
use crate::store::scan::BlockRef;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The candidates of a block.
struct Job<'a> {
    part: usize,
    reader: &'a SegmentReader,
    block: &'a BlockRef,
    at: &'a [u64],
    /// What its part has already, in bytes.
    bytes: &'a AtomicUsize,
}

/// What was read of a block.
struct Gathered {
    part: usize,
    block: u64,
    packets: Vec<FoundPacket<'static>>,
    read: u64,
}

impl Job<'_> {
    fn gather(&self, scratch: &mut Option<Aligned>) -> Option<Gathered> {
        if self.bytes.load(Relaxed) > GATHERED_BYTES {
            return None;
        }
        let mut buffer = scratch.take().or_else(|| Aligned::new(BLOCK_BYTES).ok())?;
        let read = self.reader.fetch_at(self.block, self.at, &mut buffer);
        let packets = self.at.iter().map(|&o| self.reader.packet_in(&buffer, self.block, o).map(|p| p.into_owned()));
        let packets = read.and_then(|read| Ok((read, packets.collect::<Result<Vec<_>, ReadError>>()?)));
        *scratch = Some(buffer);
        let (read, packets) = packets.ok()?;
        self.bytes.fetch_add(packets.iter().map(|p| p.data.len() + p.options.len()).sum::<usize>(), Relaxed);
        Some(Gathered { part: self.part, block: self.block.offset, packets, read })
    }
}

/// Reads the candidates of those parts that have few.
pub fn gather(parts: &mut [Part], summary: &mut Summary) {
    let bytes: Vec<AtomicUsize> = parts.iter().map(|_| AtomicUsize::new(0)).collect();
    let mut jobs = Vec::new();
    for ((n, part), bytes) in parts.iter().enumerate().zip(&bytes) {
        let Some(all) = part.at.as_deref().filter(|at| at.len() <= GATHERED_PACKETS) else { continue };
        let Some(reader) = part.place.reader().filter(|r| r.sparse()) else { continue };
        let job = |block| Job { part: n, reader, block, at: within(Some(all), block).unwrap_or_default(), bytes };
        jobs.extend(part.blocks.iter().map(job));
    }
    if jobs.is_empty() {
        return;
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut done, mut scratch) = (Vec::new(), None);
        while let Some(job) = jobs.get(next.fetch_add(1, Relaxed)) {
            done.extend(job.gather(&mut scratch));
        }
        done
    };
    let done = std::thread::scope(|scope| {
        // Where no more threads are to be had fewer do the same.
        let spawn = |_| std::thread::Builder::new().name("gather".into()).spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..GATHERERS.min(jobs.len())).filter_map(spawn).collect();
        let mut done = work();
        done.extend(others.into_iter().filter_map(|t| t.join().ok()).flatten());
        done
    });
    for Gathered { part, block, packets, read } in done {
        summary.pruning.bytes_read += read;
        if let Some(part) = parts.get_mut(part) {
            part.gathered.insert(block, packets);
        }
    }
}
