//! What becomes of an alert: rules, repeats, limits. Owns what is remembered of connections and offenders, in bounded memory; takes the
//! time from its caller and does nothing itself. Called by the hub.

use super::alert::Alert;
use super::bucket::{Bucket, Memory};
use super::rules::{Kept, Rules};
use crate::limits::NIDS_REMEMBERED;
use std::net::IpAddr;
use std::time::Instant;

/// What is to be done because of an alert.
#[derive(Clone, Debug)]
pub struct Order {
    /// The alert.
    pub alert: Alert,
    /// Name of the rule.
    pub rule: String,
    /// Who it is about.
    pub offender: Option<IpAddr>,
    /// When the alert was read.
    pub received: Instant,
    /// Lift the connection's cutoff, for so many ns.
    pub suspend: Option<u64>,
    /// Assign the offender to a class, for so many ns.
    pub assign: Option<(String, u64)>,
    /// Hold the connection.
    pub hold_connection: bool,
    /// And what comes of it, for so many ns.
    pub follow: Option<u64>,
    /// Hold the offender's packets, so many ns back.
    pub hold_offender: Option<u64>,
    /// Give the connection's packets back to the NIDS.
    pub feed_back: bool,
}

/// Who has set too much going.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limited {
    /// This rule.
    Rule(String),
    /// This offender.
    Offender(IpAddr),
}

/// What becomes of an alert.
#[derive(Debug)]
pub enum Verdict {
    /// No rule matches, or one says so, or what it asks for has no name in the alert.
    Nothing,
    /// All that it asks for has been done lately.
    Repeated,
    /// Too many.
    Limited(Limited),
    /// This.
    Act(Box<Order>),
}

/// Something that is not done twice in a while.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// Of the connection of this text.
    Suspend(String),
    /// Of this offender, to this class.
    Assign(IpAddr, String),
    /// Of the connection of this text.
    HoldConnection(String),
    /// Of this offender.
    HoldOffender(IpAddr),
}

/// The judge.
#[derive(Debug)]
pub struct Judge {
    rules: Rules,
    per_rule: Vec<Bucket>,
    per_offender: Memory<IpAddr, Bucket>,
    /// Done; not again before this time.
    done: Memory<Deed, u64>,
}

impl Judge {
    /// With these rules; times are ns of any clock that goes forward.
    pub fn new(rules: Rules, now: u64) -> Judge {
        let per_rule = rules.rules.iter().map(|r| Bucket::new(r.limit(), now)).collect();
        Judge { rules, per_rule, per_offender: Memory::new(NIDS_REMEMBERED), done: Memory::new(NIDS_REMEMBERED) }
    }

    /// Judges.
    pub fn judge(&mut self, alert: Alert, received: Instant, now: u64) -> Verdict {
        let Some((at, rule)) = self.rules.find(&alert).filter(|(_, r)| !r.ignore) else { return Verdict::Nothing };
        let offender = rule.offender_of(&alert);
        let again = self.rules.again;
        // Before half of what was asked for is over it is asked for anew.
        let soon = |lasting: u64| now.saturating_add(again.min(lasting / 2));
        // A hold that follows has all of its time: the next one begins after it.
        let held_until = |follows: u64| now.saturating_add(again.max(follows));
        let conn = alert.conn.as_ref().map(|c| c.name());
        let asked = [
            conn.clone().zip(rule.suspend_cutoff).map(|(c, d)| (Deed::Suspend(c), soon(d.0))),
            offender.zip(rule.assign.as_ref()).map(|(o, a)| (Deed::Assign(o, a.class.clone()), soon(a.lasting.0))),
            conn.filter(|_| rule.hold.contains(&Kept::Connection))
                .map(|c| (Deed::HoldConnection(c), rule.follow.map_or(now.saturating_add(again), |f| held_until(f.0)))),
            offender
                .filter(|_| rule.hold.contains(&Kept::Offender))
                .map(|o| (Deed::HoldOffender(o), now.saturating_add(again))),
        ];
        if asked.iter().all(Option::is_none) {
            return Verdict::Nothing;
        }
        let fresh: Vec<(Deed, u64)> =
            asked.into_iter().flatten().filter(|(deed, _)| self.done.get(deed).is_none_or(|t| *t <= now)).collect();
        if fresh.is_empty() {
            return Verdict::Repeated;
        }
        let Some(of_rule) = self.per_rule.get_mut(at) else { return Verdict::Nothing };
        if !of_rule.take(now) {
            return Verdict::Limited(Limited::Rule(rule.name.clone()));
        }
        if let Some(offender) = offender {
            let rate = self.rules.per_offender;
            if !self.per_offender.entry(&offender, || Bucket::new(rate, now)).take(now) {
                of_rule.give();
                return Verdict::Limited(Limited::Offender(offender));
            }
        }
        let has = |want: fn(&Deed) -> bool| fresh.iter().any(|(d, _)| want(d));
        let hold_connection = has(|d| matches!(d, Deed::HoldConnection(_)));
        let order = Order {
            rule: rule.name.clone(),
            offender,
            received,
            suspend: rule.suspend_cutoff.map(|s| s.0).filter(|_| has(|d| matches!(d, Deed::Suspend(_)))),
            assign: rule
                .assign
                .as_ref()
                .map(|a| (a.class.clone(), a.lasting.0))
                .filter(|_| has(|d| matches!(d, Deed::Assign(..)))),
            hold_connection,
            follow: rule.follow.map(|s| s.0).filter(|_| hold_connection),
            hold_offender: has(|d| matches!(d, Deed::HoldOffender(_))).then(|| rule.history()),
            feed_back: rule.feed_back && hold_connection,
            alert,
        };
        for (deed, until) in fresh {
            *self.done.entry(&deed, || until) = until;
        }
        Verdict::Act(Box::new(order))
    }

    /// It could not be done: the next alert may ask for it again.
    pub fn forget(&mut self, deed: &Deed) {
        if let Some(until) = self.done.get_mut(deed) {
            *until = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    const S: u64 = 1_000_000_000;

    fn judge(text: &str) -> Judge {
        Judge::new(Rules::parse(text, Path::new("x")).unwrap(), 0)
    }

    fn alert(host: u8, port: u16) -> Alert {
        Alert {
            sid: Some(1),
            conn: format!("tcp 10.0.0.{host}:{port} 10.9.9.9:80").parse().ok(),
            source: format!("10.0.0.{host}").parse().ok(),
            ..Alert::default()
        }
    }

    const ALL: &str = "again = \"1m\"\nper_offender = \"3/1m\"\n[[rule]]\nname = \"r\"\nlimit = \"5/1m\"\nsuspend_cutoff = \"40s\"\n\
        assign = { class = \"c\", for = \"1h\" }\nhold = [\"connection\", \"offender\"]\n";

    #[test]
    fn a_connection_is_acted_on_once_and_renewed_in_time() {
        let mut j = judge(ALL);
        let now = Instant::now();
        let Verdict::Act(o) = j.judge(alert(1, 5), now, 0) else { panic!() };
        assert!(o.suspend.is_some() && o.assign.is_some() && o.hold_connection && o.hold_offender == Some(3600 * S));
        // The other direction is the same connection.
        let mut back = alert(1, 5);
        back.conn = "tcp 10.9.9.9:80 10.0.0.1:5".parse().ok();
        assert!(matches!(j.judge(back, now, S), Verdict::Repeated));
        // The suspension lasts 40 s: half of it later it is renewed, and nothing else.
        let Verdict::Act(o) = j.judge(alert(1, 5), now, 20 * S) else { panic!() };
        assert!(o.suspend.is_some() && o.assign.is_none() && !o.hold_connection && o.hold_offender.is_none());
        // Another connection of the same offender.
        let Verdict::Act(o) = j.judge(alert(1, 6), now, 21 * S) else { panic!() };
        assert!(o.suspend.is_some() && o.assign.is_none() && o.hold_connection && o.hold_offender.is_none());
        // What failed may be asked for again.
        j.forget(&Deed::HoldConnection(alert(1, 6).conn.unwrap().name()));
        let Verdict::Act(o) = j.judge(alert(1, 6), now, 42 * S) else { panic!() };
        assert!(o.hold_connection);
    }

    #[test]
    fn a_flood_is_limited_by_offender_and_by_rule() {
        let mut j = judge(ALL);
        let now = Instant::now();
        let acts = |j: &mut Judge, host: u8| {
            (0..100).filter(|p| matches!(j.judge(alert(host, 1000 + p), now, S), Verdict::Act(_))).count()
        };
        assert_eq!(acts(&mut j, 1), 3);
        assert!(matches!(j.judge(alert(1, 9), now, S), Verdict::Limited(Limited::Offender(_))));
        // What the offender was refused was not taken from the rule.
        assert_eq!(acts(&mut j, 2), 2);
        assert!(matches!(j.judge(alert(3, 9), now, S), Verdict::Limited(Limited::Rule(_))));
    }

    #[test]
    fn an_alert_without_connection_or_offender_does_what_it_can() {
        let mut j = judge(ALL);
        assert!(matches!(j.judge(Alert::default(), Instant::now(), 0), Verdict::Nothing));
        let lone = Alert { conn: None, ..alert(7, 1) };
        let Verdict::Act(o) = j.judge(lone, Instant::now(), 0) else { panic!() };
        assert!(o.suspend.is_none() && !o.hold_connection && o.assign.is_some() && o.hold_offender.is_some());
    }
}
