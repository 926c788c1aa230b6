//! Long lists against libpcap: the same answer as its own program for the whole text, and of packets that are cut off that for each entry alone.

use super::lists::{listed, told};
use super::parse::parse;
use super::tests::{Tree, text, trees};
use crate::filter::listed::ListFilter;
use crate::filter::{Filter, FilterError};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An entry of each kind around bytes of the packet; `noise` makes most of them of nobody.
fn entry((form, at, noise, ones): (usize, usize, u128, u8), data: &[u8]) -> String {
    let bytes: [u8; 16] = std::array::from_fn(|i| data.get(at + i).copied().unwrap_or(0));
    let six = u128::from_be_bytes(bytes) ^ noise;
    let (four, port) = ((six >> 96) as u32, (six >> 112) as u16);
    let [ones4, ones6] = [ones % 32 + 1, ones % 128 + 1].map(u32::from);
    let net4 = Ipv4Addr::from_bits(four >> (32 - ones4) << (32 - ones4));
    let net6 = Ipv6Addr::from_bits(six >> (128 - ones6) << (128 - ones6));
    let (four, six) = (Ipv4Addr::from_bits(four), Ipv6Addr::from_bits(six));
    match form {
        0 => format!("host {four}"),
        1 => format!("src host {four}"),
        2 => format!("dst host {four}"),
        3 => format!("net {net4}/{ones4}"),
        4 => format!("host {six}"),
        5 => format!("net {net6}/{ones6}"),
        6 => format!("port {port}"),
        7 => format!("tcp port {port}"),
        8 => format!("udp dst port {port}"),
        9 => format!("ip host {four}"),
        10 => format!("arp net {net4}/{ones4}"),
        11 => format!("ip6 src net {net6}/{ones6}"),
        _ => format!("dst host {six}"),
    }
}

type Entries = Vec<(usize, usize, u128, u8)>;

/// At least as many as make a list, of a few forms.
fn entries() -> impl Strategy<Value = Entries> {
    let noise = prop_oneof![1 => Just(0u128), 6 => any::<u128>(), 1 => any::<u8>().prop_map(|n| u128::from(n) << 32)];
    let forms = prop::collection::vec(0usize..13, 1..4);
    let one = (any::<prop::sample::Index>(), 0usize..90, noise, any::<u8>());
    (forms, prop::collection::vec(one, 64..80)).prop_map(|(forms, all)| {
        all.into_iter().map(|(form, at, noise, ones)| (*form.get(&forms), at, noise, ones)).collect()
    })
}

fn list(entries: &Entries, data: &[u8]) -> Vec<String> {
    entries.iter().map(|e| entry(*e, data)).collect()
}

/// Every load finds something: that a packet ends within a header is another test's.
fn padded(packet: &[u8]) -> Vec<u8> {
    [packet, &[0; 2000]].concat()
}

/// What stands around a list: the rest of the expression, random trees with shifts of headers among them.
fn around(before: Option<&str>, list: &str, negated: bool, after: Option<(bool, &str)>) -> String {
    let list = format!("{}({list})", if negated { "not " } else { "" });
    let mut whole = before.map_or(list.clone(), |b| format!("({b}) and {list}"));
    if let Some((and, after)) = after {
        whole = format!("{whole} {} ({after})", if and { "and" } else { "or" });
    }
    whole
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// libpcap compiles the whole text, its optimiser included, and the packets are whole: the same answer.
    #[test]
    fn a_list_is_what_libpcap_takes_it_for(
        entries in entries(),
        before in prop::option::of(trees()),
        after in prop::option::of((any::<bool>(), trees())),
        negated in prop::bool::weighted(0.2),
        packets in prop::collection::vec(crate::index::tests::frame(), 1..12),
        link in prop::sample::select(vec![1u16, 1, 1, 101, 113, 276, 228, 229, 0, 108, 9, 104]),
    ) {
        let of = packets.first().unwrap();
        let rest = |t: &Option<Tree>| t.as_ref().map(|t| text(t, of));
        let after = after.map(|(and, t)| (and, text(&t, of)));
        let whole = around(
            rest(&before).as_deref(),
            &list(&entries, of).join(" or "),
            negated,
            after.as_ref().map(|(and, t)| (*and, t.as_str())),
        );
        if whole.contains("geneve") {
            // Where it does not match, what follows it reads memory that libpcap's interpreter leaves as it was.
            return Ok(());
        }
        let Some(ours) = listed(&whole) else {
            // What stands around it is libpcap's alone.
            prop_assert!(parse(&whole).is_none(), "{}", whole);
            return Ok(());
        };
        let ours = ListFilter::compile(&ours, link);
        match Filter::compile_unplaced(&whole, link) {
            Ok(theirs) => {
                let ours = ours.unwrap();
                for packet in packets.iter().map(|p| padded(p)) {
                    let wire = packet.len() as u32;
                    prop_assert_eq!(ours.matches(&packet, wire), theirs.matches(&packet, wire), "{}: {:02x?}", whole, packet);
                }
            }
            // The optimiser finds out that nothing can match; without it nothing does.
            Err(e) if e.rejects_all() => {
                for packet in packets.iter().map(|p| padded(p)) {
                    prop_assert!(!ours.as_ref().is_ok_and(|o| o.matches(&packet, packet.len() as u32)), "{}", whole);
                }
            }
            Err(FilterError::Refused { message, .. }) => {
                prop_assert!(matches!(&ours, Err(FilterError::Refused { message: m, .. }) if *m == message), "{}: {:?}", whole, ours);
            }
            Err(other) => prop_assert!(false, "{}: {}", whole, other),
        }
    }

    /// Of a packet that is cut off, and entries that are asked alike: the answer of some entry alone.
    #[test]
    fn an_entry_alone_says_the_same(
        entries in entries(),
        shift in prop::sample::select(vec!["", "vlan and ", "mpls and ", "geneve and "]),
        packet in crate::index::tests::frame(),
        cut in 0usize..120,
        link in prop::sample::select(vec![1u16, 1, 101, 113, 0]),
    ) {
        let &(form, _, _, ones) = entries.first().unwrap();
        let alike = entries.iter().map(|&(_, at, noise, _)| (form, at, noise, ones)).collect();
        let all = list(&alike, &packet);
        let ours = ListFilter::compile(&listed(&format!("{shift}({})", all.join(" or "))).unwrap(), link);
        let packet = packet.get(..cut).unwrap_or(&packet);
        let alone = |e: &String| Filter::compile_as_written(&format!("{shift}({e})"), link).is_ok_and(|f| f.matches(packet, 1000));
        prop_assert_eq!(ours.is_ok_and(|o| o.matches(packet, 1000)), all.iter().any(alone), "{:?}: {:02x?}", all, packet);
    }
}

/// IPv4, IPv6 and ARP between two addresses, ports 53 and 1000, behind the headers that link types have.
fn packets() -> Vec<Vec<u8>> {
    let mut bodies: Vec<(u16, Vec<u8>)> = Vec::new();
    for (a, b) in [(1u8, 9u8), (9, 1), (8, 9)] {
        let ports = [0, 53, 3, 0xe8, 0, 20, 0, 0];
        let four = [&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, a, 10, 0, 0, b][..], &ports].concat();
        let six = |n| [0x20, 1, 0xd, 0xb8, 0, 0, 0, n, 0, 0, 0, 0, 0, 0, 0, 1];
        let six = [&[0x60, 0, 0, 0, 0, 20, 17, 64][..], &six(a), &six(b), &ports].concat();
        let arp =
            [&[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, a, 0, 0, 0, 0, 0, 0, 10, 0, 0, b][..]].concat();
        bodies.extend([(0x0800, four), (0x86dd, six), (0x0806, arp)]);
    }
    let mut all = Vec::new();
    for (kind, body) in bodies {
        let [hi, lo] = kind.to_be_bytes();
        let family = if kind == 0x86dd { 10 } else { 2 };
        let snap = [0xaa, 0xaa, 3, 0, 0, 0, hi, lo];
        let mut data_frame = vec![8, 0, 0, 0];
        data_frame.extend([2; 20]);
        data_frame.extend(snap);
        let heads: Vec<Vec<u8>> = vec![
            vec![],
            [&[2; 12][..], &[hi, lo]].concat(),
            [&[2; 12][..], &[0x81, 0, 0, 5, hi, lo]].concat(),
            vec![family, 0, 0, 0],
            vec![0, 0, 0, family],
            vec![0xff, 3, 0, if kind == 0x86dd { 0x57 } else { 0x21 }],
            vec![0x0f, 0, hi, lo],
            [&[0; 14][..], &[hi, lo]].concat(),
            [&[hi, lo][..], &[0; 18]].concat(),
            data_frame.clone(),
            [&[0, 0, 8, 0, 0, 0, 0, 0][..], &data_frame].concat(),
            [&[0x50][..], &[2; 12], &snap].concat(),
            [&[0x10, 0x40][..], &[2; 12], &snap].concat(),
            snap.to_vec(),
        ];
        all.extend(heads.into_iter().map(|head| padded(&[head, body.clone()].concat())));
    }
    all
}

/// Whatever link type libpcap compiles an address for: its program has a place for the list, and says the same.
#[test]
fn every_link_type_that_libpcap_knows() {
    let hosts: Vec<String> =
        (0..70u32).map(|n| format!("host {}", Ipv4Addr::from_bits(0x0a00_0000 | n << 3 | 1))).collect();
    let nets: Vec<String> = (0..70u32).map(|n| format!("net 2001:db8:0:{:x}::/{}", n * 5 + 1, 64 + n % 3)).collect();
    let ports: Vec<String> = (0..70).map(|n| format!("port {}", 50 + n * 3)).collect();
    let (packets, mut compiled, mut matching) = (packets(), 0, Vec::new());
    for link in 0..300u16 {
        if ["host 10.0.0.1", "host 2001:db8::1"].iter().all(|host| Filter::compile_unplaced(host, link).is_err()) {
            continue;
        }
        compiled += 1;
        let mut matched = 0;
        for list in [&hosts, &nets, &ports] {
            for form in ["{}", "not ({})", "len > 10 and ({})", "vlan and ({})"] {
                let text = form.replace("{}", &list.join(" or "));
                let ours = ListFilter::compile(&listed(&text).unwrap(), link);
                match Filter::compile_unplaced(&text, link) {
                    Ok(theirs) => {
                        let ours = ours.unwrap_or_else(|e| panic!("{link}: {text}: {e}"));
                        for p in &packets {
                            let yes = theirs.matches(p, p.len() as u32);
                            assert_eq!(ours.matches(p, p.len() as u32), yes, "{link}: {text}: {p:02x?}");
                            matched += u32::from(yes && form == "{}");
                        }
                    }
                    Err(e) if e.rejects_all() => {
                        let any = ours.is_ok_and(|o| packets.iter().any(|p| o.matches(p, p.len() as u32)));
                        assert!(!any, "{link}: {text}");
                    }
                    Err(e) => assert!(ours.is_err(), "{link}: {text}: {e}"),
                }
            }
        }
        if matched > 0 {
            matching.push(link);
        }
    }
    eprintln!("{compiled} link types, of which {matching:?} have packets that match");
    assert!(compiled > 40, "{compiled}");
    for link in [0, 1, 6, 9, 10, 101, 104, 105, 108, 113, 127, 228, 229, 276] {
        assert!(matching.contains(&link), "{link}: {matching:?}");
    }
}

/// Ten thousand are compiled in no time, and each is asked.
#[test]
fn ten_thousand_hosts() {
    let host = |n: u32| Ipv4Addr::from_bits(n.wrapping_mul(0x9e37_79b1));
    let all: Vec<String> = (0..10_000).map(|n| host(n).to_string()).collect();
    let filter = ListFilter::compile(&listed(&format!("udp and (host {})", all.join(" or "))).unwrap(), 101).unwrap();
    let packet = |from: Ipv4Addr, to: Ipv4Addr| {
        [&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0][..], &from.octets(), &to.octets(), &[0; 8]].concat()
    };
    let nobody = host(10_001);
    for n in 0..10_000 {
        let known = host(n);
        assert!(filter.matches(&packet(known, nobody), 28) && filter.matches(&packet(nobody, known), 28), "{known}");
    }
    for n in 10_001..20_000 {
        assert!(!filter.matches(&packet(host(n), nobody), 28), "{}", host(n));
    }
}

/// Which parts of a text are lists, and that nothing else changes.
#[test]
fn what_is_a_list() {
    let some = |n: u32, what: &str| {
        (0..n).map(|i| format!("{what}{}", Ipv4Addr::from_bits(0x0a00_0000 + i))).collect::<Vec<_>>().join(" or ")
    };
    let (hosts, bare) = (some(64, "host "), some(64, ""));
    for (text, is) in [
        (hosts.clone(), true),
        (some(63, "host "), false),
        (format!("host {bare}"), true),
        (format!("host ({bare})"), true),
        (format!("tcp and ({hosts})"), true),
        (format!("not ({hosts})"), true),
        (format!("udp or {hosts}"), true),
        (format!("src {bare}"), true),
        // 63 that are joined by `or`, and one that is not.
        (format!("tcp and {hosts}"), false),
        (format!("not {hosts}"), false),
        (format!("src or dst {bare}"), false),
        (format!("host ({hosts})"), false),
        (format!("tcp {hosts}"), false),
        (some(64, "ip6 host "), false),
        // What our parser does not know, and a list behind it.
        (format!("gateway 10.0.0.1 and ({hosts})"), true),
        (format!("gateway 10.0.0.1 or ({hosts})"), false),
    ] {
        assert_eq!(listed(&text).is_some(), is, "{text}");
    }
    let said = told(&format!("tcp port 80 and ({hosts}) and len > 5"));
    let (before, after) = ("tcp port 80 and (host in a list of 64 (SHA-256 ", ")) and len > 5");
    assert!(said.starts_with(before) && said.ends_with(after), "{said}");
    assert_eq!(told("host 10.0.0.1 or 10.0.0.2"), "host 10.0.0.1 or 10.0.0.2");
}
