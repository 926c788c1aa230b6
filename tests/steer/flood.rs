//! Floods of connections that nobody answers, of one source and of many: what was there, what is answered and other classes lose nothing,
//! memory stays as it was, every packet is accounted for, and it shows in statistics, metrics, log and ledger.

use super::*;

const LIMIT: u32 = 500;
const TABLE: u32 = 10_000;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// TCP from 10.`net`.x.x to port 80 of 192.0.2.1, or back, with 20 bytes of payload where it is no SYN.
fn tcp(net: u8, host: u16, port: u16, back: bool, flags: u8) -> Vec<u8> {
    let (client, server) = ([10, net, (host >> 8) as u8, host as u8], [192, 0, 2, 1]);
    let ((from, to), (src, dst)) = match back {
        true => ((server, client), (80, port)),
        false => ((client, server), (port, 80)),
    };
    let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv4(from, to, 64);
    let mut tcp = etherparse::TcpHeader::new(src, dst, u32::from(port), 1000);
    (tcp.syn, tcp.ack) = (flags & SYN != 0, flags & ACK != 0);
    let mut frame = Vec::new();
    let payload: &[u8] = if tcp.syn { &[] } else { &[7; 20] };
    builder.tcp_header(tcp).write(&mut frame, payload).expect("a frame");
    frame
}

/// A connection that is answered: four packets.
fn answered(net: u8, host: u16, port: u16) -> [Vec<u8>; 4] {
    [(false, SYN), (true, SYN | ACK), (false, ACK), (true, ACK)].map(|(back, flags)| tcp(net, host, port, back, flags))
}

#[test]
fn a_flood_leaves_memory_classes_and_connections_as_they_were() {
    let r = Retrotap::default();
    let mut d = Daemon::with(
        &r,
        &format!(
            "flood_limit = {LIMIT}\nconnections_ipv4 = {TABLE}\ndisk = \"64MiB\"\nsegment_size = \"4MiB\"\n[class.all]\ncutoff = \"none\"\n\
             [class.quiet]\nfilter = \"net 10.1.0.0/16\"\nprecedence = 1\ncutoff = \"none\"\ndisk = \"16MiB\"\n"
        ),
    );
    // What is there: two hundred connections, half of them of a class of its own.
    d.feed_frames((0..200).flat_map(|n| answered((n % 2) as u8, n, 1000)), 1000);
    let status = |d: &Daemon<'_>| d.ask("GET", "/v1/status", &Value::Null).1;
    let before = status(&d);
    // A source that nobody answers, and between its packets some of the others.
    let more = |n: u32| {
        n.is_multiple_of(50).then(|| tcp((n / 50 % 2) as u8, (n / 50 % 200) as u16, 1000, n.is_multiple_of(100), ACK))
    };
    let one = |n: u32| [Some(tcp(66, 1, (n % 60_000) as u16, false, SYN)), more(n)].into_iter().flatten();
    d.feed_frames((0..60_000).flat_map(one), 1000);
    let flooded = d.until("word of the flood", || {
        let s = status(&d);
        (s["connections"]["flooding"] == 1).then_some(s)
    });
    let connections = &flooded["connections"];
    assert_eq!(connections["flood_source"], "10.66.0.1", "{connections}");
    let lost = flooded["dropped"]["flood"]["packets"].as_u64().expect("a number");
    assert_eq!(connections["flood_refused"].as_u64(), Some(lost), "{connections}");
    let tracked = connections["tracked"].as_u64().expect("a number");
    assert_eq!(tracked + lost, 60_000 + 200, "of the flood each was tracked or dropped");
    // One in 64 by chance; the two hundred of before are tracked, too.
    let sampled = tracked - 200;
    assert!((u64::from(LIMIT) + 60_000 / 80..u64::from(LIMIT) + 60_000 / 50).contains(&sampled), "{sampled}");
    // Connections of the source that are answered are recorded from the answer on.
    d.feed_frames((0..50).flat_map(|n| answered(66, 1, 60_001 + n)), 1000);
    let whole = d.count(&json!({"filter": "host 10.66.0.1 and tcp portrange 60001-60050"}));
    assert!((150..=160).contains(&whole), "{whole} of 200 packets, all but most of the first ones");
    // Many sources: forged addresses.
    d.feed_frames((0..60_000u32).map(|n| tcp(128 | (n >> 16) as u8, n as u16, 7, false, SYN)), 1000);
    let crowded = d.until("word of the crowd", || {
        let s = status(&d);
        (s["connections"]["crowded"] == true).then_some(s)
    });
    let connections = &crowded["connections"];
    let one_sided = connections["one_sided"].as_u64().expect("a number");
    let share = u64::from(TABLE) * 3 / 4;
    assert!((share..share + 1300).contains(&one_sided), "{connections}");
    d.feed_frames((0..300).flat_map(|n| answered(2, n, 1000)), 1000);
    d.feed_frames((0..100).map(|n| tcp((n % 2) as u8, n, 1000, true, ACK)), 1000);
    // Every packet that acknowledges is there: of what was before, of what came since.
    let acks = |net: &str| d.count(&json!({"filter": format!("net {net} and tcp[tcpflags] & tcp-ack != 0")}));
    assert_eq!(acks("10.0.0.0/16") + acks("10.1.0.0/16"), 200 * 3 + 60_000 / 50 + 100);
    assert_eq!(d.count(&json!({"classes": ["quiet"]})), 100 * 4 + 60_000 / 100 + 50, "a class of its own");
    assert_eq!(acks("10.2.0.0/16"), 300 * 3);
    let after = status(&d);
    let resident = |s: &Value| s["resident_bytes"].as_u64().expect("a number");
    let (was, is) = (resident(&before), resident(&after));
    assert!(is < was + (48 << 20), "memory: {was} before, {is} after");
    let page = r.run(&["status"]).text();
    assert!(page.contains("flood") && page.contains("10.66.0.1"), "{page}");
    let log = d.log();
    let account = d.stop();
    let n = |path: &str| account.pointer(path).and_then(Value::as_u64).expect("a number");
    assert!(n("/untracked/packets") > 0 && n("/dropped/flood/packets") > lost, "{account}");
    assert!(log.contains("10.66.0.1") && log.matches("a flood").count() < 4, "{log}");
    let losses = r.run(&["losses", "--json"]).json();
    assert_eq!(losses["causes"]["flood"].as_u64(), Some(n("/dropped/flood/packets")), "{losses}");
    let floods = losses["floods"].as_array().expect("a list");
    assert!(floods.iter().any(|f| f["source"] == "10.66.0.1"), "{losses}");
    let packets: u64 = floods.iter().filter_map(|f| f["packets"].as_u64()).sum();
    assert_eq!(packets, n("/connections/flood_refused") + n("/connections/table_full"), "{losses}");
}
