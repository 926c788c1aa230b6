//! The planner against libpcap: whatever libpcap matches, the plan must allow.

use super::plan::Plan;
use crate::filter::Filter;
use crate::index::term::Term;
use crate::index::{About, view};
use crate::query::plans::Plans;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn a4(s: &str) -> Term {
    Term::addr(s.parse().unwrap())
}

fn is(t: Term) -> Plan {
    Plan::Range(t, t)
}

fn net(lo: &str, hi: &str) -> Plan {
    Plan::Range(a4(lo), a4(hi))
}

#[test]
fn what_is_planned() {
    let port = |p| is(Term::Port(p));
    let proto = |p| is(Term::Proto(p));
    let ports = |a, b| Plan::Range(Term::Port(a), Term::Port(b));
    let tag = || Plan::Or([0x8100, 0x88a8, 0x9100].map(|t| is(Term::EtherType(t))).to_vec());
    let h = |s| is(a4(s));
    let and = |a: Plan, b: Plan| a.and(b);
    let or = |a: Plan, b: Plan| a.or(b);
    let cases: Vec<(&str, Plan)> = vec![
        ("", Plan::All),
        ("host 10.1.2.3", h("10.1.2.3")),
        ("src 10.1.2.3", h("10.1.2.3")),
        ("src or dst host 10.1.2.3", h("10.1.2.3")),
        ("dst and src host 10.1.2.3", h("10.1.2.3")),
        ("arp host 10.1.2.3", h("10.1.2.3")),
        ("net 10.1", net("10.1.0.0", "10.1.255.255")),
        ("host 10.1", net("10.1.0.0", "10.1.255.255")),
        ("net 10", net("10.0.0.0", "10.255.255.255")),
        ("net 0x0a01", net("10.1.0.0", "10.1.255.255")),
        ("host 10", h("0.0.0.10")),
        ("net 10.1.2.0/23", net("10.1.2.0", "10.1.3.255")),
        // libpcap compares nothing then, and takes also what ends before its addresses.
        ("net 0.0.0.0/0", Plan::All),
        ("net 10.1.2.0 mask 255.255.255.0", net("10.1.2.0", "10.1.2.255")),
        ("net 10.0.2.0 mask 255.0.255.0", net("10.0.0.0", "10.255.255.255")),
        ("host fe80::1", h("fe80::1")),
        ("net 2001:db8::/32", net("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")),
        ("port 80", port(80)),
        ("port 010", port(8)),
        ("tcp dst port 80", and(port(80), proto(6))),
        ("portrange 80-90", ports(80, 90)),
        ("portrange 90-80", ports(80, 90)),
        ("udp portrange 53", and(port(53), proto(17))),
        ("port http", Plan::All),
        ("port tcp-syn", Plan::All),
        ("ip proto 47", proto(47)),
        ("ip proto \\udp", proto(17)),
        ("ip6 proto 58", proto(58)),
        ("ether proto 0x88cc", is(Term::EtherType(0x88cc))),
        ("ether proto \\arp", is(Term::EtherType(0x0806))),
        ("ether proto 0x42", Plan::All),
        ("ether host 0:1:2:3:4:5", Plan::All),
        ("tcp", proto(6)),
        ("not tcp", Plan::All),
        ("!tcp", Plan::All),
        ("not not tcp", proto(6)),
        // Qualifiers are taken over.
        ("host 1.1.1.1 or 2.2.2.2", or(h("1.1.1.1"), h("2.2.2.2"))),
        ("port (80 or 443)", or(port(80), port(443))),
        ("tcp port 80 or 443", or(and(port(80), proto(6)), and(port(443), proto(6)))),
        ("host 1.1.1.1 and (2.2.2.2 or 3.3.3.3)", and(h("1.1.1.1"), or(h("2.2.2.2"), h("3.3.3.3")))),
        // Equal precedence, to the left.
        ("tcp or udp and port 53", and(or(proto(6), proto(17)), port(53))),
        ("tcp or (udp and port 53)", or(proto(6), and(proto(17), port(53)))),
        ("tcp && port 80 || icmp", or(and(proto(6), port(80)), proto(1))),
        ("not host 1.1.1.1 and port 80", port(80)),
        ("host 1.1.1.1 and not port 80", h("1.1.1.1")),
        ("tcp[13] & 2 != 0 and port 80", port(80)),
        ("tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and host 1.1.1.1", h("1.1.1.1")),
        ("(tcp[12:1] & 0xf0) >> 2 > 20 and port 80", port(80)),
        ("port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)", port(80)),
        ("len > 100 and icmp", proto(1)),
        ("100 < len and icmp", proto(1)),
        ("less 100 or icmp", Plan::All),
        ("greater 100 and icmp6", proto(58)),
        ("ether broadcast and arp", is(Term::EtherType(0x0806))),
        ("ip multicast or tcp", Plan::All),
        // Shifted offsets.
        ("vlan 5", is(Term::Vlan(5))),
        ("vlan", tag()),
        ("vlan 5 and host 1.1.1.1", and(is(Term::Vlan(5)), h("1.1.1.1"))),
        ("vlan 5 or host 1.1.1.1", Plan::All),
        ("host 1.1.1.1 or vlan 5", or(h("1.1.1.1"), is(Term::Vlan(5)))),
        ("not vlan and host 1.1.1.1", Plan::All),
        ("vlan 5 and (host 1.1.1.1 or port 80)", and(is(Term::Vlan(5)), or(h("1.1.1.1"), port(80)))),
        ("(vlan 5 or tcp) and host 1.1.1.1", Plan::All),
        ("tcp or vlan 5 and host 1.1.1.1", or(proto(6), is(Term::Vlan(5)))),
        ("vlan 5 and vlan 6 and udp", and(and(is(Term::Vlan(5)), is(Term::Vlan(6))), proto(17))),
        ("mpls 1000 and host 1.1.1.1", and(is(Term::Mpls(1000)), h("1.1.1.1"))),
        ("mpls (7)", is(Term::Mpls(7))),
        ("pppoes and tcp", and(is(Term::EtherType(0x8864)), proto(6))),
        ("geneve and vlan and tcp", and(and(port(6081), proto(17)), tag())),
        // What libpcap refuses may be anything but a panic.
        ("host", Plan::All),
        ("((((", Plan::All),
        ("and and", Plan::All),
        ("port 80 80", Plan::All),
        ("ä ö", Plan::All),
    ];
    for (text, want) in cases {
        assert_eq!(Plan::of(text), want, "{text}");
    }
    let deep = format!("{}tcp{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(Plan::of(&deep), Plan::All);
    let hosts = (0..5000u32).map(|n| format!("host {}", std::net::Ipv4Addr::from_bits(n)));
    let long = hosts.collect::<Vec<_>>().join(" or ");
    assert!(matches!(Plan::of(&long), Plan::Or(v) if v.len() == 5000));
}

/// Every packet of every capture that libpcap opens: link type, wire length, bytes.
#[test]
fn what_rules_out_nothing_is_named() {
    for (text, idle) in [
        ("", &[][..]),
        ("host 10.0.0.1 and port 53", &[]),
        ("host 10.0.0.1 and tcp[13] = 2", &["tcp[13] = 2"]),
        ("host 10.0.0.1 and not port 53 and  not  (udp or icmp)", &["not port 53", "not (udp or icmp)"]),
        ("greater 100", &["greater 100"]),
        ("vlan or host 10.0.0.1", &["vlan or host 10.0.0.1"]),
        ("vlan and host 10.0.0.1", &[]),
        ("tcp and (host 10.0.0.1 or len > 100)", &["host 10.0.0.1 or len > 100"]),
        ("(host 10.0.0.1 and less 99) or (tcp and port \\http)", &["less 99", "port \\http"]),
        ("((less 99)) or tcp and host 10.0.0.1", &["((less 99)) or tcp"]),
        ("host 10.0.0.1 and ((not tcp))", &["((not tcp))"]),
        ("host 10.0.0.1 or 10.0.0.2 and broadcast", &["broadcast"]),
        ("host 10.0.0.1 and wlan type mgt", &["wlan type mgt"]),
        ("ether host 02:00:00:00:00:01 and udp", &["ether host 02:00:00:00:00:01"]),
        ("port 80 and (", &["port 80 and ("]),
    ] {
        assert_eq!(Plan::with_idle(text).1, idle, "{text}");
        assert_eq!(Plan::with_idle(text).0 == Plan::All, idle == [text] || text.is_empty(), "{text}");
    }
}

fn captures() -> Option<Vec<(u16, u32, Vec<u8>)>> {
    let Some(dir) = std::env::var_os("RETROTAP_TRACES") else {
        eprintln!("skipped: RETROTAP_TRACES is not set");
        return None;
    };
    let mut files = vec![];
    for sub in ["odd", "odd/pcapng_le", "medium"] {
        let dir = PathBuf::from(&dir).join(sub);
        files.extend(std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()));
    }
    files.sort();
    let mut out = vec![];
    for f in files {
        let Ok(mut c) = pcap::Capture::from_file(&f) else { continue };
        let link = match c.get_datalink().0 {
            12 => 101,
            l => l as u16,
        };
        let mut n = 0;
        while let Ok(p) = c.next_packet() {
            out.push((link, p.header.len, p.data.to_vec()));
            n += 1;
            if n == 400 {
                break;
            }
        }
    }
    assert!(out.len() > 5000, "{} packets", out.len());
    Some(out)
}

fn terms(link: u16, data: &[u8]) -> BTreeSet<Term> {
    let mut t = BTreeSet::new();
    let mut walked = view::Walked::default();
    walked.begin(data.len());
    view::walk(link, data, 0, &mut walked, &mut |x| {
        t.insert(x);
    });
    t
}

fn allows(plan: &Plan, terms: &BTreeSet<Term>) -> bool {
    let joined = plan.may_join(&mut |a, b| terms.contains(&a) && terms.contains(&b));
    joined && plan.may(&mut |lo, hi| terms.range(lo..=hi).next().is_some())
}

/// What the index of a segment of this link type says of itself.
fn about(link_type: u16) -> About {
    About {
        version: crate::index::file::VERSION,
        keys_told: true,
        vlan_in_key: true,
        connections: 0,
        store: [0; 16],
        number: 0,
        generation: 0,
        end: 0,
        first: 0,
        last: 0,
        packets: 0,
        link_type,
        blocks: 0,
        bad: 0,
    }
}

/// Where an index has no terms an expression prunes nothing, and where it has no keys no connection is.
#[test]
fn plans_go_by_link_type() {
    let (expression, connection) = (Plan::of("host 10.0.0.1"), Plan::of("host 10.0.0.2"));
    let plans = Plans::new(expression.clone(), connection.clone());
    assert_eq!(plans.of(&about(1)), &expression.clone().and(connection.clone()));
    assert_eq!(plans.of(&about(14)), &connection, "keys, but no link type of libpcap's");
    assert_eq!(plans.of(&about(127)), &Plan::Or(vec![]));
    let plans = Plans::new(expression.clone(), Plan::All);
    assert_eq!(
        (plans.of(&about(101)), plans.of(&about(14)), plans.of(&about(127))),
        (&expression, &Plan::All, &Plan::All)
    );
}

/// Pairs are asked for where both must hold, and only there.
#[test]
fn pairs_of_a_plan() {
    let asked = |text: &str, not: &[(&str, &str)]| {
        let mut pairs = BTreeSet::new();
        let plan = Plan::of(text);
        let all = plan.may_join(&mut |a, b| {
            let (a, b) = (a.to_string(), b.to_string());
            let (a, b) = if a < b { (a, b) } else { (b, a) };
            let ruled_out = not.contains(&(a.as_str(), b.as_str()));
            pairs.insert(format!("{a}+{b}").replace("address ", ""));
            !ruled_out
        });
        assert_eq!(plan.joins(), !pairs.is_empty(), "{text}");
        (Vec::from_iter(pairs).join(" "), all)
    };
    for (text, pairs) in [
        ("host 10.0.0.1", ""),
        ("host 10.0.0.1 or host 10.0.0.2", ""),
        ("host 10.0.0.1 and net 10.0.0.0/8", ""),
        ("host 10.0.0.1 and host 10.0.0.2", "10.0.0.1+10.0.0.2"),
        ("host 10.0.0.1 and host 10.0.0.2 and not port 22", "10.0.0.1+10.0.0.2"),
        ("host 10.0.0.1 and port 22", "10.0.0.1+port 22"),
        ("port 22 and (host 10.0.0.1 or host 10.0.0.2)", "10.0.0.1+port 22"),
        ("host 10.0.0.1 and host 10.0.0.2 and port 22", "10.0.0.1+10.0.0.2 10.0.0.1+port 22 10.0.0.2+port 22"),
    ] {
        assert_eq!(asked(text, &[]), (pairs.to_owned(), true), "{text}");
    }
    let no = &[("address 10.0.0.1", "port 22")];
    assert!(!asked("host 10.0.0.1 and port 22", no).1);
    assert!(!asked("port 22 and (host 10.0.0.1 and udp)", no).1);
    assert!(asked("port 22 and (host 10.0.0.1 or host 10.0.0.2)", no).1);
    assert!(asked("port 22 or host 10.0.0.1", no).1);
    assert!(asked("port 22 and not host 10.0.0.1", no).1);
}

/// Constants of a packet, wherever they stand in it: most are what a leaf reads at some offset or other.
fn constants(data: &[u8], at: usize) -> [String; 6] {
    let b = |i: usize| data.get(at.wrapping_add(i)).copied().unwrap_or(0);
    [
        format!("{}.{}.{}.{}", b(0), b(1), b(2), b(3)),
        std::net::Ipv6Addr::from_octets(std::array::from_fn(b)).to_string(),
        (u16::from(b(0)) << 8 | u16::from(b(1))).to_string(),
        b(0).to_string(),
        (u16::from(b(0) & 15) << 8 | u16::from(b(1))).to_string(),
        (u32::from(b(0)) << 12 | u32::from(b(1)) << 4 | u32::from(b(2)) >> 4).to_string(),
    ]
}

/// A primitive around constants of the packet.
fn primitive() -> impl Strategy<Value = (usize, usize)> {
    (0..FORMS.len(), 0usize..110)
}

const FORMS: &[&str] = &[
    "host {4}",
    "src host {4}",
    "dst {4}",
    "net {4}/16",
    "net {4} mask 255.255.0.0",
    "ip host {4}",
    "arp host {4}",
    "host {6}",
    "src net {6}/32",
    "dst host {6}",
    "port {p}",
    "src port {p}",
    "tcp dst port {p}",
    "udp port {p}",
    "sctp port {p}",
    "portrange {p}-65535",
    "tcp portrange 0-{p}",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "sctp",
    "arp",
    "rarp",
    "ip",
    "ip6",
    "proto {b}",
    "ip proto {b}",
    "ip6 proto {b}",
    "ether proto {p}",
    "vlan",
    "vlan {v}",
    "vlan",
    "vlan {v}",
    "mpls",
    "mpls {m}",
    "pppoes",
    "pppoed",
    "geneve",
    "esp",
    "ah",
    "pim",
    "igmp",
    "vrrp",
    "len > {b}",
    "less {p}",
    "greater {b}",
    "ether[0] & 1 = 0",
    "tcp[13] & 2 != 0",
    "ip[6:2] & 0x1fff = 0",
    "ether broadcast",
    "ip multicast",
    "{4}",
    "{p}",
    "(ip[0] & 0xf) << 2 > 20",
];

fn fill(form: &str, data: &[u8], at: usize) -> String {
    let c = constants(data, at);
    let mask = |s: &str, keep: usize| s.split('.').take(keep).map(String::from).collect::<Vec<_>>().join(".");
    let six: std::net::Ipv6Addr = c[1].parse().unwrap();
    let six32 = std::net::Ipv6Addr::from_bits(six.to_bits() >> 96 << 96);
    form.replace("{4}/16", &format!("{}.0.0/16", mask(&c[0], 2)))
        .replace("{4} mask", &format!("{}.0.0 mask", mask(&c[0], 2)))
        .replace("{6}/32", &format!("{six32}/32"))
        .replace("{4}", &c[0])
        .replace("{6}", &c[1])
        .replace("{p}", &c[2])
        .replace("{b}", &c[3])
        .replace("{v}", &c[4])
        .replace("{m}", &c[5])
}

#[derive(Clone, Debug)]
pub(in crate::query) enum Tree {
    Leaf(usize, usize),
    Not(Box<Tree>),
    Join(Box<Tree>, bool, Box<Tree>, bool),
}

pub(in crate::query) fn trees() -> impl Strategy<Value = Tree> {
    primitive().prop_map(|(f, a)| Tree::Leaf(f, a)).prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(|t| Tree::Not(Box::new(t))),
            8 => (inner.clone(), prop::bool::weighted(0.7), inner, any::<bool>())
                .prop_map(|(a, and, b, bracket)| Tree::Join(Box::new(a), and, Box::new(b), bracket)),
        ]
    })
}

pub(in crate::query) fn text(t: &Tree, data: &[u8]) -> String {
    match t {
        Tree::Leaf(f, a) => fill(FORMS[*f], data, *a),
        Tree::Not(t) => format!("not {}", text(t, data)),
        Tree::Join(a, and, b, bracket) => {
            let s = format!("{} {} {}", text(a, data), if *and { "and" } else { "or" }, text(b, data));
            if *bracket { format!("({s})") } else { s }
        }
    }
}

/// Of each capture's packets, those whose structure differs; the constants of a leaf at the offsets where headers usually lie.
const OFFSETS: &[usize] = &[
    0, 6, 8, 9, 12, 14, 16, 18, 20, 22, 23, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 54, 56, 58, 66, 78,
    80, 84,
];

#[test]
fn leaves_over_the_captures() {
    let Some(packets) = captures() else { return };
    let (mut matched, mut asked, mut pruned) = (0u64, 0u64, 0u64);
    let mut seen = BTreeSet::new();
    for (i, (link, wire, data)) in packets.iter().enumerate() {
        let terms = terms(*link, data);
        // One packet of each shape: the kinds and protocols of its terms, and its length roughly.
        let shape: Vec<_> = terms
            .iter()
            .map(|t| if matches!(t.kind(), 3 | 4) { (t.kind(), t.value()) } else { (t.kind(), 0) })
            .collect();
        // Of a link type without terms one: nothing is pruned there.
        let len = if view::understood(*link) { data.len() / 64 } else { 0 };
        if !seen.insert((*link, shape, len)) {
            continue;
        }
        for (j, form) in FORMS.iter().enumerate() {
            let at = OFFSETS[(i * 7 + j * 3) % OFFSETS.len()];
            let prefixes = [
                "",
                "vlan and ",
                "vlan and vlan and ",
                "mpls and ",
                "mpls and mpls and ",
                "pppoes and ",
                "geneve and ",
                "vlan or ",
                "vlan and mpls and ",
                "pppoes and mpls and ",
                "geneve and vlan and ",
                "mpls and geneve and ",
                "not vlan and ",
            ];
            for prefix in prefixes {
                let e = format!("{prefix}{}", fill(form, data, at));
                let Ok(f) = Filter::compile(&e, *link) else { continue };
                asked += 1;
                // The plan that the engine has for a segment of this link type.
                let allowed = allows(Plans::new(Plan::of(&e), Plan::All).of(&about(*link)), &terms);
                pruned += u64::from(!allowed);
                if f.matches(data, *wire) {
                    matched += 1;
                    assert!(allowed, "{e}: link type {link}, {data:02x?}, terms {terms:?}");
                }
            }
        }
    }
    eprintln!("{asked} asked, {matched} matched, {pruned} pruned");
    assert!(matched > 1000 && pruned > asked / 4, "{asked} asked, {matched} matched, {pruned} pruned");
}

/// As long as a request may be. Each token looked through all that follow, and the longest address was sought in all of it: such a text kept a
/// thread busy for hours.
#[test]
fn a_long_text_is_taken_apart_token_by_token() {
    // Eight groups are an address, and what is behind them a colon.
    for (piece, tokens) in [("1:", 32 << 10), ("a:", 32 << 10), ("::", 128 << 10), ("1.", 1)] {
        let text = piece.repeat(128 << 10);
        assert_eq!(super::lex::lex(&text).len(), tokens, "{piece:?}");
        assert_eq!(Plan::of(&text), Plan::All);
    }
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255";
    assert_eq!(Plan::of(&format!("host {longest}")), is(Term::addr(longest.parse().unwrap())));
}

/// `not` behind a keyword was followed as deep as it was written: 256 KiB of it overflowed any stack, and ended the recorder.
#[test]
fn no_text_goes_deeper_than_brackets_may() {
    for piece in ["host not ", "port ! ", "src host not ", "(", "not ", "-", "tcp[", "vlan ("] {
        let small = std::thread::Builder::new().stack_size(2 << 20);
        let text = piece.repeat((256 << 10) / piece.len());
        let plan = small.spawn(move || Plan::of(&text)).unwrap().join();
        assert_eq!(plan.ok(), Some(Plan::All), "{piece:?}");
    }
    assert_eq!(Plan::of("host not host not host 10.0.0.1 and udp"), Plan::of("udp"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random expressions over packets of headers put together at random, cut off at random, with bytes flipped: what libpcap
    /// matches the plan allows.
    #[test]
    fn plan_allows_what_libpcap_matches(tree in trees(), packet in crate::index::tests::frame(), link in prop::sample::select(vec![1u16, 1, 1, 1, 101, 113, 276, 228, 229, 0, 108, 9, 104])) {
        let e = text(&tree, &packet);
        if let Ok(f) = Filter::compile(&e, link) {
            let terms = terms(link, &packet);
            if f.matches(&packet, packet.len() as u32) {
                prop_assert!(allows(&Plan::of(&e), &terms), "{}: terms {:?}", e, terms);
            }
        }
    }
}
