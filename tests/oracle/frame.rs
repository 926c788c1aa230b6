//! Real frames from a short description of them: what a line of the page of vectors stands for, and what generated traffic
//! is made of. Lengths and header fields are right; checksums are zero, nobody here looks at them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// LINKTYPE_ETHERNET, and one that means nothing to anyone.
pub const ETHERNET: u16 = 1;
pub const USER0: u16 = 147;

/// A host: an address of either family and a MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    V4(u8),
    V6(u8),
    Broadcast,
}

/// What a frame carries in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proto {
    /// TCP flags, sequence number.
    Tcp {
        flags: u8,
        seq: u32,
    },
    Udp,
    Sctp,
    IcmpEcho {
        id: u16,
        reply: bool,
    },
    Icmp {
        kind: u8,
    },
    Ip(u8),
    Arp,
    Ether(u16),
    Llc(u8, u8),
    Opaque,
}

/// A fragment's identification, offset in bytes, and whether more follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    pub id: u32,
    pub offset: u16,
    pub more: bool,
}

/// A tunnel; `back`: from Z to Y instead of from Y to Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    Vxlan { vni: u32, back: bool },
    Geneve { vni: u32, back: bool },
    Gre { key: Option<u32>, ethernet: bool, back: bool },
    GtpU { teid: u32, back: bool },
    IpIp { back: bool },
    Mpls { label: u32 },
    Pppoe { session: u16 },
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub proto: Proto,
    pub from: (Host, u16),
    pub to: (Host, u16),
    /// Of the innermost IP layer.
    pub fragment: Option<Fragment>,
    /// Of the outermost one, which is a tunnel's.
    pub outer_fragment: Option<Fragment>,
    /// Of the outermost Ethernet header.
    pub vlans: Vec<u16>,
    /// Of the innermost tunnel's.
    pub inner_vlans: Vec<u16>,
    /// The outermost Ethernet header is 802.3 with SNAP.
    pub snap: bool,
    /// Outermost first.
    pub tunnels: Vec<Tunnel>,
    /// On the wire; `None`: as long as its headers.
    pub len: Option<usize>,
}

/// Bytes, and the ethertype that announces them.
struct Payload {
    ethertype: u16,
    bytes: Vec<u8>,
}

impl Host {
    fn number(self) -> u8 {
        match self {
            Host::V4(n) | Host::V6(n) => n,
            Host::Broadcast => 255,
        }
    }

    fn mac(self) -> [u8; 6] {
        if self == Host::Broadcast { [255; 6] } else { [2, 0, 0, 0, 0, self.number()] }
    }

    pub fn addr(self) -> IpAddr {
        match self {
            Host::V6(n) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into())),
            host => IpAddr::V4(Ipv4Addr::new(10, 0, 0, host.number())),
        }
    }
}

impl Frame {
    /// A frame without anything special.
    pub fn new(proto: Proto, from: (Host, u16), to: (Host, u16)) -> Frame {
        let (vlans, inner_vlans, tunnels) = Default::default();
        Frame {
            proto,
            from,
            to,
            fragment: None,
            outer_fragment: None,
            snap: false,
            vlans,
            inner_vlans,
            tunnels,
            len: None,
        }
    }

    /// Its link type.
    pub fn link_type(&self) -> u16 {
        if self.proto == Proto::Opaque { USER0 } else { ETHERNET }
    }

    /// Its bytes; an error if `len` is less than its headers.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        let headers = self.build(0);
        let Some(len) = self.len else { return Ok(headers) };
        let fill = len
            .checked_sub(headers.len())
            .ok_or_else(|| format!("len={len} is less than its headers, {}", headers.len()))?;
        Ok(self.build(fill))
    }

    fn build(&self, fill: usize) -> Vec<u8> {
        if self.proto == Proto::Opaque {
            return vec![0; fill];
        }
        let (from, to) = (self.from.0, self.to.0);
        let later = |fragment: Option<Fragment>| fragment.is_some_and(|f| f.offset != 0);
        let mut payload = if later(self.outer_fragment) {
            Payload { ethertype: 0, bytes: vec![0; fill] }
        } else {
            self.innermost(fill, later(self.fragment))
        };
        for (i, tunnel) in self.tunnels.iter().enumerate().rev() {
            let outer_fragment = self.outer_fragment.filter(|_| i == 0);
            let bytes_only = later(outer_fragment);
            let inner_vlans: &[u16] = if i + 1 == self.tunnels.len() { &self.inner_vlans } else { &[] };
            payload = tunnel.wrap(payload, from, to, inner_vlans, outer_fragment, bytes_only);
        }
        if self.snap {
            let snap = [&[0xaa, 0xaa, 3, 0, 0, 0][..], &payload.ethertype.to_be_bytes(), &payload.bytes].concat();
            payload = Payload { ethertype: snap.len() as u16, bytes: snap };
        }
        ethernet(&payload, from, to, &self.vlans)
    }

    fn innermost(&self, fill: usize, later: bool) -> Payload {
        let ((from, source), (to, destination)) = (self.from, self.to);
        let ports = || [source.to_be_bytes(), destination.to_be_bytes()].concat();
        let v6 = matches!(from, Host::V6(_));
        let (proto, mut bytes) = match self.proto {
            Proto::Arp => {
                let [IpAddr::V4(a), IpAddr::V4(b)] = [Host::V4(from.number()).addr(), Host::V4(to.number()).addr()]
                else {
                    unreachable!()
                };
                let fixed = [0, 1, 8, 0, 6, 4, 0, 1];
                let bytes = [&fixed[..], &from.mac(), &a.octets(), &[0; 6], &b.octets(), &vec![0; fill]].concat();
                return Payload { ethertype: 0x806, bytes };
            }
            Proto::Ether(ethertype) => return Payload { ethertype, bytes: vec![0; fill] },
            Proto::Llc(dsap, ssap) => {
                let bytes = [&[dsap, ssap, 3][..], &vec![0; fill]].concat();
                return Payload { ethertype: bytes.len() as u16, bytes };
            }
            Proto::Tcp { flags, seq } => {
                (6, [&ports()[..], &seq.to_be_bytes(), &[0; 4], &[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]].concat())
            }
            Proto::Udp => (17, [&ports()[..], &((8 + fill) as u16).to_be_bytes(), &[0; 2]].concat()),
            Proto::Sctp => (132, [&ports()[..], &[0; 8]].concat()),
            Proto::IcmpEcho { id, reply } => {
                let kind = match (v6, reply) {
                    (false, false) => 8,
                    (false, true) => 0,
                    (true, false) => 128,
                    (true, true) => 129,
                };
                (if v6 { 58 } else { 1 }, [&[kind, 0, 0, 0][..], &id.to_be_bytes(), &[0, 1]].concat())
            }
            Proto::Icmp { kind } => (if v6 { 58 } else { 1 }, vec![kind, 0, 0, 0, 0, 0, 0, 0]),
            Proto::Ip(number) => (number, Vec::new()),
            Proto::Opaque => unreachable!("built before"),
        };
        if later {
            bytes.clear();
        }
        bytes.resize(bytes.len() + fill, 0);
        ip(proto, from, to, self.fragment, bytes)
    }
}

impl Tunnel {
    /// Puts a payload into the tunnel; `bytes_only`: the payload is a piece out of the middle already.
    fn wrap(
        self,
        inner: Payload,
        from: Host,
        to: Host,
        vlans: &[u16],
        fragment: Option<Fragment>,
        bytes_only: bool,
    ) -> Payload {
        let ends = |back: bool| if back { (Host::V4(26), Host::V4(25)) } else { (Host::V4(25), Host::V4(26)) };
        let framed = |inner: &Payload| ethernet(inner, from, to, vlans);
        let udp = |port: u16, header: &[u8], inner: &[u8]| {
            let len = (8 + header.len() + inner.len()) as u16;
            [&50_000u16.to_be_bytes()[..], &port.to_be_bytes(), &len.to_be_bytes(), &[0; 2], header, inner].concat()
        };
        let (proto, back, bytes) = match self {
            Tunnel::Mpls { label } => {
                let entry = label << 12 | 1 << 8 | 64;
                return Payload { ethertype: 0x8847, bytes: [&entry.to_be_bytes()[..], &inner.bytes].concat() };
            }
            Tunnel::Pppoe { session } => {
                let ppp: u16 = if inner.ethertype == 0x86dd { 0x57 } else { 0x21 };
                let len = (inner.bytes.len() + 2) as u16;
                let header = [&[0x11, 0][..], &session.to_be_bytes(), &len.to_be_bytes(), &ppp.to_be_bytes()].concat();
                return Payload { ethertype: 0x8864, bytes: [header, inner.bytes].concat() };
            }
            Tunnel::Vxlan { vni, back } => {
                (17, back, udp(4789, &[&[8, 0, 0, 0][..], &(vni << 8).to_be_bytes()].concat(), &framed(&inner)))
            }
            Tunnel::Geneve { vni, back } => {
                let header = [&[0, 0, 0x65, 0x58][..], &(vni << 8).to_be_bytes()].concat();
                (17, back, udp(6081, &header, &framed(&inner)))
            }
            Tunnel::Gre { key, ethernet, back } => {
                let flags: u16 = if key.is_some() { 0x2000 } else { 0 };
                let ethertype = if ethernet { 0x6558 } else { inner.ethertype };
                let key = key.map(|k| k.to_be_bytes().to_vec()).unwrap_or_default();
                let bytes = if ethernet { framed(&inner) } else { inner.bytes.clone() };
                (47, back, [&flags.to_be_bytes()[..], &ethertype.to_be_bytes(), &key, &bytes].concat())
            }
            Tunnel::GtpU { teid, back } => {
                let len = inner.bytes.len() as u16;
                let header = [&[0x30, 255][..], &len.to_be_bytes(), &teid.to_be_bytes()].concat();
                (17, back, udp(2152, &header, &inner.bytes))
            }
            Tunnel::IpIp { back } => (if inner.ethertype == 0x86dd { 41 } else { 4 }, back, inner.bytes.clone()),
        };
        let (from, to) = ends(back);
        ip(proto, from, to, fragment, if bytes_only { inner.bytes } else { bytes })
    }
}

fn ethernet(payload: &Payload, from: Host, to: Host, vlans: &[u16]) -> Vec<u8> {
    let mut frame = [to.mac(), from.mac()].concat();
    for (i, id) in vlans.iter().enumerate() {
        let tpid: u16 = if i + 1 < vlans.len() { 0x88a8 } else { 0x8100 };
        frame.extend_from_slice(&[tpid.to_be_bytes(), id.to_be_bytes()].concat());
    }
    frame.extend_from_slice(&payload.ethertype.to_be_bytes());
    frame.extend_from_slice(&payload.bytes);
    frame
}

fn ip(proto: u8, from: Host, to: Host, fragment: Option<Fragment>, body: Vec<u8>) -> Payload {
    match (from.addr(), to.addr()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = (20 + body.len()) as u16;
            let fragment = fragment.unwrap_or(Fragment { id: 0, offset: 0, more: false });
            let field = (fragment.offset / 8) | if fragment.more { 0x2000 } else { 0 };
            let mut bytes = vec![0x45, 0];
            bytes.extend_from_slice(&total.to_be_bytes());
            bytes.extend_from_slice(&(fragment.id as u16).to_be_bytes());
            bytes.extend_from_slice(&field.to_be_bytes());
            bytes.extend_from_slice(&[64, proto, 0, 0]);
            bytes.extend_from_slice(&[from.octets(), to.octets()].concat());
            Payload { ethertype: 0x800, bytes: [bytes, body].concat() }
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let extension = fragment.map(|f| {
                let field = f.offset | u16::from(f.more);
                [&[proto, 0][..], &field.to_be_bytes(), &f.id.to_be_bytes()].concat()
            });
            let next = if extension.is_some() { 44 } else { proto };
            let body = [extension.unwrap_or_default(), body].concat();
            let header = [&[0x60, 0, 0, 0][..], &(body.len() as u16).to_be_bytes(), &[next, 64]].concat();
            Payload { ethertype: 0x86dd, bytes: [&header[..], &from.octets(), &to.octets(), &body].concat() }
        }
        _ => panic!("one packet, two address families: {from:?} {to:?}"),
    }
}
