//! `retrotap connections`: the connections themselves, as a table, JSON lines or CSV.

use super::table::Table;
use super::{Exit, Failure, show};
use crate::conn::receipt::End;
use crate::index::community;
use crate::packet::key::{Key, Kind};
use crate::query::pace::Freely;
use crate::query::{CommunityId, ConnSpec, Connection, Engine, Found, Query, QueryError, priority};
use crate::units;
use serde::Serialize;
use std::cmp::Reverse;
use std::io::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  retrotap connections 'host 10.1.2.3' --last 24h --sort bytes --top 20
  retrotap connections 'port 3389 and not net 10' --since 13:15 --csv > rdp.csv
  retrotap connections --community-id 1:LQU9qZlK+B5F3KDmev6m5PMibrg= --json

host, net, port, portrange, protocols and vlan, with and, or, not, ask the connection itself, whatever tag or tunnel it is in. What
else an expression asks, also src and dst, is asked of the packets in the store.";

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// The most bytes seen
    Bytes,
    /// The most packets seen
    Packets,
    /// The earliest first packet
    #[default]
    First,
    /// The latest last packet
    Last,
    /// The longest
    Duration,
}

/// What `connections` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", super::AFTER_HELP))]
pub struct Args {
    /// Which connections: a pcap-filter expression; all of them without
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// The store
    #[arg(long, value_name = "DIR", env = "RETROTAP_STORE")]
    store: PathBuf,

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
    /// Only this storage class; may repeat
    #[arg(long, value_name = "NAME", help_heading = "Which connections")]
    class: Vec<String>,

    /// What comes first
    #[arg(long, value_enum, value_name = "BY", default_value_t, help_heading = "Output")]
    sort: Sort,
    /// Only the first so many
    #[arg(long, value_name = "N", help_heading = "Output")]
    top: Option<usize>,
    /// One JSON object a line
    #[arg(long, conflicts_with = "csv", help_heading = "Output")]
    json: bool,
    /// Comma-separated values, with a line of headings
    #[arg(long, help_heading = "Output")]
    csv: bool,
}

/// A connection as it is shown: the originator first, where it is known. Times are Unix ns, bytes lengths on the wire.
#[derive(Debug, Serialize)]
struct Row {
    first: u64,
    last: u64,
    a: String,
    b: String,
    protocol: String,
    vlan: Vec<u16>,
    seen_packets: u64,
    seen_bytes: u64,
    stored_packets: u64,
    stored_bytes: u64,
    cut: bool,
    /// How it ended; `lasting`: its latest hourly receipt; `no_receipt`: the totals are those of its packets in the store.
    end: &'static str,
    class: String,
    community_id: Option<String>,
}

/// Lists them.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let now = units::now();
    let time = |word: &Option<String>| word.as_deref().map(|w| units::parse_time(w, now)).transpose();
    let query = Query {
        store: args.store,
        filter: args.filter.unwrap_or_default(),
        conn: args.conn,
        community: args.community_id,
        classes: args.class,
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
    priority::idle();
    let found = Engine::new(&query.store).connections(&query, &[], &Freely).map_err(|e| match e {
        QueryError::Filter(_) | QueryError::Class { .. } | QueryError::TooMany(_) => Failure::usage(e),
        e => Failure::cannot(e),
    })?;
    let Found { mut connections, through_packets, summary } = found;
    if through_packets && query.conn.is_none() && query.community.is_none() {
        tracing::info!("the expression asks what only packets tell: they were looked at");
    }
    let total = connections.len();
    sort(&mut connections, args.sort);
    connections.truncate(args.top.unwrap_or(usize::MAX));
    let rows = connections.iter().map(row);
    // A reader that has seen enough is no error.
    let _ = match (args.json, args.csv) {
        (true, _) => {
            rows.for_each(|r| show::json_line(&r));
            Ok(())
        }
        (_, true) => csv(rows),
        _ => table(rows, total),
    };
    let damaged = summary.damaged_segments + summary.damaged_blocks + summary.damaged_packets;
    Ok(if damaged + summary.expired_segments > 0 { Exit::Incomplete } else { Exit::Done })
}

fn sort(connections: &mut [Connection], by: Sort) {
    // Ties in the order of time, then of names: the same question has the same answer.
    let tie = |c: &Connection| (c.first, c.key);
    match by {
        Sort::Bytes => connections.sort_by_key(|c| (Reverse(c.seen_bytes), tie(c))),
        Sort::Packets => connections.sort_by_key(|c| (Reverse(c.seen_packets), tie(c))),
        Sort::First => connections.sort_by_key(tie),
        Sort::Last => connections.sort_by_key(|c| (Reverse(c.last), tie(c))),
        Sort::Duration => connections.sort_by_key(|c| (Reverse(c.last.saturating_sub(c.first)), tie(c))),
    }
}

fn row(c: &Connection) -> Row {
    let t = c.key.tail();
    let name = |i: usize| -> String {
        let port = t.port.get(i).copied().unwrap_or(0);
        match (c.key.addrs(), &c.key) {
            (Some(addrs), _) => match addrs.get(i) {
                Some(a) if matches!(t.proto, 6 | 17 | 132) => std::net::SocketAddr::new(*a, port).to_string(),
                Some(a) => a.to_string(),
                None => String::new(),
            },
            (None, Key::V6(k)) => k
                .addr
                .get(i)
                .map_or(String::new(), |a| a.iter().take(6).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")),
            _ => String::new(),
        }
    };
    let (a, b) = if c.originator == Some(1) { (name(1), name(0)) } else { (name(0), name(1)) };
    let [port, _] = t.port;
    let protocol = match (t.kind(), t.proto) {
        (Kind::Ip | Kind::Fragment, 1) => "icmp".to_owned(),
        (Kind::Ip | Kind::Fragment, 6) => "tcp".to_owned(),
        (Kind::Ip | Kind::Fragment, 17) => "udp".to_owned(),
        (Kind::Ip | Kind::Fragment, 58) => "icmp6".to_owned(),
        (Kind::Ip | Kind::Fragment, 132) => "sctp".to_owned(),
        (Kind::Ip | Kind::Fragment, n) => n.to_string(),
        (Kind::Ether, _) if port == 0x0806 => "arp".to_owned(),
        (Kind::Ether, _) => format!("0x{port:04x}"),
        (Kind::Llc, _) => format!("llc-0x{port:04x}"),
        (Kind::Opaque, _) => "opaque".to_owned(),
    };
    Row {
        first: c.first,
        last: c.last,
        a,
        b,
        protocol,
        vlan: t.vlan.iter().filter(|v| **v != 0).map(|v| v & 0xfff).collect(),
        seen_packets: c.seen_packets,
        seen_bytes: c.seen_bytes,
        stored_packets: c.stored_packets,
        stored_bytes: c.stored_bytes,
        cut: c.cut,
        end: match c.end {
            None => "no_receipt",
            Some(End::Lasting) => "lasting",
            Some(End::Reset) => "reset",
            Some(End::Closed) => "closed",
            Some(End::Idle) => "idle",
            Some(End::Replaced) => "replaced",
            Some(End::Stopped) => "stopped",
        },
        class: c.class.clone(),
        community_id: community::of_key(&c.key),
    }
}

fn vlans(r: &Row) -> String {
    r.vlan.iter().map(u16::to_string).collect::<Vec<_>>().join(".")
}

fn csv(rows: impl Iterator<Item = Row>) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(
        out,
        "first,last,a,b,protocol,vlan,seen_packets,seen_bytes,stored_packets,stored_bytes,cut,end,class,community_id"
    )?;
    for r in rows {
        // No field can hold a comma or a quote.
        let (first, last, id) = (units::time(r.first), units::time(r.last), r.community_id.as_deref().unwrap_or(""));
        writeln!(
            out,
            "{first},{last},{},{},{},{},{},{},{},{},{},{},{},{id}",
            r.a,
            r.b,
            r.protocol,
            vlans(&r),
            r.seen_packets,
            r.seen_bytes,
            r.stored_packets,
            r.stored_bytes,
            r.cut,
            r.end,
            r.class
        )?;
    }
    out.flush()
}

fn table(rows: impl Iterator<Item = Row>, total: usize) -> std::io::Result<()> {
    let mut t = Table::new(&[
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
    ]);
    let mut shown = 0;
    for r in rows {
        shown += 1;
        let end = format!("{}{}", r.end.replace('_', " "), if r.cut { ", cut" } else { "" });
        let duration = units::duration(r.last.saturating_sub(r.first));
        let vlan = vlans(&r);
        t.row([
            units::local_time(r.first),
            duration,
            r.protocol,
            r.a,
            r.b,
            vlan,
            units::count(r.seen_packets),
            units::size(r.seen_bytes),
            units::size(r.stored_bytes),
            end,
            r.class,
        ]);
    }
    let mut out = std::io::stdout().lock();
    if shown > 0 {
        write!(out, "{t}")?;
    }
    let more = if shown < total { format!("; these are {}", units::count(shown as u64)) } else { String::new() };
    writeln!(out, "{} connections{more}", units::count(total as u64))
}
