//! What is known of a sealed segment without opening anything: its times, its address filter, its joint filter. Held for all segments at
//! once, by whoever answers queries; read from the files of filters or from an index.

use super::community;
use super::file::About;
use super::fuse::{self, DESCRIPTOR, Fuse};
use super::joint::Joint;
use super::term::Term;
use super::{Index, IndexError};
use crate::store::disk::mmap::Mapped;
use crate::store::list::SegmentRef;
use std::fs::Metadata;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, OnceLock};

fn changed(file: &Metadata) -> u64 {
    let seconds = u64::try_from(file.mtime()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(file.mtime_nsec()).unwrap_or(0))
}

/// A filter of addresses by their keys ([`Term::filter_key`]): xorf's descriptor and fingerprints; empty if there are none.
pub fn address_filter(keys: Vec<u64>) -> Result<Vec<u8>, &'static str> {
    fuse::make(keys).map(|(descriptor, prints)| [descriptor, prints].concat())
}

/// An address filter that rules nothing out: no filter is so short.
pub const ANY: [u8; 1] = [0xff];

/// How an address filter is asked; `None`: there is no address in it, or it is no filter.
fn asked(filter: &[u8]) -> Option<Fuse> {
    Fuse::of(filter, filter.len().checked_sub(DESCRIPTOR)?)
}

/// False only if no address of the filter has this key. `None`: these bytes are no filter.
pub fn contains(filter: &[u8], key: u64) -> Option<bool> {
    if filter.is_empty() {
        return Some(false);
    }
    if filter == ANY {
        return Some(true);
    }
    asked(filter)?.has(filter.get(DESCRIPTOR..)?, key)
}

/// A part of a mapped file, with the sum it must have, which is taken when it is first used.
pub(super) struct Mine {
    pub file: Arc<Mapped>,
    pub range: Range<usize>,
    pub crc: u32,
    pub sound: OnceLock<bool>,
}

/// A filter.
pub(super) enum Bytes {
    Own(Vec<u8>),
    File(Mine),
}

impl Bytes {
    /// `None`: they are damaged.
    fn get(&self) -> Option<&[u8]> {
        match self {
            Bytes::Own(bytes) => Some(bytes),
            Bytes::File(Mine { file, range, crc, sound }) => {
                let bytes = file.get(range.clone())?;
                let sound = *sound.get_or_init(|| crc32c::crc32c(bytes) == *crc);
                (sound && !file.has_faulted()).then_some(bytes)
            }
        }
    }

    fn will_need(&self) {
        if let Bytes::File(mine) = self
            && mine.sound.get().is_none()
        {
            mine.file.will_need(mine.range.clone());
        }
    }

    /// Whether some could not be had, perhaps only now that they were asked.
    fn has_faulted(&self) -> bool {
        matches!(self, Bytes::File(mine) if mine.file.has_faulted())
    }

    fn len(&self) -> usize {
        match self {
            Bytes::Own(bytes) => bytes.len(),
            Bytes::File(mine) => mine.range.len(),
        }
    }
}

/// A filter, and how it is asked: taken from its first bytes once, so that a look-up waits for nothing but fingerprints.
struct Asked<T> {
    bytes: Bytes,
    form: OnceLock<Option<T>>,
}

impl<T: Copy> Asked<T> {
    fn new(bytes: Bytes) -> Asked<T> {
        Asked { bytes, form: OnceLock::new() }
    }

    /// `None`: it is damaged, or there is nothing in it.
    fn by(&self, form: impl FnOnce(&[u8]) -> Option<T>) -> Option<(T, &[u8])> {
        let bytes = self.bytes.get()?;
        Some(((*self.form.get_or_init(|| form(bytes)))?, bytes))
    }
}

/// A segment's times and filters.
pub struct Skip {
    about: About,
    /// When the segment's file was last written to when this was made of its index, Unix ns; 0: not known.
    modified: u64,
    filter: Asked<Fuse>,
    joint: Asked<Joint>,
}

impl Skip {
    /// Of an index.
    pub fn of(index: &Index) -> Result<Skip, IndexError> {
        let (filter, joint) = (index.filter()?.to_vec(), index.joint()?.to_vec());
        Ok(Skip {
            about: *index.about(),
            modified: 0,
            filter: Asked::new(Bytes::Own(filter)),
            joint: Asked::new(Bytes::Own(joint)),
        })
    }

    /// Of parts of mapped files.
    pub(super) fn in_files(about: About, modified: u64, filter: Mine, joint: Option<Mine>) -> Skip {
        let joint = joint.map_or(Bytes::Own(Vec::new()), Bytes::File);
        Skip { about, modified, filter: Asked::new(Bytes::File(filter)), joint: Asked::new(joint) }
    }

    /// What the index says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Whether the file is the segment that it was made of, in the state of then: by length and time of the last change, and where that is
    /// another one (it was copied), by the file's first bytes. What is gone has nothing that could be missed.
    pub fn is_of(&self, segment: &SegmentRef) -> bool {
        let Ok(file) = std::fs::metadata(&segment.path) else { return true };
        let same = || changed(&file) == self.modified && self.modified > 0;
        file.len() == self.about.end && (same() || segment.header().is_ok_and(|h| self.about.is_of(&h)))
    }

    /// The same with the time at which the segment was last changed. `None`: it is that of another segment.
    pub(super) fn stamped(self, segment: &SegmentRef) -> Option<Skip> {
        let file = std::fs::metadata(&segment.path).ok()?;
        self.is_of(segment).then(|| Skip { modified: changed(&file), ..self })
    }

    /// When that was, Unix ns.
    pub(super) fn modified(&self) -> u64 {
        self.modified
    }

    /// The same, once its segment has told the link type of its packets.
    pub fn with_link_type(self, link_type: u16) -> Skip {
        Skip { about: About { link_type, ..self.about }, ..self }
    }

    /// The address filter's bytes; `None`: they are damaged.
    pub fn filter(&self) -> Option<&[u8]> {
        self.filter.bytes.get()
    }

    /// The joint filter's bytes; `None`: they are damaged.
    pub fn joint(&self) -> Option<&[u8]> {
        self.joint.bytes.get()
    }

    /// False only if no packet of the segment has this address at any layer.
    pub fn may_have(&self, term: Term) -> bool {
        let Some(key) = term.filter_key() else { return true };
        let may = match self.filter.by(asked) {
            Some((fuse, filter)) => filter.get(DESCRIPTOR..).and_then(|prints| fuse.has(prints, key)).unwrap_or(true),
            None => self.filter().is_none_or(|f| !f.is_empty()),
        };
        may || self.filter.bytes.has_faulted()
    }

    /// False only if no packet of the segment has both terms.
    pub fn may_join(&self, a: Term, b: Term) -> bool {
        let may = self.joint.by(Joint::of).and_then(|(joint, filter)| joint.may_join(filter, a, b));
        may.unwrap_or(true) || self.joint.bytes.has_faulted()
    }

    /// False only if no connection of the segment has this community ID.
    pub fn may_have_community(&self, id: &str) -> bool {
        let may = |(joint, filter): (Joint, &[u8])| joint.may_have_community(filter, community::hash(id));
        self.joint.by(Joint::of).and_then(may).unwrap_or(true) || self.joint.bytes.has_faulted()
    }

    /// Has the address filter read that is going to be asked, if nobody has asked it before.
    pub fn will_have(&self) {
        self.filter.bytes.will_need();
    }

    /// The same of the joint filter.
    pub fn will_join(&self) {
        self.joint.bytes.will_need();
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Skip>() + self.filter.bytes.len() + self.joint.bytes.len()
    }
}
