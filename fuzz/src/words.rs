//! Words of people and programs: sizes, times, addresses, connections, lists of addresses. What is read and written again is read the same; lists make
//! an expression that asks for what is on them.

use retrotap::messages;
use retrotap::metrics::http::Address;
use retrotap::query::{Addresses, CommunityId, ConnSpec};
use retrotap::units;

const NOW: u64 = 1_796_000_000_000_000_000;

/// Input: what it is, the words.
pub fn run(data: &[u8]) {
    let (what, text) = crate::options(data);
    let text = String::from_utf8_lossy(text);
    match what % 8 {
        0 => drop(units::parse_size(&text).map(units::size)),
        1 => drop(units::parse_duration(&text).map(units::duration)),
        2 => {
            if let Ok(ns) = units::parse_time(&text, NOW) {
                assert_eq!(units::parse_time(&units::time(ns), NOW), Ok(ns), "{text:?}");
                let _ = units::local_time(ns);
            }
        }
        3 => {
            if let Ok(prefix) = messages::prefix(&text) {
                assert_eq!(messages::prefix(&prefix.to_string()), Ok(prefix));
            }
            let _ = (messages::role(Some(&text)), messages::target(Some(&text), None).map(|t| t.to_string()));
        }
        4 => {
            if let Ok(conn) = text.parse::<ConnSpec>() {
                assert_eq!(conn.to_string().parse::<ConnSpec>().expect("the same").to_string(), conn.to_string());
                let _ = (conn.name(), conn.plan(), messages::connection(&text).map(|p| p.key()));
            }
        }
        5 => {
            if let Ok(id) = text.parse::<CommunityId>() {
                assert_eq!(id.to_string().parse::<CommunityId>().expect("the same").to_string(), id.to_string());
            }
        }
        6 => {
            if let Ok(address) = text.parse::<Address>() {
                assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }
        _ => addresses(&text),
    }
}

/// Lines of hosts and nets.
fn addresses(text: &str) {
    let mut all = Addresses::default();
    for line in text.lines().take(400) {
        let _ = match line.contains('/') {
            true => all.net(line),
            false => all.host(line),
        };
    }
    let joined = all.joined("tcp");
    let (hosts, nets) = all.words();
    let mut again = Addresses::default();
    hosts.iter().for_each(|h| again.host(h).expect("a host that was one"));
    nets.iter().for_each(|n| again.net(n).expect("a net that was one"));
    assert_eq!(again.joined("tcp"), joined);
    assert_eq!(all.is_empty(), joined == "tcp");
    if joined.len() <= 200 {
        let compiled = retrotap::filter::Filter::compile(&joined, 101);
        assert!(compiled.is_ok(), "{joined}: {compiled:?}");
    }
}

/// Some of each.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    for (what, words) in [
        (0u8, &["15KiB", "1.5GB", "4096", "1 TiB"][..]),
        (1, &["10m", "1h30m", "90s", "500ms", "1.5d"]),
        (
            2,
            &[
                "2026-11-21T13:15:00Z",
                "2026-11-21 13:15",
                "13:15",
                "yesterday",
                "1700000000.5",
                "-10m",
                "now",
                "2026-11-21T14:55:02.123456+0000",
            ],
        ),
        (3, &["10.1.2.3", "10.0.0.0/8", "2001:db8::/32", "::ffff:1.2.3.4/128", "originator"]),
        (
            4,
            &[
                "tcp 1.2.3.4:5 6.7.8.9:80",
                "udp [::1]:5 [2001:db8::2]:53",
                "icmp 1.2.3.4 6.7.8.9",
                "47 10.0.0.1 10.0.0.2",
                "tcp6 ::1 ::2",
            ],
        ),
        (5, &["1:LQU9qZlK+B5F3KDmev6m5PMibrg="]),
        (6, &[":9464", "localhost:9464", "[::1]:9464", "/run/x.sock"]),
        (7, &["10.0.0.1\n10.0.0.2\n2001:db8::1\n10.1.0.0/16\n2001:db8::/32\n"]),
    ] {
        words.iter().for_each(|w| add([&[what], w.as_bytes()].concat()));
    }
}
