//! What the last second and the last minute were like: rates, the share that is kept, and how long each class's budget lasts at the rate
//! at which it grows. Owns the window; fed and read by the control thread once a second, shown by `/v1/status`.

use crate::metrics::account::Tally;
use crate::metrics::status::{ClassState, Kept, ProcessMemory, Rate, Rates, RecorderState};
use crate::record::detail::Facts;
use crate::record::statistics::{Sample, class_holding};
use std::collections::{BTreeMap, VecDeque};

/// The window of the classes' growth: segments are written in blocks, budgets are kept in segments.
const WINDOW_NS: u64 = 60_000_000_000;
const SECOND: f64 = 1e9;

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
    /// Takes a sample in; `before` is the one a second earlier, `started` the monotonic start.
    pub fn state(&mut self, facts: &Facts, before: &Sample, now: &Sample, started: u64) -> RecorderState {
        self.take(now);
        let seconds = now.mono_ns.saturating_sub(before.mono_ns) as f64 / SECOND;
        let (a, b) = (&now.account, &before.account);
        let rate = |a: Tally, b: Tally| Rate {
            packets_per_second: per(a.packets.saturating_sub(b.packets), seconds),
            bytes_per_second: per(a.bytes.saturating_sub(b.bytes), seconds),
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
        RecorderState {
            started: facts.started,
            process: ProcessMemory::this(),
            rates: Rates {
                seen: rate(a.from.seen, b.from.seen),
                shunted: rate(a.from.shunted, b.from.shunted),
                received: rate(a.worker.received, b.worker.received),
                stored: rate(a.worker.stored, b.worker.stored),
                lost_packets_per_second: per(a.lost_total().saturating_sub(b.lost_total()), seconds),
            },
            kept: Kept {
                packets_share: share(a.worker.stored.packets, a.from.seen.packets),
                bytes_share: share(a.worker.stored.bytes, a.from.seen.bytes),
            },
            lost_by_cause: causes.into_iter().filter(|(_, n)| *n > 0).map(|(c, n)| (c.to_owned(), n)).collect(),
            memory_bytes: facts.memory.iter().map(|(part, bytes)| ((*part).to_owned(), *bytes)).collect(),
            counters: now.counters(started),
            classes: self.classes(facts, now),
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
                holding: class_holding(h),
                budget_bytes: budget,
                room_bytes: room,
                growth_bytes_per_second: self.growth(&h.class),
                holds_seconds: room.and_then(lasts),
                left_seconds: room.and_then(|r| lasts(r.saturating_sub(held))),
                memory_bytes: memory.bytes,
                memory_budget_bytes: facts.shares.own.iter().find(|(n, _)| *n == h.class).map(|(_, bytes)| *bytes),
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
        trend.state(&facts, &last, &last, 0);
        for n in 1..=100 {
            // `own` is full: 10 come each second, and every tenth second 100 go.
            let own = 2_000 - 100 + 10 * (n % 10);
            let now = sample(n, &[("all", 1_000 + 30 * n), ("own", own), ("other", 10 * n)]);
            let state = trend.state(&facts, &last, &now, 0);
            last = now;
            if n < 100 {
                continue;
            }
            assert_eq!((state.rates.seen.packets_per_second, state.rates.stored.bytes_per_second), (100.0, 500.0));
            assert_eq!((state.kept.bytes_share, state.kept.packets_share), (0.05, 0.1));
            let [all, own, other] = &state.classes[..] else { panic!("{state:?}") };
            assert_eq!((all.growth_bytes_per_second, other.growth_bytes_per_second), (30.0, 10.0));
            assert!((8.0..=10.0).contains(&own.growth_bytes_per_second), "{own:?}");
            // `all` and `other` share 100,000 and grow by 40 a second; 5,000 are there.
            assert_eq!(
                (all.room_bytes, all.holds_seconds, all.left_seconds),
                (Some(100_000), Some(2_500.0), Some(2_375.0))
            );
            assert_eq!((other.holds_seconds, own.room_bytes), (all.holds_seconds, Some(2_000)));
        }
    }

    /// To the last digit: what `status` says is what `record --json` says.
    #[test]
    fn serve_knows_a_state_as_it_was_said() {
        use crate::messages::{Socket, ToCapture, ToServe};
        let (ours, theirs) = Socket::pair().unwrap();
        let to_serve = ToServe::default();
        to_serve.attach(ours);
        let capture = ToCapture::new(theirs);
        let facts = Facts { classes: vec![("all".into(), None)], ..Facts::default() };
        let mut trend = Trend::default();
        let mut last = sample(0, &[("all", 1_000)]);
        for n in 1..=40 {
            let mut now = sample(n, &[("all", 1_000 + 1_237 * n)]);
            // Seconds are never whole ones.
            now.mono_ns += 7_919 * n * n;
            let state = trend.state(&facts, &last, &now, 0);
            to_serve.state(&state);
            // With it comes all before it.
            to_serve.page(&n.to_string());
            assert_eq!(capture.page().as_deref(), Some(&*n.to_string()));
            assert_eq!(capture.state().as_deref(), Some(&state));
            last = now;
        }
    }
}
