//! Connections that are not tracked: the table is full, or a flood's limits keep them out. Owns what makes room and what becomes of the
//! packets of those that find none; called by the tracker at a connection's first packet.

use super::entry::TableKey;
use super::flood::Refused;
use super::shunt::Shunt;
use super::table::{Place, Table};
use super::tracker::{Core, Judged};
use super::verdict::{Mark, Verdict};
use crate::class::ClassId;
use crate::limits::UNTRACKED_PER_SECOND;

const SECOND: u64 = 1_000_000_000;

/// Packets that may be stored untracked in one second of packet time.
#[derive(Debug, Default)]
pub(super) struct Cap {
    second: u64,
    stored: u32,
}

impl Cap {
    /// True if no more is to be stored. The second goes on, or far back where a file's times jump.
    fn used_up(&mut self, time: u64) -> bool {
        let second = time / SECOND;
        if second > self.second || second + 1 < self.second {
            (self.second, self.stored) = (second, 0);
        }
        self.stored >= UNTRACKED_PER_SECOND
    }
}

impl Core {
    /// A packet of a connection that a flood's limits keep out. What one source sends too much of is not even classified.
    #[cold]
    pub(super) fn refused(&mut self, why: Refused, j: Judged<'_>) -> Verdict {
        self.stats.flood_refused += 1;
        match why {
            Refused::Source => Verdict::Flood,
            Refused::Crowd => {
                let (class, _) = self.class_by(j, j.p.swapped != j.accepts());
                self.untracked(class, j.packet.time)
            }
        }
    }

    /// Where a new connection finds no free place: removes from them what has ended.
    pub(super) fn make_room<K: TableKey>(
        &mut self,
        table: &mut Table<K>,
        place: Place,
        time: u64,
        shunt: &mut impl Shunt,
    ) {
        // In a flood most looks are in vain: then only one in eight packets takes the time.
        let vain = self.untracked.used_up(time) && !self.stats.table_full.is_multiple_of(8);
        if vain || !table.crowded(place) {
            return;
        }
        for index in table.window(place) {
            let Some(at) = table.place_of(index) else { continue };
            let Some(e) = table.get_mut(index) else { continue };
            if let Some(slot) = e.shunted() {
                e.advance(shunt.counts(slot).last);
            }
            if let Some(end) = self.over(e, time, None) {
                self.close(e, at, end, shunt);
                table.remove(index);
                self.stats.made_room += 1;
            }
        }
    }

    /// A packet of a connection for which there is no place.
    pub(super) fn untracked(&mut self, class: ClassId, time: u64) -> Verdict {
        if !self.classes.policy(class).record {
            return Verdict::Discard { class };
        }
        if self.untracked.used_up(time) {
            return Verdict::Flood;
        }
        self.untracked.stored += 1;
        self.stats.untracked += 1;
        Verdict::Store { class, mark: Mark::Untracked }
    }
}
