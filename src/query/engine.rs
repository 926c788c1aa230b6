//! What is held of a store between queries: times and address filters of all its sealed segments. Made once for each query by the command
//! line, once for all of them by the recorder; brought up to date when a directory has changed. It never writes, and takes no
//! lock that capture takes.

use super::judge::Compiled;
use super::pace::{Pace, Stopped};
use super::part::Question;
use super::plans::Plans;
use super::room::AnswerRoom;
use super::running::Running;
use super::sealed::Sealed;
use super::view::View;
use super::{Cursor, Follower, PacketSink, Query, QueryError, Recording, Summary};
use crate::index::{Run, Skip, read_filters};
use crate::ledger::{Files, Held as Books, Pulse, Told};
use crate::limits::{COUNT_BYTES, COUNTS_BYTES, LIST_BYTES, LISTS_BYTES};
use crate::store::disk::mmap::Mapped;
use crate::store::layout::Layout;
use crate::store::list::{self, SegmentRef};
use crate::store::{StoreError, store_id};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

/// Has the address filters read that a question is going to ask: all at once, not one after another.
pub(super) fn will_have(sealed: &[Arc<Sealed>], q: &Question<'_>) {
    if !q.full_scan && !q.plans.whole().hosts().is_empty() {
        sealed.iter().filter(|s| s.may_overlap(q)).filter_map(|s| s.skip.as_ref()).for_each(Skip::will_have);
    }
}

/// Leaves those whose joint filters don't rule them out; the filters are read all at once, not one after another.
pub(super) fn joined<T>(mut of: Vec<T>, plans: &Plans, sealed: impl Fn(&T) -> Option<&Sealed>) -> Vec<T> {
    if plans.whole().joins() {
        of.iter().filter_map(|t| sealed(t)?.skip.as_ref()).for_each(Skip::will_join);
        of.retain(|t| sealed(t).is_none_or(|s| s.may_join(plans)));
    }
    of
}

/// All sealed segments, in the order of their numbers; shared, never changed.
pub type Shelf = Arc<Vec<Arc<Sealed>>>;

/// This store's own segment of a number.
pub(super) fn own(shelf: &Shelf, number: u64) -> Option<&Arc<Sealed>> {
    let from = shelf.partition_point(|s| s.segment.number < number);
    shelf.iter().skip(from).take_while(|s| s.segment.number == number).find(|s| s.is_own())
}

/// A store as queries see it.
pub struct Engine {
    layout: Layout,
    held: Mutex<Held>,
    files: Files,
    books: Option<Books>,
    running: Option<Arc<dyn Running>>,
    reach: Option<Arc<Reach>>,
    compiled: Compiled,
    id: OnceLock<String>,
    /// Memory for connections: of lists, and of the counts of all other answers.
    lists: Arc<AnswerRoom>,
    counts: Arc<AnswerRoom>,
}

/// How far back memory has all packets: by class, or of any other, from this time on (Unix ns).
pub type Reach = dyn Fn() -> Vec<(Option<String>, u64)> + Send + Sync;

/// What an answer is made with beside packets.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// Ledger and receipts.
    pub told: &'a dyn Told,
    /// The workers, where this process records.
    pub running: Option<&'a dyn Running>,
    /// How far memory reaches, where this process records.
    pub reach: Option<&'a Reach>,
    /// Expressions that are compiled already.
    pub compiled: &'a Compiled,
    /// Memory for the connections that are counted.
    pub counts: &'a Arc<AnswerRoom>,
    /// Nothing is compiled, and no file is looked at: where that would be needed the answer is an error.
    pub at_hand: bool,
}

#[derive(Default)]
struct Held {
    /// The directories and when they last changed.
    stamps: Vec<(PathBuf, Option<SystemTime>)>,
    sealed: Shelf,
    /// The files of filters, once they have been read.
    filters: Option<Vec<Arc<Mapped>>>,
}

/// A directory that has changed less than this before it was listed may change again without its time showing it.
const GRAIN: Duration = Duration::from_millis(50);

impl Engine {
    /// For the store at this path; nothing is read yet.
    pub fn new(store: &Path) -> Engine {
        let layout = Layout::new(store);
        let files = Files { ledger: layout.ledger(), receipts: layout.receipts() };
        let (held, compiled) = (Mutex::new(Held::default()), Compiled::default());
        let (id, lists, counts) =
            (OnceLock::new(), AnswerRoom::new(LISTS_BYTES, LIST_BYTES), AnswerRoom::new(COUNTS_BYTES, COUNT_BYTES));
        Engine { layout, held, files, books: None, running: None, reach: None, compiled, id, lists, counts }
    }

    /// With other bounds of memory: of all lists of connections and of one, and the same of counts.
    pub fn with_bounds(self, [lists, list]: [u64; 2], [counts, count]: [u64; 2]) -> Engine {
        Engine { lists: AnswerRoom::new(lists, list), counts: AnswerRoom::new(counts, count), ..self }
    }

    /// Memory for lists of connections.
    pub(super) fn lists(&self) -> &Arc<AnswerRoom> {
        &self.lists
    }

    /// Memory for the connections that answers count.
    pub(super) fn counts(&self) -> &Arc<AnswerRoom> {
        &self.counts
    }

    /// Bytes that lists of connections take now, and the counts of all other answers.
    pub fn taken(&self) -> [u64; 2] {
        [self.lists.taken(), self.counts.taken()]
    }

    /// The store's identity, 32 hexadecimal digits; empty if it can't be read. Only the first look reads a file.
    pub fn store_id(&self) -> &str {
        self.id.get_or_init(|| store_id(self.layout.root()).unwrap_or_default())
    }

    /// In the recorder's own process, whose ledger and receipts beat these pulses: they are held in memory.
    pub fn with_books(mut self, ledger: &Arc<Pulse>, receipts: &Arc<Pulse>) -> Engine {
        self.books = Some(Books::new(self.files.clone(), ledger.clone(), receipts.clone()));
        self
    }

    /// In the recorder's own process, whose workers know of connections that run.
    pub fn with_running(mut self, running: Arc<dyn Running>) -> Engine {
        self.running = Some(running);
        self
    }

    /// In the recorder's own process, whose memory reaches so far.
    pub fn with_reach(mut self, reach: Arc<Reach>) -> Engine {
        self.reach = Some(reach);
        self
    }

    /// What answers are made with.
    pub(super) fn means(&self) -> Means<'_> {
        let told: &dyn Told = match &self.books {
            Some(books) => books,
            None => &self.files,
        };
        Means {
            told,
            running: self.running.as_deref(),
            reach: self.reach.as_deref(),
            compiled: &self.compiled,
            counts: &self.counts,
            at_hand: false,
        }
    }

    /// A follower of what a recorder that was started then writes: at the beginning of its past, or where another one stood. `view` is only
    /// looked at for its times and classes.
    pub fn follow(
        &self,
        query: &Query,
        view: &View<'_>,
        start: u64,
        after: Option<&Cursor>,
    ) -> Result<Follower, QueryError> {
        Follower::new(query, self.means(), view, Recording { store: self.store_id(), start }, after)
    }

    /// What has come since a follower's last round: see [`Follower::round`].
    pub fn round(
        &self,
        follower: &mut Follower,
        view: &View<'_>,
        before: u64,
        out: &mut dyn PacketSink,
    ) -> Result<bool, QueryError> {
        follower.round(self.means(), view, before, out)
    }

    /// The end of a follower.
    pub fn finish(&self, follower: Follower, pace: &dyn Pace) -> Result<Summary, QueryError> {
        follower.finish(self.means(), pace)
    }

    /// Answers what can be answered at once from memory, from what is held, and without a look at any file; an error where that is
    /// not so, and then the same question by another way may have an answer.
    pub fn answer_at_hand(
        &self,
        query: &Query,
        recent: &[Arc<Run>],
        pace: &dyn Pace,
        out: &mut dyn PacketSink,
    ) -> Result<Summary, QueryError> {
        let stopped = QueryError::Stopped(Stopped::NotAtHand);
        let books = self.books.as_ref().filter(|_| query.memory_only).ok_or(stopped)?;
        let told = books.at_hand();
        let means = Means { told: &told, at_hand: true, ..self.means() };
        let view = View { open: Vec::new(), made: Vec::new(), sealed: Shelf::default(), ended: false, recent, pace };
        super::run::answer(query, means, &view, out).map(|(summary, _)| summary)
    }

    /// The store's paths.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All segments: those that are not sealed, then the sealed ones, in the order of their numbers.
    pub fn segments(&self) -> Result<(Vec<SegmentRef>, Shelf), QueryError> {
        // Unsealed ones first: one that is sealed meanwhile is then found in one of the two places, or in both.
        let mut open = list::unsealed(&self.layout)?;
        let sealed = self.sealed()?;
        open.retain(|s| own(&sealed, s.number).is_none());
        Ok((open, sealed))
    }

    /// Memory that the filters take.
    pub fn bytes(&self) -> usize {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.sealed.iter().map(|s| s.skip.as_ref().map_or(0, Skip::bytes) + size_of::<Sealed>()).sum()
    }

    /// The sealed ones.
    pub fn shelf(&self) -> Result<Shelf, QueryError> {
        Ok(self.sealed()?)
    }

    fn sealed(&self) -> Result<Shelf, StoreError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = |(dir, then): &(PathBuf, Option<SystemTime>)| then.is_none() || changed_at(dir) != *then;
        held.filters.iter().flatten().for_each(|f| f.look_again());
        if !held.stamps.is_empty() && !held.stamps.iter().any(changed) {
            return Ok(held.sealed.clone());
        }
        let begun = SystemTime::now();
        let stamps = list::directories(&self.layout)?.into_iter().map(|dir| {
            let at = changed_at(&dir).filter(|&t| t + GRAIN < begun);
            (dir, at)
        });
        let stamps = stamps.collect();
        let mut known: HashMap<u64, Arc<Sealed>> =
            held.sealed.iter().filter(|s| s.skip.is_some()).map(|s| (s.segment.number, s.clone())).collect();
        let store = list::id_in_segments(&self.layout)?;
        let mut filed: HashMap<u64, Skip> = HashMap::new();
        if held.filters.is_none() {
            let (entries, files) = read_filters(&self.layout.filters());
            let entries = entries.into_iter().filter(|s| s.about().store == store);
            filed = entries.map(|s| (s.about().number, s)).collect();
            held.filters = Some(files);
        }
        let all = list::sealed(&self.layout)?;
        let number = |at: Option<usize>| at.and_then(|at| all.get(at)).map(|s| s.number);
        let sealed = all.iter().enumerate().map(|(at, segment)| {
            let known = known.remove(&segment.number).filter(|s| s.segment == *segment);
            known.unwrap_or_else(|| {
                // A number that several segments have names none of them.
                let alone = ![at.checked_sub(1), Some(at + 1)].map(number).contains(&Some(segment.number));
                Arc::new(Sealed::of(segment.clone(), &store, alone, filed.remove(&segment.number)))
            })
        });
        held.sealed = Arc::new(sealed.collect());
        held.stamps = stamps;
        Ok(held.sealed.clone())
    }
}

fn changed_at(dir: &Path) -> Option<SystemTime> {
    std::fs::metadata(dir).and_then(|m| m.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment that comes or goes is noticed by the next query, and its filter is held.
    #[test]
    fn segments_come_and_go() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2");
        let store = tempfile::tempdir().unwrap();
        let class = store.path().join("all");
        std::fs::create_dir(&class).unwrap();
        std::fs::copy(golden.join("store.toml"), store.path().join("store.toml")).unwrap();
        let engine = Engine::new(store.path());
        let now = || engine.segments().unwrap().1;
        assert_eq!(now().len(), 0);
        let mut names = Vec::new();
        for file in std::fs::read_dir(golden.join("all")).unwrap().map(|f| f.unwrap().path()) {
            names.push(class.join(file.file_name().unwrap()));
            std::fs::copy(&file, names.last().unwrap()).unwrap();
        }
        assert_eq!((now().len(), now().first().unwrap().skip.is_some()), (1, true));
        assert!(engine.bytes() > 50, "{}", engine.bytes());
        for name in names {
            std::fs::remove_file(name).unwrap();
        }
        assert_eq!(now().len(), 0);
    }
}
