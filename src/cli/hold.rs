//! `retrotap hold`, `holds` and `release`: packets kept beyond every budget. [`export`](super::export) gives them out.

use super::api::{At, refused};
use super::lists::Lists;
use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::control::{Client, ClientError, HoldAsk, HoldsLimitAsk, Long, When};
use crate::hold::{Held, HoldError, HoldLine, HoldRecord, HoldTerms, HoldsLimit, Who, Why};
use crate::query::{ConnSpec, Query, QueryError, priority};
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
    pub filter: Vec<String>,
    #[command(flatten)]
    pub lists: Lists,
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
    /// Let go of it after this time: 30d; without, only release does
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    pub keep_for: Option<u64>,
    /// It takes so much at most: 1GiB; a larger one is refused, one that follows ends there
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub most: Option<u64>,
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
    /// JSON lines, one a hold; what all may take is in info --json
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
    /// What was held, as one JSON object
    #[arg(long)]
    pub json: bool,
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
    let (filter, addresses) = (args.filter.join(" "), args.lists.read()?);
    if let Some(mut daemon) = args.at.daemon()? {
        let (hosts, nets) = addresses.words();
        let ask = HoldAsk {
            name: args.name,
            reason: args.reason,
            filter,
            hosts,
            nets,
            any_layer: args.any_layer,
            conn: args.conn.as_ref().map(ToString::to_string),
            classes: args.class,
            interfaces: args.interface,
            since: since.map(When::Ns),
            until: until.map(When::Ns),
            last: args.last.map(Long::Ns),
            follow: args.follow,
            lasting: args.lasting.map(Long::Ns),
            keep_for: args.keep_for.map(Long::Ns),
            most_bytes: args.most,
            ..HoldAsk::default()
        };
        let hold: HoldLine = daemon.ask_until("POST", "/v1/holds", &ask, &|| false).map_err(|e| match e {
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
        filter: addresses.joined(&filter),
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
    let until = args.keep_for.map(|ns| now.saturating_add(ns));
    let terms = HoldTerms { most: args.most, until, share: None };
    let why = Why { reason: &args.reason, who: &Who::me(), about: None, terms };
    let (hold, _) = held.hold(&query, &args.name, why).map_err(failure)?;
    Ok(made(&HoldLine::new(hold), args.json, args.strict))
}

/// Shows a hold that was made.
fn made(hold: &HoldLine, json: bool, strict: bool) -> Exit {
    let Some(record) = &hold.record else { return Exit::Incomplete };
    if json {
        show::json_line(hold);
    } else {
        let mut out = say::out();
        let _ = match &record.follows {
            Some(_) => writeln!(out, "hold {}: follows {}", hold.name, state(record)),
            None => writeln!(
                out,
                "hold {}: {}\nsha256 {}\n{}",
                hold.name,
                units::size(record.file_bytes),
                record.sha256,
                crate::query::text(&record.summary).trim_end()
            ),
        };
    }
    Exit::of(&record.summary, strict)
}

/// Who made it.
fn by(who: &Who) -> String {
    match (who.user.as_str(), who.uid) {
        ("", Some(uid)) => format!("uid {uid}"),
        ("", None) => "-".into(),
        (user, _) => user.to_owned(),
    }
}

/// Whether it grows.
fn state(hold: &HoldRecord) -> String {
    match &hold.follows {
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
    let (holds, HoldsLimit { held_bytes, limit_bytes }) = match args.at.daemon()? {
        Some(daemon) => told(&args, daemon)?,
        None => read(&args)?,
    };
    if held_bytes > limit_bytes {
        let (held, limit) = (units::size(held_bytes), units::size(limit_bytes));
        tracing::warn!(
            "{held} are held, more than the limit of {limit}: they all stay, and no hold is made or goes on until there is room"
        );
    }
    let damaged: Vec<&String> = holds.iter().filter_map(|h| h.damaged.as_ref()).collect();
    damaged.iter().for_each(|why| tracing::error!("{why}"));
    let exit = if damaged.is_empty() { Exit::Done } else { Exit::Incomplete };
    match args.json {
        true => holds.iter().for_each(show::json_line),
        false => table(&holds, (held_bytes, limit_bytes), args.verify && exit == Exit::Done),
    }
    Ok(exit)
}

/// By the recorder.
fn told(args: &List, mut daemon: Client) -> Result<(Vec<HoldLine>, HoldsLimit), Failure> {
    let sizes = match args.limit {
        Some(limit) => {
            let ask = HoldsLimitAsk { limit_bytes: limit };
            daemon.ask("PUT", "/v1/holds", &ask).map_err(refused)?
        }
        None => daemon.get("/v1/holds/limit").map_err(refused)?,
    };
    let mut holds = Vec::new();
    for hold in daemon.list::<HoldLine>("/v1/holds").map_err(refused)? {
        if !args.verify || hold.record.is_none() {
            holds.push(hold);
            continue;
        }
        let path = format!("/v1/holds/{}/check", hold.name);
        match daemon.ask_until("POST", &path, &serde_json::json!({}), &|| false) {
            Ok(checked) => holds.push(checked),
            // Released meanwhile.
            Err(ClientError::Refused(404, _)) => {}
            Err(e) => return Err(refused(e)),
        }
    }
    Ok((holds, sizes))
}

/// From the store's files.
fn read(args: &List) -> Result<(Vec<HoldLine>, HoldsLimit), Failure> {
    let held = Held::open(args.at.store()?).map_err(failure)?;
    if let Some(limit) = args.limit {
        held.set_limit(limit, &Who::me()).map_err(failure)?;
    }
    let mut holds = Vec::new();
    held.each_line(&mut |line| {
        holds.push(line);
        true
    })
    .map_err(failure)?;
    if args.verify {
        priority::idle();
        for line in holds.iter_mut().filter(|h| h.record.is_some()) {
            let (hold, _) = held.packets(&line.name).map_err(failure)?;
            *line = held.checked(hold, &|| true).map_err(failure)?;
        }
    }
    Ok((holds, held.sizes().map_err(failure)?))
}

fn table(holds: &[HoldLine], (held, limit): (u64, u64), verified: bool) {
    let mut t = Table::new(&["hold", ">packets", ">size", "made", "by", "follows", "kept until", "filter", "reason"]);
    for h in holds {
        let Some(r) = &h.record else { continue };
        let kept = r.kept_until.map_or("-".into(), units::local_time);
        t.row([
            h.name.clone(),
            units::count(r.packets),
            units::size(r.file_bytes),
            units::local_time(r.made),
            by(&r.by),
            if r.follows.is_some() { state(r) } else { "-".into() },
            kept,
            r.filter.clone(),
            r.reason.clone(),
        ]);
    }
    let mut out = say::out();
    let _ = write!(out, "{t}");
    let sums = if verified { "; every sum is right" } else { "" };
    let _ = writeln!(out, "{} of {} held{sums}", units::size(held), units::size(limit));
}

/// Releases one.
pub fn release(args: Release) -> Result<Exit, Failure> {
    let hold = match args.at.daemon()? {
        Some(mut daemon) => {
            let ask = serde_json::json!({ "reason": args.reason });
            daemon.ask("DELETE", &format!("/v1/holds/{}", args.name), &ask).map_err(refused)?
        }
        None => {
            let held = Held::open(args.at.store()?).map_err(failure)?;
            HoldLine::new(held.release(&args.name, &args.reason, &Who::me()).map_err(failure)?)
        }
    };
    match (args.json, &hold.record) {
        (true, _) => show::json_line(&hold),
        (false, record) => {
            let size = units::size(record.as_ref().map_or(0, |r| r.file_bytes));
            tracing::info!("hold {} released: {size}", hold.name);
        }
    }
    Ok(Exit::Done)
}
