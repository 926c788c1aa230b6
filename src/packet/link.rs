//! Where parsing begins, by link type. Owns the list of link types that are understood.

use super::bytes::Bytes;
use super::ether::Type;
use super::walk::{Next, Path, Reached, Walk};

/// What was found in a packet.
pub(super) enum Found {
    /// IP: the innermost header.
    Ip(Reached),
    /// Not IP: MACs of the outermost Ethernet header (destination first; zeros where the link has none) and its type.
    Other { macs: [[u8; 6]; 2], what: Type, path: Path },
    /// Nothing.
    Opaque,
}

/// True if packets of this link type are parsed; those of all others are opaque.
pub fn understood(link_type: u16) -> bool {
    matches!(link_type, 0 | 1 | 9 | 12 | 14 | 101 | 108 | 113 | 228 | 229 | 276)
}

#[inline]
pub(super) fn find(link_type: u16, bytes: Bytes<'_>) -> Found {
    match link_type {
        1 => ethernet(bytes),
        // Raw IP; 12 and 14 are what some systems write for it.
        12 | 14 | 101 => finish(Walk::new(bytes, 0, Next::Ip), None),
        228 => finish(Walk::new(bytes, 0, Next::Ip4), None),
        229 => finish(Walk::new(bytes, 0, Next::Ip6), None),
        113 => cooked(bytes, 14, 16),
        276 => cooked(bytes, 0, 20),
        0 | 108 => finish(Walk::new(bytes, 4, null_next(bytes)), None),
        9 => {
            let mut walk = Walk::new(bytes, 0, Next::Done);
            walk.ppp();
            finish(walk, None)
        }
        _ => Found::Opaque,
    }
}

#[inline]
fn ethernet(bytes: Bytes<'_>) -> Found {
    let mut walk = Walk::new(bytes, 0, Next::Done);
    let Some(what) = walk.ether() else { return Found::Opaque };
    let macs = bytes.at::<12>(0).map(|m| {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = m;
        [[a, b, c, d, e, f], [g, h, i, j, k, l]]
    });
    finish(walk, macs.map(|m| (m, what)))
}

/// Linux cooked capture: a protocol field that is an ethertype, or less than 0x600 for what has none.
fn cooked(bytes: Bytes<'_>, protocol: usize, payload: usize) -> Found {
    let (Some(ethertype), Some(_)) = (bytes.u16(protocol), bytes.u8(payload - 1)) else { return Found::Opaque };
    if ethertype < 0x600 {
        return Found::Opaque;
    }
    let mut walk = Walk::new(bytes, payload, Next::Done);
    let what = walk.ethertype(ethertype);
    finish(walk, Some(([[0; 6]; 2], what)))
}

/// BSD loopback: the address family in the byte order of the machine that captured (type 108: big-endian); 24, 28 and 30 are
/// IPv6 on the BSDs and macOS, 10 on Linux.
pub(super) fn null_next(bytes: Bytes<'_>) -> Next {
    let family = match bytes.at(0) {
        Some([0, 0, 0, f]) | Some([f, 0, 0, 0]) => f,
        _ => return Next::Done,
    };
    match family {
        2 => Next::Ip4,
        10 | 24 | 28 | 30 => Next::Ip6,
        _ => Next::Done,
    }
}

#[inline]
fn finish(mut walk: Walk<'_>, other: Option<([[u8; 6]; 2], Type)>) -> Found {
    let path = walk.path;
    walk.run();
    match (walk.reached, other) {
        (Some(reached), _) => Found::Ip(reached),
        (None, Some((macs, what))) => Found::Other { macs, what, path },
        (None, None) => Found::Opaque,
    }
}
