//! One segment's part of an answer: planned from its index, then looked through, then read packet by packet in time order. Owns the
//! reader while the merge needs it. A damaged block is skipped and counted; an expired segment is no error.

use super::QueryError;
use super::judge::Judge;
use super::lang::plan::Plan;
use super::select::{Candidates, candidates};
use super::summary::Summary;
use crate::index::Index;
use crate::limits::STRIPE_BYTES;
use crate::store::list::SegmentRef;
use crate::store::reader::{FoundPacket, ReadError, SegmentReader};

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
}

/// A packet that matched. Of a segment that is still written its bytes are kept, since reading them again could cost a block
/// each; such segments are few.
struct Hit {
    time: u64,
    offset: u64,
    kept: Option<FoundPacket<'static>>,
}

/// A segment that may have packets of the answer.
pub struct Part {
    segment: SegmentRef,
    index: Option<Index>,
    reader: Option<SegmentReader>,
    /// Not later than its first packet of the answer.
    pub first: u64,
    hits: std::vec::IntoIter<Hit>,
}

impl Part {
    /// Looks at a segment as little as possible. `None`: it has nothing in the window, and `summary` says why.
    pub fn plan(segment: SegmentRef, q: &Question<'_>, summary: &mut Summary) -> Result<Option<Part>, QueryError> {
        summary.pruning.segments += 1;
        if !q.classes.is_empty() && segment.class.as_ref().is_some_and(|c| !q.classes.contains(c)) {
            summary.pruning.by_class += 1;
            return Ok(None);
        }
        let index = if segment.sealed && !q.full_scan { Index::open(&segment.index()).ok() } else { None };
        let index = index.filter(|i| i.about().number == segment.number);
        if let Some(about) = index.as_ref().map(Index::about) {
            summary.saw(about.packets, about.first, about.last);
            if about.packets == 0 || about.first >= q.to || about.last < q.from {
                summary.pruning.by_time += 1;
                return Ok(None);
            }
            let first = about.first;
            return Ok(Some(Part { segment, index, reader: None, first, hits: Vec::new().into_iter() }));
        }
        let Some(reader) = open(&segment, summary)? else { return Ok(None) };
        if !q.classes.is_empty() && !q.classes.contains(&reader.header().class) {
            summary.pruning.by_class += 1;
            return Ok(None);
        }
        let times = || reader.blocks().iter().map(|b| &b.totals);
        let first = times().map(|t| t.first).min().unwrap_or(u64::MAX);
        let last = times().map(|t| t.last).max().unwrap_or(0);
        summary.saw(times().map(|t| u64::from(t.packets)).sum(), first, last);
        if first >= q.to || last < q.from {
            summary.pruning.by_time += 1;
            return Ok(None);
        }
        summary.pruning.without_index += 1;
        Ok(Some(Part { segment, index: None, reader: Some(reader), first, hits: Vec::new().into_iter() }))
    }

    /// Finds what matches. To be called once, before [`next`](Part::next).
    pub fn look(&mut self, q: &Question<'_>, judge: &mut Judge, summary: &mut Summary) -> Result<(), QueryError> {
        let wanted = match &self.index {
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
        if self.reader.is_none() {
            self.reader = open(&self.segment, summary)?;
        }
        let Some(reader) = &self.reader else { return Ok(()) };
        // An index of another state of the segment proves nothing.
        let stale = self.index.as_ref().is_some_and(|i| !i.belongs_to(reader.header(), reader.end()));
        summary.damaged_indexes += u64::from(stale);
        summary.damaged_blocks += reader.bad().len() as u64;
        if !judge.prepare(reader.link_type()) {
            return Ok(());
        }
        let few = self.index.as_ref().map_or(0, |i| i.about().packets / 2);
        let mut hits = match wanted {
            Candidates::At(offsets) if !stale && offsets.len() as u64 <= few => {
                pick(reader, &offsets, q, judge, summary)
            }
            _ => scan(reader, q, judge, summary),
        };
        // Stable: packets of equal times stay as they were recorded. Runs that are sorted already cost nothing.
        hits.sort_by_key(|h| h.time);
        self.hits = hits.into_iter();
        Ok(())
    }

    /// Time of the next packet, for the merge: with worker, segment and offset, which order packets of equal times.
    pub fn order(&self) -> Option<(u64, u16, u64, u64)> {
        let next = self.hits.as_slice().first()?;
        let worker = self.reader.as_ref().map_or(0, |r| r.header().worker);
        Some((next.time, worker, self.segment.number, next.offset))
    }

    /// Hands the next packet to `each`.
    pub fn next<T>(
        &mut self,
        each: impl FnOnce(&FoundPacket<'_>, &SegmentReader) -> T,
    ) -> Option<Result<T, ReadError>> {
        let hit = self.hits.next()?;
        let reader = self.reader.as_ref()?;
        Some(match hit.kept {
            Some(p) => Ok(each(&p, reader)),
            None => reader.packet_at(hit.offset).map(|p| each(&p, reader)),
        })
    }
}

fn open(segment: &SegmentRef, summary: &mut Summary) -> Result<Option<SegmentReader>, QueryError> {
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

/// Reads the candidates one by one.
fn pick(reader: &SegmentReader, at: &[u64], q: &Question<'_>, judge: &mut Judge, summary: &mut Summary) -> Vec<Hit> {
    let (link_type, mut hits, mut stripe) = (reader.link_type(), Vec::new(), u64::MAX);
    for block in reader.blocks() {
        let from = at.partition_point(|&o| o < block.offset);
        let to = at.partition_point(|&o| o < block.offset + block.len as u64);
        if block.totals.first >= q.to || block.totals.last < q.from {
            continue;
        }
        for &offset in at.get(from..to).unwrap_or_default() {
            let here = offset / STRIPE_BYTES as u64;
            if here != stripe {
                summary.pruning.bytes_read += STRIPE_BYTES as u64;
                stripe = here;
            }
            summary.pruning.candidates += 1;
            match reader.packet_at(offset) {
                Ok(p) if p.time >= q.from && p.time < q.to && judge.matches(link_type, &p.data, p.wire_len) => {
                    hits.push(Hit { time: p.time, offset, kept: None });
                }
                Ok(_) => {}
                Err(_) => summary.damaged_packets += 1,
            }
        }
    }
    hits
}

/// Reads every block in the window.
fn scan(reader: &SegmentReader, q: &Question<'_>, judge: &mut Judge, summary: &mut Summary) -> Vec<Hit> {
    let (link_type, mut hits) = (reader.link_type(), Vec::new());
    for block in reader.blocks() {
        if block.totals.first >= q.to || block.totals.last < q.from {
            continue;
        }
        summary.pruning.bytes_read += block.len as u64;
        let Ok(block) = reader.block(block) else {
            summary.damaged_blocks += 1;
            continue;
        };
        for p in block.packets() {
            let Ok(p) = p else {
                summary.damaged_packets += 1;
                break;
            };
            summary.pruning.candidates += 1;
            if p.time >= q.from && p.time < q.to && judge.matches(link_type, p.data, p.wire_len) {
                let kept = (!reader.sealed()).then(|| FoundPacket { data: p.data.to_vec().into(), ..owned(&p) });
                hits.push(Hit { time: p.time, offset: p.offset, kept });
            }
        }
    }
    hits
}

fn owned(p: &crate::store::format::StoredPacket<'_>) -> FoundPacket<'static> {
    let crate::store::format::StoredPacket { offset, time, iface, wire_len, mark, .. } = *p;
    FoundPacket { offset, time, iface, wire_len, data: Vec::new().into(), mark }
}
