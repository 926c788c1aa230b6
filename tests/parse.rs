//! The Rust parser against the table of named packets, and what must hold for any bytes: no panic, the connection is
//! the same from both ends, and `layers` reports what libpcap's primitives can see.

mod packets;

use packets::{A, A6, B, B6, X, Y, cases, describe, ip4, tag, tcp, udp};
use pcap::{BpfProgram, Capture, Linktype};
use proptest::prelude::*;
use retrotap::packet::key::Kind;
use retrotap::packet::{Fragment, Layer, Parser, What, layers, understood};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[test]
fn named_packets() {
    let parser = Parser::new(1, true);
    let mut wrong = String::new();
    for case in cases() {
        let said = describe(&parser.parse(1, &case.bytes));
        if said != case.expect {
            wrong += &format!("{}: {said}, not {}\n", case.name, case.expect);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn sequence_numbers_and_offsets() {
    let parser = Parser::new(1, true);
    let frame = packets::eth(0x8100, &tag(5, 0x0800, &ip4(A, B, 6, &tcp(1000, 80, 2))));
    let p = parser.parse(1, &frame);
    assert_eq!((p.tcp_seq, p.l3, p.fragment), (99, 18, Fragment::None));
}

/// The link types besides Ethernet, around the same packet.
#[test]
fn link_types() {
    const TCP: &str = "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 02";
    let ip = ip4(A, B, 6, &tcp(1000, 80, 2));
    let after = |head: &[u8]| [head, &ip].concat();
    let sll = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    let sll2 = [0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    let parser = Parser::new(1, true);
    for (link_type, bytes, expect) in [
        (101, ip.clone(), TCP),
        (12, ip.clone(), TCP),
        (14, ip.clone(), TCP),
        (228, ip.clone(), TCP),
        (101, vec![0x55; 40], "opaque 101"),
        (113, after(&[&sll[..], &[8, 0]].concat()), TCP),
        (113, after(&[&sll[..], &[0x81, 0, 0, 5, 8, 0]].concat()), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 02 vlan 5"),
        (113, after(&[&sll[..], &[8, 6]].concat()), "ether 0806 00:00:00:00:00:00 > 00:00:00:00:00:00"),
        (113, after(&[&sll[..], &[0, 4]].concat()), "opaque 113"),
        (276, after(&[&[8, 0], &sll2[..]].concat()), TCP),
        (0, after(&[2, 0, 0, 0]), TCP),
        (0, after(&[0, 0, 0, 2]), TCP),
        (108, after(&[0, 0, 0, 2]), TCP),
        (0, after(&[9, 0, 0, 0]), "opaque 0"),
        (9, after(&[0xff, 3, 0, 0x21]), TCP),
        (9, after(&[0x21]), TCP),
        (9, after(&[0xff, 3, 0x02, 0x81, 0, 1, 1, 64]), TCP),
        (9, after(&[0xff, 3, 0xc0, 0x21]), "opaque 9"),
        (147, ip.clone(), "opaque 147"),
        (229, packets::ip6(17, &udp(9, 8, &[])), "udp [2001:db8::1]:9 > [2001:db8::2]:8"),
    ] {
        assert_eq!(describe(&parser.parse(link_type, &bytes)), expect, "{link_type} {bytes:02x?}");
        assert_eq!(expect.starts_with("opaque 147"), !understood(link_type));
    }
}

/// What an index would have of a packet.
#[derive(Default, Debug)]
struct Values {
    addrs: Vec<IpAddr>,
    ports: Vec<u16>,
    protos: Vec<u8>,
    vlans: Vec<u16>,
    labels: Vec<u32>,
}

impl Values {
    fn of(link_type: u16, data: &[u8]) -> Values {
        let mut v = Values::default();
        layers(link_type, data, &mut |Layer { offset, what }| {
            assert!(offset < data.len());
            match what {
                What::Ethernet { .. } | What::Tunnel { .. } => {}
                What::Vlan(id) => v.vlans.push(id),
                What::Mpls(label) => v.labels.push(label),
                What::Ip4 { src, dst, proto, .. } => {
                    v.addrs.extend([IpAddr::V4(src), IpAddr::V4(dst)]);
                    v.protos.push(proto);
                }
                What::Ip6 { src, dst, proto, .. } => {
                    v.addrs.extend([IpAddr::V6(src), IpAddr::V6(dst)]);
                    v.protos.push(proto);
                }
                What::Ports { src, dst, .. } => v.ports.extend([src, dst]),
                What::Arp { sender, target } => v.addrs.extend([IpAddr::V4(sender), IpAddr::V4(target)]),
                What::Address(a) => v.addrs.push(a),
                What::Proto(p) => v.protos.push(p),
                What::Port(p) => v.ports.push(p),
            }
        });
        v
    }
}

/// An expression, and whether the values say that a packet may match it.
type Question = (String, BpfProgram, Box<dyn Fn(&Values) -> bool>);

/// Primitives over the values that the named packets are made of, alone and past tags, labels and PPPoE.
fn questions(link_type: i32) -> Vec<Question> {
    let compiler = Capture::dead(Linktype(link_type)).expect("libpcap");
    let ask = |text: String, may: Box<dyn Fn(&Values) -> bool>| {
        // Not every link type knows every keyword.
        compiler.compile(&text, true).ok().map(|program| (text, program, may))
    };
    let mut all = Vec::new();
    for prefix in [
        "",
        "vlan and ",
        "vlan and vlan and ",
        "vlan and vlan and vlan and ",
        "mpls and ",
        "mpls and mpls and ",
        "pppoes and ",
        "geneve and ",
    ] {
        for addr in [A, B, X, Y]
            .map(|a| IpAddr::from(Ipv4Addr::from(a)))
            .into_iter()
            .chain([A6, B6].map(|a| Ipv6Addr::from(a).into()))
        {
            let may = move |v: &Values| v.addrs.contains(&addr);
            all.push(ask(format!("{prefix}host {addr}"), Box::new(may)));
            all.push(ask(format!("{prefix}src host {addr}"), Box::new(may)));
            all.push(ask(format!("{prefix}dst host {addr}"), Box::new(may)));
        }
        for port in [0u16, 8, 9, 80, 1000, 4789, 5555] {
            all.push(ask(format!("{prefix}port {port}"), Box::new(move |v| v.ports.contains(&port))));
            all.push(ask(format!("{prefix}src port {port}"), Box::new(move |v| v.ports.contains(&port))));
        }
        for proto in [0u8, 1, 4, 6, 17, 41, 44, 47, 58, 60, 132] {
            all.push(ask(format!("{prefix}ip proto {proto}"), Box::new(move |v| v.protos.contains(&proto))));
            all.push(ask(format!("{prefix}ip6 proto {proto}"), Box::new(move |v| v.protos.contains(&proto))));
        }
        all.push(ask(format!("{prefix}tcp"), Box::new(|v| v.protos.contains(&6))));
        all.push(ask(format!("{prefix}udp"), Box::new(|v| v.protos.contains(&17))));
        for vlan in [0u16, 1, 2, 3, 5, 9, 291] {
            all.push(ask(format!("{prefix}vlan {vlan}"), Box::new(move |v| v.vlans.contains(&vlan))));
        }
        for label in [3u32, 16, 17] {
            all.push(ask(format!("{prefix}mpls {label}"), Box::new(move |v| v.labels.contains(&label))));
        }
    }
    all.into_iter().flatten().collect()
}

/// What libpcap matches in a packet is among the values: `host X` never finds a packet that an index of them has not under X.
fn is_superset(questions: &[Question], link_type: u16, data: &[u8]) -> Result<usize, String> {
    let values = Values::of(link_type, data);
    let mut matched = 0;
    for (text, program, may) in questions {
        if program.filter(data) {
            matched += 1;
            if !may(&values) {
                return Err(format!("`{text}` matches, but not among {values:?}: {data:02x?}"));
            }
        }
    }
    Ok(matched)
}

#[test]
fn layers_have_what_libpcap_sees() {
    let questions = questions(1);
    let mut matched = 0;
    for case in cases() {
        for len in 0..=case.bytes.len() {
            matched += is_superset(&questions, 1, &case.bytes[..len]).unwrap();
        }
    }
    assert!(matched > 20_000, "{matched}");
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let base = prop::sample::select(cases().into_iter().map(|c| c.bytes).collect::<Vec<_>>());
    let byte =
        prop_oneof![any::<u8>(), prop::sample::select(vec![0, 1, 2, 4, 6, 8, 17, 41, 44, 47, 60, 0x45, 0x60, 0x81])];
    (
        base,
        prop::collection::vec((any::<prop::sample::Index>(), byte), 0..6),
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(|(mut b, changes, cut, whole)| {
            for (at, v) in changes {
                let at = at.index(b.len().max(1));
                b.iter_mut().skip(at).take(1).for_each(|b| *b = v);
            }
            if !whole {
                b.truncate(cut.index(b.len() + 1));
            }
            b
        })
}

#[test]
fn layers_have_what_libpcap_sees_in_changed_packets() {
    // Link type in a file, and what libpcap makes of it; where that packet begins in an Ethernet frame.
    for (link_type, dlt, skip) in [(1, 1, 0), (101, 12, 14), (113, 113, 0), (276, 276, 0), (0, 0, 0), (9, 9, 0)] {
        let questions = questions(dlt);
        let head: &[u8] = match link_type {
            113 => &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0],
            276 => &[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0],
            0 => &[2, 0, 0, 0],
            9 => &[0xff, 3, 0, 0x21],
            _ => &[],
        };
        // Cooked frames keep the ethertype in front of what an Ethernet frame carries.
        let skip = match link_type {
            113 => 12,
            276 | 0 | 9 => 14,
            _ => skip,
        };
        let config = ProptestConfig { cases: 1500, failure_persistence: None, ..Default::default() };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        runner
            .run(&mutated(), |frame| {
                let data = [head, frame.get(skip..).unwrap_or(&[])].concat();
                is_superset(&questions, link_type, &data).map_err(TestCaseError::fail)?;
                Ok(())
            })
            .unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..Default::default() })]

    /// Any bytes under any link type: no panic, a key that is in order, and the connection's ends are among the layers.
    #[test]
    fn any_bytes(
        data in prop_oneof![mutated(), prop::collection::vec(any::<u8>(), 0..700)],
        link_type in prop_oneof![4 => Just(1u16), 1 => prop::sample::select(vec![0u16, 9, 12, 101, 108, 113, 228, 229, 276, 147])],
    ) {
        let p = Parser::new(1, true).parse(link_type, &data);
        let t = p.key.tail();
        prop_assert_eq!(t.zero, 0);
        let values = Values::of(link_type, &data);
        if let Some([a, b]) = p.key.addrs() {
            prop_assert!((a, t.port[0]) <= (b, t.port[1]));
            prop_assert!(values.addrs.contains(&a) && values.addrs.contains(&b), "{p:?} {values:?}");
            prop_assert!(values.protos.contains(&t.proto), "{p:?} {values:?}");
            if t.kind() == Kind::Ip && !matches!(t.proto, 1 | 58) && t.port != [0, 0] {
                prop_assert!(t.port.iter().all(|port| values.ports.contains(port)), "{p:?} {values:?}");
            }
            for v in t.vlan.into_iter().filter(|&v| v != 0) {
                prop_assert!(values.vlans.contains(&(v & 0xfff)));
            }
        }
    }

    /// The answer to a packet is of the same connection, seen from the other end.
    #[test]
    fn both_directions(a: [u8; 4], b: [u8; 4], ports: [u16; 2], proto in prop::sample::select(vec![6u8, 17, 89, 132])) {
        let parser = Parser::new(1, true);
        let there = parser.parse(101, &ip4(a, b, proto, &udp(ports[0], ports[1], &[0; 8])));
        let back = parser.parse(101, &ip4(b, a, proto, &udp(ports[1], ports[0], &[0; 8])));
        prop_assert_eq!(there.key, back.key);
        prop_assert_eq!(there.hash, back.hash);
        let alike = a == b && (ports[0] == ports[1] || proto == 89);
        prop_assert!(alike || there.swapped != back.swapped);
    }
}
