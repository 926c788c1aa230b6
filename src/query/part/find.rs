//! Finding the next packet of a part: block by block, in the order of their first packets, each sifted. Called by the merge, after the
//! look.

use super::look::within;
use super::{Part, Place, Question};
use crate::query::ahead::{Job, Readers};
use crate::query::judge::Judge;
use crate::query::sift::{Asked, Hit, Sifting};
use crate::query::summary::Summary;
use crate::store::format::BlockTotals;
use std::sync::Arc;

impl Part {
    /// Looks at as many blocks as it takes to know the next packet, with so many others under way; says how many that were.
    /// `None`: there is no packet.
    pub fn find(
        &mut self,
        q: &Question<'_>,
        judge: &mut Judge,
        (readers, ahead): (&Readers, usize),
        summary: &mut Summary,
    ) -> Option<usize> {
        for looked_at in 0.. {
            let next = self.hits.front().map(|h| h.place().0);
            match (next, self.next_block()) {
                (Some(time), Some(block)) if block.first > time => return Some(looked_at),
                (known, None) => return known.map(|_| looked_at),
                _ => {}
            }
            if !q.pace.go_on() {
                return None;
            }
            let before = self.hits.len();
            self.read_ahead(q, judge, readers, ahead);
            self.next_hits(q, judge, summary);
            // Stable: packets of equal times stay as they were recorded. Runs that are sorted already cost little.
            let hits = self.hits.make_contiguous();
            if hits.get(before.saturating_sub(1)..).is_some_and(|new| !new.is_sorted_by_key(Hit::place)) {
                hits.sort_by_key(Hit::place);
            }
        }
        None
    }

    /// Whether all of its blocks have been looked at or are under way.
    pub fn all_ahead(&self) -> bool {
        self.blocks.is_empty()
    }

    fn next_block(&self) -> Option<&BlockTotals> {
        self.coming.front().map(|(b, _)| b).or(self.blocks.last()).map(|b| &b.totals)
    }

    fn asked(&self, q: &Question<'_>, judge: &mut Judge) -> Option<Asked> {
        let sieve = judge.sieve(self.place.reader()?.link_type());
        Some(Asked { sieve, window: q.from.max(self.since)..q.to })
    }

    /// The hits of the next block.
    fn next_hits(&mut self, q: &Question<'_>, judge: &mut Judge, summary: &mut Summary) {
        let (ahead, asked) = (self.coming.pop_front(), self.asked(q, judge));
        let (block, found) = match ahead {
            Some((block, coming)) => (Some(block), coming.wait()),
            None => (self.blocks.pop(), None),
        };
        let (Some(block), Some(reader), Some(asked)) = (block, self.place.reader(), asked) else { return };
        if reader.is_gone(&block) && !q.pace.may_take_long() {
            return;
        }
        let found = found.unwrap_or_else(|| {
            let sifting = Sifting::new(reader, &block, &asked);
            match self.gathered.remove(&block.offset) {
                Some(packets) => sifting.gathered(packets),
                None => sifting.read(within(self.at.as_deref(), &block)),
            }
        });
        summary.expired_segments += u64::from(found.expired && !std::mem::replace(&mut self.expired, found.expired));
        self.hits.extend(found.settle(reader, &block, summary));
    }

    /// Has the next blocks sifted that are not gathered, until so many are under way. True: there are no more.
    pub fn read_ahead(&mut self, q: &Question<'_>, judge: &mut Judge, readers: &Readers, ahead: usize) -> bool {
        let (Place::File(f), Some(asked)) = (&self.place, self.asked(q, judge)) else { return false };
        let Some(reader) = f.reader.as_ref().filter(|r| r.sparse()) else { return false };
        while self.coming.len() < ahead
            && let Some(&block) = self.blocks.last()
            && !self.gathered.contains_key(&block.offset)
        {
            let at = || within(self.at.as_deref(), &block).map(<[u64]>::to_vec);
            let job = || Job { reader: Arc::clone(reader), block, at: at(), asked: asked.clone() };
            let Some(coming) = readers.sift(job) else { return false };
            self.coming.push_back((block, coming));
            self.blocks.pop();
        }
        self.all_ahead()
    }
}
