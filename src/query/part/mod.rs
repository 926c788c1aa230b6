//! One segment's part of an answer, or that of a run of blocks in memory: planned from its index (`look`), then looked at block by block,
//! as far as its next packet needs (`find`), then given out in time order. Owns the reader while the merge needs it. A damaged block is
//! skipped and counted; an expired segment is no error.

mod find;
mod gather;
mod look;

pub use gather::gather;
pub use look::{look, open as open_segment};

use super::QueryError;
use super::ahead::Coming;
use super::foreseen::Expected;
use super::interfaces::wanted;
use super::pace::Pace;
use super::plans::Plans;
use super::sealed::Sealed;
use super::sift::Hit;
use super::summary::Summary;
use crate::index::{About, Index, Run};
use crate::store::list::SegmentRef;
use crate::store::live::Unsealed;
use crate::store::reader::{FoundPacket, ReadError, SegmentReader};
use crate::store::scan::BlockRef;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// The question, resolved.
pub struct Question<'a> {
    /// What a packet must have.
    pub plans: &'a Plans,
    /// From this time, Unix ns.
    pub from: u64,
    /// Before this time.
    pub to: u64,
    /// Only these classes; empty: all.
    pub classes: &'a [String],
    /// Only what came in by these; empty: all.
    pub interfaces: &'a [String],
    /// No index.
    pub full_scan: bool,
    /// Asked before each block.
    pub pace: &'a dyn Pace,
}

impl Question<'_> {
    pub(super) fn wants_class(&self, class: &str) -> bool {
        self.classes.is_empty() || self.classes.iter().any(|c| c == class)
    }

    pub(super) fn overlaps(&self, first: u64, last: u64) -> bool {
        first < self.to && last >= self.from
    }
}

/// Where packets lie.
enum Place {
    /// In a file, which is opened when it is needed.
    File(Box<InFile>),
    /// In memory.
    Run(Arc<Run>),
}

/// A segment's file.
struct InFile {
    segment: SegmentRef,
    index: Option<Index>,
    /// It has an index, which is opened when it is needed, and this is what is known of it.
    sealed: Option<Arc<Sealed>>,
    reader: Option<Arc<SegmentReader>>,
}

impl Place {
    fn reader(&self) -> Option<&SegmentReader> {
        match self {
            Place::File(f) => f.reader.as_deref(),
            Place::Run(run) => Some(run.reader()),
        }
    }

    fn index(&self) -> Option<&Index> {
        match self {
            Place::File(f) => f.index.as_ref(),
            Place::Run(run) => run.index(),
        }
    }

    /// What its index says of itself.
    fn about(&self) -> Option<&About> {
        match self {
            Place::File(f) => f.sealed.as_ref()?.about(),
            Place::Run(run) => run.index().map(Index::about),
        }
    }
}

/// A segment or a run that may have packets of the answer.
pub struct Part {
    place: Place,
    /// Offsets of the segment that are read from memory instead.
    elsewhere: Vec<Range<u64>>,
    /// Earlier packets are not asked for, whatever the window.
    since: u64,
    /// Not later than its first packet of the answer.
    pub first: u64,
    /// Blocks that have not been looked at, the latest first.
    blocks: Vec<BlockRef>,
    /// It is known which blocks to look at.
    looked: bool,
    /// Some of it has expired since, and is counted.
    expired: bool,
    /// Blocks that are being sifted, the earliest first.
    coming: VecDeque<(BlockRef, Coming)>,
    /// Packets that can match and have been read, by block; of parts where they are few.
    gathered: HashMap<u64, Vec<FoundPacket<'static>>>,
    /// Offsets of the packets that can match, ascending; `None`: any.
    at: Option<Vec<u64>>,
    /// Whose they are; of many only the first.
    pub expected: Vec<Expected>,
    /// What matched and has not been given out, in order of time.
    hits: VecDeque<Hit>,
}

impl Part {
    fn new(place: Place, first: u64) -> Part {
        Part {
            place,
            elsewhere: Vec::new(),
            since: 0,
            first,
            blocks: Vec::new(),
            looked: false,
            expired: false,
            coming: VecDeque::new(),
            gathered: HashMap::new(),
            at: None,
            expected: Vec::new(),
            hits: VecDeque::new(),
        }
    }

    /// A sealed segment's part, by its times and address filter: nothing is opened. `None`: it has nothing in the window, and
    /// `summary` says why.
    pub fn of_sealed(
        sealed: &Arc<Sealed>,
        q: &Question<'_>,
        summary: &mut Summary,
    ) -> Result<Option<Part>, QueryError> {
        let Some(skip) = sealed.skip.as_ref().filter(|_| !q.full_scan) else {
            return Part::of_file(sealed.segment.clone(), q, summary);
        };
        summary.pruning.segments += 1;
        if sealed.segment.class.as_ref().is_some_and(|c| !q.wants_class(c)) {
            summary.pruning.by_class += 1;
            return Ok(None);
        }
        let about = skip.about();
        summary.saw(sealed.segment.class.as_deref().unwrap_or("?"), about.packets, about.first, about.last);
        if about.packets == 0 || !q.overlaps(about.first, about.last) {
            summary.pruning.by_time += 1;
            return Ok(None);
        }
        if !sealed.may_have(q.plans) {
            summary.pruning.by_filter += 1;
            return Ok(None);
        }
        let file = InFile { segment: sealed.segment.clone(), index: None, sealed: Some(sealed.clone()), reader: None };
        Ok(Some(Part::new(Place::File(file.into()), about.first)))
    }

    /// The part of a segment that has no index: it is opened to know its times.
    pub fn of_file(segment: SegmentRef, q: &Question<'_>, summary: &mut Summary) -> Result<Option<Part>, QueryError> {
        summary.pruning.segments += 1;
        if segment.class.as_ref().is_some_and(|c| !q.wants_class(c)) {
            summary.pruning.by_class += 1;
            return Ok(None);
        }
        let Some(reader) = look::open(&segment, None, summary)? else { return Ok(None) };
        Part::of_reader(segment, reader, q, summary)
    }

    /// The part of a segment that is being written between two of its offsets.
    pub fn of_gap(
        unsealed: &Unsealed,
        gap: Range<u64>,
        q: &Question<'_>,
        summary: &mut Summary,
    ) -> Result<Option<Part>, QueryError> {
        let segment = unsealed.segment.clone();
        let Some(header) = &unsealed.header else { return Part::of_file(segment, q, summary) };
        if !q.wants_class(&header.class) {
            summary.pruning.segments += 1;
            summary.pruning.by_class += 1;
            return Ok(None);
        }
        let reader = match SegmentReader::open_part(&segment.path, header.clone(), gap.clone()) {
            Ok(reader) => reader,
            // It has been sealed meanwhile: what it had stays where it was in it.
            Err(ReadError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                let part = Part::of_file(segment, q, summary)?;
                return Ok(part.map(|p| p.without(&[0..gap.start, gap.end..u64::MAX])));
            }
            Err(e) => return Err(e.into()),
        };
        summary.pruning.segments += 1;
        Part::of_reader(segment, reader, q, summary)
    }

    fn of_reader(
        segment: SegmentRef,
        reader: SegmentReader,
        q: &Question<'_>,
        summary: &mut Summary,
    ) -> Result<Option<Part>, QueryError> {
        if !q.wants_class(&reader.header().class) {
            summary.pruning.by_class += 1;
            return Ok(None);
        }
        let times = || reader.blocks().iter().map(|b| &b.totals);
        let first = times().map(|t| t.first).min().unwrap_or(u64::MAX);
        let last = times().map(|t| t.last).max().unwrap_or(0);
        let packets = times().map(|t| u64::from(t.packets)).sum();
        summary.saw(&reader.header().class, packets, first, last);
        // What can't be read may be of any time: it is looked at, and so it is said.
        if reader.bad().is_empty() && !q.overlaps(first, last) {
            summary.pruning.by_time += 1;
            return Ok(None);
        }
        summary.pruning.without_index += 1;
        Ok(Some(Part::new(
            Place::File(InFile { segment, index: None, sealed: None, reader: Some(reader.into()) }.into()),
            first,
        )))
    }

    /// The same for blocks in memory.
    pub fn of_run(run: &Arc<Run>, q: &Question<'_>, summary: &mut Summary) -> Option<Part> {
        summary.pruning.runs += 1;
        if !q.wants_class(&run.reader().header().class) {
            summary.pruning.by_class += 1;
            return None;
        }
        let (first, last) = run.times();
        summary.saw(&run.reader().header().class, run.packets(), first, last);
        if run.packets() == 0 || !q.overlaps(first, last) {
            summary.pruning.by_time += 1;
            return None;
        }
        let may = |i: &Index| q.plans.of(i.about()).may(&mut |lo, hi| lo != hi || i.may_have(lo).unwrap_or(true));
        if run.index().is_some_and(|i| !q.full_scan && !may(i)) {
            summary.pruning.by_filter += 1;
            return None;
        }
        Some(Part::new(Place::Run(run.clone()), first))
    }

    /// Leaves out what lies at these offsets: it is read from memory.
    pub fn without(mut self, elsewhere: &[Range<u64>]) -> Part {
        self.elsewhere.extend_from_slice(elsewhere);
        self
    }

    /// Leaves out packets that are earlier.
    pub fn since(self, time: u64) -> Part {
        Part { since: time, first: self.first.max(time), ..self }
    }

    /// Whether [`look`] is still to come.
    pub fn is_new(&self) -> bool {
        !self.looked
    }

    /// Whether its look reads files that nothing has read yet: better with others at a time.
    pub fn in_file(&self) -> bool {
        matches!(&self.place, Place::File(f) if f.sealed.is_some())
    }

    /// Link type of its packets; `None`: there is nothing to look at.
    pub fn link_type(&self) -> Option<u16> {
        if self.blocks.is_empty() { None } else { Some(self.place.reader()?.link_type()) }
    }

    /// Whether anything in its segment came in by an interface that is asked for; nothing is looked at where not.
    pub fn has_interface(&self, q: &Question<'_>, summary: &mut Summary) -> bool {
        let all = self.place.reader().map_or(&[][..], SegmentReader::interfaces);
        let has = self.blocks.is_empty() || all.iter().any(|i| wanted(q.interfaces, i));
        summary.pruning.by_interface += u64::from(!has);
        has
    }

    /// Time of the next packet, for the merge: with worker, segment and offset, which order packets of equal times.
    pub fn place(&self) -> Option<(u64, u16, u64, u64)> {
        let (time, offset) = self.hits.front()?.place();
        let header = self.place.reader()?.header();
        Some((time, header.worker, header.number, offset))
    }

    /// Hands the next packet to `each`.
    pub fn next<T>(
        &mut self,
        each: impl FnOnce(&FoundPacket<'_>, &SegmentReader) -> T,
    ) -> Option<Result<T, ReadError>> {
        let hit = self.hits.pop_front()?;
        let reader = self.place.reader()?;
        Some(hit.packet(reader).map(|p| each(&p, reader)))
    }
}
