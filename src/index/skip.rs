//! What is known of a sealed segment without opening anything: its times, its address filter, its joint filter. Held for all segments at
//! once, by whoever answers queries; read from the files of filters or from an index.

use super::community;
use super::file::About;
use super::joint::{may_have_community, may_join};
use super::term::Term;
use super::varint::Cursor;
use super::{Index, IndexError};
use crate::store::disk::mmap::Mapped;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

/// A filter of addresses by their keys ([`Term::filter_key`]): xorf's descriptor and fingerprints; empty if there are none.
pub fn address_filter(mut keys: Vec<u64>) -> Result<Vec<u8>, &'static str> {
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let filter = BinaryFuse8::try_from(&keys)?;
    let mut out = vec![0; BinaryFuse8::DESCRIPTOR_LEN];
    filter.dma_copy_descriptor_to(&mut out);
    out.extend(filter.dma_fingerprints());
    Ok(out)
}

/// False only if no address of the filter has this key. `None`: these bytes are no filter.
pub fn contains(filter: &[u8], key: u64) -> Option<bool> {
    let Some((descriptor, prints)) = filter.split_at_checked(BinaryFuse8::DESCRIPTOR_LEN) else {
        return Some(!filter.is_empty());
    };
    sane(descriptor, prints.len()).then(|| BinaryFuse8Ref::from_dma(descriptor, prints).contains(&key))
}

/// xorf believes its descriptor; a look-up must stay within the fingerprints all the same. Layout: seed u64, then u32 each:
/// segment length, its mask, length of all segments but two.
pub(super) fn sane(descriptor: &[u8], prints: usize) -> bool {
    let mut c = Cursor(descriptor);
    let (Some(_), Some(length), Some(mask), Some(span)) =
        (c.array::<8>(), c.array::<4>(), c.array::<4>(), c.array::<4>())
    else {
        return false;
    };
    let [length, mask, span] = [length, mask, span].map(|b| u32::from_le_bytes(b) as usize);
    length.is_power_of_two() && mask + 1 == length && span.saturating_add(2 * length) <= prints
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
                sound.get_or_init(|| crc32c::crc32c(bytes) == *crc).then_some(bytes)
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

    fn len(&self) -> usize {
        match self {
            Bytes::Own(bytes) => bytes.len(),
            Bytes::File(mine) => mine.range.len(),
        }
    }
}

/// A segment's times and filters.
pub struct Skip {
    about: About,
    filter: Bytes,
    joint: Bytes,
}

impl Skip {
    /// Of an index.
    pub fn of(index: &Index) -> Result<Skip, IndexError> {
        let (filter, joint) = (index.filter()?.to_vec(), index.joint()?.to_vec());
        Ok(Skip { about: *index.about(), filter: Bytes::Own(filter), joint: Bytes::Own(joint) })
    }

    /// Of parts of mapped files.
    pub(super) fn in_files(about: About, filter: Mine, joint: Option<Mine>) -> Skip {
        let joint = joint.map_or(Bytes::Own(Vec::new()), Bytes::File);
        Skip { about, filter: Bytes::File(filter), joint }
    }

    /// What the index says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The address filter's bytes; `None`: they are damaged.
    pub fn filter(&self) -> Option<&[u8]> {
        self.filter.get()
    }

    /// The joint filter's bytes; `None`: they are damaged.
    pub fn joint(&self) -> Option<&[u8]> {
        self.joint.get()
    }

    /// False only if no packet of the segment has this address at any layer.
    pub fn may_have(&self, term: Term) -> bool {
        let Some(key) = term.filter_key() else { return true };
        self.filter().and_then(|f| contains(f, key)).unwrap_or(true)
    }

    /// False only if no packet of the segment has both terms.
    pub fn may_join(&self, a: Term, b: Term) -> bool {
        self.joint().and_then(|f| may_join(f, a, b)).unwrap_or(true)
    }

    /// False only if no connection of the segment has this community ID.
    pub fn may_have_community(&self, id: &str) -> bool {
        self.joint().and_then(|f| may_have_community(f, community::hash(id))).unwrap_or(true)
    }

    /// Has the address filter read that is going to be asked, if nobody has asked it before.
    pub fn will_have(&self) {
        self.filter.will_need();
    }

    /// The same of the joint filter.
    pub fn will_join(&self) {
        self.joint.will_need();
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Skip>() + self.filter.len() + self.joint.len()
    }
}
