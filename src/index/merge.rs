//! Indexes of neighbouring blocks as one, without a look at a packet: so that a block is parsed once, soon after it came, and the indexes
//! of runs in memory and that of its segment are made of what was found then. They are
//! what the packets would give, but for the unused places of the filters, which are random.

use super::build::Matter;
use super::file::{About, VERSION};
use super::keys::Keys;
use super::{Index, IndexError, Scope};
use crate::limits::PIECE_BYTES;
use crate::store::reader::BlockTable;

/// The bytes of the index of all these blocks; the parts are in the order of their offsets. [`IndexError::Stale`]: they are no
/// neighbours, or one has seen damage: ask the packets.
pub fn bytes_of(parts: &[&Index], scope: Scope) -> Result<Vec<u8>, IndexError> {
    let Some((head, tail)) = parts.split_first() else { return Err(IndexError::Stale) };
    let mut about = About { connections: 0, blocks: 0, packets: 0, first: u64::MAX, last: 0, ..*head.about() };
    let (mut keys, mut conns, mut postings) = (Keys::new(), Vec::new(), Vec::new());
    let (mut communities, mut table) = (Vec::new(), BlockTable::new(PIECE_BYTES));
    let alike = |a: &About| {
        let one = |a: &About| (a.version, a.store, a.number, a.generation, a.link_type, a.bad);
        one(a) == (VERSION, about.store, about.number, about.generation, about.link_type, 0)
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

        let mut numbers = Vec::with_capacity(a.connections as usize);
        part.each_conn(0, &mut |_, c| {
            let n = keys.number(&c.key);
            numbers.push(n);
            match conns.get_mut(n as usize) {
                None => conns.push(c),
                Some(known) => {
                    known.first = known.first.min(c.first);
                    known.last = known.last.max(c.last);
                    known.bytes += c.bytes;
                    known.cut |= c.cut;
                    known.offsets.extend(c.offsets);
                    for kind in c.icmp {
                        if !known.icmp.contains(&kind) {
                            known.icmp.push(kind);
                        }
                    }
                }
            }
        })?;
        let number = |n: u32| numbers.get(n as usize).copied().ok_or(IndexError::Damaged("its connections"));
        part.each_term(&mut |term, ids| {
            let start = postings.len();
            for &id in ids {
                postings.push((term, number(id)?));
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
    postings.dedup();
    if about.packets == 0 {
        about.first = 0;
    }
    Matter { about, conns, postings, communities, table, scope }.bytes()
}
