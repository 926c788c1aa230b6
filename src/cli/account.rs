//! The final account as people read it: every counter of the sum law under what it is a part of.

use super::table::Table;
use crate::metrics::account::{Account, SourceKind, Tally};
use crate::units;

/// All lines; counters that are not of this source, or that have always been 0 and say nothing by it, are left out.
pub fn table(a: &Account) -> String {
    let mut t = Table::new(&["", ">packets", ">bytes", ">of seen"]);
    let mut row = |depth: usize, name: &str, n: u64, bytes: Option<u64>, of: Option<u64>| {
        let share = of.filter(|of| *of > 0).map(|of| format!("{:.2} %", n as f64 * 100.0 / of as f64));
        let bytes = bytes.map(units::size).unwrap_or_default();
        t.row([format!("{:1$}{name}", "", depth * 2), units::count(n), bytes, share.unwrap_or_default()]);
    };
    let (f, w, s) = (&a.from, &a.worker, &a.store);
    let seen = f.seen.packets;
    let mut tally = |depth, name, t: Tally, of| row(depth, name, t.packets, Some(t.bytes), of);
    tally(0, "seen", f.seen, None);
    let depth = match a.source {
        SourceKind::Xdp => 2,
        SourceKind::Packet | SourceKind::File => 1,
    };
    if a.source != SourceKind::File {
        tally(1, "shunted", f.shunted, Some(seen));
    }
    if a.source == SourceKind::Xdp {
        tally(1, "passed", f.passed, Some(seen));
        tally(1, "redirected", f.redirected, Some(seen));
    }
    tally(depth, "received", w.received, Some(seen));
    tally(depth + 1, "stored", w.stored, Some(seen));
    row(depth + 2, "durable", s.durable, None, None);
    if s.pending > 0 {
        row(depth + 2, "pending", s.pending, None, None);
    }
    row(depth + 2, "write_failed", s.write_failed, None, None);
    let mut tally = |depth, name, t: Tally, of| row(depth, name, t.packets, Some(t.bytes), of);
    tally(depth + 1, "cut", w.cut, Some(seen));
    for (name, t) in [
        ("filtered", w.filtered),
        ("class_discard", w.class_discard),
        ("sampled_out", w.sampled_out),
        ("duplicate", w.duplicate),
    ] {
        if t.packets > 0 {
            tally(depth + 1, name, t, Some(seen));
        }
    }
    tally(depth + 1, "dropped", w.dropped.total(), Some(seen));
    for (name, t) in
        [("disk_stall", w.dropped.disk_stall), ("handoff_full", w.dropped.handoff_full), ("flood", w.dropped.flood)]
    {
        if t.packets > 0 {
            tally(depth + 2, name, t, Some(seen));
        }
    }
    if a.source == SourceKind::Xdp {
        row(2, "in_ring", f.in_ring, None, None);
        row(2, "redirect_failed", f.redirect_failed.total(), None, Some(seen));
        let r = f.redirect_failed;
        for (name, n) in
            [("ring_full", r.ring_full), ("no_frame", r.no_frame), ("too_big", r.too_big), ("unbound", r.unbound)]
        {
            if n > 0 {
                row(3, name, n, None, Some(seen));
            }
        }
    } else {
        row(1, "lost", f.lost, None, Some(seen));
    }
    t.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::account::{SourceCounts, StoreCounts, WorkerCounts};

    #[test]
    fn parts_stand_below_their_sum() {
        let tally = |packets| Tally { packets, bytes: packets << 10 };
        let account = Account {
            source: SourceKind::File,
            from: SourceCounts { seen: tally(1001), lost: 1, ..SourceCounts::default() },
            worker: WorkerCounts {
                received: tally(1000),
                stored: tally(100),
                cut: tally(900),
                ..WorkerCounts::default()
            },
            store: StoreCounts { durable: 100, ..StoreCounts::default() },
        };
        account.check().unwrap();
        let lines: Vec<String> = table(&account).lines().map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "                    packets     bytes  of seen",
                "seen                  1 001  0.98 MiB",
                "  received            1 000  0.98 MiB  99.90 %",
                "    stored              100   100 KiB   9.99 %",
                "      durable           100",
                "      write_failed        0",
                "    cut                 900   900 KiB  89.91 %",
                "    dropped               0       0 B   0.00 %",
                "  lost                    1             0.10 %",
            ]
        );
    }
}
