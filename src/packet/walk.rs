//! The parser's position and the connection it has reached (`struct rt_walk` of `ebpf/parse.h`), and the loop over
//! layers. Owns the order of steps; each step is in the module of its protocol.

use super::Fragment;
use super::bytes::Bytes;
use super::key::Net;
use super::tunnel;
use crate::limits::LAYERS_MAX;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Done,
    /// IPv4 or IPv6 by the first nibble.
    Ip,
    Ip4,
    Ip6,
    Mpls,
    Pppoe,
    Gre,
    Vxlan,
    Geneve,
    GtpU,
}

/// The two addresses of an IP header, source first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Addrs {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

/// The innermost IP header reached so far, and what follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached {
    pub(super) addrs: Addrs,
    pub(super) path: Path,
    pub(super) l3: u16,
    pub(super) proto: u8,
    pub(super) ports: [u16; 2],
    pub(super) fragment: Fragment,
    pub(super) tcp_flags: u8,
    pub(super) tcp_seq: u32,
}

/// What tells equal addresses apart: tunnel id and VLAN ids.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) net: u32,
    pub(super) net_kind: Net,
    pub(super) vlan: [u16; 2],
}

/// A parse under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'a> {
    pub(super) bytes: Bytes<'a>,
    /// Offset of the next header.
    pub(super) off: usize,
    pub(super) next: Next,
    /// Of the headers passed so far; becomes the connection's when an IP header is reached.
    pub(super) path: Path,
    pub(super) reached: Option<Reached>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: Bytes<'a>, off: usize, next: Next) -> Walk<'a> {
        Walk { bytes, off, next, path: Path { net: 0, net_kind: Net::None, vlan: [0; 2] }, reached: None }
    }

    /// Follows the layers to the innermost.
    #[inline]
    pub(super) fn run(&mut self) {
        for _ in 0..LAYERS_MAX {
            match self.next {
                Next::Done => return,
                Next::Ip => self.ip(),
                Next::Ip4 => self.ip4(),
                Next::Ip6 => self.ip6(),
                Next::Mpls => self.mpls(),
                Next::Pppoe => self.pppoe(),
                Next::Gre => self.tunnel(tunnel::gre),
                Next::Vxlan => self.tunnel(tunnel::vxlan),
                Next::Geneve => self.tunnel(tunnel::geneve),
                Next::GtpU => self.tunnel(tunnel::gtp_u),
            }
        }
    }
}
