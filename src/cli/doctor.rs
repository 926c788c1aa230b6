//! `retrotap doctor`: what of this machine is not as capture wants it, and the commands that make it so.

use super::table::Table;
use super::{Exit, Failure, say, security, show};
use crate::doctor::{self, Check, State, script};
use crate::shape::Count;
use schemars::JsonSchema;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// What `doctor` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retrotap doctor -i eth1 -i eth2 --store /var/lib/retrotap
  retrotap doctor -i eth1 --fix-script | less
  retrotap doctor --security --store /var/lib/retrotap
  tuning/apply -i eth1            applies the fixes, and writes the way back

It looks and changes nothing. Exit code 1: something is not ok.")]
pub struct Args {
    /// Look at this interface, too; may be repeated
    #[arg(short, long = "interface", value_name = "IFACE")]
    interface: Vec<String>,
    /// Look at the filesystem of this store, too
    #[arg(long, value_name = "DIR", env = "RETROTAP_STORE")]
    store: Option<PathBuf>,
    /// Look at the recorder of this store instead: what each of its threads may still do
    #[arg(long, requires = "store", conflicts_with_all = ["interface", "fix_script", "undo_script"])]
    security: bool,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    /// Print a shell script that sets what is not ok
    #[arg(long, conflicts_with = "json")]
    fix_script: bool,
    /// Print the script that sets the same knobs as they are now
    #[arg(long, conflicts_with_all = ["json", "fix_script"])]
    undo_script: bool,
}

/// What was looked at.
#[derive(Serialize, JsonSchema)]
pub struct Examined {
    /// How many knobs are not as they should be.
    #[serde(with = "Count")]
    not_ok: u64,
    /// Each knob.
    checks: Vec<Check>,
}

/// Looks and says.
pub fn run(args: Args) -> Result<Exit, Failure> {
    if let Some(store) = args.store.as_ref().filter(|_| args.security) {
        return security::run(store, args.json);
    }
    let checks = doctor::examine(&args.interface, args.store.as_ref()).map_err(Failure::cannot)?;
    if args.fix_script || args.undo_script {
        let text = if args.fix_script { script::fix(&checks) } else { script::undo(&checks) };
        return say::out().write_all(text.as_bytes()).map(|()| Exit::Done).map_err(Failure::cannot);
    }
    let bad = checks.iter().filter(|c| c.state == State::NotOk).count();
    if args.json {
        show::json_line(&Examined { not_ok: bad as u64, checks });
    } else {
        say::out().write_all(text(&checks).as_bytes()).map_err(Failure::cannot)?;
    }
    Ok(if bad == 0 { Exit::Done } else { Exit::Incomplete })
}

fn text(checks: &[Check]) -> String {
    let mut table = Table::new(&["", "knob", "state", "found"]);
    for c in checks {
        let state = match c.state {
            State::Ok => "ok",
            State::NotOk => "not ok",
            State::Unknown => "unknown",
        };
        table.row([c.interface.clone(), c.knob.into(), state.into(), c.found.clone()]);
    }
    let mut text = table.to_string();
    for c in checks.iter().filter(|c| c.state == State::NotOk) {
        let place = if c.interface.is_empty() { String::new() } else { format!("{}: ", c.interface) };
        text += &format!("\n{place}{}: {}\n", c.knob, c.why);
        if let Some(fix) = &c.fix {
            text += &format!("  fix:  {}\n  undo: {}\n", fix.apply, fix.undo);
        }
    }
    text
}
