//! The handle: commands to all workers, new rules, look-ups. Owns the senders' side of every mailbox; any thread may use it. Small
//! commands don't wait; what comes back in a box is waited for, on the caller's thread.

use crate::conn::orders::{AddressOrder, ConnOrder, Plain, Prefix};
use crate::conn::receipt::Receipt;
use crate::limits::{ANSWER_NS, COMMANDS_WAITING, TOTALS_MAX};
use crate::packet::Parser;
use crate::packet::key::Key;
use crate::worker::mailbox::{Command, Errand, Look, Rules};
use crate::worker::run::Line;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a sender looks whether its box has come back.
const LOOK: Duration = Duration::from_micros(300);

/// Why a worker was not told, or did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SteerError {
    /// The mailbox is full.
    #[error("{COMMANDS_WAITING} commands wait for a worker, more than it takes: try again in a moment")]
    Full,
    /// No answer.
    #[error("worker {0} does not answer")]
    Silent(usize),
    /// Too much at once.
    #[error("{0} connections; at most {TOTALS_MAX} at a time")]
    TooMany(usize),
}

/// The workers of a recording.
#[derive(Clone, Debug)]
pub struct Steering {
    workers: Arc<Workers>,
}

#[derive(Debug)]
struct Workers {
    lines: Vec<Arc<Line>>,
    parser: Parser,
    /// Held by who puts commands in, so that all workers get them or none, and in the same order.
    commands: Mutex<()>,
    /// Held by who sends a box, until it is back.
    /// Its number is that of the last.
    boxes: Mutex<u64>,
}

impl Steering {
    /// Of these workers, whose parser this is.
    pub fn new(lines: Vec<Arc<Line>>, parser: Parser) -> Steering {
        let workers = Workers { lines, parser, commands: Mutex::new(()), boxes: Mutex::new(0) };
        Steering { workers: Arc::new(workers) }
    }

    /// What holds for an address or a net from now on.
    pub fn address(&self, prefix: Prefix, order: AddressOrder) -> Result<(), SteerError> {
        self.send(Command::Address { prefix, order })
    }

    /// What holds for a connection from now on.
    pub fn connection(&self, name: Plain, order: ConnOrder) -> Result<(), SteerError> {
        let hash = self.workers.parser.hash(&name.key());
        self.send(Command::Connection { name, hash, order })
    }

    /// Orders for which a worker's tables had no room, so far; who gives orders keeps within them.
    pub fn refused(&self) -> u64 {
        self.workers.lines.iter().map(|l| l.mail.refused.load(Relaxed)).sum()
    }

    /// To every worker, or to none.
    fn send(&self, command: Command) -> Result<(), SteerError> {
        let _all = self.workers.commands.lock().unwrap_or_else(PoisonError::into_inner);
        if self.workers.lines.iter().any(|l| l.mail.commands.is_full()) {
            return Err(SteerError::Full);
        }
        for line in &self.workers.lines {
            // Nobody else puts anything in.
            let _ = line.mail.commands.push(command);
        }
        Ok(())
    }

    /// Puts rules in force, one for each worker in their order; in force when this returns. The error names the
    /// worker that did not answer: those before it have the new ones.
    pub fn rules(&self, rules: impl IntoIterator<Item = Rules>) -> Result<(), SteerError> {
        let mut number = self.workers.boxes.lock().unwrap_or_else(PoisonError::into_inner);
        for (n, rules) in rules.into_iter().enumerate().take(self.workers.lines.len()) {
            *number += 1;
            self.post(n, *number, Errand::Rules(Box::new(rules)))?;
            // What the worker had is freed here.
            drop(self.back(n, *number)?);
        }
        Ok(())
    }

    /// The true totals of connections that run, counts of the kernel included, as a receipt would have them now; `None` for one that
    /// is not there. In the order of `keys`.
    pub fn totals(&self, keys: &[Key]) -> Result<Vec<Option<Receipt>>, SteerError> {
        if keys.len() > TOTALS_MAX {
            return Err(SteerError::TooMany(keys.len()));
        }
        let hash = |key: &Key| self.workers.parser.hash(key);
        let mut asked = vec![(Vec::new(), Vec::new()); self.workers.lines.len()];
        for (i, key) in keys.iter().enumerate() {
            let hash = hash(key);
            // The owner, as `worker::handoff` has it.
            if let Some((places, look)) = asked.get_mut(hash as u32 as usize % self.workers.lines.len().max(1)) {
                places.push(i);
                look.push((*key, hash));
            }
        }
        let mut number = self.workers.boxes.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        for (n, (_, keys)) in asked.iter_mut().enumerate().filter(|(_, (_, keys))| !keys.is_empty()) {
            let look = Look { found: vec![None; keys.len()], keys: std::mem::take(keys), next: 0 };
            self.post(n, *number, Errand::Look(Box::new(look)))?;
        }
        let mut found = vec![None; keys.len()];
        for (n, (places, _)) in asked.iter().enumerate().filter(|(_, (places, _))| !places.is_empty()) {
            let Errand::Look(look) = self.back(n, *number)? else { return Err(SteerError::Silent(n)) };
            for (place, one) in places.iter().zip(look.found) {
                if let Some(to) = found.get_mut(*place) {
                    *to = one;
                }
            }
        }
        Ok(found)
    }

    fn post(&self, n: usize, number: u64, errand: Errand) -> Result<(), SteerError> {
        let line = self.workers.lines.get(n).ok_or(SteerError::Silent(n))?;
        line.mail.errands.push((number, errand)).map_err(|_| SteerError::Silent(n))
    }

    fn back(&self, n: usize, number: u64) -> Result<Errand, SteerError> {
        let line = self.workers.lines.get(n).ok_or(SteerError::Silent(n))?;
        let start = Instant::now();
        while start.elapsed() < Duration::from_nanos(ANSWER_NS) {
            match line.mail.done.pop() {
                Some((of, errand)) if of == number => return Ok(errand),
                // What an earlier sender has not waited for.
                Some(_) => {}
                None => std::thread::sleep(LOOK),
            }
        }
        // Not taken yet: then it never is.
        drop(line.mail.errands.pop());
        Err(SteerError::Silent(n))
    }
}
