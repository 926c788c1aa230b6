//! `retrotap hold`, `holds`, `release` and `export`: packets kept beyond every budget.

use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::hold::{Held, Hold, HoldError, Who, Why};
use crate::query::{ConnSpec, Query, QueryError, priority};
use crate::units;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// What `hold` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retrotap hold 'host 10.1.2.3' --since 13:00 --until 14:00 --name case-17 --reason 'alert 2024897'")]
pub struct Args {
    /// Which packets: a pcap-filter expression, as for query; all of the window without
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,
    /// The store
    #[arg(long, value_name = "DIR", env = "RETROTAP_STORE")]
    pub store: PathBuf,
    /// What the hold is called
    #[arg(long, value_name = "CASE")]
    pub name: String,
    /// Why it is kept
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// From this time on
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// The last 10m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration, conflicts_with_all = ["since", "until"])]
    pub last: Option<u64>,
    /// One connection, both directions
    #[arg(long, value_name = "CONNECTION")]
    pub conn: Option<ConnSpec>,
    /// Only this storage class; may repeat
    #[arg(long, value_name = "NAME")]
    pub class: Vec<String>,
    /// Apply the filter also inside VLAN tags, MPLS and tunnels
    #[arg(long)]
    pub any_layer: bool,
    /// The hold as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What `holds` takes.
#[derive(Debug, clap::Args)]
pub struct List {
    /// The store
    #[arg(long, value_name = "DIR", env = "RETROTAP_STORE")]
    pub store: PathBuf,
    /// Compare every hold with its SHA-256
    #[arg(long)]
    pub verify: bool,
    /// How much all holds together may take, from now on
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub limit: Option<u64>,
    /// JSON, one line a hold
    #[arg(long)]
    pub json: bool,
}

/// What `release` takes.
#[derive(Debug, clap::Args)]
pub struct Release {
    /// Which hold
    #[arg(value_name = "CASE")]
    pub name: String,
    /// The store
    #[arg(long, value_name = "DIR", env = "RETROTAP_STORE")]
    pub store: PathBuf,
    /// Why it need not be kept any longer
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// What `export` takes.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Which hold
    #[arg(value_name = "CASE")]
    pub name: String,
    /// The store
    #[arg(long, value_name = "DIR", env = "RETROTAP_STORE")]
    pub store: PathBuf,
    /// Write the packets to this file, which must not exist; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub write: PathBuf,
}

fn failure(e: HoldError) -> Failure {
    match &e {
        HoldError::Name(_) | HoldError::Unknown { .. } | HoldError::Exists(_) => Failure::usage(e),
        HoldError::Query(QueryError::Filter(_) | QueryError::Class { .. }) => Failure::usage(e),
        HoldError::Empty => Failure::incomplete(e),
        _ => Failure::cannot(e),
    }
}

/// Makes a hold.
pub fn hold(args: Args) -> Result<Exit, Failure> {
    let now = units::now();
    let time = |word: &Option<String>| word.as_deref().map(|w| units::parse_time(w, now)).transpose();
    let query = Query {
        store: args.store.clone(),
        filter: args.filter.unwrap_or_default(),
        any_layer: args.any_layer,
        conn: args.conn,
        classes: args.class,
        since: time(&args.since).map_err(Failure::usage)?,
        until: time(&args.until).map_err(Failure::usage)?,
        last: args.last,
        ..Query::default()
    };
    if args.reason.trim().is_empty() {
        return Err(Failure::usage("--reason is empty: whoever finds the hold later wants to know why it is kept"));
    }
    let held = Held::open(&args.store).map_err(failure)?;
    priority::idle();
    let text = |s: &_| crate::query::text(s).trim_end().to_owned();
    let (hold, summary) = held
        .hold(&query, &args.name, Why { reason: &args.reason, who: &Who::me(), about: None }, text)
        .map_err(failure)?;
    if args.json {
        show::json_line(&hold);
    } else {
        let mut out = say::out();
        let _ = writeln!(
            out,
            "hold {}: {}\nsha256 {}\n{}",
            hold.name,
            units::size(hold.bytes),
            hold.sha256,
            text(&summary)
        );
    }
    let damaged = summary.damaged_segments + summary.damaged_blocks + summary.damaged_packets;
    Ok(if damaged + summary.expired_segments > 0 { Exit::Incomplete } else { Exit::Done })
}

/// Lists them, checks them, sets their limit.
pub fn list(args: List) -> Result<Exit, Failure> {
    let held = Held::open(&args.store).map_err(failure)?;
    if let Some(limit) = args.limit {
        held.set_limit(limit, &Who::me()).map_err(failure)?;
    }
    let (holds, mut bad) = held.list().map_err(failure)?;
    if args.verify {
        priority::idle();
        bad.extend(holds.iter().filter_map(|h| held.check(h).err()));
    }
    for e in &bad {
        tracing::error!("{e}");
    }
    match args.json {
        true => holds.iter().for_each(show::json_line),
        false => table(&holds, held.limit(), args.verify && bad.is_empty()),
    }
    Ok(if bad.is_empty() { Exit::Done } else { Exit::Incomplete })
}

fn table(holds: &[Hold], limit: u64, verified: bool) {
    let mut t = Table::new(&["hold", ">packets", ">size", "made", "by", "filter", "reason"]);
    for h in holds {
        t.row([
            h.name.clone(),
            units::count(h.packets),
            units::size(h.bytes),
            h.made.clone(),
            if h.who.user.is_empty() { h.who.uid.to_string() } else { h.who.user.clone() },
            h.filter.clone(),
            h.reason.clone(),
        ]);
    }
    let sum: u64 = holds.iter().map(|h| h.bytes).sum();
    let mut out = say::out();
    let _ = write!(out, "{t}");
    let sums = if verified { "; every sum is right" } else { "" };
    let _ = writeln!(out, "{} of {} held{sums}", units::size(sum), units::size(limit));
}

/// Releases one.
pub fn release(args: Release) -> Result<Exit, Failure> {
    let held = Held::open(&args.store).map_err(failure)?;
    let hold = held.release(&args.name, &args.reason, &Who::me()).map_err(failure)?;
    tracing::info!("hold {} released: {}", hold.name, units::size(hold.bytes));
    Ok(Exit::Done)
}

/// Copies the packets of one.
pub fn export(args: Export) -> Result<Exit, Failure> {
    let held = Held::open(&args.store).map_err(failure)?;
    let (hold, path) = held.packets(&args.name).map_err(failure)?;
    held.check(&hold).map_err(failure)?;
    let cannot = |path: &Path, e: std::io::Error| Failure::cannot(format!("{}: {e}", path.display()));
    let mut from = std::fs::File::open(&path).map_err(|e| cannot(&path, e))?;
    if args.write.as_os_str() == "-" {
        let mut out = std::io::stdout();
        if out.is_terminal() {
            return Err(Failure::usage("packets are binary and standard output is a terminal: name a file (-w FILE)"));
        }
        return match std::io::copy(&mut from, &mut out) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(cannot(Path::new("standard output"), e)),
            _ => Ok(Exit::Done),
        };
    }
    let mut to = std::fs::File::create_new(&args.write).map_err(|e| cannot(&args.write, e))?;
    std::io::copy(&mut from, &mut to).and_then(|_| to.sync_all()).map_err(|e| cannot(&args.write, e))?;
    Ok(Exit::Done)
}
