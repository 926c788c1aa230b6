//! A sealed segment with what its index says, and whether that is believed: an index or a filter counts only for the state of the segment
//! that it was made of. People copy segments from store to store, restore half a backup, leave an old index beside a new file. Owns that
//! decision; what is not believed costs time, never a packet. Made by the engine when it lists the store.

use super::part::Question;
use super::plans::Plans;
use crate::index::{About, Index, IndexError, Skip};
use crate::store::format::StoreId;
use crate::store::list::SegmentRef;
use std::sync::OnceLock;

/// Marks what is no number of this store: those rise by one, and never come so far.
const FOREIGN: u64 = 1 << 63;

/// A sealed segment; with what its index says, if it has one.
pub struct Sealed {
    /// Where it is.
    pub segment: SegmentRef,
    /// Its times and addresses.
    pub skip: Option<Skip>,
    /// Of this store: its number names it.
    own: bool,
    /// Its file is the one that the index was made of.
    proven: OnceLock<bool>,
}

impl Sealed {
    /// Of the store with this id. `alone`: no other segment that is there has its number. `filed`: the entry of the store's file of filters
    /// that has its number.
    pub(super) fn of(segment: SegmentRef, store: &StoreId, alone: bool, filed: Option<Skip>) -> Sealed {
        let filed = filed.filter(|s| alone && s.about().may_be_of(&segment) && s.about().tells_link_type());
        if filed.is_some() {
            return Sealed { segment, skip: filed, own: true, proven: OnceLock::new() };
        }
        let skip = Index::open(&segment.index()).and_then(|i| Skip::of(&i)).ok();
        let skip = skip.filter(|s| s.about().may_be_of(&segment) && s.about().bad == 0);
        if skip.as_ref().is_some_and(|s| alone && s.about().store == *store && s.about().tells_link_type()) {
            return Sealed { segment, skip, own: true, proven: OnceLock::new() };
        }
        // Rare: its own first bytes say what it is.
        let header = segment.header().ok();
        let own = header.as_ref().is_none_or(|h| h.store == *store && h.number == segment.number);
        let link_type = header.as_ref().and_then(|h| h.interfaces.first()).map(|i| i.link_type);
        let skip = skip.zip(link_type).map(|(skip, link_type)| skip.with_link_type(link_type));
        Sealed { segment, skip, own, proven: OnceLock::new() }
    }

    /// False if it was put here from another store: its number may be that of another segment.
    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// A number that no other segment has.
    pub(super) fn id(&self) -> u64 {
        let name = self.segment.path.as_os_str().as_encoded_bytes();
        if self.own { self.segment.number } else { FOREIGN | u64::from(crc32c::crc32c(name)) }
    }

    /// Opens its index. One that was made of a segment in which something is damaged is none: what it lacks may be there.
    pub(super) fn index(&self) -> Result<Index, IndexError> {
        let index = Index::open(&self.segment.index())?;
        if index.about().bad > 0 {
            return Err(IndexError::Partial);
        }
        let same = self.skip.as_ref().is_some_and(|s| s.about().same_segment(index.about()));
        if same && self.is_proven() { Ok(index) } else { Err(IndexError::Stale) }
    }

    /// Whether its file is the one that its index was made of; looked at once, before something is ruled out.
    fn is_proven(&self) -> bool {
        *self.proven.get_or_init(|| self.skip.as_ref().is_some_and(|s| s.is_of(&self.segment)))
    }

    /// False if its index says that it has nothing for this window or these classes.
    pub(super) fn may_overlap(&self, q: &Question<'_>) -> bool {
        let class = self.segment.class.as_ref().is_none_or(|c| q.wants_class(c));
        class && self.skip.as_ref().is_none_or(|s| s.about().packets > 0 && q.overlaps(s.about().first, s.about().last))
    }

    /// False if its address filter says that it has nothing for these plans.
    pub(super) fn may_have(&self, plans: &Plans) -> bool {
        let may = |s: &Skip| plans.of(s.about()).may(&mut |lo, hi| lo != hi || s.may_have(lo));
        self.skip.as_ref().is_none_or(may) || !self.is_proven()
    }

    /// The same of its joint filter.
    pub(super) fn may_join(&self, plans: &Plans) -> bool {
        let may = |s: &Skip| plans.of(s.about()).may_join(&mut |a, b| s.may_join(a, b));
        self.skip.as_ref().is_none_or(may) || !self.is_proven()
    }

    /// The same for a community ID.
    pub(super) fn may_have_community(&self, id: &str) -> bool {
        self.skip.as_ref().is_none_or(|s| s.may_have_community(id)) || !self.is_proven()
    }

    /// What its index says of itself.
    pub(super) fn about(&self) -> Option<&About> {
        self.skip.as_ref().map(Skip::about)
    }
}
