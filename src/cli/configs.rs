//! `retrotap check-config` and `retrotap import-config`: configurations looked at, and taken over, without starting anything.

use super::{Exit, Failure, say, show};
use crate::config::{Config, Settings, import};
use crate::record::{advice, budgets};
use schemars::JsonSchema;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What `check-config` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retrotap check-config /etc/retrotap.toml && systemctl restart retrotap")]
pub struct Check {
    /// The configuration
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What `import-config` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retrotap import-config timemachine.cfg -o retrotap.toml")]
pub struct Import {
    /// The configuration of the original Time Machine
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write ours to this file instead of standard output; one that exists is not overwritten
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What was found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CheckedConfiguration")]
pub struct Checked {
    /// The configuration's file.
    file: PathBuf,
    /// A recorder would start with it.
    good: bool,
    /// What is wrong.
    errors: Vec<String>,
    /// What is worth knowing.
    notes: Vec<String>,
    /// Names of its classes, in their order.
    classes: Vec<String>,
}

/// Checks.
pub fn check(args: Check) -> Result<Exit, Failure> {
    let mut checked =
        Checked { file: args.file.clone(), good: false, errors: Vec::new(), notes: Vec::new(), classes: Vec::new() };
    match settings(&args.file, &mut checked.notes) {
        Ok(settings) => {
            checked.classes = settings.classes.iter().map(|c| c.name.clone()).collect();
            checked.errors.extend(budgets::too_large(&settings));
            checked.notes.extend(advice::of(&settings));
        }
        Err(e) => checked.errors.push(e),
    }
    checked.good = checked.errors.is_empty();
    let exit = if checked.good { Exit::Done } else { Exit::Usage };
    if args.json {
        show::json_line(&checked);
        return Ok(exit);
    }
    for note in &checked.notes {
        tracing::info!("{note}");
    }
    if checked.good {
        let _ = writeln!(say::out(), "{}: good; classes: {}", args.file.display(), checked.classes.join(", "));
        return Ok(exit);
    }
    Err(Failure::usage(checked.errors.join("\n")))
}

/// What the file means; what it leaves to the command line is no error.
fn settings(file: &Path, notes: &mut Vec<String>) -> Result<Settings, String> {
    let mut config = Config::load(file).map_err(|e| e.to_string())?;
    if config.interfaces.is_empty() {
        notes.push("no interfaces: to be named on the command line (-i, -r)".into());
        config.interfaces.push("any".into());
    }
    if config.store.is_none() {
        notes.push("no store: to be named on the command line (--store)".into());
        config.store = Some(".".into());
    }
    Settings::new(config).map_err(|e| e.to_string())
}

/// Imports.
pub fn import(args: Import) -> Result<Exit, Failure> {
    let cannot = |path: &Path, e: std::io::Error| Failure::cannot(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(&args.file).map_err(|e| cannot(&args.file, e))?;
    let imported = import::import(&text).map_err(|e| Failure::usage(format!("{}: {e}", args.file.display())))?;
    for note in &imported.notes {
        tracing::warn!("{}: {note}", args.file.display());
    }
    match &args.output {
        Some(path) => std::fs::File::create_new(path)
            .and_then(|mut f| f.write_all(imported.toml.as_bytes()))
            .map_err(|e| cannot(path, e))?,
        None => say::out().write_all(imported.toml.as_bytes()).map_err(|e| cannot(Path::new("standard output"), e))?,
    }
    Ok(Exit::Done)
}
