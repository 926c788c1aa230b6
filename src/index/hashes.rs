//! The table of community IDs: for the hash of each its connection. Owns its bytes, of each version. Hashes are spread evenly, so entries
//! are in buckets by the first bits of theirs, and of the rest a segment's table keeps one byte: now and then a connection
//! is found that has another ID, which its key or its packets tell.

use super::varint::Cursor;
use super::{IndexError, Scope};
use std::ops::Range;

/// Entries of a bucket, on average at most.
const BUCKET: usize = 32;
const HEAD_BYTES: usize = 4;
/// Bytes of an entry before version 4: hash and connection.
const WHOLE_BYTES: usize = 8;

/// How a table is laid out.
#[derive(Clone, Copy)]
struct Form {
    /// There are two to the power of this many buckets.
    bits: u32,
    /// Bytes of a hash: 1, which follows the bucket's bits, or all 4.
    rest: usize,
    /// Bytes of a connection's number.
    id: usize,
}

impl Form {
    fn rest_of(self, hash: u32) -> u32 {
        if self.rest == 1 { hash << self.bits >> 24 } else { hash }
    }

    fn bucket_of(self, hash: u32) -> usize {
        hash.checked_shr(32 - self.bits).unwrap_or(0) as usize
    }

    fn entry(self) -> usize {
        self.rest + self.id
    }

    /// Where the entries begin.
    fn entries(self) -> usize {
        HEAD_BYTES + (4 << self.bits)
    }

    fn of(head: &[u8]) -> Option<Form> {
        let [bits, rest, id, 0] = *head.first_chunk()? else { return None };
        let sane = bits <= 24 && matches!(rest, 1 | 4) && matches!(id, 1..=4);
        sane.then_some(Form { bits: bits.into(), rest: rest.into(), id: id.into() })
    }
}

/// The table's bytes; empty if there is nothing in it. Of blocks in memory it has the whole hashes: another one is made of it.
pub fn put_table(mut entries: Vec<(u32, u32)>, connections: u32, scope: Scope) -> Vec<u8> {
    entries.sort_unstable();
    entries.dedup();
    if entries.is_empty() {
        return Vec::new();
    }
    let bits = entries.len().div_ceil(BUCKET).next_power_of_two().trailing_zeros().min(24);
    let id = (32 - connections.saturating_sub(1).leading_zeros()).div_ceil(8).max(1) as usize;
    let form = Form { bits, rest: if scope == Scope::Segment { 1 } else { 4 }, id };
    let mut out = vec![bits as u8, form.rest as u8, id as u8, 0];
    for bucket in 0..1usize << bits {
        let end = entries.partition_point(|(hash, _)| form.bucket_of(*hash) <= bucket);
        out.extend((end as u32).to_le_bytes());
    }
    for (hash, n) in entries {
        out.extend(form.rest_of(hash).to_le_bytes().iter().take(form.rest));
        out.extend(n.to_le_bytes().iter().take(id));
    }
    out
}

/// Parts of a table, checked.
pub struct Table<'a> {
    /// Its length.
    pub len: usize,
    /// Reads.
    pub part: &'a dyn Fn(Range<usize>) -> Result<&'a [u8], IndexError>,
}

impl Table<'_> {
    /// Appends the connections that may have this hash; `None`: the bytes are no table.
    pub fn find(&self, hash: u32, ids: &mut Vec<u32>) -> Result<Option<()>, IndexError> {
        if self.len == 0 {
            return Ok(Some(()));
        }
        let Some(form) = self.form()? else { return Ok(None) };
        let bucket = form.bucket_of(hash);
        let Some(span) = self.span(form, bucket..bucket + 1)? else { return Ok(None) };
        let wanted = form.rest_of(hash);
        let found = entries(form, (self.part)(span)?).filter(|(rest, _)| *rest == wanted);
        ids.extend(found.map(|(_, id)| id));
        Ok(Some(()))
    }

    /// All entries with their whole hashes; `None`: the bytes are no table, or have none.
    pub fn each(&self, each: &mut dyn FnMut(u32, u32) -> Result<(), IndexError>) -> Result<Option<()>, IndexError> {
        if self.len == 0 {
            return Ok(Some(()));
        }
        let Some(form) = self.form()?.filter(|f| f.rest == 4) else { return Ok(None) };
        let Some(span) = self.span(form, 0..1 << form.bits)? else { return Ok(None) };
        entries(form, (self.part)(span)?).try_for_each(|(hash, id)| each(hash, id))?;
        Ok(Some(()))
    }

    fn form(&self) -> Result<Option<Form>, IndexError> {
        if self.len < HEAD_BYTES {
            return Ok(None);
        }
        Ok(Form::of((self.part)(0..HEAD_BYTES)?).filter(|f| f.entries() <= self.len))
    }

    /// Where the entries of these buckets lie.
    fn span(&self, form: Form, buckets: Range<usize>) -> Result<Option<Range<usize>>, IndexError> {
        let end = |bucket: usize| -> Result<Option<usize>, IndexError> {
            let at = HEAD_BYTES + bucket * 4;
            let n = (self.part)(at..at + 4)?.first_chunk().map(|b| u32::from_le_bytes(*b) as usize);
            Ok(n.and_then(|n| n.checked_mul(form.entry())?.checked_add(form.entries())))
        };
        let from = match buckets.start.checked_sub(1) {
            Some(before) => end(before)?,
            None => Some(form.entries()),
        };
        let to = end(buckets.end - 1)?.filter(|&to| to <= self.len);
        Ok(from.zip(to).filter(|(from, to)| from <= to).map(|(from, to)| from..to))
    }

    /// The same as [`find`](Table::find) of a table before version 4.
    pub fn find_v3(&self, hash: u32, ids: &mut Vec<u32>) -> Result<Option<()>, IndexError> {
        let count = self.len / WHOLE_BYTES;
        let at = |i: usize| -> Result<Option<(u32, u32)>, IndexError> {
            let mut c = Cursor((self.part)(i * WHOLE_BYTES..(i + 1) * WHOLE_BYTES)?);
            Ok(c.array().map(u32::from_le_bytes).zip(c.array().map(u32::from_le_bytes)))
        };
        // The place can be guessed to within a page or so.
        let mut i = ((u64::from(hash) * count as u64) >> 32) as usize;
        while i > 0 && at(i - 1)?.is_some_and(|(h, _)| h >= hash) {
            i -= 1;
        }
        while i < count {
            match at(i)? {
                None => return Ok(None),
                Some((h, id)) if h == hash => ids.push(id),
                Some((h, _)) if h > hash => break,
                Some(_) => {}
            }
            i += 1;
        }
        Ok(Some(()))
    }
}

fn entries(form: Form, bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, b| n << 8 | u32::from(*b));
    bytes.chunks_exact(form.entry()).map(move |e| {
        let (rest, id) = e.split_at_checked(form.rest).unwrap_or_default();
        (number(rest), number(id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn find(bytes: &[u8], hash: u32) -> Option<Vec<u32>> {
        let mut ids = Vec::new();
        let part = |r: Range<usize>| bytes.get(r).ok_or(IndexError::Damaged("the test"));
        Table { len: bytes.len(), part: &part }.find(hash, &mut ids).ok()??;
        Some(ids)
    }

    proptest! {
        /// All that is there is found, others now and then; the whole table has nothing but what was put.
        #[test]
        fn what_is_put_is_found(
            hashes in prop::collection::vec(any::<u32>(), 0..600),
            connections in prop::sample::select(vec![600u32, 70_000, 1 << 24, u32::MAX]),
        ) {
            let entries: Vec<(u32, u32)> =
                hashes.iter().enumerate().map(|(n, h)| (*h, connections - 1 - n as u32)).collect();
            let bytes = put_table(entries.clone(), connections, Scope::Segment);
            let mut others = 0;
            for (hash, id) in &entries {
                let found = find(&bytes, *hash).unwrap();
                prop_assert!(found.contains(id));
                others += found.len() - 1;
            }
            prop_assert!(others <= 40 + hashes.len() / 2, "{} others among {}", others, hashes.len());
            let whole = put_table(entries.clone(), connections, Scope::Passing);
            let mut got = BTreeSet::new();
            let part = |r: Range<usize>| whole.get(r).ok_or(IndexError::Damaged("the test"));
            let table = Table { len: whole.len(), part: &part };
            let mut each = |h, id| {
                got.insert((h, id));
                Ok(())
            };
            prop_assert_eq!(table.each(&mut each).unwrap(), Some(()));
            prop_assert_eq!(got, entries.iter().copied().collect::<BTreeSet<_>>());
            for (hash, id) in &entries {
                prop_assert!(find(&whole, *hash).unwrap().contains(id));
            }
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..80), hash in any::<u32>(), bits in 0..4u8) {
            find(&bytes, hash);
            find(&[&[bits, 1, 2, 0], &bytes[..]].concat(), hash);
            let part = |r: Range<usize>| bytes.get(r).ok_or(IndexError::Damaged("the test"));
            let _ = Table { len: bytes.len(), part: &part }.find_v3(hash, &mut Vec::new());
        }
    }
}
