//! Packets of many segments in one time order: (time, worker, segment, offset). A segment is opened only when the merge
//! reaches its first packet, looked at block by block, and let go when it is empty, so that memory goes with how many overlap, not with
//! the answer.

use super::QueryError;
use super::judge::Judge;
use super::part::{Part, Question};
use super::summary::Summary;
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
}

impl Merge {
    /// Of these parts.
    pub fn new(mut parts: Vec<Part>) -> Merge {
        parts.sort_by_key(|p| Reverse(p.first));
        Merge { waiting: parts, open: HashMap::new(), heap: BinaryHeap::new(), opened: 0 }
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
                if let Some(mut part) = self.waiting.pop() {
                    part.look(q, judge, summary)?;
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

    fn put(&mut self, mut part: Part, q: &Question<'_>, judge: &mut Judge, summary: &mut Summary) {
        if part.find(q, judge, summary)
            && let Some(order) = part.order()
        {
            let id = self.opened;
            self.opened += 1;
            self.heap.push(Reverse((order, id)));
            self.open.insert(id, part);
        }
    }
}
