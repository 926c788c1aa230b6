//! The store that is being recorded into, as those see it who answer questions about it: segments that are not sealed with what can be read of them,
//! and the time before which everything is there. Knows no more than the window and the files, so it may be another process than the one that
//! records; takes no lock that a writer takes.

use super::format::{self, SegmentHeader};
use super::keeper::unix_now;
use super::layout::Layout;
use super::list::SegmentRef;
use super::reader::SegmentReader;
use crate::limits::LATE_NS;
use crate::window::cells::NAME_WORDS;
use crate::window::{ShownProgress, ShownSegment, WindowView};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A segment that is not sealed.
#[derive(Clone, Debug)]
pub struct Unsealed {
    /// Where it is, and how far it can be read.
    pub segment: SegmentRef,
    /// Its header; `None`: who reads it has to look.
    pub header: Option<Arc<SegmentHeader>>,
}

impl Unsealed {
    /// Where its first block begins.
    pub fn start(&self) -> u64 {
        self.header.as_ref().map_or(0, |h| format::header_bytes(&h.interfaces) as u64)
    }
}

/// All packets before this time can be read; those that come are later.
fn before(p: ShownProgress, unix: u64, mono: u64) -> u64 {
    match (p.unsettled, p.looked) {
        (u64::MAX, u64::MAX) => u64::MAX,
        // What is in the rings may be this much older than what the writer has.
        (oldest, looked) => {
            oldest.min(unix.saturating_sub(mono.saturating_sub(looked).saturating_add(LATE_NS.saturating_add(p.lag))))
        }
    }
}

// The window has room for every name of a class.
const _: () = assert!(format::CLASS_NAME_MAX <= 8 * NAME_WORDS);

type Headers = HashMap<u64, Arc<SegmentHeader>>;

/// The store of a recorder that runs.
#[derive(Clone, Debug)]
pub struct Live {
    window: Arc<WindowView>,
    layout: Layout,
    /// Of segments that are not sealed, by number: each is looked for once.
    headers: Arc<Mutex<Arc<Headers>>>,
}

impl Live {
    pub(super) fn new(window: Arc<WindowView>, layout: Layout) -> Live {
        Live { window, layout, headers: Arc::default() }
    }

    /// Of the recorder whose window this is, in another process.
    pub fn open(window: OwnedFd, store: &Path) -> io::Result<Live> {
        Ok(Live::new(WindowView::open(window)?, Layout::new(store)))
    }

    /// When its recorder opened it, Unix ns: until it does so anew no number of a segment is given twice.
    pub fn start(&self) -> u64 {
        self.window.started()
    }

    /// Paths of the store.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What it is seen by.
    pub fn window(&self) -> &Arc<WindowView> {
        &self.window
    }

    /// The segments that are not sealed, each readable up to its `durable`; one that another recorder left to its end. `in_memory`: the header of
    /// a segment that memory has some of, which spares a look at its file.
    pub fn unsealed(&self, in_memory: impl Fn(u64) -> Option<Arc<SegmentHeader>>) -> Vec<Unsealed> {
        self.open_and_made(in_memory).0
    }

    /// The same, and the numbers of segments that are made and have nothing yet that can be read: there is none besides with a number that is not
    /// higher than all of these.
    pub fn open_and_made(&self, in_memory: impl Fn(u64) -> Option<Arc<SegmentHeader>>) -> (Vec<Unsealed>, Vec<u64>) {
        let last = || self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, mut headers) = (last().clone(), Headers::new());
        let one = |s: ShownSegment| {
            let path = self.layout.open_segment(s.number);
            let (class, worker) = (self.window.class(s.class), Some(s.worker));
            let segment = SegmentRef { path, class, worker, number: s.number, sealed: false, durable: s.settled };
            if s.settled.is_none() {
                return Unsealed { segment: SegmentRef { class: None, worker: None, ..segment }, header: None };
            }
            // The header is on the disk before the first block is.
            let read = || SegmentReader::header_of(&segment.path).ok().map(Arc::new);
            let header = known.get(&s.number).cloned().or_else(|| in_memory(s.number)).or_else(read);
            headers.extend(header.iter().map(|h| (s.number, h.clone())));
            Unsealed { segment, header }
        };
        let (segments, made) = self.window.segments();
        let unsealed = segments.into_iter().map(one).collect();
        *last() = headers.into();
        (unsealed, made)
    }

    /// Nothing is written any more. To be asked BEFORE what is there is looked at.
    pub fn ended(&self) -> bool {
        let mut writers = self.window.progress().peekable();
        writers.peek().is_some() && writers.all(|w| w.looked == u64::MAX)
    }

    /// All packets before this time, Unix ns, can be read. To be asked BEFORE what is there is looked at.
    pub fn complete_before(&self) -> u64 {
        let mono = crate::units::monotonic();
        let unix = unix_now();
        self.window.progress().map(|p| before(p, unix, mono)).min().unwrap_or(u64::MAX)
    }
}
