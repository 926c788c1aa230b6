//! The extents of a store at one moment: parts of which each byte is in exactly one, so that an answer reads each packet once: from memory where it
//! is there, else from its file. Made from a view for queries and for lists of connections, which read an extent's index.

use super::QueryError;
use super::engine::own;
use super::part::open_segment;
use super::sealed::Sealed;
use super::summary::Summary;
use super::view::{View, gaps};
use crate::index::{Index, IndexError, Run};
use crate::store::list::SegmentRef;
use crate::store::live::Unsealed;
use crate::store::reader::{ReadError, SegmentReader};
use crate::store::scan::BlockRef;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;

/// What lies in memory, by segment, in the order of offsets.
pub type InMemory = HashMap<u64, Vec<Range<u64>>>;

/// One of them.
#[derive(Clone, Copy)]
pub enum Extent<'a> {
    /// Blocks in memory.
    Memory(&'a Arc<Run>),
    /// A segment that is not sealed, but for what of it lies in memory.
    Unsealed(&'a Unsealed, &'a [Range<u64>]),
    /// A sealed one, but for what of it lies in memory.
    Sealed(&'a Arc<Sealed>, &'a [Range<u64>]),
}

impl<'a> View<'a> {
    /// All of them. `whole`: what lies in memory of a sealed segment that has an index is left to that.
    pub fn extents<'v>(&'v self, held: &'v InMemory, whole: bool) -> impl Iterator<Item = Extent<'v>> {
        let sealed_whole = move |number: u64| whole && own(&self.sealed, number).is_some_and(|s| s.skip.is_some());
        let of = |number: u64| held.get(&number).map_or(&[][..], Vec::as_slice);
        let memory = self.recent.iter().filter(move |r| !sealed_whole(r.reader().header().number)).map(Extent::Memory);
        let open = self.open.iter().map(move |u| Extent::Unsealed(u, of(u.segment.number)));
        let sealed = self.sealed.iter().map(move |s| match whole && s.skip.is_some() {
            true => Extent::Sealed(s, &[]),
            false => Extent::Sealed(s, of(s.id())),
        });
        memory.chain(open).chain(sealed)
    }
}

/// An index of an extent.
pub struct Indexed<'a> {
    index: Either<'a, Index>,
    reader: Option<Either<'a, SegmentReader>>,
    /// Where the index is a file's.
    segment: Option<&'a SegmentRef>,
    /// Name of the class.
    pub class: String,
}

enum Either<'a, T> {
    Shared(&'a T),
    Own(T),
}

impl<T> Either<'_, T> {
    fn get(&self) -> &T {
        match self {
            Either::Shared(it) => it,
            Either::Own(it) => it,
        }
    }
}

impl Indexed<'_> {
    /// It.
    pub fn index(&self) -> &Index {
        self.index.get()
    }

    /// Works on the packets.
    pub fn with_reader(
        &self,
        summary: &mut Summary,
        work: impl FnOnce(&SegmentReader, &mut Summary),
    ) -> Result<(), QueryError> {
        let opened;
        let reader = match (&self.reader, self.segment) {
            (Some(reader), _) => reader.get(),
            (None, Some(segment)) => match open_segment(segment, Some(self.index()), summary)? {
                Some(reader) => {
                    opened = reader;
                    &opened
                }
                None => return Ok(()),
            },
            (None, None) => return Ok(()),
        };
        work(reader, summary);
        Ok(())
    }
}

impl<'a> Extent<'a> {
    /// The sealed segment that it is of.
    pub fn sealed(&self) -> Option<&'a Sealed> {
        match self {
            Extent::Sealed(s, _) => Some(s),
            Extent::Memory(_) | Extent::Unsealed(..) => None,
        }
    }

    /// What of an unsealed segment whose header is known is to be read.
    pub fn gaps(unsealed: &Unsealed, held: &[Range<u64>]) -> Vec<Range<u64>> {
        gaps(unsealed.start()..unsealed.segment.durable.unwrap_or(0), held)
    }

    /// Works on each of its indexes. One that turns out to be damaged is made anew of its segment, and so it is said.
    pub fn each_index<T>(
        &self,
        view: &View<'a>,
        summary: &mut Summary,
        work: &mut dyn FnMut(&Indexed<'_>, &mut Summary) -> Result<T, IndexError>,
    ) -> Result<Vec<T>, QueryError> {
        let (mut all, unusable) = (Vec::new(), |e: IndexError| QueryError::Index(e.to_string()));
        for indexed in self.indexes(view, summary)? {
            match (work(&indexed, summary), indexed.segment) {
                (Ok(done), _) => all.push(done),
                (Err(_), Some(segment)) => {
                    summary.damaged_indexes += u64::from(segment.path.exists());
                    for made in of_file(segment, &|_| true, summary)? {
                        all.push(work(&made, summary).map_err(unusable)?);
                    }
                }
                (Err(e), None) => return Err(unusable(e)),
            }
        }
        Ok(all)
    }

    /// Its indexes, made where there are none: of its packets each is in exactly one.
    fn indexes(&self, view: &View<'a>, summary: &mut Summary) -> Result<Vec<Indexed<'a>>, QueryError> {
        match *self {
            Extent::Memory(run) => Ok(of_run(run, summary).into_iter().collect()),
            Extent::Unsealed(u, held) if u.header.is_none() => of_file(&u.segment, &|b| outside(held, b), summary),
            Extent::Unsealed(u, held) => {
                let mut all = Vec::new();
                for gap in Extent::gaps(u, held) {
                    all.extend(of_gap(u, gap, summary)?);
                }
                Ok(all)
            }
            Extent::Sealed(s, held) => {
                if s.skip.is_some() && held.is_empty() {
                    match s.index() {
                        Ok(index) => {
                            let class = s.segment.class.clone().unwrap_or_default();
                            return Ok(vec![Indexed {
                                index: Either::Own(index),
                                reader: None,
                                segment: Some(&s.segment),
                                class,
                            }]);
                        }
                        Err(IndexError::Partial) => {}
                        Err(_) => summary.damaged_indexes += u64::from(s.segment.path.exists()),
                    }
                }
                let found = of_file(&s.segment, &|b| outside(held, b), summary)?;
                if !found.is_empty() || !held.is_empty() {
                    return Ok(found);
                }
                // It has expired since; what memory has of it was left to its index.
                let of = |r: &&Arc<Run>| r.reader().header().number == s.id();
                Ok(view.recent.iter().filter(of).filter_map(|run| of_run(run, summary)).collect())
            }
        }
    }
}

fn outside(held: &[Range<u64>], block: &BlockRef) -> bool {
    !held.iter().any(|r| r.contains(&block.offset))
}

fn of_run<'a>(run: &'a Arc<Run>, summary: &mut Summary) -> Option<Indexed<'a>> {
    let index = match run.index().map_or_else(|| Index::make(run.reader()).map(Either::Own), |i| Ok(Either::Shared(i)))
    {
        Ok(index) => index,
        Err(e) => {
            // Memory has taken some of it back, and its file can't be had.
            match e {
                IndexError::Segment(ReadError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                    summary.expired_segments = summary.expired_segments.max(1);
                }
                _ => summary.damaged_blocks += 1,
            }
            return None;
        }
    };
    let (reader, class) = (Some(Either::Shared(run.reader())), run.reader().header().class.clone());
    Some(Indexed { index, reader, segment: None, class })
}

/// Of the blocks of a segment that are wanted.
fn of_file<'a>(
    segment: &SegmentRef,
    wanted: &dyn Fn(&BlockRef) -> bool,
    summary: &mut Summary,
) -> Result<Vec<Indexed<'a>>, QueryError> {
    let reader = open_segment(segment, None, summary)?;
    Ok(reader.and_then(|r| of_reader(r, segment.class.clone(), wanted, summary)).into_iter().collect())
}

fn of_gap<'a>(unsealed: &Unsealed, gap: Range<u64>, summary: &mut Summary) -> Result<Vec<Indexed<'a>>, QueryError> {
    let Some(header) = &unsealed.header else { return Ok(Vec::new()) };
    match SegmentReader::open_part(&unsealed.segment.path, header.clone(), gap.clone()) {
        Ok(reader) => Ok(of_reader(reader, None, &|_| true, summary).into_iter().collect()),
        // It has been sealed meanwhile: what it had stays where it was in it.
        Err(ReadError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            of_file(&unsealed.segment, &|b| gap.contains(&b.offset), summary)
        }
        Err(e) => Err(e.into()),
    }
}

fn of_reader<'a>(
    reader: SegmentReader,
    class: Option<String>,
    wanted: &dyn Fn(&BlockRef) -> bool,
    summary: &mut Summary,
) -> Option<Indexed<'a>> {
    let index = Index::make_of(&reader, wanted).ok()?;
    summary.damaged_blocks += u64::from(index.about().bad);
    reader.bad().iter().for_each(|bad| summary.damaged_at(reader.path(), bad.offset));
    let index = Either::Own(index);
    let class = class.unwrap_or_else(|| reader.header().class.clone());
    Some(Indexed { index, reader: Some(Either::Own(reader)), segment: None, class })
}
