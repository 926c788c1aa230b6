//! The query language: any text. What libpcap takes and finds in a packet the plan does not rule out; where an error is told it lies within the text; and
//! however long a text is, it is taken apart in time, and without an end of the stack.

use retrotap::filter::{Filter, FilterError};
use retrotap::index::term::Term;
use retrotap::index::terms::terms;
use retrotap::index::view::Walked;
use retrotap::query::lang::lists;
use retrotap::query::lang::plan::Plan;
use std::sync::OnceLock;

/// A packet with all that an index has of it.
type Known = (u16, Vec<u8>, Vec<Term>);

static PACKETS: OnceLock<Vec<Known>> = OnceLock::new();

/// Longest text that libpcap is asked about here; longer ones have a process of their own.
const SHORT: usize = 200;

fn packets() -> &'static [Known] {
    PACKETS.get_or_init(|| {
        let known = |(link_type, frame): (u16, Vec<u8>)| {
            let mut all = Vec::new();
            terms(link_type, &frame, &mut Walked::default(), &mut |t| all.push(t));
            (link_type, frame, all)
        };
        crate::made::frames().into_iter().filter(|(link, _)| matches!(link, 1 | 101)).take(200).map(known).collect()
    })
}

/// Input: how often the text is repeated; the text.
pub fn run(data: &[u8]) {
    let (times, text) = crate::options(data);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let text = text.repeat(match times {
        0..=239 => 1,
        // A long text is many times a short one: this finds what is too slow, or too deep.
        n => usize::from(n - 239) * 128,
    });
    let text = text.get(..text.len().min(64 << 10)).unwrap_or(&text);
    let plan = Plan::of(text);
    let (_, idle) = Plan::with_idle(text);
    assert!(idle.iter().all(|words| words.len() <= text.len()));
    let _ = (Plan::parts(text), lists::told(text), lists::listed(text), plan.hosts(), plan.joins());
    let _ = plan.to_string();
    if text.len() > SHORT {
        return;
    }
    for link_type in [1, 101] {
        // To find the place of an error costs hundreds of times as much as to find that there is one.
        let compiled =
            if times % 16 == 1 { Filter::compile(text, link_type) } else { Filter::compile_unplaced(text, link_type) };
        match compiled {
            Ok(filter) => {
                for (_, frame, all) in packets().iter().filter(|(link, ..)| *link == link_type) {
                    if filter.matches(frame, frame.len() as u32) {
                        let within = |t: &Term, lo: Term, hi: Term| t.kind() == lo.kind() && (lo..=hi).contains(t);
                        let has = &mut |lo: Term, hi: Term| all.iter().any(|t| within(t, lo, hi));
                        assert!(plan.may(has), "libpcap finds {text:?} in {frame:02x?}, the plan is {plan:?}");
                    }
                }
            }
            Err(FilterError::Refused { near: Some(place), .. } | FilterError::Name { place }) => {
                assert_eq!(
                    text.get(place.offset..place.offset + place.word.len()),
                    Some(place.word.as_str()),
                    "{text:?}"
                );
            }
            Err(e) => drop(e.to_string()),
        }
    }
}

/// Expressions of all kinds.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    for text in [
        "host 10.0.0.1",
        "tcp port 80 and (host 10.0.0.1 or 10.0.0.2)",
        "not udp",
        "vlan 5 and ip",
        "mpls 1 and mpls 2 and host 10.0.0.1",
        "pppoes and tcp",
        "geneve 7 and tcp",
        "src net 10.0.0.0/8 or dst net 192.168.0.0 mask 255.255.0.0",
        "ip6 host 2001:db8::1",
        "ether host 02:00:00:00:00:01",
        "portrange 50-60",
        "ip proto 6",
        "ip6 proto \\tcp",
        "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "ip[0] & 0xf != 5",
        "less 60 or greater 1500",
        "icmp[icmptype] = icmp-echo",
        "arp host 10.0.0.1",
        "ip broadcast",
        "ether proto 0x0800",
        "src or dst host 10.0.0.1",
        "host 10.0.0.1 and not port 22",
        "len >= 100",
        "ip protochain 6",
        "(((tcp)))",
        "host 10 or net 10.0",
        "",
        "port http",
        "llc",
        "ip6 multicast",
        "wlan type mgt",
        "host not 10.0.0.1",
    ] {
        add([&[0], text.as_bytes()].concat());
        add([&[1], text.as_bytes(), b" and and"].concat());
    }
    for text in [
        "(",
        "not ",
        "host not ",
        "1:",
        "::",
        "host 10.0.0.1 or ",
        "port 80 or ",
        "\\",
        "tcp[",
        "a.",
        "1.",
        "ip6 net 2001:db8::/32 or ",
    ] {
        add([&[255], text.as_bytes()].concat());
    }
}
