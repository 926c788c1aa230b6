//! Messages between capture and serve: what capture believes of a process that parses what strangers send, and the other way. A message that is taken
//! has one form; what a report says it says again.

use retrotap::conn::receipt::{End, LookedUp, Receipt};
use retrotap::messages::{
    DocumentKind, InForce, ListKind, Order, OrderError, OrderedBy, OrdersTaken, Report, Request, RequestKind, Role,
    Target, connection, prefix,
};
use retrotap::packet::key::Key;
use std::sync::Arc;

/// Connections that a look-up asked for, in this order.
const ASKED: [&str; 4] =
    ["tcp 1.2.3.4:5 6.7.8.9:80", "udp [::1]:5 [2001:db8::2]:53", "icmp 1.2.3.4 6.7.8.9", "47 10.0.0.1 10.0.0.2"];

/// Input: even: a request, odd: a report, with half of it as the number of connections that were asked for; the message.
pub fn run(data: &[u8]) {
    let (what, bytes) = crate::options(data);
    if what.is_multiple_of(2) {
        if let Ok(request) = Request::decode(bytes) {
            assert_eq!(request.encode(), bytes, "{request:?}");
        }
        return;
    }
    let keys = keys(usize::from(what / 2) % (ASKED.len() + 1));
    let asked = |_: u64| Some(Arc::<[Key]>::from(&keys[..]));
    if let Ok(report) = Report::decode(bytes, asked) {
        let again = Report::decode(&report.encode(&keys), asked);
        assert_eq!(again.as_ref(), Ok(&report));
    }
    if let Ok(report) = Report::decode(bytes, |_| None) {
        assert!(!matches!(report, Report::LookedUp(..)), "an answer to nothing: {report:?}");
    }
}

fn keys(count: usize) -> Vec<Key> {
    ASKED[..count].iter().map(|words| connection(words).expect("a connection").key()).collect()
}

/// One of each kind.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let (v4, v6) = (prefix("10.0.0.0/8").expect("a net"), prefix("2001:db8::1").expect("an address"));
    let conn = Target::Connection(connection(ASKED[0]).expect("a connection"));
    let assign = Order::Assign { prefix: v4, class: 1, role: Role::Originator, until: 5 };
    let orders = vec![
        assign,
        Order::Unassign(v6),
        Order::Suspend { target: conn, cutoff: 7, timeout: 0 },
        Order::Resume { target: Target::Address(v6), cutoff: false, timeout: true },
    ];
    for asked in [
        RequestKind::Orders { by: OrderedBy::new("uid 0"), orders },
        RequestKind::LookUp(keys(ASKED.len())),
        RequestKind::List(ListKind::Assignments),
        RequestKind::List(ListKind::Suspensions),
    ] {
        add([vec![0], Request { id: 7, asked }.encode()].concat());
    }
    let runs = |key| {
        LookedUp::Runs(Receipt {
            key,
            first: 1,
            last: 2,
            seen_packets: 3,
            seen_bytes: 4,
            stored_packets: 5,
            stored_bytes: 6,
            end: End::Lasting,
            class: 1,
            originator: 1,
            cut: true,
        })
    };
    let keys = keys(3);
    let was = Some(InForce { order: assign, by: OrderedBy::new("uid 0") });
    for report in [
        Report::Classes(vec![Some("all".into()), None, Some("alarm".into())]),
        Report::Orders(7, OrdersTaken { taken: 2, refused: Some(OrderError::Addresses), was }),
        Report::LookedUp(7, vec![LookedUp::Unknown, LookedUp::Absent, runs(keys[2])]),
        Report::Busy(7),
        Report::Document { id: 7, kind: DocumentKind::State, bytes: 9 },
    ] {
        add([vec![1 + 2 * keys.len() as u8], report.encode(&keys)].concat());
    }
}
