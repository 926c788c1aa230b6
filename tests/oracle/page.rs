//! Reads `tests/vectors.md`: its notation is defined there. A line that it can't read is a panic that names the line.

use super::frame::{Fragment, Frame, Host, Proto, Tunnel};
use super::model::{Oracle, Outcome, Rules, S};
use super::parse::parse;

/// A class `web` of what is sent to a port; in all else as `all`.
#[derive(Clone, Copy, Debug)]
pub struct Web {
    pub port: u16,
    pub cutoff_bytes: Option<u64>,
}

impl Web {
    /// The oracle of a history that has it, or not.
    pub fn oracle(rules: &Rules, web: Option<Web>) -> Oracle {
        let of_web = |w: Web| Rules { cutoff_bytes: w.cutoff_bytes, ..rules.clone() };
        Oracle::with_classes([rules.clone()].into_iter().chain(web.map(of_web)).collect())
    }

    /// What the oracle says of a packet.
    pub fn ask(web: Option<Web>, oracle: &mut Oracle, time: u64, wire: u32, link_type: u16, data: &[u8]) -> Outcome {
        oracle.packet_of(time, wire, link_type, data, || {
            let seen = parse(link_type, data, true);
            // Only a packet that has ports is sent to one.
            let to = seen.name.port_of(1 - seen.sender).filter(|_| seen.later_fragment_of.is_none());
            usize::from(to.is_some() && to == web.map(|w| w.port))
        })
    }
}

/// A numbered vector.
#[derive(Debug)]
pub struct Vector {
    pub number: String,
    pub title: String,
    pub rules: Rules,
    pub web: Option<Web>,
    pub packets: Vec<Line>,
}

/// A packet of a vector, and what must become of it.
#[derive(Debug)]
pub struct Line {
    /// As it stands on the page.
    pub text: String,
    /// ns.
    pub time: u64,
    pub repeat: usize,
    pub frame: Frame,
    /// Captured bytes, if fewer than the frame's.
    pub captured: Option<usize>,
    pub stored: bool,
    pub connection: usize,
    pub new: bool,
    /// Address and port of who began its connection, where the page says it.
    pub by: Option<(Host, u16)>,
    /// Whether its class is `web`, where the page says it.
    pub web: Option<bool>,
}

/// All vectors of the page, in its order.
pub fn vectors(page: &str) -> Vec<Vector> {
    let mut vectors: Vec<Vector> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if let Some((number, title)) = line.strip_prefix("### ").and_then(|heading| heading.split_once(' ')) {
            let (number, title) = (number.to_string(), title.to_string());
            vectors.push(Vector { number, title, rules: Rules::default(), web: None, packets: Vec::new() });
        } else if line.starts_with("```") {
            inside = line == "```vector";
        } else if let Some(vector) = vectors.last_mut().filter(|_| inside) {
            if let Some((packet, outcome)) = line.split_once("->") {
                vector.packets.push(packet_line(line, packet, outcome));
            } else {
                setting(vector, line);
            }
        }
    }
    vectors
}

fn setting(Vector { rules, web, .. }: &mut Vector, line: &str) {
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("setting `{line}`"));
    match *line.split_whitespace().collect::<Vec<_>>() {
        ["cutoff", "none"] => rules.cutoff_bytes = None,
        ["cutoff", n] => rules.cutoff_bytes = Some(number(n)),
        ["cutoff_packets", n] => rules.cutoff_packets = Some(number(n)),
        ["cutoff_unknown", "same"] => rules.whole_unknown = false,
        ["idle", "tcp", n] => rules.idle_tcp = number(n) * S,
        ["idle", "other", n] => rules.idle_other = number(n) * S,
        ["renew", which, n] => {
            let interval = (n != "off").then(|| number(n) * S);
            *(if which == "tcp" { &mut rules.renew_tcp } else { &mut rules.renew_other }) = interval;
        }
        ["vlans", "ignored"] => rules.vlans = false,
        ["class", "web", "dst", "port", port, "cutoff", n] => {
            let cutoff_bytes = (n != "none").then(|| number(n));
            *web = Some(Web { port: number(port) as u16, cutoff_bytes });
        }
        _ => panic!("setting `{line}`"),
    }
}

fn packet_line(line: &str, packet: &str, outcome: &str) -> Line {
    let bad = |what: &str| -> ! { panic!("{what} in `{line}`") };
    let mut words = packet.split_whitespace().peekable();
    let time: f64 = words.next().and_then(|w| w.parse().ok()).unwrap_or_else(|| bad("time"));
    let repeat = words.next_if(|w| w.starts_with('x')).map_or(1, |w| w[1..].parse().unwrap_or_else(|_| bad("repeat")));
    let kind = words.next().unwrap_or_else(|| bad("protocol"));
    let ends = words.next_if(|w| w.contains('>')).map(|w| ends(w).unwrap_or_else(|| bad("hosts")));
    let (from, to) = ends.unwrap_or(((Host::V4(1), 0), (Host::V4(2), 0)));
    let mut frame = Frame::new(Proto::Opaque, from, to);
    let (mut flags, mut seq, mut captured, mut icmp) = (None, 0, None, None);
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<u32>().unwrap_or_else(|_| bad(word));
        let ids = || value.split(',').map(|id| id.parse().unwrap_or_else(|_| bad(word))).collect();
        match name {
            "seq" => seq = number(),
            "len" => frame.len = Some(number() as usize),
            "cap" => captured = Some(number() as usize),
            "vlan" => frame.vlans = ids(),
            "ivlan" => frame.inner_vlans = ids(),
            "frag" => frame.fragment = Some(fragment(value).unwrap_or_else(|| bad(word))),
            "ofrag" => frame.outer_fragment = Some(fragment(value).unwrap_or_else(|| bad(word))),
            "in" => frame.tunnels.push(tunnel(value).unwrap_or_else(|| bad(word))),
            "echo" => icmp = Some(Proto::IcmpEcho { id: number() as u16, reply: false }),
            "reply" => icmp = Some(Proto::IcmpEcho { id: number() as u16, reply: true }),
            "snap" => frame.snap = true,
            "type" => icmp = Some(Proto::Icmp { kind: number() as u8 }),
            _ => flags = Some(tcp_flags(word).unwrap_or_else(|| bad(word))),
        }
    }
    let hex = |text: &str| u16::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_else(|_| bad(text));
    frame.proto = match kind.split_once('=').unwrap_or((kind, "")) {
        ("tcp", _) => Proto::Tcp { flags: flags.unwrap_or_else(|| bad("no flags")), seq },
        ("udp", _) => Proto::Udp,
        ("sctp", _) => Proto::Sctp,
        ("icmp", _) => icmp.unwrap_or_else(|| bad("no echo=, reply= or type=")),
        ("ip", n) => Proto::Ip(n.parse().unwrap_or_else(|_| bad("protocol"))),
        ("arp", _) => Proto::Arp,
        ("eth", n) => Proto::Ether(hex(n)),
        ("llc", n) => n.split_once('.').map_or_else(|| bad("llc"), |(d, s)| Proto::Llc(hex(d) as u8, hex(s) as u8)),
        ("opaque", _) => Proto::Opaque,
        _ => bad("protocol"),
    };
    let outcome: Vec<&str> = outcome.split_whitespace().collect();
    let connection = |number: &str| number[1..].parse().unwrap_or_else(|_| bad("connection"));
    let (stored, number, more) = match outcome[..] {
        ["store", number, ref more @ ..] => (true, number, more),
        ["cut", number, ref more @ ..] => (false, number, more),
        _ => bad("outcome"),
    };
    let (connection, mut new, mut by, mut web, mut more) = (connection(number), false, None, None, more.iter());
    while let Some(&word) = more.next() {
        match word {
            "new" => new = true,
            "by" => by = more.next().and_then(|w| end_of(w)).or_else(|| bad("by whom")),
            "in" => web = more.next().map(|class| *class == "web").or_else(|| bad("in which class")),
            _ => bad("outcome"),
        }
    }
    let time = (time * 1_000_000.0).round() as u64 * (S / 1_000_000);
    Line { text: line.to_string(), time, repeat, frame, captured, stored, connection, new, by, web }
}

type End = (Host, u16);

fn ends(word: &str) -> Option<(End, End)> {
    let (from, to) = word.split_once('>')?;
    Some((end_of(from)?, end_of(to)?))
}

fn end_of(text: &str) -> Option<End> {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let host = match host.as_bytes() {
        [b'*'] => Host::Broadcast,
        [c @ b'A'..=b'Z'] => Host::V4(c - b'A' + 1),
        [c @ b'a'..=b'z'] => Host::V6(c - b'a' + 1),
        _ => return None,
    };
    Some((host, port.parse().ok()?))
}

fn tcp_flags(word: &str) -> Option<u8> {
    if word == "-" {
        return Some(0);
    }
    word.chars().try_fold(0, |flags, c| "FSRPAU".find(c).map(|bit| flags | 1 << bit))
}

fn fragment(value: &str) -> Option<Fragment> {
    let (id, offset) = value.split_once('@')?;
    let more = offset.ends_with('+');
    let offset: u16 = offset.trim_end_matches('+').parse().ok().filter(|offset| offset % 8 == 0)?;
    Some(Fragment { id: id.parse().ok()?, offset, more })
}

fn tunnel(value: &str) -> Option<Tunnel> {
    let (value, ends) = value.split_once('@').unwrap_or((value, "Y>Z"));
    let back = match ends {
        "Y>Z" => false,
        "Z>Y" => true,
        _ => return None,
    };
    let (kind, id) = value.split_once(':').unwrap_or((value, ""));
    let id: Option<u32> = if id.is_empty() { None } else { Some(id.parse().ok()?) };
    Some(match kind {
        "vxlan" => Tunnel::Vxlan { vni: id?, back },
        "geneve" => Tunnel::Geneve { vni: id?, back },
        "gre" => Tunnel::Gre { key: id, ethernet: false, back },
        "gretap" => Tunnel::Gre { key: id, ethernet: true, back },
        "gtpu" => Tunnel::GtpU { teid: id?, back },
        "ipip" => Tunnel::IpIp { back },
        "mpls" => Tunnel::Mpls { label: id? },
        "pppoe" => Tunnel::Pppoe { session: id? as u16 },
        _ => return None,
    })
}
