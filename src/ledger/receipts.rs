//! Receipts on disk: frames in files that are rolled each hour or 64 MiB. Written by the scribe, read by queries while it writes.
//! A recorder never appends to a file of an earlier one, so that a frame cut off by a kill is the last of its file.

use super::codec::{self, FRAME_RECEIPTS, FrameHead, MAGIC};
use super::{LedgerError, at, files_of, keep_budget};
use crate::conn::receipt::Receipt;
use crate::packet::key::Key;
use crate::store::disk::mmap::Mapped;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const HOUR_NS: u64 = 3_600_000_000_000;
/// A file is rolled at this length.
const FILE_BYTES: u64 = 64 << 20;

/// Receipts of a store that is being recorded into.
#[derive(Debug)]
pub struct Receipts {
    dir: PathBuf,
    budget: u64,
    file: Option<Open>,
}

#[derive(Debug)]
struct Open {
    hour: u64,
    bytes: u64,
    path: PathBuf,
    file: File,
}

/// What a look-up met beside its receipts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiptsReport {
    /// Frames read.
    pub frames: u64,
    /// Frames skipped by time or filter.
    pub skipped: u64,
    /// Bytes that are no good frame.
    pub bad_bytes: u64,
}

impl Receipts {
    /// Receipts in `dir`, which is made if missing.
    pub fn open(dir: &Path, budget: u64) -> Result<Receipts, LedgerError> {
        std::fs::create_dir_all(dir).map_err(at(dir))?;
        Ok(Receipts { dir: dir.to_owned(), budget, file: None })
    }

    /// Adds receipts; `now`: Unix ns.
    pub fn append(&mut self, now: u64, receipts: &[Receipt]) -> Result<(), LedgerError> {
        for some in receipts.chunks(FRAME_RECEIPTS) {
            let frame = codec::encode_frame(some);
            let open = self.file_for(now)?;
            let written = open.file.write_all(&frame).map_err(at(&open.path));
            if written.is_ok() {
                open.bytes += frame.len() as u64;
            } else if open.file.set_len(open.bytes).is_err() {
                // A part of the frame stays: the next one goes to another file.
                self.file = None;
            }
            written?;
        }
        Ok(())
    }

    /// Makes what was written survive a power loss.
    pub fn sync(&self) -> Result<(), LedgerError> {
        self.file.as_ref().map_or(Ok(()), |o| o.file.sync_data().map_err(at(&o.path)))
    }

    fn file_for(&mut self, now: u64) -> Result<&mut Open, LedgerError> {
        let hour = now / HOUR_NS;
        if self.file.as_ref().is_some_and(|o| o.hour != hour || o.bytes >= FILE_BYTES) {
            self.file = None;
        }
        let open = match self.file.take() {
            Some(open) => open,
            None => self.create(now, hour)?,
        };
        Ok(self.file.insert(open))
    }

    fn create(&mut self, now: u64, hour: u64) -> Result<Open, LedgerError> {
        let mut stamp = now;
        let (path, file) = loop {
            // Twenty digits: the order of names is that of times.
            let path = self.dir.join(format!("{stamp:020}.receipts"));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => stamp += 1,
                other => break (path.clone(), other.map_err(at(&path))?),
            }
        };
        keep_budget(&files_of(&self.dir, "receipts")?, self.budget.saturating_sub(FILE_BYTES));
        Ok(Open { hour, bytes: 0, path, file })
    }
}

/// Gives `each` the receipts of connections that overlap `from..to` (Unix ns), the oldest file first; with `key`, only
/// those of this connection, found by the frames' filters.
pub fn lookup(
    dir: &Path,
    from: u64,
    to: u64,
    key: Option<&Key>,
    mut each: impl FnMut(&Receipt),
) -> Result<ReceiptsReport, LedgerError> {
    let mut report = ReceiptsReport::default();
    for path in files_of(dir, "receipts")? {
        let file = match File::open(&path) {
            // The budget may have taken it since the listing.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(at(&path))?,
        };
        if file.metadata().map_err(at(&path))?.len() == 0 {
            continue;
        }
        // Mapped, so that of skipped frames little more than the head is read.
        let bytes = Mapped::map(&file).map_err(at(&path))?;
        let mut rest: &[u8] = &bytes;
        while !rest.is_empty() {
            let Some((head, frame)) = FrameHead::decode(rest).and_then(|h| Some((h, rest.get(..h.len)?))) else {
                let skip = next_magic(rest);
                report.bad_bytes += skip as u64;
                rest = rest.get(skip..).unwrap_or_default();
                continue;
            };
            rest = rest.get(head.len..).unwrap_or_default();
            if head.first >= to || head.last < from {
                report.skipped += 1;
                continue;
            }
            if !head.holds(frame) {
                report.bad_bytes += frame.len() as u64;
                continue;
            }
            if key.is_some_and(|k| !head.may_have(frame, k)) {
                report.skipped += 1;
                continue;
            }
            report.frames += 1;
            match head.receipts(frame) {
                Some(receipts) => {
                    let wanted = |r: &&Receipt| r.first < to && r.last >= from && key.is_none_or(|k| *k == r.key);
                    receipts.iter().filter(wanted).for_each(&mut each);
                }
                None => report.bad_bytes += frame.len() as u64,
            }
        }
    }
    Ok(report)
}

/// Offset of the next place where a frame may begin, after the first byte.
fn next_magic(b: &[u8]) -> usize {
    let from = b.get(1..).unwrap_or_default();
    from.windows(MAGIC.len()).position(|w| w == MAGIC).map_or(b.len(), |at| at + 1)
}

#[cfg(test)]
pub(super) fn tests_file_bytes() -> u64 {
    FILE_BYTES
}
