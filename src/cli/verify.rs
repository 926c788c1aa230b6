//! `retrotap verify`: whether a store is what it was written as.

use super::api::{Far, refused};
use super::{Exit, Failure, say, show};
use crate::index;
use crate::store::verify::{self, Report};
use crate::units;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What `verify` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retrotap verify /var/lib/retrotap || echo broken

With --api the recorder reads its store itself, whenever it has time to; it stops when you do.")]
pub struct Args {
    /// The store
    #[arg(value_name = "STORE", env = "RETROTAP_STORE", required_unless_present = "api")]
    pub store: Option<PathBuf>,
    #[command(flatten)]
    pub far: Far,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Checks it.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let report: Report = match (args.far.named()?, &args.store) {
        (Some(mut daemon), _) => {
            let all = daemon.ask_until("POST", "/v1/verify", &serde_json::json!({}), &|| false);
            all.map_err(refused)?
        }
        (None, Some(store)) => {
            crate::query::priority::idle();
            let check = |segment: &Path, path: &Path| index::verify(segment, path).map_err(|e| e.to_string());
            verify::verify(store, &check).map_err(Failure::cannot)?
        }
        (None, None) => return Err(Failure::usage("name the store, or its recorder (--api)")),
    };
    let exit = if report.problems.is_empty() { Exit::Done } else { Exit::Incomplete };
    if args.json {
        show::json_line(&report);
        return Ok(exit);
    }
    let mut out = say::out();
    for p in &report.problems {
        let _ = writeln!(out, "{}: at byte {}: {}", p.file.display(), p.offset, p.what);
    }
    let _ = writeln!(
        out,
        "{} segments ({} not sealed), {} blocks, {} packets, {}, {} indexes: {}",
        units::count(report.segments),
        units::count(report.unsealed),
        units::count(report.blocks),
        units::count(report.packets),
        units::size(report.bytes),
        units::count(report.indexes),
        match report.problems.len() {
            0 => "all good".to_owned(),
            1 => "1 thing is broken".to_owned(),
            n => format!("{n} things are broken"),
        }
    );
    Ok(exit)
}
