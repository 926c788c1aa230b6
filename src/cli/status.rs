//! `retrotap status` and `retrotap classes`: how a recorder is doing, as people and programs read it. Owns the screen, which `top` shows
//! too.

use super::api::{At, refused};
use super::plain::plain;
use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::control::Status;
use crate::metrics::status::{ClassState, Rate};
use crate::units;
use std::fmt::Write as _;
use std::io::Write;

/// What `status` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retrotap status --store /var/lib/retrotap
  retrotap status --api https://tap1:7443 --token-file token --ca api.crt --json")]
pub struct Args {
    #[command(flatten)]
    at: At,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// What `classes` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retrotap classes --store /var/lib/retrotap --json | jq -r .class")]
pub struct Classes {
    #[command(flatten)]
    at: At,
    /// JSON lines, one a class
    #[arg(long)]
    json: bool,
}

/// Shows the recorder.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let status: Status = args.at.recorder()?.get("/v1/status").map_err(refused)?;
    match args.json {
        true => show::json_line(&status),
        false => {
            let _ = say::out().write_all(plain(&screen(&status)).as_bytes());
        }
    }
    Ok(Exit::Done)
}

/// Shows the classes.
pub fn classes(args: Classes) -> Result<Exit, Failure> {
    let all: Vec<ClassState> = args.at.recorder()?.list("/v1/classes").map_err(refused)?;
    match args.json {
        true => all.iter().for_each(show::json_line),
        false => {
            let _ = say::out().write_all(table(&all).as_bytes());
        }
    }
    Ok(Exit::Done)
}

/// The screen of a status.
pub fn screen(s: &Status) -> String {
    let mut out = String::new();
    let r = &s.recorder;
    let (a, connections) = (&r.counters.account, &r.counters.connections);
    let age = units::duration(units::now().saturating_sub(r.started));
    let since = units::local_time(r.started);
    let source = a.source.name();
    let _ = writeln!(
        out,
        "recording since {since} ({age}) by {source}, process {}, into {}",
        r.process.pid,
        s.store.display()
    );
    let mut rates = Table::new(&["", ">packets/s", ">bit/s", ">packets", ">bytes"]);
    for (what, rate, tally) in [
        ("seen", r.rates.seen, a.from.seen),
        ("shunted", r.rates.shunted, a.from.shunted),
        ("received", r.rates.received, a.worker.received),
        ("stored", r.rates.stored, a.worker.stored),
    ] {
        let Rate { packets_per_second, bytes_per_second } = rate;
        rates.row([
            what.to_owned(),
            units::packet_rate(packets_per_second as u64, 1.0),
            units::bit_rate(bytes_per_second as u64, 1.0),
            units::count(tally.packets),
            units::size(tally.bytes),
        ]);
    }
    let _ = write!(out, "\n{rates}");
    let _ = writeln!(
        out,
        "kept         {:.2} % of the bytes, {:.2} % of the packets",
        r.kept.bytes_share * 100.0,
        r.kept.packets_share * 100.0
    );
    let causes: Vec<String> = r.lost_by_cause.iter().map(|(c, n)| format!("{} by {c}", units::count(*n))).collect();
    let lost = if causes.is_empty() { "nothing".to_owned() } else { causes.join(", ") };
    let _ = writeln!(out, "lost         {lost}");
    let _ = writeln!(
        out,
        "connections  {} tracked, {} of them past their cutoff in the kernel",
        units::count(connections.tracked),
        units::count(connections.shunted)
    );
    if let Some(flood) = flood(s) {
        let _ = writeln!(out, "flood        {flood}");
    }
    let pending = units::count(a.store.pending);
    let mut memory = units::size(r.process.resident_bytes);
    if s.answering.pid != r.process.pid {
        memory +=
            &format!(", and {} in process {} that answers", units::size(s.answering.resident_bytes), s.answering.pid);
    }
    let _ = writeln!(out, "memory       {memory}; {pending} packets on their way to the disk");
    let mut parts: Vec<(&String, u64)> = r.memory_bytes.iter().map(|(part, n)| (part, *n)).collect();
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    // The small ones are together less than what one of the large ones is off by.
    let parts =
        parts.iter().filter(|(_, bytes)| *bytes >= 1 << 20).map(|(part, n)| format!("{part} {}", units::size(*n)));
    let parts = parts.collect::<Vec<_>>().join(", ");
    if !parts.is_empty() {
        let _ = writeln!(out, "             set aside: {parts}");
    }
    let _ = writeln!(
        out,
        "queries      {} under way, brake {} (was on {} times, queries waited {})",
        units::count(s.queries),
        if s.brake.on { "on" } else { "off" },
        units::count(s.brake.times),
        units::duration(s.brake.waited_seconds)
    );
    let _ = write!(out, "\n{}", table(&r.classes));
    out
}

/// What floods, while it does.
fn flood(s: &Status) -> Option<String> {
    let c = &s.recorder.counters.connections;
    let from = match (c.flooding, c.crowded) {
        (0, false) => return None,
        (0, true) => "many sources".to_owned(),
        (1, _) => "a source".to_owned(),
        (sources, _) => format!("{} sources", units::count(sources)),
    };
    let most = c.flood_source.map_or(String::new(), |a| format!(", most of it from {a}"));
    let (open, refused) = (units::count(c.one_sided), units::count(c.flood_refused));
    Some(format!("from {from}{most}: {open} connections without an answer, {refused} packets refused since the start"))
}

/// How much of it there is, of how much if it has its own, and how far back that reaches.
fn in_memory(c: &ClassState) -> String {
    let Some(since) = c.memory_since else { return "-".into() };
    let own = c.memory_budget_bytes.map_or(String::new(), |own| format!(" of {}", units::size(own)));
    format!("{}{own}, {}", units::size(c.memory_bytes), units::duration(units::now().saturating_sub(since)))
}

fn table(all: &[ClassState]) -> String {
    let mut t = Table::new(&[
        "class",
        ">segments",
        ">on disk",
        ">budget",
        ">a day",
        ">reaches back",
        ">days it holds",
        ">days left",
        ">in memory",
    ]);
    for c in all {
        let days = |s: Option<f64>| s.map_or("-".into(), |s| format!("{:.1}", s / 86_400.0));
        let budget = match (c.budget_bytes, c.room_bytes) {
            (Some(own), _) => units::size(own),
            (None, Some(room)) => format!("shares {}", units::size(room)),
            (None, None) => "-".into(),
        };
        t.row([
            c.holding.class.clone(),
            units::count(c.holding.segments),
            units::size(c.holding.disk_bytes),
            budget,
            units::size((c.growth_bytes_per_second * 86_400.0) as u64),
            c.holding.oldest.map_or("-".into(), |o| units::duration(units::now().saturating_sub(o))),
            days(c.holds_seconds),
            days(c.left_seconds),
            in_memory(c),
        ]);
    }
    t.to_string()
}
