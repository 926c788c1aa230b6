//! Requests of those who may nothing, in the audit log: the first of a minute have lines of their own, of the others the number is told. Owns who
//! they are told apart by: an address, or a user. Bounded, whoever knocks.

use super::audit::Line;
use crate::limits::{AUDIT_REFUSED_LINES, AUDIT_REFUSED_WHO};
use crate::shape;
use std::collections::HashMap;
use std::net::IpAddr;

const MINUTE: u64 = 60_000_000_000;

/// Whom a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Address(IpAddr),
    User(u32),
    /// Too many others.
    Others,
}

/// Those of the present minute.
#[derive(Debug, Default)]
pub struct RefusedRequests {
    began: u64,
    by: HashMap<Who, u64>,
}

impl RefusedRequests {
    /// Whether this one has a line of its own; if not, it is counted.
    pub fn takes(&mut self, line: &Line) -> bool {
        if !matches!(line.status, 401 | 403 | 429) {
            return true;
        }
        if self.by.is_empty() {
            self.began = line.time;
        }
        let who = match (line.caller.address, line.caller.peer) {
            (Some(address), _) => Who::Address(address.ip()),
            (None, peer) => Who::User(peer.map_or(u32::MAX, |p| p.uid)),
        };
        let who = if self.by.len() < AUDIT_REFUSED_WHO || self.by.contains_key(&who) { who } else { Who::Others };
        let n = self.by.entry(who).or_default();
        *n += 1;
        *n <= AUDIT_REFUSED_LINES
    }

    /// Lines for those that have none of their own, once their minute is over.
    pub fn past(&mut self, now: u64) -> Vec<serde_json::Value> {
        if self.by.is_empty() || now.saturating_sub(self.began) < MINUTE {
            return Vec::new();
        }
        let since = shape::rfc3339(self.began);
        let more = |(who, n): (Who, u64)| {
            let more = n.checked_sub(AUDIT_REFUSED_LINES).filter(|m| *m > 0)?;
            Some(match who {
                Who::Address(a) => {
                    serde_json::json!({ "time": since, "more_refused": more, "from": { "address": a, "port": null } })
                }
                Who::User(uid) => serde_json::json!({ "time": since, "more_refused": more, "uid": uid }),
                Who::Others => serde_json::json!({ "time": since, "more_refused": more }),
            })
        };
        self.by.drain().filter_map(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::caller::Caller;

    fn line(address: Option<[u8; 4]>, status: u16, time: u64) -> Line {
        let mut line = Line::new(&Caller::signal(), "GET /v1/status".into());
        line.caller.address = address.map(|a| (IpAddr::from(a), 4000).into());
        (line.status, line.time) = (status, time);
        line
    }

    #[test]
    fn the_first_have_lines_and_the_rest_a_number() {
        let (mut refused, from) = (RefusedRequests::default(), Some([192, 0, 2, 1]));
        let lines = (0..50).filter(|n| refused.takes(&line(from, 401, 1_000 + n))).count() as u64;
        assert_eq!(lines, AUDIT_REFUSED_LINES);
        assert!((0..50).all(|n| refused.takes(&line(from, 200, 1_000 + n))), "who may ask is entered, each time");
        assert!(refused.takes(&line(Some([192, 0, 2, 2]), 403, 2_000)), "another address has lines of its own");
        assert!(refused.past(1_000 + MINUTE - 1).is_empty());
        let more = refused.past(1_000 + MINUTE);
        assert_eq!(more.len(), 1);
        assert_eq!(
            (&more[0]["more_refused"], &more[0]["from"]["address"]),
            (&(50 - lines).into(), &"192.0.2.1".into())
        );
        assert!(refused.past(u64::MAX).is_empty() && refused.takes(&line(from, 401, 2 * MINUTE)));
    }

    #[test]
    fn whoever_knocks_memory_has_a_bound() {
        let mut refused = RefusedRequests::default();
        let lines = (0..100_000u32).filter(|n| refused.takes(&line(Some(n.to_be_bytes()), 401, 5))).count() as u64;
        assert_eq!((refused.by.len(), lines), (AUDIT_REFUSED_WHO + 1, AUDIT_REFUSED_WHO as u64 + AUDIT_REFUSED_LINES));
        let more: u64 = refused.past(u64::MAX).iter().filter_map(|l| l["more_refused"].as_u64()).sum();
        assert_eq!(more + lines, 100_000);
    }
}
