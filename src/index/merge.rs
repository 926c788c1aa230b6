//! Indexes of neighbouring blocks as one, without a look at a packet: so that a block is parsed once, soon after it came, and the indexes
//! of runs in memory and that of its segment are made of what was found then. They are
//! what the packets would give, but for the unused places of the filters, which are random, and for what is not listed where an index is full.

use super::bounds::{Bounds, Kinds};
use super::build::Matter;
use super::community::IcmpKind;
use super::conns::Conn;
use super::distinct::Distinct;
use super::file::{About, VERSION};
use super::keys::Keys;
use super::posted::Posted;
use super::term::KINDS;
use super::{Index, IndexError, Scope};
use crate::limits::PIECE_BYTES;
use crate::store::reader::BlockTable;

/// The bytes of the index of all these blocks; the parts are in the order of their offsets. [`IndexError::Stale`]: they are no
/// neighbours, or one has seen damage: ask the packets.
pub fn bytes_of(parts: &[&Index], scope: Scope) -> Result<Vec<u8>, IndexError> {
    within(parts, scope, &Bounds::default())
}

/// The same within these bounds.
pub fn within(parts: &[&Index], scope: Scope, bounds: &Bounds) -> Result<Vec<u8>, IndexError> {
    let Some((head, tail)) = parts.split_first() else { return Err(IndexError::Stale) };
    let mut about = About { connections: 0, blocks: 0, packets: 0, first: u64::MAX, last: 0, ..*head.about() };
    let (mut keys, mut conns, mut postings) = (Keys::new(), Vec::<Conn>::new(), Vec::new());
    let (mut icmp, mut unlisted) = (Vec::<Distinct<IcmpKind>>::new(), Vec::<Kinds>::new());
    let (mut communities, mut table) = (Vec::new(), BlockTable::new(PIECE_BYTES));
    let alike = |a: &About| {
        let one = |a: &About| (a.store, a.number, a.generation, a.link_type, a.bad);
        a.version >= VERSION && one(a) == (about.store, about.number, about.generation, about.link_type, 0)
    };
    if !std::iter::once(head).chain(tail).all(|p| alike(p.about())) {
        return Err(IndexError::Stale);
    }
    let mut end = None;
    for part in parts {
        let a = part.about();
        let Some(blocks) = part.blocks()? else { return Err(IndexError::Stale) };
        let mut sums = blocks.sums.iter().copied();
        for block in &blocks.blocks {
            if end.is_some_and(|end| end != block.offset) {
                return Err(IndexError::Stale);
            }
            end = Some(block.offset + block.len as u64);
            table.push(*block, || sums.next()).ok_or(IndexError::Stale)?;
        }
        if a.packets > 0 {
            about.first = about.first.min(a.first);
        }
        about.last = about.last.max(a.last);
        about.packets += a.packets;
        about.end = a.end;

        let (mut numbers, mut packets) = (Vec::with_capacity(a.connections as usize), Vec::new());
        part.each_conn(0, &mut |_, mut c| {
            let n = keys.number(&c.key);
            numbers.push(n);
            packets.push(c.offsets.len());
            let kinds = std::mem::take(&mut c.icmp);
            match conns.get_mut(n as usize) {
                None => {
                    conns.push(c);
                    icmp.push(Distinct::default());
                    unlisted.push(Kinds::default());
                }
                Some(known) => {
                    known.first = known.first.min(c.first);
                    known.last = known.last.max(c.last);
                    known.bytes += c.bytes;
                    known.cut |= c.cut;
                    known.offsets.extend(c.offsets);
                }
            }
            if let Some(known) = icmp.get_mut(n as usize) {
                for kind in kinds {
                    known.add(kind);
                }
            }
        })?;
        let number = |n: u32| numbers.get(n as usize).copied().ok_or(IndexError::Damaged("its connections"));
        for kind in 0..KINDS {
            for &id in part.unlisted(kind)? {
                unlisted.get_mut(number(id)? as usize).into_iter().for_each(|kinds| kinds.add(kind));
            }
        }
        if postings.len() >= bounds.index {
            for (id, kinds) in crowded(part, &packets, bounds)? {
                let own = unlisted.get_mut(number(id)? as usize);
                own.into_iter().for_each(|own| kinds.each().for_each(|kind| own.add(kind)));
            }
        }
        part.each_term(&mut |term, ids| {
            let start = postings.len();
            for &id in ids {
                let id = number(id)?;
                if !unlisted.get(id as usize).is_some_and(|kinds| kinds.has(term.kind())) {
                    postings.push((term, id));
                }
            }
            if let Some(new) = postings.get_mut(start..) {
                new.sort_unstable_by_key(|(_, n)| *n);
            }
            Ok(())
        })?;
        part.each_community(&mut |hash, id| {
            communities.push((hash, number(id)?));
            Ok(())
        })?;
    }
    // Each part's are in order: a sort that finds runs has little to do. A connection that is in two parts has its terms twice.
    postings.sort();
    for (conn, kinds) in conns.iter_mut().zip(&mut icmp) {
        conn.icmp = kinds.take();
    }
    if about.packets == 0 {
        about.first = 0;
    }
    let posted = Posted::of(postings, unlisted, bounds);
    Matter { about, conns, posted, communities, table, scope }.bytes()
}

/// The connections of a part that have more values of a kind than their packets may have in an index that is full. `packets`: how many
/// each has.
fn crowded(part: &Index, packets: &[usize], bounds: &Bounds) -> Result<Vec<(u32, Kinds)>, IndexError> {
    let mut counts = vec![[0usize; KINDS]; packets.len()];
    part.each_term(&mut |term, ids| {
        for &id in ids {
            let count = counts.get_mut(id as usize).and_then(|of| of.get_mut(term.kind()));
            count.into_iter().for_each(|count| *count += 1);
        }
        Ok(())
    })?;
    let too_many = |(counts, packets): (&[usize; KINDS], &usize)| {
        let (mut kinds, most) = (Kinds::default(), packets.saturating_mul(bounds.crowded));
        counts.iter().enumerate().filter(|(_, n)| **n > most).for_each(|(kind, _)| kinds.add(kind));
        kinds
    };
    let all = counts.iter().zip(packets).map(too_many);
    Ok((0..).zip(all).filter(|(_, kinds)| *kinds != Kinds::default()).collect())
}
