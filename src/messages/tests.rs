//! The messages, byte by byte, and the two ends: whatever comes is an error or a message of ours, and nobody waits for who does not read.

use super::document::{self, Documents};
use super::socket::SocketRead;
use super::*;
use crate::conn::orders::{Plain, Prefix, Role};
use crate::conn::receipt::{End, LookedUp, Receipt};
use crate::limits::{CLASSES_MAX, LOOK_UPS_OF_MESSAGE, MESSAGE_BYTES, ORDERED_BY_BYTES, ORDERS_OF_MESSAGE};
use crate::packet::key::{Key, Key4, Key6, Tail};
use proptest::prelude::*;
use std::io::{Read, Write};
use std::os::fd::AsFd;

fn any_key() -> impl Strategy<Value = Key> {
    let fields = (any::<bool>(), any::<[[u8; 16]; 2]>(), any::<(u32, [u16; 2], [u16; 2], u8, u8)>());
    fields.prop_map(|(v4, addr, (net, vlan, port, proto, kind))| {
        let tail = Tail { net, vlan, port, proto, kind, zero: 0 };
        match v4 {
            true => Key::V4(Key4 { addr: addr.map(|[a, b, c, d, ..]| [a, b, c, d]), tail }),
            false => Key::V6(Key6 { addr, tail }),
        }
    })
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    (any::<std::net::IpAddr>(), 0..=128u8)
        .prop_map(|(addr, len)| Prefix::new(addr, len % if addr.is_ipv4() { 33 } else { 129 }).unwrap())
}

fn any_connection() -> impl Strategy<Value = Plain> {
    let fields = (any::<bool>(), any::<[([u8; 16], u16); 2]>(), any::<u8>());
    fields.prop_map(|(v4, mut ends, proto)| {
        if v4 {
            ends.iter_mut().for_each(|(addr, _)| addr[4..].fill(0));
        }
        ends.sort();
        let [(a, ap), (b, bp)] = ends;
        let tail = Tail { port: [ap, bp], proto, ..Tail::default() };
        let narrow = |[a, b, c, d, ..]: [u8; 16]| [a, b, c, d];
        let key = match v4 {
            true => Key::V4(Key4 { addr: [narrow(a), narrow(b)], tail }),
            false => Key::V6(Key6 { addr: [a, b], tail }),
        };
        Plain::of(&key).unwrap()
    })
}

fn any_target() -> impl Strategy<Value = Target> {
    prop_oneof![any_prefix().prop_map(Target::Address), any_connection().prop_map(Target::Connection)]
}

fn any_order() -> impl Strategy<Value = Order> {
    let role = prop_oneof![Just(Role::Either), Just(Role::Originator), Just(Role::Responder)];
    let flags = prop_oneof![Just((true, true)), Just((true, false)), Just((false, true))];
    prop_oneof![
        (any_prefix(), 0..CLASSES_MAX as u8, role, 1..=u64::MAX)
            .prop_map(|(prefix, class, role, until)| Order::Assign { prefix, class, role, until }),
        any_prefix().prop_map(Order::Unassign),
        (any_target(), 1..=u64::MAX, any::<u64>(), any::<bool>()).prop_map(|(target, a, b, first)| {
            let (cutoff, timeout) = if first { (a, b) } else { (b, a) };
            Order::Suspend { target, cutoff, timeout }
        }),
        (any_target(), flags).prop_map(|(target, (cutoff, timeout))| Order::Resume { target, cutoff, timeout }),
    ]
}

fn any_by() -> impl Strategy<Value = OrderedBy> {
    ".{0,120}".prop_map(|name| OrderedBy::new(&name))
}

fn any_request() -> impl Strategy<Value = Request> {
    let asked = prop_oneof![
        (any_by(), prop::collection::vec(any_order(), 1..=ORDERS_OF_MESSAGE))
            .prop_map(|(by, orders)| RequestKind::Orders { by, orders }),
        prop::collection::vec(any_key(), 1..=LOOK_UPS_OF_MESSAGE).prop_map(RequestKind::LookUp),
        Just(RequestKind::List(ListKind::Assignments)),
        Just(RequestKind::List(ListKind::Suspensions)),
    ];
    (1..=u64::MAX, asked).prop_map(|(id, asked)| Request { id, asked })
}

fn any_in_force() -> impl Strategy<Value = InForce> {
    let kept = |order: &Order| matches!(order, Order::Assign { .. } | Order::Suspend { .. });
    (any_order().prop_filter("it takes something back", kept), any_by()).prop_map(|(order, by)| InForce { order, by })
}

/// Keys and what was found of them.
fn any_found() -> impl Strategy<Value = Vec<(Key, LookedUp)>> {
    let end = prop_oneof![
        Just(End::Lasting),
        Just(End::Reset),
        Just(End::Closed),
        Just(End::Idle),
        Just(End::Replaced),
        Just(End::Stopped)
    ];
    let one = (any_key(), 0..4u8, any::<[u64; 6]>(), end, any::<[u8; 2]>(), any::<bool>());
    let one = one.prop_map(|(key, what, [a, b, c, d, e, f], end, [class, originator], cut)| {
        let found = match what {
            0 => LookedUp::Unknown,
            1 => LookedUp::Absent,
            _ => LookedUp::Runs(Receipt {
                key: if what == 2 { key } else { key.untagged() },
                first: a,
                last: b,
                seen_packets: c,
                seen_bytes: d,
                stored_packets: e,
                stored_bytes: f,
                end,
                class,
                originator,
                cut,
            }),
        };
        (key, found)
    });
    prop::collection::vec(one, 0..=LOOK_UPS_OF_MESSAGE)
}

fn any_report() -> impl Strategy<Value = (Report, Vec<Key>)> {
    let name = prop::option::of("[a-z][a-z0-9_-]{0,31}");
    let why = prop_oneof![
        Just(OrderError::Waiting),
        Just(OrderError::Class { name: String::new(), known: String::new() }),
        Just(OrderError::Addresses),
        Just(OrderError::Connections),
    ];
    let taken = (0..=ORDERS_OF_MESSAGE as u32, prop::option::of(why), prop::option::of(any_in_force()));
    let kind = prop_oneof![
        Just(DocumentKind::State),
        Just(DocumentKind::Page),
        Just(DocumentKind::Assignments),
        Just(DocumentKind::Suspensions),
    ];
    prop_oneof![
        prop::collection::vec(name, 0..=CLASSES_MAX).prop_map(|names| (Report::Classes(names), Vec::new())),
        (any::<u64>(), taken).prop_map(|(id, (taken, refused, was))| {
            (Report::Orders(id, OrdersTaken { taken, refused, was }), Vec::new())
        }),
        (any::<u64>(), any_found()).prop_map(|(id, all)| {
            let (keys, found) = all.into_iter().unzip();
            (Report::LookedUp(id, found), keys)
        }),
        any::<u64>().prop_map(|id| (Report::Busy(id), Vec::new())),
        (any::<u64>(), kind, 0..=crate::limits::DOCUMENT_BYTES as u64)
            .prop_map(|(id, kind, bytes)| (Report::Document { id, kind, bytes }, Vec::new())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_request_is_read_as_it_was_written(request in any_request()) {
        let bytes = request.encode();
        prop_assert!(bytes.len() <= MESSAGE_BYTES, "{} bytes", bytes.len());
        prop_assert_eq!(Request::decode(&bytes), Ok(request));
    }

    #[test]
    fn a_report_is_read_as_it_was_written((report, keys) in any_report()) {
        let bytes = report.encode(&keys);
        prop_assert!(bytes.len() <= MESSAGE_BYTES, "{} bytes", bytes.len());
        prop_assert_eq!(Report::decode(&bytes, |_| Some(keys.into())), Ok(report));
    }

    #[test]
    fn a_list_is_read_as_it_was_written(list in prop::collection::vec(any_in_force(), 0..600)) {
        let mut bytes = Vec::new();
        document::write_list(&list, &mut bytes).unwrap();
        prop_assert_eq!(bytes.len(), list.len() * InForce::BYTES);
        prop_assert_eq!(document::read_list(&bytes), Ok(list));
    }

    #[test]
    fn any_bytes_are_an_error_or_a_request_in_its_one_form(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0..6u8, count in 0..4u8
    ) {
        // Most that is wholly random has no kind.
        bytes.iter_mut().take(8).for_each(|b| *b = 0);
        if let Some(b) = bytes.get_mut(0) { *b = kind; }
        if let Some(b) = bytes.get_mut(4) { *b = count; }
        if let Ok(request) = Request::decode(&bytes) {
            prop_assert_eq!(request.encode(), bytes);
        }
    }

    #[test]
    fn whoever_orders_has_a_name_that_can_be_sent(name in any::<String>()) {
        let by = OrderedBy::new(&name);
        prop_assert!(by.as_str().len() <= ORDERED_BY_BYTES && !by.as_str().chars().any(char::is_control));
    }
}

/// One of each kind.
fn requests() -> Vec<Request> {
    let host = |n: u8| Prefix::host([10, 0, 0, n].into());
    let connection = Target::Connection(connection("tcp 1.2.3.4:5 6.7.8.9:80").unwrap());
    let orders = vec![
        Order::Assign { prefix: host(1), class: 1, role: Role::Originator, until: 7 },
        Order::Unassign(Prefix::new([10, 0, 0, 0].into(), 8).unwrap()),
        Order::Suspend { target: connection, cutoff: 1 << 40, timeout: 0 },
        Order::Resume { target: Target::Address(host(2)), cutoff: true, timeout: false },
    ];
    let all = [
        RequestKind::Orders { by: OrderedBy::new("alice"), orders },
        RequestKind::LookUp(vec![Key::tcp(1), Key::V6(Key6::default())]),
        RequestKind::List(ListKind::Assignments),
        RequestKind::List(ListKind::Suspensions),
    ];
    all.into_iter().zip(1..).map(|(asked, id)| Request { id, asked }).collect()
}

/// Cut anywhere, or longer: an error. Any byte another: an error, or a message of ours, which has this one form.
#[test]
fn a_request_that_is_cut_or_changed_is_an_error_or_another_request() {
    for request in requests() {
        let bytes = request.encode();
        assert_eq!(Request::decode(&bytes), Ok(request));
        for len in 0..bytes.len() {
            assert!(Request::decode(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
        }
        assert!(Request::decode(&[&bytes[..], &[0]].concat()).is_err());
        for at in 0..bytes.len() {
            for flip in 1..=255 {
                let mut other = bytes.clone();
                other[at] ^= flip;
                if let Ok(request) = Request::decode(&other) {
                    assert_eq!(request.encode(), other, "byte {at}");
                }
            }
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let prefix = Prefix::host([10, 0, 0, 1].into());
    let both = |cutoff, timeout| Order::Suspend { target: Target::Address(prefix), cutoff, timeout };
    for (order, why) in [
        (Order::Assign { prefix, class: CLASSES_MAX as u8, role: Role::Either, until: 1 }, "a class that can't be"),
        (Order::Assign { prefix, class: 0, role: Role::Either, until: 0 }, "an end that was"),
        (both(0, 0), "nothing is suspended"),
    ] {
        let asked = RequestKind::Orders { by: OrderedBy::default(), orders: vec![order] };
        assert!(Request::decode(&Request { id: 1, asked }.encode()).is_err(), "{why}");
    }
    let many = RequestKind::LookUp(vec![Key::tcp(1); LOOK_UPS_OF_MESSAGE + 1]);
    assert!(Request::decode(&Request { id: 1, asked: many }.encode()).is_err());
    assert!(Request::decode(&Request { id: 0, asked: RequestKind::List(ListKind::Assignments) }.encode()).is_err());
}

/// Whoever never reads costs nobody time, and only the memory of the last documents; whoever reads late finds the old ones too short.
#[test]
fn who_does_not_read_is_not_waited_for() {
    let (ours, theirs) = Socket::pair().unwrap();
    let to_serve = ToServe::default();
    to_serve.attach(ours);
    let socket = to_serve.serve().unwrap();
    let page = "x".repeat(100_000);
    let mut sent = 0;
    while to_serve.dropped() < 10 {
        to_serve.page(&page);
        to_serve.answer(&socket, &Report::Busy(1), &[]);
        sent += 1;
        assert!(sent < 1_000_000, "the socket takes all of it");
    }
    let mut buffer = Box::new([0; MESSAGE_BYTES]);
    let (mut whole, mut short) = (0, 0);
    to_serve.end();
    while let SocketRead::Message(bytes, file) = theirs.next_with_file(&mut buffer) {
        let Ok(Report::Document { bytes, .. }) = Report::decode(bytes, |_| None) else { continue };
        match document::read(&file.unwrap().into(), bytes) {
            Ok(text) => {
                assert!(text == page.as_bytes());
                whole += 1;
            }
            Err(_) => short += 1,
        }
    }
    assert!(whole <= 2 && short > 2, "{whole} whole, {short} short");
}

#[test]
fn nobody_changes_a_document() {
    let mut documents = Documents::default();
    let (file, bytes) = document::make(|to| to.write_all(b"page")).unwrap();
    let mut theirs = documents.keep(DocumentKind::Page, file).unwrap().try_clone().unwrap();
    assert!(theirs.write_all(b"other").is_err() && theirs.set_len(100).is_err());
    assert_eq!(document::read(&theirs, bytes).unwrap(), b"page");
    for n in 0..2 {
        assert!(document::read(&theirs, bytes).is_ok(), "{n} have come since");
        let (next, _) = document::make(|to| to.write_all(b"next")).unwrap();
        documents.keep(DocumentKind::Page, next);
    }
    assert!(document::read(&theirs, bytes).is_err() && theirs.metadata().unwrap().len() == 0);
    assert!(document::make(|_| Err(std::io::ErrorKind::Other.into())).is_err());
}

/// A file that somebody sends to capture is closed by the kernel, and what is too long is no message.
#[test]
fn capture_takes_no_files_and_nothing_that_is_too_long() {
    let (ours, theirs) = Socket::pair().unwrap();
    let (mut read, write) = std::io::pipe().unwrap();
    let request = Request { id: 1, asked: RequestKind::List(ListKind::Assignments) }.encode();
    theirs.send(&request, Some(write.as_fd())).unwrap();
    drop(write);
    let mut buffer = Box::new([0; MESSAGE_BYTES]);
    assert_eq!(ours.receive(&mut buffer), Some(&request[..]));
    assert_eq!(read.read(&mut [0; 8]).unwrap(), 0, "nobody has its other end");
    theirs.send(&vec![1; MESSAGE_BYTES + 1], None).unwrap();
    assert_eq!(ours.receive(&mut buffer), Some(&[][..]));
    drop(theirs);
    assert_eq!(ours.receive(&mut buffer), None);
}

/// What is said unasked comes to be known; each serve is told of the classes first.
#[test]
fn what_capture_says_is_known_to_serve() {
    let to_serve = ToServe::default();
    to_serve.classes(vec![Some("all".into()), None]);
    let (ours, theirs) = Socket::pair().unwrap();
    to_serve.attach(ours);
    let capture = ToCapture::new(theirs);
    assert!(capture.page().is_none() && capture.state().is_none());
    to_serve.page("page");
    to_serve.classes(vec![Some("all".into()), None, Some("new".into())]);
    assert_eq!(capture.page().as_deref(), Some("page"));
    assert_eq!((capture.class(1), capture.class(2), capture.class_id("new")), (None, Some("new".into()), Some(2)));
}

/// Whoever waits goes on when nothing can come any more: capture has gone, or what receives has.
#[test]
fn who_waits_for_an_answer_is_told_that_none_comes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let by = OrderedBy::new("alice");
    let order = || vec![Order::Unassign(Prefix::host([10, 0, 0, 1].into()))];
    let (ours, theirs) = Socket::pair().unwrap();
    let capture = ToCapture::new(theirs);
    let receiving = runtime.spawn(capture.receive());
    let asked = runtime.block_on(async {
        let gone = async {
            tokio::task::yield_now().await;
            ours.close();
        };
        tokio::join!(capture.order(&by, order()), gone).0
    });
    assert_eq!(asked, Err(NoAnswer::Ended));
    runtime.block_on(receiving).unwrap();
    assert_eq!(capture.look_up(&[Key::tcp(1)]), [LookedUp::Unknown]);

    let (_ours, theirs) = Socket::pair().unwrap();
    let capture = ToCapture::new(theirs);
    let receiving = runtime.spawn(capture.receive());
    let asked = runtime.block_on(async {
        let gone = async {
            tokio::task::yield_now().await;
            receiving.abort();
        };
        tokio::join!(capture.order(&by, order()), gone).0
    });
    assert_eq!(asked, Err(NoAnswer::Ended));
}

/// A scrape has the page of this moment, whoever receives or does not.
#[test]
fn a_page_needs_nobody_who_receives() {
    let to_serve = ToServe::default();
    let (ours, theirs) = Socket::pair().unwrap();
    to_serve.attach(ours);
    let capture = ToCapture::new(theirs);
    assert_eq!(capture.page(), None);
    for page in ["first", "second"] {
        to_serve.page(page);
        assert_eq!(capture.page().as_deref(), Some(page));
    }
}
