//! The key at the head of a connection's record, in the bytes of each version. What most records have takes no byte of its own: a
//! protocol or a port that is well known, the bytes of an address that the record before has too. Written and read by the record.

use super::varint::Cursor;
use crate::packet::key::{Key, Key4, Key6, Tail};

/// Flags at the head of a record.
mod flag {
    pub const V6: u8 = 1;
    pub const CUT: u8 = 2;
    /// Another byte of flags follows.
    pub const MORE: u8 = 4;
    /// The protocol by its code, 3 being ICMP; 0: it follows.
    pub const PROTO: u8 = 8 | 16;
    /// A port takes one byte: that of endpoint 0, of endpoint 1.
    pub const PORT: [u8; 2] = [32, 64];
}

/// What few records have.
mod more {
    pub const VLAN: u8 = 1;
    pub const NET: u8 = 2;
    pub const KIND: u8 = 4;
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Ports of one byte: those below `LOW` as they are, then these. FORMAT.md names them: another list is another version of the index.
const LOW: u16 = 224;
const HIGH: [u16; 32] = [
    389, 443, 445, 465, 500, 514, 554, 587, 636, 853, 873, 993, 995, 1433, 1521, 1883, 2049, 3128, 3306, 3389, 4500,
    5060, 5222, 5353, 5432, 5900, 6379, 8000, 8080, 8443, 9200, 27017,
];

fn code_of(port: u16) -> Option<u8> {
    let high = || HIGH.binary_search(&port).ok().and_then(|n| u8::try_from(usize::from(LOW) + n).ok());
    if port < LOW { u8::try_from(port).ok() } else { high() }
}

fn port_of(code: u8) -> u16 {
    let code = u16::from(code);
    code.checked_sub(LOW).and_then(|n| HIGH.get(usize::from(n)).copied()).unwrap_or(code)
}

/// The addresses of the record before in its group, of each family.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    v4: [[u8; 4]; 2],
    v6: [[u8; 16]; 2],
}

/// A bit for each byte of `addr` that is not that of `before`, and these bytes.
fn put_changes<const N: usize>(
    addr: &[[u8; N]; 2],
    before: &mut [[u8; N]; 2],
    out: &mut Vec<u8>,
    head: fn([u16; 2]) -> Vec<u8>,
) {
    let mut masks = [0u16; 2];
    for ((mask, a), b) in masks.iter_mut().zip(addr).zip(before.iter()) {
        *mask = a.iter().zip(b).rev().fold(0, |m, (a, b)| m << 1 | u16::from(a != b));
    }
    out.extend(head(masks));
    for (a, b) in addr.iter().zip(before.iter()) {
        out.extend(a.iter().zip(b).filter(|(a, b)| a != b).map(|(a, _)| a));
    }
    *before = *addr;
}

fn take_changes<const N: usize>(
    masks: [u16; 2],
    before: &mut [[u8; N]; 2],
    from: &mut Cursor<'_>,
) -> Option<[[u8; N]; 2]> {
    for (mask, addr) in masks.into_iter().zip(before.iter_mut()) {
        for (n, byte) in addr.iter_mut().enumerate().filter(|(n, _)| mask & 1 << n != 0) {
            debug_assert!(n < 16);
            [*byte] = from.array()?;
        }
    }
    Some(*before)
}

/// Appends a key and whether its connection was cut.
pub fn put(out: &mut Vec<u8>, key: &Key, cut: bool, before: &mut Addresses) {
    let t = key.tail();
    let set = |yes, flag| if yes { flag } else { 0 };
    let v6 = matches!(key, Key::V6(_));
    let rest = set(t.vlan != [0; 2], more::VLAN) | set(t.net != 0, more::NET) | set(t.kind != 0, more::KIND);
    let proto = [TCP, UDP, icmp(v6)].iter().position(|&p| p == t.proto).map_or(0, |n| n as u8 + 1);
    let codes = t.port.map(code_of);
    let [a, b] = flag::PORT;
    let [first, second] = codes.map(|c| c.is_some());
    let flags = set(v6, flag::V6) | set(cut, flag::CUT) | set(rest != 0, flag::MORE) | set(first, a) | set(second, b);
    out.push(flags | proto << 3);
    if rest != 0 {
        out.push(rest);
    }
    if proto == 0 {
        out.push(t.proto);
    }
    match key {
        Key::V4(k) => put_changes(&k.addr, &mut before.v4, out, |[a, b]| vec![(a | b << 4) as u8]),
        Key::V6(k) => put_changes(&k.addr, &mut before.v6, out, |m| m.map(u16::to_le_bytes).concat()),
    }
    for (port, code) in t.port.into_iter().zip(codes) {
        match code {
            Some(code) => out.push(code),
            None => out.extend(port.to_le_bytes()),
        }
    }
    if rest & more::VLAN != 0 {
        t.vlan.iter().for_each(|v| out.extend(v.to_le_bytes()));
    }
    if rest & more::NET != 0 {
        out.extend(t.net.to_le_bytes());
    }
    if rest & more::KIND != 0 {
        out.push(t.kind);
    }
}

/// Takes a key and whether its connection was cut.
pub fn take(from: &mut Cursor<'_>, before: &mut Addresses) -> Option<(Key, bool)> {
    let [flags] = from.array()?;
    let v6 = flags & flag::V6 != 0;
    let [rest] = if flags & flag::MORE != 0 { from.array()? } else { [0] };
    let proto = match (flags & flag::PROTO) >> 3 {
        1 => TCP,
        2 => UDP,
        3 => icmp(v6),
        _ => {
            let [proto] = from.array()?;
            proto
        }
    };
    let mut key = if v6 {
        let masks = [from.array()?, from.array()?].map(u16::from_le_bytes);
        Key::V6(Key6 { addr: take_changes(masks, &mut before.v6, from)?, tail: Tail::default() })
    } else {
        let [masks] = from.array()?;
        let addr = take_changes([masks & 15, masks >> 4].map(u16::from), &mut before.v4, from)?;
        Key::V4(Key4 { addr, tail: Tail::default() })
    };
    let mut port = [0; 2];
    for (port, flag) in port.iter_mut().zip(flag::PORT) {
        *port = if flags & flag != 0 {
            let [code] = from.array()?;
            port_of(code)
        } else {
            u16::from_le_bytes(from.array()?)
        };
    }
    let tail = take_tail(from, proto, port, [more::VLAN, more::NET, more::KIND].map(|flag| rest & flag != 0))?;
    match &mut key {
        Key::V4(k) => k.tail = tail,
        Key::V6(k) => k.tail = tail,
    }
    Some((key, flags & flag::CUT != 0))
}

fn icmp(v6: bool) -> u8 {
    if v6 { 58 } else { 1 }
}

fn take_tail(from: &mut Cursor<'_>, proto: u8, port: [u16; 2], [vlan, net, kind]: [bool; 3]) -> Option<Tail> {
    let vlan = if vlan { [from.array()?, from.array()?].map(u16::from_le_bytes) } else { [0; 2] };
    let net = if net { u32::from_le_bytes(from.array()?) } else { 0 };
    let [kind] = if kind { from.array()? } else { [0] };
    Some(Tail { net, vlan, port, proto, kind, zero: 0 })
}

/// The same of versions 1 to 3, which are only read.
pub fn take_v3(from: &mut Cursor<'_>) -> Option<(Key, bool)> {
    let [flags, proto] = from.array()?;
    let has = |flag: u8| flags & flag != 0;
    let v4 = if has(flag::V6) { None } else { Some([from.array::<4>()?, from.array()?]) };
    let v6 = if has(flag::V6) { Some([from.array::<16>()?, from.array()?]) } else { None };
    let port = [from.array()?, from.array()?].map(u16::from_le_bytes);
    let tail = take_tail(from, proto, port, [4, 8, 16].map(has))?;
    let key = match (v4, v6) {
        (Some(addr), _) => Key::V4(Key4 { addr, tail }),
        (_, Some(addr)) => Key::V6(Key6 { addr, tail }),
        _ => return None,
    };
    Some((key, has(flag::CUT)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_key() -> impl Strategy<Value = Key> {
        let byte = prop_oneof![4 => Just(0u8), 2 => 1..4u8, 1 => any::<u8>()];
        let port = || prop_oneof![Just(0u16), Just(443), Just(224), 200..240u16, any::<u16>()];
        let small = prop_oneof![3 => Just(0u16), 1 => any::<u16>()];
        (
            any::<bool>(),
            prop::collection::vec(byte, 32),
            [port(), port()],
            prop::sample::select(vec![1u8, 6, 17, 58, 47, 0, 255]),
            [small.clone(), small.clone()],
            small,
            prop::sample::select(vec![0u8, 0, 0, 1, 2, 17]),
        )
            .prop_map(|(v6, bytes, port, proto, vlan, net, kind)| {
                let tail = Tail { net: net.into(), vlan, port, proto, kind, zero: 0 };
                let part = |n: usize| &bytes[n..];
                if v6 {
                    Key::V6(Key6 { addr: [0, 16].map(|n| *part(n).first_chunk().unwrap()), tail })
                } else {
                    Key::V4(Key4 { addr: [0, 4].map(|n| *part(n).first_chunk().unwrap()), tail })
                }
            })
    }

    proptest! {
        #[test]
        fn what_is_put_is_taken(keys in prop::collection::vec((some_key(), any::<bool>()), 1..20)) {
            let (mut out, mut before) = (Vec::new(), Addresses::default());
            keys.iter().for_each(|(key, cut)| put(&mut out, key, *cut, &mut before));
            let (mut from, mut before) = (Cursor(&out), Addresses::default());
            for (key, cut) in &keys {
                prop_assert_eq!(take(&mut from, &mut before), Some((*key, *cut)));
            }
            prop_assert!(from.0.is_empty());
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let (mut from, mut before) = (Cursor(&bytes), Addresses::default());
            while take(&mut from, &mut before).is_some() {}
            let mut from = Cursor(&bytes);
            while take_v3(&mut from).is_some() {}
        }
    }

    #[test]
    fn ports_that_are_known_take_one_byte() {
        assert!(HIGH.is_sorted() && HIGH.iter().all(|p| *p >= LOW));
        assert_eq!(HIGH.len() + usize::from(LOW), 256);
        for port in 0..=u16::MAX {
            assert_eq!(code_of(port).map(port_of), (port < LOW || HIGH.contains(&port)).then_some(port));
        }
    }
}
