//! The look: which blocks of a part can have packets of the answer, by its index. Works on many parts at a time, each on a thread of its own,
//! because one part's look is a chain of reads that wait for each other. Called by the merge; asks no filter.

use super::{Part, Place, Question};
use crate::index::{Index, IndexError};
use crate::limits::LOOKS;
use crate::query::QueryError;
use crate::query::plans::Plans;
use crate::query::select::{Candidates, candidates, weight};
use crate::query::summary::Summary;
use crate::store::list::SegmentRef;
use crate::store::reader::{ReadError, SegmentReader};
use crate::store::scan::BlockRef;
use rustix::io::Errno;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// What of a question a look needs; shared among threads.
#[derive(Clone, Copy)]
struct Asked<'a> {
    plans: &'a Plans,
    from: u64,
    to: u64,
    full_scan: bool,
}

/// Looks at parts, several at a time. Those that turn out to have nothing have no blocks then.
pub fn look(parts: &mut [Part], q: &Question<'_>, summary: &mut Summary) -> Result<(), QueryError> {
    let asked = Asked { plans: q.plans, from: q.from, to: q.to, full_scan: q.full_scan };
    let most = q.pace.most();
    if most < usize::MAX && parts.iter().any(|p| p.weight(asked) > most) && !q.pace.may_take_long() {
        return Ok(());
    }
    let threads = LOOKS.min(parts.iter().filter(|p| p.in_file()).count());
    if threads < 2 {
        parts.iter_mut().try_for_each(|p| p.look(asked, summary))
    } else {
        look_at_once(parts, asked, threads, summary)
    }
}

fn look_at_once(parts: &mut [Part], q: Asked<'_>, threads: usize, summary: &mut Summary) -> Result<(), QueryError> {
    let (next, todo) = (AtomicUsize::new(0), parts.iter_mut().map(Mutex::new).collect::<Vec<_>>());
    let work = || {
        let mut own = Summary::default();
        while let Some(part) = todo.get(next.fetch_add(1, Relaxed)) {
            part.lock().unwrap_or_else(PoisonError::into_inner).look(q, &mut own)?;
        }
        Ok(own)
    };
    std::thread::scope(|scope| {
        // Where no more threads are to be had fewer do the same.
        let spawn = |_| std::thread::Builder::new().name("look".into()).spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads).filter_map(spawn).collect();
        let mut all = vec![work()];
        all.extend(others.into_iter().filter_map(|t| t.join().ok()));
        all.into_iter().try_for_each(|own| own.map(|own| summary.absorb(own)))
    })
}

impl Part {
    /// About how many connections its index names.
    fn weight(&self, q: Asked<'_>) -> usize {
        let planned = self.place.index().zip(self.place.about()).filter(|_| !q.full_scan);
        planned.map_or(0, |(index, about)| weight(q.plans.of(about), index).unwrap_or(usize::MAX))
    }

    fn look(&mut self, q: Asked<'_>, summary: &mut Summary) -> Result<(), QueryError> {
        self.looked = true;
        if let Place::File(f) = &mut self.place
            && let Some(sealed) = &f.sealed
        {
            match sealed.index() {
                Ok(index) => f.index = Some(index),
                Err(IndexError::Partial) => {}
                Err(_) => summary.damaged_indexes += u64::from(f.segment.path.exists()),
            }
        }
        // In memory the receipts of what is there mostly are as well.
        let expected = matches!(self.place, Place::File(_)).then_some(&mut self.expected);
        let wanted = match self.place.index().zip(self.place.about()).filter(|_| !q.full_scan) {
            Some((index, about)) => candidates(q.plans.of(about), index, (q.from.max(self.since), q.to), expected)
                .unwrap_or_else(|_| {
                    summary.damaged_indexes += 1;
                    Candidates::All
                }),
            None => Candidates::All,
        };
        if matches!(&wanted, Candidates::At(offsets) if offsets.is_empty()) {
            summary.pruning.by_index += 1;
            return Ok(());
        }
        if let Place::File(f) = &mut self.place
            && f.reader.is_none()
        {
            f.reader = open(&f.segment, f.index.as_ref(), summary)?.map(Into::into);
        }
        let Some(reader) = self.place.reader() else { return Ok(()) };
        // An index of another state of the segment proves nothing.
        let stale = self.place.index().is_some_and(|i| !i.belongs_to(reader.header(), reader.end()));
        summary.damaged_indexes += u64::from(stale);
        summary.damaged_blocks += reader.bad().len() as u64;
        reader.bad().iter().for_each(|bad| summary.damaged_at(reader.path(), bad.offset));
        let few = self.place.index().map_or(0, |i| i.about().packets / 2);
        self.at = match wanted {
            Candidates::At(offsets) if !stale && offsets.len() as u64 <= few => Some(offsets),
            _ => None,
        };
        let overlaps = |b: &BlockRef| b.totals.first < q.to && b.totals.last >= q.from.max(self.since);
        let mut blocks: Vec<BlockRef> = reader.blocks().to_vec();
        blocks.retain(|b| {
            let elsewhere = self.elsewhere.iter().any(|e| e.contains(&b.offset));
            !elsewhere && overlaps(b) && !within(self.at.as_deref(), b).is_some_and(<[_]>::is_empty)
        });
        blocks.sort_by_key(|b| std::cmp::Reverse((b.totals.first, b.offset)));
        self.first = blocks.last().map_or(self.first, |b| b.totals.first.max(self.first));
        self.blocks = blocks;
        if let Place::File(f) = &mut self.place {
            // It has said what it knows.
            f.index = None;
        }
        Ok(())
    }
}

/// The candidates of a block; `None`: all of its packets.
pub(super) fn within<'a>(at: Option<&'a [u64]>, block: &BlockRef) -> Option<&'a [u64]> {
    let at = at?;
    let from = at.partition_point(|&o| o < block.offset);
    let to = at.partition_point(|&o| o < block.offset + block.len as u64);
    Some(at.get(from..to).unwrap_or_default())
}

/// Opens a segment, by its index where that helps. `None`: it has expired, or is damaged, and `summary` says so.
pub fn open(
    segment: &SegmentRef,
    index: Option<&Index>,
    summary: &mut Summary,
) -> Result<Option<SegmentReader>, QueryError> {
    // By its index, so that no block is touched that is not needed. Where that fails the long way tells why.
    if let Some(index) = index
        && let Ok(Some(table)) = index.blocks()
        && let Ok(reader) = SegmentReader::open_by(&segment.path, index.about().end, table)
        && index.belongs_to(reader.header(), reader.end())
    {
        return Ok(Some(reader));
    }
    match segment.open() {
        Ok(Some(reader)) => Ok(Some(reader)),
        Ok(None) => {
            summary.expired_segments += u64::from(segment.sealed);
            Ok(None)
        }
        Err(ReadError::Damaged { .. }) => {
            summary.damaged_segments += 1;
            Ok(None)
        }
        // A bad sector: the answer goes on without the segment, and says so.
        Err(ReadError::Io { source, .. }) if source.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
            summary.damaged_segments += 1;
            summary.damaged_at(&segment.path, 0);
            Ok(None)
        }
        Err(e) => Err(e.into()),
    }
}
