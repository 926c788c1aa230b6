//! `retrotap info`: what a store holds.

use super::api::{Far, refused};
use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::control::{StoreHolding, StoreInfo};
use crate::hold::Held;
use crate::query::Engine;
use crate::query::pace::Freely;
use crate::store::info;
use crate::units;
use std::io::Write;
use std::path::PathBuf;

/// What `info` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retrotap info /var/lib/retrotap
  retrotap info --api https://tap1:7443 --token-file token --ca api.crt")]
pub struct Args {
    /// The store
    #[arg(value_name = "STORE")]
    pub store: Option<PathBuf>,
    /// The same, as other commands take it; STORE wins
    #[arg(long = "store", value_name = "DIR", env = "RETROTAP_STORE")]
    pub dir: Option<PathBuf>,
    #[command(flatten)]
    pub far: Far,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let (place, info) = match (args.far.named()?, args.store.or(args.dir)) {
        (Some(mut daemon), _) => (daemon.address().to_string(), daemon.get::<StoreInfo>("/v1/info").map_err(refused)?),
        (None, Some(store)) => {
            let counted = Engine::new(&store).counted(&Freely).map_err(Failure::cannot)?;
            let info = info::info(&store, &counted).map_err(Failure::cannot)?;
            let holds = Held::open(&store).and_then(|held| held.sizes()).ok();
            (store.display().to_string(), StoreInfo::new(info, holds))
        }
        (None, None) => return Err(Failure::usage("name the store, or its recorder (--api)")),
    };
    let exit = if info.unreadable.is_empty() { Exit::Done } else { Exit::Incomplete };
    for why in &info.unreadable {
        tracing::warn!("{why}");
    }
    if args.json {
        show::json_line(&info);
        return Ok(exit);
    }
    let mut t = Table::new(&[
        "class",
        ">segments",
        ">packets",
        ">on the wire",
        ">kept",
        ">on disk",
        ">index",
        ">conns",
        "oldest",
        "newest",
    ]);
    let mut row = |name: &str, h: &StoreHolding| {
        let time = |t: Option<u64>| t.map_or("-".into(), units::local_time);
        t.row([
            name.to_owned(),
            units::count(h.segments),
            units::count(h.packets),
            units::size(h.bytes),
            units::size(h.captured_bytes),
            units::size(h.disk_bytes),
            units::size(h.index_bytes),
            units::count(h.connections),
            time(h.first),
            time(h.last),
        ]);
    };
    for c in &info.classes {
        row(&c.class, &c.holding);
    }
    if info.classes.len() != 1 {
        row("in all", &info.total);
    }
    let state = if info.recording { "being recorded into" } else { "at rest" };
    let age =
        info.oldest_age_seconds.map_or("no packet yet".into(), |a| format!("oldest packet {} old", units::duration(a)));
    let _ = writeln!(
        say::out(),
        "{place}: store {}, made {}, {state}, {age}\n{t}ledger {}, receipts {}",
        info.id,
        info.created.map_or("?".into(), units::local_time),
        units::size(info.ledger_bytes),
        units::size(info.receipts_bytes)
    );
    let run = match info.running_connections {
        Some(n) => format!("{} run, by the recorder's count", units::count(n)),
        None if info.recording => {
            "only the recorder counts those that run: ask it (--api, or retrotap status)".to_owned()
        }
        None => "none run".to_owned(),
    };
    let lasting = match info.total.lasting_connections {
        0 => String::new(),
        n => format!(", {} of them an hourly one only", units::count(n)),
    };
    let with = units::several(info.total.connections, "connection");
    let _ = writeln!(say::out(), "{with} with a receipt{lasting}; {run}");
    if info.total.unindexed > 0 {
        let n = units::count(info.total.unindexed);
        let _ = writeln!(say::out(), "{n} segments without an index: queries scan them");
    }
    Ok(exit)
}
