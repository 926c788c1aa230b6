//! Rules, look-ups and orders, and workers that do not answer: a hand at the mailbox does what a worker's round does. A serve asks over its
//! socket, and may be any program.

use super::{Answering, Steering};
use crate::class::{ClassSet, Policy};
use crate::conn::receipt::LookedUp;
use crate::limits::{ANSWER_NS, COMMANDS_WAITING, MESSAGE_BYTES, ORDERS_OF_MESSAGE, TOTALS_OF_BOX};
use crate::messages::{
    ListKind, Order, OrderError, OrderedBy, OrdersTaken, Prefix, Report, Request, RequestKind, Role, Socket, ToCapture,
    ToServe, connection,
};
use crate::packet::Parser;
use crate::packet::key::Key;
use crate::worker::filter::Filters;
use crate::worker::mailbox::{Errand, Rules};
use crate::worker::run::Line;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn rules(dedup_ns: u64) -> Rules {
    let filters = Filters::new(None, &[]).unwrap();
    Rules { classes: ClassSet::only(Policy::default()), gone: 0, filters, dedup_ns: Some(dedup_ns), flood_limit: None }
}

/// Takes what is in the mailbox, as a worker does between batches: what it was told.
fn take(line: &Line) -> Option<u64> {
    let (number, errand) = line.mail.errands.pop()?;
    let Errand::Rules(rules) = &errand else { return None };
    let told = rules.dedup_ns;
    line.mail.done.push((number, errand)).unwrap();
    told
}

#[test]
fn a_worker_that_does_not_answer_gets_its_rules_when_it_does() {
    let lines: Vec<Arc<Line>> = (0..3).map(|_| Arc::default()).collect();
    let steering = Steering::new(lines.clone(), Parser::new(0, true), vec![Some("all".into())]);
    let tell = |ns: u64| {
        let told = std::thread::scope(|s| {
            let told = s.spawn(|| steering.rules((0..3).map(|_| rules(ns))));
            // The second worker sleeps; the third has them all the same.
            for line in [&lines[0], &lines[2]] {
                while take(line) != Some(ns) {
                    std::thread::yield_now();
                }
            }
            told.join().unwrap()
        });
        assert_eq!(told, [1]);
    };
    tell(1);
    assert_eq!(steering.caught_up(), [0; 0]);
    // Told anew before it woke up: it gets the last.
    tell(2);
    assert_eq!(take(&lines[1]), Some(2));
    assert_eq!(take(&lines[1]), None);
    assert_eq!(steering.caught_up(), [1]);
    assert_eq!(steering.caught_up(), [0; 0]);
}

fn steering(lines: &[Arc<Line>]) -> Steering {
    Steering::new(lines.to_vec(), Parser::new(0, true), vec![Some("all".into()), None, Some("whole".into())])
}

/// A recorder of these workers, and a serve.
fn capture(lines: &[Arc<Line>]) -> (Answering, ToServe, ToCapture) {
    let to_serve = ToServe::default();
    to_serve.classes(vec![Some("all".into()), None, Some("whole".into())]);
    let answering = Answering::start(&steering(lines), &to_serve).unwrap();
    let (ours, theirs) = Socket::pair().unwrap();
    to_serve.attach(ours);
    (answering, to_serve, asking(theirs))
}

fn asking(socket: Socket) -> ToCapture {
    let capture = ToCapture::new(socket);
    capture.receive_on_a_thread().unwrap();
    capture
}

fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(answer)
}

fn assign(n: u32, class: u8) -> Order {
    let prefix = Prefix::host(std::net::Ipv4Addr::from(n).into());
    Order::Assign { prefix, class, role: Role::Either, until: u64::MAX }
}

/// Answers look-ups as a worker does, of which nothing runs, until told to end: how many, and of how many connections.
fn worker(line: &Line, end: &AtomicBool) -> (usize, usize) {
    let (mut looks, mut keys) = (0, 0);
    while !end.load(Relaxed) {
        if let Some((number, errand)) = line.mail.errands.pop() {
            if let Errand::Look(look) = &errand {
                looks += 1;
                keys += look.keys.len();
            }
            let _ = line.mail.done.push((number, errand));
        }
        std::thread::yield_now();
    }
    (looks, keys)
}

#[test]
fn a_worker_that_is_silent_is_waited_for_once() {
    let line = Arc::new(Line::default());
    // It ends, which is known at once.
    line.stop.store(true, Relaxed);
    let (_answering, _, capture) = capture(std::slice::from_ref(&line));
    assert_eq!(capture.look_up(&[Key::tcp(1)]), [LookedUp::Unknown]);
    assert!(line.mail.errands.is_empty(), "what it has not taken it never gets");
    line.stop.store(false, Relaxed);
    assert_eq!(capture.look_up(&[Key::tcp(1)]), [LookedUp::Unknown], "asked again a little later only");
    assert!(line.mail.errands.is_empty());
}

/// More than one box takes, of two workers, of which one does not answer: the other says all that it knows.
#[test]
fn one_that_is_silent_blinds_nobody_else() {
    let lines = [Arc::new(Line::default()), Arc::new(Line::default())];
    lines[1].stop.store(true, Relaxed);
    let (_answering, _, capture) = capture(&lines);
    let end = AtomicBool::new(false);
    let keys: Vec<Key> = (0..3 * TOTALS_OF_BOX as u16).map(Key::tcp).collect();
    let ((looks, looked), found) = std::thread::scope(|s| {
        let worker = s.spawn(|| worker(&lines[0], &end));
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| capture.look_up(&keys)));
        end.store(true, Relaxed);
        (worker.join().unwrap(), asked.unwrap())
    });
    let absent = found.iter().filter(|f| **f == LookedUp::Absent).count();
    assert!(looks > 0 && looked == absent, "{looked} were looked up, {absent} are absent");
    assert!(absent > TOTALS_OF_BOX && absent < keys.len(), "{absent}");
    assert_eq!(found.iter().filter(|f| **f == LookedUp::Unknown).count(), keys.len() - absent);
}

/// A look-up waits for a worker; orders, lists and what they take back do not.
#[test]
fn no_order_waits_behind_a_look_up() {
    let line = Arc::new(Line::default());
    let (_answering, _, capture) = capture(std::slice::from_ref(&line));
    let by = OrderedBy::new("alice");
    std::thread::scope(|s| {
        let looks = s.spawn(|| capture.look_up(&[Key::tcp(1)]));
        // Nobody takes it out until the look-up is given up.
        while line.mail.errands.is_empty() && !looks.is_finished() {
            std::thread::yield_now();
        }
        let conn = crate::messages::Target::Connection(connection("tcp 1.2.3.4:5 6.7.8.9:80").unwrap());
        let suspend = Order::Suspend { target: conn, cutoff: 7, timeout: 9 };
        let taken = wait(capture.order(&by, vec![assign(1, 2), suspend, assign(2, 1), assign(3, 0)])).unwrap();
        assert_eq!(taken.taken, 2);
        // Its words are for whoever knows what was asked for.
        assert!(matches!(taken.refused, Some(OrderError::Class { .. })), "{taken:?}");
        assert_eq!(line.mail.commands.len(), 2);
        let list = wait(capture.list(ListKind::Assignments)).unwrap();
        assert_eq!(list, [crate::messages::InForce { order: assign(1, 2), by: by.clone() }]);
        let list = wait(capture.list(ListKind::Suspensions)).unwrap();
        assert_eq!(list, [crate::messages::InForce { order: suspend, by: by.clone() }]);
        let Order::Assign { prefix, .. } = assign(1, 2) else { unreachable!() };
        let taken = wait(capture.order(&by, vec![Order::Unassign(prefix)])).unwrap();
        assert_eq!(taken.was.map(|was| was.order), Some(assign(1, 2)));
        let taken = wait(capture.order(&by, vec![Order::Resume { target: conn, cutoff: true, timeout: false }]));
        assert_eq!(taken.unwrap().was.map(|was| was.order), Some(suspend));
        // The worker answers at last, if it was not given up on.
        if let Some((number, errand)) = line.mail.errands.pop() {
            line.mail.done.push((number, errand)).unwrap();
        }
        let found = looks.join().unwrap();
        assert!(matches!(found[..], [LookedUp::Absent | LookedUp::Unknown]), "{found:?}");
    });
}

/// As many orders as a mailbox takes are in force; the next one is refused, and in force when there is room.
#[test]
fn orders_that_find_no_room_are_refused_one_by_one() {
    let line = Arc::new(Line::default());
    let (_answering, _, capture) = capture(std::slice::from_ref(&line));
    let by = OrderedBy::new("alice");
    let room = COMMANDS_WAITING - 100;
    for from in (0..room as u32).step_by(ORDERS_OF_MESSAGE) {
        let some = (from..(from + ORDERS_OF_MESSAGE as u32).min(room as u32)).map(|n| assign(n, 0)).collect();
        assert_eq!(wait(capture.order(&by, some)).unwrap().refused, None);
    }
    let next: Vec<Order> = (room as u32..room as u32 + 101).map(|n| assign(n, 0)).collect();
    let taken = wait(capture.order(&by, next.clone())).unwrap();
    assert_eq!(taken, OrdersTaken { taken: 100, refused: Some(OrderError::Waiting), was: None });
    line.mail.commands.pop().unwrap();
    assert_eq!(wait(capture.order(&by, next[100..].to_vec())).unwrap().refused, None);
    assert_eq!(wait(capture.list(ListKind::Assignments)).unwrap().len(), COMMANDS_WAITING + 1);
}

/// What a serve asked for that has ended never comes to the next, which counts from 1 again; orders of the first stay in force.
#[test]
fn a_serve_gets_no_answer_of_the_one_before() {
    let line = Arc::new(Line::default());
    let (_answering, to_serve, first) = capture(std::slice::from_ref(&line));
    assert_eq!(wait(first.order(&OrderedBy::new("alice"), vec![assign(1, 0)])).unwrap().taken, 1);
    drop(first);
    let (ours, theirs) = Socket::pair().unwrap();
    to_serve.attach(ours);
    let look = |id, port| Request { id, asked: RequestKind::LookUp(vec![Key::tcp(port)]) };
    send(&theirs, &look(1, 1).encode());
    let mut buffer = Box::new([0; MESSAGE_BYTES]);
    assert!(matches!(Report::decode(theirs.receive(&mut buffer).unwrap(), |_| None), Ok(Report::Classes(_))));
    // Until it is at the worker; where this thread sleeps that long it was given up, and is at no worker any more.
    let start = std::time::Instant::now();
    while line.mail.errands.is_empty() && start.elapsed() < std::time::Duration::from_nanos(2 * ANSWER_NS) {
        std::thread::yield_now();
    }
    // It dies, and the next asks while the worker is still at it.
    drop(theirs);
    let (ours, third) = Socket::pair().unwrap();
    to_serve.attach(ours);
    let third = asking(third);
    let list = wait(third.list(ListKind::Assignments)).unwrap();
    assert_eq!((list.len(), list[0].by.as_str()), (1, "alice"));
    let end = AtomicBool::new(false);
    let found = std::thread::scope(|s| {
        let worker = s.spawn(|| worker(&line, &end));
        let asked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| third.look_up(&[Key::tcp(1), Key::tcp(2)])));
        end.store(true, Relaxed);
        worker.join().unwrap();
        asked.unwrap()
    });
    // Two of two; an answer to the one key of the dead would be no answer to this.
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|f| *f != LookedUp::Unknown) || found.iter().all(|f| *f == LookedUp::Unknown));
}

fn send(socket: &Socket, bytes: &[u8]) {
    use rustix::net::{SendFlags, send};
    assert_eq!(send(socket, bytes, SendFlags::NOSIGNAL), Ok(bytes.len()));
}

/// Whatever bytes come: what is no message of ours changes nothing, what is one does what it says, and the next question is answered.
#[test]
fn a_serve_that_sends_anything_changes_what_its_messages_say() {
    let line = Arc::new(Line::default());
    let recorder = steering(std::slice::from_ref(&line));
    let to_serve = ToServe::default();
    let _answering = Answering::start(&recorder, &to_serve).unwrap();
    let (ours, theirs) = Socket::pair().unwrap();
    to_serve.attach(ours);
    let prefix = Prefix::new([10, 1, 0, 0].into(), 16).unwrap();
    let connection = crate::messages::Target::Connection(connection("udp [::1]:5 [2001:db8::2]:53").unwrap());
    let orders = vec![
        assign(1, 0),
        Order::Suspend { target: connection, cutoff: 1, timeout: 1 << 40 },
        Order::Resume { target: connection, cutoff: true, timeout: false },
        Order::Unassign(prefix),
    ];
    let whole = Request { id: 1, asked: RequestKind::Orders { by: OrderedBy::new("mallory"), orders } }.encode();
    let model = steering(&[Arc::new(Line::default())]);
    let mut all: Vec<Vec<u8>> = (1..whole.len()).map(|len| whole[..len].to_vec()).collect();
    for (at, bit) in (0..whole.len()).flat_map(|at| [0, 3, 7].map(|bit| (at, bit))) {
        let mut other = whole.clone();
        other[at] ^= 1 << bit;
        all.push(other);
    }
    all.push([&whole[..], &[0]].concat());
    all.push(vec![0xff; MESSAGE_BYTES + 1]);
    let (mut orders, mut buffer) = (0, Box::new([0; MESSAGE_BYTES]));
    for bytes in &all {
        send(&theirs, bytes);
        if let Ok(Request { asked: RequestKind::Orders { by, orders: some }, .. }) = Request::decode(bytes) {
            model.carry_out(&by, &some);
            orders += 1;
        }
        // It is answered, or another kind now; a question after it is answered in any case.
        let last = u64::MAX;
        send(&theirs, &Request { id: last, asked: RequestKind::LookUp(vec![Key::tcp(1)]) }.encode());
        line.stop.store(true, Relaxed);
        loop {
            let said = theirs.receive(&mut buffer).expect("capture goes on");
            match Report::decode(said, |_| Some([Key::tcp(1)].into())) {
                Ok(Report::LookedUp(id, _) | Report::Busy(id)) if id == last => break,
                _ => {}
            }
        }
    }
    assert!(orders > 100, "{orders}");
    let sorted = |steering: &Steering| {
        let mut all = [ListKind::Assignments, ListKind::Suspensions].map(|kind| steering.in_force(kind)).concat();
        all.sort_by_key(|one| format!("{one:?}"));
        all
    };
    assert_eq!(sorted(&recorder), sorted(&model));
}
