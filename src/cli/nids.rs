//! `retrotap nids`: a NIDS at the wheel, beside the recorder.

use super::api::At;
use super::{Exit, Failure, say, show};
use crate::nids::{Answers, Counts, Daemon, Event, Events, Feed, Hub, Listener, Rules, Spool, Stop, Tail, Zeek};
use crate::units;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// What `nids` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    nids: Nids,
}

#[derive(Debug, clap::Subcommand)]
enum Nids {
    /// Act on the alerts of a Suricata: its EVE JSON through a Unix socket, or from a file
    Suricata(Suricata),
    /// Act on the notices of a Zeek, and on its scripts' requests for packets: its WebSocket API and the package in integrations/zeek
    Zeek(ZeekArgs),
    /// Check a file of rules without starting anything
    Check(Check),
}

const EXAMPLES: &str = "Examples:
  retrotap nids suricata --listen /run/retrotap-nids/eve.sock --rules /etc/retrotap-nids.toml
  retrotap nids suricata --follow /var/log/suricata/eve.json --rules /etc/retrotap-nids.toml --json
  retrotap nids check /etc/retrotap-nids.toml

The rules say which alerts do what: tuning/nids.toml.sample tells every key. integrations/README.md says how Suricata is set up.
It runs until SIGINT or SIGTERM (what is not carried out two seconds later is counted and told), and looks for the recorder again whenever that was restarted.";

/// What every coupling takes.
#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    at: At,
    /// Which alerts do what
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// Each alert and action as a JSON object a line
    #[arg(long)]
    json: bool,
}

/// What `nids suricata` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", super::AFTER_HELP))]
struct Suricata {
    #[command(flatten)]
    common: Common,
    /// Unix socket that Suricata connects to (eve-log, filetype unix_stream)
    #[arg(long, value_name = "PATH", required_unless_present = "follow", conflicts_with = "follow")]
    listen: Option<PathBuf>,
    /// File that Suricata writes (eve-log, filetype regular); rotation and truncation are followed
    #[arg(long, value_name = "FILE")]
    follow: Option<PathBuf>,
    /// Read the file from its beginning, not from its end on
    #[arg(long, requires = "follow")]
    from_start: bool,
    /// Command socket of a Suricata in unix-socket mode that held packets are given back to
    #[arg(long, value_name = "PATH", requires = "feed_output")]
    feed: Option<PathBuf>,
    /// Folder where that Suricata writes what it finds
    #[arg(long, value_name = "DIR", requires = "feed")]
    feed_output: Option<PathBuf>,
}

const ZEEK_EXAMPLES: &str = "Examples:
  retrotap nids zeek --rules /etc/retrotap-nids.toml
  retrotap export nids-20261121T145502-10.1.2.3 -w - | zeek -r -

integrations/zeek/README.md says how Zeek is set up.";

/// What `nids zeek` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = ZEEK_EXAMPLES, after_long_help = format!("{ZEEK_EXAMPLES}\n\n{}", super::AFTER_HELP))]
struct ZeekArgs {
    #[command(flatten)]
    common: Common,
    /// Zeek's WebSocket API
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:27759/v1/messages/json")]
    connect: String,
}

/// What `nids check` takes.
#[derive(Debug, clap::Args)]
struct Check {
    /// The rules
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs one of them.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.nids {
        Nids::Suricata(args) => suricata(args),
        Nids::Zeek(args) => zeek(args),
        Nids::Check(args) => {
            let rules = Rules::load(&args.file).map_err(Failure::usage)?;
            let names: Vec<&str> = rules.rules.iter().map(|r| r.name.as_str()).collect();
            let _ = writeln!(say::out(), "{}: good; rules: {}", args.file.display(), names.join(", "));
            Ok(Exit::Done)
        }
    }
}

fn suricata(args: Suricata) -> Result<Exit, Failure> {
    let Suricata { common, listen, follow, from_start, feed, feed_output } = args;
    let feed = feed.zip(feed_output).map(|(socket, output)| Feed { socket, output });
    // The place first: what makes no sense shows before anything runs.
    let listener = listen.as_deref().map(Listener::bind).transpose().map_err(Failure::cannot)?;
    let tail = match &follow {
        Some(path) => {
            let cannot = |e| Failure::cannot(format_args!("{}: {e}", path.display()));
            Some(Tail::open(path, from_start).map_err(cannot)?)
        }
        None => None,
    };
    let hub = common.hub(feed, common.events())?;
    if let Some(listener) = &listener {
        listener.run(&hub);
    }
    if let Some(tail) = tail {
        tail.run(&hub);
    }
    Ok(end(hub))
}

fn zeek(args: ZeekArgs) -> Result<Exit, Failure> {
    let (answers, from) = Answers::new(args.common.events());
    let zeek = Zeek::new(&args.connect, from).map_err(Failure::usage)?;
    let hub = args.common.hub(None, Arc::new(answers))?;
    zeek.run(&hub);
    Ok(end(hub))
}

impl Common {
    fn events(&self) -> Arc<dyn Events> {
        if self.json { Arc::new(Json) } else { Arc::new(Lines) }
    }

    fn hub(&self, feed: Option<Feed>, events: Arc<dyn Events>) -> Result<Hub, Failure> {
        let rules = Rules::load(&self.rules).map_err(Failure::usage)?;
        if rules.feed_back() && feed.is_none() {
            return Err(Failure::usage(
                "a rule says feed_back: name the Suricata that takes packets (--feed PATH --feed-output DIR)",
            ));
        }
        if let Some(store) = self.at.store.as_ref().filter(|s| !s.is_dir()) {
            return Err(Failure::cannot(format_args!("{}: there is no store", store.display())));
        }
        let spooled = |feed: Feed| match Spool::open(&feed) {
            Ok(spool) => Ok((feed, spool)),
            Err(e) => {
                Err(Failure::cannot(format_args!("{}: {e}; it must be a folder, and no link", feed.spool().display())))
            }
        };
        let feed = feed.map(spooled).transpose()?;
        let stop = Stop::default();
        let daemon = Daemon::new(self.at.place()?, self.at.store.clone(), stop.clone());
        if !daemon.is_there() {
            tracing::warn!("{}: no recorder answers there yet", daemon.address());
        }
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, stop.flag.clone()).map_err(Failure::cannot)?;
        }
        Hub::start(rules, daemon, feed, events, stop).map_err(Failure::cannot)
    }
}

/// What was not done is told by the exit code.
fn end(hub: Hub) -> Exit {
    let Counts { failed, waiting, left, .. } = hub.finish();
    if failed + waiting + left > 0 { Exit::Incomplete } else { Exit::Done }
}

struct Json;

impl Events for Json {
    fn event(&self, event: &Event<'_>) {
        show::json_line(event);
    }
}

struct Lines;

impl Events for Lines {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Alert { time, rule, what, signature, connection, offender } => {
                let connection = connection.as_ref().map(ToString::to_string);
                let (time, about) = (units::time(*time), connection.as_ref().or(offender.as_ref()).map_or("", |a| a));
                tracing::info!("alert {what} {} at {time}: {about} [{rule}]", signature.unwrap_or_default());
            }
            Event::Action(a) => {
                let (took, since) = (units::duration(a.took_ns), units::duration(a.since_alert_ns));
                match (&a.error, &a.hold) {
                    (Some(why), _) => tracing::error!("{} {} was not done: {why} [{}]", a.action, a.to, a.rule),
                    (None, Some(hold)) => tracing::info!(
                        "{} {}: {hold}, {} packets, {} after the alert [{}]",
                        a.action,
                        a.to,
                        units::count(a.packets.unwrap_or(0)),
                        since,
                        a.rule
                    ),
                    (None, None) => tracing::info!("{} {}: in {took} [{}]", a.action, a.to, a.rule),
                }
            }
            Event::Trouble { what, count, why } => tracing::warn!("{count} times {what:?}: {why}"),
            Event::Peer { peer, there: true, why } => tracing::info!("{peer} is there {why}"),
            Event::Peer { peer, there: false, why } => tracing::info!("{peer} has gone {why}"),
            Event::Final(c) => {
                let _ = writeln!(
                    say::out(),
                    "{} records, {} malformed; {} alerts: {} acted on, {} without rule, {} repeated, {} limited, {} refused, {} echoes\n\
                     {} cutoffs lifted, {} offenders assigned, {} holds, {} fed back, {} failed, {} left",
                    c.records,
                    c.malformed,
                    c.alerts,
                    c.acted,
                    c.unmatched,
                    c.repeated,
                    c.limited,
                    c.waiting,
                    c.echoes,
                    c.suspended,
                    c.assigned,
                    c.held,
                    c.fed_back,
                    c.failed,
                    c.left
                );
            }
        }
    }
}
