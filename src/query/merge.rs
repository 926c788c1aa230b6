//! Packets of many segments in one time order: (time, worker, segment, offset). A segment is opened only when the merge comes near
//! its first packet, with some others, looked at block by block, and let go when it is empty, so that memory goes with how many
//! overlap, not with the answer.

use super::QueryError;
use super::ahead::Readers;
use super::judge::Judge;
use super::part::{self, Part, Question};
use super::summary::Summary;
use crate::limits::LOOKS_AT_ONCE;
use crate::store::reader::{FoundPacket, SegmentReader};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// What packets of an answer are ordered by, the time first.
type Place = (u64, u16, u64, u64);

/// The segments of an answer.
pub struct Merge {
    /// Not looked at yet, the latest first.
    waiting: Vec<Part>,
    open: HashMap<usize, Part>,
    heap: BinaryHeap<Reverse<(Place, usize)>>,
    opened: usize,
    /// So many are looked at next: few at first, since the first may be enough.
    looks: usize,
    readers: Readers,
}

impl Merge {
    /// Of these parts; `whole`: all of them will be looked at, whatever comes first.
    pub fn new(mut parts: Vec<Part>, whole: bool) -> Merge {
        parts.sort_by_key(|p| Reverse(p.first));
        Merge {
            waiting: parts,
            open: HashMap::new(),
            heap: BinaryHeap::new(),
            opened: 0,
            looks: if whole { LOOKS_AT_ONCE } else { 2 },
            readers: Readers::default(),
        }
    }

    /// Hands the next packet to `each`; `None` at the end. A packet that can't be read is counted and left out.
    pub fn next<T>(
        &mut self,
        q: &Question<'_>,
        judge: &mut Judge,
        summary: &mut Summary,
        each: impl FnOnce(&FoundPacket<'_>, &SegmentReader, &mut Judge) -> T,
    ) -> Result<Option<T>, QueryError> {
        // Taken by the first packet that can be read.
        let mut each = Some(each);
        loop {
            while let Some(next) = self.waiting.last() {
                if self.heap.peek().is_some_and(|Reverse(((time, ..), _))| *time < next.first) {
                    break;
                }
                if next.is_new() {
                    self.look(q, judge, summary)?;
                } else if let Some(part) = self.waiting.pop() {
                    self.put(part, q, judge, summary);
                }
            }
            let Some(Reverse((_, id))) = self.heap.pop() else { return Ok(None) };
            let Some(mut part) = self.open.remove(&id) else { continue };
            let got = part.next(|p, reader| each.take().map(|each| each(p, reader, judge)));
            self.put(part, q, judge, summary);
            match got {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(_)) => summary.damaged_packets += 1,
                None => {}
            }
        }
    }

    /// Looks at the next parts; those that have something wait on, now with a better idea of their first packet.
    fn look(&mut self, q: &Question<'_>, judge: &mut Judge, summary: &mut Summary) -> Result<(), QueryError> {
        if !q.pace.go_on() {
            self.waiting.clear();
            return Ok(());
        }
        let mut next: Vec<Part> = Vec::new();
        while next.len() < self.looks
            && let Some(part) = self.waiting.pop_if(|p| p.is_new() && (p.in_file() || next.is_empty()))
        {
            let alone = !part.in_file();
            next.push(part);
            if alone {
                break;
            }
        }
        self.looks = (self.looks * 4).min(LOOKS_AT_ONCE);
        part::look(&mut next, q, summary)?;
        next.retain(|p| p.link_type().is_some_and(|l| judge.prepare(l)));
        self.waiting.append(&mut next);
        self.waiting.sort_by_key(|p| Reverse(p.first));
        Ok(())
    }

    fn put(&mut self, mut part: Part, q: &Question<'_>, judge: &mut Judge, summary: &mut Summary) {
        if part.find(q, judge, &self.readers, summary)
            && let Some(order) = part.order()
        {
            let id = self.opened;
            self.opened += 1;
            self.heap.push(Reverse((order, id)));
            self.open.insert(id, part);
        }
    }
}
