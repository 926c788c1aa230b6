//! `retrotap reload`: asks a running recorder to read its configuration again, and says what came of it.

use super::api::{At, refused};
use super::{Exit, Failure, say, show};
use crate::config::Changes;
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
    let changes: Changes = client.ask("POST", "/v1/reload", &serde_json::json!({})).map_err(|e| match e {
        ClientError::Refused(422, why) => Failure::usage(format!("refused, all is as it was: {why}")),
        e => refused(e),
    })?;
    let exit = if changes.waiting_workers.is_empty() { Exit::Done } else { Exit::Incomplete };
    if args.json {
        show::json_line(&changes);
        return Ok(exit);
    }
    let mut out = say::out();
    let changed =
        if changes.changed.is_empty() { vec!["nothing has changed".into()] } else { changes.changed_in_words() };
    for line in changed.into_iter().chain(changes.needs_restart_in_words()).chain(changes.unassigned_in_words()) {
        let _ = writeln!(out, "{line}");
    }
    for n in changes.waiting_workers {
        let _ = writeln!(out, "worker {n} does not answer: it has the old rules until it does, and then the new ones");
    }
    Ok(exit)
}
