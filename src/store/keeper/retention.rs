//! What goes: segments that are too old or over a budget, and the oldest where the filesystem has no room. It is in the ledger before it is deleted.
//! Called by the keeper, whose state this works on.

use super::shelf::{Cause, Shelved, Unsealed as Bytes};
use super::{Keeper, SPACE_RETRY, space, unix_now};
use crate::store::event::StoreEvent;
use crate::store::layout;
use crate::store::segment::{OpenSegment, Stage};
use crate::units;
use std::io;
use std::sync::Arc;
use std::time::Instant;

impl Keeper {
    /// Drops the oldest sealed segments until `more` bytes fit the budgets, and those that are too old.
    pub(super) fn expire(&mut self, more: u64) {
        let supply = Arc::clone(&self.supply);
        let roll = supply.classes();
        let one = |s: &Arc<OpenSegment>| {
            let class = (s.stage() != Stage::Spare).then(|| roll.name(s.class()));
            Bytes { class, most: s.bytes.min(roll.segment_bytes(s.class())), taken: s.bytes }
        };
        let open: Vec<Bytes<'_>> =
            self.open.iter().map(one).chain([Bytes { class: None, most: more, taken: more }]).collect();
        let (mut all, now) = (Vec::new(), unix_now());
        while let Some(one) = self.shelf.excess(&self.plan.keep, &open, now) {
            all.push(one);
        }
        self.remove(all, now);
    }

    /// Deletes what was taken from the shelf. It is in the ledger first: who finds a file gone finds there that it has expired.
    fn remove(&mut self, all: Vec<(Shelved, Cause)>, now: u64) {
        if all.is_empty() {
            return;
        }
        for (gone, cause) in &all {
            let times = gone.times.known();
            let (path, class, age) = (gone.path.clone(), gone.class.clone(), now.saturating_sub(gone.ended));
            (self.on_event)(StoreEvent::Expired { path, times, class, cause: *cause, age });
        }
        // Before that nobody writes the ledger.
        if self.supply.is_recording() {
            (self.entered)();
        }
        for (gone, _) in all {
            if let Some((_, number)) = layout::sealed_number(&gone.path) {
                self.indexes.forget(number);
            }
            self.counts.expired += 1;
            self.counts.expired_bytes += gone.bytes;
            match std::fs::remove_file(&gone.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    (self.on_event)(StoreEvent::NotDeleted { path: gone.path.clone(), error: e.to_string() });
                }
                _ => {}
            }
            let _ = std::fs::remove_file(layout::index_of(&gone.path));
        }
    }

    /// Drops the oldest so that the next segment and the reserve fit the filesystem. What deleting gives back may show late: then it
    /// waits before it takes more.
    pub(super) fn make_room(&mut self) {
        if self.room_late.is_some_and(|t| t.elapsed() < SPACE_RETRY) {
            return;
        }
        let room = |k: &Self| space::Room::of(k.plan.layout.root());
        let Ok(before) = room(self) else { return };
        let lacks = before.lacks(self.plan.segment_bytes);
        if lacks == 0 {
            return;
        }
        let dropped = self.drop_oldest(lacks);
        let shows = room(self).is_ok_and(|now| now.free >= before.free.saturating_add(dropped / 2));
        self.room_late = (!shows).then(Instant::now);
    }

    /// Drops the oldest sealed segments, until so many bytes are given back or nothing is left that gives any. Returns the bytes.
    pub(super) fn drop_oldest(&mut self, bytes: u64) -> u64 {
        let (mut dropped, mut all) = (0, Vec::new());
        while dropped < bytes
            && let Some(gone) = self.shelf.oldest_of_all(&self.plan.keep, space::gives_room)
        {
            dropped += gone.bytes;
            all.push((gone, Cause::Store));
        }
        self.remove(all, unix_now());
        dropped
    }

    /// Why no segment can be made, for who has to do something about it.
    pub(super) fn why_none(&self, e: &io::Error) -> String {
        match space::Room::of(self.plan.layout.root()) {
            Ok(room) if space::is_full(e) => format!(
                "{e}: the filesystem of {} has {} of {} free, a segment takes {}, and nothing of the store can go",
                self.plan.layout.root().display(),
                units::size(room.free),
                units::size(room.size),
                units::size(self.plan.segment_bytes)
            ),
            _ => e.to_string(),
        }
    }
}
