//! `retrotap reload`: asks a running recorder to read its configuration again, and says what came of it.

use super::api::{At, refused};
use super::{Exit, Failure, say, show};
use crate::control::ClientError;
use std::io::Write;

/// What `reload` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retrotap check-config /etc/retrotap.toml && retrotap reload --store /var/lib/retrotap

Classes, filters, cutoffs, timeouts, budgets, dedup and the limits of the API change at once, also for connections that
run; what needs a restart is named. What is wrong is refused, and all stays as it was. SIGHUP does the same.")]
pub struct Args {
    #[command(flatten)]
    pub at: At,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Asks.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let mut client = args.at.recorder()?;
    let done = client.post_json("/v1/reload", &serde_json::json!({})).map_err(|e| match e {
        ClientError::Refused(422, why) => Failure::usage(format!("refused, all is as it was: {why}")),
        e => refused(e),
    })?;
    let list = |key: &str| done.get(key).and_then(|l| l.as_array()).cloned().unwrap_or_default();
    let exit = if list("waiting_workers").is_empty() { Exit::Done } else { Exit::Incomplete };
    if args.json {
        show::json_line(&done);
        return Ok(exit);
    }
    let mut out = say::out();
    for c in list("changed") {
        let _ = writeln!(out, "{}: {} instead of {}", c["key"].as_str().unwrap_or("?"), c["to"], c["from"]);
    }
    for c in list("needs_restart") {
        let key = c["key"].as_str().unwrap_or("?");
        let _ = writeln!(out, "{key}: {} needs a restart; it is still {}", c["to"], c["from"]);
    }
    if list("changed").is_empty() {
        let _ = writeln!(out, "nothing has changed");
    }
    for n in list("waiting_workers") {
        let _ = writeln!(out, "worker {n} does not answer: it has the old rules until it does, and then the new ones");
    }
    Ok(exit)
}
