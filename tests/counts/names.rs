//! Whose packets are, where their bytes do not say it: later fragments, headers that a snap length cut, VLAN ids that tell nothing,
//! connections that follow each other under one name; and ICMP by its community ID. Each as the recorder counted it, by every way in.

use crate::common::Retrotap;
use crate::counted;
use crate::oracle::page::vectors;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A day in November 2023, Unix seconds.
const DAY: u64 = 1_700_000_000;

/// A capture of packets as `tests/vectors.md` writes them.
fn capture(dir: &Path, name: &str, packets: &[&str]) -> PathBuf {
    capture_of(dir, name, packets, 1, |frame| frame)
}

/// The same of another link type, whose frames `on_link` makes of those of Ethernet.
fn capture_of(
    dir: &Path,
    name: &str,
    packets: &[&str],
    link_type: u32,
    on_link: impl Fn(Vec<u8>) -> Vec<u8>,
) -> PathBuf {
    let lines: String = packets.iter().map(|p| format!("{p} -> store #1\n")).collect();
    let page = vectors(&format!("### V0 here\n```vector\n{lines}```\n"));
    let mut pcap = Vec::new();
    for v in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 65535, link_type] {
        pcap.extend(v.to_le_bytes());
    }
    for line in page.iter().flat_map(|v| &v.packets) {
        let data = on_link(line.frame.bytes().expect("a frame"));
        let seconds = DAY + line.time / 1_000_000_000;
        for v in [seconds as u32, (line.time % 1_000_000_000) as u32, data.len() as u32, data.len() as u32] {
            pcap.extend(v.to_le_bytes());
        }
        pcap.extend(data);
    }
    let path = dir.join(name);
    std::fs::write(&path, pcap).expect("the capture");
    path
}

/// A store of these packets, and how many connections the recorder counted.
fn recorded(packets: &[&str], options: &[&str]) -> (Retrotap, u64) {
    let r = Retrotap::default();
    let path = capture(r.dir(), "c.pcap", packets);
    let (ran, account) = r.record(&[&path], options);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let begun = account["connections"]["begun"].as_u64().expect("a count");
    (r, begun)
}

fn list(r: &Retrotap, args: &[&str]) -> Vec<Value> {
    let ran = r.run(&[&["connections", "--json"], args].concat());
    assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
    ran.text().lines().map(|l| serde_json::from_str(l).expect("a line of JSON")).collect()
}

/// Packets and connections that a query finds.
fn found(r: &Retrotap, args: &[&str]) -> [u64; 2] {
    let ran = r.run(&[&["query", "--count", "--json"], args].concat());
    let summary = ran.json();
    ["packets", "connections"].map(|f| summary[f].as_u64().unwrap_or_else(|| panic!("{summary}: {}", ran.err)))
}

#[test]
fn fragments_are_of_their_firsts_connection() {
    let packets = [
        // Before its first: of no connection but the pair's, as the recorder counts.
        "0.000 udp A:1000>B:53 frag=6@1480 len=100",
        "0.010 udp A:1000>B:53 frag=6@0+ len=1514",
        "0.020 udp A:1000>B:53 frag=7@0+ len=1514",
        "0.040 udp A:1000>B:53 frag=7@1480+ len=1514",
        "0.050 udp A:1000>B:53 frag=7@2960 len=100",
        "0.060 udp A:2000>B:53 frag=8@0+ len=1514",
        "0.070 udp A:2000>B:53 frag=8@1480 len=100",
        "0.080 udp A:3000>B:53 len=100",
        "0.090 icmp A>B echo=5 frag=9@0+ len=1514",
        "0.091 icmp A>B echo=5 frag=9@1480 len=100",
    ];
    let (r, begun) = recorded(&packets, &[]);
    assert_eq!(begun, 5, "three of UDP, one of ICMP, and the fragment that came first");
    assert_eq!(list(&r, &[]).len(), 5);
    assert_eq!(found(&r, &[]), [10, 5]);
    let of = |args: &[&str]| found(&r, &[&["--conn", "udp 10.0.0.1:1000 10.0.0.2:53"], args].concat());
    assert_eq!(of(&[]), [5, 1], "also the one that came before its first");
    assert_eq!(of(&["--since", "2023-11-14T22:13:20.030Z"]), [2, 1], "their first is before the window");
    assert_eq!(of(&["--until", "2023-11-14T22:13:20.005Z"]), [1, 1], "its first is behind the window");
    assert_eq!(found(&r, &["--conn", "udp 10.0.0.1:2000 10.0.0.2:53"]), [2, 1]);
    assert_eq!(list(&r, &["--conn", "udp 10.0.0.1:2000 10.0.0.2:53"]).len(), 1);
    let echo = &list(&r, &["icmp"])[0];
    let id = echo["community_id"].as_str().unwrap_or_else(|| panic!("{echo}"));
    assert_eq!(found(&r, &["--community-id", id]), [2, 1]);
}

#[test]
fn headers_that_were_cut_name_what_they_named() {
    let mut packets = Vec::new();
    for n in 0..4 {
        for port in [1000, 1001, 1002] {
            packets.push(format!("0.{n}{} tcp a:{port}>b:80 A vlan=10,20 len=200", port - 1000));
        }
    }
    let packets: Vec<&str> = packets.iter().map(String::as_str).collect();
    // 14 of Ethernet, 8 of tags, 40 of IPv6: with 64 the ports are cut, with 40 an address as well, with 14 all.
    for snaplen in ["64", "40", "14"] {
        let (r, begun) = recorded(&packets, &["--snaplen", snaplen]);
        let rows = list(&r, &[]);
        assert_eq!((begun, rows.len()), (3, 3), "{snaplen}: {rows:?}");
        assert!(rows.iter().all(|c| c["seen_packets"] == 4 && c["end"] == "stopped"), "{snaplen}: {rows:?}");
        assert_eq!(found(&r, &[]), [12, 3], "{snaplen}");
        let conn = "tcp [2001:db8::1]:1001 [2001:db8::2]:80";
        assert_eq!(found(&r, &["--conn", conn]), [4, 1], "{snaplen}");
        assert_eq!(list(&r, &["--conn", conn]).len(), 1, "{snaplen}");
        let id = rows[0]["community_id"].as_str().expect("an ID");
        assert_eq!(found(&r, &["--community-id", id]), [4, 1], "{snaplen}");
        // The index stays derived from the segment alone.
        for file in crate::common::segments(&r.store()) {
            std::fs::remove_file(file.with_extension("idx")).expect("an index");
        }
        assert_eq!((list(&r, &[]).len(), found(&r, &["--conn", conn])), (3, [4, 1]), "{snaplen}");
    }
}

#[test]
fn an_id_that_icmp_shows_is_found() {
    let packets = [
        "0.000 icmp A>B echo=5 len=98",
        "0.001 icmp B>A reply=5 len=98",
        "0.002 icmp C>D reply=9 len=98",
        "0.003 icmp A>E type=3 len=98",
        "0.004 icmp F>A type=11 len=98",
        "0.005 icmp a>b type=128 len=98",
    ];
    let (r, begun) = recorded(&packets, &[]);
    let rows = list(&r, &[]);
    assert_eq!(rows.len() as u64, begun);
    for row in &rows {
        let id = row["community_id"].as_str().unwrap_or_else(|| panic!("no ID: {row}"));
        let packets = row["stored_packets"].as_u64().expect("a count");
        assert_eq!(found(&r, &["--community-id", id]), [packets, 1], "{row}");
    }
}

/// VLAN ids that do not tell connections apart are asked of the packets.
#[test]
fn vlan_ids_that_are_in_no_name() {
    let r = Retrotap::default();
    let config = r.dir().join("c.toml");
    std::fs::write(&config, "vlan_in_key = false\n").expect("a file");
    let packets = [
        "0.000 udp A:1000>B:53 vlan=7 len=100",
        "0.001 udp B:53>A:1000 vlan=8 len=100",
        "0.002 udp A:1000>B:53 len=100",
        "0.003 udp C:1000>B:53 vlan=9 len=100",
    ];
    let path = capture(r.dir(), "c.pcap", &packets);
    let (ran, account) = r.record(&[&path], &["-c", &config.to_string_lossy()]);
    assert_eq!((ran.code, &account["connections"]["begun"]), (Some(0), &2.into()), "{}", ran.err);
    let seen =
        |filter: &str| list(&r, &[filter]).iter().map(|c| c["seen_packets"].as_u64().unwrap_or(0)).collect::<Vec<_>>();
    assert_eq!((seen(""), seen("vlan 7"), seen("vlan 8"), seen("vlan 9")), (vec![3, 1], vec![3], vec![3], vec![1]));
    assert_eq!((seen("host 10.0.0.1"), seen("vlan 6"), seen("not vlan")), (vec![3], vec![], vec![3]));
    assert_eq!((found(&r, &[]), found(&r, &["vlan 7"])), ([4, 2], [1, 1]));
}

/// One five-tuple again and again: each beginning is a connection, whatever an answer has of it.
#[test]
fn connections_that_follow_each_other_under_one_name() {
    let mut packets = Vec::new();
    for n in 0..500 {
        packets.push(format!("{}.{:03} tcp A:1000>B:80 S seq={n} len=60", n / 100, n % 100 * 10));
        packets.push(format!("{}.{:03} tcp B:80>A:1000 R len=60", n / 100, n % 100 * 10 + 1));
    }
    let packets: Vec<&str> = packets.iter().map(String::as_str).collect();
    let (r, begun) = recorded(&packets, &[]);
    let rows = list(&r, &[]);
    assert_eq!((begun, rows.len()), (500, 500));
    assert!(rows.iter().all(|c| c["seen_packets"] == 2 && c["end"] != "no_receipt"), "{rows:?}");
    let window = ["--since", "2023-11-14T22:13:20.100Z", "--until", "2023-11-14T22:13:20.150Z"];
    assert_eq!(list(&r, &window).len(), 5);
    assert_eq!(found(&r, &window), [10, 5]);
    // Without receipts nobody knows.
    std::fs::remove_dir_all(r.store().join("receipts")).expect("removes");
    assert_eq!(list(&r, &[]).len(), 1);
}

/// Files in the order in which a shell names them: x, x1, x10, x2.
#[test]
fn files_that_are_not_in_order() {
    let r = Retrotap::default();
    let later = capture(r.dir(), "x1.pcap", &["9.000 udp A:1000>B:53 len=100", "9.500 udp B:53>A:1000 len=100"]);
    let earlier = capture(r.dir(), "x2.pcap", &["1.000 udp A:1000>B:53 len=100", "2.000 udp A:2000>B:53 len=100"]);
    let (got, without) = counted(&[&later, &earlier], &[]);
    assert_eq!((got, without), ([2; 5], 0));
    assert_eq!(r.record(&[&later, &earlier], &[]).0.code, Some(0));
    let rows = list(&r, &["port 1000"]);
    assert_eq!((rows.len(), &rows[0]["seen_packets"]), (1, &3.into()), "{rows:?}");
    let [first, last] = ["first", "last"].map(|f| rows[0][f].as_str().expect("a time"));
    assert!(first.starts_with("2023-11-14T22:13:21.0") && last.starts_with("2023-11-14T22:13:29.5"), "{rows:?}");
}

/// A reset and the SYN that takes its name may have one time: two have ended, and both are told of.
#[test]
fn connections_that_begin_within_one_tick() {
    let packets = [
        "0.000 tcp A:1000>B:80 S seq=1 len=60",
        "0.000 tcp B:80>A:1000 R len=60",
        "0.000 tcp A:1000>B:80 S seq=2 len=60",
        "0.010 tcp A:1000>B:80 A len=60",
    ];
    let (r, begun) = recorded(&packets, &[]);
    assert_eq!((begun, list(&r, &[]).len(), found(&r, &[])), (2, 2, [4, 2]));
    let path = capture(r.dir(), "again.pcap", &packets);
    assert_eq!(counted(&[&path], &[]), ([2; 5], 0));
}

/// Connections of one name that are of different classes: each is listed with its own, also one that lies between two of another.
#[test]
fn a_class_has_its_own_connections() {
    let packets =
        ["0.000 udp A:1000>B:53 len=600", "200.000 udp A:1000>B:53 len=100", "400.000 udp A:1000>B:53 len=600"];
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("retrotap.toml");
    std::fs::write(&config, "[class.long]\nfilter = \"len > 500\"\nprecedence = 1\n").expect("a file");
    let (r, begun) = recorded(&packets, &["--config", config.to_str().expect("a name")]);
    let of = |class: &str| list(&r, &["--class", class]).iter().map(|c| c["class"].to_string()).collect::<Vec<_>>();
    assert_eq!(
        (begun, of("long"), of("all")),
        (3, vec!["\"long\""; 2].into_iter().map(str::to_owned).collect(), vec!["\"all\"".to_owned()])
    );
}

/// A link type that is not parsed takes nothing from the others: what has a name is found by it, whether or not a packet of it is stored.
#[test]
fn beside_a_link_type_that_is_not_parsed() {
    let r = Retrotap::default();
    let config = r.dir().join("retrotap.toml");
    std::fs::write(&config, "[class.quiet]\nfilter = \"udp\"\nprecedence = 1\nrecord = \"none\"\n").expect("a file");
    let packets =
        ["0.000 udp A:1000>B:53 len=100", "0.001 udp A:1001>B:53 len=100", "0.002 tcp A:1000>B:53 S seq=1 len=60"];
    let ethernet = capture(r.dir(), "ethernet.pcap", &packets);
    // 802.11: a data frame with LLC and SNAP.
    let data = |frame: Vec<u8>| {
        let llc = [0xaa, 0xaa, 3, 0, 0, 0];
        [&[8, 0, 0, 0][..], &frame[..12], &[2, 0, 0, 0, 0, 9, 0, 0], &llc, &frame[12..]].concat()
    };
    let packets = ["0.003 tcp A:1000>B:443 S seq=1 len=60"];
    let wireless = capture_of(r.dir(), "wireless.pcap", &packets, 105, data);
    let (ran, _) = r.record(&[&ethernet, &wireless], &["--config", config.to_str().expect("a name")]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let count = |filter: &str| list(&r, &[filter]).len();
    assert_eq!((count("udp"), count("port 53"), count("not port 53")), (2, 3, 1));
    // What is not parsed is there where its packets are.
    assert_eq!((count("tcp"), count("port 443"), count("port 80")), (2, 1, 0));
}

/// libpcap does not look behind an IPv6 extension header. The name of a connection does, also before there is a receipt.
#[test]
fn ports_behind_an_extension_header() {
    let packets = ["0.000 udp a:1000>b:53 frag=5@0 len=120", "0.001 udp a:1000>b:54 len=120"];
    let (r, begun) = recorded(&packets, &[]);
    std::fs::remove_dir_all(r.store().join("receipts")).expect("receipts");
    let of = |filter: &str| list(&r, &[filter]).len();
    assert_eq!((begun, of(""), of("port 53"), of("udp"), of("port 54")), (2, 2, 1, 2, 1));
    assert_eq!(found(&r, &["port 53"]), [0, 0], "as tcpdump has it");
}
