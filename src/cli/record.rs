//! `retrotap record`: its arguments, laid over the configuration.

use super::table::Table;
use super::{Exit, Failure, account, halves, say, show};
use crate::config::plan::Plan;
use crate::config::{ApiConfig, ClassConfig, Config, ConfigError, Cutoff, From, Settings, Size, SourceChoice, Span};
use crate::metrics::status::{Report, ReportKind};
use crate::parent::{self, ToParent};
use crate::privilege;
use crate::record::{self, Observer, Outcome, RecordError};
use crate::source::file::FileReport;
use crate::units;
use schemars::JsonSchema;
use serde::Serialize;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use toml::Spanned;

const EXAMPLES: &str = "Examples:
  retrotap record -r trace.pcap --store /tmp/store
  retrotap record -i eth1 -i eth2 --store /var/lib/retrotap --disk 500GiB
  tcpdump -i eth0 -U -w - | retrotap record -r - --store /tmp/store --cutoff none
  retrotap record -c /etc/retrotap.toml --plan";

/// What `record` takes. An option wins over the configuration's key of the same name.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", super::AFTER_HELP))]
pub struct Args {
    /// Record from this interface; repeat it for a tap with two ports
    #[arg(short, long = "interface", value_name = "IFACE", help_heading = "Source")]
    pub interface: Vec<String>,
    /// Read capture files (pcap, pcapng), one after another; - is standard input
    #[arg(short, long, value_name = "FILE", num_args = 1.., conflicts_with = "interface", help_heading = "Source")]
    pub read: Vec<PathBuf>,
    /// How to take packets from the interfaces
    #[arg(long, value_enum, value_name = "SOURCE", help_heading = "Source")]
    pub source: Option<SourceChoice>,
    /// Replay files at this multiple of their own pace (1.0 is the trace's pace); as fast as possible without
    #[arg(long, value_name = "RATE", help_heading = "Source")]
    pub pace: Option<f64>,
    /// Keep at most this many bytes of each packet
    #[arg(long, value_name = "BYTES", help_heading = "Source")]
    pub snaplen: Option<Size>,
    /// Worker threads; default: one for each queue of the interfaces, at most one for each CPU
    #[arg(long, value_name = "N", help_heading = "Source")]
    pub workers: Option<usize>,

    /// Directory of the store; made if it is not there, gone on with if it is
    #[arg(long, value_name = "DIR", env = "RETROTAP_STORE", help_heading = "Store")]
    pub store: Option<PathBuf>,
    /// Disk budget: the oldest segment goes when it is used up, or the filesystem full [default: the filesystem less 2 % or 1 GiB]
    #[arg(long, value_name = "SIZE", help_heading = "Store")]
    pub disk: Option<Size>,
    /// Size of a segment file
    #[arg(long, value_name = "SIZE", help_heading = "Store")]
    pub segment_size: Option<Size>,

    /// Memory in which the latest packets stay readable, 0 for none [default: 512MiB; files: 0]
    #[arg(long, value_name = "SIZE", help_heading = "Store")]
    pub memory: Option<Size>,
    /// Where queries are answered: a Unix socket, or off [default: api.sock in the store]
    #[arg(long, value_name = "PATH|off", help_heading = "Store")]
    pub api: Option<PathBuf>,

    /// Keep this many bytes of each connection, or none: everything is kept [default: 15KiB]
    #[arg(long, value_name = "SIZE|none", help_heading = "Policy")]
    pub cutoff: Option<Cutoff>,
    /// The same of link types, tunnels and encapsulations that are not followed: many connections under one name [default: none]
    #[arg(long, value_name = "SIZE|none", help_heading = "Policy")]
    pub cutoff_unknown: Option<Cutoff>,
    /// Record only packets that match this pcap-filter expression
    #[arg(long, value_name = "EXPR", help_heading = "Policy")]
    pub filter: Option<String>,

    /// Configuration file (TOML)
    #[arg(short, long, value_name = "FILE", help_heading = "Run")]
    pub config: Option<PathBuf>,
    /// Serve metrics for Prometheus here, under /metrics: HOST:PORT, :PORT, or the path of a socket
    #[arg(long, value_name = "ADDR", help_heading = "Run")]
    pub metrics: Option<String>,
    /// Stop after this time
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    pub duration: Option<Span>,
    /// Print all memory by part and stop
    #[arg(long, help_heading = "Run")]
    pub plan: bool,
    /// JSON lines on standard output, one for each interval; the last is the final account
    #[arg(long, help_heading = "Run")]
    pub json: bool,
    /// Interval of the statistics where standard error is not a terminal [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    pub log_interval: Option<Span>,
}

/// The final account: beside the counters, what became of each file.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FinalReport")]
pub struct Final {
    /// The counters.
    #[serde(flatten)]
    report: Report,
    /// Of capture files: what became of each; empty: it was recorded from interfaces.
    files: Vec<FileReport>,
}

/// Resolves the settings and records.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let (json, only_plan) = (args.json, args.plan);
    let again = args.clone();
    let reader = move || match &again.config {
        Some(_) => settings(again.clone()).map_err(|e| e.to_string()),
        None => Err("there is no configuration file to read again: record was started without --config".into()),
    };
    let settings = settings(args)?;
    let plan = record::memory::plan(&settings).map_err(failure)?;
    if only_plan {
        // As a start would.
        if let Some(why) = record::budgets::too_large(&settings).into_iter().next() {
            return Err(failure(RecordError::Budget(why)));
        }
        for why in record::advice::of(&settings) {
            tracing::warn!("{why}");
        }
        return print_plan(&plan, json);
    }
    tracing::debug!("memory: {}", units::size(plan.total()));
    privilege::of_a_recorder();
    if halves::wanted(&settings) {
        return halves::lead(settings, Box::new(reader), json);
    }
    shown(&settings, json, |observer| record::run(&settings, &reader, observer)).map(|(exit, _)| exit)
}

/// Records as the half of a parent; the code that tells it how that ended.
pub fn half(settings: &Settings, parent: ToParent, json: bool) -> Result<ExitCode, Failure> {
    privilege::of_a_recorder();
    let run = |observer: &mut dyn Observer| record::run_half(settings, parent, observer);
    let (exit, crippled) = shown(settings, json, run)?;
    let exit = super::said(exit)?;
    // No word of its own: it is to be started again.
    Ok(if crippled { ExitCode::from(parent::DIED) } else { exit.into() })
}

/// Answers as the half of a parent.
pub fn serve(settings: &Settings, handed: Vec<OwnedFd>, parent: &ToParent) -> Result<(), Failure> {
    record::serve_half(settings, handed, parent).map_err(failure)
}

/// Shows a recording: its intervals, what became of its files, its account. Beside how it ended whether a worker had died.
fn shown(
    settings: &Settings,
    json: bool,
    record: impl FnOnce(&mut dyn Observer) -> Result<Outcome, RecordError>,
) -> Result<(Exit, bool), Failure> {
    let files = matches!(settings.from, From::Files { .. });
    let mut observer = show::observer(json, files, settings.log_interval_ns);
    let outcome = record(&mut *observer).map_err(failure)?;
    drop(observer);
    for file in &outcome.files {
        for line in file.changed.lines() {
            tracing::warn!("{}: {line}", file.path.display());
        }
        if !file.is_whole() {
            complain(file);
        }
    }
    for failure in &outcome.failures {
        tracing::error!("{failure}");
    }
    let worker = &outcome.last.account.worker;
    let unfollowed = worker.unfollowed;
    // A few of them are on every network.
    if unfollowed.packets > worker.received.packets / 100 {
        tracing::warn!(
            "{}, {}, are of link types, tunnels or encapsulations that are not followed: many connections under one name, which \
             cutoff_unknown alone cuts",
            units::several(unfollowed.packets, "packet"),
            units::size(unfollowed.bytes)
        );
    }
    let report = outcome.last.report(ReportKind::Final, outcome.started);
    match json {
        true => show::json_line(&Final { report, files: outcome.files.clone() }),
        false => {
            let took = units::duration(outcome.last.mono_ns.saturating_sub(outcome.started));
            let connections = units::several(outcome.last.connections.begun, "connection");
            let _ = writeln!(
                say::out(),
                "{}{connections} in {took}, recorded into {}",
                account::table(&outcome.last.account),
                settings.store.display()
            );
        }
    }
    match &outcome.broken {
        Some(broken) => Err(Failure::incomplete(broken)),
        None if outcome.is_whole() => Ok((Exit::Done, outcome.crippled)),
        None => Ok((Exit::Incomplete, outcome.crippled)),
    }
}

fn failure(e: RecordError) -> Failure {
    if e.is_usage() { Failure::usage(e) } else { Failure::cannot(e) }
}

fn complain(file: &FileReport) {
    let path = file.path.display();
    for fault in &file.faults {
        tracing::error!("{path}: at byte {}: {}", fault.offset, fault.why);
    }
    if file.more_faults > 0 {
        tracing::error!("{path}: and {} more that are not named", units::count(file.more_faults));
    }
    match file.broke_off {
        Some(left) if left > 0 => {
            let (packets, left) = (units::count(file.packets), units::size(left));
            tracing::error!("{path}: broke off: {packets} packets before are recorded, {left} from there on are not");
        }
        _ => tracing::error!("{path}: {} packets are recorded", units::count(file.packets)),
    }
}

fn print_plan(plan: &Plan, json: bool) -> Result<Exit, Failure> {
    if json {
        show::json_line(plan);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["memory", ">", ""]);
    for part in &plan.parts {
        table.row([part.part.to_owned(), units::size(part.bytes), part.of.clone()]);
    }
    table.row(["in all".into(), units::size(plan.total()), "taken at the start; capture takes no more".into()]);
    for part in &plan.questions {
        let of = format!("{}; at most, and only as needed", part.of);
        table.row([part.part.to_owned(), units::size(part.bytes), of]);
    }
    let _ = write!(say::out(), "{table}");
    Ok(Exit::Done)
}

fn settings(args: Args) -> Result<Settings, Failure> {
    let file = match &args.config {
        Some(path) => Config::load(path).map_err(|e| match e {
            ConfigError::Read { .. } => Failure::cannot(e),
            e => Failure::usage(e),
        })?,
        None => Config::default(),
    };
    let mut over = Config {
        interfaces: args.interface,
        read: args.read,
        pace: args.pace,
        source: args.source,
        snaplen: args.snaplen,
        workers: args.workers,
        store: args.store,
        disk: args.disk,
        segment_size: args.segment_size,
        filter: args.filter.map(|f| Spanned::new(0..0, f)),
        duration: args.duration,
        log_interval: args.log_interval,
        metrics: args.metrics,
        memory: args.memory,
        api: ApiConfig { socket: args.api, ..ApiConfig::default() },
        ..Config::default()
    };
    over.class.insert(
        "all".into(),
        ClassConfig { cutoff: args.cutoff, cutoff_unknown: args.cutoff_unknown, ..ClassConfig::default() },
    );
    Settings::new(file.overlay(over)).map_err(Failure::usage)
}
