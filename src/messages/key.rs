//! Names of connections, and what is known of one that runs. Owns their form; who asks has the key, so an answer does not repeat it.

use super::wire::{Malformed, Reading, Writing};
use crate::conn::receipt::{End, LookedUp, Receipt};
use crate::packet::key::{Key, Key4, Key6, Tail};

/// Writes a key: 52 bytes.
pub(super) fn write(key: &Key, to: &mut Writing) {
    match key {
        Key::V4(k) => to.u8(4).zero(3).bytes(k.addr.as_flattened()).zero(24),
        Key::V6(k) => to.u8(6).zero(3).bytes(k.addr.as_flattened()),
    };
    let t = key.tail();
    let ([a, b], [c, d]) = (t.vlan, t.port);
    to.u32(t.net).u16(a).u16(b).u16(c).u16(d).u8(t.proto).u8(t.kind).zero(2);
}

/// Reads it. Any addresses, ports and tags are those of a connection, if of one that is not there.
pub(super) fn read(from: &mut Reading<'_>) -> Result<Key, Malformed> {
    let version = from.u8()?;
    from.zero::<3>()?;
    match version {
        4 => {
            let addr = [from.array()?, from.array()?];
            from.zero::<24>()?;
            Ok(Key::V4(Key4 { addr, tail: tail(from)? }))
        }
        6 => Ok(Key::V6(Key6 { addr: [from.array()?, from.array()?], tail: tail(from)? })),
        _ => Err(Malformed("a key is of no size")),
    }
}

fn tail(from: &mut Reading<'_>) -> Result<Tail, Malformed> {
    let (net, vlan, port) = (from.u32()?, [from.u16()?, from.u16()?], [from.u16()?, from.u16()?]);
    let [proto, kind] = from.array()?;
    from.zero::<2>()?;
    Ok(Tail { net, vlan, port, proto, kind, zero: 0 })
}

/// Writes what was found of `key`: 56 bytes. Workers may name it without its VLAN ids.
pub(super) fn write_found(key: &Key, found: &LookedUp, to: &mut Writing) {
    match found {
        LookedUp::Runs(r) if r.key == *key || r.key == key.untagged() => {
            to.u8(2).bytes(&[r.end as u8, r.class, r.originator]).u8(r.cut.into()).u8((r.key != *key).into()).zero(2);
            to.u64(r.first).u64(r.last).u64(r.seen_packets).u64(r.seen_bytes);
            to.u64(r.stored_packets).u64(r.stored_bytes)
        }
        LookedUp::Absent => to.u8(1).zero(55),
        LookedUp::Unknown | LookedUp::Runs(_) => to.zero(56),
    };
}

/// Reads it.
pub(super) fn read_found(key: &Key, from: &mut Reading<'_>) -> Result<LookedUp, Malformed> {
    let kind = from.u8()?;
    if kind < 2 {
        from.zero::<55>()?;
        return Ok(if kind == 0 { LookedUp::Unknown } else { LookedUp::Absent });
    }
    let end = match from.u8()? {
        0 => End::Lasting,
        1 => End::Reset,
        2 => End::Closed,
        3 => End::Idle,
        4 => End::Replaced,
        5 => End::Stopped,
        _ => return Err(Malformed("no end of a connection")),
    };
    let [class, originator] = from.array()?;
    let (cut, untagged) = (from.flag()?, from.flag()?);
    from.zero::<2>()?;
    let key = if untagged { key.untagged() } else { *key };
    if kind != 2 {
        return Err(Malformed("nothing that can be found"));
    }
    Ok(LookedUp::Runs(Receipt {
        key,
        first: from.u64()?,
        last: from.u64()?,
        seen_packets: from.u64()?,
        seen_bytes: from.u64()?,
        stored_packets: from.u64()?,
        stored_bytes: from.u64()?,
        end,
        class,
        originator,
        cut,
    }))
}
