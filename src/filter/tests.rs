//! Tests of expressions: what libpcap compiles, what its errors say, which packets pass.

use super::*;

const RAW: u16 = 101;

fn compiles(expression: &str) {
    if let Err(e) = Filter::compile(expression, ETHERNET) {
        panic!("{expression:?}: {e}");
    }
}

fn refused_name(expression: &str) -> String {
    match Filter::compile(expression, ETHERNET) {
        Err(FilterError::Name { place }) => {
            assert!(expression[place.offset..].starts_with(&place.word), "{expression:?}: {place:?}");
            place.word
        }
        other => panic!("{expression:?} gave {other:?}"),
    }
}

fn place(expression: &str) -> Place {
    match Filter::compile(expression, ETHERNET) {
        Err(FilterError::Refused { near: Some(place), .. }) => place,
        other => panic!("{expression:?} gave {other:?}"),
    }
}

/// An Ethernet frame with IPv4 and UDP 10.0.0.1:1000 -> 10.0.0.2:53.
fn udp() -> Vec<u8> {
    let mut p = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    p.extend([0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    p.extend([0x03, 0xE8, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4]);
    p
}

#[test]
fn runs_as_libpcap_does() {
    let p = udp();
    for (expression, expected) in [
        ("", true),
        ("udp", true),
        ("tcp", false),
        ("host 10.0.0.2 and port 53", true),
        ("port domain", true),
        ("ip proto \\udp", true),
        ("net 10", true),
        ("net 10.0.0.0 mask 255.255.255.0", true),
        ("udp[8:4] = 0x01020304", true),
        ("udp[12] = 0", false),
        ("ether host 02:00:00:00:00:01", true),
    ] {
        let f = Filter::compile(expression, ETHERNET).unwrap();
        assert_eq!(f.matches(&p, p.len() as u32), expected, "{expression}");
    }
}

#[test]
fn length_is_that_on_the_wire_and_loads_are_bounded_by_the_capture() {
    let f = Filter::compile("len > 1000", ETHERNET).unwrap();
    assert!(f.matches(&udp(), 1500));
    assert!(!f.matches(&udp(), 46));
    assert!(Filter::compile("greater 1000", ETHERNET).unwrap().matches(&[], 1500));
    let f = Filter::compile("not udp", ETHERNET).unwrap();
    assert!(!f.matches(&udp()[..13], 60), "a load past the capture rejects, negated or not, as in libpcap");
}

#[test]
fn everything_is_recognised() {
    assert!(Filter::compile("", ETHERNET).unwrap().matches_all());
    assert!(!Filter::compile("ip", ETHERNET).unwrap().matches_all());
    let e = Filter::compile("ip and not ip", ETHERNET).unwrap_err();
    assert_eq!(e.to_string(), "filter: expression rejects all packets", "as tcpdump says; it has no place");
}

#[test]
fn what_no_packet_matches_is_no_filter_to_record_by() {
    for expression in ["tcp and udp", "ip and not ip", "host 10.0.0.1 and ip6 and ip"] {
        let error = Filter::check(expression).unwrap_err().to_string();
        assert_eq!(error, "filter: expression rejects all packets", "{expression}");
    }
    for expression in ["wlan type mgt", "tcp", "ether host 02:00:00:00:00:01", "fisu", ""] {
        assert_eq!(Filter::check(expression), Ok(()), "{expression}");
    }
}

#[test]
fn a_link_type_has_a_name() {
    assert_eq!(link_type_name(1), "EN10MB (1)");
    assert_eq!(link_type_name(239), "NFLOG (239)");
    assert_eq!(link_type_name(65_000), "65000");
    let error = Filter::compile("not port 22", 239).unwrap_err().of_link_type(239).to_string();
    assert!(error.starts_with("filter: for packets of link type NFLOG (239): "), "{error}");
}

#[test]
fn link_types_are_those_of_files() {
    // LINKTYPE_RAW is 101 in files, DLT_RAW 12 on this system: libpcap maps it.
    let f = Filter::compile("host 10.0.0.2", RAW).unwrap();
    assert!(f.matches(&udp()[14..], 32));
    assert!(matches!(Filter::compile("ether host 1:2:3:4:5:6", RAW), Err(FilterError::Refused { .. })));
    assert!(matches!(Filter::compile("inbound", ETHERNET), Err(FilterError::Refused { .. })));
}

#[test]
fn names_of_hosts_are_refused_not_resolved() {
    for (expression, word) in [
        ("host example.com", "example.com"),
        ("host localhost", "localhost"),
        ("localhost", "localhost"),
        ("src localhost or dst 10.0.0.1", "localhost"),
        ("net loopback", "loopback"),
        ("net foo/8", "foo"),
        ("port 80 and host (10.0.0.1 or www)", "www"),
        ("gateway router", "router"),
        ("ether host box", "box"),
        ("host 1.2.3.4.5", "1.2.3.4.5"),
        ("tcp and \\localhost", "\\localhost"),
        ("port http or host http", "http"),
        ("TCP", "TCP"),
        ("len-5 > 3", "len-5"),
        ("host abc::z", "z"),
    ] {
        assert_eq!(refused_name(expression), word, "{expression}");
    }
    let e = Filter::compile("port 80 and host www.example.com", ETHERNET).unwrap_err().to_string();
    assert!(e.contains("\"www.example.com\"") && e.contains("column 18"), "{e}");
}

#[test]
fn what_needs_no_look_up_stays() {
    for expression in [
        "port http",
        "tcp src port http or https",
        "portrange 80-90",
        "ip proto ospf",
        "ether proto \\arp",
        "proto \\tcp",
        "host fe80::1",
        "net fe80::/10",
        "host ::",
        "ip6 host ::ffff:1.2.3.4",
        "ether src aa-bb-cc-dd-ee-ff",
        "ether src aabb.ccdd.eeff",
        "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "icmp[icmptype] = icmp-echo",
        "vlan 5 and mpls 100",
        "llc ui",
        "ip broadcast or ip multicast",
        "ip[2:2]-20 > 4",
        "not(tcp)and!(udp)",
        "host 10.1.2.3 and (port 53 or 80)",
        "geneve 0xb and host 10.0.0.1",
    ] {
        compiles(expression);
    }
    assert!(Filter::compile("wlan type mgt subtype beacon", 105).is_ok());
}

/// The search for an error's place puts words behind parts of the expression; none that libpcap would take for a host goes to the DNS.
#[test]
fn the_place_of_an_error_is_found_without_a_look_up() {
    for whole in ["host 10.1.2.3 and mgt", "mgt", "tcp and mgt = 1", "ether host mgt"] {
        assert!(names::refuse(whole).is_err(), "{whole} would be looked up");
    }
    assert!(names::refuse("wlan type mgt").is_ok());
    assert_eq!(place("host 10.1.2.3 and and").word, "and");
}

#[test]
fn errors_say_what_and_where() {
    assert_eq!(place("host 10.0.0.1 and and tcp"), Place { offset: 18, word: "and".into() });
    assert_eq!(place("tcp port 80 udp"), Place { offset: 12, word: "udp".into() });
    assert_eq!(place("(tcp or udp"), Place { offset: 11, word: String::new() });
    assert_eq!(place("tcp port"), Place { offset: 8, word: String::new() });
    assert_eq!(place("udp or port 99999"), Place { offset: 12, word: "99999".into() });
    assert_eq!(place("tcp)"), Place { offset: 3, word: ")".into() });
    assert_eq!(place("tcp[0] = = 1"), Place { offset: 9, word: "=".into() });
    assert_eq!(place("ip ? tcp"), Place { offset: 3, word: "?".into() });
    let e = Filter::compile("tcp port 80 udp", ETHERNET).unwrap_err().to_string();
    assert!(e.contains("syntax error") && e.contains("column 13"), "{e}");
}

/// As long as an expression may be: each of its words looked through all that follow.
#[test]
fn a_long_expression_is_cut_into_words_one_by_one() {
    for piece in ["1:", "::", "a:"] {
        let text = piece.repeat((64 << 10) / 2);
        assert!(names::tokens(&text).count() >= (64 << 10) / 2 && names::refuse(&text).is_ok() == (piece != "a:"));
    }
    assert!(names::refuse("host ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255").is_ok());
}

/// libpcap takes an authentication header's length for the place of the next header: this packet, of 48 bytes, goes round and round in its program
/// for `protochain`, in tcpdump for ever. Here it matches nothing, and what comes behind it is looked at.
#[test]
fn no_packet_keeps_a_filter() {
    let ip6: Vec<u8> = [&[0x60, 0, 0, 0, 0, 8, 51, 64][..], &[0; 32], &[51, 8, 0, 0, 0, 0, 0, 0]].concat();
    let ip4: Vec<u8> =
        [&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 51, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2][..], &[51, 3, 0, 0, 0, 0, 0, 0]]
            .concat();
    for (expression, packet) in [("ip6 protochain 17", ip6), ("ip protochain 17", ip4)] {
        let filter = Filter::compile(expression, 101).expect("a filter");
        assert!(!filter.matches(&packet, packet.len() as u32), "{expression}");
    }
}

/// libpcap takes jumps back for right, since `protochain` needs them: a program of another process that goes round and round is run to an end.
#[test]
fn a_program_without_an_end_ends() {
    let program = |all: &[(u16, u32)]| -> Vec<u8> {
        let one = |&(code, k): &(u16, u32)| [&code.to_ne_bytes()[..], &[0, 0], &k.to_ne_bytes()].concat();
        all.iter().flat_map(one).collect()
    };
    let round = Filter::checked(&program(&[(0x05, u32::MAX), (0x06, 1)])).expect("what libpcap takes");
    assert!(!round.matches(&[0; 60], 60));
    let once = Filter::checked(&program(&[(0x05, 0), (0x06, 1)])).expect("what libpcap takes");
    assert!(once.matches(&[0; 60], 60));
    assert!(Filter::checked(&once.bytes()).is_some() && Filter::checked(&once.bytes()[1..]).is_none());
    // Its loop goes through a chain of 12 headers of 8 bytes, and through 60 of them.
    for headers in [12, 60] {
        let chain: Vec<u8> = [[60, 0, 1, 4, 0, 0, 0, 0].repeat(headers - 1), vec![17, 0, 1, 4, 0, 0, 0, 0]].concat();
        let packet: Vec<u8> = [&[0x60, 0, 0, 0, 2, 0, 60, 64][..], &[0; 32], &chain, &[0, 9, 0, 53]].concat();
        let filter = Filter::compile("ip6 protochain 17", 101).expect("a filter");
        assert!(filter.matches(&packet, packet.len() as u32) && !filter.matches(&packet[..44], 44), "{headers}");
    }
}

#[test]
fn nothing_panics() {
    assert!(matches!(Filter::compile(&"(".repeat(1 << 20), ETHERNET), Err(FilterError::TooLong { .. })));
    for odd in ["\0", "host \u{e9}", "\\", "\\ ", "((((((", "::::::", "0x", "-", "\u{1F600}", "1:2:3:4:5:6:7:8:9"] {
        assert!(Filter::compile(odd, ETHERNET).is_err(), "{odd:?}");
    }
    assert!(Filter::compile("tcp", 9999).is_err(), "an unknown link type");
}
