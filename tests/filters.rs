//! The query language is pcap-filter(7), all of it: over stores of the Ethernet captures each of these expressions returns what
//! `tcpdump -r` prints for the same packets, with and without the index; and the bytes read show where the index helped.

mod common;

use common::{Retrotap, Seen, captures, libpcap};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use retrotap::index::Run;
use retrotap::query::{Answer, OutputError, PacketSink, Query, Summary, run, run_with};
use retrotap::store::SegmentReader;
use retrotap::store::list::segments;
use retrotap::store::scan::BlockRef;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Across the grammar. Addresses and ports are of the captures, some of none.
const EXPRESSIONS: &[&str] = &[
    "",
    "ip",
    "ip6",
    "arp",
    "rarp",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "sctp",
    "not ip",
    "not (tcp or udp)",
    "host 10.0.0.1",
    "host 192.168.1.1",
    "src host 192.168.1.1",
    "dst host 192.168.1.1",
    "src or dst host 192.168.1.1",
    "src and dst host 127.0.0.1",
    "net 10",
    "net 192.168",
    "net 192.168.0.0/16",
    "net 192.168.0.0 mask 255.255.0.0",
    "src net 172.16/12",
    "dst net 224.0.0.0/4",
    "ip6 net fe80::/10",
    "ip6 host ff02::1",
    "host 203.0.113.77",
    "port 80",
    "port 53",
    "src port 53",
    "dst port 443",
    "tcp port 80",
    "udp port 53 or tcp port 22",
    "portrange 1000-2000",
    "udp portrange 5000-6000",
    "port 80 or 443 or 8080",
    "host 10.0.0.1 and port 80",
    "host 10.0.0.1 or 10.0.0.2",
    "net 10 and not port 80",
    "tcp and port 80 or udp and port 53",
    "(tcp and port 80) or (udp and port 53)",
    "not host 10.0.0.1",
    "ip proto 47",
    "ip proto 4 or ip proto 41",
    "ip proto \\tcp",
    "ip6 proto 58",
    "proto \\udp",
    "ether proto 0x0806",
    "ether proto 0x88cc",
    "ether broadcast",
    "ether multicast",
    "ip multicast",
    "ether host ff:ff:ff:ff:ff:ff",
    "vlan",
    "vlan 10",
    "vlan and host 10.0.0.1",
    "vlan and vlan",
    "vlan or ip",
    "not vlan",
    "mpls",
    "mpls and ip",
    "mpls 100",
    "pppoes",
    "pppoes and tcp",
    "geneve",
    "geneve and tcp",
    "ip[6:2] & 0x1fff != 0",
    "ip[6:2] & 0x3fff != 0",
    "ip6[6] = 44",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[tcpflags] & tcp-rst != 0 and port 80",
    "tcp[13] = 2",
    "udp[4:2] > 100",
    "icmp[icmptype] = icmp-echo",
    "len > 1000",
    "greater 1400",
    "less 64",
    "len = 60 and tcp",
    "ip[0] & 0xf > 5",
    "ip[8] < 5",
    "tcp[2:2] = 80 and tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
    "not not tcp",
    "tcp or not tcp",
    "host 192.168.1.1 and not (port 80 or port 443) and len > 100",
];

/// LINKTYPE_ETHERNET
const ETHERNET: i32 = 1;
/// Bytes of a large capture.
const LARGE: u64 = 8 << 20;

#[derive(Default)]
struct Collect(Vec<Seen>);

impl PacketSink for Collect {
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
        self.0.push(Seen { time: p.time, wire_len: p.wire_len, data: p.data.to_vec() });
        Ok(())
    }
}

fn ask(store: &Path, filter: &str, full_scan: bool) -> Result<(Vec<Seen>, Summary), String> {
    let q = Query { store: store.to_owned(), filter: filter.to_owned(), full_scan, ..Query::default() };
    let mut got = Collect::default();
    run(&q, &mut got).map(|s| (got.0, s)).map_err(|e| e.to_string())
}

/// What tcpdump selects, in time order; `None` if it refuses the expression.
fn tcpdump(capture: &Path, filter: &str, out: &Path) -> Option<Vec<Seen>> {
    let mut c = Command::new("tcpdump");
    c.args(["--time-stamp-precision=nano", "-r"]).arg(capture).arg("-w").arg(out);
    let done = c.arg(filter).stderr(Stdio::null()).status().expect("tcpdump runs");
    if !done.success() {
        return None;
    }
    let (mut packets, error) = libpcap(out);
    assert_eq!(error, None, "tcpdump's own output");
    packets.sort_by_key(|p| p.time);
    Some(packets)
}

/// Lists that are long enough to be compiled as such: of addresses and ports where packets of Ethernet and IPv4 have them, and of none.
fn long_lists(packets: &[Seen]) -> Vec<String> {
    let at = |at: usize| packets.iter().filter_map(move |p| p.data.get(at..)?.first_chunk::<4>().copied());
    let some: std::collections::BTreeSet<[u8; 4]> =
        at(26).step_by(3).take(60).chain(at(30).step_by(7).take(20)).collect();
    let none = (0..64u8).map(|n| [198, 18, 7, n]);
    let all: Vec<[u8; 4]> = some.into_iter().chain(none).collect();
    let list = |one: &dyn Fn(&[u8; 4]) -> String| all.iter().map(one).collect::<Vec<_>>().join(" or ");
    let host = |a: &[u8; 4]| std::net::Ipv4Addr::from(*a).to_string();
    let port = |a: &[u8; 4]| u16::from_be_bytes([a[2], a[3]]).to_string();
    vec![
        format!("host {}", list(&host)),
        format!("udp and not (src host {})", list(&host)),
        format!("vlan and (host {})", list(&host)),
        format!("tcp port 80 or net {}", list(&|a| format!("{}.{}.0.0/16", a[0], a[1]))),
        format!("ip6 and (port {})", list(&port)),
        format!("tcp port ({})", list(&port)),
    ]
}

/// A capture that libpcap reads to its end and that is Ethernet.
fn whole_ethernet(path: &Path) -> bool {
    pcap::Capture::from_file(path).is_ok_and(|c| c.get_datalink().0 == ETHERNET) && libpcap(path).1.is_none()
}

#[test]
fn answers_are_tcpdumps() {
    if Command::new("tcpdump").arg("--version").stderr(Stdio::null()).stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: answers_are_tcpdumps: tcpdump is not installed");
        return;
    }
    let (mut asked, mut found, mut helped, mut failures) = (0, 0, 0, Vec::new());
    for (number, path) in captures("answers_are_tcpdumps").iter().filter(|p| whole_ethernet(p)).enumerate() {
        let r = Retrotap::default();
        let (ran, _) = r.record(&[path], &["--cutoff", "none", "--segment-size", "4MiB"]);
        assert!(matches!(ran.code, Some(0 | 1)), "{}: {}", path.display(), ran.err);
        let copy = r.dir().join("tcpdump.pcap");
        let mut plain = libpcap(path).0;
        plain.sort_by_key(|p| p.time);
        if tcpdump(path, "", &copy).as_ref() != Some(&plain) {
            println!("not compared: {}: tcpdump writes other times than it reads", path.display());
            continue;
        }
        // Large captures would take most of the time: of the questions every fourth, others for each.
        let large = std::fs::metadata(path).is_ok_and(|m| m.len() > LARGE);
        let everything = ask(&r.store(), "", true).expect("everything").1.pruning.bytes_read;
        let all: Vec<String> = EXPRESSIONS.iter().map(|e| (*e).to_owned()).chain(long_lists(&plain)).collect();
        for filter in all.iter().skip(if large { number % 4 } else { 0 }).step_by(if large { 4 } else { 1 }) {
            let want = tcpdump(path, filter, &copy);
            let got = ask(&r.store(), filter, false);
            asked += 1;
            match (want, got) {
                (Some(want), Ok((got, s))) => {
                    found += got.len();
                    helped += usize::from(s.pruning.bytes_read < everything);
                    if got != want {
                        failures.push(format!(
                            "{} {filter:?}: {} packets, tcpdump {}",
                            path.display(),
                            got.len(),
                            want.len()
                        ));
                    }
                }
                (None, Err(_)) => {}
                (want, got) => failures.push(format!(
                    "{} {filter:?}: {:?}, tcpdump {}",
                    path.display(),
                    got.map(|g| g.0.len()),
                    if want.is_some() { "takes it" } else { "refuses it" }
                )),
            }
        }
    }
    println!("{asked} questions, {found} packets, {helped} answered with less than everything read");
    assert!(failures.is_empty(), "{} of {asked}:\n{}", failures.len(), failures.join("\n"));
    assert!(asked == 0 || helped * 3 > asked, "the index helped in {helped} of {asked}");
}

/// Expressions of the grammar, over what the captures have.
fn expression() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec![
        "10.0.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "ff02::1",
        "203.0.113.9",
        "10.0.2.15",
        "224.0.0.251",
    ]);
    let net = prop::sample::select(vec!["10", "192.168", "172.16/12", "224.0.0.0/4", "fe80::/10", "0.0.0.0/0"]);
    let port = prop::sample::select(vec!["22", "53", "80", "443", "5353", "2152", "8080 or 53", "http"]);
    let side = prop::sample::select(vec!["", "src ", "dst ", "src or dst ", "src and dst "]);
    let leaf = prop_oneof![
        (side.clone(), host).prop_map(|(s, h)| format!("{s}host {h}")),
        (side.clone(), net).prop_map(|(s, n)| format!("{s}net {n}")),
        (side.clone(), prop::sample::select(vec!["", "tcp ", "udp "]), port)
            .prop_map(|(s, p, n)| format!("{p}{s}port {n}")),
        (side, 1u16..2000, 0u16..3000).prop_map(|(s, a, n)| format!("{s}portrange {a}-{}", a + n)),
        prop::sample::select(vec![
            "ip",
            "ip6",
            "tcp",
            "udp",
            "icmp",
            "icmp6",
            "arp",
            "sctp",
            "vlan",
            "vlan 10",
            "mpls",
            "pppoes",
            "ether broadcast",
            "ip proto 47",
            "ip proto 4",
            "ip6 proto 58",
            "len > 200",
            "less 70",
            "tcp[13] & 2 != 0",
            "ip[6:2] & 0x3fff != 0",
            "udp[2:2] = 53",
            "ether proto 0x86dd",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|e| format!("not ({e})")),
            inner.clone().prop_map(|e| format!("({e})")),
            (inner.clone(), prop::sample::select(vec!["and", "or"]), inner.clone())
                .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) and not ({b})")),
        ]
    })
}

// `geneve` is not among the generated: where it does not match, libpcap's code for what follows it in the expression reads scratch memory
// that its interpreter leaves uninitialised, so that one filter gives two answers for one packet (`((host 10.0.0.1) and not
// (geneve)) and not (host 10.0.0.1)`). In front of all else it is asked above.

/// The later half of each segment's blocks as a recorder holds them in memory, in runs of two blocks of which the last of each segment has no
/// index yet.
fn latest_in_memory(store: &Path) -> Vec<Arc<Run>> {
    let mut runs = Vec::new();
    for segment in segments(store).expect("segments") {
        let reader = segment.open().expect("opens").expect("is there");
        let bytes = std::fs::read(&segment.path).expect("reads");
        let later = &reader.blocks()[reader.blocks().len() / 2..];
        let header = Arc::new(reader.header().clone());
        let last = later.len().saturating_sub(1) / 2;
        for (n, some) in later.chunks(2).enumerate() {
            let mut shared = common::memory::SharedBlocks::new(some.len());
            let block = |b: &BlockRef| shared.put(b, &bytes[b.offset as usize..b.offset as usize + b.len]);
            let held = SegmentReader::in_memory(header.clone(), some.iter().map(block).collect(), None);
            runs.push(Arc::new(if n < last { Run::indexed(held).expect("indexed") } else { Run::new(held) }));
        }
    }
    runs
}

/// The index never changes an answer: any expression, at the outermost layer or at every one, from files alone or with the latest blocks
/// in memory, equals the full scan.
#[test]
fn the_index_changes_no_answer() {
    let wanted = [
        "mix_apps_a",
        "zeek_mixed_vlan_mpls",
        "vxlan_burst",
        "zeek_pppoe_over_qinq",
        "geneve.pcap",
        "ipfrag_sctp",
        "various_gre",
    ];
    let files: Vec<_> = captures("the_index_changes_no_answer")
        .into_iter()
        .filter(|p| {
            wanted.iter().any(|w| p.to_string_lossy().contains(w)) && p.extension().is_some_and(|e| e == "pcap")
        })
        .collect();
    if files.is_empty() {
        return;
    }
    let r = Retrotap::default();
    let names: Vec<&Path> = files.iter().map(|p| p.as_path()).collect();
    let (ran, _) = r.record(&names, &["--segment-size", "4MiB"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let recent = latest_in_memory(&r.store());
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&(expression(), any::<bool>()), |(filter, any_layer)| {
        let answer = |full_scan| {
            let q = Query { store: r.store(), filter: filter.clone(), any_layer, full_scan, ..Query::default() };
            let mut got = Collect::default();
            run(&q, &mut got).map(|_| got.0).map_err(|e| e.to_string())
        };
        let whole = answer(true);
        prop_assert_eq!(&answer(false), &whole);
        let q = Query { store: r.store(), filter: filter.clone(), any_layer, ..Query::default() };
        let mut got = Collect::default();
        prop_assert_eq!(&run_with(&q, &recent, &mut got).map(|_| got.0).map_err(|e| e.to_string()), &whole);
        Ok(())
    });
    outcome.unwrap();
}
