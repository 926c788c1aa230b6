//! Totals of connections that run, as queries want them: asked of capture, and kept for a moment for whoever asks next. Owns what is kept.
//! Who has to ask asks for others that were wanted lately and are getting old, too. One that may not wait gets what is kept; now and then one is sent
//! to where it can wait, and so asks for all of them: thousands a second are not slowed down by workers.
//! Called by query threads, and by the API's for what is kept.

use crate::class::ClassId;
use crate::limits::{TOTALS_GOOD_NS, TOTALS_KEPT, TOTALS_KEPT_OF_ONE, TOTALS_PAUSE_NS, TOTALS_TOGETHER};
use crate::messages::ToCapture;
use crate::packet::key::Key;
use crate::query::{LookedUp, Running};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What nobody has wanted for so long is not asked for with the rest.
const WANTED: Duration = Duration::from_nanos(2 * TOTALS_GOOD_NS);

/// The way to the workers, and what they have said.
pub struct Totals {
    capture: ToCapture,
    kept: Mutex<Kept>,
    /// Held by who asks.
    turn: Mutex<()>,
}

#[derive(Default)]
struct Kept {
    all: HashMap<Key, Wanted>,
    /// When one that may not wait was last sent to where it can.
    sent: Option<Instant>,
}

struct Wanted {
    lately: Instant,
    /// When it was asked for, and what the answer was.
    told: Option<(Instant, LookedUp)>,
}

impl Totals {
    /// Of the workers of this recorder.
    pub fn new(capture: ToCapture) -> Totals {
        Totals { capture, kept: Mutex::default(), turn: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running for Totals {
    fn totals(&self, keys: &[Key]) -> Vec<LookedUp> {
        let begun = Instant::now();
        let few = self.kept().want(keys);
        // Two locks: who waits for his turn has said what he wants, and may find that it was asked for meanwhile.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !few {
            return self.capture.look_up(keys);
        }
        let known = self.kept().get(keys, begun);
        if let Some(known) = known {
            return known;
        }
        let wanted = self.kept().wanted(keys);
        let (asked, found) = (Instant::now(), self.capture.look_up(&wanted));
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
        self.capture.class(id)
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
    use crate::limits::MESSAGE_BYTES;
    use crate::messages::{Report, Request, RequestKind, Socket, ToServe};

    /// Answers look-ups as capture does, of which nothing runs, until nobody asks any more: how many, and of how many connections.
    fn answers(socket: &Socket) -> (usize, usize) {
        let (mut looks, mut of) = (0, 0);
        let (mut buffer, to_serve) = (Box::new([0; MESSAGE_BYTES]), ToServe::default());
        while let Some(bytes) = socket.receive(&mut buffer) {
            let Ok(Request { id, asked: RequestKind::LookUp(keys) }) = Request::decode(bytes) else { continue };
            (looks, of) = (looks + 1, of + keys.len());
            to_serve.answer(socket, &Report::LookedUp(id, vec![LookedUp::Absent; keys.len()]), &keys);
        }
        (looks, of)
    }

    #[test]
    fn what_was_asked_is_kept_and_asked_for_together() {
        let (ours, theirs) = Socket::pair().unwrap();
        let capture = std::thread::spawn(move || answers(&ours));
        let to_capture = ToCapture::new(theirs);
        to_capture.receive_on_a_thread().unwrap();
        let totals = Totals::new(to_capture);
        assert_eq!(totals.known(&[Key::tcp(1)]), None, "nobody has asked yet");
        // Whoever comes right after it is not sent away too.
        totals.known(&[Key::tcp(2)]);
        assert_eq!(totals.totals(&[Key::tcp(3)]), [LookedUp::Absent]);
        let all = totals.known(&[Key::tcp(1), Key::tcp(2), Key::tcp(3)]);
        let many: Vec<Key> = (0..100).map(Key::tcp).collect();
        let asked = totals.totals(&many).len();
        drop(totals);
        let counted = capture.join().unwrap();
        assert_eq!((all, asked), (Some(vec![LookedUp::Absent; 3]), 100));
        assert_eq!(counted, (2, 3 + 100), "three at once, and the many that are not kept");
    }

    #[test]
    fn a_capture_that_has_ended_is_not_waited_for() {
        let (ours, theirs) = Socket::pair().unwrap();
        let to_capture = ToCapture::new(theirs);
        to_capture.receive_on_a_thread().unwrap();
        let totals = Totals::new(to_capture);
        drop(ours);
        assert_eq!(totals.totals(&[Key::tcp(1)]), [LookedUp::Unknown]);
        assert_eq!(totals.known(&[Key::tcp(1)]), Some(vec![LookedUp::Unknown]), "and another way would know no more");
    }
}
