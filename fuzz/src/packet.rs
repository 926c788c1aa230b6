//! The packet parser: any bytes of any link type. It says what a second implementation says (`tests/oracle/parse.rs`), the same of a packet from
//! both ends, and reports no layer outside of the packet.

use crate::oracle::{self, Name, Net};
use retrotap::packet::key::{Key, Key4, Key6, Tail};
use retrotap::packet::{Fragment, Layer, Parser, layers};
use std::net::IpAddr;

/// Link types that are followed, and some that are not.
const LINKS: [u16; 16] = [1, 0, 108, 101, 12, 14, 228, 229, 113, 276, 9, 104, 105, 127, 147, 1];

/// Input: which link type and whether with VLANs, the packet.
pub fn run(data: &[u8]) {
    let (how, bytes) = crate::options(data);
    let (link_type, vlans) = (LINKS[usize::from(how & 15)], how & 16 != 0);
    let parser = Parser::new(7, vlans);
    let parsed = parser.parse(link_type, bytes);
    let seen = oracle::parse(link_type, bytes, vlans);
    assert_eq!((parsed.key, usize::from(parsed.swapped)), (key(&seen.name), seen.sender), "{:?}", seen.name);
    assert_eq!(parsed.hash, parser.hash(&parsed.key));
    let tcp = seen.tcp.map(|t| (t.seq, [t.fin, t.syn, t.rst, t.ack]));
    assert_eq!(tcp.unwrap_or_default(), (parsed.tcp_seq, [1, 2, 4, 16].map(|bit| parsed.tcp_flags & bit != 0)));
    let of = (matches!(parsed.fragment, Fragment::First(_)), matches!(parsed.fragment, Fragment::Later(_)));
    assert_eq!((seen.first_fragment_of.is_some(), seen.later_fragment_of.is_some()), of);
    let mut reported = 0;
    layers(link_type, bytes, &mut |Layer { offset, .. }| {
        reported += 1;
        assert!(offset < bytes.len());
    });
    assert!(reported <= 8 * bytes.len() + 8, "{reported} layers of {} bytes", bytes.len());
}

/// Frames of all kinds.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    for (link_type, frame) in crate::made::frames() {
        let link = LINKS.iter().position(|l| *l == link_type).unwrap_or(12) as u8;
        add([&[link | 16][..], &frame].concat());
    }
}

/// The product's key of a connection that the oracle names.
fn key(name: &Name) -> Key {
    let tail = |kind: u8, proto: u8, port: [u16; 2], vlans: &[u16], net: Net| {
        let (net_kind, net) = match net {
            None => (0, 0),
            Some(("vxlan", id)) => (1, id),
            Some(("geneve", id)) => (2, id),
            Some((_, id)) => (3, id),
        };
        let mut vlan = [0; 2];
        vlan.iter_mut().zip(vlans).for_each(|(place, id)| *place = id | 0x8000);
        Tail { net, vlan, port, proto, kind: kind | net_kind << 4, zero: 0 }
    };
    let of_ip = |addrs: [IpAddr; 2], tail: Tail| match addrs {
        [IpAddr::V4(a), IpAddr::V4(b)] => Key::V4(Key4 { addr: [a.octets(), b.octets()], tail }),
        [IpAddr::V6(a), IpAddr::V6(b)] => Key::V6(Key6 { addr: [a.octets(), b.octets()], tail }),
        _ => panic!("{addrs:?}"),
    };
    let of_macs = |macs: [[u8; 6]; 2], tail: Tail| {
        let addr = macs.map(|mac| std::array::from_fn(|i| mac.get(i).copied().unwrap_or(0)));
        Key::V6(Key6 { addr, tail })
    };
    match name {
        Name::Ip { ends: [(a, p), (b, q)], proto, vlans, net } => {
            of_ip([*a, *b], tail(0, *proto, [*p, *q], vlans, *net))
        }
        Name::Portless { pair, proto, vlans, net } => of_ip(*pair, tail(1, *proto, [0; 2], vlans, *net)),
        Name::Ether { macs, ethertype, vlans } => of_macs(*macs, tail(2, 0, [*ethertype; 2], vlans, None)),
        Name::Llc { macs, dsap, ssap, vlans } => {
            of_macs(*macs, tail(3, 0, [u16::from_be_bytes([*dsap, *ssap]); 2], vlans, None))
        }
        Name::Opaque { link_type } => of_macs([[0; 6]; 2], tail(4, 0, [*link_type; 2], &[], None)),
    }
}
