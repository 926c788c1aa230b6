//! `retrotap losses`: what was lost when, where and why, and when nothing was recorded: the ledger, as people and programs read it.

use super::api::{At, refused};
use super::plain::plain;
use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::control::{Ask, When};
use crate::ledger::{Losses, missed};
use crate::query::{Engine, Query};
use crate::store::layout::Layout;
use crate::units;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;

/// What `losses` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retrotap losses --last 24h --store /var/lib/retrotap
  retrotap losses --since 13:15 --until 13:20 --json")]
pub struct Args {
    #[command(flatten)]
    pub at: At,
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
    /// End with exit code 1 where packets were lost, or for some time nothing was recorded or a link was down
    #[arg(long)]
    pub strict: bool,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Shows them.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let now = units::now();
    let time = |word: &Option<String>| word.as_deref().map(|w| units::parse_time(w, now)).transpose();
    let since = time(&args.since).map_err(Failure::usage)?.or(args.last.map(|l| now.saturating_sub(l)));
    let until = time(&args.until).map_err(Failure::usage)?.unwrap_or(now);
    if since.is_some_and(|s| s >= until) {
        return Err(Failure::usage("--since must be before --until"));
    }
    let classes: Vec<String> = args.class.into_iter().collect();
    let losses: Losses = match args.at.daemon()? {
        Some(mut daemon) => {
            let ask = Ask { since: since.map(When::Ns), until: Some(When::Ns(until)), classes, ..Ask::default() };
            daemon.ask("POST", "/v1/losses", &ask).map_err(refused)?
        }
        None => {
            crate::query::priority::idle();
            let layout = Layout::new(args.at.store()?);
            // A store of another version, or none, is named as such.
            crate::store::list::unsealed(&layout).map_err(Failure::cannot)?;
            let query = Query { store: layout.root().to_owned(), classes, ..Query::default() };
            Engine::new(layout.root()).known_names(&query).map_err(Failure::usage)?;
            missed(&layout.ledger(), since, until, &query.classes).map_err(Failure::cannot)?
        }
    };
    if args.json {
        show::json_line(&losses);
    } else {
        let _ = say::out().write_all(plain(&text(&losses)).as_bytes());
    }
    let missing = lacks(&losses);
    Ok(if args.strict && missing { Exit::Incomplete } else { Exit::Done })
}

fn lacks(l: &Losses) -> bool {
    l.packets > 0 || !(l.not_recorded.is_empty() && l.link_down.is_empty() && l.broken_imports.is_empty())
}

fn text(l: &Losses) -> String {
    let mut out = String::new();
    if !l.slices.is_empty() {
        let mut t = Table::new(&["second", "place", "cause", "class", ">packets"]);
        for s in &l.slices {
            let class = s.class.clone().unwrap_or_else(|| "-".into());
            t.row([
                s.t.map_or_else(|| "unknown".into(), units::local_time),
                s.place.clone(),
                s.cause.clone(),
                class,
                units::count(s.packets),
            ]);
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
            "flood:        {} of connections that were not tracked, {} to {}{most}\n",
            units::several(packets, "packet"),
            units::local_time(first.t),
            units::local_time(last.t)
        );
    }
    for g in &l.not_recorded {
        let long = units::duration(g.to - g.from);
        out += &format!("not recorded: {} to {} ({long})\n", units::local_time(g.from), units::local_time(g.to));
    }
    for since in &l.broken_imports {
        out += &format!(
            "not read:     the import that began at {} did not read all of its files\n",
            units::local_time(*since)
        );
    }
    for d in &l.link_down {
        out +=
            &format!("no link:      {}: {} to {}\n", d.interface, units::local_time(d.from), units::local_time(d.to));
    }
    let causes: Vec<String> = l.causes.iter().map(|(c, n)| format!("{} by {c}", units::count(*n))).collect();
    out += &match (l.packets, l.imported) {
        (0, true) => "no packet lost; the store holds imported traces, whose times no recorder covers\n".to_owned(),
        (0, false) => "no packet lost\n".to_owned(),
        (n, _) => format!("{} lost: {}\n", units::several(n, "packet"), causes.join(", ")),
    };
    out
}
