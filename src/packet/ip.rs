//! IPv4 and IPv6, with options, extension headers and fragments. A step of the parser.

use super::Fragment;
use super::l4;
use super::walk::{Addrs, Next, Reached, Walk};
use crate::limits::EXT_MAX;
use std::net::{Ipv4Addr, Ipv6Addr};

impl Walk<'_> {
    pub(super) fn ip(&mut self) {
        match self.bytes.u8(self.off).map(|b| b >> 4) {
            Some(4) => self.ip4(),
            Some(6) => self.ip6(),
            _ => self.next = Next::Done,
        }
    }

    #[inline]
    pub(super) fn ip4(&mut self) {
        self.next = Next::Done;
        let Some(h) = self.bytes.at::<20>(self.off) else { return };
        let [vihl, _, _, _, id0, id1, f0, f1, _, proto, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = h;
        let header = usize::from(vihl & 15) * 4;
        if vihl >> 4 != 4 || header < 20 {
            return;
        }
        let fragment = fragment4(u16::from_be_bytes([f0, f1]), u16::from_be_bytes([id0, id1]));
        self.reach(Addrs::V4(Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3)), proto, fragment);
        self.off += header;
        self.transport();
    }

    pub(super) fn ip6(&mut self) {
        self.next = Next::Done;
        let Some(h) = self.bytes.at::<40>(self.off) else { return };
        let [version, _, _, _, _, _, mut proto, _, addrs @ ..] = h;
        if version >> 4 != 6 {
            return;
        }
        let addrs = u128_pair(addrs);
        let mut fragment = Fragment::None;
        let start = self.off;
        let mut off = start + 40;
        for _ in 0..EXT_MAX {
            let Some(ext) = Extension::read(self.bytes, off, proto) else { break };
            proto = ext.next;
            off += ext.len;
            fragment = ext.fragment.unwrap_or(fragment);
            if matches!(fragment, Fragment::Later(_)) {
                break;
            }
        }
        self.reach(Addrs::V6(addrs.0, addrs.1), proto, fragment);
        self.off = off;
        self.transport();
    }

    /// An IP header was reached: it names the connection from now on.
    #[inline]
    fn reach(&mut self, addrs: Addrs, proto: u8, fragment: Fragment) {
        self.reached = Some(Reached {
            addrs,
            path: self.path,
            l3: self.off as u16,
            proto,
            ports: [0; 2],
            fragment,
            tcp_flags: 0,
            tcp_seq: 0,
        });
    }

    #[inline]
    fn transport(&mut self) {
        let Some(reached) = &mut self.reached else { return };
        self.next = l4::read(self.bytes, &mut self.off, reached);
    }
}

/// From IPv4's flags with offset, and its identification.
#[inline]
pub(super) fn fragment4(flags: u16, id: u16) -> Fragment {
    match (flags & 0x1fff, flags & 0x2000) {
        (0, 0) => Fragment::None,
        (0, _) => Fragment::First(id.into()),
        _ => Fragment::Later(id.into()),
    }
}

fn u128_pair(addrs: [u8; 32]) -> (Ipv6Addr, Ipv6Addr) {
    let mut halves = [[0u8; 16]; 2];
    halves.as_flattened_mut().copy_from_slice(&addrs);
    let [src, dst] = halves;
    (Ipv6Addr::from(src), Ipv6Addr::from(dst))
}

/// An IPv6 extension header.
pub(super) struct Extension {
    pub(super) next: u8,
    pub(super) len: usize,
    /// Of a fragment header. One with offset 0 and no more to come is no fragment (RFC 6946).
    pub(super) fragment: Option<Fragment>,
}

impl Extension {
    /// The extension header of protocol `proto` at `off`; `None` if it is none or is cut off.
    #[inline]
    pub(super) fn read(bytes: super::bytes::Bytes<'_>, off: usize, proto: u8) -> Option<Extension> {
        if !matches!(proto, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140) {
            return None;
        }
        let [next, len, o0, o1, id @ ..] = bytes.at::<8>(off)?;
        let (len, fragment) = match proto {
            44 => {
                let (offset, id) = (u16::from_be_bytes([o0, o1]), u32::from_be_bytes(id));
                let fragment = match (offset & 0xfff8, offset & 1) {
                    (0, 0) => Fragment::None,
                    (0, _) => Fragment::First(id),
                    _ => Fragment::Later(id),
                };
                (8, Some(fragment))
            }
            51 => (usize::from(len) * 4 + 8, None),
            _ => (usize::from(len) * 8 + 8, None),
        };
        Some(Extension { next, len, fragment })
    }
}
