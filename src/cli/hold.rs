//! `retrotap hold`, `holds` and `release`: packets kept beyond every budget. [`export`](super::export) gives them out.

use super::api::{At, refused};
use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::control::{Client, ClientError, HoldAsk, Long, When};
use crate::hold::{Held, Hold, HoldError, Who, Why};
use crate::query::{ConnSpec, Query, QueryError, Summary, priority};
use crate::units;
use std::io::Write;

/// What `hold` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retrotap hold 'host 10.1.2.3' --since 13:00 --until 14:00 --name case-17 --reason 'alert 2024897'
  retrotap hold 'host 10.1.2.3' --last 1h --follow --for 2d --name case-18 --reason 'alert 2024897'")]
pub struct Args {
    /// Which packets: a pcap-filter expression, as for query; all of the window without
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,
    #[command(flatten)]
    pub at: At,
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
    /// Only packets that came in by this interface (its queues included), or of a capture file's interface of this name; may repeat
    #[arg(long, value_name = "NAME")]
    pub interface: Vec<String>,
    /// Apply the filter also inside VLAN tags, MPLS and tunnels
    #[arg(long)]
    pub any_layer: bool,
    /// Keep what comes, too: for the time of --for, up to --until, or until it is released
    #[arg(long)]
    pub follow: bool,
    /// Follow for so long
    #[arg(long = "for", value_name = "TIME", value_parser = units::parse_duration, requires = "follow", conflicts_with = "until")]
    pub lasting: Option<u64>,
    /// End with exit code 1 where anything is missing from it: expired, lost, not recorded
    #[arg(long)]
    pub strict: bool,
    /// The hold as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What `holds` takes.
#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    pub at: At,
    /// Compare every hold with its SHA-256
    #[arg(long)]
    pub verify: bool,
    /// How much all holds together may take, from now on; what is held stays, also above it
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
    #[command(flatten)]
    pub at: At,
    /// Why it need not be kept any longer
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// What an error of a hold is to the command line.
pub(super) fn failure(e: HoldError) -> Failure {
    match &e {
        HoldError::Name(_) | HoldError::Unknown { .. } | HoldError::Exists(_) => Failure::usage(e),
        HoldError::Query(QueryError::Filter(_) | QueryError::Class { .. } | QueryError::Interface { .. }) => {
            Failure::usage(e)
        }
        HoldError::Empty => Failure::incomplete(e),
        _ => Failure::cannot(e),
    }
}

/// Makes a hold.
pub fn hold(args: Args) -> Result<Exit, Failure> {
    let now = units::now();
    let time = |word: &Option<String>| word.as_deref().map(|w| units::parse_time(w, now)).transpose();
    if args.reason.trim().is_empty() {
        return Err(Failure::usage("--reason is empty: whoever finds the hold later wants to know why it is kept"));
    }
    let (since, until) = (time(&args.since).map_err(Failure::usage)?, time(&args.until).map_err(Failure::usage)?);
    if let Some(mut daemon) = args.at.daemon()? {
        let ask = HoldAsk {
            name: args.name,
            reason: args.reason,
            filter: args.filter.unwrap_or_default(),
            any_layer: args.any_layer,
            conn: args.conn.as_ref().map(ToString::to_string),
            classes: args.class,
            interfaces: args.interface,
            since: since.map(When::Ns),
            until: until.map(When::Ns),
            last: args.last.map(Long::Ns),
            follow: args.follow,
            lasting: args.lasting.map(Long::Ns),
            ..HoldAsk::default()
        };
        let hold: Hold = daemon.ask_until("POST", "/v1/holds", &ask, &|| false).map_err(|e| match e {
            ClientError::Refused(404, why) => Failure::incomplete(why),
            e => refused(e),
        })?;
        return Ok(made(&hold, args.json, args.strict));
    }
    if args.follow {
        return Err(Failure::cannot(
            "no recorder answers: a hold that follows is its work (retrotap record, or name it with --api)",
        ));
    }
    let store = args.at.store()?;
    let query = Query {
        store: store.to_owned(),
        filter: args.filter.unwrap_or_default(),
        any_layer: args.any_layer,
        conn: args.conn,
        classes: args.class,
        interfaces: args.interface,
        since,
        until,
        last: args.last,
        ..Query::default()
    };
    let held = Held::open(store).map_err(failure)?;
    priority::idle();
    let why = Why { reason: &args.reason, who: &Who::me(), about: None };
    let (hold, _) = held.hold(&query, &args.name, why).map_err(failure)?;
    Ok(made(&hold, args.json, args.strict))
}

/// Shows a hold that was made.
fn made(hold: &Hold, json: bool, strict: bool) -> Exit {
    let summary: Summary = serde_json::from_value(hold.summary.clone()).unwrap_or_default();
    if json {
        show::json_line(hold);
    } else {
        let mut out = say::out();
        let _ = match &hold.follow {
            Some(_) => writeln!(out, "hold {}: follows {}", hold.name, state(hold)),
            None => writeln!(
                out,
                "hold {}: {}\nsha256 {}\n{}",
                hold.name,
                units::size(hold.bytes),
                hold.sha256,
                crate::query::text(&summary).trim_end()
            ),
        };
    }
    Exit::of(&summary, strict)
}

/// Who made it.
fn by(h: &Hold) -> String {
    match (h.who.user.as_str(), h.who.uid) {
        ("", Some(uid)) => format!("uid {uid}"),
        ("", None) => "-".into(),
        (user, _) => user.to_owned(),
    }
}

/// Whether it grows.
fn state(hold: &Hold) -> String {
    match &hold.follow {
        None => "whole".into(),
        Some(f) => match (&f.ended, f.until) {
            (Some(why), _) => format!("ended: {why}"),
            (None, Some(until)) => format!("until {}", units::local_time(until)),
            (None, None) => "until released".into(),
        },
    }
}

/// Lists them, checks them, sets their limit.
pub fn list(args: List) -> Result<Exit, Failure> {
    let All { limit, holds, mut damaged } = match args.at.daemon()? {
        Some(daemon) => told(&args, daemon)?,
        None => read(&args)?,
    };
    let held: u64 = holds.iter().map(|h| h.bytes).sum();
    if held > limit {
        let (held, limit) = (units::size(held), units::size(limit));
        tracing::warn!(
            "{held} are held, more than the limit of {limit}: they all stay, and no hold is made or goes on until there is room"
        );
    }
    damaged.sort();
    damaged.iter().for_each(|why| tracing::error!("{why}"));
    match args.json {
        true => holds.iter().for_each(show::json_line),
        false => table(&holds, limit, args.verify && damaged.is_empty()),
    }
    Ok(if damaged.is_empty() { Exit::Done } else { Exit::Incomplete })
}

/// By the recorder.
fn told(args: &List, mut daemon: Client) -> Result<All, Failure> {
    let mut all: All = match args.limit {
        Some(limit) => daemon.ask("PUT", "/v1/holds", &serde_json::json!({ "limit": limit })),
        None => daemon.get("/v1/holds"),
    }
    .map_err(refused)?;
    for hold in all.holds.iter().filter(|_| args.verify) {
        match daemon.ask_until("POST", &format!("/v1/holds/{}/check", hold.name), &serde_json::json!({}), &|| false) {
            Ok(Checked { damaged }) => all.damaged.extend(damaged),
            // Released meanwhile.
            Err(ClientError::Refused(404, _)) => {}
            Err(e) => return Err(refused(e)),
        }
    }
    Ok(all)
}

/// From the store's files.
fn read(args: &List) -> Result<All, Failure> {
    let held = Held::open(args.at.store()?).map_err(failure)?;
    if let Some(limit) = args.limit {
        held.set_limit(limit, &Who::me()).map_err(failure)?;
    }
    let (holds, mut bad) = held.list().map_err(failure)?;
    if args.verify {
        priority::idle();
        bad.extend(holds.iter().filter_map(|h| held.check(h).err()));
    }
    Ok(All { limit: held.limit(), holds, damaged: bad.iter().map(ToString::to_string).collect() })
}

/// What a recorder says of a hold's packets.
#[derive(serde::Deserialize)]
struct Checked {
    damaged: Option<String>,
}

/// What a recorder says of its holds.
#[derive(serde::Deserialize)]
struct All {
    limit: u64,
    holds: Vec<Hold>,
    damaged: Vec<String>,
}

fn table(holds: &[Hold], limit: u64, verified: bool) {
    let mut t = Table::new(&["hold", ">packets", ">size", "made", "by", "follows", "filter", "reason"]);
    for h in holds {
        t.row([
            h.name.clone(),
            units::count(h.packets),
            units::size(h.bytes),
            h.made.clone(),
            by(h),
            if h.follow.is_some() { state(h) } else { "-".into() },
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
    if let Some(mut daemon) = args.at.daemon()? {
        let ask = serde_json::json!({ "reason": args.reason });
        let hold: Hold = daemon.ask("DELETE", &format!("/v1/holds/{}", args.name), &ask).map_err(refused)?;
        tracing::info!("hold {} released: {}", hold.name, units::size(hold.bytes));
        return Ok(Exit::Done);
    }
    let held = Held::open(args.at.store()?).map_err(failure)?;
    let hold = held.release(&args.name, &args.reason, &Who::me()).map_err(failure)?;
    tracing::info!("hold {} released: {}", hold.name, units::size(hold.bytes));
    Ok(Exit::Done)
}
