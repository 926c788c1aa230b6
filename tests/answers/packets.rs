//! The packets of a history: few hosts and ports, so that packets meet; every kind of link; tuples that end, come again and are reused;
//! SYN-ACK before SYN, fragments in any order, tunnels, tags, packets of which the capture has cut the headers.

use crate::dice::Dice;
use crate::oracle::frame::{Fragment, Frame, Host, Proto, Tunnel};

/// A packet as it is fed.
#[derive(Clone, Debug)]
pub struct Given {
    /// Unix time, ns.
    pub time: u64,
    pub wire: u32,
    /// Index into the history's links.
    pub link: usize,
    pub data: Vec<u8>,
}

/// Ethernet, whose packets every other link carries.
pub const ETHERNET: u16 = 1;
/// Links that carry only IP: nothing else fits their headers.
const IP_ONLY: [u16; 8] = [0, 9, 12, 50, 101, 108, 228, 229];

/// What a network may be like.
#[derive(Clone, Debug)]
pub struct Network {
    /// LINKTYPE_ of each interface.
    pub links: Vec<u16>,
    pub tunnels: bool,
    pub tags: bool,
    pub fragments: bool,
    /// TCP is in fragments, too.
    pub tcp_fragments: bool,
    /// Percent of packets of which only the beginning was captured.
    pub cut_off: u64,
    /// Bytes of payload, at most.
    pub payload: u64,
    /// Hosts: 1 to this.
    pub hosts: u8,
}

/// Who speaks with whom: packets are made of these in either direction.
#[derive(Clone, Debug)]
pub struct Talk {
    link: usize,
    frame: Frame,
    seq: u32,
}

pub const PORTS: [u16; 6] = [53, 80, 443, 1000, 4789, 8080];

impl Talk {
    pub fn any(dice: &mut Dice, net: &Network) -> Talk {
        let link = dice.below(net.links.len() as u64) as usize;
        let number = net.links[link];
        let only_ip = IP_ONLY.contains(&number);
        let v6 = if number == 229 { true } else { number != 228 && dice.chance(25) };
        let host = |dice: &mut Dice| match dice.from(1, u64::from(net.hosts)) as u8 {
            n if v6 => Host::V6(n),
            n => Host::V4(n),
        };
        let proto = match dice.below(100) {
            0..45 => Proto::Tcp { flags: 0, seq: 0 },
            45..75 => Proto::Udp,
            75..85 => Proto::IcmpEcho { id: dice.below(3) as u16, reply: false },
            85..88 => Proto::Icmp { kind: 3 },
            88..91 => Proto::Sctp,
            91..93 => Proto::Ip(dice.one(&[50, 89, 112, 253])),
            _ if only_ip => Proto::Udp,
            93..97 => Proto::Arp,
            97..99 => Proto::Ether(dice.one(&[0x88cc, 0x8863, 0x88b5])),
            _ => Proto::Llc(0x42, 0x42),
        };
        let (a, b) = (host(dice), host(dice));
        let mut frame = Frame::new(proto, (a, dice.one(&PORTS)), (b, dice.one(&PORTS)));
        let ip = !matches!(proto, Proto::Arp | Proto::Ether(_) | Proto::Llc(..));
        if net.tags && !only_ip && dice.chance(30) {
            frame.vlans = (0..dice.from(1, 2)).map(|_| dice.one(&[10, 20, 300])).collect();
        }
        if net.tunnels && ip && dice.chance(30) {
            frame.tunnels = (0..dice.from(1, 2)).map(|_| tunnel(dice, only_ip)).collect();
            if dice.chance(20) {
                frame.inner_vlans = vec![dice.one(&[10, 40])];
            }
        }
        Talk { link, frame, seq: dice.below(3) as u32 }
    }

    /// A packet of it, at no time yet.
    pub fn packet(&mut self, dice: &mut Dice, net: &Network) -> Given {
        let mut frame = self.frame.clone();
        if dice.chance(50) {
            (frame.from, frame.to) = (frame.to, frame.from);
        }
        match &mut frame.proto {
            Proto::Tcp { flags, seq } => {
                // SYN, SYN-ACK, data, FIN, RST, anything.
                *flags = match dice.below(20) {
                    0..3 => 0x02,
                    3..5 => 0x12,
                    5..14 => 0x10,
                    14..17 => 0x11,
                    17 => dice.one(&[0x04, 0x14]),
                    _ => dice.below(64) as u8,
                };
                if *flags & 0x12 == 2 && dice.chance(30) {
                    self.seq += 1;
                }
                *seq = self.seq;
            }
            Proto::IcmpEcho { reply, .. } => *reply = dice.chance(50),
            _ => {}
        }
        let ip = !matches!(frame.proto, Proto::Arp | Proto::Ether(_) | Proto::Llc(..));
        if net.fragments && ip && dice.chance(20) {
            let piece = Fragment { id: dice.below(3) as u32, offset: 8 * dice.below(3) as u16, more: dice.chance(60) };
            match frame.tunnels.first() {
                Some(t) if !matches!(t, Tunnel::Mpls { .. } | Tunnel::Pppoe { .. }) && dice.chance(40) => {
                    frame.outer_fragment = Some(piece)
                }
                _ => frame.fragment = Some(piece),
            }
            if !net.tcp_fragments && matches!(frame.proto, Proto::Tcp { .. }) {
                (frame.fragment, frame.outer_fragment) = (None, None);
            }
        }
        let headers = frame.bytes().expect("no length is set").len();
        let longest = net.payload.min(60_000u64.saturating_sub(headers as u64)).max(1);
        frame.len = Some(headers + if dice.chance(20) { longest } else { dice.below(longest) } as usize);
        let bytes = on_link(net.links[self.link], &frame.bytes().expect("room for its headers"));
        let wire = bytes.len() as u32;
        let mut data = bytes;
        if dice.chance(net.cut_off) {
            data.truncate(dice.from(1, 90).min(u64::from(wire)) as usize);
        }
        Given { time: 0, wire, link: self.link, data }
    }
}

fn tunnel(dice: &mut Dice, only_ip: bool) -> Tunnel {
    let (id, back) = (dice.one(&[0u32, 5, 6]), dice.chance(50));
    match dice.below(if only_ip { 5 } else { 7 }) {
        0 => Tunnel::Vxlan { vni: id, back },
        1 => Tunnel::Geneve { vni: id, back },
        2 => Tunnel::Gre { key: Some(id).filter(|_| back), ethernet: dice.chance(50), back },
        3 => Tunnel::GtpU { teid: id, back },
        4 => Tunnel::IpIp { back },
        5 => Tunnel::Mpls { label: id + 16 },
        _ => Tunnel::Pppoe { session: id as u16 },
    }
}

/// What an Ethernet frame carries, on another link. Sources: tcpdump.org/linktypes.html, IEEE 802.11, 802.5, ANSI X3.139 (FDDI), RFC 1483.
fn on_link(link: u16, ethernet: &[u8]) -> Vec<u8> {
    let (kind, payload) = (&ethernet[12..14], &ethernet[14..]);
    let v6 = kind == [0x86, 0xdd];
    let snap = || [&[0xaa, 0xaa, 3, 0, 0, 0][..], kind, payload].concat();
    let macs = || ethernet[..12].to_vec();
    // A data frame from a station to another, not encrypted.
    let wireless = || [&[8, 0, 0, 0][..], &macs(), &[2, 0, 0, 0, 0, 9, 0, 0], &snap()].concat();
    let header = match link {
        ETHERNET => return ethernet.to_vec(),
        0 => vec![if v6 { 10 } else { 2 }, 0, 0, 0],
        108 => vec![0, 0, 0, if v6 { 24 } else { 2 }],
        9 | 50 => vec![0xff, 3, 0, if v6 { 0x57 } else { 0x21 }],
        12 | 101 | 228 | 229 => Vec::new(),
        113 => [&[0, 0, 0, 1, 0, 6][..], &ethernet[6..12], &[0, 0], kind].concat(),
        276 => [kind, &[0, 0, 0, 0, 0, 1, 0, 1, 0, 6], &ethernet[6..12], &[0, 0]].concat(),
        105 => return wireless(),
        127 => return [&[0, 0, 8, 0, 0, 0, 0, 0][..], &wireless()].concat(),
        10 => return [&[0x50][..], &macs(), &snap()].concat(),
        6 => return [&[0x10, 0x40][..], &macs(), &snap()].concat(),
        100 => return snap(),
        _ => return ethernet.to_vec(),
    };
    [&header[..], payload].concat()
}
