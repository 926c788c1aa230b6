//! `retrotap status` and `retrotap classes`: how a recorder is doing, as people and programs read it. Owns the screen, which `top` shows
//! too.

use super::api::{At, refused};
use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::units;
use serde_json::Value;
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

/// Shows the recorder.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let status: Value = args.at.recorder()?.get("/v1/status").map_err(refused)?;
    match args.json {
        true => show::json_line(&status),
        false => {
            let _ = say::out().write_all(screen(&status).as_bytes());
        }
    }
    Ok(Exit::Done)
}

/// Shows the classes.
pub fn classes(args: Args) -> Result<Exit, Failure> {
    let all: Value = args.at.recorder()?.get("/v1/classes").map_err(refused)?;
    match args.json {
        true => list(&all).iter().for_each(show::json_line),
        false => {
            let _ = say::out().write_all(table(&all).as_bytes());
        }
    }
    Ok(Exit::Done)
}

/// The screen of a status.
pub fn screen(s: &Value) -> String {
    let mut out = String::new();
    let n = |path: &str| s.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let f = |path: &str| s.pointer(path).and_then(Value::as_f64).unwrap_or(0.0);
    let t = |path: &str| s.pointer(path).and_then(Value::as_str).unwrap_or("?");
    let (started, now) = (n("/state/started"), units::now());
    let age = if started == 0 { "it begins".into() } else { units::duration(now.saturating_sub(started)) };
    let since = if started == 0 { "now".into() } else { units::local_time(started) };
    let _ = writeln!(
        out,
        "recording since {since} ({age}) by {}, process {}, into {}",
        t("/state/source"),
        n("/pid"),
        t("/store")
    );
    let mut rates = Table::new(&["", ">packets/s", ">bit/s", ">packets", ">bytes"]);
    for what in ["seen", "shunted", "received", "stored"] {
        let (packets, bytes) = (f(&format!("/state/rates/{what}/packets")), f(&format!("/state/rates/{what}/bytes")));
        rates.row([
            what.to_owned(),
            units::packet_rate(packets as u64, 1.0),
            units::bit_rate(bytes as u64, 1.0),
            units::count(n(&format!("/recorder/{what}/packets"))),
            units::size(n(&format!("/recorder/{what}/bytes"))),
        ]);
    }
    let _ = write!(out, "\n{rates}");
    let _ = writeln!(
        out,
        "kept         {:.2} % of the bytes, {:.2} % of the packets",
        f("/state/kept_bytes") * 100.0,
        f("/state/kept_packets") * 100.0
    );
    let causes = s.pointer("/state/lost").and_then(Value::as_object);
    let causes: Vec<String> = causes
        .into_iter()
        .flatten()
        .map(|(cause, n)| format!("{} by {cause}", units::count(n.as_u64().unwrap_or(0))))
        .collect();
    let lost = if causes.is_empty() { "nothing".to_owned() } else { causes.join(", ") };
    let _ = writeln!(out, "lost         {lost}");
    let _ = writeln!(
        out,
        "connections  {} tracked, {} of them past their cutoff in the kernel",
        units::count(n("/recorder/connections/tracked")),
        units::count(n("/recorder/connections/shunted"))
    );
    if let Some(flood) = flood(s) {
        let _ = writeln!(out, "flood        {flood}");
    }
    let pending = units::count(n("/recorder/pending"));
    let _ =
        writeln!(out, "memory       {}, {pending} packets on their way to the disk", units::size(n("/resident_bytes")));
    let parts = s.pointer("/state/memory").and_then(Value::as_object).into_iter().flatten();
    let mut parts: Vec<(&String, u64)> = parts.map(|(part, n)| (part, n.as_u64().unwrap_or(0))).collect();
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    // The small ones are together less than what one of the large ones is off by.
    let parts =
        parts.iter().filter(|(_, bytes)| *bytes >= 1 << 20).map(|(part, n)| format!("{part} {}", units::size(*n)));
    let parts = parts.collect::<Vec<_>>().join(", ");
    if !parts.is_empty() {
        let _ = writeln!(out, "             set aside: {parts}");
    }
    let brake = if s.pointer("/brake/on").and_then(Value::as_bool).unwrap_or(false) { "on" } else { "off" };
    let _ = writeln!(
        out,
        "queries      {} under way, brake {brake} (was on {} times, queries waited {})",
        units::count(n("/queries")),
        units::count(n("/brake/times")),
        units::duration(n("/brake/waited_ns"))
    );
    let _ = write!(out, "\n{}", table(s.get("state").unwrap_or(&Value::Null)));
    out
}

/// What floods, while it does.
fn flood(s: &Value) -> Option<String> {
    let c = s.pointer("/recorder/connections")?;
    let n = |key: &str| c.get(key).and_then(Value::as_u64).unwrap_or(0);
    let from = match (n("flooding"), c.get("crowded").and_then(Value::as_bool).unwrap_or(false)) {
        (0, false) => return None,
        (0, true) => "many sources".to_owned(),
        (1, _) => "a source".to_owned(),
        (sources, _) => format!("{} sources", units::count(sources)),
    };
    let most =
        c.get("flood_source").and_then(Value::as_str).map_or(String::new(), |a| format!(", most of it from {a}"));
    let (open, refused) = (units::count(n("one_sided")), units::count(n("flood_refused")));
    Some(format!("from {from}{most}: {open} connections without an answer, {refused} packets refused since the start"))
}

fn list(all: &Value) -> &[Value] {
    all.get("classes").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// How much of it there is, of how much if it has its own, and how far back that reaches.
fn in_memory(n: &impl Fn(&str) -> Option<u64>) -> String {
    let Some(since) = n("memory_since") else { return "-".into() };
    let own = n("memory_budget").map_or(String::new(), |own| format!(" of {}", units::size(own)));
    format!("{}{own}, {}", units::size(n("memory").unwrap_or(0)), units::duration(units::now().saturating_sub(since)))
}

fn table(all: &Value) -> String {
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
    for c in list(all) {
        let n = |key: &str| c.get(key).and_then(Value::as_u64);
        let f = |key: &str| c.get(key).and_then(Value::as_f64);
        let days = |s: Option<f64>| s.map_or("-".into(), |s| format!("{:.1}", s / 86_400.0));
        let budget = match (n("budget"), n("room")) {
            (Some(own), _) => units::size(own),
            (None, Some(room)) => format!("shares {}", units::size(room)),
            (None, None) => "-".into(),
        };
        t.row([
            c.get("name").and_then(Value::as_str).unwrap_or("?").to_owned(),
            units::count(n("segments").unwrap_or(0)),
            units::size(n("bytes").unwrap_or(0)),
            budget,
            units::size((f("growth").unwrap_or(0.0) * 86_400.0) as u64),
            n("oldest").map_or("-".into(), |o| units::duration(units::now().saturating_sub(o))),
            days(f("holds_s")),
            days(f("left_s")),
            in_memory(&n),
        ]);
    }
    t.to_string()
}
