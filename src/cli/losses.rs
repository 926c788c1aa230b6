//! `retrotap losses`: what was lost when, where and why, and when nothing was recorded: the ledger, as people and programs read it.

use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::ledger::{Coverage, What, coverage, entries, only_imported};
use crate::store::layout::Layout;
use crate::units;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

/// What `losses` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retrotap losses --last 24h --store /var/lib/retrotap
  retrotap losses --since 13:15 --until 13:20 --json")]
pub struct Args {
    /// The store
    #[arg(long, value_name = "DIR", env = "RETROTAP_STORE")]
    pub store: PathBuf,
    /// From this time on: 2026-11-21T13:15:00Z, 13:15, -10m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// The last 10s, 10m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = crate::units::parse_duration, conflicts_with_all = ["since", "until"])]
    pub last: Option<u64>,
    /// Of this class; what was lost before it had a class stays
    #[arg(long, value_name = "NAME")]
    pub class: Option<String>,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Packets lost in one second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Slice {
    /// When the second begins, Unix ns.
    t: u64,
    place: String,
    cause: String,
    /// `None`: lost before they had one.
    class: Option<String>,
    packets: u64,
}

/// Connections that were not tracked in one second: the table was full, or a flood's limits kept them out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Flood {
    /// When the second begins, Unix ns.
    t: u64,
    worker: u16,
    /// Their packets, stored untracked or lost.
    packets: u64,
    /// Whom most came from, where one source had too many.
    source: Option<IpAddr>,
}

/// What a window lacks. Times are Unix ns.
#[derive(Clone, Debug, Default, Serialize)]
struct Losses {
    since: Option<u64>,
    until: u64,
    /// Packets of all slices.
    packets: u64,
    /// By cause.
    causes: BTreeMap<String, u64>,
    slices: Vec<Slice>,
    floods: Vec<Flood>,
    /// From, to.
    not_recorded: Vec<(u64, u64)>,
    link_down: Vec<crate::ledger::LinkDown>,
    /// The store holds imported traces: no recorder covers their times.
    imported: bool,
}

/// Shows them.
pub fn run(args: Args) -> Result<Exit, Failure> {
    crate::query::priority::idle();
    let now = units::now();
    let time = |word: &Option<String>| word.as_deref().map(|w| units::parse_time(w, now)).transpose();
    let since = time(&args.since).map_err(Failure::usage)?.or(args.last.map(|l| now.saturating_sub(l)));
    let until = time(&args.until).map_err(Failure::usage)?.unwrap_or(now);
    if since.is_some_and(|s| s >= until) {
        return Err(Failure::usage("--since must be before --until"));
    }
    // A store of another version, or none, is named as such.
    crate::store::list::unsealed(&Layout::new(&args.store)).map_err(Failure::cannot)?;
    let losses = gather(&Layout::new(&args.store), since, until, args.class.as_deref()).map_err(Failure::cannot)?;
    if args.json {
        show::json_line(&losses);
    } else {
        let _ = say::out().write_all(text(&losses).as_bytes());
    }
    Ok(Exit::Done)
}

fn gather(
    layout: &Layout,
    since: Option<u64>,
    until: u64,
    of: Option<&str>,
) -> Result<Losses, crate::ledger::LedgerError> {
    let dir = layout.ledger();
    let from = since.unwrap_or(0);
    let imported = only_imported(&dir)?;
    let mut l = Losses { since, until, imported, ..Losses::default() };
    // A slice counts if its second overlaps the window.
    let mut slices: BTreeMap<(u64, String, String, Option<String>), u64> = BTreeMap::new();
    for e in entries(&dir, from.saturating_sub(999_999_999), until)? {
        match e.what {
            What::Loss { cause, place, class, packets }
                if of.is_none() || class.is_none() || class.as_deref() == of =>
            {
                *slices.entry((e.t, place, cause, class)).or_default() += packets;
            }
            What::Flood { worker, packets, source } => l.floods.push(Flood { t: e.t, worker, packets, source }),
            _ => {}
        }
    }
    for ((t, place, cause, class), packets) in slices {
        l.packets += packets;
        *l.causes.entry(cause.clone()).or_default() += packets;
        l.slices.push(Slice { t, place, cause, class, packets });
    }
    let Coverage { gaps, link_down, known_from, .. } = coverage(&dir, from, until)?;
    if !imported {
        // What was before the ledger began is not known, and no gap.
        let known = known_from.filter(|_| since.is_none()).unwrap_or(from);
        l.not_recorded = gaps.into_iter().map(|(a, b)| (a.max(known), b)).filter(|(a, b)| a < b).collect();
    }
    l.link_down = link_down;
    Ok(l)
}

fn text(l: &Losses) -> String {
    let mut out = String::new();
    if !l.slices.is_empty() {
        let mut t = Table::new(&["second", "place", "cause", "class", ">packets"]);
        for s in &l.slices {
            let class = s.class.clone().unwrap_or_else(|| "-".into());
            t.row([units::local_time(s.t), s.place.clone(), s.cause.clone(), class, units::count(s.packets)]);
        }
        out += &t.to_string();
    }
    if let (Some(first), Some(last)) = (l.floods.first(), l.floods.last()) {
        let packets = l.floods.iter().map(|f| f.packets).sum();
        let mut by_source: BTreeMap<IpAddr, u64> = BTreeMap::new();
        for f in &l.floods {
            f.source.into_iter().for_each(|a| *by_source.entry(a).or_default() += f.packets);
        }
        let most =
            by_source.into_iter().max_by_key(|(_, n)| *n).map_or(String::new(), |(a, _)| format!(", most from {a}"));
        out += &format!(
            "flood:        {} packets of connections that were not tracked, {} to {}{most}\n",
            units::count(packets),
            units::local_time(first.t),
            units::local_time(last.t)
        );
    }
    for (from, to) in &l.not_recorded {
        let long = units::duration(to - from);
        out += &format!("not recorded: {} to {} ({long})\n", units::local_time(*from), units::local_time(*to));
    }
    for d in &l.link_down {
        out +=
            &format!("no link:      {}: {} to {}\n", d.interface, units::local_time(d.from), units::local_time(d.to));
    }
    let causes: Vec<String> = l.causes.iter().map(|(c, n)| format!("{} by {c}", units::count(*n))).collect();
    out += &match (l.packets, l.imported) {
        (0, true) => "no packet lost; the store holds imported traces, whose times no recorder covers\n".to_owned(),
        (0, false) => "no packet lost\n".to_owned(),
        (n, _) => format!("{} packets lost: {}\n", units::count(n), causes.join(", ")),
    };
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{LEDGER_BYTES, Ledger};

    const S: u64 = 1_000_000_000;

    #[test]
    fn slices_by_second_place_and_cause() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let mut ledger = Ledger::open(&layout.ledger(), LEDGER_BYTES, 1000 * S).unwrap();
        let started = What::Started { version: "0".into(), source: "xdp".into(), config: serde_json::Value::Null };
        ledger.append(1000 * S, started).unwrap();
        for (t, cause, place, class, packets) in [
            (1010, "disk_stall", "worker 0", Some("web"), 5),
            (1010, "ring_full", "eth1", None, 7),
            (1020, "disk_stall", "worker 0", Some("dns"), 1),
        ] {
            let class = class.map(str::to_owned);
            ledger.append(t * S, What::Loss { cause: cause.into(), place: place.into(), class, packets }).unwrap();
        }
        ledger.append(1030 * S, What::Stopped).unwrap();
        ledger.beat(1030 * S).unwrap();
        let all = gather(&layout, None, 1100 * S, None).unwrap();
        assert_eq!((all.packets, all.slices.len(), all.causes.get("disk_stall")), (13, 3, Some(&6)));
        assert_eq!(all.not_recorded, [(1030 * S, 1100 * S)]);
        // A second that the window cuts counts.
        let some = gather(&layout, Some(1010 * S + 5), 1015 * S, None).unwrap();
        assert_eq!((some.packets, some.slices.len(), some.not_recorded.len()), (12, 2, 0));
        let web = gather(&layout, None, 1100 * S, Some("web")).unwrap();
        assert_eq!((web.packets, web.slices.len()), (12, 2), "its own, and what was lost before it had a class");
        assert!(text(&all).contains("13 packets lost: 6 by disk_stall, 7 by ring_full"), "{}", text(&all));
    }
}
