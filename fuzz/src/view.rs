//! The index's view of packets: what libpcap finds in a packet is among the terms that an index has of it, at whatever place and behind whatever
//! headers it lies; and terms are found in time in proportion to the packet's bytes.

use retrotap::filter::Filter;
use retrotap::index::term::Term;
use retrotap::index::terms::terms;
use retrotap::index::view::{Walked, understood};
use retrotap::query::lang::plan::Plan;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Link types that an index understands.
const LINKS: [u16; 11] = [1, 0, 9, 12, 101, 104, 108, 113, 228, 229, 276];
/// What may stand before a primitive: headers to step over.
const BEFORE: [&str; 8] = [
    "",
    "vlan and ",
    "vlan and vlan and ",
    "mpls and ",
    "mpls and mpls and ",
    "pppoes and ",
    "geneve and ",
    "not tcp or ",
];

/// Input: link type, what is asked, where in the packet its value lies, the packet.
pub fn run(data: &[u8]) {
    let Some((&[link, what, at], bytes)) = data.split_first_chunk() else { return };
    let link_type = LINKS[usize::from(link) % LINKS.len()];
    assert!(understood(link_type));
    let (mut walked, mut all) = (Walked::default(), Vec::new());
    terms(link_type, bytes, &mut walked, &mut |t| all.push(t));
    assert!(walked.steps <= 16 * bytes.len() as u64 + 64, "{} steps of {} bytes", walked.steps, bytes.len());
    let Some(text) = question(what, bytes, at.into()) else { return };
    // What libpcap does not take for this link type asks nothing.
    let Ok(filter) = Filter::compile_unplaced(&text, link_type) else { return };
    if filter.matches(bytes, bytes.len() as u32) {
        let has = &mut |lo: Term, hi: Term| {
            all.iter().any(|t| t.kind() == lo.kind() && (lo.value()..=hi.value()).contains(&t.value()))
        };
        assert!(Plan::of(&text).may(has), "libpcap finds {text:?}, the index has {all:?}");
    }
}

/// A primitive about a value that lies in the packet at this place.
fn question(what: u8, bytes: &[u8], at: usize) -> Option<String> {
    let wide = || bytes.get(at..)?.first_chunk().map(|b| Ipv6Addr::from(*b));
    let word = || bytes.get(at..)?.first_chunk::<4>().copied();
    let half = || bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b));
    let byte = || bytes.get(at).copied();
    let primitive = match what >> 3 & 15 {
        0 => format!("host {}", Ipv4Addr::from(word()?)),
        1 => format!("src host {}", Ipv4Addr::from(word()?)),
        2 => format!("dst net {}/{}", Ipv4Addr::from(word()?) & Ipv4Addr::from_bits(!0 << 16), 16),
        3 => format!("host {}", wide()?),
        4 => format!("port {}", half()?),
        5 => format!("udp src port {}", half()?),
        6 => format!("ip proto {}", byte()?),
        7 => format!("ip6 proto {}", byte()?),
        8 => format!("vlan {}", half()? & 0xfff),
        9 => format!("mpls {}", u32::from_be_bytes(word()?) >> 12),
        10 => format!("arp host {}", Ipv4Addr::from(word()?)),
        11 => format!("ether proto {}", half()?),
        12 => "tcp".to_owned(),
        13 => format!("portrange {}-{}", half()?.saturating_sub(5), half()?),
        14 => format!("ip6 protochain {}", byte()?),
        _ => format!("host {} and port {}", Ipv4Addr::from(word()?), half()?),
    };
    Some(format!("{}{primitive}", BEFORE[usize::from(what & 7)]))
}

/// Frames of all kinds, each asked some things.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    for (link_type, frame) in crate::made::frames() {
        let Some(link) = LINKS.iter().position(|l| *l == link_type) else { continue };
        for (what, at) in [(0, 26), (4 << 3, 34), (8 << 3, 14), (3 << 3, 22), (12 << 3, 0), (7 << 3, 20), (14 << 3, 20)]
        {
            add([&[link as u8, what, at][..], &frame].concat());
        }
    }
}
