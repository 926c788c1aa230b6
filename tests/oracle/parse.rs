//! Which connection a packet belongs to: a plain parser of the layers that the definition and its bounds name.
//! Sources: IEEE 802.3/802.1Q, RFC 791, 8200, 1042 (SNAP), 2784/2890/2637 (GRE), 7348 (VXLAN), 8926 (Geneve), 3032, 4023
//! and 4385 (MPLS), 1661 and 2516 (PPP, PPPoE), 2003/4213 (IP in IP), 3GPP TS 29.281 (GTP-U), tcpdump.org/linktypes.html.

use std::net::IpAddr;

/// Header bytes looked at, and how much of each thing is followed (`ebpf/retrotap.h`).
const BYTES: usize = 512;
const VLANS: usize = 2;
const LABELS: usize = 6;
const EXTENSIONS: usize = 8;
const LAYERS: usize = 6;

/// A tunnel's network id: which kind of tunnel, and the id.
pub type Net = Option<(&'static str, u32)>;

/// The name of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// Both endpoints, the lower first; port 0 where there is none.
    Ip { ends: [(IpAddr, u16); 2], proto: u8, vlans: Vec<u16>, net: Net },
    /// Fragments whose first is unknown.
    Portless { pair: [IpAddr; 2], proto: u8, vlans: Vec<u16>, net: Net },
    /// Not IP.
    Ether { macs: [[u8; 6]; 2], ethertype: u16, vlans: Vec<u16> },
    /// 802.3.
    Llc { macs: [[u8; 6]; 2], dsap: u8, ssap: u8, vlans: Vec<u16> },
    /// Not understood at all.
    Opaque { link_type: u16 },
}

impl Name {
    /// It is no connection, and may carry many that this parser does not see.
    pub fn carries_unknown(&self) -> bool {
        match self {
            Name::Opaque { .. } => true,
            // ARP, RARP, wake-on-LAN, 802.1X, slow protocols, LLDP, CFM, PTP, loopback tests, PPPoE discovery.
            Name::Ether { ethertype: 0x0806 | 0x8035 | 0x0842 | 0x888e | 0x8809, .. } => false,
            Name::Ether { ethertype: 0x88cc | 0x8902 | 0x88f7 | 0x9000 | 0x8863, .. } => false,
            Name::Ether { .. } => true,
            // Spanning tree, IS-IS, SNAP of an organisation.
            Name::Llc { dsap, ssap, .. } => !matches!((dsap, ssap), (0x42, 0x42) | (0xfe, 0xfe) | (0xaa, 0xaa)),
            Name::Ip { proto: 17, ends: [(_, a), (_, b)], .. } => {
                [1701, 2152, 3544, 4789, 4790, 6080, 6081, 6635, 8472].iter().any(|port| port == a || port == b)
            }
            Name::Ip { proto, .. } | Name::Portless { proto, .. } => {
                matches!(proto, 4 | 41 | 47 | 51 | 97 | 98 | 108 | 115 | 137)
            }
        }
    }

    /// A port-less connection is not.
    pub fn is_tcp(&self) -> bool {
        matches!(self, Name::Ip { proto: 6, .. })
    }

    /// Both ends are the same.
    pub fn has_one_end(&self) -> bool {
        match self {
            Name::Ip { ends: [a, b], .. } => a == b,
            Name::Portless { pair: [a, b], .. } => a == b,
            Name::Ether { macs: [a, b], .. } | Name::Llc { macs: [a, b], .. } => a == b,
            Name::Opaque { .. } => true,
        }
    }

    /// Addresses with ports.
    pub fn ends(&self) -> Option<[(IpAddr, u16); 2]> {
        match self {
            Name::Ip { ends, .. } => Some(*ends),
            Name::Portless { pair, .. } => Some(pair.map(|a| (a, 0))),
            _ => None,
        }
    }

    /// The port of an end, of TCP, UDP and SCTP.
    pub fn port_of(&self, end: usize) -> Option<u16> {
        match self {
            Name::Ip { ends, proto: 6 | 17 | 132, .. } => Some(ends[end].1),
            _ => None,
        }
    }
}

/// What tells the fragments of one packet from those of all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FragmentId {
    from: IpAddr,
    to: IpAddr,
    /// IPv4 only.
    proto: Option<u8>,
    id: u32,
    vlans: Vec<u16>,
    net: Net,
}

/// What matters of a TCP header.
#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    pub seq: u32,
    pub fin: bool,
    pub syn: bool,
    pub rst: bool,
    pub ack: bool,
}

/// A packet as the model reads it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its connection; for a later fragment, the one to fall back on.
    pub name: Name,
    /// Index of the endpoint that sent it.
    pub sender: usize,
    pub tcp: Option<Tcp>,
    pub later_fragment_of: Option<FragmentId>,
    pub first_fragment_of: Option<FragmentId>,
}

/// Parses one packet.
pub fn parse(link_type: u16, data: &[u8], with_vlans: bool) -> Seen {
    let opaque = Seen {
        name: Name::Opaque { link_type },
        sender: 0,
        tcp: None,
        later_fragment_of: None,
        first_fragment_of: None,
    };
    let mut walk = Walk { seen: opaque, with_vlans, vlans: Vec::new(), net: None, layers: 0, named: false };
    walk.link(link_type, &data[..data.len().min(BYTES)]);
    walk.seen
}

fn u16_at(d: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(d.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(d: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(d.get(at..at + 4)?.try_into().ok()?))
}

fn sorted<T: Ord>(a: T, b: T) -> ([T; 2], usize) {
    if a <= b { ([a, b], 0) } else { ([b, a], 1) }
}

/// On the way inwards; each layer that is reached leaves in `seen` what the packet is if nothing lies deeper. A step returns
/// `None` where it can't go on; nobody looks.
struct Walk {
    seen: Seen,
    with_vlans: bool,
    vlans: Vec<u16>,
    net: Net,
    layers: usize,
    /// The outermost header has given a name.
    named: bool,
}

impl Walk {
    fn link(&mut self, link_type: u16, d: &[u8]) -> Option<()> {
        match link_type {
            1 => self.ethernet(d),
            0 | 108 => match u32_at(d, 0)? {
                family if family < 256 => self.family(family, &d[4..]),
                family => self.family(family.swap_bytes(), &d[4..]),
            },
            101 | 12 | 14 => self.by_version(d),
            228 => self.ipv4(d),
            229 => self.ipv6(d),
            113 => self.no_macs(u16_at(d, 14)?, d.get(16..)?),
            276 => self.no_macs(u16_at(d, 0)?, d.get(20..)?),
            9 => self.ppp(d),
            _ => None,
        }
    }

    fn family(&mut self, family: u32, d: &[u8]) -> Option<()> {
        match family {
            2 => self.ipv4(d),
            10 | 24 | 28 | 30 => self.ipv6(d),
            _ => None,
        }
    }

    fn ethernet(&mut self, d: &[u8]) -> Option<()> {
        let to: [u8; 6] = d.get(..6)?.try_into().ok()?;
        let from: [u8; 6] = d.get(6..12)?.try_into().ok()?;
        let (macs, sender) = sorted(from, to);
        self.vlans.clear();
        self.ethertype(u16_at(d, 12)?, &d[14..], macs, sender)
    }

    fn no_macs(&mut self, ethertype: u16, d: &[u8]) -> Option<()> {
        if ethertype < 0x600 {
            return None; // frames of other kinds than those with an ethertype
        }
        self.ethertype(ethertype, d, [[0; 6]; 2], 0)
    }

    fn ethertype(&mut self, mut ethertype: u16, mut d: &[u8], macs: [[u8; 6]; 2], sender: usize) -> Option<()> {
        let mut tags = 0;
        while matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) && tags < VLANS && d.len() >= 4 {
            let id = u16_at(d, 0)? & 0xfff;
            if self.with_vlans && id != 0 {
                self.vlans.push(id); // 0: a priority, no VLAN
            }
            ethertype = u16_at(d, 2)?;
            d = &d[4..];
            tags += 1;
        }
        if ethertype < 0x600 && d.len() >= 8 && d[..6] == [0xaa, 0xaa, 3, 0, 0, 0] {
            ethertype = u16_at(d, 6)?; // SNAP
            d = &d[8..];
        } else if ethertype < 0x600 {
            if !self.named {
                let (dsap, ssap) = if d.len() < 2 { (0, 0) } else { (d[0], d[1]) };
                self.seen.name = Name::Llc { macs, dsap, ssap, vlans: self.vlans.clone() };
                self.seen.sender = sender;
            }
            return None;
        }
        if !self.named {
            self.seen.name = Name::Ether { macs, ethertype, vlans: self.vlans.clone() };
            self.seen.sender = sender;
            self.named = true;
        }
        self.payload(ethertype, d)
    }

    fn payload(&mut self, ethertype: u16, d: &[u8]) -> Option<()> {
        match ethertype {
            0x0800 => self.ipv4(d),
            0x86dd => self.ipv6(d),
            0x8847 | 0x8848 => self.tunnel(|walk| walk.mpls(d)),
            0x8864 => self.tunnel(|walk| if d.starts_with(&[0x11, 0]) { walk.ppp(d.get(6..)?) } else { None }),
            _ => None,
        }
    }

    fn ppp(&mut self, d: &[u8]) -> Option<()> {
        let d = if d.starts_with(&[0xff, 3]) { &d[2..] } else { d };
        let (protocol, d) = match d {
            [one, rest @ ..] if one & 1 == 1 => (u16::from(*one), rest),
            _ => (u16_at(d, 0)?, &d[2..]),
        };
        match protocol {
            0x0021 => self.ipv4(d),
            0x0057 => self.ipv6(d),
            0x0281 | 0x0283 => self.tunnel(|walk| walk.mpls(d)),
            _ => None,
        }
    }

    fn mpls(&mut self, d: &[u8]) -> Option<()> {
        let bottom = (0..LABELS).find(|i| d.get(i * 4 + 2).is_some_and(|b| b & 1 == 1))?;
        let inside = d.get(bottom * 4 + 4..)?;
        match inside.first()? >> 4 {
            0 => self.ethernet(inside.get(4..)?), // a pseudowire's control word
            _ => self.by_version(inside),
        }
    }

    fn by_version(&mut self, d: &[u8]) -> Option<()> {
        match d.first()? >> 4 {
            4 => self.ipv4(d),
            6 => self.ipv6(d),
            _ => None,
        }
    }

    fn ipv4(&mut self, d: &[u8]) -> Option<()> {
        let header = usize::from(d.first()? & 15) * 4;
        if d[0] >> 4 != 4 || header < 20 || d.len() < 20 {
            return None;
        }
        let from = IpAddr::from(<[u8; 4]>::try_from(&d[12..16]).ok()?);
        let to = IpAddr::from(<[u8; 4]>::try_from(&d[16..20]).ok()?);
        let (fragment, proto) = (u16_at(d, 6)?, d[9]);
        let (offset, more) = (fragment & 0x1fff, fragment & 0x2000 != 0);
        self.ip(from, to, proto)?;
        if offset != 0 || more {
            let id = self.fragment_id(from, to, Some(proto), u32::from(u16_at(d, 4)?));
            self.fragment(id, from, to, proto, offset)?;
        }
        self.transport(from, to, proto, d.get(header..)?)
    }

    fn ipv6(&mut self, d: &[u8]) -> Option<()> {
        if d.len() < 40 || d[0] >> 4 != 6 {
            return None;
        }
        let from = IpAddr::from(<[u8; 16]>::try_from(&d[8..24]).ok()?);
        let to = IpAddr::from(<[u8; 16]>::try_from(&d[24..40]).ok()?);
        let (mut next, mut d) = (d[6], &d[40..]);
        self.ip(from, to, next)?;
        for _ in 0..EXTENSIONS {
            if !matches!(next, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140) {
                break;
            }
            let header = d.get(..8)?;
            let length = match next {
                44 => 8,
                51 => 8 + 4 * usize::from(header[1]),
                _ => 8 + 8 * usize::from(header[1]),
            };
            if next == 44 {
                let field = u16_at(header, 2)?;
                self.seen.first_fragment_of = None; // of several headers the last counts
                if field & !6 != 0 {
                    let id = self.fragment_id(from, to, None, u32_at(header, 4)?);
                    self.fragment(id, from, to, header[0], field >> 3)?;
                }
            }
            next = header[0];
            self.name(from, to, next, 0, 0);
            d = d.get(length..)?;
        }
        self.transport(from, to, next, d)
    }

    /// An IP layer is reached.
    fn ip(&mut self, from: IpAddr, to: IpAddr, proto: u8) -> Option<()> {
        if self.layers == LAYERS {
            return None;
        }
        self.layers += 1;
        self.named = true;
        self.name(from, to, proto, 0, 0);
        Some(())
    }

    fn name(&mut self, from: IpAddr, to: IpAddr, proto: u8, source: u16, destination: u16) {
        let (ends, sender) = sorted((from, source), (to, destination));
        self.seen.name = Name::Ip { ends, proto, vlans: self.vlans.clone(), net: self.net };
        self.seen.sender = sender;
    }

    fn fragment_id(&self, from: IpAddr, to: IpAddr, proto: Option<u8>, id: u32) -> FragmentId {
        FragmentId { from, to, proto, id, vlans: self.vlans.clone(), net: self.net }
    }

    /// Ends the walk at a later fragment.
    fn fragment(&mut self, id: FragmentId, from: IpAddr, to: IpAddr, proto: u8, offset: u16) -> Option<()> {
        if offset == 0 {
            self.seen.first_fragment_of = Some(id);
            return Some(());
        }
        let (pair, sender) = sorted(from, to);
        self.seen.name = Name::Portless { pair, proto, vlans: self.vlans.clone(), net: self.net };
        self.seen.sender = sender;
        self.seen.later_fragment_of = Some(id);
        None
    }

    fn transport(&mut self, from: IpAddr, to: IpAddr, proto: u8, d: &[u8]) -> Option<()> {
        // A fragment's tunnel is not followed.
        let fragmented = self.seen.first_fragment_of.is_some();
        match proto {
            6 | 17 | 33 | 132 | 136 => {
                let (source, destination) = (u16_at(d, 0)?, u16_at(d, 2)?);
                self.name(from, to, proto, source, destination);
                match proto {
                    6 => {
                        let (seq, flags) = (u32_at(d, 4)?, *d.get(..16)?.get(13)?);
                        let [fin, syn, rst, ack] = [1, 2, 4, 16].map(|bit| flags & bit != 0);
                        self.seen.tcp = Some(Tcp { seq, fin, syn, rst, ack });
                        None
                    }
                    17 if !fragmented => self.udp_tunnel(destination, d.get(8..)?),
                    _ => None,
                }
            }
            1 | 58 => {
                let echo = if proto == 1 { [0, 8] } else { [128, 129] };
                if echo.contains(d.first()?) {
                    let id = u16_at(d.get(..8)?, 4)?;
                    self.name(from, to, proto, id, id);
                }
                None
            }
            _ if fragmented => None,
            4 => self.ipv4(d),
            41 => self.ipv6(d),
            47 => self.tunnel(|walk| walk.gre(d)),
            137 => self.tunnel(|walk| walk.mpls(d)),
            _ => None,
        }
    }

    fn udp_tunnel(&mut self, destination: u16, d: &[u8]) -> Option<()> {
        match destination {
            4789 => self.tunnel(|walk| {
                let header = d.get(..8).filter(|h| h[0] & 8 != 0)?;
                walk.net = Some(("vxlan", u32_at(header, 4)? >> 8));
                walk.ethernet(&d[8..])
            }),
            6081 => self.tunnel(|walk| {
                let header = d.get(..8).filter(|h| h[0] >> 6 == 0)?;
                let inner = d.get(8 + 4 * usize::from(header[0] & 63)..)?;
                walk.net = Some(("geneve", u32_at(header, 4)? >> 8));
                walk.tunnelled(u16_at(header, 2)?, inner, 0)
            }),
            2152 => self.tunnel(|walk| walk.gtpu(d)),
            _ => None,
        }
    }

    /// Goes into a tunnel: what is no IP in there leaves all as it was.
    fn tunnel(&mut self, into: impl FnOnce(&mut Walk) -> Option<()>) -> Option<()> {
        if self.layers == LAYERS {
            return None;
        }
        self.layers += 1;
        // Also where no header has given a name: PPP with a label and a frame that is no IP.
        self.named = true;
        into(self)
    }

    /// `erspan2`: length of the header of ERSPAN, unless it is type III.
    fn tunnelled(&mut self, ethertype: u16, d: &[u8], erspan2: usize) -> Option<()> {
        match ethertype {
            0x6558 => self.ethernet(d),
            0x88be => self.ethernet(d.get(erspan2..)?),
            0x22eb => self.ethernet(d.get(if d.get(11)? & 1 == 1 { 20 } else { 12 }..)?),
            _ => self.payload(ethertype, d),
        }
    }

    fn gre(&mut self, d: &[u8]) -> Option<()> {
        let (flags, ethertype) = (u16_at(d, 0)?, u16_at(d, 2)?);
        if flags & 7 == 1 && ethertype == 0x880b {
            let optional = [0x1000, 0x80].iter().filter(|bit| flags & **bit != 0).count();
            return self.ppp(d.get(8 + 4 * optional..)?); // PPTP
        }
        if flags & 0x4007 != 0 {
            return None; // source routes, or another version
        }
        let mut at = 4 + if flags & 0x8000 != 0 { 4 } else { 0 };
        if flags & 0x2000 != 0 {
            self.net = Some(("gre", u32_at(d, at)?));
            at += 4;
        }
        if flags & 0x1000 != 0 {
            at += 4;
        }
        self.tunnelled(ethertype, d.get(at..)?, if flags & 0x1000 != 0 { 8 } else { 0 })
    }

    fn gtpu(&mut self, d: &[u8]) -> Option<()> {
        // Version 1, protocol type GTP, a G-PDU.
        if d.len() < 8 || d[0] & 0xf0 != 0x30 || d[1] != 255 {
            return None;
        }
        let (mut at, mut next) = (8, 0);
        if d[0] & 7 != 0 {
            next = if d[0] & 4 != 0 { *d.get(11)? } else { 0 };
            at = 12;
        }
        for _ in 0..EXTENSIONS {
            if next == 0 {
                break;
            }
            let length = 4 * usize::from(*d.get(at)?);
            next = *d.get((at + length).checked_sub(1)?).filter(|_| length != 0)?;
            at += length;
        }
        if next != 0 {
            return None;
        }
        self.by_version(d.get(at..)?)
    }
}
