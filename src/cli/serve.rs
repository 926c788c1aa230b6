//! `retrotap serve`: the API over stores into which nobody records. Owns its arguments, laid over the configuration.

use super::{Exit, Failure};
use crate::at_rest::{self, Serving};
use crate::config::{ApiConfig, Config, ConfigError};
use crate::privilege;
use std::net::SocketAddr;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  retrotap serve /var/lib/retrotap
  retrotap serve evidence/case-17 evidence/case-18
  retrotap serve /mnt/evidence --api /run/user/1000/case.sock
  retrotap serve /var/lib/retrotap -c /etc/retrotap.toml --listen 192.0.2.1:7443

Each store is answered for at its api.sock, as a recorder would, and commands with --store find it there. What takes a recorder (status,
orders, reload, following) is refused. No segment is changed; holds and the audit log are written where the store can be. A
recorder that begins on a store takes it over. Of a configuration, [api] and metrics are read.";

/// What `serve` takes. An option wins over the configuration's key of the same name.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", super::AFTER_HELP))]
pub struct Args {
    /// The stores; the configuration's without
    #[arg(value_name = "STORE", env = "RETROTAP_STORE", value_delimiter = None)]
    pub stores: Vec<PathBuf>,
    /// Where questions are answered, of one store: a Unix socket [default: api.sock in each store]
    #[arg(long, value_name = "PATH", help_heading = "Who may ask")]
    pub api: Option<PathBuf>,
    /// Answer here, too, over TLS, about one store; certificate, key and tokens as the configuration's [api] has them
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Who may ask")]
    pub listen: Option<SocketAddr>,
    /// Configuration file (TOML); SIGHUP has it read again
    #[arg(short, long, value_name = "FILE", help_heading = "Run")]
    pub config: Option<PathBuf>,
    /// Serve metrics for Prometheus here, under /metrics: HOST:PORT, :PORT, or the path of a socket
    #[arg(long, value_name = "ADDR", help_heading = "Run")]
    pub metrics: Option<String>,
    /// First make the indexes that are missing; nobody can record into the store meanwhile
    #[arg(long, help_heading = "Run")]
    pub index: bool,
}

/// Answers until it is to end.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let serving = serving(&args)?;
    let stores = match (args.stores.is_empty(), &serving.store) {
        (false, _) => args.stores.clone(),
        (true, Some(store)) => vec![store.clone()],
        (true, None) => return Err(Failure::usage("name the stores: retrotap serve STORE...")),
    };
    privilege::of_a_recorder();
    privilege::without_capabilities();
    let again = || match &args.config {
        Some(_) => serving_again(&args),
        None => Err("there is no configuration file to read again: serve was started without --config".into()),
    };
    let done = at_rest::run(&stores, &serving, args.index, &again);
    done.map(|()| Exit::Done).map_err(|e| if e.is_usage() { Failure::usage(e) } else { Failure::cannot(e) })
}

fn serving_again(args: &Args) -> Result<Serving, String> {
    serving(args).map_err(|e| e.to_string())
}

fn serving(args: &Args) -> Result<Serving, Failure> {
    let file = match &args.config {
        Some(path) => Config::load(path).map_err(|e| match e {
            ConfigError::Read { .. } => Failure::cannot(e),
            e => Failure::usage(e),
        })?,
        None => Config::default(),
    };
    let api = ApiConfig { socket: args.api.clone(), listen: args.listen, ..ApiConfig::default() };
    let over = Config { metrics: args.metrics.clone(), api, ..Config::default() };
    Serving::new(file.overlay(over)).map_err(Failure::usage)
}
