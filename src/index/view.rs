//! The packet as libpcap's generated code reads it: every value that a leaf of a filter could compare, at every place
//! where the leaf could look. The planner prunes by these terms, so what is missing here is a packet missing in an answer.
//!
//! libpcap validates nothing: after ethertype 0x0800 it takes the bytes at 12 and 16 for addresses whatever the version
//! field says, ports lie at 4 * IHL even if that is 0, and a stack of tags or labels is as deep as the expression. So
//! this walk believes everything too. It follows `gencode.c` of libpcap 1.10 (`gen_host`, `gen_port`, `gen_proto`,
//! `gen_linktype`, `gen_vlan`, `gen_mpls`, `gen_pppoes`, `gen_geneve`); `tests` holds it against the real one.

use super::term::Term;

/// Ethertypes that the walk goes through.
pub mod ethertype {
    /// IPv4.
    pub const IP: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// Reverse ARP.
    pub const RARP: u16 = 0x8035;
    /// IPv6.
    pub const IP6: u16 = 0x86dd;
    /// 802.1Q, 802.1ad, and QinQ as it was before 802.1ad: what libpcap takes for a VLAN tag.
    pub const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
    /// MPLS unicast.
    pub const MPLS: u16 = 0x8847;
    /// PPPoE discovery.
    pub const PPPOED: u16 = 0x8863;
    /// PPPoE session.
    pub const PPPOES: u16 = 0x8864;
    /// Transparent Ethernet bridging: an Ethernet frame follows.
    pub const TEB: u16 = 0x6558;
}
use ethertype as et;

/// UDP destination port that libpcap takes for Geneve.
pub const GENEVE_PORT: u16 = 6081;

/// True if the walk knows where libpcap looks in packets of this link type (LINKTYPE_*); packets of all others must not be
/// pruned by terms.
pub fn understood(link_type: u16) -> bool {
    matches!(link_type, 0 | 1 | 9 | 12 | 101 | 104 | 108 | 113 | 228 | 229 | 276)
}

/// Where the walk stands.
#[derive(Clone, Copy)]
enum At {
    Ether(u16, usize),
    Ppp(u16, usize),
    Mpls(usize),
    Ip4(usize),
    Ip6(usize),
    Arp(usize),
}

/// The headers of one packet that were walked through: what a second walk, from a layer further in, comes upon again gives nothing new. So all
/// walks of a packet together take time in proportion to its bytes.
#[derive(Default)]
pub struct Walked {
    /// A bit for each kind of header that was met at an offset.
    met: Vec<u8>,
    /// Steps of all walks so far: what tests count.
    pub steps: u64,
}

/// Kinds of headers, as [`Walked`] has them.
const MPLS: u8 = 1;
const IP4: u8 = 2;
const IP6: u8 = 4;
const ARP: u8 = 8;
const TAG: u8 = 16;
const PPPOE: u8 = 32;

impl Walked {
    /// Another packet, of so many bytes.
    pub fn begin(&mut self, len: usize) {
        self.met.clear();
        self.met.resize(len, 0);
    }

    /// Whether this header is met for the first time. Behind the packet's end there is nothing to meet.
    fn first(&mut self, kind: u8, at: usize) -> bool {
        self.met.get_mut(at).is_none_or(|met| {
            let new = *met & kind == 0;
            *met |= kind;
            new
        })
    }
}

/// Calls `emit` with every term of a packet, of what lies from `from` on as if that were a packet of this link type; some of them more than
/// once, and none of headers that were [`Walked`] through before.
pub fn walk(link_type: u16, data: &[u8], from: usize, walked: &mut Walked, emit: &mut impl FnMut(Term)) {
    let ether = |type_at, payload| be16(data, from + type_at).map(|t| At::Ether(t, from + payload));
    let start = match link_type {
        1 => ether(12, 14),
        113 => ether(14, 16),
        276 => ether(0, 20),
        104 => ether(2, 4),
        9 => be16(data, from + 2).map(|p| At::Ppp(p, from + 4)),
        // 12 is what libpcap has in memory for 101; some write it.
        12 | 101 => version(data, from),
        228 => Some(At::Ether(et::IP, from)),
        229 => Some(At::Ether(et::IP6, from)),
        // The address family is in the byte order of whoever wrote it, and IPv6 has a number of its own on each system.
        0 | 108 => be32(data, from).and_then(|f| match f.min(f.swap_bytes()) {
            2 => Some(At::Ether(et::IP, from + 4)),
            10 | 24 | 28 | 30 => Some(At::Ether(et::IP6, from + 4)),
            _ => None,
        }),
        _ => None,
    };
    run(start, data, walked, emit);
}

/// Every step moves forward in the packet, so this ends.
fn run(mut at: Option<At>, data: &[u8], walked: &mut Walked, emit: &mut impl FnMut(Term)) {
    while let Some(here) = at {
        walked.steps += 1;
        let (kind, offset) = match here {
            At::Ether(t, o) if et::VLAN.contains(&t) => (TAG, o),
            At::Ether(et::PPPOES, o) => (PPPOE, o),
            At::Mpls(o) => (MPLS, o),
            At::Ip4(o) => (IP4, o),
            At::Ip6(o) => (IP6, o),
            At::Arp(o) => (ARP, o),
            At::Ether(..) | At::Ppp(..) => (0, data.len()),
        };
        // Up to 1500 it is a length; libpcap compares protocols below LLC there, which are no terms.
        if let At::Ether(t @ 1501.., _) = here {
            emit(Term::EtherType(t));
        }
        if !walked.first(kind, offset) {
            return;
        }
        at = match here {
            At::Ether(t, o) => match t {
                et::IP => Some(At::Ip4(o)),
                et::IP6 => Some(At::Ip6(o)),
                et::ARP | et::RARP => Some(At::Arp(o)),
                et::MPLS => Some(At::Mpls(o)),
                et::PPPOES => be16(data, o + 6).map(|p| At::Ppp(p, o + 8)),
                t if et::VLAN.contains(&t) => {
                    if let Some(tci) = be16(data, o) {
                        emit(Term::Vlan(tci & 0xfff));
                    }
                    be16(data, o + 2).map(|t| At::Ether(t, o + 4))
                }
                _ => None,
            },
            // libpcap maps the ethertypes it knows to PPP's numbers and compares all others as they are.
            At::Ppp(p, o) => Some(match p {
                0x0021 => At::Ether(et::IP, o),
                0x0057 => At::Ether(et::IP6, o),
                0x0281 => At::Ether(et::MPLS, o),
                et::IP | et::IP6 | et::MPLS => return,
                p => At::Ether(p, o),
            }),
            At::Mpls(o) => {
                if let Some(entry) = be32(data, o) {
                    emit(Term::Mpls(entry >> 12));
                }
                match data.get(o + 2) {
                    Some(b) if b & 1 == 0 => Some(At::Mpls(o + 4)),
                    Some(_) => version(data, o + 4),
                    None => None,
                }
            }
            At::Ip4(o) => ip4(data, o, emit),
            At::Ip6(o) => ip6(data, o, emit),
            At::Arp(o) => {
                for a in [o + 14, o + 24] {
                    if let Some(a) = be32(data, a) {
                        emit(Term::Addr4(a));
                    }
                }
                None
            }
        };
    }
}

/// IP by the first nibble.
fn version(data: &[u8], o: usize) -> Option<At> {
    match data.get(o)? >> 4 {
        4 => Some(At::Ether(et::IP, o)),
        6 => Some(At::Ether(et::IP6, o)),
        _ => None,
    }
}

fn ip4(data: &[u8], o: usize, emit: &mut impl FnMut(Term)) -> Option<At> {
    for a in [o + 12, o + 16] {
        if let Some(a) = be32(data, a) {
            emit(Term::Addr4(a));
        }
    }
    let proto = *data.get(o + 9)?;
    emit(Term::Proto(proto));
    if be16(data, o + 6)? & 0x1fff != 0 {
        return None;
    }
    ports(data, proto, o + 4 * usize::from(data.get(o)? & 15), emit)
}

fn ip6(data: &[u8], o: usize, emit: &mut impl FnMut(Term)) -> Option<At> {
    for a in [o + 8, o + 24] {
        // A network of 32 bits or less compares only the first word, which a cut-off packet may still have.
        let have = data.get(a..).map_or(0, |d| d.len().min(16));
        if have >= 4 {
            let mut bytes = [0; 16];
            for (b, d) in bytes.iter_mut().zip(data.iter().skip(a)) {
                *b = *d;
            }
            emit(Term::Addr6(u128::from_be_bytes(bytes)));
        }
    }
    let next = *data.get(o + 6)?;
    emit(Term::Proto(next));
    if next == 44 {
        emit(Term::Proto(*data.get(o + 40)?));
        return None;
    }
    ports(data, next, o + 40, emit)
}

fn ports(data: &[u8], proto: u8, o: usize, emit: &mut impl FnMut(Term)) -> Option<At> {
    if !matches!(proto, 6 | 17 | 132) {
        return None;
    }
    for p in [o, o + 2] {
        if let Some(p) = be16(data, p) {
            emit(Term::Port(p));
        }
    }
    if proto != 17 || be16(data, o + 2)? != GENEVE_PORT {
        return None;
    }
    let g = o + 8;
    let flags = *data.get(g)?;
    let inner = g + 8 + 4 * usize::from(flags & 0x3f);
    match (flags & 0xc0, be16(data, g + 2)?) {
        (0, et::TEB) => Some(At::Ether(be16(data, inner + 12)?, inner + 14)),
        (0, t) => Some(At::Ether(t, inner)),
        _ => None,
    }
}

fn be16(data: &[u8], o: usize) -> Option<u16> {
    Some(u16::from_be_bytes(data.get(o..)?.first_chunk().copied()?))
}

fn be32(data: &[u8], o: usize) -> Option<u32> {
    Some(u32::from_be_bytes(data.get(o..)?.first_chunk().copied()?))
}
