//! The packets of an answer on their way to where the command line wants them: a file that is there when it is whole, a pipe, a device; and the
//! manifest beside them. From the recorder where one answers, from the store's files where none does. Called by `query`.

use super::api::refused;
use super::file::{NewFile, is_no_file};
use super::follow::{Asked, follow};
use super::manifest;
use super::query::{Format, INTERRUPTED, failure};
use super::{Exit, Failure};
use crate::control::{Ask, Client, ClientError};
use crate::evidence::{FileSum, Manifest, Noted, Noting, Origin, PacketFormat, Question, Summing, sum_of};
use crate::query::output::{self, Output, Settling, Writer};
use crate::query::{self, Query, Statement, Summary};
use crate::store::store_id;
use crate::units;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Where an answer goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// File, device or pipe; - is standard output.
    pub path: &'a Path,
    /// Where its manifest goes.
    pub manifest: Option<&'a Path>,
    /// What is there is replaced.
    pub replace: bool,
    /// Of the packets.
    pub format: Format,
    /// Of a follower: so long its recorder is looked for again.
    pub patience: Duration,
}

impl From<Format> for output::Format {
    fn from(format: Format) -> output::Format {
        match format {
            Format::Pcapng => output::Format::Pcapng,
            Format::Pcap => output::Format::Pcap,
        }
    }
}

impl From<Format> for PacketFormat {
    fn from(format: Format) -> PacketFormat {
        match format {
            Format::Pcapng => PacketFormat::Pcapng,
            Format::Pcap => PacketFormat::Pcap,
        }
    }
}

/// What is known of packets that were given out.
type Given = (Summary, Option<Origin>);

/// Writes the answer.
pub fn write(request: &Query, daemon: Option<(Client, Ask)>, to: &Target<'_>) -> Result<Summary, Failure> {
    let follows = daemon.as_ref().is_some_and(|(_, ask)| ask.follow);
    let to_stdout = to.path.as_os_str() == "-";
    for path in [Some(to.path).filter(|_| !to_stdout), to.manifest].into_iter().flatten() {
        refuse_inside(&request.store, path)?;
    }
    // Begun first: what can't be written is said before anything is looked for.
    let beside = to.manifest.map(|path| NewFile::create(path, to.replace)).transpose()?;
    let (given, file) = match to_stdout || is_no_file(to.path) {
        true => as_it_is(request, daemon, to, to_stdout)?,
        false => to_file(request, daemon, to)?,
    };
    let Some((summary, origin)) = given else {
        if beside.is_some() {
            tracing::warn!("no manifest: what ended before its time has no summary");
        }
        return Err(Failure::cannot(INTERRUPTED));
    };
    if let (Some(beside), Some(origin)) = (beside, origin) {
        let question = Question::of(request, follows);
        manifest::keep(&Manifest::new(question, origin, &summary, file, units::now()), beside)?;
    }
    Ok(summary)
}

/// To a pipe or a device: what went out is summed as it goes, if anybody wants to know.
fn as_it_is(
    request: &Query,
    daemon: Option<(Client, Ask)>,
    to: &Target<'_>,
    to_stdout: bool,
) -> Result<(Option<Given>, FileSum), Failure> {
    let name = if to_stdout { "standard output".into() } else { to.path.to_string_lossy() };
    let cannot = |e: std::io::Error| Failure::cannot(format_args!("cannot write {name}: {e}"));
    let out: Box<dyn Output> = match to_stdout {
        true => Box::new(std::io::stdout()),
        false => Box::new(File::options().write(true).open(to.path).map_err(cannot)?),
    };
    let sum = |(bytes, sha256)| FileSum { name: None, format: to.format.into(), bytes, sha256 };
    match to.manifest {
        None => Ok((Some(packets(request, daemon, out, &name, to)?), sum((0, String::new())))),
        Some(_) => {
            let mut summing = Summing::new(out);
            let given = packets(request, daemon, &mut summing, &name, to)?;
            Ok((Some(given), sum(summing.summed())))
        }
    }
}

/// To a file, which is there when it is whole. No summary: whoever asked has ended it, and what was written is kept.
fn to_file(
    request: &Query,
    daemon: Option<(Client, Ask)>,
    to: &Target<'_>,
) -> Result<(Option<Given>, FileSum), Failure> {
    let name = to.path.to_string_lossy();
    let cannot = |e: std::io::Error| Failure::cannot(format_args!("cannot write {name}: {e}"));
    let new = NewFile::create(to.path, to.replace)?;
    let mut sum =
        FileSum { name: manifest::name_of(to.path), format: to.format.into(), bytes: 0, sha256: String::new() };
    let given = match packets(request, daemon, new.file(), &name, to) {
        Ok(given) => {
            output::fill_in(new.file(), 0).map_err(cannot)?;
            if given.1.is_some() {
                (sum.bytes, sum.sha256) = sum_of(new.part()).map_err(cannot)?;
            }
            Some(given)
        }
        Err(e) if e.to_string() == INTERRUPTED => {
            let why = "This answer was ended by whoever asked: what is missing from it was not looked up.";
            output::fill_in_with(new.file(), 0, why).map_err(cannot)?;
            None
        }
        // All packets are there; only what the recorder says of them could not be read.
        Err(e) if e.exit == Exit::Incomplete => {
            output::fill_in(new.file(), 0).map_err(cannot)?;
            new.keep()?;
            return Err(e);
        }
        Err(e) => return Err(e),
    };
    new.keep()?;
    Ok((given, sum))
}

/// Through the daemon if there is one.
fn packets(
    request: &Query,
    daemon: Option<(Client, Ask)>,
    mut out: impl Output,
    name: &str,
    to: &Target<'_>,
) -> Result<Given, Failure> {
    let Some((mut daemon, ask)) = daemon else {
        return from_files(request, Writer::new(out, name, to.format.into()), to.manifest.is_some());
    };
    let enough = Arc::new(AtomicBool::new(false));
    if ask.follow {
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, enough.clone()).map_err(Failure::cannot)?;
        }
    }
    if ask.follow {
        let ask = Ask { cursors: true, ..ask };
        let asked = Asked { request, ask: &ask, format: to.format.into(), patience: to.patience, enough: &enough };
        return follow(&mut daemon, &asked, &mut out);
    }
    let mut settling = Settling::new(&mut out);
    let given = match ask.manifest {
        true => daemon.query_with_origin(&ask, &mut settling, &enough).map(|(summary, origin)| (summary, Some(origin))),
        false => daemon.query(&ask, &mut settling, &enough).map(|summary| (summary, None)),
    };
    let given = given.map_err(refused)?;
    out.flush().map_err(|e| refused(ClientError::Write(e)))?;
    Ok(given)
}

fn from_files(request: &Query, mut writer: Writer<impl Output>, wanted: bool) -> Result<Given, Failure> {
    let mut noted = Noted::default();
    let summary = match wanted {
        true => query::run(request, &mut Noting::new(&mut writer, &mut noted)),
        false => query::run(request, &mut writer),
    };
    let statement = Statement::of(request, &store_id(&request.store).unwrap_or_default());
    // What was found before an error is a readable file too.
    let comment = summary.as_ref().map_or_else(|e| statement.cut_short(&e.to_string()), |s| statement.text(s));
    let finished = writer.finish(&comment);
    let summary = summary.map_err(failure)?;
    finished.map_err(|e| failure(e.into()))?;
    let origin = wanted.then(|| Origin::of(&request.store, &mut noted, None, &|| true)).transpose();
    Ok((summary, origin.map_err(manifest::failure)?))
}

/// An answer must never overwrite what it is read from.
fn refuse_inside(store: &Path, path: &Path) -> Result<(), Failure> {
    let folder: PathBuf = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).into();
    match (store.canonicalize(), folder.canonicalize()) {
        (Ok(store), Ok(folder)) if folder.starts_with(&store) => Err(Failure::usage(format_args!(
            "{} lies inside the store {}: write the answer somewhere else",
            path.display(),
            store.display()
        ))),
        _ => Ok(()),
    }
}
