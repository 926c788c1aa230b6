//! Totals of connections that run, as queries want them: asked of the workers, and kept for a moment for whoever asks next. Owns what is kept.
//! Who has to ask asks for others that were wanted lately and are getting old, too. One that may not wait gets what is kept; now and then one is sent
//! to where it can wait, and so asks for all of them: thousands a second are not slowed down by workers.
//! Called by query threads, and by the API's for what is kept.

use super::handle::Steering;
use crate::class::ClassId;
use crate::limits::{
    TOTALS_GOOD_NS, TOTALS_KEPT, TOTALS_KEPT_OF_ONE, TOTALS_PAUSE_NS, TOTALS_SILENT_NS, TOTALS_TOGETHER,
};
use crate::packet::key::Key;
use crate::query::{LookedUp, Running};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What nobody has wanted for so long is not asked for with the rest.
const WANTED: Duration = Duration::from_nanos(2 * TOTALS_GOOD_NS);

/// The way to the workers.
pub struct Totals {
    steering: Steering,
    kept: Mutex<Kept>,
    /// Held by who asks.
    turn: Mutex<()>,
}

#[derive(Default)]
struct Kept {
    all: HashMap<Key, Wanted>,
    /// When one that may not wait was last sent to where it can.
    sent: Option<Instant>,
    /// Workers that have not answered: until then they are not asked.
    silent: HashMap<usize, Instant>,
}

struct Wanted {
    lately: Instant,
    /// When it was asked for, and what the answer was.
    told: Option<(Instant, LookedUp)>,
}

impl Totals {
    /// Of these workers.
    pub fn new(steering: Steering) -> Totals {
        Totals { steering, kept: Mutex::default(), turn: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, keys: &[Key]) -> Vec<LookedUp> {
        let skip: Vec<usize> = {
            let (mut kept, now) = (self.kept(), Instant::now());
            kept.silent.retain(|_, until| now < *until);
            kept.silent.keys().copied().collect()
        };
        let (found, silent) = self.steering.totals(keys, &skip);
        let until = Instant::now() + Duration::from_nanos(TOTALS_SILENT_NS);
        self.kept().silent.extend(silent.into_iter().map(|worker| (worker, until)));
        found
    }
}

impl Running for Totals {
    fn totals(&self, keys: &[Key]) -> Vec<LookedUp> {
        let begun = Instant::now();
        let few = self.kept().want(keys);
        // Two locks: who waits for his turn has said what he wants, and may find that it was asked for meanwhile.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !few {
            return self.ask(keys);
        }
        let known = self.kept().get(keys, begun);
        if let Some(known) = known {
            return known;
        }
        let wanted = self.kept().wanted(keys);
        let (asked, found) = (Instant::now(), self.ask(&wanted));
        let mut kept = self.kept();
        for (key, looked) in wanted.iter().zip(found) {
            if let Some(one) = kept.all.get_mut(key) {
                one.told = Some((asked, looked));
            }
        }
        kept.get(keys, begun).unwrap_or_else(|| vec![LookedUp::Unknown; keys.len()])
    }

    fn known(&self, keys: &[Key]) -> Option<Vec<LookedUp>> {
        let (mut kept, now) = (self.kept(), Instant::now());
        kept.want(keys);
        let good = |at: Instant| now.duration_since(at) < Duration::from_nanos(TOTALS_GOOD_NS);
        let told = |key: &Key| kept.all.get(key)?.told.filter(|(at, _)| good(*at));
        let found: Vec<_> = keys.iter().map(told).collect();
        let lately = |at: Instant| now.duration_since(at) < Duration::from_nanos(TOTALS_PAUSE_NS);
        if found.iter().all(Option::is_some) || kept.sent.is_some_and(lately) {
            return Some(found.into_iter().map(|told| told.map_or(LookedUp::Unknown, |(_, looked)| looked)).collect());
        }
        kept.sent = Some(now);
        None
    }

    fn class(&self, id: ClassId) -> Option<String> {
        self.steering.class(id)
    }
}

impl Kept {
    /// Notes that these are wanted; false: there is no room for them.
    fn want(&mut self, keys: &[Key]) -> bool {
        let now = Instant::now();
        if keys.len() > TOTALS_KEPT_OF_ONE {
            return false;
        }
        if self.all.len() + keys.len() > TOTALS_KEPT {
            self.all.retain(|_, one| now.duration_since(one.lately) < WANTED);
        }
        for key in keys {
            let room = self.all.len() < TOTALS_KEPT;
            match self.all.get_mut(key) {
                Some(one) => one.lately = now,
                None if room => drop(self.all.insert(*key, Wanted { lately: now, told: None })),
                None => return false,
            }
        }
        true
    }

    /// These, and others that are wanted and will soon be too old.
    fn wanted(&self, keys: &[Key]) -> Vec<Key> {
        let now = Instant::now();
        let soon = |one: &Wanted| one.told.is_none_or(|(at, _)| now.duration_since(at) > WANTED / 4);
        let more =
            |(key, one): &(&Key, &Wanted)| now.duration_since(one.lately) < WANTED && soon(one) && !keys.contains(key);
        keys.iter().chain(self.all.iter().filter(more).map(|(key, _)| key).take(TOTALS_TOGETHER)).copied().collect()
    }

    /// What is known of these, if all of them were asked for since then.
    fn get(&self, keys: &[Key], since: Instant) -> Option<Vec<LookedUp>> {
        let one = |key: &Key| self.all.get(key)?.told.filter(|(at, _)| *at >= since);
        keys.iter().map(|key| one(key).map(|(_, looked)| looked)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::TOTALS_OF_BOX;
    use crate::packet::Parser;
    use crate::worker::mailbox::Errand;
    use crate::worker::run::Line;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;

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
    fn what_was_asked_is_kept_and_asked_for_together() {
        let line = Arc::new(Line::default());
        let steering = Steering::new(vec![line.clone()], Parser::new(0, true), vec![Some("all".into())]);
        let (totals, end) = (Totals::new(steering), AtomicBool::new(false));
        let (looks, keys) = std::thread::scope(|s| {
            let worker = s.spawn(|| worker(&line, &end));
            let ask = || {
                assert_eq!(totals.known(&[Key::tcp(1)]), None, "nobody has asked yet");
                // Whoever comes right after it is not sent away too.
                totals.known(&[Key::tcp(2)]);
                assert_eq!(totals.totals(&[Key::tcp(3)]), [LookedUp::Absent]);
                let all = totals.known(&[Key::tcp(1), Key::tcp(2), Key::tcp(3)]);
                let many: Vec<Key> = (0..100).map(Key::tcp).collect();
                (all, totals.totals(&many).len())
            };
            // The worker's thread ends, whatever fails.
            let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask));
            end.store(true, Relaxed);
            let counted = worker.join().unwrap();
            assert_eq!(asked.unwrap(), (Some(vec![LookedUp::Absent; 3]), 100));
            counted
        });
        assert_eq!((looks, keys), (2, 3 + 100), "three at once, and the many that are not kept");
    }

    #[test]
    fn a_worker_that_is_silent_is_waited_for_once() {
        let line = Arc::new(Line::default());
        // It ends, which is known at once.
        line.stop.store(true, Relaxed);
        let steering = Steering::new(vec![line.clone()], Parser::new(0, true), vec![Some("all".into())]);
        let totals = Totals::new(steering);
        assert_eq!(totals.totals(&[Key::tcp(1)]), [LookedUp::Unknown]);
        assert!(line.mail.errands.is_empty(), "what it has not taken it never gets");
        line.stop.store(false, Relaxed);
        assert_eq!(totals.totals(&[Key::tcp(1)]), [LookedUp::Unknown], "asked again a little later only");
        assert_eq!(totals.known(&[Key::tcp(1)]), Some(vec![LookedUp::Unknown]), "and another way would know no more");
    }

    /// More than one box takes, of two workers, of which one does not answer: the other says all that it knows.
    #[test]
    fn one_that_is_silent_blinds_nobody_else() {
        let lines = [Arc::new(Line::default()), Arc::new(Line::default())];
        lines[1].stop.store(true, Relaxed);
        let steering = Steering::new(lines.to_vec(), Parser::new(0, true), vec![Some("all".into())]);
        let (totals, end) = (Totals::new(steering), AtomicBool::new(false));
        let keys: Vec<Key> = (0..3 * TOTALS_OF_BOX as u16).map(Key::tcp).collect();
        let (looks, found) = std::thread::scope(|s| {
            let worker = s.spawn(|| worker(&lines[0], &end));
            let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| totals.totals(&keys)));
            end.store(true, Relaxed);
            (worker.join().unwrap(), asked.unwrap())
        });
        let absent = found.iter().filter(|f| **f == LookedUp::Absent).count();
        assert_eq!((looks.0, looks.1), (absent.div_ceil(TOTALS_OF_BOX), absent));
        assert!(absent > TOTALS_OF_BOX && absent < keys.len(), "{absent}");
        assert_eq!(found.iter().filter(|f| **f == LookedUp::Unknown).count(), keys.len() - absent);
    }
}
