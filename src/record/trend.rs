//! What the last second and the last minute were like: rates, the share that is kept, and how long each class's budget lasts at the rate
//! at which it grows. Owns the window; fed and read by the control thread once a second, shown by `/v1/status`.

use super::detail::Facts;
use super::statistics::Sample;
use crate::metrics::account::Tally;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// The window of the classes' growth: segments are written in blocks, budgets are kept in segments.
const WINDOW_NS: u64 = 60_000_000_000;
const SECOND: f64 = 1e9;

/// Packets and bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// Packets a second.
    pub packets: f64,
    /// Bytes a second.
    pub bytes: f64,
}

/// Rates of the last second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// All that the source saw.
    pub seen: Rate,
    /// Dropped in the kernel, past the cutoff.
    pub shunted: Rate,
    /// Taken by the workers.
    pub received: Rate,
    /// Stored.
    pub stored: Rate,
    /// Packets lost a second.
    pub lost: f64,
}

/// A class: what it holds, and how long that lasts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassState {
    /// Its name.
    pub name: String,
    /// Segments, those being written included.
    pub segments: u64,
    /// Their bytes on disk.
    pub bytes: u64,
    /// Time of its oldest sealed packet, Unix ns.
    pub oldest: Option<u64>,
    /// Its own disk budget, bytes; none: it shares what is left of the store's.
    pub budget: Option<u64>,
    /// What it and those that share with it may take, bytes; without a budget what the disk has.
    pub room: Option<u64>,
    /// How fast it grows: bytes on disk a second, over the last minute.
    pub growth: f64,
    /// How far back it reaches at this rate once its room is full, s.
    pub holds_s: Option<f64>,
    /// Until its oldest packets begin to go, at this rate, s; 0: they do.
    pub left_s: Option<f64>,
    /// Bytes of its latest packets in memory.
    pub memory: u64,
    /// Memory of its own, bytes; none: it shares what is left of the memory of recent packets.
    pub memory_budget: Option<u64>,
    /// Time of its oldest packet in memory, Unix ns.
    pub memory_since: Option<u64>,
}

/// Rates and classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct State {
    /// When the recording began, Unix ns.
    pub started: u64,
    /// `xdp`, `packet`, `file`.
    pub source: &'static str,
    /// Of the last second.
    pub rates: Rates,
    /// Of the bytes seen since the start, how many were stored.
    pub kept_bytes: f64,
    /// The same of the packets.
    pub kept_packets: f64,
    /// Packets lost since the start, by cause; those that lost something.
    pub lost: BTreeMap<&'static str, u64>,
    /// The classes.
    pub classes: Vec<ClassState>,
    /// Memory that was set aside at the start, bytes by part: it is in use as far as it has been needed.
    pub memory: BTreeMap<&'static str, u64>,
}

/// The last minute.
#[derive(Debug, Default)]
pub struct Trend {
    points: VecDeque<(u64, BTreeMap<String, u64>)>,
    /// What each class held last.
    held: BTreeMap<String, u64>,
    /// Bytes by which each class has grown since the start.
    grown: BTreeMap<String, u64>,
}

impl Trend {
    /// Takes a sample in; `before` is the one a second earlier.
    pub fn state(&mut self, facts: &Facts, before: &Sample, now: &Sample) -> State {
        self.take(now);
        let seconds = now.mono_ns.saturating_sub(before.mono_ns) as f64 / SECOND;
        let (a, b) = (&now.account, &before.account);
        let rate = |a: Tally, b: Tally| Rate {
            packets: per(a.packets.saturating_sub(b.packets), seconds),
            bytes: per(a.bytes.saturating_sub(b.bytes), seconds),
        };
        let (f, d) = (a.from.redirect_failed, a.worker.dropped);
        let causes = [
            ("ring_full", f.ring_full),
            ("no_frame", f.no_frame),
            ("too_big", f.too_big),
            ("unbound", f.unbound),
            ("lost", a.from.lost),
            ("passed", a.from.passed.packets),
            ("disk_stall", d.disk_stall.packets),
            ("handoff_full", d.handoff_full.packets),
            ("flood", d.flood.packets),
            ("write_failed", a.store.write_failed),
            ("nic", now.nic_lost),
        ];
        let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        State {
            started: facts.started,
            source: facts.source,
            rates: Rates {
                seen: rate(a.from.seen, b.from.seen),
                shunted: rate(a.from.shunted, b.from.shunted),
                received: rate(a.worker.received, b.worker.received),
                stored: rate(a.worker.stored, b.worker.stored),
                lost: per(a.lost_total().saturating_sub(b.lost_total()), seconds),
            },
            kept_bytes: share(a.worker.stored.bytes, a.from.seen.bytes),
            kept_packets: share(a.worker.stored.packets, a.from.seen.packets),
            lost: causes.into_iter().filter(|(_, n)| *n > 0).collect(),
            classes: self.classes(facts, now),
            memory: facts.memory.iter().copied().collect(),
        }
    }

    fn take(&mut self, now: &Sample) {
        for h in &now.holdings {
            let held = self.held.insert(h.class.clone(), h.bytes).unwrap_or(h.bytes);
            // What it shrinks by has expired.
            *self.grown.entry(h.class.clone()).or_default() += h.bytes.saturating_sub(held);
        }
        self.points.push_back((now.mono_ns, self.grown.clone()));
        while self.points.front().is_some_and(|(t, _)| now.mono_ns.saturating_sub(*t) > WINDOW_NS) {
            self.points.pop_front();
        }
    }

    /// Bytes a second over the window.
    fn growth(&self, class: &str) -> f64 {
        let (Some((from, first)), Some((to, last))) = (self.points.front(), self.points.back()) else { return 0.0 };
        let of = |all: &BTreeMap<String, u64>| all.get(class).copied().unwrap_or(0);
        per(of(last).saturating_sub(of(first)), to.saturating_sub(*from) as f64 / SECOND)
    }

    fn classes(&self, facts: &Facts, now: &Sample) -> Vec<ClassState> {
        let own = |class: &str| facts.classes.iter().find(|(n, _)| n == class).and_then(|(_, disk)| *disk);
        let sharing = || now.holdings.iter().filter(|h| own(&h.class).is_none());
        let shared: u64 = sharing().map(|h| h.bytes).sum();
        let shared_growth: f64 = sharing().map(|h| self.growth(&h.class)).sum();
        let owned: u64 = facts.classes.iter().filter_map(|(_, disk)| *disk).sum();
        let free = now.detail.filesystem.map(|(_, free)| free);
        let left_over = facts.budget.map(|b| b.saturating_sub(owned)).or(free.map(|free| shared + free));
        let class = |h: &crate::store::Holding| {
            let budget = own(&h.class);
            let (room, held, growth) = match budget {
                Some(budget) => (Some(budget), h.bytes, self.growth(&h.class)),
                None => (left_over, shared, shared_growth),
            };
            let memory = now.detail.held.get(&h.class).cloned().unwrap_or_default();
            let lasts = |bytes: u64| (growth > 0.0).then(|| bytes as f64 / growth);
            ClassState {
                name: h.class.clone(),
                segments: h.segments,
                bytes: h.bytes,
                oldest: h.since,
                budget,
                room,
                growth: self.growth(&h.class),
                holds_s: room.and_then(lasts),
                left_s: room.and_then(|r| lasts(r.saturating_sub(held))),
                memory: memory.bytes,
                memory_budget: facts.shares.own.iter().find(|(n, _)| *n == h.class).map(|(_, bytes)| *bytes),
                memory_since: Some(memory.since).filter(|t| *t > 0),
            }
        };
        now.holdings.iter().map(class).collect()
    }
}

fn per(n: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { n as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::account::SourceKind;
    use crate::store::Holding;

    const S: u64 = 1_000_000_000;

    fn sample(second: u64, held: &[(&str, u64)]) -> Sample {
        let mut s = Sample::none(second * S, second * S, SourceKind::File);
        s.holdings = held
            .iter()
            .map(|(class, bytes)| Holding { class: (*class).into(), segments: 1, bytes: *bytes, ..Holding::default() })
            .collect();
        s.account.from.seen = Tally { packets: 100 * second, bytes: 10_000 * second };
        s.account.worker.stored = Tally { packets: 10 * second, bytes: 500 * second };
        s
    }

    #[test]
    fn growth_counts_what_came_also_where_the_oldest_goes() {
        let facts = Facts {
            classes: vec![("all".into(), None), ("own".into(), Some(2_000)), ("other".into(), None)],
            budget: Some(102_000),
            ..Facts::default()
        };
        let mut trend = Trend::default();
        let mut last = sample(0, &[("all", 1_000), ("own", 2_000), ("other", 0)]);
        trend.state(&facts, &last, &last);
        for n in 1..=100 {
            // `own` is full: 10 come each second, and every tenth second 100 go.
            let own = 2_000 - 100 + 10 * (n % 10);
            let now = sample(n, &[("all", 1_000 + 30 * n), ("own", own), ("other", 10 * n)]);
            let state = trend.state(&facts, &last, &now);
            last = now;
            if n < 100 {
                continue;
            }
            assert_eq!((state.rates.seen.packets, state.rates.stored.bytes), (100.0, 500.0));
            assert_eq!((state.kept_bytes, state.kept_packets), (0.05, 0.1));
            let [all, own, other] = &state.classes[..] else { panic!("{state:?}") };
            assert_eq!((all.growth, other.growth), (30.0, 10.0));
            assert!((8.0..=10.0).contains(&own.growth), "{}", own.growth);
            // `all` and `other` share 100,000 and grow by 40 a second; 5,000 are there.
            assert_eq!((all.room, all.holds_s, all.left_s), (Some(100_000), Some(2_500.0), Some(2_375.0)));
            assert_eq!((other.holds_s, own.room), (all.holds_s, Some(2_000)));
        }
    }
}
