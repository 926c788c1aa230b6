//! The connections of a segment, as their records lie in the index: key, times, counts, offsets of their packets. Owns the
//! record's bytes; written by the builder, read by the index.

use super::varint::{Cursor, put, put_signed};
use crate::packet::key::{Key, Key4, Key6, Tail};

/// Records of one group: found together, decoded from the first on.
pub const GROUP: usize = 16;

/// Flags at the head of a record.
mod flag {
    pub const V6: u8 = 1;
    pub const CUT: u8 = 2;
    pub const VLAN: u8 = 4;
    pub const NET: u8 = 8;
    pub const KIND: u8 = 16;
}

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
}

/// What records of a group are told apart from: the record before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    first: u64,
    offset: u64,
}

/// Appends a record. Offsets are multiples of 4, as everything in pcapng.
pub fn put_conn(out: &mut Vec<u8>, c: &Conn, before: &mut Before) {
    let t = c.key.tail();
    let set = |yes, flag| if yes { flag } else { 0 };
    let flags = set(matches!(c.key, Key::V6(_)), flag::V6)
        | set(c.cut, flag::CUT)
        | set(t.vlan != [0; 2], flag::VLAN)
        | set(t.net != 0, flag::NET)
        | set(t.kind != 0, flag::KIND);
    out.extend([flags, t.proto]);
    match &c.key {
        Key::V4(k) => k.addr.iter().for_each(|a| out.extend(a)),
        Key::V6(k) => k.addr.iter().for_each(|a| out.extend(a)),
    }
    t.port.iter().for_each(|p| out.extend(p.to_le_bytes()));
    if t.vlan != [0; 2] {
        t.vlan.iter().for_each(|v| out.extend(v.to_le_bytes()));
    }
    if t.net != 0 {
        out.extend(t.net.to_le_bytes());
    }
    if t.kind != 0 {
        out.push(t.kind);
    }
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
}

/// Takes a record.
pub fn take_conn(from: &mut Cursor<'_>, before: &mut Before) -> Option<Conn> {
    let [flags, proto] = from.array()?;
    let has = |flag| flags & flag != 0;
    let v4 = if has(flag::V6) { None } else { Some([from.array::<4>()?, from.array()?]) };
    let v6 = if has(flag::V6) { Some([from.array::<16>()?, from.array()?]) } else { None };
    let port = [from.array()?, from.array()?].map(u16::from_le_bytes);
    let vlan = if has(flag::VLAN) { [from.array()?, from.array()?].map(u16::from_le_bytes) } else { [0; 2] };
    let net = if has(flag::NET) { u32::from_le_bytes(from.array()?) } else { 0 };
    let [kind] = if has(flag::KIND) { from.array()? } else { [0] };
    let tail = Tail { net, vlan, port, proto, kind, zero: 0 };
    let key = match (v4, v6) {
        (Some(addr), _) => Key::V4(Key4 { addr, tail }),
        (_, Some(addr)) => Key::V6(Key6 { addr, tail }),
        _ => return None,
    };
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
    Some(Conn { key, first, last, bytes, cut: has(flag::CUT), offsets })
}
