//! Ethernet, 802.3 with LLC, VLAN tags. A step of the parser.

use super::bytes::Bytes;
use super::walk::{Next, Path, Walk};
use crate::limits::VLANS_MAX;

/// Ethertype or LLC, as it goes into the key of what is not IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// Ethertype.
    Ether(u16),
    /// 802.3: DSAP in the high byte, SSAP in the low; 0 where they are cut off.
    Llc(u16),
}

impl Type {
    pub(super) fn next(self) -> Next {
        match self {
            Type::Ether(t) => next_of_ethertype(t),
            Type::Llc(_) => Next::Done,
        }
    }
}

pub(super) fn next_of_ethertype(ethertype: u16) -> Next {
    match ethertype {
        0x0800 => Next::Ip4,
        0x86dd => Next::Ip6,
        0x8847 | 0x8848 => Next::Mpls,
        0x8864 => Next::Pppoe,
        _ => Next::Done,
    }
}

/// True for the ethertypes of a VLAN tag (802.1Q, 802.1ad, and the older QinQ), as in libpcap.
pub(super) fn is_vlan(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

/// Notes a tag. Id 0 means priority only: the frame belongs to no VLAN.
fn add_vlan(path: &mut Path, tci: u16) {
    let id = tci & 0xfff;
    if id == 0 {
        return;
    }
    let [outer, inner] = &mut path.vlan;
    *(if *outer == 0 { outer } else { inner }) = id | 0x8000;
}

/// The type field that was read at `off - 2`: resolves 802.3 with LLC and SNAP; returns the type and where it ends.
pub(super) fn resolve(bytes: Bytes<'_>, off: usize, ethertype: u16) -> (Type, usize) {
    if ethertype >= 0x600 {
        return (Type::Ether(ethertype), off);
    }
    match bytes.at::<8>(off) {
        Some([0xaa, 0xaa, 3, 0, 0, 0, a, b]) => (Type::Ether(u16::from_be_bytes([a, b])), off + 8),
        _ => (Type::Llc(bytes.u16(off).unwrap_or(0)), off),
    }
}

impl Walk<'_> {
    /// Tags, then the type, whose first two bytes have been read before `off`.
    #[inline]
    pub(super) fn ethertype(&mut self, mut ethertype: u16) -> Type {
        for _ in 0..VLANS_MAX {
            if !is_vlan(ethertype) {
                break;
            }
            let Some([a, b, c, d]) = self.bytes.at(self.off) else { break };
            self.off += 4;
            add_vlan(&mut self.path, u16::from_be_bytes([a, b]));
            ethertype = u16::from_be_bytes([c, d]);
        }
        let (what, off) = resolve(self.bytes, self.off, ethertype);
        self.off = off;
        self.next = what.next();
        what
    }

    /// An Ethernet header; `None` if it is not there. The tags of an outer one are forgotten: they belong to the path
    /// between tunnel ends.
    #[inline]
    pub(super) fn ether(&mut self) -> Option<Type> {
        self.next = Next::Done;
        let header: [u8; 14] = self.bytes.at(self.off)?;
        let [.., a, b] = header;
        self.off += 14;
        self.path.vlan = [0; 2];
        Some(self.ethertype(u16::from_be_bytes([a, b])))
    }
}
