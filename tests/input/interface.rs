//! `--interface`: what came in by one interface of several, and what a pcap file can't hold of more.

use super::pcapng::{LITTLE, Value};
use super::{S, T, answer, import, resolution, text, udp, write};
use crate::common::Retrotap;

/// Two taps, one with two queues, a tunnel of another link type; in two files, so in several segments.
fn store() -> Retrotap {
    let r = Retrotap::default();
    let file = |first: u64| {
        let mut file = LITTLE.section(&Vec::new());
        for (name, link_type) in [("eth0:0", 1), ("eth0:1", 1), ("eth1", 1), ("tun0", 101)] {
            file.extend(LITTLE.interface(link_type, 0, &vec![text(2, name), resolution()]));
        }
        for n in first..first + 40 {
            let (i, frame) = ((n % 4) as u32, udp(1000 + (n % 4) as u16, &n.to_be_bytes()));
            let data = if i == 3 { &frame[14..] } else { &frame[..] };
            file.extend(LITTLE.packet(i, T + n * S, data.len() as u32, data, &Vec::new()));
        }
        file
    };
    let (one, two) = (write(&r, "one.pcapng", &file(0)), write(&r, "two.pcapng", &file(40)));
    import(&r, &[&one, &two]);
    r
}

#[test]
fn packets_of_one_interface() {
    let r = store();
    let names = |args: &[&str]| {
        let got = answer(&r, args);
        let mut names: Vec<String> = got
            .packets
            .iter()
            .map(|p| String::from_utf8(got.interfaces[p.interface as usize].1[0].1.clone()).expect("a name"))
            .collect();
        let n = names.len();
        names.dedup();
        names.sort();
        names.dedup();
        (n, names.join(" "))
    };
    assert_eq!(names(&[]), (80, "eth0:0 eth0:1 eth1 tun0".into()));
    assert_eq!(names(&["--interface", "eth1"]), (20, "eth1".into()));
    assert_eq!(names(&["--interface", "eth0"]), (40, "eth0:0 eth0:1".into()));
    assert_eq!(names(&["--interface", "eth0:1", "--interface", "tun0"]), (40, "eth0:1 tun0".into()));
    assert_eq!(names(&["udp port 1002", "--interface", "eth1"]), (20, "eth1".into()));
    assert_eq!(names(&["udp port 1002", "--interface", "eth0"]), (0, String::new()));
    assert_eq!(names(&["--interface", "eth1", "--limit", "3"]), (3, "eth1".into()));
    let count = |args: &[&str]| r.run(&[&["query", "--count"], args].concat()).text().trim().to_owned();
    assert_eq!(count(&["--interface", "tun0"]), "20");
    // Only segments that have the interface are looked into.
    let s = r.run(&["query", "--json", "--interface", "tun0"]).json();
    assert_eq!((&s["packets"], s["pruning"]["by_interface"].as_u64() > Some(0)), (&20.into(), true), "{s}");
    let listed = r.run(&["connections", "--json", "--interface", "eth1"]).text();
    assert_eq!((listed.lines().count(), listed.contains("\"port\":1002")), (1, true), "{listed}");
    let held = r.run(&["hold", "--interface", "eth1", "--name", "case", "--reason", "why", "--json"]).json();
    assert_eq!(held["packets"], 20, "{held}");
}

/// A name that no packet came in by is refused, with those that there are.
#[test]
fn an_unknown_interface_is_refused() {
    let r = store();
    for command in [&["query"][..], &["connections"], &["hold", "--name", "case", "--reason", "why"]] {
        let ran = r.run(&[command, &["--interface", "eth1", "--interface", "eth2"]].concat());
        assert_eq!(ran.code, Some(2), "{command:?}: {}", ran.err);
        assert!(ran.err.contains(r#""eth2"; there are eth0:0, eth0:1, eth1, tun0"#), "{}", ran.err);
    }
}

#[test]
fn pcap_of_several_link_types_names_the_way_out() {
    let r = store();
    let out = r.dir().join("a.pcap").to_string_lossy().into_owned();
    let ran = r.run(&["query", "--format", "pcap", "-w", &out]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("link types 1 (eth0:0) and 101 (tun0)"), "{}", ran.err);
    assert!(ran.err.contains("--interface NAME"), "{}", ran.err);
    let ran = r.run(&["query", "--interface", "tun0", "--format", "pcap", "-w", &out]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(crate::common::libpcap(std::path::Path::new(&out)).0.len(), 20);
}

/// Times after 2106 are refused where the format has no room for them.
#[test]
fn pcap_ends_in_2106() {
    let r = Retrotap::default();
    let (data, last) = (udp(1, b"x"), u64::from(u32::MAX) * S + S - 1);
    let mut file = LITTLE.section(&Vec::new());
    file.extend(LITTLE.interface(1, 0, &vec![text(2, "eth0"), resolution(), (8, Value::U64(1))]));
    for time in [last, last + 1] {
        file.extend(LITTLE.packet(0, time, data.len() as u32, &data, &Vec::new()));
    }
    import(&r, &[&write(&r, "in.pcapng", &file)]);
    let times: Vec<u64> = answer(&r, &[]).packets.iter().map(|p| p.time).collect();
    assert_eq!(times, [last, last + 1]);
    let out = r.dir().join("a.pcap").to_string_lossy().into_owned();
    let ran = r.run(&["query", "--format", "pcap", "-w", &out]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("a packet of 2106-02-07T06:28:16Z"), "{}", ran.err);
    let ran = r.run(&["query", "--until", "2106-02-07T06:28:16Z", "--format", "pcap", "-w", &out]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(crate::common::libpcap(std::path::Path::new(&out)).0.len(), 1);
}
