//! Finding the next packet of a part: block by block, in the order of their first packets, each packet put to the judge. Called by the
//! merge, after the look.

use super::look::within;
use super::{Hit, Part, Place, Question};
use crate::limits::{BLOCKS_AHEAD, STRIPE_BYTES};
use crate::query::ahead::Readers;
use crate::query::judge::Judge;
use crate::query::summary::Summary;
use crate::store::format::BlockTotals;
use crate::store::reader::{FoundPacket, SegmentReader};
use crate::store::scan::BlockRef;
use std::sync::Arc;

impl Part {
    /// Looks at as many blocks as it takes to know the next packet; false: there is none.
    pub fn find(&mut self, q: &Question<'_>, judge: &mut Judge, readers: &Readers, summary: &mut Summary) -> bool {
        loop {
            let next = self.hits.front().map(|h| h.time);
            match (next, self.next_block()) {
                (Some(time), Some(block)) if block.first > time => return true,
                (known, None) => return known.is_some(),
                _ => {}
            }
            if !q.pace.go_on() {
                return false;
            }
            let before = self.hits.len();
            self.next_hits(q, judge, readers, summary);
            // Stable: packets of equal times stay as they were recorded. Runs that are sorted already cost little.
            let hits = self.hits.make_contiguous();
            if hits.get(before.saturating_sub(1)..).is_some_and(|new| !new.is_sorted_by_key(|h| (h.time, h.offset))) {
                hits.sort_by_key(|h| (h.time, h.offset));
            }
        }
    }

    fn next_block(&self) -> Option<&BlockTotals> {
        self.coming.front().map(|(b, _)| b).or(self.blocks.last()).map(|b| &b.totals)
    }

    /// The hits of the next block.
    fn next_hits(&mut self, q: &Question<'_>, judge: &mut Judge, readers: &Readers, summary: &mut Summary) {
        self.read_ahead(readers);
        if let Some((block, read)) = self.coming.pop_front() {
            let Some(reader) = self.place.reader() else { return };
            let mut looking = Looking { reader, q, judge, summary, hits: &mut self.hits };
            let at = within(self.at.as_deref(), &block);
            let read = read.wait();
            match (&read, at) {
                (Some((Ok(bytes), buffer)), at) => {
                    looking.summary.pruning.bytes_read += bytes;
                    match at {
                        Some(at) => at.iter().for_each(|&o| looking.one_of(buffer, &block, o)),
                        None => looking.all_of(buffer, &block),
                    }
                }
                // One by one: what is not in the damaged stripe is found.
                (_, Some(at)) => looking.pick(at),
                (_, None) => looking.damaged(&block),
            }
            if let Some((_, buffer)) = read {
                readers.give_back(buffer);
            }
            return;
        }
        let (Some(block), Some(reader)) = (self.blocks.pop(), self.place.reader()) else { return };
        let mut looking = Looking { reader, q, judge, summary, hits: &mut self.hits };
        match (self.gathered.remove(&block.offset), within(self.at.as_deref(), &block)) {
            (Some(packets), _) => packets.into_iter().for_each(|p| looking.take(p)),
            (None, Some(at)) => looking.pick(at),
            (None, None) => looking.scan(&block),
        }
    }

    /// Has the next blocks read that are not gathered.
    fn read_ahead(&mut self, readers: &Readers) {
        let Place::File(f) = &self.place else { return };
        let Some(reader) = f.reader.as_ref().filter(|r| r.sparse()) else { return };
        while self.coming.len() < BLOCKS_AHEAD
            && let Some(&block) = self.blocks.last()
            && !self.gathered.contains_key(&block.offset)
        {
            let at = within(self.at.as_deref(), &block).map(<[u64]>::to_vec);
            let Some(read) = readers.read(Arc::clone(reader), block, at) else { return };
            self.coming.push_back((block, read));
            self.blocks.pop();
        }
    }
}

/// A block being looked at.
struct Looking<'a, 'q> {
    reader: &'a SegmentReader,
    q: &'a Question<'q>,
    judge: &'a mut Judge,
    summary: &'a mut Summary,
    hits: &'a mut std::collections::VecDeque<Hit>,
}

impl Looking<'_, '_> {
    fn answers(&mut self, p: &FoundPacket<'_>) -> bool {
        self.summary.pruning.candidates += 1;
        let inside = p.time >= self.q.from && p.time < self.q.to;
        inside && self.judge.matches(self.reader.link_type(), &p.data, p.wire_len)
    }

    /// A packet that has been read.
    fn take(&mut self, p: FoundPacket<'static>) {
        if self.answers(&p) {
            self.hits.push_back(Hit { time: p.time, offset: p.offset, kept: Some(p) });
        }
    }

    /// One of a block that has been read.
    fn one_of(&mut self, bytes: &[u8], block: &BlockRef, offset: u64) {
        match self.reader.packet_in(bytes, block, offset) {
            Ok(p) if self.answers(&p) => {
                self.hits.push_back(Hit { time: p.time, offset, kept: Some(p.into_owned()) });
            }
            Ok(_) => {}
            Err(_) => self.damaged_packet(offset),
        }
    }

    /// All of a block that has been read.
    fn all_of(&mut self, bytes: &[u8], block: &BlockRef) {
        for p in self.reader.packets_in(bytes, block) {
            let Ok(p) = p else {
                self.damaged_packet(block.offset);
                break;
            };
            if self.answers(&p) {
                self.hits.push_back(Hit { time: p.time, offset: p.offset, kept: Some(p.into_owned()) });
            }
        }
    }

    /// The candidates of a block one by one.
    fn pick(&mut self, at: &[u64]) {
        let (mut stripe, costly) = (u64::MAX, self.reader.costly());
        for &offset in at {
            let here = offset / STRIPE_BYTES as u64;
            if here != stripe {
                self.summary.pruning.bytes_read += STRIPE_BYTES as u64;
                stripe = here;
            }
            match self.reader.packet_at(offset) {
                Ok(p) if self.answers(&p) => {
                    let time = p.time;
                    self.hits.push_back(Hit { time, offset, kept: costly.then(|| p.into_owned()) });
                }
                Ok(_) => {}
                Err(_) => self.damaged_packet(offset),
            }
        }
    }

    /// A whole block.
    fn scan(&mut self, block: &BlockRef) {
        self.summary.pruning.bytes_read += block.len as u64;
        let costly = self.reader.costly();
        let Ok(whole) = self.reader.block(block) else { return self.damaged(block) };
        for p in whole.found() {
            let Ok(p) = p else {
                self.damaged_packet(block.offset);
                break;
            };
            if self.answers(&p) {
                self.hits.push_back(Hit { time: p.time, offset: p.offset, kept: costly.then(|| p.into_owned()) });
            }
        }
    }

    fn damaged(&mut self, block: &BlockRef) {
        self.summary.damaged_blocks += 1;
        self.summary.damaged_at(self.reader.path(), block.offset);
    }

    fn damaged_packet(&mut self, offset: u64) {
        self.summary.damaged_packets += 1;
        self.summary.damaged_at(self.reader.path(), offset);
    }
}
