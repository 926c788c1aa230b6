//! Generated traffic: small networks, so that packets meet, and times around every limit of the definition.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::frame::{Fragment, Frame, Host, Proto, Tunnel};
use super::model::{Rules, S};
use super::page::Web;

/// A packet: how much later than the one before it (negative: earlier), ns, and what.
pub type Step = (i64, Frame);

/// A trace of a small network.
pub fn trace() -> impl Strategy<Value = Vec<Step>> {
    vec((gap(), prop_oneof![8 => plain_frame(), 2 => frame()]), 1..80)
}

/// Rules around which something happens with such traces.
pub fn rules() -> impl Strategy<Value = Rules> {
    let cutoff = prop_oneof![Just(None), prop::sample::select(vec![0, 60, 100, 500, 2000]).prop_map(Some)];
    let packets = prop_oneof![3 => Just(None), 1 => (0..4u64).prop_map(Some)];
    let idle = || prop::sample::select(vec![5, 20, 180, 300]).prop_map(|s| s * S);
    let renew = || prop_oneof![Just(None), prop::sample::select(vec![10, 60, 600]).prop_map(|s| Some(s * S))];
    let bits = (prop::bool::weighted(0.9), any::<bool>());
    (cutoff, packets, idle(), idle(), renew(), renew(), bits).prop_map(
        |(cutoff_bytes, cutoff_packets, idle_tcp, idle_other, renew_tcp, renew_other, (vlans, whole_unknown))| Rules {
            cutoff_bytes,
            cutoff_packets,
            whole_unknown,
            idle_tcp,
            idle_other,
            renew_tcp,
            renew_other,
            vlans,
            ..Rules::default()
        },
    )
}

/// Connections of two hosts whose packets are seen in any order.
pub fn disorder() -> impl Strategy<Value = Vec<Step>> {
    vec((prop_oneof![4 => gap(), 6 => -1_000_000..1_000_000i64, 1 => -4_000_000_000..0i64], plain_frame()), 1..60)
}

/// Rules with a class that has a direction: what is sent to the port.
pub fn rules_with_class() -> impl Strategy<Value = (Rules, Option<Web>)> {
    let cutoff = prop_oneof![Just(None), prop::sample::select(vec![0, 60, 100, 500, 2000]).prop_map(Some)];
    (rules(), cutoff, prop::sample::select(vec![80, 1000]))
        .prop_map(|(rules, cutoff_bytes, port)| (rules, Some(Web { port, cutoff_bytes })))
}

/// A trace in time order: the kernel's clock does not run backwards.
pub fn trace_for_shunt() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![
        12 => 0..2_000_000_000i64,
        4 => 0..12_000_000_000i64,
        2 => prop::sample::select(vec![29i64, 31, 59, 61, 100]).prop_map(|s| s * S as i64),
        1 => prop::sample::select(vec![600i64, 4000, 100_000]).prop_map(|s| s * S as i64),
    ];
    vec((gap, prop_oneof![12 => plain_frame(), 1 => frame()]), 1..120)
}

/// Rules with low cutoffs, so that much is shunted, and no renewal: a shunted connection's waits for the sweep.
pub fn rules_for_shunt() -> impl Strategy<Value = Rules> {
    let cutoff = prop::sample::select(vec![0u64, 60, 500]).prop_map(Some);
    let packets = prop_oneof![3 => Just(None), 1 => (0..4u64).prop_map(Some)];
    (cutoff, packets).prop_map(|(cutoff_bytes, cutoff_packets)| Rules {
        cutoff_bytes,
        cutoff_packets,
        renew_other: None,
        ..Rules::default()
    })
}

fn gap() -> impl Strategy<Value = i64> {
    let around = prop::sample::select(vec![5i64, 10, 20, 30, 60, 180, 300, 600]);
    prop_oneof![
        8 => Just(0),
        12 => 0..2_000_000_000i64,
        6 => 0..30_000_000_000i64,
        4 => (around, -1..=1i64).prop_map(|(limit, off)| limit * S as i64 + off),
        1 => -4_000_000_000..0i64,
    ]
}

/// Two hosts, two ports, mostly TCP: packets of few connections.
fn plain_frame() -> impl Strategy<Value = Frame> {
    let flags = prop_oneof![
        4 => Just(0x10u8),
        3 => Just(0x02u8),
        1 => Just(0x12u8),
        2 => Just(0x11u8),
        1 => prop::sample::select(vec![0x04u8, 0x14]),
        1 => 0..64u8,
    ];
    let proto = prop_oneof![
        6 => (flags, 0..3u32).prop_map(|(flags, seq)| Proto::Tcp { flags, seq }),
        2 => Just(Proto::Udp),
    ];
    let fragment = weighted(0.1, (0..2u32, 0..3u16, any::<bool>()));
    (proto, any::<bool>(), fragment, 54..700usize).prop_map(|(proto, back, fragment, len)| {
        let (a, b) = ((Host::V4(1), 1000), (Host::V4(2), 80));
        let (from, to) = if back { (b, a) } else { (a, b) };
        let mut frame = Frame::new(proto, from, to);
        frame.fragment = fragment.map(|(id, eighths, more)| Fragment { id, offset: eighths * 8, more });
        frame.len = Some(len);
        frame
    })
}

/// Any frame that can be described.
pub fn frame() -> impl Strategy<Value = Frame> {
    let proto = prop_oneof![
        6 => (0..64u8, 0..3u32).prop_map(|(flags, seq)| Proto::Tcp { flags, seq }),
        3 => Just(Proto::Udp),
        1 => Just(Proto::Sctp),
        2 => (0..3u16, any::<bool>()).prop_map(|(id, reply)| Proto::IcmpEcho { id, reply }),
        1 => prop::sample::select(vec![3u8, 5, 11, 13, 128]).prop_map(|kind| Proto::Icmp { kind }),
        2 => any::<u8>().prop_map(Proto::Ip),
        1 => Just(Proto::Arp),
        1 => prop::sample::select(vec![0x0800u16, 0x0806, 0x8100, 0x86dd, 0x8847, 0x8863, 0x8864, 0x88cc, 0x88be, 0x22eb])
            .prop_map(Proto::Ether),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(d, s)| Proto::Llc(d, s)),
        1 => Just(Proto::Opaque),
    ];
    let ports = || prop::sample::select(vec![80u16, 1000, 2152, 4789, 6081]);
    let fragment = |chance| {
        weighted(chance, (0..3u32, 0..3u16, any::<bool>()))
            .prop_map(|f| f.map(|(id, eighths, more)| Fragment { id, offset: eighths * 8, more }))
    };
    let vlans = || prop_oneof![3 => Just(Vec::new()), 1 => vec(prop::sample::select(vec![0u16, 10, 20]), 1..=3)];
    let tunnels = prop_oneof![2 => Just(Vec::new()), 1 => vec(tunnel(), 1..=4)];
    let hosts = (any::<bool>(), 1..4u8, 1..4u8);
    let rest = (fragment(0.15), fragment(0.1), vlans(), vlans(), tunnels, 0..200usize);
    (proto, hosts, ports(), ports(), rest).prop_map(
        |(proto, (v6, a, b), source, destination, (fragment, outer_fragment, vlans, inner_vlans, tunnels, fill))| {
            let host = |n| if v6 { Host::V6(n) } else { Host::V4(n) };
            let mut frame = Frame::new(proto, (host(a), source), (host(b), destination));
            let has_outer_ip =
                tunnels.first().is_some_and(|t| !matches!(t, Tunnel::Mpls { .. } | Tunnel::Pppoe { .. }));
            let outer_fragment = outer_fragment.filter(|_| has_outer_ip);
            (frame.fragment, frame.outer_fragment) = (fragment, outer_fragment);
            (frame.vlans, frame.inner_vlans, frame.tunnels) = (vlans, inner_vlans, tunnels);
            frame.snap = fill % 16 == 0;
            frame.len = Some(frame.bytes().expect("no length set").len() + fill);
            frame
        },
    )
}

fn tunnel() -> impl Strategy<Value = Tunnel> {
    let id = || prop::sample::select(vec![0u32, 5, 6]);
    prop_oneof![
        (id(), any::<bool>()).prop_map(|(vni, back)| Tunnel::Vxlan { vni, back }),
        (id(), any::<bool>()).prop_map(|(vni, back)| Tunnel::Geneve { vni, back }),
        (proptest::option::of(id()), any::<bool>(), any::<bool>()).prop_map(|(key, ethernet, back)| Tunnel::Gre {
            key,
            ethernet,
            back
        }),
        (id(), any::<bool>()).prop_map(|(teid, back)| Tunnel::GtpU { teid, back }),
        any::<bool>().prop_map(|back| Tunnel::IpIp { back }),
        id().prop_map(|label| Tunnel::Mpls { label }),
        (0..3u16).prop_map(|session| Tunnel::Pppoe { session }),
    ]
}

/// Frames with something wrong or odd in them: link type and bytes.
pub fn odd_bytes() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let edits = vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(0), Just(0xff)]), 0..4);
    let cut = weighted(0.3, any::<prop::sample::Index>());
    let base = prop_oneof![3 => frame().prop_map(|f| (f.link_type(), f.bytes().expect("frame"))), 1 => extensions(), 1 => labels()];
    (base, prop::sample::select(vec![1u16, 1, 1, 0, 9, 12, 14, 101, 108, 113, 228, 229, 276, 147]), edits, cut)
        .prop_map(|((base_type, base), link_type, edits, cut)| {
            let (link_type, mut bytes) = relink(base_type, base, link_type);
            for (index, value) in edits {
                // Headers are what is interesting.
                let reach = bytes.len().min(120);
                if reach > 0 {
                    bytes[index.index(reach)] = value;
                }
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            (link_type, bytes)
        })
}

/// Puts what an Ethernet frame carries on another link.
fn relink(base_type: u16, base: Vec<u8>, link_type: u16) -> (u16, Vec<u8>) {
    if base_type != 1 || link_type == 1 || base.len() < 14 {
        return (base_type, base);
    }
    let v6 = base[12..14] == [0x86, 0xdd];
    let (ethertype, payload) = (base[12..14].to_vec(), &base[14..]);
    let header = match link_type {
        0 => vec![if v6 { 10 } else { 2 }, 0, 0, 0],
        108 => vec![0, 0, 0, if v6 { 24 } else { 2 }],
        9 => vec![0xff, 3, 0, if v6 { 0x57 } else { 0x21 }],
        113 => [vec![0; 14], ethertype].concat(),
        276 => [ethertype, vec![0; 18]].concat(),
        _ => Vec::new(),
    };
    (link_type, [&header[..], payload].concat())
}

/// IPv6 with a chain of extension headers.
fn extensions() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let kind = prop::sample::select(vec![0u8, 43, 44, 51, 60, 135, 139, 140, 59, 50, 253]);
    let last = prop::sample::select(vec![6u8, 17, 41, 58, 59, 47]);
    (vec((kind, 0..4u8, any::<bool>()), 0..10), last).prop_map(|(chain, last)| {
        let mut bytes = Frame::new(Proto::Ip(0), (Host::V6(1), 0), (Host::V6(2), 0)).bytes().expect("frame");
        let kinds: Vec<u8> = chain.iter().map(|(kind, ..)| *kind).chain([last]).collect();
        bytes[20] = kinds[0];
        for (i, (kind, length, fragmented)) in chain.iter().enumerate() {
            let size = match kind {
                44 => 8,
                51 => 8 + 4 * usize::from(*length),
                _ => 8 + 8 * usize::from(*length),
            };
            let mut header = vec![0; size];
            (header[0], header[1]) = (kinds[i + 1], *length);
            if *kind == 44 && *fragmented {
                header[3] = 1;
            }
            bytes.extend_from_slice(&header);
        }
        let inner =
            Frame::new(Proto::Tcp { flags: 2, seq: 7 }, (Host::V6(3), 80), (Host::V6(4), 443)).bytes().expect("frame");
        bytes.extend_from_slice(if last == 41 { &inner[14..] } else { &inner[54..] });
        (1, bytes)
    })
}

/// MPLS stacks, with pseudowires.
fn labels() -> impl Strategy<Value = (u16, Vec<u8>)> {
    (1..9usize, frame(), any::<bool>()).prop_map(|(depth, inner, pseudowire)| {
        let inner = inner.bytes().expect("frame");
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0x47];
        for i in 0..depth {
            bytes.extend_from_slice(&[0, 1, u8::from(i + 1 == depth), 64]);
        }
        if pseudowire {
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&inner);
        } else {
            bytes.extend_from_slice(inner.get(14..).unwrap_or(&[]));
        }
        (1, bytes)
    })
}
