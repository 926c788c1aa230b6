//! Who began: the same whatever order packets are judged in, with the class that follows from it, and what is counted by source.

use super::*;
use crate::conn::orders::{AddressOrder, Prefix, Role};
use crate::packet::Parser;
use std::net::IpAddr;

const CLIENT: [u8; 4] = [192, 0, 2, 9];
const SERVER: [u8; 4] = [10, 0, 0, 1];

/// From the client's port 1000 to the server's port 80, or back.
fn frame(proto: u8, back: bool, flags: u8) -> Vec<u8> {
    let (mut from, mut to) = ((CLIENT, 1000u16), (SERVER, 80u16));
    if back {
        std::mem::swap(&mut from, &mut to);
    }
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, proto, 0, 0];
    f.extend([from.0, to.0].concat());
    f.extend([from.1.to_be_bytes(), to.1.to_be_bytes()].concat());
    f.extend([0, 20, 0, 0, 0, 0, 0, 0, 0x50, flags, 4, 0, 0, 0, 0, 0]);
    f
}

fn with_web() -> Tracker {
    let class = |name: &str, filter: &str, precedence| Class {
        name: name.into(),
        filter: filter.into(),
        precedence,
        policy: Policy { cutoff_bytes: Some(150), ..Policy::default() },
    };
    let classes = ClassSet::new(vec![class("all", "", 0), class("web", "dst port 80", 1)]).unwrap();
    let plan = TrackerPlan { connections_v4: 16, connections_v6: 16, shunt_slots: 0 };
    let mut t = Tracker::new(&plan, classes, [5; 16]).unwrap();
    t.prepare(1);
    t.limit_floods(Some(1000));
    t
}

/// Judges frames of these times; the receipt of the one connection.
fn judged(t: &mut Tracker, frames: &[(u64, Vec<u8>)]) -> Receipt {
    let (parser, mut receipts) = (Parser::new(3, true), Vec::new());
    for (time, data) in frames {
        let packet = Packet {
            time: START + time,
            wire_len: 60,
            iface: 0,
            hash: None,
            data,
            options: crate::source::InputOptions::NONE,
        };
        t.judge(&parser.parse(1, data), &packet, 1, &mut NoShunt);
    }
    finish(t, START + S, &mut NoShunt, &mut receipts);
    let [one] = receipts[..] else { panic!("{receipts:?}") };
    one
}

/// The server's address is the lower one: endpoint 0 of the key.
const BY_CLIENT: u8 = 1;

fn shuffled<T: Clone + std::fmt::Debug>(of: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    Just(of).prop_shuffle()
}

proptest! {
    #[test]
    fn no_order_of_tcp_packets_changes_who_began(
        order in shuffled(vec![(false, SYN), (true, SYN | ACK), (false, ACK), (false, ACK), (true, ACK), (true, FIN | ACK), (false, FIN | ACK), (true, ACK)]),
        all in 2..8usize, gap in 0..1_000_000u64, end_by_reset: bool,
    ) {
        // Times as the packets were sent; some of them are never seen, but one of the handshake is.
        let sent = [(false, SYN), (true, SYN | ACK), (false, ACK), (true, ACK), (false, FIN | ACK), (true, FIN | ACK)];
        let time = |p: &(bool, u8)| sent.iter().position(|s| s == p).unwrap() as u64 * gap;
        let seen: Vec<(bool, u8)> = order.into_iter().take(all).collect();
        prop_assume!(seen.iter().any(|p| p.1 & SYN != 0));
        // What the client sent before a packet says that it is the originator is not remembered: its next packet decides.
        let told = seen.iter().position(|p| p.1 & SYN != 0).unwrap();
        let decided = seen[told..].iter().any(|p| !p.0);
        let reset = |flags: u8| if end_by_reset && flags & FIN != 0 { RST } else { flags };
        let frames: Vec<_> = seen.iter().map(|p| (time(p), frame(6, p.0, reset(p.1)))).collect();
        let r = judged(&mut with_web(), &frames);
        prop_assert_eq!(r.originator, BY_CLIENT, "{:?}", seen);
        prop_assert!(r.class == 1 || !decided, "{:?}", seen);
        prop_assert_eq!(r.first, START + seen.iter().map(time).min().unwrap());
        prop_assert_eq!(r.seen_packets, seen.len() as u64);
    }

    #[test]
    fn no_order_of_udp_packets_changes_who_began(order in shuffled((0..6u64).collect()), all in 1..6usize) {
        let seen: Vec<u64> = order.into_iter().take(all).collect();
        let frames: Vec<_> = seen.iter().map(|&n| (n, frame(17, n % 2 == 1, 0))).collect();
        let r = judged(&mut with_web(), &frames);
        let first = *seen.iter().min().unwrap();
        let expected = if first.is_multiple_of(2) { (BY_CLIENT, 1) } else { (1 - BY_CLIENT, 0) };
        prop_assert_eq!((r.originator, r.class, r.first), (expected.0, expected.1, START + first));
    }
}

#[test]
fn an_assignment_to_the_originator_follows() {
    for (proto, flags) in [(6, SYN | ACK), (17, 0)] {
        let mut t = with_web();
        let order = AddressOrder { class: Some(1), role: Role::Responder, ..AddressOrder::default() };
        assert!(t.order_address(Prefix::host(IpAddr::from(CLIENT)), order));
        let order = AddressOrder { class: Some(0), role: Role::Originator, ..AddressOrder::default() };
        assert!(t.order_address(Prefix::host(IpAddr::from(SERVER)), order));
        // The filter says web of what the client begins; no assignment holds for that.
        let r = judged(&mut t, &[(200, frame(proto, true, flags)), (100, frame(proto, false, SYN))]);
        assert_eq!((r.originator, r.class), (BY_CLIENT, 1));
    }
}

#[test]
fn a_clock_that_was_set_back_turns_nothing() {
    let late = [(2 * DISORDER_NS, frame(17, false, 0)), (DISORDER_NS - 1, frame(17, true, 0))];
    let mut t = with_web();
    t.from_wire();
    let r = judged(&mut t, &late);
    assert_eq!((r.originator, r.class, r.first), (BY_CLIENT, 1, START + DISORDER_NS - 1));
    assert_eq!(judged(&mut with_web(), &late).originator, 1 - BY_CLIENT, "files can be given in any order");
}

#[test]
fn a_name_that_an_hourly_receipt_has_told_stays() {
    let (mut t, parser, mut receipts) = (with_web(), Parser::new(3, true), Vec::new());
    let (query, answer) = (frame(17, false, 0), frame(17, true, 0));
    let one = |t: &mut Tracker, time: u64, data: &[u8]| {
        let packet =
            Packet { time, wire_len: 60, iface: 0, hash: None, data, options: crate::source::InputOptions::NONE };
        t.judge(&parser.parse(1, data), &packet, 1, &mut NoShunt);
    };
    let first = START + HOUR_NS - S;
    one(&mut t, first, &answer);
    for second in 0..30 {
        one(&mut t, first + second * S, &answer);
        t.sweep(first + second * S, 4096, &mut NoShunt);
    }
    one(&mut t, first - S, &query);
    finish(&mut t, first + 60 * S, &mut NoShunt, &mut receipts);
    let names: Vec<_> = receipts.iter().map(|r| (r.end, r.first, r.originator)).collect();
    assert_eq!(names, [(End::Lasting, first, 1 - BY_CLIENT), (End::Stopped, first, BY_CLIENT)]);
}

#[test]
fn half_open_connections_are_counted_for_who_sent_the_packet() {
    let mut t = with_web();
    let parser = Parser::new(3, true);
    let one = |t: &mut Tracker, time: u64, data: Vec<u8>| {
        let packet = Packet {
            time: START + time,
            wire_len: 60,
            iface: 0,
            hash: None,
            data: &data,
            options: crate::source::InputOptions::NONE,
        };
        t.judge(&parser.parse(1, &data), &packet, 1, &mut NoShunt);
        t.stats().one_sided
    };
    assert_eq!(one(&mut t, 200, frame(6, true, SYN | ACK)), 1);
    assert_eq!(one(&mut t, 100, frame(6, false, SYN)), 1, "a SYN-ACK is no answer");
    assert_eq!(one(&mut t, 300, frame(6, false, ACK)), 1, "nor is what the same side sends");
    assert_eq!(one(&mut t, 400, frame(6, true, ACK)), 0);
    assert_eq!(t.core.floods.open(), 0);
}
