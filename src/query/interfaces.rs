//! Which packets came in by an interface: by its name, with all of its queues. Owns what a name means and the refusal of one that the store does
//! not know. Called by queries, before and while they read.

use super::view::View;
use super::{Query, QueryError};
use crate::source::Interface;
use crate::store::format::SegmentHeader;
use crate::store::reader::SegmentReader;
use std::collections::BTreeSet;

/// Whether one of these names means the interface; none of them: all. `eth0` means its queues `eth0:0`, `eth0:1`, ... as well.
pub fn wanted(asked: &[String], interface: &Interface) -> bool {
    asked.is_empty() || asked.iter().any(|a| means(a, &interface.name))
}

fn means(asked: &str, name: &str) -> bool {
    let queue =
        |rest: &str| rest.strip_prefix(':').is_some_and(|q| !q.is_empty() && q.bytes().all(|b| b.is_ascii_digit()));
    name.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || queue(rest))
}

/// An error for an interface that nobody has heard of. Reads headers until all have been found; what can't be read has none.
pub fn known(query: &Query, view: &View<'_>) -> Result<(), QueryError> {
    let (mut missing, mut have): (Vec<&String>, BTreeSet<String>) =
        (query.interfaces.iter().collect(), BTreeSet::new());
    let mut found = |header: &SegmentHeader| {
        missing.retain(|a| !header.interfaces.iter().any(|i| means(a, &i.name)));
        have.extend(header.interfaces.iter().map(|i| i.name.clone()));
        missing.is_empty()
    };
    let memory = view.recent.iter().map(|r| r.reader().header());
    let open = view.open.iter().filter_map(|u| u.header.as_deref());
    if query.interfaces.is_empty() || memory.chain(open).any(&mut found) {
        return Ok(());
    }
    let unknown = view.open.iter().filter(|u| u.header.is_none()).map(|u| &u.segment.path);
    // The latest first: what is asked for mostly is recent.
    let sealed = view.sealed.iter().rev().map(|s| &s.segment.path);
    for path in unknown.chain(sealed).take_while(|_| view.pace.go_on()) {
        if SegmentReader::header_of(path).is_ok_and(|header| found(&header)) {
            return Ok(());
        }
    }
    if let Some(why) = view.pace.stopped() {
        return Err(QueryError::Stopped(why));
    }
    match missing.first() {
        Some(&interface) => {
            let interface = interface.clone();
            Err(QueryError::Interface { interface, have: Vec::from_iter(have).join(", ") })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_its_queues() {
        let names = |asked: &str| {
            ["eth0", "eth0:3", "eth0:12", "eth0.100", "eth01", "eth0:x", "eth0:", "eth"].map(|n| means(asked, n))
        };
        assert_eq!(names("eth0"), [true, true, true, false, false, false, false, false]);
        assert_eq!(names("eth0:3"), [false, true, false, false, false, false, false, false]);
        assert!(wanted(&[], &Interface::new("any", 1)));
        assert!(!wanted(&["b".into()], &Interface::new("a", 1)));
    }
}
