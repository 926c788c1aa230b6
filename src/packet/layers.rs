//! Every layer of a packet with its values: what the index posts and what `--any-layer` applies an expression to. Called by the
//! indexer and by queries, never on the packet path.
//!
//! The guarantee: a value that a primitive of libpcap's language (`host`, `net`, `port`, `proto`, `vlan`, `mpls`) can see at a header
//! that is there is among the values reported, also in packets that are broken or cut off, because headers are read as
//! libpcap reads them: by ethertype alone, at fixed offsets, field by field. Inner headers come on top.

use super::Fragment;
use super::bytes::Bytes;
use super::key::Net;
use super::tunnel::{self, Inner, Tunnelled, next_of_ppp};
use super::walk::Next;
use super::{ether, ip, l4, link};
use crate::limits::{EXT_MAX, PARSE_BYTES};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A layer and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Offset of its header in the packet.
    pub offset: usize,
    /// Its values.
    pub what: What,
}

/// The values of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An Ethernet header.
    Ethernet {
        /// Source MAC.
        src: [u8; 6],
        /// Destination MAC.
        dst: [u8; 6],
    },
    /// A VLAN tag: its id, 12 bits.
    Vlan(u16),
    /// An MPLS label, 20 bits.
    Mpls(u32),
    /// An IPv4 header.
    Ip4 {
        /// Source.
        src: Ipv4Addr,
        /// Destination.
        dst: Ipv4Addr,
        /// Protocol.
        proto: u8,
        /// Which fragment.
        fragment: Fragment,
    },
    /// An IPv6 header with its extension headers.
    Ip6 {
        /// Source.
        src: Ipv6Addr,
        /// Destination.
        dst: Ipv6Addr,
        /// Protocol past the extension headers; those are reported as [`What::Proto`].
        proto: u8,
        /// Which fragment.
        fragment: Fragment,
    },
    /// Ports.
    Ports {
        /// Protocol.
        proto: u8,
        /// Source.
        src: u16,
        /// Destination.
        dst: u16,
    },
    /// ARP or RARP.
    Arp {
        /// Sender's protocol address.
        sender: Ipv4Addr,
        /// Target's protocol address.
        target: Ipv4Addr,
    },
    /// A tunnel with an id.
    Tunnel {
        /// Which.
        net: Net,
        /// Its id.
        id: u32,
    },
    /// An address of a header that is broken or cut off.
    Address(IpAddr),
    /// A protocol number beside that of the IP header: an IPv6 header's first next header, an extension header.
    Proto(u8),
    /// A source or destination port whose other half is cut off.
    Port(u16),
}

/// Reports each layer of a packet, outermost first. Nothing is reported of link types that are not
/// [`understood`](super::understood): for those an index knows nothing.
pub fn layers(link_type: u16, data: &[u8], report: &mut impl FnMut(Layer)) {
    let bytes = Bytes::new(data);
    let mut visit = Visit { bytes, off: 0, next: Next::Done, report };
    match link_type {
        1 => visit.ether(),
        12 | 14 | 101 => visit.next = Next::Ip,
        228 => visit.next = Next::Ip4,
        229 => visit.next = Next::Ip6,
        113 => visit.cooked(14, 16),
        276 => visit.cooked(0, 20),
        0 | 108 => {
            visit.next = link::null_next(bytes);
            visit.off = 4;
        }
        9 => {
            // As libpcap has it: address and control are always there. Then as they are.
            visit.off = 4;
            visit.next = bytes.u16(2).map_or(Next::Done, next_of_ppp);
            visit.run();
            visit.off = 0;
            visit.ppp();
            if visit.off == 4 {
                return;
            }
        }
        _ => {}
    }
    visit.run();
}

struct Visit<'a, R> {
    bytes: Bytes<'a>,
    off: usize,
    next: Next,
    report: &'a mut R,
}

impl<R: FnMut(Layer)> Visit<'_, R> {
    fn run(&mut self) {
        // Each step moves on by at least four bytes or ends the walk, but for the look at the nibble.
        for _ in 0..PARSE_BYTES {
            match std::mem::replace(&mut self.next, Next::Done) {
                Next::Done => return,
                Next::Ip => {
                    self.next = match self.bytes.u8(self.off).map(|b| b >> 4) {
                        Some(4) => Next::Ip4,
                        Some(6) => Next::Ip6,
                        _ => Next::Done,
                    }
                }
                Next::Ip4 => self.ip4(),
                Next::Ip6 => self.ip6(),
                Next::Mpls => self.mpls(),
                Next::Pppoe => {
                    self.off += 6;
                    self.ppp();
                }
                Next::Gre => self.tunnel(tunnel::gre),
                Next::Vxlan => self.tunnel(tunnel::vxlan),
                Next::Geneve => self.tunnel(tunnel::geneve),
                Next::GtpU => self.tunnel(tunnel::gtp_u),
            }
        }
    }

    fn say(&mut self, offset: usize, what: What) {
        (self.report)(Layer { offset, what });
    }

    fn ether(&mut self) {
        let start = self.off;
        let Some([d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5]) = self.bytes.at(start) else { return };
        self.say(start, What::Ethernet { src: [s0, s1, s2, s3, s4, s5], dst: [d0, d1, d2, d3, d4, d5] });
        let Some(ethertype) = self.bytes.u16(start + 12) else { return };
        self.off = start + 14;
        self.ethertype(ethertype);
    }

    fn cooked(&mut self, protocol: usize, payload: usize) {
        let Some(ethertype) = self.bytes.u16(protocol).filter(|&t| t >= 0x600) else { return };
        self.off = payload;
        self.ethertype(ethertype);
    }

    /// Any number of tags: `vlan and vlan and vlan` reaches them all.
    fn ethertype(&mut self, mut ethertype: u16) {
        while ether::is_vlan(ethertype) {
            let Some(tci) = self.bytes.u16(self.off) else { return };
            self.say(self.off, What::Vlan(tci & 0xfff));
            let Some(next) = self.bytes.u16(self.off + 2) else { return };
            ethertype = next;
            self.off += 4;
        }
        if matches!(ethertype, 0x0806 | 0x8035) {
            return self.arp();
        }
        let (what, off) = ether::resolve(self.bytes, self.off, ethertype);
        self.off = off;
        self.next = what.next();
    }

    fn arp(&mut self) {
        let [sender, target] = [14, 24].map(|at| self.bytes.at::<4>(self.off + at).map(Ipv4Addr::from));
        match (sender, target) {
            (Some(sender), Some(target)) => self.say(self.off, What::Arp { sender, target }),
            (Some(sender), None) => self.say(self.off, What::Address(sender.into())),
            _ => {}
        }
    }

    fn mpls(&mut self) {
        while let Some(label) = self.bytes.u32(self.off) {
            self.say(self.off, What::Mpls(label >> 12));
            self.off += 4;
            if label & 0x100 != 0 {
                match tunnel::after_labels(self.bytes, self.off) {
                    Inner::Next(next) => self.next = next,
                    Inner::Ether(off) => {
                        self.off = off;
                        self.ether();
                    }
                }
                return;
            }
        }
    }

    fn ppp(&mut self) {
        if let Some((protocol, off)) = tunnel::ppp(self.bytes, self.off) {
            self.off = off;
            self.next = next_of_ppp(protocol);
        }
    }

    fn tunnel(&mut self, read: impl Fn(Bytes<'_>, usize) -> Option<Tunnelled>) {
        let Some(inside) = read(self.bytes, self.off) else { return };
        if let Some((net, id)) = inside.net {
            self.say(self.off, What::Tunnel { net, id });
        }
        self.off = inside.off;
        match inside.inner {
            Inner::Next(next) => self.next = next,
            Inner::Ether(off) => {
                self.off = off;
                self.ether();
            }
        }
    }

    fn ip4(&mut self) {
        let (start, bytes) = (self.off, self.bytes);
        let [src, dst] = [12, 16].map(|at| bytes.at::<4>(start + at).map(Ipv4Addr::from));
        let (Some(vihl), Some(id), Some(flags), Some(proto)) =
            (bytes.u8(start), bytes.u16(start + 4), bytes.u16(start + 6), bytes.u8(start + 9))
        else {
            return;
        };
        let fragment = ip::fragment4(flags, id);
        match (src, dst) {
            (Some(src), Some(dst)) => self.say(start, What::Ip4 { src, dst, proto, fragment }),
            (src, _) => {
                self.say(start, What::Proto(proto));
                if let Some(src) = src {
                    self.say(start, What::Address(src.into()));
                }
            }
        }
        // libpcap looks at no version and takes the header's length as it is, even where it lies. A length of 0 is not followed:
        // that would lead here again.
        let header = usize::from(vihl & 15) * 4;
        self.off = start + header;
        self.transport(proto, fragment, header > 0);
    }

    fn ip6(&mut self) {
        let (start, bytes) = (self.off, self.bytes);
        let [src, dst] = [8, 24].map(|at| bytes.at::<16>(start + at).map(Ipv6Addr::from));
        let Some(first) = bytes.u8(start + 6) else { return };
        let (Some(src), Some(dst)) = (src, dst) else {
            self.say(start, What::Proto(first));
            if let Some(src) = src {
                self.say(start, What::Address(src.into()));
            }
            return;
        };
        let (mut proto, mut fragment, mut off) = (first, Fragment::None, start + 40);
        for _ in 0..EXT_MAX {
            // Also of a fragment header that is cut off: libpcap reads its first byte alone.
            if proto == 44
                && let Some(next) = bytes.u8(off)
            {
                self.say(off, What::Proto(next));
            }
            let Some(ext) = ip::Extension::read(bytes, off, proto) else { break };
            self.say(start, What::Proto(proto));
            proto = ext.next;
            off += ext.len;
            fragment = ext.fragment.unwrap_or(fragment);
            if matches!(fragment, Fragment::Later(_)) {
                break;
            }
        }
        self.say(start, What::Ip6 { src, dst, proto, fragment });
        self.off = off;
        self.transport(proto, fragment, true);
    }

    /// Ports of every protocol that has them, then into a tunnel. First fragments' tunnels are followed here, as libpcap does.
    fn transport(&mut self, proto: u8, fragment: Fragment, follow: bool) {
        if matches!(fragment, Fragment::Later(_)) {
            return;
        }
        let start = self.off;
        let mut dst_port = 0;
        if l4::has_ports(proto) {
            match (self.bytes.u16(start), self.bytes.u16(start + 2)) {
                (Some(src), Some(dst)) => {
                    dst_port = dst;
                    self.say(start, What::Ports { proto, src, dst });
                }
                (Some(src), None) => self.say(start, What::Port(src)),
                _ => {}
            }
        }
        if follow {
            self.next = l4::tunnel(proto, dst_port);
            if proto == l4::UDP {
                self.off += 8;
            }
        }
    }
}
