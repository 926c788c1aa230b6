//! `retrotap export`: the packets of a hold, and the manifest that makes them evidence beside them.

use super::api::{At, refused};
use super::file::{NewFile, is_no_file};
use super::hold::failure;
use super::{Exit, Failure, manifest};
use crate::control::ClientError;
use crate::evidence::{Manifest, Summing, Who};
use crate::hold::Held;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;

/// What `export` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retrotap export case-17 -w case-17.pcapng          (and case-17.pcapng.json, the manifest)
  retrotap verify case-17.pcapng.json")]
pub struct Args {
    /// Which hold
    #[arg(value_name = "CASE")]
    pub name: String,
    #[command(flatten)]
    pub at: At,
    /// Write the packets to this file; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub write: PathBuf,
    /// Write the manifest to this file [default: beside the packets, their name with .json]
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
    /// End with exit code 1 where the hold is not complete
    #[arg(long)]
    pub strict: bool,
}

/// A hold that follows may get packets between its manifest and its copy: then both are made again.
const TRIES: usize = 5;

/// Copies the packets of one.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let to_stdout = args.write.as_os_str() == "-";
    if to_stdout && std::io::stdout().is_terminal() {
        return Err(Failure::usage("packets are binary and standard output is a terminal: name a file (-w FILE)"));
    }
    let cannot = |e: std::io::Error| match to_stdout {
        true => Failure::cannot(format!("standard output: {e}")),
        false => Failure::cannot(format!("{}: {e}", args.write.display())),
    };
    let wrong = |e| match e {
        Copying::Write(e) => cannot(e),
        Copying::Failed(e) => e,
    };
    if to_stdout || is_no_file(&args.write) {
        let mut out: Box<dyn Write> = match to_stdout {
            true => Box::new(std::io::stdout()),
            false => Box::new(File::options().write(true).open(&args.write).map_err(cannot)?),
        };
        let beside = args.manifest.as_deref().map(|path| NewFile::create(path, args.force)).transpose()?;
        let sum = match copy(&args, &mut out) {
            Err(Copying::Write(e)) if to_stdout && e.kind() == ErrorKind::BrokenPipe => return Ok(Exit::Done),
            sum => sum.map_err(wrong)?,
        };
        if beside.is_none() && !args.strict {
            return Ok(Exit::Done);
        }
        let manifest = of(&args, None, &sum)?.ok_or_else(|| grows(&args.name))?;
        beside.map(|beside| manifest::keep(&manifest, beside)).transpose()?;
        return Ok(exit(&args, &manifest));
    }
    let path = args.manifest.clone().unwrap_or_else(|| manifest::beside(&args.write));
    for _ in 0..TRIES {
        // Half a hold, or one that is damaged, is none.
        let (new, beside) = (NewFile::create(&args.write, args.force)?, NewFile::create(&path, args.force)?);
        let sum = copy(&args, new.file()).map_err(wrong)?;
        if let Some(manifest) = of(&args, manifest::name_of(&args.write), &sum)? {
            new.keep()?;
            manifest::keep(&manifest, beside)?;
            return Ok(exit(&args, &manifest));
        }
    }
    Err(grows(&args.name))
}

fn exit(args: &Args, manifest: &Manifest) -> Exit {
    if args.strict && !manifest.complete { Exit::Incomplete } else { Exit::Done }
}

fn grows(name: &str) -> Failure {
    Failure::cannot(format_args!("hold {name} grows faster than it can be copied: try again"))
}

/// The manifest of what was copied, from the recorder or the store's files; `None`: it is of a later state of the hold.
fn of(args: &Args, name: Option<String>, (bytes, sha256): &(u64, String)) -> Result<Option<Manifest>, Failure> {
    let mut manifest: Manifest = match args.at.daemon()? {
        Some(mut daemon) => daemon.get(&format!("/v1/holds/{}/manifest", args.name)).map_err(refused)?,
        None => {
            let held = Held::open(args.at.store()?).map_err(failure)?;
            held.manifest(&args.name, Who::me()).map_err(failure)?
        }
    };
    manifest.file.name = name;
    Ok(Some(manifest).filter(|m| (&m.file.bytes, &m.file.sha256) == (bytes, sha256)))
}

/// Why there is no copy.
enum Copying {
    Write(std::io::Error),
    Failed(Failure),
}

/// From the recorder, or from the store's files; packets that are not those that were held are an error. Length and sum of what was copied.
fn copy(args: &Args, to: impl Write) -> Result<(u64, String), Copying> {
    let mut to = Summing::new(to);
    if let Some(mut daemon) = args.at.daemon().map_err(Copying::Failed)? {
        return match daemon.file(&format!("/v1/holds/{}/packets", args.name), &mut to, &|| false) {
            Ok(_) => Ok(to.summed()),
            Err(ClientError::Write(e)) => Err(Copying::Write(e)),
            Err(e) => Err(Copying::Failed(refused(e))),
        };
    }
    let failed = |e| Copying::Failed(failure(e));
    let held = Held::open(args.at.store().map_err(Copying::Failed)?).map_err(failed)?;
    let (hold, path) = held.packets(&args.name).map_err(failed)?;
    let mut wrong = None;
    let done = held.read_out(&hold, &path, &mut |bytes| {
        wrong = to.write_all(bytes).err();
        wrong.is_none()
    });
    match wrong {
        Some(e) => Err(Copying::Write(e)),
        None => done.map(|()| to.summed()).map_err(failed),
    }
}
