//! The name of a connection. Layouts are those of `ebpf/retrotap.h` (`rt_key4`, `rt_key6`), byte for byte, because the
//! shunt maps are keyed by them. Made by the parser only; used by the connection table, the shunt, the index, receipts.

use super::HASH_WORDS;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a key names (`enum rt_kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// IP: addresses, protocol, ports where the protocol has them.
    Ip = 0,
    /// IP, port-less: non-first fragments whose first fragment is not known.
    Fragment = 1,
    /// Not IP: MAC pair and ethertype.
    Ether = 2,
    /// 802.3: MAC pair and DSAP, SSAP.
    Llc = 3,
    /// Nothing understood.
    Opaque = 4,
}

/// Which tunnel's id a key holds (`enum rt_net`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Net {
    /// No tunnel with an id.
    None = 0,
    /// VXLAN network identifier.
    Vxlan = 1,
    /// Geneve network identifier.
    Geneve = 2,
    /// GRE key.
    Gre = 3,
}

/// `struct rt_tail`: what both key sizes share; host byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct Tail {
    /// VNI or GRE key of the innermost tunnel that has one.
    pub net: u32,
    /// VLAN ids of the innermost Ethernet header, outer first, `| 0x8000` where present, else 0.
    pub vlan: [u16; 2],
    /// Port of endpoint 0, of endpoint 1 (ICMP echo: the id in both; not IP: ethertype or LLC in both).
    pub port: [u16; 2],
    /// IP protocol.
    pub proto: u8,
    /// [`Kind`] `|` [`Net`] `<< 4`.
    pub kind: u8,
    /// Always 0: the kernel compares whole keys.
    pub zero: u16,
}

/// `struct rt_key4`: an IPv4 connection. Endpoint 0 is the lower by (address, port).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Key4 {
    /// As on the wire.
    pub addr: [[u8; 4]; 2],
    /// Ports, protocol, tags, tunnel.
    pub tail: Tail,
}

/// `struct rt_key6`: an IPv6 connection, or one that is not IP (MAC in the first 6 bytes of each address).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Key6 {
    /// As on the wire.
    pub addr: [[u8; 16]; 2],
    /// Ports, protocol, tags, tunnel.
    pub tail: Tail,
}

const _: () = assert!(size_of::<Tail>() == 16 && size_of::<Key4>() == 24 && size_of::<Key6>() == 48);

/// A key of either size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// IPv4.
    V4(Key4),
    /// IPv6 and everything that is not IP.
    V6(Key6),
}

#[inline]
fn pair(lo: u32, hi: u32) -> u64 {
    u64::from(lo) | u64::from(hi) << 32
}

impl std::hash::Hash for Key {
    /// All words at once: field by field a table of connections spends most of its time on this.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let (words, len) = (self.words(), if matches!(self, Key::V4(_)) { 3 } else { HASH_WORDS });
        let mut bytes = [[0; 8]; HASH_WORDS];
        bytes.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
        state.write(bytes.as_flattened().get(..len * 8).unwrap_or_default());
    }
}

impl Tail {
    /// Its two words as they lie in memory on a little-endian machine.
    #[inline]
    fn words(&self) -> [u64; 2] {
        let halves = |[a, b]: [u16; 2]| u32::from(a) | u32::from(b) << 16;
        let kind = u32::from(self.proto) | u32::from(self.kind) << 8 | u32::from(self.zero) << 16;
        [pair(self.net, halves(self.vlan)), pair(halves(self.port), kind)]
    }

    /// What the key names; unknown bits read as [`Kind::Opaque`].
    pub fn kind(&self) -> Kind {
        match self.kind & 15 {
            0 => Kind::Ip,
            1 => Kind::Fragment,
            2 => Kind::Ether,
            3 => Kind::Llc,
            _ => Kind::Opaque,
        }
    }
}

/// Whether an ethertype is of a conversation of its own, if not over IP: ARP, RARP, wake-on-LAN, 802.1X, slow protocols, LLDP, CFM, PTP,
/// loopback tests, PPPoE's discovery. All others carry what the parser does not see: tunnels, tags beyond the second, broken IP.
#[inline]
fn converses(ethertype: u16) -> bool {
    matches!(ethertype, 0x0806 | 0x8035 | 0x0842 | 0x888e | 0x8809 | 0x88cc | 0x8902 | 0x88f7 | 0x9000 | 0x8863)
}

/// The same of DSAP and SSAP: spanning tree, IS-IS, and SNAP without an ethertype (CDP, PVST).
#[inline]
fn converses_llc(saps: u16) -> bool {
    matches!(saps, 0x4242 | 0xfefe | 0xaaaa)
}

/// IP protocols that carry packets of others, where they were not followed: IPv4 and IPv6 in IP, GRE, AH, EtherIP, another IP in IP, IPComp,
/// L2TPv3, MPLS. ESP is not among them: what it carries nobody can read.
#[inline]
fn carries(proto: u8) -> bool {
    matches!(proto, 4 | 41 | 47 | 51 | 97 | 98 | 108 | 115 | 137)
}

/// UDP ports of tunnels that were not followed: L2TP, GTP-U, Teredo, VXLAN (what in it is not IP), VXLAN-GPE, GUE, Geneve, MPLS in UDP, VXLAN
/// in Linux' first days.
#[inline]
fn carries_at(port: u16) -> bool {
    matches!(port, 1701 | 2152 | 3544 | 4789 | 4790 | 6080 | 6081 | 6635 | 8472)
}

impl Key {
    /// Whether it may be of many connections at once: a link type, a tunnel or an encapsulation that the parser does not follow. A cutoff
    /// that is meant for one connection would keep next to nothing of them.
    #[inline]
    pub fn aggregate(&self) -> bool {
        let Tail { port: [a, b], proto, .. } = *self.tail();
        match self.tail().kind() {
            Kind::Opaque => true,
            Kind::Ether => !converses(a),
            Kind::Llc => !converses_llc(a),
            Kind::Ip if proto == 17 => carries_at(a) || carries_at(b),
            Kind::Ip | Kind::Fragment => carries(proto),
        }
    }

    /// The part that both sizes share.
    pub fn tail(&self) -> &Tail {
        match self {
            Key::V4(k) => &k.tail,
            Key::V6(k) => &k.tail,
        }
    }

    /// The same without VLAN ids.
    pub fn untagged(mut self) -> Key {
        match &mut self {
            Key::V4(k) => k.tail.vlan = [0; 2],
            Key::V6(k) => k.tail.vlan = [0; 2],
        }
        self
    }

    /// The key as the kernel sees it on a little-endian machine: its words, 3 or 6 of them, the others 0.
    #[inline]
    pub fn words(&self) -> [u64; HASH_WORDS] {
        let [t0, t1] = self.tail().words();
        match self {
            Key::V4(k) => {
                let [a, b] = k.addr.map(u32::from_ne_bytes);
                [pair(a, b), t0, t1, 0, 0, 0]
            }
            Key::V6(k) => {
                let [[a, b], [c, d]] = k.addr.map(|x| {
                    let x = u128::from_le_bytes(x);
                    [x as u64, (x >> 64) as u64]
                });
                [a, b, c, d, t0, t1]
            }
        }
    }

    /// Whether it is of an IPv6 connection.
    pub fn is_v6(&self) -> bool {
        matches!(self, Key::V6(k) if matches!(k.tail.kind(), Kind::Ip | Kind::Fragment))
    }

    /// The two IP addresses, endpoint 0 first; none if the connection is not IP.
    pub fn addrs(&self) -> Option<[IpAddr; 2]> {
        match self {
            Key::V4(k) => Some(k.addr.map(|a| IpAddr::V4(Ipv4Addr::from(a)))),
            Key::V6(k) if matches!(k.tail.kind(), Kind::Ip | Kind::Fragment) => {
                Some(k.addr.map(|a| IpAddr::V6(Ipv6Addr::from(a))))
            }
            Key::V6(_) => None,
        }
    }
}

#[cfg(test)]
impl Key {
    /// A TCP connection from this port to port 80, for tests.
    pub(crate) fn tcp(port: u16) -> Key {
        Key::V4(Key4 {
            addr: [[10, 0, 0, 1], [10, 0, 0, 2]],
            tail: Tail { port: [port, 80], proto: 6, ..Tail::default() },
        })
    }
}
