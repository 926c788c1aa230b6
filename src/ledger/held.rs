//! Ledger and receipts as a recorder holds them for its queries: brought up to date by the query that comes first after a write, so that
//! thousands a second read no file. What memory does not hold the files tell: the answers are the same.

use super::digest::Digest;
use super::fresh::Fresh;
use super::told::{Ahead, Covered, Files, LossSum, Told};
use super::{ExpiredSpan, LedgerError, Pulse};
use crate::conn::receipt::Receipt;
use crate::packet::key::Key;
use std::collections::HashSet;
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, TryLockError};

/// So many connections of one answer are looked up one by one; for more the files are read through.
const KEYS_MAX: usize = 4096;

/// What is held, as one way of asking sees it.
#[derive(Clone)]
pub struct Held {
    all: Arc<All>,
    /// What is not held is read from the files; else it is an error.
    may_read: bool,
}

struct All {
    files: Files,
    ledger: One<Digest>,
    receipts: One<Fresh>,
}

/// One thing that is held, and how often had been written what it was read from.
struct One<T> {
    pulse: Arc<Pulse>,
    it: RwLock<(Option<u64>, T)>,
}

type Reading<'a, T> = RwLockReadGuard<'a, (Option<u64>, T)>;

impl<T> One<T> {
    fn new(pulse: Arc<Pulse>, it: T) -> One<T> {
        One { pulse, it: RwLock::new((None, it)) }
    }

    /// It, if it is up to date and nobody reads on.
    fn at_hand(&self) -> Option<Reading<'_, T>> {
        let held = match self.it.try_read() {
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Ok(held) => held,
        };
        (held.0 == Some(self.pulse.writes())).then_some(held)
    }

    /// It, up to date; `read_on` brings it there.
    fn now(
        &self,
        read_on: impl FnOnce(&mut T, &Pulse) -> Result<(), LedgerError>,
    ) -> Result<Reading<'_, T>, LedgerError> {
        if let Some(held) = self.at_hand() {
            return Ok(held);
        }
        let mut held = self.it.write().unwrap_or_else(PoisonError::into_inner);
        let writes = self.pulse.writes();
        if held.0 != Some(writes) {
            // Not up to date until it has succeeded.
            held.0 = None;
            read_on(&mut held.1, &self.pulse)?;
            held.0 = Some(writes);
        }
        drop(held);
        // What another has read meanwhile is later still.
        Ok(self.it.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    /// Nothing is read yet. `ledger`, `receipts`: the pulses of their writers.
    pub fn new(files: Files, ledger: Arc<Pulse>, receipts: Arc<Pulse>) -> Held {
        let (ledger, receipts) = (One::new(ledger, Digest::new()), One::new(receipts, Fresh::default()));
        Held { all: Arc::new(All { files, ledger, receipts }), may_read: true }
    }

    /// The same for whoever must not wait for the disk: what would take a look at a file is an error instead.
    pub fn at_hand(&self) -> Held {
        Held { all: self.all.clone(), may_read: false }
    }

    fn digest(&self) -> Result<Reading<'_, Digest>, LedgerError> {
        let All { files, ledger, .. } = &*self.all;
        match self.may_read {
            true => ledger.now(|digest, _| digest.read_on(&files.ledger)),
            false => ledger.at_hand().ok_or_else(|| self.not_at_hand()),
        }
    }

    fn fresh(&self) -> Result<Reading<'_, Fresh>, LedgerError> {
        let All { files, receipts, .. } = &*self.all;
        match self.may_read {
            true => receipts.now(|fresh, _| fresh.read_on(&files.receipts)),
            false => receipts.at_hand().ok_or_else(|| self.not_at_hand()),
        }
    }

    /// The files, for what is not held.
    fn files(&self) -> Result<&Files, LedgerError> {
        if self.may_read { Ok(&self.all.files) } else { Err(self.not_at_hand()) }
    }

    fn not_at_hand(&self) -> LedgerError {
        LedgerError { path: self.all.files.ledger.clone(), source: io::ErrorKind::WouldBlock.into() }
    }
}

impl Told for Held {
    fn losses(&self, from: u64, to: u64) -> Result<Vec<LossSum>, LedgerError> {
        let held = self.digest()?.1.losses(from, to);
        held.map_or_else(|| self.files()?.losses(from, to), Ok)
    }

    fn expired(&self, from: u64, to: u64) -> Result<Vec<ExpiredSpan>, LedgerError> {
        Ok(self.digest()?.1.expired(from, to))
    }

    fn broken_imports(&self) -> Result<Vec<u64>, LedgerError> {
        Ok(self.digest()?.1.broken_imports())
    }

    fn covered(&self, from: u64, to: u64) -> Result<Covered, LedgerError> {
        Ok(self.digest()?.1.covered(from, to, self.all.ledger.pulse.alive()))
    }

    fn only_imported(&self) -> Result<bool, LedgerError> {
        Ok(self.digest()?.1.only_imported())
    }

    fn receipts(
        &self,
        window: (u64, u64),
        keys: &HashSet<Key>,
        go_on: &dyn Fn() -> bool,
        each: &mut dyn FnMut(&Receipt, bool),
    ) -> Result<(), LedgerError> {
        // What is held is little, and no reason to ask.
        if keys.len() <= KEYS_MAX && look_up(&self.fresh()?.1, window, keys, each) {
            return Ok(());
        }
        self.files()?.receipts(window, keys, go_on, each)
    }

    fn ahead(&self, from: u64, to: u64, keys: HashSet<Key>) -> Option<Ahead> {
        let held = !self.may_read || self.fresh().ok()?.1.has_all_from(from);
        if held { None } else { self.all.files.ahead(from, to, keys) }
    }
}

/// False: the files must be asked.
fn look_up(fresh: &Fresh, (from, to): (u64, u64), keys: &HashSet<Key>, each: &mut dyn FnMut(&Receipt, bool)) -> bool {
    if !keys.is_empty() && !fresh.has_all_from(from) {
        return false;
    }
    let mut found = |r: &Receipt, tagged: bool| {
        if r.first < to && r.last >= from {
            each(r, tagged);
        }
    };
    for key in keys {
        fresh.find(key, &mut found);
    }
    // Where VLAN ids do not tell connections apart, one receipt is of all that differ in nothing else.
    let untagged: HashSet<Key> = keys.iter().map(|k| k.untagged()).collect();
    for key in untagged.difference(keys) {
        fresh.find(key, |r, tagged| {
            if !tagged {
                found(r, tagged);
            }
        });
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::receipt::End;
    use crate::ledger::{LEDGER_BYTES, Ledger, RECEIPTS_BYTES, Receipts, What};
    use crate::packet::key::{Key4, Tail};
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    fn key(n: u8, vlan: u16) -> Key {
        let tail = Tail { port: [u16::from(n), 80], vlan: [vlan, 0], proto: 6, ..Tail::default() };
        Key::V4(Key4 { addr: [[10, 0, 0, n], [10, 0, 0, 200]], tail })
    }

    fn receipt(n: u8, vlan: u16, first: u64, last: u64) -> Receipt {
        let (seen, stored) = (u64::from(n) + 5, u64::from(n));
        Receipt {
            key: key(n, vlan),
            first,
            last,
            seen_packets: seen,
            seen_bytes: 100 * seen,
            stored_packets: stored,
            stored_bytes: 100 * stored,
            end: End::Idle,
            class: 0,
            originator: 0,
            cut: true,
        }
    }

    /// What is told of a window and some connections.
    fn said(told: &dyn Told, from: u64, to: u64) -> Result<impl PartialEq + std::fmt::Debug + use<>, LedgerError> {
        let mut receipts = Vec::new();
        let keys = (0..8).map(|n| key(n, u16::from(n % 3))).collect();
        told.receipts((from, to), &keys, &|| true, &mut |r, tagged| {
            receipts.push((r.key.words(), r.first, r.last, tagged))
        })?;
        receipts.sort_unstable();
        Ok((told.losses(from, to)?, told.expired(from, to)?, told.covered(from, to)?, told.only_imported()?, receipts))
    }

    #[derive(Clone, Debug)]
    enum Step {
        Entry(What),
        Beat,
        Receipts(Vec<Receipt>, bool),
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        let what = prop_oneof![
            prop::sample::select(vec!["xdp", "file"]).prop_map(|source| What::Started {
                version: "1".into(),
                source: source.into(),
                config: serde_json::Value::Null
            }),
            Just(What::Stopped),
            (0..3u64, 0..2u8, prop::option::of((0..300 * S, 0..200 * S))).prop_map(|(packets, n, span)| What::Loss {
                cause: "disk_stall".into(),
                place: format!("worker-{n}"),
                class: (packets == 2).then(|| "dns".to_owned()),
                packets,
                span: span.map(|(first, long)| (first, first + long)),
            }),
            (0..400 * S, 0..50 * S, 0..3usize).prop_map(|(first, long, n)| What::Expired {
                class: [None, Some("all"), Some("dns")].get(n).and_then(|c| c.map(str::to_owned)),
                first,
                last: Some(first + long),
            }),
            prop::sample::select(vec![-150 * S as i64, 300 * S as i64]).prop_map(|by| What::ClockStep { by }),
            any::<bool>().prop_map(|down| {
                let interface = "eth0".to_owned();
                if down { What::LinkDown { interface } } else { What::LinkUp { interface } }
            }),
            Just(What::Note { text: "x".into() }),
        ];
        let one =
            (0..8u8, 0..3u16, 0..400u64, 0..50u64).prop_map(|(n, v, at, len)| receipt(n, v, at * S, (at + len) * S));
        prop_oneof![
            4 => what.prop_map(Step::Entry),
            2 => Just(Step::Beat),
            3 => (prop::collection::vec(one, 1..40), any::<bool>()).prop_map(|(all, tagged)| Step::Receipts(all, tagged)),
            1 => Just(Step::Restart),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Memory says what the files say, after each write, over days, and after the budget has taken some; and what is at hand says the same.
        #[test]
        fn memory_says_what_the_files_say(
            steps in prop::collection::vec((step(), 0..30_000u64), 1..60), window in (0..450u64, 0..450u64), small in any::<bool>(),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let files = Files { ledger: dir.path().join("ledger"), receipts: dir.path().join("receipts") };
            let budget = if small { 2000 } else { LEDGER_BYTES };
            let mut now = S;
            let open = |now| (
                Ledger::open(&files.ledger, budget, now).unwrap(), Receipts::open(&files.receipts, RECEIPTS_BYTES).unwrap()
            );
            let (mut ledger, mut receipts) = open(now);
            let held = |l: &Ledger, r: &Receipts| Held::new(files.clone(), l.pulse().clone(), r.pulse().clone());
            let mut it = held(&ledger, &receipts);
            for (step, later) in steps {
                now += later * S;
                match step {
                    Step::Entry(what) => ledger.append(now, what).unwrap(),
                    Step::Beat => ledger.beat(now).unwrap(),
                    Step::Receipts(all, tagged) => {
                        receipts = receipts.vlan_in_key(tagged);
                        receipts.append(now, &all).unwrap();
                    }
                    Step::Restart => {
                        (ledger, receipts) = open(now);
                        ledger.beat(now).unwrap();
                        it = held(&ledger, &receipts);
                    }
                }
                let (from, to) = (window.0 * S, window.1 * S);
                for (from, to) in [(0, u64::MAX), (from.min(to), from.max(to)), (now - now % (1000 * S), now)] {
                    let want = said(&files, from, to).unwrap();
                    prop_assert_eq!(&said(&it, from, to).unwrap(), &want);
                    if let Ok(at_once) = said(&it.at_hand(), from, to) {
                        prop_assert_eq!(&at_once, &want);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_up_to_date_is_not_at_hand() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files { ledger: dir.path().join("ledger"), receipts: dir.path().join("receipts") };
        let mut ledger = Ledger::open(&files.ledger, LEDGER_BYTES, S).unwrap();
        let mut receipts = Receipts::open(&files.receipts, RECEIPTS_BYTES).unwrap();
        let it = Held::new(files, ledger.pulse().clone(), receipts.pulse().clone());
        assert!(said(&it.at_hand(), 0, 9).is_err(), "nothing was read");
        said(&it, 0, 9).unwrap();
        assert!(said(&it.at_hand(), 1, 9).is_ok());
        receipts.append(S, &[receipt(1, 1, 3, 5)]).unwrap();
        assert!(said(&it.at_hand(), 1, 9).is_err(), "receipts have come");
        said(&it, 1, 9).unwrap();
        assert!(said(&it.at_hand(), 1, 9).is_ok());
        ledger.beat(2 * S).unwrap();
        assert!(said(&it.at_hand(), 1, 9).is_err(), "the ledger has been written");
    }

    /// More than memory holds: the files tell of what it has let go.
    #[test]
    fn what_was_let_go_is_found_in_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files { ledger: dir.path().join("ledger"), receipts: dir.path().join("receipts") };
        let mut ledger = Ledger::open(&files.ledger, LEDGER_BYTES, S).unwrap();
        let mut receipts = Receipts::open(&files.receipts, RECEIPTS_BYTES).unwrap();
        let it = Held::new(files.clone(), ledger.pulse().clone(), receipts.pulse().clone());
        let many: Vec<Receipt> = (0..150_000u64).map(|n| receipt(100, 1, n, n + 1)).collect();
        for second in 0..12 {
            let all: Vec<Receipt> =
                many.iter().map(|r| Receipt { first: r.first + second * S, last: r.last + second * S, ..*r }).collect();
            receipts.append(second * S, &all).unwrap();
            receipts.append(second * S, &[receipt(1, 1, second * S, second * S + 7)]).unwrap();
            said(&it, 1, 2).unwrap();
        }
        for n in 0..crate::limits::LOSSES_HELD as u64 + 10 {
            let (cause, place) = ("ring_full".into(), "eth0".into());
            ledger.append(S + n, What::Loss { cause, place, class: None, packets: 1, span: None }).unwrap();
        }
        for from in [0, 1, S, 2 * S, 3 * S, 11 * S] {
            for to in [from + 5, from + S, u64::MAX] {
                assert_eq!(said(&it, from, to).unwrap(), said(&files, from, to).unwrap(), "{from}..{to}");
            }
        }
        assert!(said(&it.at_hand(), 11 * S, 12 * S).is_ok(), "the latest are held");
        assert!(said(&it.at_hand(), 1, 12 * S).is_err(), "the first are not");
    }
}
