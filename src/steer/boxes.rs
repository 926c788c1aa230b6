//! What goes to a worker in a box and comes back in it: rules, which reach every worker sooner or later, and look-ups, which are given up when
//! a worker does not answer. Owns the numbers of boxes, and who is late. Called by [`handle`](super::handle) and the control thread.

use super::handle::{LOOK, Steering};
use crate::limits::ANSWER_NS;
use crate::worker::mailbox::{Errand, Rules};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is known of boxes.
#[derive(Debug, Default)]
pub struct Boxes {
    /// Number of the last.
    pub number: u64,
    /// Rules that a worker was given and has not answered for: worker and number.
    late: Vec<(usize, u64)>,
    /// Workers that have answered for them since.
    caught_up: Vec<usize>,
}

impl Steering {
    /// Puts rules in force, one for each worker in their order, in all of them together: in force when this returns, but in the workers that it
    /// names. These did not answer; their rules wait for them, and [`caught_up`](Steering::caught_up) tells when they have them.
    pub fn rules(&self, rules: impl IntoIterator<Item = Rules>) -> Vec<usize> {
        let mut boxes = self.boxes();
        boxes.number += 1;
        let number = boxes.number;
        for (line, rules) in self.workers.lines.iter().zip(rules) {
            // Rules that were not taken yet are those of before.
            drop(line.mail.errands.pop());
            let _ = line.mail.errands.push((number, Errand::Rules(Box::new(rules))));
        }
        boxes.late.clear();
        let until = Instant::now() + Duration::from_nanos(ANSWER_NS);
        for n in 0..self.workers.lines.len() {
            // What the worker had is freed here.
            match self.answer(&mut boxes, n, number, until) {
                Some(had) => drop(had),
                None => boxes.late.push((n, number)),
            }
        }
        boxes.late.iter().map(|(n, _)| *n).collect()
    }

    /// Workers that have got by now the rules that they had not answered for; each is told once.
    pub fn caught_up(&self) -> Vec<usize> {
        let mut boxes = self.boxes();
        for (n, number) in boxes.late.clone() {
            let _ = self.answer(&mut boxes, n, number, Instant::now());
        }
        std::mem::take(&mut boxes.caught_up)
    }

    pub(super) fn boxes(&self) -> MutexGuard<'_, Boxes> {
        self.workers.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False: the worker has not taken the one before.
    pub(super) fn post(&self, n: usize, number: u64, errand: Errand) -> bool {
        self.workers.lines.get(n).is_some_and(|line| line.mail.errands.push((number, errand)).is_ok())
    }

    /// A look-up that comes back until then; one that does not is taken out again.
    pub(super) fn back(&self, boxes: &mut Boxes, n: usize, number: u64, until: Instant) -> Option<Errand> {
        if let Some(errand) = self.answer(boxes, n, number, until) {
            return Some(errand);
        }
        // Not taken yet: then it never is.
        if let Some(line) = self.workers.lines.get(n) {
            drop(line.mail.errands.pop());
        }
        None
    }

    /// The box of this number, if it comes until then.
    fn answer(&self, boxes: &mut Boxes, n: usize, number: u64, until: Instant) -> Option<Errand> {
        let line = self.workers.lines.get(n)?;
        loop {
            match line.mail.done.pop() {
                Some((of, errand)) => {
                    if let Some(at) = boxes.late.iter().position(|late| *late == (n, of)) {
                        boxes.late.remove(at);
                        boxes.caught_up.push(n);
                    }
                    if of == number {
                        return Some(errand);
                    }
                    // Else it is what an earlier sender has not waited for.
                }
                // One that ends may take none any more.
                None if Instant::now() >= until || line.stop.load(Relaxed) => return None,
                None => std::thread::sleep(LOOK),
            }
        }
    }
}
