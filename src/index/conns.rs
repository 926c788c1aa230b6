//! The connections of a segment, as their records lie in the index: key, times, counts, offsets of their packets. Owns the
//! record's bytes; written by the builder, read by the index.

use super::community::{self, IcmpKind};
use super::named::{self, Addresses};
use super::varint::{Cursor, put, put_signed};
use crate::packet::key::Key;

/// Records of one group: found together, decoded from the first on.
pub const GROUP: usize = 16;

/// A connection, as far as one segment knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conn {
    /// Its name.
    pub key: Key,
    /// Time of its earliest packet in the segment, Unix ns.
    pub first: u64,
    /// Time of its latest.
    pub last: u64,
    /// Bytes on the wire of its packets in the segment.
    pub bytes: u64,
    /// The packet that reached the cutoff is among them.
    pub cut: bool,
    /// File offsets of its packets' blocks, ascending.
    pub offsets: Vec<u64>,
    /// Of ICMP, from version 5 on: directions, types and codes, in the order of their coming.
    pub icmp: Vec<IcmpKind>,
}

/// What records of a group are told apart from: the record before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    addresses: Addresses,
    first: u64,
    offset: u64,
}

impl Before {
    /// Before the first of a group, in an index whose earliest packet this is.
    pub fn group(earliest: u64) -> Before {
        Before { first: earliest, ..Before::default() }
    }
}

/// Appends a record. Offsets are multiples of 4, as everything in pcapng.
pub fn put_conn(out: &mut Vec<u8>, c: &Conn, before: &mut Before) {
    named::put(out, &c.key, c.cut, &mut before.addresses);
    put_signed(out, c.first.wrapping_sub(before.first) as i64);
    put(out, c.last - c.first);
    put(out, c.bytes);
    put(out, c.offsets.len() as u64);
    let mut last = before.offset;
    for (i, &o) in c.offsets.iter().enumerate() {
        // Of one connection they ascend; from one connection's first to the next one's they do as well.
        put(out, (o - last) / 4);
        last = o;
        if i == 0 {
            before.offset = o;
        }
    }
    before.first = c.first;
    if community::has_kinds(&c.key) {
        put(out, c.icmp.len() as u64);
        c.icmp.iter().for_each(|&(swapped, kind, code)| out.extend([u8::from(swapped), kind, code]));
    }
}

/// Takes a record, as this version has it.
pub fn take_conn(from: &mut Cursor<'_>, before: &mut Before, version: u32) -> Option<Conn> {
    let (key, cut) = if version < 4 { named::take_v3(from)? } else { named::take(from, &mut before.addresses)? };
    let first = before.first.wrapping_add(from.signed()? as u64);
    let last = first.checked_add(from.get()?)?;
    let bytes = from.get()?;
    let packets = usize::try_from(from.get()?).ok().filter(|&n| n <= from.0.len())?;
    let mut offsets = Vec::with_capacity(packets);
    let mut offset = before.offset;
    for _ in 0..packets {
        offset = offset.checked_add(from.get()?.checked_mul(4)?)?;
        offsets.push(offset);
    }
    before.first = first;
    before.offset = *offsets.first()?;
    let mut icmp = Vec::new();
    if version > 4 && community::has_kinds(&key) {
        for _ in 0..from.get()? {
            let [swapped, kind, code] = from.array()?;
            icmp.push((swapped != 0, kind, code));
        }
    }
    Some(Conn { key, first, last, bytes, cut, offsets, icmp })
}
