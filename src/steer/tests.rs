//! Rules and workers that do not answer: a hand at the mailbox does what a worker's round does.

use super::Steering;
use crate::class::{ClassSet, Policy};
use crate::packet::Parser;
use crate::worker::filter::Filters;
use crate::worker::mailbox::{Errand, Rules};
use crate::worker::run::Line;
use std::sync::Arc;

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
