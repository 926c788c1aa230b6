//! `retrotap query`.

use super::answer::{self, Target};
use super::api::{At, PIPE_CLOSED, refused};
use super::lists::Lists;
use super::plain::plain;
use super::{Exit, Failure, say, show};
use crate::control::{Ask, Form, Long};
use crate::query::output::Nothing;
use crate::query::{self, CommunityId, ConnSpec, OutputError, Query, QueryError, Summary, priority};
use crate::shape;
use crate::units;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "Examples:
  retrotap query 'host 10.1.2.3 and port 443' --last 10m -w out.pcapng
  retrotap query 'tcp port 22' --since 13:15 --until 13:20 -w - | tcpdump -nr -
  retrotap query --conn 'tcp 10.1.2.3:50432 192.0.2.9:443' --count
  retrotap query --hosts-file feed.txt 'tcp port 443' --last 24h -w seen.pcapng
  retrotap query 'port 53' --last 1m --follow -w - | tcpdump -nr -
  retrotap query 'udp' --json --limit 10";

/// Format of the packets that come out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Nanoseconds, interfaces; comments, direction, names and secrets of imported pcapng files
    #[default]
    Pcapng,
    /// Nanoseconds; one link type, times up to 2106
    Pcap,
}

impl From<Format> for Form {
    fn from(format: Format) -> Form {
        match format {
            Format::Pcapng => Form::PcapngFile,
            Format::Pcap => Form::Pcap,
        }
    }
}

/// What `query` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", super::AFTER_HELP))]
pub struct Args {
    /// Which packets: a pcap-filter expression, in one word or several, as for tcpdump; all of them without
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    #[command(flatten)]
    pub lists: Lists,
    #[command(flatten)]
    pub at: At,
    /// Read the store's files, also where a recorder would answer
    #[arg(long, conflicts_with = "api")]
    pub direct: bool,

    /// From this time on: 2026-11-21T13:15:00Z, 13:15, -10m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Which packets")]
    pub since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Which packets")]
    pub until: Option<String>,
    /// The last 10s, 10m, 2h, 7d: back from now, or in a store of imported traces from its newest packet
    #[arg(long, value_name = "TIME", value_parser = crate::units::parse_duration, conflicts_with_all = ["since", "until"], help_heading = "Which packets")]
    pub last: Option<u64>,
    /// One connection, both directions: 'tcp 1.2.3.4:5 6.7.8.9:80', 'icmp 1.2.3.4 6.7.8.9', 'tcp [2001:db8::1]:5 [2001:db8::2]:80'. ICMP errors
    /// about it are of a connection of their own: 'icmp and host 1.2.3.4' finds them
    #[arg(long, value_name = "CONNECTION", help_heading = "Which packets")]
    pub conn: Option<ConnSpec>,
    /// The connection with this community ID (version 1, seed 0), as Suricata and Zeek write it
    #[arg(long, value_name = "ID", conflicts_with = "conn", help_heading = "Which packets")]
    pub community_id: Option<CommunityId>,
    /// Only this storage class; may repeat
    #[arg(long, value_name = "NAME", help_heading = "Which packets")]
    pub class: Vec<String>,
    /// Only packets that came in by this interface (its queues included), or of a capture file's interface of this name; may repeat
    #[arg(long, value_name = "NAME", help_heading = "Which packets")]
    pub interface: Vec<String>,
    /// Apply the filter also inside VLAN tags, MPLS and tunnels
    #[arg(long, help_heading = "Which packets")]
    pub any_layer: bool,
    /// At most so many packets, the oldest first
    #[arg(long, value_name = "N", help_heading = "Which packets")]
    pub limit: Option<u64>,

    /// Go on with what is recorded from now on: until interrupted, for the time of --for, up to --limit or --until
    #[arg(long, requires = "write", conflicts_with = "direct", help_heading = "Which packets")]
    pub follow: bool,
    /// Follow for so long; if the recorder ends before, the exit code is 1
    #[arg(long = "for", value_name = "TIME", value_parser = crate::units::parse_duration, requires = "follow", help_heading = "Which packets")]
    pub lasting: Option<u64>,
    /// Where the connection to the recorder breaks while following, look for it again for so long and go on where it stood, without gap and
    /// without giving a packet twice; 0s: end there. Not with --manifest
    #[arg(long, value_name = "TIME", value_parser = crate::units::parse_duration, default_value = "60s", requires = "follow", help_heading = "Which packets")]
    pub reconnect: u64,
    /// Only what is in the recorder's memory
    #[arg(long, conflicts_with = "direct", help_heading = "Which packets")]
    pub memory_only: bool,

    /// Write the packets to this file; - is standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub write: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long, requires = "write", help_heading = "Output")]
    pub force: bool,
    /// Write beside them what makes them evidence: question, who and when, store, segments with their sums, SHA-256, what is missing; retrotap verify checks it
    #[arg(long, value_name = "FILE", requires = "write", help_heading = "Output")]
    pub manifest: Option<PathBuf>,
    /// Format of the packets
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, requires = "write", help_heading = "Output")]
    pub format: Format,
    /// The summary as one JSON object
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// End with exit code 1 where anything is missing: expired, lost, not recorded, beyond the limit
    #[arg(long, help_heading = "Output")]
    pub strict: bool,
    /// Say also how the answer was found: the plan, what was skipped by class, time, filter and index, what was read (--json always says it)
    #[arg(long, help_heading = "Output")]
    pub explain: bool,
    /// Only count: no packets are written
    #[arg(long, conflicts_with = "write", help_heading = "Output")]
    pub count: bool,
}

/// Answers.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let to_stdout = args.write.as_deref().is_some_and(|p| p.as_os_str() == "-");
    if to_stdout && std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "packets are binary and standard output is a terminal: pipe them (-w - | tcpdump -nr -) or name a file (-w FILE)",
        ));
    }
    let now = units::now();
    let time = |word: &Option<String>| word.as_deref().map(|w| units::parse_time(w, now)).transpose();
    let daemon = if args.direct { None } else { args.at.daemon()? };
    let store = match &daemon {
        Some(_) => args.at.store.clone().unwrap_or_default(),
        None => args.at.store()?.to_owned(),
    };
    let (filter, addresses) = (args.filter.join(" "), args.lists.read()?);
    let request = Query {
        store,
        filter: addresses.joined(&filter),
        any_layer: args.any_layer,
        conn: args.conn,
        community: args.community_id,
        classes: args.class,
        interfaces: args.interface,
        since: time(&args.since).map_err(Failure::usage)?,
        until: time(&args.until).map_err(Failure::usage)?,
        last: args.last,
        limit: args.limit,
        memory_only: args.memory_only,
        full_scan: false,
    };
    if let (Some(since), Some(until)) = (request.since, request.until)
        && since >= until
    {
        return Err(Failure::usage("--since must be before --until"));
    }
    let (hosts, nets) = addresses.words();
    let ask = Ask {
        filter,
        hosts,
        nets,
        follow: args.follow,
        lasting: args.lasting.map(Long::Ns),
        manifest: args.manifest.is_some(),
        ..Ask::of(&request, args.format.into())
    };
    if daemon.is_none() {
        if args.follow || args.memory_only {
            return Err(Failure::usage(format_args!(
                "{}: no recorder answers there: what comes, and what is in memory, only it can tell",
                request.store.display()
            )));
        }
        priority::idle();
    }
    let summary = match args.write {
        None if let Some(mut daemon) = daemon => daemon.count(&ask).map_err(refused),
        None => query::run(&request, &mut Nothing).map_err(failure),
        Some(path) => {
            let (manifest, patience) = (args.manifest.as_deref(), Duration::from_nanos(args.reconnect));
            let to = Target { path: &path, manifest, replace: args.force, format: args.format, patience };
            answer::write(&request, daemon.zip(Some(ask)), &to)
        }
    };
    let Some(summary) = gone(summary)? else { return Ok(Exit::Done) };
    if summary.recorder_ended {
        tracing::warn!("the recorder has ended: nothing more comes");
    }
    if args.explain && !args.json {
        // Beside the answer, which may be on standard output.
        eprint!("{}", plain(&query::explained(&summary)));
    }
    match (args.json, args.count, to_stdout) {
        (true, _, false) => show::json_line(&summary),
        (true, _, true) => eprintln!("{}", shape::text(&summary)),
        (_, true, _) => {
            println(&summary.packets.to_string());
            // Beside the number, which scripts read.
            if !summary.complete {
                query::missing(&summary).iter().for_each(|line| eprintln!("{}", plain(line)));
            }
        }
        (_, _, true) => eprint!("{}", plain(&query::text(&summary))),
        _ => println(query::text(&summary).trim_end()),
    }
    // Less than the time that was asked for.
    let short = summary.recorder_ended && (args.lasting.is_some() || request.until.is_some());
    Ok(if short { Exit::Incomplete } else { Exit::of(&summary, args.strict) })
}

pub(super) const INTERRUPTED: &str = "interrupted: what was written is a whole file";

/// What an error of a query is to the command line.
pub(super) fn failure(e: QueryError) -> Failure {
    match &e {
        QueryError::Filter(_)
        | QueryError::Class { .. }
        | QueryError::Interface { .. }
        | QueryError::Output(OutputError::LinkTypes(..) | OutputError::Time(_)) => Failure::usage(e),
        QueryError::Output(OutputError::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {
            Failure::cannot(PIPE_CLOSED)
        }
        _ => Failure::cannot(e),
    }
}

/// A reader that has seen enough is no error: `| head` ends a query.
fn gone(summary: Result<Summary, Failure>) -> Result<Option<Summary>, Failure> {
    match summary {
        Err(e) if e.to_string() == PIPE_CLOSED => Ok(None),
        Err(e) if e.to_string() == INTERRUPTED => {
            tracing::info!("{e}");
            Ok(None)
        }
        other => other.map(Some),
    }
}

fn println(line: &str) {
    let _ = writeln!(say::out(), "{line}");
}
