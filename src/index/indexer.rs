//! The recorder's indexer: makes the index of each segment that is sealed, keeps the files of filters, and once after the start looks
//! through the indexes that are there and makes the damaged ones again. Runs on the keeper's indexer thread, and the look on one of
//! its own at idle priority; never on the packet path.

use super::filters::{self, FileLengths};
use super::skip::Skip;
use super::{Index, IndexError, Run, Scope, build, file};
use crate::privilege;
use crate::store::format::{StoreId, header_bytes};
use crate::store::layout::{self, Layout};
use crate::store::list::{SegmentRef, id_in_segments, sealed};
use crate::window::SealedInWindow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The file of filters is written anew when it has so many entries more than there are segments, and twice as many.
const STALE_ENTRIES: usize = 64;
/// The look goes on this long after the recording has ended, so that short ones get through it too.
const LOOK_END: Duration = Duration::from_secs(2);

/// Makes indexes for one store.
pub struct Indexer {
    layout: Layout,
    /// `None`: it has not been brought up to date since the start.
    entries: Mutex<Option<Entries>>,
    /// When the look is to end, once that is known.
    stop: Arc<OnceLock<Instant>>,
    look: Mutex<Option<JoinHandle<()>>>,
    memory: Option<Memory>,
}

/// The file of filters.
struct Entries {
    /// How many it has.
    now: usize,
    /// With so many it is written anew.
    most: usize,
    lengths: FileLengths,
}

/// Of a store with so many segments.
fn most(segments: usize) -> usize {
    2 * segments + STALE_ENTRIES
}

/// Tells what is in memory of a segment of this number.
pub type Memory = Box<dyn Fn(u64) -> Vec<Arc<Run>> + Send + Sync>;

impl Indexer {
    /// For the store at this path.
    pub fn new(store: &Path) -> Indexer {
        let (layout, stop) = (Layout::new(store), Arc::default());
        Indexer { layout, entries: Mutex::new(None), stop, look: Mutex::new(None), memory: None }
    }

    /// With what is in memory: where that is all of a segment, its index is made of the indexes there.
    pub fn with_memory(mut self, memory: Memory) -> Indexer {
        self.memory = Some(memory);
        self
    }

    /// Begins the look at what is there, once the store is open for recording: on a thread that first calls `idle`, which lowers its
    /// priority.
    pub fn look(&self, idle: fn()) {
        let (layout, stop) = (self.layout.clone(), self.stop.clone());
        let thread = std::thread::Builder::new().name("index-check".into()).spawn(move || {
            privilege::without_capabilities();
            idle();
            look(&layout, &stop);
        });
        *self.look.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = thread.ok();
    }

    /// Makes the index of a sealed segment and enters its filter.
    pub fn index(&self, segment: &Path) {
        let made = match self.in_memory(segment) {
            Some(index) => file::write(&layout::index_of(segment), index.all()),
            None => build(segment),
        };
        // One that has expired meanwhile needs none.
        if let Err(e) = made.and_then(|()| self.enter(segment))
            && segment.exists()
        {
            tracing::warn!("{}: no index: {e}", segment.display());
        }
    }

    /// Makes those that are missing, of all segments that are sealed.
    pub fn index_missing(&self) {
        self.index_missing_while(&|| true);
    }

    /// The same as long as `go_on` says so before each.
    pub fn index_missing_while(&self, go_on: &dyn Fn() -> bool) {
        let all = sealed(&self.layout).unwrap_or_default();
        let missing = all.iter().filter(|s| !s.index().exists());
        missing.take_while(|_| go_on()).for_each(|s| self.index_if_there(&s.path));
    }

    /// Makes that of a segment which another process has sealed; of this class, where it has a name.
    pub fn index_of(&self, class: Option<&str>, segment: &SealedInWindow) {
        let SealedInWindow { number, worker, first, .. } = *segment;
        let path = class.map(|class| self.layout.sealed_segment(class, first, worker, number));
        match path.filter(|path| path.exists()) {
            Some(path) if !layout::index_of(&path).exists() => self.index_if_there(&path),
            _ => {}
        }
    }

    fn index_if_there(&self, segment: &Path) {
        self.index(segment);
        // It may have expired meanwhile; whoever lets it expire removes the segment first, so one of the two finds the index.
        if !segment.exists() {
            let _ = std::fs::remove_file(layout::index_of(segment));
        }
    }

    /// `None`: not all of its blocks are there.
    fn in_memory(&self, segment: &Path) -> Option<Index> {
        let (_, number) = layout::sealed_number(segment)?;
        let runs = self.memory.as_ref()?(number);
        let (first, last) = (runs.first()?.reader(), runs.last()?.reader());
        let start = header_bytes(&first.header().interfaces) as u64;
        if first.span().start != start || std::fs::metadata(segment).ok()?.len() != last.span().end {
            return None;
        }
        // The last blocks have come a moment ago: some have no index yet.
        let made: Vec<Option<Index>> =
            runs.iter().map(|r| if r.index().is_none() { Index::make(r.reader()).ok() } else { None }).collect();
        let indexes: Option<Vec<&Index>> = runs.iter().zip(&made).map(|(r, m)| r.index().or(m.as_ref())).collect();
        Index::merge(&indexes?, Scope::Segment).ok()
    }

    fn enter(&self, segment: &Path) -> Result<(), IndexError> {
        let mut entries = self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let path = self.layout.filters();
        if let Some(entries) = &mut *entries {
            if entries.now >= entries.most {
                // There may be more segments than when they were counted last. Not for each of them: that would grow with the store.
                entries.most = most(sealed(&self.layout).map_or(0, |s| s.len()));
            }
            if entries.now < entries.most {
                let made = Skip::of(&Index::open(&layout::index_of(segment))?)?;
                let Some(skip) = SegmentRef::sealed(segment).and_then(|s| made.stamped(&s)) else { return Ok(()) };
                if filters::append(&path, &skip, &mut entries.lengths)? {
                    entries.now += 1;
                    return Ok(());
                }
            }
        }
        if let Ok(store) = id_in_segments(&self.layout) {
            let all = collect(&self.layout, &store);
            let (now, most) = (all.len(), most(all.len()));
            *entries = Some(Entries { now, most, lengths: filters::write(&path, &store, &all)? });
        }
        Ok(())
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        let _ = self.stop.set(Instant::now() + LOOK_END);
        let look = self.look.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(thread) = look {
            let _ = thread.join();
        }
    }
}

/// What the file of filters should hold: entries that are good and of segments that are there, the rest from their indexes.
fn collect(layout: &Layout, store: &StoreId) -> Vec<Skip> {
    let mut known: HashMap<u64, Skip> =
        filters::read(&layout.filters()).0.into_iter().map(|s| (s.about().number, s)).collect();
    let mut all = Vec::new();
    // A segment that somebody has put there from another store is none of those that an entry can name.
    let ours = |s: &Skip, segment: &SegmentRef| s.about().store == *store && s.about().may_be_of(segment);
    for segment in sealed(layout).unwrap_or_default() {
        let good = known.remove(&segment.number).filter(|s| ours(s, &segment) && s.about().version > 0);
        let good = good.filter(|s| s.filter().is_some() && s.joint().is_some()).and_then(|s| s.stamped(&segment));
        let made = || Skip::of(&Index::open(&segment.index()).ok()?).ok()?.stamped(&segment);
        all.extend(good.or_else(made).filter(|s| ours(s, &segment)));
    }
    all
}

/// Sums every index that was there at the start, and makes those again that are damaged or stale.
fn look(layout: &Layout, stop: &OnceLock<Instant>) {
    for segment in sealed(layout).unwrap_or_default() {
        if stop.get().is_some_and(|end| Instant::now() > *end) {
            return;
        }
        if let Err(e @ (IndexError::Damaged(_) | IndexError::Stale)) = check(&segment) {
            tracing::warn!("{}: {e}: it is made again", segment.path.display());
            if let Err(e) = build(&segment.path) {
                tracing::warn!("{}: no index: {e}", segment.path.display());
            }
            if !segment.path.exists() {
                // It expired meanwhile.
                let _ = std::fs::remove_file(segment.index());
            }
        }
    }
}

/// Without a look at the segment's blocks, which would be a read for each. One without an index is the keeper's to have indexed.
fn check(segment: &SegmentRef) -> Result<(), IndexError> {
    let index = Index::open(&segment.index())?;
    index.check()?;
    let len = std::fs::metadata(&segment.path).map_or(index.about().end, |m| m.len());
    // One that has expired meanwhile has no header; nor has it a need for an index.
    let ours = segment.header().map_or(true, |h| index.belongs_to(&h, len));
    if ours && index.about().end == len { Ok(()) } else { Err(IndexError::Stale) }
}
