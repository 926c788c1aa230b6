//! A file of EVE lines that grows, is rotated (another file takes its name) or truncated. Owns the place in it. Called by the command line.

use super::event::Trouble;
use super::lines::Lines;
use super::listen::record;
use super::{Hub, LOOK};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A followed file.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    open: Option<Open>,
    lines: Lines,
}

#[derive(Debug)]
struct Open {
    file: File,
    at: u64,
}

impl Tail {
    /// From its end on, or from its beginning. A file that is not there yet is waited for.
    pub fn open(path: &Path, from_start: bool) -> io::Result<Tail> {
        let mut tail = Tail { path: path.to_owned(), open: None, lines: Lines::default() };
        match File::open(path) {
            Ok(mut file) => {
                let at = if from_start { 0 } else { file.seek(SeekFrom::End(0))? };
                tail.open = Some(Open { file, at });
                Ok(tail)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(tail),
            Err(e) => Err(e),
        }
    }

    /// Follows until the hub's end.
    pub fn run(mut self, hub: &Hub) {
        let mut failing = false;
        while !hub.stop().is_set() {
            match self.step(hub) {
                Ok(true) => continue,
                Ok(false) => failing = false,
                Err(e) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!("{}: {e}: tried again", self.path.display());
                }
                Err(_) => {}
            }
            hub.stop().wait(LOOK);
        }
    }

    /// Reads some; whether there may be more at once.
    fn step(&mut self, hub: &Hub) -> io::Result<bool> {
        let there = match std::fs::metadata(&self.path) {
            Ok(m) => Some((m.dev(), m.ino())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let Some(open) = &mut self.open else {
            if there.is_some() {
                self.open = Some(Open { file: File::open(&self.path)?, at: 0 });
            }
            return Ok(there.is_some());
        };
        // Looked at before reading: what is written to the old file after that is not missed by the next step.
        let meta = open.file.metadata()?;
        if meta.len() < open.at {
            hub.peer("file", true, "it was truncated: from its beginning");
            open.at = open.file.seek(SeekFrom::Start(0))?;
            self.lines.clear();
        }
        let mut piece = vec![0; 1 << 16];
        let n = open.file.read(&mut piece)?;
        open.at += n as u64;
        self.lines.push(piece.get(..n).unwrap_or_default(), |line| record(line, hub));
        if n > 0 || there == Some((meta.dev(), meta.ino())) || there.is_none() {
            return Ok(n > 0);
        }
        // Read to its end, and another has its name.
        hub.peer("file", true, "it was rotated: the new one from its beginning");
        if self.lines.is_partial() {
            hub.bad(Trouble::Malformed, "a file was rotated within a line");
        }
        self.lines.clear();
        self.open = None;
        Ok(true)
    }
}
