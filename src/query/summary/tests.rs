//! Connections of an answer, against receipts and workers that say what a test wants; and the memory that they take.

use super::connections::ASKED_EACH;
use super::met::NAME_BYTES;
use super::{IncompleteReason, Met, MetPacket, Summary};
use crate::class::ClassId;
use crate::conn::receipt::{End, Receipt};
use crate::ledger::{Covered, ExpiredSpan, LedgerError, LossSum, Told};
use crate::limits::COUNT_BYTES_SURE;
use crate::packet::key::Key;
use crate::query::engine::Means;
use crate::query::judge::Compiled;
use crate::query::pace::{Freely, Pace, Stopped};
use crate::query::room::AnswerRoom;
use crate::query::{LookedUp, Running};
use std::collections::HashSet;
use std::sync::Arc;

/// Receipts, and what a worker says of the one name.
struct Entered(Vec<Receipt>, LookedUp);

impl Told for Entered {
    fn losses(&self, _: u64, _: u64) -> Result<Vec<LossSum>, LedgerError> {
        Ok(Vec::new())
    }
    fn expired(&self, _: u64, _: u64) -> Result<Vec<ExpiredSpan>, LedgerError> {
        Ok(Vec::new())
    }
    fn broken_imports(&self) -> Result<Vec<u64>, LedgerError> {
        Ok(Vec::new())
    }
    fn covered(&self, _: u64, _: u64) -> Result<Covered, LedgerError> {
        Ok(Covered::default())
    }
    fn only_imported(&self) -> Result<bool, LedgerError> {
        Ok(false)
    }
    fn receipts(
        &self,
        _: (u64, u64),
        _: &HashSet<Key>,
        _: &dyn Fn() -> bool,
        each: &mut dyn FnMut(&Receipt, bool),
    ) -> Result<(), LedgerError> {
        self.0.iter().for_each(|r| each(r, true));
        Ok(())
    }
}

impl Running for Entered {
    fn totals(&self, keys: &[Key]) -> Vec<LookedUp> {
        vec![self.1; keys.len()]
    }
    fn known(&self, _: &[Key]) -> Option<Vec<LookedUp>> {
        None
    }
    fn class(&self, _: ClassId) -> Option<String> {
        None
    }
}

const MS: u64 = 1_000_000;

fn means<'a>(books: &'a Entered, compiled: &'a Compiled, counts: &'a Arc<AnswerRoom>) -> Means<'a> {
    Means { told: books, running: Some(books), reach: None, compiled, counts, at_hand: false }
}

/// Connections, those that run, those of which nobody tells, packets cut; of packets at these times, in ms, some of which begin one.
fn settled(packets: &[(u64, bool)], receipts: &[Receipt], says: LookedUp) -> [u64; 4] {
    let room = AnswerRoom::new(1 << 20, 1 << 20);
    let mut met = Met::new(&room);
    for &(ms, begins) in packets {
        met.note(MetPacket { key: Key::tcp(1), time: ms * MS, begins, cut: false, moved: false });
    }
    let books = Entered(receipts.to_vec(), says);
    let (compiled, mut s) = (Compiled::default(), Summary::default());
    met.settle(means(&books, &compiled, &room), &Freely, &mut s).unwrap();
    [s.connections, s.running_connections, s.open_connections, s.cut_packets]
}

fn receipt(first: u64, last: u64, end: End) -> Receipt {
    let r = Receipt::of_one(Key::tcp(1), first * MS, last * MS);
    Receipt { end, cut: true, seen_packets: 5, stored_packets: 2, ..r }
}

#[test]
fn of_one_that_follows_another_both_are_told() {
    let packets = [(0, true), (10, false), (500, true), (510, false)];
    let (first, second) = (receipt(0, 20, End::Reset), receipt(500, 510, End::Lasting));
    let runs = LookedUp::Runs(second);
    assert_eq!(settled(&packets, &[first], runs), [2, 1, 0, 6]);
    // Its receipt is on its way: that there was one is told, and that its totals are not.
    assert_eq!(settled(&packets, &[], runs), [2, 1, 1, 3]);
    // The same without a SYN, so that their packets are not told apart.
    let alike = packets.map(|(ms, _)| (ms, false));
    assert_eq!(settled(&alike, &[first], runs), [2, 1, 0, 6]);
    assert_eq!(settled(&alike, &[], runs), [2, 1, 1, 3]);
    // What a worker said up to a second ago is of the one that has ended since.
    assert_eq!(settled(&packets, &[first], LookedUp::Runs(receipt(0, 10, End::Lasting))), [2, 0, 1, 3]);
    // Nobody knows: by silence.
    assert_eq!(settled(&packets, &[], LookedUp::Absent), [1, 0, 1, 0]);
    let apart = [(0, true), (10, false), (400_000, true)];
    assert_eq!(settled(&apart, &[], LookedUp::Absent), [2, 0, 2, 0]);
}

#[test]
fn two_within_one_tick_are_two() {
    let (reset, next) = (receipt(5, 5, End::Reset), receipt(5, 9, End::Closed));
    assert_eq!(settled(&[(5, true), (9, false)], &[reset, next], LookedUp::Absent), [2, 0, 0, 6]);
    assert_eq!(settled(&[(5, true)], &[reset, reset], LookedUp::Absent), [2, 0, 0, 6]);
}

#[test]
fn one_that_lasts_is_one() {
    let packets = [(0, true), (1000, false), (200_000, false), (400_000, false)];
    let hourly = receipt(0, 1000, End::Lasting);
    assert_eq!(settled(&packets, &[hourly], LookedUp::Absent), [1, 0, 0, 3]);
    assert_eq!(settled(&packets, &[hourly], LookedUp::Runs(receipt(0, 400_000, End::Lasting))), [1, 1, 0, 3]);
}

/// Of more than there is memory for, those that were met first are counted, and it is said what is not; nothing is taken beyond the room, and all of
/// it is given back. A few have room in any case.
#[test]
fn what_finds_no_room_is_told() {
    let name = |n: u32| {
        let mut key = Key::tcp(1);
        if let Key::V4(k) = &mut key {
            k.addr[0] = n.to_be_bytes();
        }
        key
    };
    let sure = (COUNT_BYTES_SURE / NAME_BYTES) as u32;
    for (all, one) in [(1 << 20, 2 << 20), (2 << 20, 1 << 20)] {
        let (room, compiled) = (AnswerRoom::new(all, one), Compiled::default());
        let (many, mut s) = (sure + 10_000, Summary::default());
        let fit = u64::from(sure) + (1 << 20) / NAME_BYTES;
        let mut met = Met::new(&room);
        for time in 0..3 {
            for n in 0..many {
                met.note(MetPacket { key: name(n), time, begins: false, cut: false, moved: false });
            }
        }
        assert_eq!((met.len() as u64, room.taken()), (fit, 1 << 20));
        let left_out = u64::from(many) - fit;
        let ended = |n: u32| Receipt { end: End::Closed, ..Receipt::of_one(name(n), 0, 2) };
        let books = Entered((0..many).map(ended).collect(), LookedUp::Absent);
        met.settle(means(&books, &compiled, &room), &Freely, &mut s).unwrap();
        // Nobody has memory for their receipts.
        assert_eq!((s.connections, s.uncounted_packets), (fit, 3 * left_out));
        assert_eq!((s.open_connections, s.uncounted_receipts), (fit, u64::from(many)));
        let s = s.concluded();
        let told = IncompleteReason::Uncounted { packets: 3 * left_out, receipts: u64::from(many) };
        assert_eq!((s.complete, s.incomplete), (false, vec![told]));
        drop(met);
        assert_eq!(room.taken(), 0);
    }
    // Below the bounds there is room for all of it.
    let (room, compiled, mut s) = (AnswerRoom::new(4 << 20, 4 << 20), Compiled::default(), Summary::default());
    let mut met = Met::new(&room);
    (0..sure).for_each(|n| met.note(MetPacket { key: name(n), time: 1, begins: false, cut: false, moved: false }));
    assert_eq!(room.taken(), 0, "a few have room in any case");
    let ended = |n: u32| Receipt { end: End::Closed, ..Receipt::of_one(name(n), 0, 2) };
    let books = Entered((0..sure).map(ended).collect(), LookedUp::Absent);
    met.settle(means(&books, &compiled, &room), &Freely, &mut s).unwrap();
    assert_eq!((s.connections, s.open_connections, s.uncounted_receipts), (u64::from(sure), 0, 0));
    assert!(s.concluded().complete);
}

/// Connections of one name, one after another: what it takes goes with their number, and the pace is asked.
#[test]
fn it_ends_when_nobody_waits_any_more() {
    struct Gone(std::cell::Cell<u32>);
    impl Pace for Gone {
        fn go_on(&self) -> bool {
            self.0.set(self.0.get() + 1);
            false
        }
        fn stopped(&self) -> Option<Stopped> {
            Some(Stopped::Gone)
        }
    }
    let (room, compiled, mut s) = (AnswerRoom::new(1 << 30, 1 << 30), Compiled::default(), Summary::default());
    let mut met = Met::new(&room);
    for n in 0..10 * ASKED_EACH as u32 {
        let mut key = Key::tcp(1);
        if let Key::V4(k) = &mut key {
            k.addr[0] = n.to_be_bytes();
        }
        met.note(MetPacket { key, time: 1, begins: false, cut: false, moved: false });
    }
    let (books, pace) = (Entered(Vec::new(), LookedUp::Absent), Gone(0.into()));
    met.settle(means(&books, &compiled, &room), &pace, &mut s).unwrap();
    assert_eq!(pace.0.get(), 1, "it was asked, and obeyed");
}
