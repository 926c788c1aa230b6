//! What is in force: who gets which class, what is suspended, until when, and by whom. Owns the lists and their ends; pure, no clock and
//! no thread. Used by the handle, which sends what each change makes of an address or a connection to the workers.

use crate::class::ClassId;
use crate::conn::orders::{AddressOrder, ConnOrder, Plain, Prefix, Role};
use crate::limits::{ORDERS_ADDRESSES, ORDERS_CONNECTIONS};
use crate::messages::{InForce, Order, OrderError, OrderedBy, Target};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// An address' class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The class by name.
    pub class: String,
    /// For which end.
    pub role: Role,
    /// Unix time of its end, ns.
    pub until: u64,
    /// Who ordered it.
    pub by: String,
}

/// What is suspended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suspension {
    /// The cutoff until this Unix time, ns; 0: not.
    pub cutoff: u64,
    /// The idle timeout, the same.
    pub timeout: u64,
    /// Who ordered it last.
    pub by: String,
}

impl Suspension {
    /// As it is said of whom it is for.
    pub fn of(&self, target: Target) -> InForce {
        let order = Order::Suspend { target, cutoff: self.cutoff, timeout: self.timeout };
        InForce { order, by: OrderedBy::new(&self.by) }
    }
}

/// All that is in force.
#[derive(Debug, Default)]
pub struct Registry {
    /// Names by id; `None`: gone.
    classes: Vec<Option<String>>,
    assignments: HashMap<Prefix, Assignment>,
    suspensions: HashMap<Target, Suspension>,
    /// Ends, the next first; what has another end by now is passed over.
    ends: BinaryHeap<Reverse<(u64, Target)>>,
    addresses: HashMap<Prefix, u8>,
    connections: usize,
    changed: bool,
}

impl Registry {
    /// With these classes, by id.
    pub fn new(classes: Vec<Option<String>>) -> Registry {
        Registry { classes, ..Registry::default() }
    }

    /// The id of a class.
    pub fn class(&self, name: &str) -> Result<ClassId, OrderError> {
        let id = self.classes.iter().position(|c| c.as_deref() == Some(name));
        id.and_then(|id| ClassId::try_from(id).ok()).ok_or_else(|| OrderError::class(name, &self.classes))
    }

    /// The name of a class; `None`: it is gone.
    pub fn name(&self, id: ClassId) -> Option<String> {
        self.classes.get(usize::from(id)).cloned().flatten()
    }

    /// All names, by id.
    pub fn classes(&self) -> &[Option<String>] {
        &self.classes
    }

    /// An assignment as it is said. `None`: its class is gone.
    pub fn assigned(&self, prefix: &Prefix, a: &Assignment) -> Option<InForce> {
        let class = self.class(&a.class).ok()?;
        let order = Order::Assign { prefix: *prefix, class, role: a.role, until: a.until };
        Some(InForce { order, by: OrderedBy::new(&a.by) })
    }

    /// Other classes are in force. What was assigned to one that is gone is taken back: its targets are returned.
    pub fn reload(&mut self, classes: Vec<Option<String>>) -> Vec<Target> {
        self.classes = classes;
        let there: HashSet<&str> = self.classes.iter().flatten().map(String::as_str).collect();
        let lost: Vec<Prefix> =
            self.assignments.iter().filter(|(_, a)| !there.contains(a.class.as_str())).map(|(p, _)| *p).collect();
        for prefix in &lost {
            self.unassign(prefix);
        }
        lost.into_iter().map(Target::Address).collect()
    }

    fn ends(&mut self, until: u64, target: Target) {
        self.ends.push(Reverse((until, target)));
        self.changed = true;
        // What has got another end since leaves its old one here: not for ever.
        if self.ends.len() > 4 * (self.assignments.len() + self.suspensions.len()) + 1024 {
            let assigned = self.assignments.iter().map(|(p, a)| Reverse((a.until, Target::Address(*p))));
            let suspended = self.suspensions.iter().flat_map(|(t, s)| [s.cutoff, s.timeout].map(|u| Reverse((u, *t))));
            self.ends = assigned.chain(suspended.filter(|Reverse((until, _))| *until > 0)).collect();
        }
    }

    fn hold_address(&mut self, prefix: Prefix, new: bool) -> Result<(), OrderError> {
        if !new {
            return Ok(());
        }
        if !self.addresses.contains_key(&prefix) && self.addresses.len() >= ORDERS_ADDRESSES {
            return Err(OrderError::Addresses);
        }
        *self.addresses.entry(prefix).or_default() += 1;
        Ok(())
    }

    fn release_address(&mut self, prefix: &Prefix) {
        if let Some(n) = self.addresses.get_mut(prefix) {
            *n -= 1;
            if *n == 0 {
                self.addresses.remove(prefix);
            }
        }
    }

    /// Assigns, in the place of what the address was assigned before.
    pub fn assign(&mut self, prefix: Prefix, assignment: Assignment) -> Result<(), OrderError> {
        self.class(&assignment.class)?;
        self.hold_address(prefix, !self.assignments.contains_key(&prefix))?;
        let until = assignment.until;
        self.assignments.insert(prefix, assignment);
        self.ends(until, Target::Address(prefix));
        Ok(())
    }

    /// Takes an assignment back; what it was.
    pub fn unassign(&mut self, prefix: &Prefix) -> Option<Assignment> {
        let was = self.assignments.remove(prefix)?;
        self.release_address(prefix);
        self.changed = true;
        Some(was)
    }

    /// Suspends cutoff and timeout until these times; 0 leaves what there is.
    pub fn suspend(&mut self, target: Target, cutoff: u64, timeout: u64, by: &str) -> Result<(), OrderError> {
        let new = !self.suspensions.contains_key(&target);
        match target {
            Target::Address(prefix) => self.hold_address(prefix, new)?,
            Target::Connection(_) if new && self.connections >= ORDERS_CONNECTIONS => {
                return Err(OrderError::Connections);
            }
            Target::Connection(_) => self.connections += usize::from(new),
        }
        let s = self.suspensions.entry(target).or_default();
        for (has, wanted) in [(&mut s.cutoff, cutoff), (&mut s.timeout, timeout)] {
            if wanted > 0 {
                *has = wanted;
            }
        }
        by.clone_into(&mut s.by);
        for until in [cutoff, timeout].into_iter().filter(|u| *u > 0) {
            self.ends(until, target);
        }
        Ok(())
    }

    /// Takes back what is suspended; what it was. False for one leaves it.
    pub fn resume(&mut self, target: &Target, cutoff: bool, timeout: bool) -> Option<Suspension> {
        let s = self.suspensions.get_mut(target)?;
        let was = s.clone();
        for (has, back) in [(&mut s.cutoff, cutoff), (&mut s.timeout, timeout)] {
            if back {
                *has = 0;
            }
        }
        if (s.cutoff, s.timeout) == (0, 0) {
            self.suspensions.remove(target);
            match target {
                Target::Address(prefix) => self.release_address(prefix),
                Target::Connection(_) => self.connections -= 1,
            }
        }
        self.changed = true;
        Some(was)
    }

    /// Ends what is over by `now`, at most `most` things; whose orders are others now.
    pub fn expire(&mut self, now: u64, most: usize) -> Vec<Target> {
        let mut over = Vec::new();
        while over.len() < most
            && let Some(&Reverse((until, target))) = self.ends.peek()
            && until <= now
        {
            self.ends.pop();
            if let Target::Address(prefix) = &target
                && self.assignments.get(prefix).is_some_and(|a| a.until <= now)
            {
                self.unassign(prefix);
                over.push(target);
            }
            let Some(s) = self.suspensions.get(&target) else { continue };
            let ended = |until: u64| until > 0 && until <= now;
            let (cutoff, timeout) = (ended(s.cutoff), ended(s.timeout));
            if cutoff || timeout {
                self.resume(&target, cutoff, timeout);
                over.push(target);
            }
        }
        over
    }

    /// What holds for an address or a net.
    pub fn address(&self, prefix: &Prefix) -> AddressOrder {
        let a = self.assignments.get(prefix);
        let s = self.suspensions.get(&Target::Address(*prefix));
        AddressOrder {
            class: a.and_then(|a| self.class(&a.class).ok()),
            role: a.map_or(Role::Either, |a| a.role),
            suspend_cutoff: s.is_some_and(|s| s.cutoff > 0),
            suspend_timeout: s.is_some_and(|s| s.timeout > 0),
        }
    }

    /// What holds for a connection.
    pub fn connection(&self, name: &Plain) -> ConnOrder {
        let s = self.suspensions.get(&Target::Connection(*name));
        ConnOrder { suspend_cutoff: s.is_some_and(|s| s.cutoff > 0), suspend_timeout: s.is_some_and(|s| s.timeout > 0) }
    }

    /// All assignments.
    pub fn assignments(&self) -> impl Iterator<Item = (&Prefix, &Assignment)> {
        self.assignments.iter()
    }

    /// All suspensions.
    pub fn suspensions(&self) -> impl Iterator<Item = (&Target, &Suspension)> {
        self.suspensions.iter()
    }

    /// Whether anything is other than when this was asked last.
    pub fn changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}
