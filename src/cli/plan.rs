//! `retrotap plan`: what a cutoff would keep, before disks are bought.

use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::new_file;
use crate::planning::{self, CUTOFFS, CUTOFFS_MAX, Curve, PlanningError, days, percent};
use crate::shape::{Count, Seconds};
use crate::units;
use schemars::JsonSchema;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  retrotap plan -r trace.pcap --disk 4TiB
  retrotap plan --zeek conn.log --rate 6Gbit --svg plan.svg
  retrotap plan --store /var/lib/retrotap --last 1d --cutoffs 8KiB,15KiB,1MiB";

/// What `plan` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("traffic").required(true))]
pub struct Args {
    /// Capture files of the traffic, pcap or pcapng: exact, packet by packet; - is standard input
    #[arg(short, long, value_name = "FILE", num_args = 1.., group = "traffic")]
    pub read: Vec<PathBuf>,
    /// Zeek's conn.log, tab-separated or JSON: an estimate from the sizes of connections
    #[arg(long, value_name = "LOG", num_args = 1.., group = "traffic")]
    pub zeek: Vec<PathBuf>,
    /// A store: an estimate from its receipts, which hold the true sizes of connections
    #[arg(long, value_name = "DIR", group = "traffic")]
    pub store: Option<PathBuf>,
    /// Only the store's last 1h, 7d
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration, requires = "store")]
    pub last: Option<u64>,
    /// The cutoffs to compare
    #[arg(long, value_name = "SIZE", value_delimiter = ',', value_parser = units::parse_size)]
    pub cutoffs: Vec<u64>,
    /// The mean rate to expect, 800Mbit or 6Gbit a second, both directions: scales disk and days; the traffic's own without
    #[arg(long, value_name = "RATE", value_parser = bits)]
    pub rate: Option<f64>,
    /// How many days fit into this much disk
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size, default_value = "1TiB")]
    pub disk: u64,
    /// How much disk so many days take
    #[arg(long, value_name = "DAYS", default_value_t = 7.0)]
    pub days: f64,
    /// Draw the curve into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What a range of cutoffs would keep.
#[derive(Serialize, JsonSchema)]
pub struct Planned {
    /// Connections of the traffic.
    #[serde(with = "Count")]
    connections: u64,
    /// Its packets.
    #[serde(with = "Count")]
    packets: u64,
    /// Their bytes on the wire.
    #[serde(with = "Count")]
    bytes: u64,
    /// From its first packet to its last.
    #[serde(with = "Seconds")]
    span_seconds: u64,
    /// True: each packet was judged as the recorder would. False: estimated from the sizes of connections.
    exact: bool,
    /// Connections, lines or packets that could not be taken into account.
    #[serde(with = "Count")]
    left_out: u64,
    /// How many times as much traffic is expected as was seen (--rate).
    scale: f64,
    /// The disk that is asked about (--disk).
    #[serde(with = "Count")]
    disk_bytes: u64,
    /// The time that is asked about (--days).
    period_seconds: f64,
    /// Each cutoff, ascending.
    cutoffs: Vec<PlannedCutoff>,
}

/// What one cutoff would keep.
#[derive(Serialize, JsonSchema)]
pub struct PlannedCutoff {
    /// The cutoff.
    #[serde(with = "Count")]
    cutoff_bytes: u64,
    /// Connections of which nothing is cut.
    #[serde(with = "Count")]
    whole_connections: u64,
    /// Packets stored.
    #[serde(with = "Count")]
    packets: u64,
    /// Their bytes on the wire.
    #[serde(with = "Count")]
    bytes: u64,
    /// What they take on the disk, index and receipts included.
    #[serde(with = "Count")]
    disk_bytes: u64,
    /// What a day of such traffic takes.
    #[serde(with = "Count")]
    disk_bytes_per_day: u64,
    /// What the time that is asked about takes.
    #[serde(with = "Count")]
    disk_bytes_for_period: u64,
    /// How long the disk that is asked about lasts; null: nothing is stored.
    disk_holds_seconds: Option<f64>,
}

/// Bits a second.
fn bits(word: &str) -> Result<f64, String> {
    let bad = || format!("{word:?} is no rate: 800Mbit, 6Gbit, 2.5Gbit/s");
    let lower = word.trim().trim_end_matches("/s").to_ascii_lowercase();
    let (number, unit) = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9), ("kbps", 1e3), ("mbps", 1e6), ("gbps", 1e9)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((lower.strip_suffix(suffix)?.to_owned(), unit)))
        .ok_or_else(bad)?;
    let number: f64 = number.trim().parse().map_err(|_| bad())?;
    if number.is_finite() && number > 0.0 { Ok(number * unit) } else { Err(bad()) }
}

/// Computes and shows.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let cutoffs = if args.cutoffs.is_empty() { CUTOFFS.to_vec() } else { args.cutoffs.clone() };
    if cutoffs.len() > CUTOFFS_MAX {
        return Err(Failure::usage(format!("{} cutoffs; at most {CUTOFFS_MAX} at once", cutoffs.len())));
    }
    if !(args.days.is_finite() && args.days > 0.0) {
        return Err(Failure::usage(format!("--days {}: it must be above 0", args.days)));
    }
    let (curve, whole) = read(&args, &cutoffs).map_err(Failure::cannot)?;
    if let Some(path) = &args.svg {
        let drawn = planning::plot::svg(&curve).map_err(Failure::cannot)?;
        new_file::write(path, 0o644, drawn).map_err(|e| Failure::cannot(format!("{}: {e}", path.display())))?;
    }
    let scale = curve.scale(args.rate);
    match args.json {
        true => json(&args, &curve, scale),
        false => table(&args, &curve, scale),
    }
    Ok(if whole { Exit::Done } else { Exit::Incomplete })
}

/// The curve, and whether all of the input was read.
fn read(args: &Args, cutoffs: &[u64]) -> Result<(Curve, bool), PlanningError> {
    if !args.read.is_empty() {
        let mut progress = None;
        let curve = planning::packets::curve(&args.read, cutoffs, |p| progress = Some(p))?;
        let mut whole = true;
        for report in progress.map(|p| p.reports()).unwrap_or_default() {
            for fault in &report.faults {
                whole = false;
                tracing::warn!("{}: at byte {}: {}", report.path.display(), fault.offset, fault.why);
            }
        }
        return Ok((curve, whole));
    }
    if let Some(store) = &args.store {
        let from = args.last.map_or(0, |last| units::now().saturating_sub(last));
        return Ok((planning::receipts::curve(store, from, u64::MAX, cutoffs)?, true));
    }
    Ok((planning::zeek::curve(&args.zeek, cutoffs)?, true))
}

const DAY: f64 = 86_400.0;

fn json(args: &Args, curve: &Curve, scale: f64) {
    let cutoff = |p: &planning::Point| {
        let a_day = p.disk_a_day(curve, scale);
        PlannedCutoff {
            cutoff_bytes: p.cutoff,
            whole_connections: p.whole,
            packets: p.packets,
            bytes: p.bytes,
            disk_bytes: p.disk_bytes,
            disk_bytes_per_day: a_day.round() as u64,
            disk_bytes_for_period: (a_day * args.days).round() as u64,
            disk_holds_seconds: p.days_in(args.disk, curve, scale).map(|days| days * DAY),
        }
    };
    show::json_line(&Planned {
        connections: curve.connections,
        packets: curve.packets,
        bytes: curve.bytes,
        span_seconds: curve.span_ns,
        exact: curve.exact,
        left_out: curve.left_out,
        scale,
        disk_bytes: args.disk,
        period_seconds: args.days * DAY,
        cutoffs: curve.points.iter().map(cutoff).collect(),
    });
}

fn table(args: &Args, curve: &Curve, scale: f64) {
    let (for_days, in_disk) = (format!(">disk for {}", days(args.days)), format!(">{} holds", units::size(args.disk)));
    let mut t = Table::new(&[
        ">cutoff",
        ">connections whole",
        ">packets kept",
        ">bytes kept",
        ">disk a day",
        &for_days,
        &in_disk,
    ]);
    for p in &curve.points {
        let a_day = p.disk_a_day(curve, scale);
        t.row([
            units::size(p.cutoff),
            percent(p.whole, curve.connections),
            percent(p.packets, curve.packets),
            percent(p.bytes, curve.bytes),
            units::size(a_day as u64),
            units::size((a_day * args.days) as u64),
            p.days_in(args.disk, curve, scale).map_or("-".into(), days),
        ]);
    }
    let mut out = say::out();
    let rate = units::bit_rate(curve.bytes, curve.seconds());
    let _ = writeln!(
        out,
        "{} connections, {} packets, {} in {}: {rate} on average{}\n{}\n{t}",
        units::count(curve.connections),
        units::count(curve.packets),
        units::size(curve.bytes),
        units::duration(curve.span_ns),
        args.rate
            .map_or(String::new(), |r| format!("; disk and days are for {}", units::bit_rate((r / 8.0) as u64, 1.0))),
        if curve.exact {
            "exact: each packet judged as a recorder would"
        } else {
            "an estimate from the sizes of connections"
        }
    );
    if curve.left_out > 0 {
        let _ = writeln!(out, "{} left out: {}", units::count(curve.left_out), curve.left_out_because.reasons());
    }
}
