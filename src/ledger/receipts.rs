//! Receipts on disk: frames in files that are rolled each hour or 64 MiB. Written by the scribe, read by queries (`search`) while it writes.
//! A recorder never appends to a file of an earlier one, so that a frame cut off by a kill is the last of its file. Reads nothing of them.

use super::codec::{self, FRAME_RECEIPTS, FrameHead, MAGIC};
use super::{LedgerError, Pulse, at, files_of, keep_budget};
use crate::conn::receipt::Receipt;
use crate::new_file;
use crate::store::layout::make_private;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HOUR_NS: u64 = 3_600_000_000_000;
/// A file is rolled at this length.
const FILE_BYTES: u64 = 64 << 20;

/// Receipts of a store that is being recorded into.
#[derive(Debug)]
pub struct Receipts {
    dir: PathBuf,
    budget: u64,
    file: Option<Open>,
    vlan_in_key: bool,
    pulse: Arc<Pulse>,
}

#[derive(Debug)]
struct Open {
    hour: u64,
    bytes: u64,
    path: PathBuf,
    file: File,
}

impl Receipts {
    /// Receipts in `dir`, which is made if missing.
    pub fn open(dir: &Path, budget: u64) -> Result<Receipts, LedgerError> {
        make_private(dir).map_err(at(dir))?;
        Ok(Receipts { dir: dir.to_owned(), budget, file: None, vlan_in_key: true, pulse: Arc::default() })
    }

    /// Whether VLAN ids tell connections apart in the receipts that come.
    pub fn vlan_in_key(mut self, vlan_in_key: bool) -> Receipts {
        self.vlan_in_key = vlan_in_key;
        self
    }

    /// The same, which beats this pulse.
    pub fn with_pulse(mut self, pulse: Arc<Pulse>) -> Receipts {
        self.pulse = pulse;
        self
    }

    /// Beats after each write.
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Adds receipts; `now`: Unix ns.
    pub fn append(&mut self, now: u64, receipts: &[Receipt]) -> Result<(), LedgerError> {
        for some in receipts.chunks(FRAME_RECEIPTS) {
            let frame = codec::encode_frame(some, self.vlan_in_key);
            let open = self.file_for(now)?;
            let written = open.file.write_all(&frame).map_err(at(&open.path));
            if written.is_ok() {
                open.bytes += frame.len() as u64;
            } else if open.file.set_len(open.bytes).is_err() {
                // A part of the frame stays: the next one goes to another file.
                self.file = None;
            }
            self.pulse.wrote();
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
            match OpenOptions::new().append(true).create_new(true).mode(new_file::SHARED).open(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => stamp += 1,
                other => break (path.clone(), other.map_err(at(&path))?),
            }
        };
        keep_budget(&files_of(&self.dir, "receipts")?, self.budget.saturating_sub(FILE_BYTES));
        Ok(Open { hour, bytes: 0, path, file })
    }
}

/// Calls `each` with offset, head and bytes of every frame; returns the bytes that are none. What a frame's own sum says is for `each`.
pub(super) fn each_frame<'a>(bytes: &'a [u8], each: &mut dyn FnMut(u64, FrameHead, &'a [u8])) -> u64 {
    let (mut rest, mut bad) = (bytes, 0);
    while !rest.is_empty() {
        let skip = match FrameHead::decode(rest).and_then(|h| Some((h, rest.get(..h.len)?))) {
            Some((head, frame)) => {
                each((bytes.len() - rest.len()) as u64, head, frame);
                head.len
            }
            None => {
                let skip = next_magic(rest);
                bad += skip as u64;
                skip
            }
        };
        rest = rest.get(skip..).unwrap_or_default();
    }
    bad
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
