//! Packets of many segments in one time order: (time, worker, segment, offset). A segment is opened only when the merge comes near
//! its first packet, with some others, looked at block by block, and let go when it is empty, so that memory goes with how many
//! overlap, not with the answer.

use super::QueryError;
use super::ahead::Readers;
use super::foreseen::Foreseen;
use super::judge::Judge;
use super::part::{self, Part, Question};
use super::summary::Summary;
use crate::limits::{BLOCKS_AHEAD, BLOCKS_AHEAD_MAX, LOOKS_AT_ONCE};
use crate::store::reader::{FoundPacket, SegmentReader};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// What packets of an answer are ordered by: time, worker, segment, offset.
pub type Order = (u64, u16, u64, u64);

/// A part whose next packet is known.
struct Open {
    place: Order,
    part: Box<Part>,
}

impl PartialEq for Open {
    fn eq(&self, other: &Open) -> bool {
        self.place == other.place
    }
}
impl Eq for Open {}
impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Open) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Open {
    /// The earliest is the greatest, which a heap gives first.
    fn cmp(&self, other: &Open) -> std::cmp::Ordering {
        other.place.cmp(&self.place)
    }
}

/// The segments of an answer.
pub struct Merge<'a> {
    /// Not looked at yet, the latest first.
    waiting: Vec<Part>,
    open: BinaryHeap<Open>,
    /// So many are looked at next: few at first, since the first may be enough.
    looks: usize,
    /// So many blocks of a part are sifted before they are needed: few at first, too.
    ahead: usize,
    readers: Readers,
    /// What is told early whose receipts will be wanted.
    foreseen: Option<&'a Foreseen<'a>>,
}

impl<'a> Merge<'a> {
    /// Of these parts; `whole`: all of them will be looked at, whatever comes first.
    pub fn new(mut parts: Vec<Part>, whole: bool, foreseen: Option<&'a Foreseen<'a>>) -> Merge<'a> {
        parts.sort_by_key(|p| Reverse(p.first));
        Merge {
            waiting: parts,
            open: BinaryHeap::new(),
            looks: if whole { LOOKS_AT_ONCE } else { 2 },
            ahead: if whole { BLOCKS_AHEAD } else { 2 },
            readers: Readers::default(),
            foreseen,
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
                if self.open.peek().is_some_and(|open| open.place.0 < next.first) {
                    break;
                }
                if next.is_new() {
                    self.look(q, judge, summary)?;
                } else if let Some(part) = self.waiting.pop() {
                    self.put(part, q, judge, summary);
                }
            }
            let share = self.share();
            let Some(mut first) = self.open.peek_mut() else { return Ok(None) };
            let got = first.part.next(|p, reader| each.take().map(|each| each(p, reader, judge)));
            let found = first.part.find(q, judge, (&self.readers, share), summary);
            match (found, first.part.place()) {
                (Some(_), Some(place)) => {
                    first.place = place;
                    drop(first);
                }
                _ => drop(PeekMut::pop(first)),
            }
            if found != Some(0) {
                self.go_ahead(q, judge);
            }
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
        let expected = next.iter_mut().flat_map(|p| std::mem::take(&mut p.expected));
        if let Some(foreseen) = self.foreseen {
            foreseen.expect(expected);
        }
        next.retain(|p| p.has_interface(q, summary));
        part::gather(&mut next, summary);
        next.retain(|p| p.link_type().is_some_and(|l| judge.prepare(l)));
        self.waiting.append(&mut next);
        self.waiting.sort_by_key(|p| Reverse(p.first));
        Ok(())
    }

    fn put(&mut self, part: Part, q: &Question<'_>, judge: &mut Judge, summary: &mut Summary) {
        let (mut part, share) = (Box::new(part), self.share());
        if part.find(q, judge, (&self.readers, share), summary).is_some()
            && let Some(place) = part.place()
        {
            self.open.push(Open { place, part });
        }
        self.go_ahead(q, judge);
    }

    /// How much of what may be sifted ahead falls to each open part.
    fn share(&self) -> usize {
        (BLOCKS_AHEAD_MAX / (self.open.len() + 1)).clamp(1, self.ahead)
    }

    /// Another block was needed: where those of the open parts are all under way, the next parts' are begun, so that no thread
    /// is idle between two segments.
    fn go_ahead(&mut self, q: &Question<'_>, judge: &mut Judge) {
        self.ahead = (self.ahead + 1).min(BLOCKS_AHEAD);
        if self.ahead == BLOCKS_AHEAD && self.open.iter().all(|open| open.part.all_ahead()) {
            let next = self.waiting.iter_mut().rev().take_while(|p| !p.is_new());
            let _ = next.map(|p| p.read_ahead(q, judge, &self.readers, BLOCKS_AHEAD)).take_while(|&all| all).count();
        }
    }
}
