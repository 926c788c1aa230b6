//! The summary of an answer as people read it: how much it is, and what is missing from it and why.

use super::Summary;
use crate::units::{self, several};
use std::fmt::Write;

/// Several lines, for whoever asked.
pub fn text(s: &Summary) -> String {
    let mut t = format!("{} ({})\n", amount(s), units::duration(s.elapsed_ns));
    for line in missing(s) {
        let _ = writeln!(t, "{line}");
    }
    let p = &s.pruning;
    let _ = writeln!(
        t,
        "  looked at:    {} of {}, {} in {}",
        units::count((p.segments + p.runs).saturating_sub(p.by_class + p.by_time + p.by_filter + p.by_index)),
        if p.runs == 0 {
            several(p.segments, "segment")
        } else {
            format!("{} and {} in memory", several(p.segments, "segment"), several(p.runs, "run"))
        },
        several(p.candidates, "candidate"),
        units::size(p.bytes_read)
    );
    t
}

/// How much the answer is, in one line.
pub(super) fn amount(s: &Summary) -> String {
    let (packets, bytes) = (several(s.packets, "packet"), units::size(s.bytes));
    let all = format!("{packets}, {bytes}, {}", several(s.connections, "connection"));
    match (s.first, s.last) {
        (Some(first), Some(last)) => format!("{all}, {} to {}", units::time(first), units::time(last)),
        _ => all,
    }
}

/// What is missing, and what is to be known of the rest: a line each.
pub fn missing(s: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |text: String| lines.push(text);
    if s.limited {
        line("  limit:        more would have matched".into());
    }
    if s.recorder_ended {
        line("  ended:        the recorder has ended, and nothing more comes".into());
    }
    if s.late > 0 {
        line(format!("  late:         {} came after newer ones", several(s.late, "packet")));
    }
    if s.cut_connections > 0 {
        line(format!(
            "  cut:          {} past the cutoff; {}, {} of them were not stored",
            several(s.cut_connections, "connection"),
            several(s.cut_packets, "packet"),
            units::size(s.cut_bytes)
        ));
    }
    if s.running_connections > 0 {
        let run = if s.running_connections == 1 { "runs" } else { "run" };
        line(format!(
            "  running:      {} still {run}: what is cut is as of now",
            several(s.running_connections, "connection")
        ));
    }
    if s.open_connections > 0 {
        line(format!(
            "  no receipt:   {}: what was cut of them is not known (they last, or the receipt has expired)",
            several(s.open_connections, "connection")
        ));
    }
    if s.running_unknown > 0 {
        line(format!(
            "  not told:     of {} the recorder did not say in time whether they run",
            several(s.running_unknown, "connection")
        ));
    }
    for loss in &s.lost {
        line(format!("  lost:         {} by {} at {}", several(loss.packets, "packet"), loss.cause, loss.place));
    }
    for (from, to) in &s.not_recorded {
        if *to == u64::MAX {
            line(format!("  not recorded: from {} on", units::time(*from)));
            continue;
        }
        let (long, from, to) = (units::duration(to - from), units::time(*from), units::time(*to));
        line(format!("  not recorded: {from} to {to} ({long})"));
    }
    if let Some(oldest) = s.expired_before {
        line(format!("  expired:      what was before {}", units::time(oldest)));
    }
    if s.expired_segments > 0 {
        line(format!("  expired:      {} while the answer was made", several(s.expired_segments, "segment")));
    }
    damaged(s).into_iter().for_each(&mut line);
    if s.try_any_layer {
        line("  hint:         inside VLAN tags or tunnels there are packets that match: ask with --any-layer".into());
    }
    lines
}

/// What can't be read, and where.
fn damaged(s: &Summary) -> Vec<String> {
    let all = [
        (s.damaged_segments, "segment"),
        (s.damaged_blocks, "block"),
        (s.damaged_packets, "packet"),
        (s.damaged_indexes, "index"),
    ];
    let line = |(n, what)| format!("  damaged:      {} (retrotap verify names them)", several(n, what));
    let lines = all.into_iter().filter(|(n, _)| *n > 0).map(line);
    let places = s.damage.iter().map(|p| format!("                {} at offset {}", p.segment, p.offset));
    lines.chain(places).collect()
}

/// How the answer was found: the plan, and what it ruled out.
pub fn explained(s: &Summary) -> String {
    let p = &s.pruning;
    let ruled_out = p.by_class + p.by_time + p.by_filter + p.by_index;
    let mut t = String::from("plan: a packet of the answer has\n");
    for line in s.plan.lines() {
        let _ = writeln!(t, "  {line}");
    }
    for part in &s.idle {
        let _ = writeln!(t, "rules out nothing: {part}");
    }
    let _ = writeln!(t, "libpcap decides each candidate");
    for (n, what) in [
        (p.segments, "segments, and gaps of those that are being written"),
        (p.runs, "runs of blocks in memory"),
        (p.by_class, "  skipped by class"),
        (p.by_time, "  skipped by time"),
        (p.by_filter, "  skipped by their filters"),
        (p.by_index, "  skipped by index"),
        ((p.segments + p.runs).saturating_sub(ruled_out), "  looked at"),
        (p.without_index, "    of these without an index, scanned"),
        (p.candidates, "candidates"),
        (s.packets, "packets that match"),
    ] {
        let _ = writeln!(t, "{:>14}  {what}", units::count(n));
    }
    let _ = writeln!(t, "{:>14}  read", units::size(p.bytes_read));
    t
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Loss;

    #[test]
    fn what_is_missing_is_said() {
        let s = Summary {
            packets: 2,
            bytes: 2048,
            connections: 1,
            first: Some(1_700_000_000_000_000_000),
            last: Some(1_700_000_001_000_000_000),
            cut_connections: 1,
            cut_packets: 9,
            cut_bytes: 9000,
            running_connections: 1,
            lost: vec![Loss { cause: "no_frame".into(), place: "eth1".into(), packets: 7 }],
            not_recorded: vec![(1_700_000_000_000_000_000, 1_700_000_060_000_000_000)],
            try_any_layer: true,
            elapsed_ns: 2_000_000,
            ..Summary::default()
        };
        let text = text(&s);
        for words in [
            "2 packets, 2.00 KiB, 1 connection, 2023-11-14T22:13:20Z to 2023-11-14T22:13:21Z (2.000 ms)",
            "cut:          1 connection past the cutoff; 9 packets, 8.79 KiB of them were not stored",
            "running:      1 connection still runs: what is cut is as of now",
            "lost:         7 packets by no_frame at eth1",
            "not recorded: 2023-11-14T22:13:20Z to 2023-11-14T22:14:20Z (1m)",
            "--any-layer",
        ] {
            assert!(text.contains(words), "{text} lacks {words}");
        }
    }
}
