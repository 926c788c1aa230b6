//! The terms of an index with their connections, and the connections that are not listed: once all of them have been gathered. Owns the last
//! of the bounds, that of one connection, which only the whole tells. Made by the builder and by the merge, which so give the same bytes.

use super::bounds::{Bounds, Kinds};
use super::skip::ANY;
use super::term::{KINDS, Term};
use super::varint::Cursor;
use super::{IndexError, joint, list, skip};

/// Terms and connections.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Posted {
    /// Sorted, each once.
    pub listed: Vec<(Term, u32)>,
    /// By kind, ascending: connections of which nothing of this kind is listed, and which may have anything of it.
    pub unlisted: [Vec<u32>; KINDS],
}

impl Posted {
    /// Of what was gathered, which is sorted; `unlisted`: of each connection the kinds that are not listed.
    pub fn of(mut listed: Vec<(Term, u32)>, mut unlisted: Vec<Kinds>, bounds: &Bounds) -> Posted {
        listed.dedup();
        if listed.len() > bounds.connection {
            let mut counts = vec![0usize; unlisted.len()];
            for of_kind in listed.chunk_by(|(a, _), (b, _)| a.kind() == b.kind()) {
                let Some((term, _)) = of_kind.first() else { continue };
                counts.fill(0);
                for (_, id) in of_kind {
                    if let Some((count, kinds)) = counts.get_mut(*id as usize).zip(unlisted.get_mut(*id as usize)) {
                        *count += 1;
                        if *count > bounds.connection {
                            kinds.add(term.kind());
                        }
                    }
                }
            }
        }
        let mut all: [Vec<u32>; KINDS] = Default::default();
        for (id, kinds) in (0..).zip(&unlisted) {
            for kind in kinds.each() {
                all.iter_mut().skip(kind).take(1).for_each(|ids| ids.push(id));
            }
        }
        if all.iter().any(|ids| !ids.is_empty()) {
            listed.retain(|(t, id)| !unlisted.get(*id as usize).is_some_and(|kinds| kinds.has(t.kind())));
        }
        Posted { listed, unlisted: all }
    }

    /// Whether all of it is listed.
    pub fn is_whole(&self) -> bool {
        self.unlisted.iter().all(Vec::is_empty)
    }

    fn lists(&self, kind: usize) -> bool {
        self.unlisted.get(kind).is_none_or(Vec::is_empty)
    }

    /// The address filter: of addresses that are not listed it rules out none.
    pub fn address_filter(&self) -> Result<Vec<u8>, IndexError> {
        if !(self.lists(ADDR4) && self.lists(ADDR6)) {
            return Ok(ANY.to_vec());
        }
        skip::address_filter(self.listed.iter().filter_map(|(t, _)| t.filter_key()).collect())
            .map_err(IndexError::Filter)
    }

    /// The joint filter; none where it would have to know what is not listed.
    pub fn joint_filter(&self, communities: &[(u32, u32)]) -> Result<Vec<u8>, IndexError> {
        if [ADDR4, ADDR6, PORT].into_iter().all(|kind| self.lists(kind)) {
            joint::joint_filter(&self.listed, communities).map_err(IndexError::Filter)
        } else {
            Ok(Vec::new())
        }
    }

    /// The bytes of the connections that are not listed, of an index with so many.
    pub fn put_unlisted(&self, out: &mut Vec<u8>, of: u32) {
        self.unlisted.iter().for_each(|ids| list::put_list(out, ids, of));
    }
}

/// Takes what [`put_unlisted`](Posted::put_unlisted) has put; `None`: it is none.
pub fn take_unlisted(mut from: Cursor<'_>, of: u32) -> Option<[Vec<u32>; KINDS]> {
    let mut all: [Vec<u32>; KINDS] = Default::default();
    for ids in &mut all {
        list::take_list(&mut from, of, ids)?;
    }
    from.0.is_empty().then_some(all)
}

/// Kinds of terms that filters are made of.
const ADDR4: usize = 0;
const ADDR6: usize = 1;
const PORT: usize = 2;
