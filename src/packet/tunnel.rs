//! Tunnels and label stacks: GRE, VXLAN, Geneve, GTP-U, MPLS, PPPoE. Owns the reading of their headers, for the parser's
//! steps and for [`layers`](super::layers).

use super::bytes::Bytes;
use super::ether::next_of_ethertype;
use super::key::Net;
use super::walk::{Next, Walk};
use crate::limits::{EXT_MAX, MPLS_MAX};

/// What a tunnel header carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inner {
    /// An Ethernet header at this offset.
    Ether(usize),
    /// Anything else, without a header between.
    Next(Next),
}

/// A tunnel header that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tunnelled {
    /// Where it ends.
    pub(super) off: usize,
    /// Its id, if it has one.
    pub(super) net: Option<(Net, u32)>,
    pub(super) inner: Inner,
}

/// RFC 2784, 2890 (version 0) and RFC 2637 (version 1, PPTP, whose call id differs by direction and is no net).
pub(super) fn gre(bytes: Bytes<'_>, at: usize) -> Option<Tunnelled> {
    let (flags, ethertype) = (bytes.u16(at)?, bytes.u16(at + 2)?);
    let field = |flag: u16| if flags & flag != 0 { 4 } else { 0 };
    if flags & 7 == 1 && ethertype == 0x880b {
        let (protocol, off) = ppp(bytes, at + 8 + field(0x1000) + field(0x80))?;
        return Some(Tunnelled { off, net: None, inner: Inner::Next(next_of_ppp(protocol)) });
    }
    // Source routing (RFC 1701) is not followed.
    if flags & 0x4007 != 0 {
        return None;
    }
    let key = at + 4 + field(0x8000);
    let net = if flags & 0x2000 != 0 { Some((Net::Gre, bytes.u32(key)?)) } else { None };
    let off = key + field(0x2000) + field(0x1000);
    let inner = match ethertype {
        // ERSPAN: type II has a header, and a sequence number in GRE; type I neither.
        0x88be => Inner::Ether(off + if flags & 0x1000 != 0 { 8 } else { 0 }),
        // Type III: the last bit of its 12 bytes says that 8 more follow.
        0x22eb => Inner::Ether(off + if bytes.u8(off + 11)? & 1 != 0 { 20 } else { 12 }),
        t => payload(t, off),
    };
    Some(Tunnelled { off, net, inner })
}

/// RFC 7348; the flag that says the id is valid is required.
pub(super) fn vxlan(bytes: Bytes<'_>, at: usize) -> Option<Tunnelled> {
    let [flags, _, _, _, a, b, c, _] = bytes.at(at)?;
    let net = Some((Net::Vxlan, u32::from_be_bytes([0, a, b, c])));
    (flags & 8 != 0).then_some(Tunnelled { off: at + 8, net, inner: Inner::Ether(at + 8) })
}

/// RFC 8926, version 0.
pub(super) fn geneve(bytes: Bytes<'_>, at: usize) -> Option<Tunnelled> {
    let [version, _, t0, t1, a, b, c, _] = bytes.at(at)?;
    let net = Some((Net::Geneve, u32::from_be_bytes([0, a, b, c])));
    let off = at + 8 + usize::from(version & 63) * 4;
    let inner = payload(u16::from_be_bytes([t0, t1]), off);
    (version >> 6 == 0).then_some(Tunnelled { off, net, inner })
}

fn payload(ethertype: u16, off: usize) -> Inner {
    if ethertype == 0x6558 { Inner::Ether(off) } else { Inner::Next(next_of_ethertype(ethertype)) }
}

/// 3GPP TS 29.281: a T-PDU of version 1 with its extension headers.
pub(super) fn gtp_u(bytes: Bytes<'_>, at: usize) -> Option<Tunnelled> {
    let [flags, 0xff, _, _, _, _, _, _] = bytes.at(at)? else { return None };
    if flags & 0xf0 != 0x30 {
        return None;
    }
    let mut off = at + 8;
    if flags & 7 != 0 {
        let [_, _, _, first] = bytes.at(off)?;
        let mut extension = if flags & 4 != 0 { first } else { 0 };
        off += 4;
        for _ in 0..EXT_MAX {
            if extension == 0 {
                break;
            }
            off += usize::from(bytes.u8(off).filter(|&units| units > 0)?) * 4;
            extension = bytes.u8(off - 1)?;
        }
        if extension != 0 {
            return None;
        }
    }
    Some(Tunnelled { off, net: None, inner: Inner::Next(Next::Ip) })
}

/// A PPP protocol field, possibly of one byte, behind address and control if they are there (RFC 1661, 1662): its value
/// and where it ends.
pub(super) fn ppp(bytes: Bytes<'_>, at: usize) -> Option<(u16, usize)> {
    let at = if bytes.at(at) == Some([0xff, 3]) { at + 2 } else { at };
    match bytes.u8(at)? {
        short if short & 1 == 1 => Some((u16::from(short), at + 1)),
        _ => Some((bytes.u16(at)?, at + 2)),
    }
}

pub(super) fn next_of_ppp(protocol: u16) -> Next {
    match protocol {
        0x0021 => Next::Ip4,
        0x0057 => Next::Ip6,
        0x0281 | 0x0283 => Next::Mpls,
        _ => Next::Done,
    }
}

/// What is under a label stack: IP by the first nibble; nibble 0 is a pseudowire's control word (RFC 4385), taken as
/// Ethernet.
pub(super) fn after_labels(bytes: Bytes<'_>, at: usize) -> Inner {
    match bytes.u8(at).map(|b| b >> 4) {
        Some(4) => Inner::Next(Next::Ip4),
        Some(6) => Inner::Next(Next::Ip6),
        Some(0) => Inner::Ether(at + 4),
        _ => Inner::Next(Next::Done),
    }
}

impl Walk<'_> {
    /// RFC 3032.
    pub(super) fn mpls(&mut self) {
        self.next = Next::Done;
        for _ in 0..MPLS_MAX {
            let Some(label) = self.bytes.u32(self.off) else { return };
            self.off += 4;
            if label & 0x100 != 0 {
                return self.enter(after_labels(self.bytes, self.off));
            }
        }
    }

    /// RFC 2516, session stage.
    pub(super) fn pppoe(&mut self) {
        self.next = Next::Done;
        if let Some([0x11, 0, _, _, _, _]) = self.bytes.at(self.off) {
            self.off += 6;
            self.ppp();
        }
    }

    pub(super) fn ppp(&mut self) {
        self.next = Next::Done;
        if let Some((protocol, off)) = ppp(self.bytes, self.off) {
            self.off = off;
            self.next = next_of_ppp(protocol);
        }
    }

    pub(super) fn tunnel(&mut self, read: impl Fn(Bytes<'_>, usize) -> Option<Tunnelled>) {
        self.next = Next::Done;
        let Some(inside) = read(self.bytes, self.off) else { return };
        if let Some((kind, id)) = inside.net {
            self.path.net = id;
            self.path.net_kind = kind;
        }
        self.off = inside.off;
        self.enter(inside.inner);
    }

    fn enter(&mut self, inner: Inner) {
        match inner {
            Inner::Next(next) => self.next = next,
            Inner::Ether(off) => {
                self.off = off;
                self.ether();
            }
        }
    }
}
