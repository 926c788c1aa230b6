//! `retrotap connections`: the connections themselves, as a table, JSON lines or CSV.

use super::api::{At, refused};
use super::lists::Lists;
use super::plain::plain;
use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::control::{Ask, Form};
use crate::query::pace::Freely;
use crate::query::{
    CommunityId, ConnSpec, Engine, Found, Listed, Query, QueryError, Sort, Summary, listed, missing, priority,
};
use crate::shape::{Endpoint, rfc3339};
use crate::units;
use std::io::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  retrotap connections 'host 10.1.2.3' --last 24h --sort bytes --top 20
  retrotap connections 'port 3389 and not net 10' --since 13:15 --csv > rdp.csv
  retrotap connections --hosts-file feed.txt --last 24h
  retrotap connections --community-id 1:LQU9qZlK+B5F3KDmev6m5PMibrg= --json

host, net, port, portrange, protocols and vlan, with and, or, not, ask the connection itself, whatever tag or tunnel it is in. What
else an expression asks, also src and dst, is asked of the packets in the store.";

/// What `connections` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", super::AFTER_HELP))]
pub struct Args {
    /// Which connections: a pcap-filter expression; all of them without
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    #[command(flatten)]
    lists: Lists,
    #[command(flatten)]
    at: At,
    /// Read the store's files, also where a recorder would answer
    #[arg(long, conflicts_with = "api")]
    direct: bool,

    /// From this time on: 2026-11-21T13:15:00Z, 13:15, -10m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Which connections")]
    since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Which connections")]
    until: Option<String>,
    /// The last 10s, 10m, 2h, 7d: back from now, or in a store of imported traces from its newest packet
    #[arg(long, value_name = "TIME", value_parser = crate::units::parse_duration, conflicts_with_all = ["since", "until"], help_heading = "Which connections")]
    last: Option<u64>,
    /// One connection: 'tcp 1.2.3.4:5 6.7.8.9:80'
    #[arg(long, value_name = "CONNECTION", help_heading = "Which connections")]
    conn: Option<ConnSpec>,
    /// The connection with this community ID (version 1, seed 0)
    #[arg(long, value_name = "ID", conflicts_with = "conn", help_heading = "Which connections")]
    community_id: Option<CommunityId>,
    /// Only those whose receipt, or packets in the store, are of this storage class; may repeat. One that runs and was assigned another class since shows that one
    #[arg(long, value_name = "NAME", help_heading = "Which connections")]
    class: Vec<String>,
    /// Only those with packets in the store that came in by this interface; may repeat
    #[arg(long, value_name = "NAME", help_heading = "Which connections")]
    interface: Vec<String>,

    /// What comes first
    #[arg(long, value_enum, value_name = "BY", default_value_t, help_heading = "Output")]
    sort: Sort,
    /// Only the first so many
    #[arg(long, value_name = "N", help_heading = "Output")]
    top: Option<usize>,
    /// End with exit code 1 where anything is missing: expired, lost, not recorded, beyond the limit
    #[arg(long, help_heading = "Output")]
    strict: bool,
    /// JSON lines, one a connection
    #[arg(long, conflicts_with = "csv", help_heading = "Output")]
    json: bool,
    /// Comma-separated values, with a line of headings
    #[arg(long, help_heading = "Output")]
    csv: bool,
}

/// Lists them.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let now = units::now();
    let time = |word: &Option<String>| word.as_deref().map(|w| units::parse_time(w, now)).transpose();
    let daemon = if args.direct { None } else { args.at.daemon()? };
    let (filter, addresses) = (args.filter.join(" "), args.lists.read()?);
    let query = Query {
        store: if daemon.is_some() { PathBuf::new() } else { args.at.store()?.to_owned() },
        filter: addresses.joined(&filter),
        conn: args.conn,
        community: args.community_id,
        classes: args.class,
        interfaces: args.interface,
        since: time(&args.since).map_err(Failure::usage)?,
        until: time(&args.until).map_err(Failure::usage)?,
        last: args.last,
        ..Query::default()
    };
    if let (Some(since), Some(until)) = (query.since, query.until)
        && since >= until
    {
        return Err(Failure::usage("--since must be before --until"));
    }
    let mut shown = match (args.json, args.csv) {
        (true, _) => Shown::Json,
        (_, true) => Shown::Csv(false),
        _ => Shown::Table(Box::new(heading()), 0),
    };
    let mut summary = match daemon {
        Some(mut daemon) => {
            let (hosts, nets) = addresses.words();
            let ask = Ask { filter, hosts, nets, ..Ask::of(&query, Form::Pcapng) };
            let ask = Ask { sort: Some(args.sort), top: args.top, ..ask };
            daemon.lines("/v1/connections", &ask, &mut |c| shown.line(c)).map_err(refused)?
        }
        None => {
            priority::idle();
            let found = Engine::new(&query.store).connections(&query, &[], &Freely).map_err(|e| match e {
                QueryError::Filter(_)
                | QueryError::Class { .. }
                | QueryError::Interface { .. }
                | QueryError::TooMany(..) => Failure::usage(e),
                e => Failure::cannot(e),
            })?;
            let Found { connections, through_packets, mut summary, .. } = found;
            if through_packets && query.conn.is_none() && query.community.is_none() {
                tracing::info!("the expression asks what only packets tell: they were looked at");
            }
            summary.connections = connections.len() as u64;
            listed(connections, args.sort, args.top).for_each(|c| shown.line(c));
            summary
        }
    };
    summary.limited = args.top.is_some_and(|top| (top as u64) < summary.connections);
    let summary = summary.concluded();
    let table = matches!(shown, Shown::Table(..));
    shown.end(summary.connections);
    // That these are not all stands there already.
    let told = Summary { limited: false, ..summary.clone() }.concluded();
    let lines = if told.complete { Vec::new() } else { missing(&told) };
    for line in lines {
        match table {
            true => drop(writeln!(say::out(), "{line}")),
            // Beside the lines, which programs read.
            false => eprintln!("{}", plain(&line)),
        }
    }
    Ok(Exit::of(&summary, args.strict))
}

/// How they are shown. A reader that has seen enough is no error.
enum Shown {
    Json,
    /// Whether its line of headings is out.
    Csv(bool),
    /// And how many.
    Table(Box<Table>, u64),
}

impl Shown {
    fn line(&mut self, c: Listed) {
        match self {
            Shown::Json => show::json_line(&c),
            Shown::Csv(headed) => csv(&c, !std::mem::replace(headed, true)),
            Shown::Table(table, n) => {
                row(table, c);
                *n += 1;
            }
        }
    }

    fn end(self, total: u64) {
        match self {
            Shown::Json => {}
            Shown::Csv(headed) => {
                if !headed {
                    let _ = writeln!(say::out(), "{HEADINGS}");
                }
            }
            Shown::Table(table, shown) => {
                let mut out = say::out();
                if shown > 0 {
                    let _ = write!(out, "{table}");
                }
                let more = if shown < total { format!("; these are {}", units::count(shown)) } else { String::new() };
                let _ = writeln!(out, "{}{more}", units::several(total, "connection"));
            }
        }
    }
}

fn vlans(c: &Listed) -> String {
    c.vlan.iter().map(u16::to_string).collect::<Vec<_>>().join(".")
}

/// The fields of `--json` in their order; those of a field that is an object itself have its name in front.
const HEADINGS: &str = "first,last,protocol,a_address,a_port,b_address,b_port,vlan,tunnel_kind,tunnel_id,\
                        seen_packets,seen_bytes,stored_packets,stored_bytes,cut,end,class,community_id";

fn csv(c: &Listed, first: bool) {
    // No field can hold a comma or a quote.
    let headings = if first { format!("{HEADINGS}\n") } else { String::new() };
    let end = |e: &Endpoint| {
        let port = e.port.map_or(String::new(), |p| p.to_string());
        format!("{},{port}", e.address.as_deref().unwrap_or_default())
    };
    let tunnel = c.tunnel.as_ref().map_or(",".to_owned(), |t| format!("{},{}", t.kind, t.id));
    let columns = [
        rfc3339(c.first),
        rfc3339(c.last),
        c.ends.protocol.clone(),
        end(&c.ends.a),
        end(&c.ends.b),
        vlans(c),
        tunnel,
        c.seen_packets.to_string(),
        c.seen_bytes.to_string(),
        c.stored_packets.to_string(),
        c.stored_bytes.to_string(),
        c.cut.to_string(),
        c.end.to_string(),
        c.class.clone(),
        c.community_id.clone().unwrap_or_default(),
    ];
    let _ = say::out().write_all(format!("{headings}{}\n", columns.join(",")).as_bytes());
}

fn heading() -> Table {
    Table::new(&[
        "first",
        ">duration",
        "protocol",
        "from",
        "to",
        "vlan",
        ">packets",
        ">bytes",
        ">stored",
        "end",
        "class",
    ])
}

fn row(table: &mut Table, c: Listed) {
    let end = format!("{}{}", c.end.replace('_', " "), if c.cut { ", cut" } else { "" });
    let vlan = vlans(&c);
    table.row([
        units::local_time(c.first),
        units::duration(c.last.saturating_sub(c.first)),
        c.ends.protocol,
        c.ends.a.to_string(),
        c.ends.b.to_string(),
        vlan,
        units::count(c.seen_packets),
        units::size(c.seen_bytes),
        units::size(c.stored_bytes),
        end,
        c.class,
    ]);
}
