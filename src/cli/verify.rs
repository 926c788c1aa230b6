//! `retrotap verify`: whether a store is what it was written as; whether packets are those that their manifest was made of.

use super::api::{Far, refused};
use super::{Exit, Failure, manifest, say, show};
use crate::index;
use crate::store::verify::{self, Report};
use crate::units;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What `verify` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retrotap verify /var/lib/retrotap || echo broken
  retrotap verify case-17.pcapng.json
  retrotap verify case-17.pcapng.json --store /var/lib/retrotap

Of a manifest the file of packets beside it is summed and counted again; exit code 1: it is not what the manifest says. With --store also the
segments that the packets came from are read: they must be what they were, or have expired.

With --api the recorder reads its store itself, whenever it has time to; it stops when you do.")]
pub struct Args {
    /// The store, or the manifest of an answer or a hold
    #[arg(value_name = "STORE|FILE.json", env = "RETROTAP_STORE", required_unless_present_any = ["api", "in_store"])]
    pub store: Option<PathBuf>,
    /// Of a manifest: look also at the segments of this store
    #[arg(id = "in_store", long = "store", value_name = "DIR", conflicts_with = "api")]
    pub in_store: Option<PathBuf>,
    /// Of a manifest: the packets are in this file, not in the one of that name beside it
    #[arg(long, value_name = "FILE", conflicts_with = "api")]
    pub packets: Option<PathBuf>,
    #[command(flatten)]
    pub far: Far,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A store is a folder.
fn is_manifest(path: &Path) -> bool {
    path.is_file() || !path.is_dir() && path.extension().is_some_and(|e| e == "json")
}

/// Checks it.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let named = args.far.named()?;
    if let (None, Some(path)) = (&named, args.store.as_deref().filter(|p| is_manifest(p))) {
        return manifest::verify(path, args.packets.as_deref(), args.in_store.as_deref(), args.json);
    }
    if args.packets.is_some() {
        return Err(Failure::usage("--packets is for a manifest: name that, too"));
    }
    let report: Report = match (named, args.in_store.as_ref().or(args.store.as_ref())) {
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
