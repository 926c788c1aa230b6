//! What a recorder says of itself each interval: one line for people, one object for programs. Owns the sample and its
//! two forms; made and printed by the control thread, never by a worker.

use super::detail::Detail;
use crate::metrics::account::{Account, SourceKind};
use crate::metrics::status::{ClassHolding, Connections, Counters, Report, ReportKind};
use crate::store::Holding;
use crate::units;
use std::fmt::Write;

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Monotonic clock, ns.
    pub mono_ns: u64,
    /// Unix time, ns.
    pub unix_ns: u64,
    /// The counters since the start.
    pub account: Account,
    /// The connection tables.
    pub connections: Connections,
    /// Each class.
    pub holdings: Vec<Holding>,
    /// What the interfaces' own counters say was lost before the source saw it, since the start.
    pub nic_lost: u64,
    /// Its parts.
    pub detail: Detail,
}

impl Sample {
    /// Before anything was counted.
    pub fn none(mono_ns: u64, unix_ns: u64, source: SourceKind) -> Sample {
        Sample {
            mono_ns,
            unix_ns,
            account: Account {
                source,
                from: Default::default(),
                worker: Default::default(),
                store: Default::default(),
            },
            connections: Connections::default(),
            holdings: Vec::new(),
            nic_lost: 0,
            detail: Detail::default(),
        }
    }

    /// As a program reads it; `started` is the monotonic start.
    pub fn report(&self, kind: ReportKind, started: u64) -> Report {
        Report { kind, counters: self.counters(started), classes: self.holdings.iter().map(class_holding).collect() }
    }

    /// Its counters; `started` is the monotonic start.
    pub fn counters(&self, started: u64) -> Counters {
        Counters {
            time: self.unix_ns,
            uptime_seconds: self.mono_ns.saturating_sub(started),
            account: self.account,
            lost_packets: self.account.lost_total(),
            nic_lost_packets: self.nic_lost,
            connections: self.connections,
            recent: self.detail.memory,
            latency: self.detail.times.latency(),
        }
    }

    /// As people read it: rates since `before`, then what is there.
    pub fn line(&self, before: &Sample) -> String {
        let seconds = self.mono_ns.saturating_sub(before.mono_ns) as f64 / 1e9;
        let (a, b) = (&self.account, &before.account);
        let seen = since(a.from.seen.packets, b.from.seen.packets);
        let mut line = format!(
            "seen {} {}",
            units::packet_rate(seen, seconds),
            units::bit_rate(since(a.from.seen.bytes, b.from.seen.bytes), seconds),
        );
        let shunted = since(a.from.shunted.packets, b.from.shunted.packets);
        if a.from.shunted.packets > 0 {
            write!(line, " · shunted {}", share(shunted, seen)).ok();
        }
        write!(
            line,
            " · received {} · stored {} {}",
            units::packet_rate(since(a.worker.received.packets, b.worker.received.packets), seconds),
            units::packet_rate(since(a.worker.stored.packets, b.worker.stored.packets), seconds),
            units::bit_rate(since(a.worker.stored.bytes, b.worker.stored.bytes), seconds),
        )
        .ok();
        let lost = since(a.lost_total(), b.lost_total());
        write!(line, " · lost {} ({})", units::count(lost), share(lost, seen)).ok();
        if a.lost_total() > lost {
            write!(line, ", {} in all", units::count(a.lost_total())).ok();
        }
        if self.nic_lost > 0 {
            write!(line, " · nic lost {}", units::count(since(self.nic_lost, before.nic_lost))).ok();
        }
        write!(line, " · conns {}", units::count(self.connections.tracked)).ok();
        write!(line, " · mem {}", units::count(a.store.pending)).ok();
        for h in &self.holdings {
            write!(line, " · {} {}", h.class, units::size(h.bytes)).ok();
            if let Some(oldest) = h.since {
                write!(line, " for {}", units::duration(self.unix_ns.saturating_sub(oldest))).ok();
            }
        }
        line
    }
}

/// What the disk holds of a class, as programs read it.
pub(super) fn class_holding(h: &Holding) -> ClassHolding {
    ClassHolding {
        class: h.class.clone(),
        segments: h.segments,
        disk_bytes: h.bytes,
        oldest: h.since,
        oldest_recorded: h.recorded,
        budget_holds_seconds: h.holds_ns,
    }
}

fn since(now: u64, before: u64) -> u64 {
    now.saturating_sub(before)
}

/// Per cent, with as many digits as a loss needs.
fn share(part: u64, of: u64) -> String {
    match of {
        0 => "0%".into(),
        _ if part == 0 => "0%".into(),
        _ => {
            let percent = part as f64 * 100.0 / of as f64;
            if percent < 0.1 { format!("{percent:.4}%") } else { format!("{percent:.1}%") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::account::{SourceCounts, StoreCounts, Tally, WorkerCounts};

    fn sample(seconds: u64, packets: u64, lost: u64) -> Sample {
        let tally = |p| Tally { packets: p, bytes: p * 1000 };
        Sample {
            mono_ns: seconds * 1_000_000_000,
            unix_ns: (1_700_000_000 + seconds) * 1_000_000_000,
            account: Account {
                source: SourceKind::Packet,
                from: SourceCounts { seen: tally(packets + lost), lost, ..SourceCounts::default() },
                worker: WorkerCounts { received: tally(packets), stored: tally(packets), ..WorkerCounts::default() },
                store: StoreCounts { durable: packets, ..StoreCounts::default() },
            },
            connections: Connections { tracked: 12_345, ..Connections::default() },
            holdings: vec![Holding {
                class: "all".into(),
                segments: 3,
                bytes: 3 << 30,
                since: Some(1_700_000_000_000_000_000),
                ..Holding::default()
            }],
            nic_lost: 0,
            detail: Detail::default(),
        }
    }

    #[test]
    fn the_line_has_rates_of_the_interval_and_totals_of_loss() {
        assert_eq!(
            sample(65, 2_000_000, 30).line(&sample(63, 0, 10)),
            "seen 1.00 Mpps 8.00 Gbit/s · received 1.00 Mpps · stored 1.00 Mpps 8.00 Gbit/s · lost 20 (0.0010%), 30 in all \
             · conns 12 345 · mem 0 · all 3.00 GiB for 1m 5s"
        );
    }

    #[test]
    fn the_object_has_the_names_of_the_counters() {
        let s = sample(2, 5, 1);
        let v = serde_json::to_value(s.report(ReportKind::Final, 1_000_000_000)).unwrap();
        assert_eq!((&v["kind"], &v["uptime_seconds"], &v["lost_packets"]), (&"final".into(), &1.0.into(), &1.into()));
        for key in [
            "seen",
            "received",
            "stored",
            "cut",
            "filtered",
            "class_discard",
            "sampled_out",
            "duplicate",
            "dropped",
            "durable",
            "pending",
        ] {
            assert!(v.get(key).is_some(), "{key}");
        }
        assert_eq!(v["stored"]["packets"], 5);
        assert_eq!(v["classes"][0]["oldest"], "2023-11-14T22:13:20.000000000Z");
    }
}
