//! The summary of an answer as people read it: how much it is, and what is missing from it and why.

use super::{IncompleteReason, NothingFound, Summary, WindowPlace};
use crate::ledger::GapCause;
use crate::units::{self, several};
use std::fmt::Write;

/// Several lines, for whoever asked.
pub fn text(s: &Summary) -> String {
    let mut t = format!("{} ({})\n", amount(s), units::duration(s.elapsed_ns));
    for line in missing(s).into_iter().chain(s.nothing.iter().flat_map(nothing)) {
        let _ = writeln!(t, "{line}");
    }
    let p = &s.pruning;
    let _ = writeln!(
        t,
        "  looked at:    {} of {}, {} in {}",
        units::count(
            (p.segments + p.runs).saturating_sub(p.by_class + p.by_time + p.by_filter + p.by_index + p.by_interface)
        ),
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
    let least = if s.counts_all_connections() { "" } else { "at least " };
    let all = format!("{packets}, {bytes}, {least}{}", several(s.connections, "connection"));
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
    if !s.counts_all_connections() {
        let of = [(s.uncounted_packets, "packet"), (s.uncounted_receipts, "receipt")];
        let of: Vec<String> = of.iter().filter(|(n, _)| *n > 0).map(|(n, what)| several(*n, what)).collect();
        line(format!(
            "  not counted:  connections of {}: they do not fit the memory that one answer may take, or came before a connection that broke; \
             figures of connections and of what was cut are at least so high",
            of.join(" and ")
        ));
    }
    if s.running_unknown > 0 {
        line(format!(
            "  not told:     of {} the recorder did not say in time whether they run",
            several(s.running_unknown, "connection")
        ));
    }
    s.incomplete.iter().filter_map(lacking).for_each(&mut line);
    if s.incomplete_more > 0 {
        line(format!("  missing:      {} more", several(s.incomplete_more, "reason")));
    }
    damaged(s).into_iter().for_each(&mut line);
    for r in &s.refused {
        let of = if r.interfaces.is_empty() { String::new() } else { format!(" ({})", r.interfaces.join(", ")) };
        let packets = if r.packets == 0 { "packets".to_owned() } else { several(r.packets, "packet") };
        line(format!("  refused:      {packets} of link type {}{of} can't be asked this: {}", r.name, r.error));
    }
    if s.try_any_layer {
        line("  hint:         inside VLAN tags or tunnels there are packets that match: ask with --any-layer".into());
    }
    if s.behind_extensions {
        line(
            "  hint:         behind IPv6 extension headers, where libpcap's port and protocol do not look, connections match: \
             `retrotap connections` lists them, --conn gives their packets (`ip6 protochain` matches, too)"
                .into(),
        );
    }
    lines
}

/// Of an empty answer: what there would have been to find.
fn nothing(n: &NothingFound) -> Vec<String> {
    let window = match n.window {
        WindowPlace::Inside => None,
        WindowPlace::Before => Some("ends before the oldest packet that there is"),
        WindowPlace::After => Some("begins after the newest packet that there is"),
        WindowPlace::Future => Some("begins in the future"),
        WindowPlace::NoPackets => Some("there is no packet, in whatever time"),
    };
    let stored = n.stored.iter().map(|s| match s.first.zip(s.last) {
        Some((first, last)) => {
            format!("  there is:     class {}: {} to {}", s.class, units::time(first), units::time(last))
        }
        None => format!("  there is:     class {}: no packet", s.class),
    });
    let no_match = n.no_match.iter().map(|part| format!("  no match:     no packet has {part}, in whatever time"));
    window.map(|w| format!("  window:       {w}")).into_iter().chain(stored).chain(no_match).collect()
}

/// What is missing, in words; `None`: another line says it.
fn lacking(reason: &IncompleteReason) -> Option<String> {
    use IncompleteReason as I;
    let of = |class: &Option<String>| class.as_ref().map_or(String::new(), |c| format!(" of class {c}"));
    let times = |from: u64, to: u64| {
        format!("{} to {} ({})", units::time(from), units::time(to), units::duration(to.saturating_sub(from)))
    };
    Some(match reason {
        I::Expired { class, from, to } => {
            format!("  expired:      packets{} from {} to {}", of(class), units::time(*from), units::time(*to))
        }
        I::ExpiredMeanwhile { segments } => {
            format!("  expired:      {} while the answer was made", several(*segments, "segment"))
        }
        I::Lost { cause, place, class, packets } => {
            format!("  lost:         {}{} by {cause} at {place}", several(*packets, "packet"), of(class))
        }
        I::NotRecorded { from, to, cause } => {
            let why = match cause {
                GapCause::Before => "no recorder had run before",
                GapCause::Stopped => "the recorder was stopped",
                GapCause::Killed => "the recorder was killed",
                GapCause::ClockStep => "the clock was set forward",
            };
            match *to {
                u64::MAX => format!("  not recorded: from {} on: {why}", units::time(*from)),
                to => format!("  not recorded: {}: {why}", times(*from, to)),
            }
        }
        I::LinkDown { interface, from, to } => format!("  no link:      {interface}: {}", times(*from, *to)),
        I::ImportCutShort { since } => {
            format!("  not read:     the import that began at {} did not read all of its files", units::time(*since))
        }
        I::NotYet { to, .. } => format!("  not yet:      the window goes on until {}", units::time(*to)),
        I::BeyondMemory { class, from } => {
            format!("  memory:       has all packets{} only from {} on", of(class), units::time(*from))
        }
        I::Unknown => "  missing:      something that this program does not know: the recorder is newer".into(),
        I::Damaged { .. }
        | I::Limited
        | I::RecorderEnded
        | I::RunningUnknown { .. }
        | I::Uncounted { .. }
        | I::Refused { .. } => {
            return None;
        }
    })
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
    let ruled_out = p.by_class + p.by_time + p.by_filter + p.by_index + p.by_interface;
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
        (p.by_interface, "  skipped by interface"),
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
            incomplete: vec![
                IncompleteReason::Lost { cause: "no_frame".into(), place: "eth1".into(), class: None, packets: 7 },
                IncompleteReason::NotRecorded {
                    from: 1_700_000_000_000_000_000,
                    to: 1_700_000_060_000_000_000,
                    cause: GapCause::Killed,
                },
                IncompleteReason::Expired {
                    class: Some("dns".into()),
                    from: 1_700_000_000_000_000_000,
                    to: 1_700_000_060_000_000_000,
                },
            ],
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
            "not recorded: 2023-11-14T22:13:20Z to 2023-11-14T22:14:20Z (1m): the recorder was killed",
            "expired:      packets of class dns from 2023-11-14T22:13:20Z to 2023-11-14T22:14:20Z",
            "--any-layer",
        ] {
            assert!(text.contains(words), "{text} lacks {words}");
        }
    }
}
