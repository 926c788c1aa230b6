//! Orders whose line in the audit log may be lost: serve enters it when it has its answer, and may end before. Owns the last few of them; where
//! serve ends they are said in capture's log, with who ordered them.

use crate::limits::{ORDERS_NAMED, ORDERS_UNENTERED};
use crate::messages::{Order, OrderedBy};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The last few, the oldest first.
#[derive(Default)]
pub(super) struct Unentered(VecDeque<Ordered>);

struct Ordered {
    at: Instant,
    by: OrderedBy,
    first: Order,
    count: usize,
}

impl Unentered {
    /// The first `count` of these are in force.
    pub(super) fn note(&mut self, by: OrderedBy, orders: &[Order], count: usize) {
        let Some(first) = orders.first().filter(|_| count > 0) else { return };
        if self.0.len() >= ORDERS_NAMED {
            self.0.pop_front();
        }
        self.0.push_back(Ordered { at: Instant::now(), by, first: *first, count });
    }

    /// Those of the last moment, in words.
    fn lines(&self, within: Duration) -> Vec<String> {
        let lately = self.0.iter().filter(|o| o.at.elapsed() <= within);
        let line = |o: &Ordered| {
            let more = if o.count > 1 { format!(" and {} more", o.count - 1) } else { String::new() };
            format!("{}{more}, ordered by {:?}", o.first, o.by.as_str())
        };
        lately.map(line).collect()
    }

    /// Serve has ended.
    pub(super) fn say(&self) {
        for line in self.lines(ORDERS_UNENTERED) {
            tracing::warn!("in force, and perhaps not in the audit log: {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_is_said_with_who_ordered_it() {
        let mut unentered = Unentered::default();
        let order = |n: u8| Order::Unassign(crate::conn::orders::Prefix::host([10, 0, 0, n].into()));
        unentered.note(OrderedBy::new("nobody"), &[order(1)], 0);
        assert!(unentered.lines(Duration::MAX).is_empty(), "it was refused");
        for n in 0..=ORDERS_NAMED as u8 {
            unentered.note(OrderedBy::new("eve"), &[order(n), order(99)], 2);
        }
        let lines = unentered.lines(Duration::MAX);
        assert_eq!((lines.len(), &*lines[0]), (ORDERS_NAMED, "no class for 10.0.0.1 and 1 more, ordered by \"eve\""));
    }
}
