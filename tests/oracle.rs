//! Product and oracle on every capture: the same connections, the same packets kept.

#[path = "oracle/mod.rs"]
mod oracle;
mod product;

use oracle::frame::{Frame, Host, Proto};
use oracle::model::{Oracle, Rules, S};
use oracle::page::Web;
use oracle::parse::parse;
use oracle::traffic::Step;
use oracle::{captures, traffic};
use product::{Product, compare_receipts, key};
use proptest::prelude::*;
use retrotap::limits::{DISORDER_NS, SWEEP_ROUND_NS};
use retrotap::packet::{Fragment, Parser};

/// What is wrong with the product's parse, if anything.
fn compare(parser: &Parser, vlans: bool, link_type: u16, data: &[u8]) -> Result<(), String> {
    let seen = parse(link_type, data, vlans);
    let parsed = parser.parse(link_type, data);
    if parsed.key != key(&seen.name) || usize::from(parsed.swapped) != seen.sender {
        return Err(format!("{:?} from end {}, but {:?} {}", seen.name, seen.sender, parsed.key, parsed.swapped));
    }
    let tcp = seen.tcp.map(|t| (t.seq, [t.fin, t.syn, t.rst, t.ack]));
    let flags = [1, 2, 4, 16].map(|bit| parsed.tcp_flags & bit != 0);
    if tcp.unwrap_or_default() != (parsed.tcp_seq, flags) {
        return Err(format!("{tcp:?}, but {} {flags:?}", parsed.tcp_seq));
    }
    let later = matches!(parsed.fragment, Fragment::Later(_));
    let first = matches!(parsed.fragment, Fragment::First(_));
    if (seen.later_fragment_of.is_some(), seen.first_fragment_of.is_some()) != (later, first) {
        return Err(format!("{:?} {:?}, but {:?}", seen.later_fragment_of, seen.first_fragment_of, parsed.fragment));
    }
    Ok(())
}

#[test]
fn parsers_agree_on_every_capture() {
    let mut failures = Vec::new();
    let Some(count) = captures::each(|capture| {
        for vlans in [true, false] {
            let parser = Parser::new(0, vlans);
            for (i, packet) in capture.packets.iter().enumerate() {
                if let Err(wrong) = compare(&parser, vlans, capture.link_type, &packet.data) {
                    failures.push(format!("{} packet {} (VLANs {vlans}): {wrong}", capture.name, i + 1));
                    break;
                }
            }
        }
    }) else {
        return;
    };
    assert!(count > 0, "captures");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Rules for the captures; the oracle's defaults but for the cutoff.
fn cutoffs() -> Vec<(&'static str, Rules)> {
    let bytes = |n| Rules { cutoff_bytes: Some(n), ..Rules::default() };
    vec![
        ("none", Rules::default()),
        ("0", bytes(0)),
        ("100", bytes(100)),
        ("1KiB", bytes(1 << 10)),
        ("15KiB", bytes(15 << 10)),
        ("100KiB", bytes(100 << 10)),
        ("3 packets", Rules { cutoff_packets: Some(3), ..Rules::default() }),
    ]
}

#[test]
fn the_same_packets_of_every_capture_are_kept() {
    let mut failures = Vec::new();
    let Some(count) = captures::each(|capture| {
        for (cutoff, rules) in cutoffs() {
            let mut oracle = Oracle::new(rules.clone());
            let mut product = Product::new(&rules, capture.packets.len().max(256));
            let wrong = capture.packets.iter().position(|p| {
                let expected = oracle.packet(p.time, p.wire, capture.link_type, &p.data);
                product.packet(p.time, p.wire, capture.link_type, &p.data) != expected.stored
            });
            if let Some(wrong) = wrong {
                failures.push(format!("{} cutoff {cutoff}: packet {}", capture.name, wrong + 1));
            } else if let Err(wrong) = compare_receipts(&oracle.connections, &product.finish()) {
                failures.push(format!("{} cutoff {cutoff}: {wrong}", capture.name));
            }
        }
    }) else {
        return;
    };
    assert!(count > 0, "captures");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Times and frames of a trace.
fn packets(trace: &[Step]) -> Vec<(u64, u32, u16, Vec<u8>)> {
    let (mut time, mut newest) = (1_000_000 * S, 0);
    let packet = |(gap, frame): &Step| {
        time = time.saturating_add_signed(*gap).max(newest - DISORDER_NS.min(newest));
        newest = time.max(newest);
        let bytes = frame.bytes().expect("a frame");
        (time, bytes.len() as u32, frame.link_type(), bytes)
    };
    trace.iter().map(packet).collect()
}

#[test]
fn the_model_of_the_shunt_drops() {
    let rules = Rules { cutoff_bytes: Some(500), ..Rules::default() };
    let mut product = Product::shunted(&rules, 1, 256);
    let mut frame = Frame::new(Proto::Udp, (Host::V4(1), 1000), (Host::V4(2), 53));
    frame.len = Some(100);
    let data = frame.bytes().expect("a frame");
    let stored = (0..100).filter(|i| product.packet_through_kernel(S + i, 100, frame.link_type(), &data)).count();
    assert_eq!((stored, product.dropped()), (5, 94), "the sixth is cut by the worker, which makes the entry");
    let [receipt] = product.finish()[..] else { panic!("one receipt") };
    assert_eq!((receipt.seen_packets, receipt.stored_packets), (100, 5));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_same_packets_of_generated_traffic_are_kept(trace in traffic::trace(), rules in traffic::rules()) {
        let mut oracle = Oracle::new(rules.clone());
        let mut product = Product::new(&rules, 256);
        for (i, (time, wire, link_type, data)) in packets(&trace).into_iter().enumerate() {
            let expected = oracle.packet(time, wire, link_type, &data);
            let stored = product.packet(time, wire, link_type, &data);
            prop_assert_eq!(stored, expected.stored, "packet {} at {}: {:?} {:?}", i + 1, time, expected, trace[i].1);
        }
        let receipts = compare_receipts(&oracle.connections, &product.finish());
        prop_assert!(receipts.is_ok(), "{}", receipts.unwrap_err());
    }

    #[test]
    fn who_began_and_the_class_are_what_the_oracle_says(trace in traffic::disorder(), (rules, web) in traffic::rules_with_class()) {
        let mut oracle = Web::oracle(&rules, web);
        let mut product = Product::classed(&rules, web, 256);
        for (i, (time, wire, link_type, data)) in packets(&trace).into_iter().enumerate() {
            let expected = Web::ask(web, &mut oracle, time, wire, link_type, &data);
            let stored = product.packet(time, wire, link_type, &data);
            let (got, wanted) = ((stored, product.began()), (expected.stored, (expected.originator, expected.class)));
            prop_assert_eq!(got, wanted, "packet {} at {}: {:?} {:?}", i + 1, time, expected, trace[i].1);
        }
        let receipts = compare_receipts(&oracle.connections, &product.finish());
        prop_assert!(receipts.is_ok(), "{}", receipts.unwrap_err());
    }

    #[test]
    fn the_shunt_changes_nothing(trace in traffic::trace_for_shunt(), rules in traffic::rules_for_shunt(), slots in 1..6usize) {
        let mut oracle = Oracle::new(rules.clone());
        let mut product = Product::shunted(&rules, slots, 256);
        for (i, (time, wire, link_type, data)) in packets(&trace).into_iter().enumerate() {
            let before = oracle.connections.clone();
            let expected = oracle.packet(time, wire, link_type, &data);
            let stored = product.packet_through_kernel(time, wire, link_type, &data);
            if expected.new && !stored {
                // The kernel still drops what came within a few rounds of the sweep after the idle timeout: the connection
                // goes on, as the definition has it of a shunted one.
                let name = &oracle.connections[expected.connection - 1].name;
                let last = before.iter().rfind(|c| c.name == *name).map_or(0, |c| c.last);
                let idle = if name.is_tcp() { rules.idle_tcp } else { rules.idle_other };
                prop_assume!(!(idle..idle + 4 * SWEEP_ROUND_NS).contains(&(time - last)));
            }
            prop_assert_eq!(stored, expected.stored, "packet {} at {}: {:?} {:?}", i + 1, time, expected, trace[i].1);
        }
        let receipts = compare_receipts(&oracle.connections, &product.finish());
        prop_assert!(receipts.is_ok(), "{}", receipts.unwrap_err());
    }

    #[test]
    fn parsers_agree_on_odd_bytes((link_type, bytes) in traffic::odd_bytes(), vlans: bool) {
        let parser = Parser::new(0, vlans);
        if let Err(wrong) = compare(&parser, vlans, link_type, &bytes) {
            prop_assert!(false, "link type {link_type}, {bytes:02x?}: {wrong}");
        }
    }
}
