//! The handle: commands to all workers, new rules, look-ups. Owns the senders' side of every mailbox; any thread of capture may use it. Small
//! commands don't wait; what comes back in a box is waited for, on the caller's thread.

use super::boxes::Boxes;
use super::keep::Orders;
use super::kept::{Assigned, Suspended};
use super::registry::{Assignment, Registry};
use crate::conn::receipt::LookedUp;
use crate::limits::{ANSWER_NS, COMMANDS_WAITING, ORDERS_NAMED, TOTALS_NS, TOTALS_OF_BOX};
use crate::messages::{self, InForce, ListKind, Order, OrderError, OrderedBy, OrdersTaken, Target};
use crate::packet::Parser;
use crate::packet::key::Key;
use crate::worker::mailbox::{Command, Errand, Look};
use crate::worker::run::Line;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a sender looks whether its box has come back.
pub(super) const LOOK: Duration = Duration::from_micros(300);

/// The workers of a recording.
#[derive(Clone, Debug)]
pub struct Steering {
    pub(super) workers: Arc<Workers>,
}

#[derive(Debug)]
pub(super) struct Workers {
    pub lines: Vec<Arc<Line>>,
    parser: Parser,
    /// What is in force. Held by who puts commands in, so that all workers get them or none, and in the same order.
    registry: Mutex<Registry>,
    /// Held by who sends a box, until it is back.
    pub boxes: Mutex<Boxes>,
}

impl Steering {
    /// Of these workers, whose parser this is; classes by id, `None` for those that are gone.
    pub fn new(lines: Vec<Arc<Line>>, parser: Parser, classes: Vec<Option<String>>) -> Steering {
        let registry = Mutex::new(Registry::new(classes));
        let workers = Workers { lines, parser, registry, boxes: Mutex::default() };
        Steering { workers: Arc::new(workers) }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.workers.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out these orders, one after the other, until one can't be. Between them nobody else orders anything.
    pub fn carry_out(&self, by: &OrderedBy, orders: &[Order]) -> OrdersTaken {
        let (mut registry, mut taken) = (self.registry(), OrdersTaken::default());
        for order in orders {
            match self.carry_out_one(&mut registry, by, *order) {
                Ok(was) => (taken.taken, taken.was) = (taken.taken + 1, was),
                Err(why) => {
                    taken.refused = Some(why);
                    break;
                }
            }
        }
        taken
    }

    /// What it takes back.
    fn carry_out_one(
        &self,
        registry: &mut Registry,
        by: &OrderedBy,
        order: Order,
    ) -> Result<Option<InForce>, OrderError> {
        let class = match order {
            Order::Assign { class, .. } => {
                let none = || OrderError::class(&format!("number {class}"), registry.classes());
                Some(registry.name(class).ok_or_else(none)?)
            }
            _ => None,
        };
        self.room()?;
        let (target, was) = match order {
            Order::Assign { prefix, role, until, .. } => {
                let (class, by) = (class.unwrap_or_default(), by.as_str().to_owned());
                registry.assign(prefix, Assignment { class, role, until, by })?;
                (Target::Address(prefix), None)
            }
            Order::Unassign(prefix) => {
                let was = registry.unassign(&prefix).and_then(|a| registry.assigned(&prefix, &a));
                (Target::Address(prefix), was)
            }
            Order::Suspend { target, cutoff, timeout } => {
                registry.suspend(target, cutoff, timeout, by.as_str())?;
                (target, None)
            }
            Order::Resume { target, cutoff, timeout } => {
                (target, registry.resume(&target, cutoff, timeout).map(|s| s.of(target)))
            }
        };
        self.tell(registry, target);
        Ok(was)
    }

    /// Ends what is over. Where the workers have no room now, they are told a little later.
    pub fn expire(&self, now: u64) {
        let mut registry = self.registry();
        let room = self.workers.lines.iter().map(|l| COMMANDS_WAITING - l.mail.commands.len()).min().unwrap_or(0);
        for target in registry.expire(now, room / 2) {
            self.tell(&registry, target);
        }
    }

    /// All that is in force.
    pub fn orders(&self) -> Orders {
        let registry = self.registry();
        Orders {
            assignments: registry.assignments().map(|(p, a)| Assigned::of(p, a)).collect(),
            suspensions: registry.suspensions().map(|(t, s)| Suspended::of(t, s)).collect(),
        }
    }

    /// The same of one kind, as it is said to serve.
    pub fn in_force(&self, kind: ListKind) -> Vec<InForce> {
        let registry = self.registry();
        match kind {
            ListKind::Assignments => registry.assignments().filter_map(|(p, a)| registry.assigned(p, a)).collect(),
            ListKind::Suspensions => registry.suspensions().map(|(t, s)| s.of(*t)).collect(),
        }
    }

    /// How many assignments and suspensions are in force.
    pub fn count(&self) -> (usize, usize) {
        let registry = self.registry();
        (registry.assignments().count(), registry.suspensions().count())
    }

    /// Whether anything is other than when this was asked last.
    pub fn changed(&self) -> bool {
        self.registry().changed()
    }

    /// Other classes are in force: their names by id, `None` for those that are gone. To be called when [`rules`](Steering::rules) has put
    /// them there. What was assigned to a class that is gone is taken back: how many these were.
    pub fn classes(&self, classes: Vec<Option<String>>) -> usize {
        let mut registry = self.registry();
        let gone = registry.reload(classes);
        for (n, target) in gone.iter().enumerate() {
            if n < ORDERS_NAMED {
                tracing::warn!("{target}: its class is gone, and its assignment with it");
            }
            self.tell_patiently(&registry, *target);
        }
        gone.len()
    }

    /// Puts in force what was kept; how much, and why the rest is not.
    pub fn restore(&self, orders: &Orders, now: u64) -> (usize, Vec<String>) {
        let (mut n, mut lost) = (0, Vec::new());
        let mut registry = self.registry();
        for a in orders.assignments.iter().filter(|a| a.until_ns > now) {
            let put = messages::prefix(&a.address).and_then(|prefix| {
                let role = messages::role(Some(&a.role))?;
                let (class, by) = (a.class.clone(), a.by.clone());
                let assignment = Assignment { class, role, until: a.until_ns, by };
                registry.assign(prefix, assignment).map_err(|e| format!("{}: {e}", a.address))?;
                self.tell_patiently(&registry, Target::Address(prefix));
                Ok(())
            });
            put.map_or_else(|e| lost.push(e), |()| n += 1);
        }
        for s in &orders.suspensions {
            let later = |until: u64| if until > now { until } else { 0 };
            let (cutoff, timeout) = (later(s.cutoff_until_ns), later(s.timeout_until_ns));
            if (cutoff, timeout) == (0, 0) {
                continue;
            }
            let put = s.target().and_then(|target| {
                registry.suspend(target, cutoff, timeout, &s.by).map_err(|e| e.to_string())?;
                self.tell_patiently(&registry, target);
                Ok(())
            });
            put.map_or_else(|e| lost.push(e), |()| n += 1);
        }
        (n, lost)
    }

    /// Orders for which a worker's tables had no room, so far; who gives orders keeps within them.
    pub fn refused(&self) -> u64 {
        self.workers.lines.iter().map(|l| l.mail.refused.load(Relaxed)).sum()
    }

    /// Whether every worker's mailbox takes a command: only who holds the registry fills it.
    fn room(&self) -> Result<(), OrderError> {
        match self.workers.lines.iter().any(|l| l.mail.commands.is_full()) {
            true => Err(OrderError::Waiting),
            false => Ok(()),
        }
    }

    /// Tells every worker what holds for a target now.
    fn tell(&self, registry: &Registry, target: Target) {
        let command = match target {
            Target::Address(prefix) => Command::Address { prefix, order: registry.address(&prefix) },
            Target::Connection(name) => {
                let hash = self.workers.parser.hash(&name.key());
                Command::Connection { name, hash, order: registry.connection(&name) }
            }
        };
        for line in &self.workers.lines {
            // There is room: that was looked at, or waited for.
            let _ = line.mail.commands.push(command);
        }
    }

    /// The same for many: waits for room, but not for a worker that is dead.
    fn tell_patiently(&self, registry: &Registry, target: Target) {
        let start = Instant::now();
        while self.room().is_err() && start.elapsed() < Duration::from_nanos(ANSWER_NS) {
            std::thread::sleep(LOOK);
        }
        self.tell(registry, target);
    }

    /// The true totals of connections that run, counts of the kernel included, as a receipt would have them now, in the order of `keys`; where VLAN
    /// ids don't tell connections apart, theirs are not looked at. Asked in parts, so that a slow worker says what it can in the time that there
    /// is. `skip`: workers that are not asked. With the workers that did not answer.
    pub fn totals(&self, keys: &[Key], skip: &[usize]) -> (Vec<LookedUp>, Vec<usize>) {
        let parser = &self.workers.parser;
        let mut asked = vec![(Vec::new(), Vec::new()); self.workers.lines.len()];
        for (i, key) in keys.iter().enumerate() {
            // As the workers have it.
            let key = if parser.vlan_in_key() { *key } else { key.untagged() };
            let hash = parser.hash(&key);
            // The owner, as `worker::handoff` has it.
            if let Some((places, look)) = asked.get_mut(hash as u32 as usize % self.workers.lines.len().max(1)) {
                places.push(i);
                look.push((key, hash));
            }
        }
        let (mut found, mut silent) = (vec![LookedUp::Unknown; keys.len()], Vec::new());
        let until = Instant::now() + Duration::from_nanos(TOTALS_NS);
        for part in 0.. {
            let (from, to) = (part * TOTALS_OF_BOX, (part + 1) * TOTALS_OF_BOX);
            let part = |n: usize| {
                asked.get(n).map_or(&[][..], |(_, look)| look.get(from..to.min(look.len())).unwrap_or_default())
            };
            let more = |n: &usize| !part(*n).is_empty() && !skip.contains(n);
            let mut workers: Vec<usize> = (0..asked.len()).filter(more).collect();
            workers.retain(|n| !silent.contains(n));
            if workers.is_empty() || Instant::now() >= until {
                break;
            }
            let mut boxes = self.boxes();
            boxes.number += 1;
            let (number, until) = (boxes.number, Instant::now() + Duration::from_nanos(ANSWER_NS));
            workers.retain(|&n| {
                let look = Look { keys: part(n).to_vec(), found: vec![None; part(n).len()], next: 0 };
                let taken = self.post(n, number, Errand::Look(Box::new(look)));
                silent.extend((!taken).then_some(n));
                taken
            });
            for n in workers {
                let Some(Errand::Look(look)) = self.back(&mut boxes, n, number, until) else {
                    silent.push(n);
                    continue;
                };
                let places = asked.get(n).and_then(|(places, _)| places.get(from..)).unwrap_or_default();
                for (place, one) in places.iter().zip(look.found) {
                    if let Some(to) = found.get_mut(*place) {
                        *to = one.map_or(LookedUp::Absent, LookedUp::Runs);
                    }
                }
            }
        }
        (found, silent)
    }
}
