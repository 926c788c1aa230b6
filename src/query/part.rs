//! One segment's part of an answer, or that of a run of blocks in memory: planned from its index, then looked at block by block, as
//! far as its next packet needs, then read in time order. Owns the reader while the merge needs it. A damaged block is skipped and
//! counted; an expired segment is no error.

use super::QueryError;
use super::engine::Sealed;
use super::judge::Judge;
use super::lang::plan::Plan;
use super::pace::Pace;
use super::select::{Candidates, candidates};
use super::summary::Summary;
use crate::index::{Index, Run};
use crate::limits::STRIPE_BYTES;
use crate::store::list::SegmentRef;
use crate::store::live::Unsealed;
use crate::store::reader::{FoundPacket, ReadError, SegmentReader};
use crate::store::scan::BlockRef;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// The question, resolved.
pub struct Question<'a> {
    /// What a packet must have.
    pub plan: &'a Plan,
    /// From this time, Unix ns.
    pub from: u64,
    /// Before this time.
    pub to: u64,
    /// Only these classes; empty: all.
    pub classes: &'a [String],
    /// No index.
    pub full_scan: bool,
    /// Asked before each block.
    pub pace: &'a dyn Pace,
}

impl Question<'_> {
    pub(super) fn wants_class(&self, class: &str) -> bool {
        self.classes.is_empty() || self.classes.iter().any(|c| c == class)
    }

    pub(super) fn overlaps(&self, first: u64, last: u64) -> bool {
        first < self.to && last >= self.from
    }
}

/// A packet that matched. Of a segment that is still written its bytes are kept, since reading them again could cost a block
/// each; such segments are few.
struct Hit {
    time: u64,
    offset: u64,
    kept: Option<FoundPacket<'static>>,
}

/// Where packets lie.
enum Place {
    /// In a file, which is opened when it is needed.
    File(Box<InFile>),
    /// In memory.
    Run(Arc<Run>),
}

/// A segment's file.
struct InFile {
    segment: SegmentRef,
    index: Option<Index>,
    /// It has an index, which is opened when it is needed.
    indexed: bool,
    reader: Option<SegmentReader>,
}

impl Place {
    fn reader(&self) -> Option<&SegmentReader> {
        match self {
            Place::File(f) => f.reader.as_ref(),
            Place::Run(run) => Some(run.reader()),
        }
    }

    fn index(&self) -> Option<&Index> {
        match self {
            Place::File(f) => f.index.as_ref(),
            Place::Run(run) => run.index(),
        }
    }
}

/// A segment or a run that may have packets of the answer.
pub struct Part {
    place: Place,
    /// Offsets of the segment that are read from memory instead.
    elsewhere: Vec<Range<u64>>,
    /// Not later than its first packet of the answer.
    pub first: u64,
    /// Blocks that have not been looked at, the latest first.
    blocks: Vec<BlockRef>,
    /// Offsets of the packets that can match, ascending; `None`: any.
    at: Option<Vec<u64>>,
    /// What matched and has not been given out, in order of time.
    hits: VecDeque<Hit>,
}

impl Part {
    fn new(place: Place, first: u64) -> Part {
        Part { place, elsewhere: Vec::new(), first, blocks: Vec::new(), at: None, hits: VecDeque::new() }
    }

    /// A sealed segment's part, by what is held of it: nothing is opened. `None`: it has nothing in the window, and `summary`
    /// says why.
    pub fn of_sealed(sealed: &Sealed, q: &Question<'_>, summary: &mut Summary) -> Result<Option<Part>, QueryError> {
        let Some(skip) = sealed.skip.as_ref().filter(|_| !q.full_scan) else {
            return Part::of_file(sealed.segment.clone(), q, summary);
        };
        summary.pruning.segments += 1;
        let about = skip.about();
        summary.saw(about.packets, about.first, about.last);
        if sealed.segment.class.as_ref().is_some_and(|c| !q.wants_class(c)) {
            summary.pruning.by_class += 1;
            return Ok(None);
        }
        if about.packets == 0 || !q.overlaps(about.first, about.last) {
            summary.pruning.by_time += 1;
            return Ok(None);
        }
        if !q.plan.may(&mut |lo, hi| lo != hi || skip.may_have(lo)) {
            summary.pruning.by_filter += 1;
            return Ok(None);
        }
        let file = InFile { segment: sealed.segment.clone(), index: None, indexed: true, reader: None };
        Ok(Some(Part::new(Place::File(file.into()), about.first)))
    }

    /// The part of a segment that has no index: it is opened to know its times.
    pub fn of_file(segment: SegmentRef, q: &Question<'_>, summary: &mut Summary) -> Result<Option<Part>, QueryError> {
        summary.pruning.segments += 1;
        if segment.class.as_ref().is_some_and(|c| !q.wants_class(c)) {
            summary.pruning.by_class += 1;
            return Ok(None);
        }
        let Some(reader) = open(&segment, None, summary)? else { return Ok(None) };
        Part::of_reader(segment, reader, q, summary)
    }

    /// The part of a segment that is being written between two of its offsets.
    pub fn of_gap(
        unsealed: &Unsealed,
        gap: Range<u64>,
        q: &Question<'_>,
        summary: &mut Summary,
    ) -> Result<Option<Part>, QueryError> {
        let segment = unsealed.segment.clone();
        let Some(header) = &unsealed.header else { return Part::of_file(segment, q, summary) };
        if !q.wants_class(&header.class) {
            return Ok(None);
        }
        let reader = match SegmentReader::open_part(&segment.path, header.clone(), gap.clone()) {
            Ok(reader) => reader,
            // It has been sealed meanwhile: what it had stays where it was in it.
            Err(ReadError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                let part = Part::of_file(segment, q, summary)?;
                return Ok(part.map(|p| p.without(&[0..gap.start, gap.end..u64::MAX])));
            }
            Err(e) => return Err(e.into()),
        };
        Part::of_reader(segment, reader, q, summary)
    }

    fn of_reader(
        segment: SegmentRef,
        reader: SegmentReader,
        q: &Question<'_>,
        summary: &mut Summary,
    ) -> Result<Option<Part>, QueryError> {
        if !q.wants_class(&reader.header().class) {
            summary.pruning.by_class += 1;
            return Ok(None);
        }
        let times = || reader.blocks().iter().map(|b| &b.totals);
        let first = times().map(|t| t.first).min().unwrap_or(u64::MAX);
        let last = times().map(|t| t.last).max().unwrap_or(0);
        summary.saw(times().map(|t| u64::from(t.packets)).sum(), first, last);
        if !q.overlaps(first, last) {
            summary.pruning.by_time += 1;
            return Ok(None);
        }
        summary.pruning.without_index += 1;
        Ok(Some(Part::new(
            Place::File(InFile { segment, index: None, indexed: false, reader: Some(reader) }.into()),
            first,
        )))
    }

    /// The same for blocks in memory.
    pub fn of_run(run: &Arc<Run>, q: &Question<'_>, summary: &mut Summary) -> Option<Part> {
        summary.pruning.runs += 1;
        let (first, last) = run.times();
        summary.saw(run.packets(), first, last);
        let wanted = q.wants_class(&run.reader().header().class) && run.packets() > 0 && q.overlaps(first, last);
        if !wanted {
            return None;
        }
        // Damaged is for later: nobody has touched this index.
        let may = |i: &Index| q.plan.may(&mut |lo, hi| lo != hi || i.may_have(lo).unwrap_or(true));
        if run.index().is_some_and(|i| !q.full_scan && !may(i)) {
            summary.pruning.by_filter += 1;
            return None;
        }
        Some(Part::new(Place::Run(run.clone()), first))
    }

    /// Leaves out what lies at these offsets: it is read from memory.
    pub fn without(mut self, elsewhere: &[Range<u64>]) -> Part {
        self.elsewhere.extend_from_slice(elsewhere);
        self
    }

    /// Finds out which blocks to look at. To be called once, before [`find`](Part::find).
    pub fn look(&mut self, q: &Question<'_>, judge: &mut Judge, summary: &mut Summary) -> Result<(), QueryError> {
        if let Place::File(f) = &mut self.place
            && f.indexed
        {
            f.index = Index::open(&f.segment.index()).ok().filter(|i| i.about().number == f.segment.number);
            if f.index.is_none() && f.segment.path.exists() {
                summary.damaged_indexes += 1;
            }
        }
        let wanted = match self.place.index().filter(|_| !q.full_scan) {
            Some(index) => candidates(q.plan, index, q.from, q.to).unwrap_or_else(|_| {
                summary.damaged_indexes += 1;
                Candidates::All
            }),
            None => Candidates::All,
        };
        match &wanted {
            Candidates::Filtered => summary.pruning.by_filter += 1,
            Candidates::At(offsets) if offsets.is_empty() => summary.pruning.by_index += 1,
            _ => {}
        }
        if matches!(&wanted, Candidates::Filtered) || matches!(&wanted, Candidates::At(o) if o.is_empty()) {
            return Ok(());
        }
        if let Place::File(f) = &mut self.place
            && f.reader.is_none()
        {
            f.reader = open(&f.segment, f.index.as_ref(), summary)?;
        }
        let Some(reader) = self.place.reader() else { return Ok(()) };
        // An index of another state of the segment proves nothing.
        let stale = self.place.index().is_some_and(|i| !i.belongs_to(reader.header(), reader.end()));
        summary.damaged_indexes += u64::from(stale);
        // By its index it is opened without a look at each block: what was bad when the index was made is known there.
        let known = self.place.index().filter(|_| !stale).map_or(0, |i| u64::from(i.about().bad));
        summary.damaged_blocks += known.max(reader.bad().len() as u64);
        if !judge.prepare(reader.link_type()) {
            return Ok(());
        }
        let few = self.place.index().map_or(0, |i| i.about().packets / 2);
        self.at = match wanted {
            Candidates::At(offsets) if !stale && offsets.len() as u64 <= few => Some(offsets),
            _ => None,
        };
        let mut blocks: Vec<BlockRef> = reader.blocks().to_vec();
        blocks.retain(|b| {
            let elsewhere = self.elsewhere.iter().any(|e| e.contains(&b.offset));
            !elsewhere
                && q.overlaps(b.totals.first, b.totals.last)
                && !within(self.at.as_deref(), b).is_some_and(<[_]>::is_empty)
        });
        blocks.sort_by_key(|b| std::cmp::Reverse((b.totals.first, b.offset)));
        self.blocks = blocks;
        Ok(())
    }

    /// Looks at as many blocks as it takes to know the next packet; false: there is none.
    pub fn find(&mut self, q: &Question<'_>, judge: &mut Judge, summary: &mut Summary) -> bool {
        loop {
            let next = self.hits.front().map(|h| h.time);
            match (next, self.blocks.last()) {
                (Some(time), Some(block)) if block.totals.first > time => return true,
                (known, None) => return known.is_some(),
                _ => {}
            }
            if !q.pace.go_on() {
                return false;
            }
            let (Some(block), Some(reader)) = (self.blocks.pop(), self.place.reader()) else { return false };
            let before = self.hits.len();
            match within(self.at.as_deref(), &block) {
                Some(at) => pick(reader, at, q, judge, summary, &mut self.hits),
                None => scan(reader, &block, q, judge, summary, &mut self.hits),
            }
            // Stable: packets of equal times stay as they were recorded. Runs that are sorted already cost little.
            let hits = self.hits.make_contiguous();
            if hits.get(before.saturating_sub(1)..).is_some_and(|new| !new.is_sorted_by_key(|h| (h.time, h.offset))) {
                hits.sort_by_key(|h| (h.time, h.offset));
            }
        }
    }

    /// Time of the next packet, for the merge: with worker, segment and offset, which order packets of equal times.
    pub fn order(&self) -> Option<(u64, u16, u64, u64)> {
        let next = self.hits.front()?;
        let header = self.place.reader()?.header();
        Some((next.time, header.worker, header.number, next.offset))
    }

    /// Hands the next packet to `each`.
    pub fn next<T>(
        &mut self,
        each: impl FnOnce(&FoundPacket<'_>, &SegmentReader) -> T,
    ) -> Option<Result<T, ReadError>> {
        let hit = self.hits.pop_front()?;
        let reader = self.place.reader()?;
        Some(match hit.kept {
            Some(p) => Ok(each(&p, reader)),
            None => reader.packet_at(hit.offset).map(|p| each(&p, reader)),
        })
    }
}

/// The candidates of a block; `None`: all of its packets.
fn within<'a>(at: Option<&'a [u64]>, block: &BlockRef) -> Option<&'a [u64]> {
    let at = at?;
    let from = at.partition_point(|&o| o < block.offset);
    let to = at.partition_point(|&o| o < block.offset + block.len as u64);
    Some(at.get(from..to).unwrap_or_default())
}

fn open(
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
        Err(e) => Err(e.into()),
    }
}

/// Reads the candidates of a block one by one.
fn pick(
    reader: &SegmentReader,
    at: &[u64],
    q: &Question<'_>,
    judge: &mut Judge,
    summary: &mut Summary,
    hits: &mut VecDeque<Hit>,
) {
    let (link_type, mut stripe) = (reader.link_type(), u64::MAX);
    for &offset in at {
        let here = offset / STRIPE_BYTES as u64;
        if here != stripe {
            summary.pruning.bytes_read += STRIPE_BYTES as u64;
            stripe = here;
        }
        summary.pruning.candidates += 1;
        match reader.packet_at(offset) {
            Ok(p) if p.time >= q.from && p.time < q.to && judge.matches(link_type, &p.data, p.wire_len) => {
                hits.push_back(Hit { time: p.time, offset, kept: None });
            }
            Ok(_) => {}
            Err(_) => summary.damaged_packets += 1,
        }
    }
}

/// Reads a whole block.
fn scan(
    reader: &SegmentReader,
    block: &BlockRef,
    q: &Question<'_>,
    judge: &mut Judge,
    summary: &mut Summary,
    hits: &mut VecDeque<Hit>,
) {
    let link_type = reader.link_type();
    summary.pruning.bytes_read += block.len as u64;
    let Ok(block) = reader.block(block) else {
        summary.damaged_blocks += 1;
        return;
    };
    for p in block.packets() {
        let Ok(p) = p else {
            summary.damaged_packets += 1;
            break;
        };
        summary.pruning.candidates += 1;
        if p.time >= q.from && p.time < q.to && judge.matches(link_type, p.data, p.wire_len) {
            let found = || FoundPacket { data: p.data.into(), ..FoundPacket::from(&p) }.into_owned();
            hits.push_back(Hit { time: p.time, offset: p.offset, kept: reader.costly().then(found) });
        }
    }
}
