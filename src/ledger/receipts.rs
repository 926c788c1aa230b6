//! Receipts on disk: frames in files that are rolled each hour or 64 MiB. Written by the scribe, read by queries while it writes.
//! A recorder never appends to a file of an earlier one, so that a frame cut off by a kill is the last of its file.

use super::codec::{self, FRAME_RECEIPTS, FrameHead, MAGIC};
use super::lookup::{self, FrameAt, Side};
use super::{LedgerError, Pulse, at, files_of, keep_budget};
use crate::conn::receipt::Receipt;
use crate::index::term::Term;
use crate::packet::key::Key;
use crate::store::disk::mmap::Mapped;
use crate::store::layout::make_private;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

const HOUR_NS: u64 = 3_600_000_000_000;
/// At the end of a recording the last file gets a side file if it is this long; less is read as fast.
const SIDE_BYTES_MIN: u64 = 1 << 20;
/// A file is rolled at this length.
const FILE_BYTES: u64 = 64 << 20;

/// Receipts of a store that is being recorded into.
#[derive(Debug)]
pub struct Receipts {
    dir: PathBuf,
    budget: u64,
    file: Option<Open>,
    vlan_in_key: bool,
    /// Makes side files of finished files.
    helper: Option<JoinHandle<()>>,
    pulse: Arc<Pulse>,
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
    /// Files skipped by their side files.
    pub skipped_files: u64,
    /// Frames skipped by time or filter.
    pub skipped: u64,
    /// Bytes that are no good frame.
    pub bad_bytes: u64,
}

impl Receipts {
    /// Receipts in `dir`, which is made if missing.
    pub fn open(dir: &Path, budget: u64) -> Result<Receipts, LedgerError> {
        make_private(dir).map_err(at(dir))?;
        Ok(Receipts { dir: dir.to_owned(), budget, file: None, vlan_in_key: true, helper: None, pulse: Arc::default() })
    }

    /// Whether VLAN ids tell connections apart in the receipts that come.
    pub fn vlan_in_key(mut self, vlan_in_key: bool) -> Receipts {
        self.vlan_in_key = vlan_in_key;
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
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => stamp += 1,
                other => break (path.clone(), other.map_err(at(&path))?),
            }
        };
        let files = files_of(&self.dir, "receipts")?;
        keep_budget(&files, self.budget.saturating_sub(FILE_BYTES));
        self.help(files.into_iter().filter(|f| *f != path).collect());
        Ok(Open { hour, bytes: 0, path, file })
    }
}

impl Receipts {
    /// Has the side files made that finished files lack, beside the recording.
    fn help(&mut self, finished: Vec<PathBuf>) {
        if self.helper.as_ref().is_some_and(|h| !h.is_finished()) {
            // The next roll makes up for it.
            return;
        }
        let make = move || {
            for path in finished.iter().filter(|p| !lookup::side_of(p).exists()) {
                if let Err(e) = lookup::make(path) {
                    tracing::debug!("{}: no side file: {e}", path.display());
                }
                if !path.exists() {
                    // The budget took it meanwhile.
                    let _ = std::fs::remove_file(lookup::side_of(path));
                }
            }
        };
        self.helper = std::thread::Builder::new().name("receipts".into()).spawn(make).ok();
    }
}

impl Drop for Receipts {
    fn drop(&mut self) {
        if let Some(helper) = self.helper.take() {
            let _ = helper.join();
        }
        // The last file is finished too.
        if let Some(open) = self.file.take()
            && open.bytes >= SIDE_BYTES_MIN
            && let Err(e) = lookup::make(&open.path)
        {
            tracing::debug!("{}: no side file: {e}", open.path.display());
        }
    }
}

/// Calls `each` with offset, head and bytes of every frame; returns the bytes that are none. What a frame's own sum says is for `each`.
pub(super) fn each_frame(bytes: &[u8], each: &mut dyn FnMut(u64, FrameHead, &[u8])) -> u64 {
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

/// Whether a file can have what is looked for; asked with what tells whether it may have an address.
pub type MayHave<'a> = dyn Fn(&mut dyn FnMut(Term) -> bool) -> bool + 'a;

/// Which receipts are looked for.
pub enum Wanted<'a> {
    /// All of the window.
    All,
    /// Those of these connections; of frames whose keys have no VLAN ids, those that are theirs without.
    Keys(&'a HashSet<Key>),
    /// All of the window in files that may have them.
    Files(&'a MayHave<'a>),
}

impl Wanted<'_> {
    fn keys(&self) -> Option<&HashSet<Key>> {
        match self {
            Wanted::Keys(keys) => Some(keys),
            _ => None,
        }
    }

    /// Whether a frame may have any.
    fn in_frame(&self, head: &FrameHead, frame: &[u8]) -> bool {
        // Of many keys the filter of a frame can't rule out all.
        self.keys().filter(|k| k.len() <= FILTERED_KEYS).is_none_or(|keys| {
            keys.iter().any(|k| head.may_have(frame, k) || !head.vlan_in_key && head.may_have(frame, &k.untagged()))
        })
    }
}

/// Most frames are no longer: so much of each is read at once.
const FRAME_AHEAD: usize = 64 << 10;
/// So many keys are looked for in the filters of frames and in side files; for more all frames of the window are read.
const FILTERED_KEYS: usize = 256;

/// Gives `each` the receipts that are wanted of connections that overlap `from..to` (Unix ns), the oldest file first, with whether VLAN
/// ids are in their keys.
pub fn search(
    dir: &Path,
    from: u64,
    to: u64,
    wanted: &Wanted<'_>,
    mut each: impl FnMut(&Receipt, bool),
) -> Result<ReceiptsReport, LedgerError> {
    let mut report = ReceiptsReport::default();
    let untagged: HashSet<Key> = wanted.keys().into_iter().flatten().map(|k| k.untagged()).collect();
    for path in files_of(dir, "receipts")? {
        let file = match File::open(&path) {
            // The budget may have taken it since the listing.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(at(&path))?,
        };
        let len = file.metadata().map_err(at(&path))?.len();
        if len == 0 {
            continue;
        }
        let side = Side::open(&path, len);
        if let Some(side) = &side {
            let may = |ask: &MayHave<'_>| ask(&mut |t| side.may_have(t));
            if !side.overlaps(from, to) || matches!(wanted, Wanted::Files(ask) if !may(ask)) {
                report.skipped_files += 1;
                continue;
            }
        }
        // Mapped, so that of skipped frames little more than the head is read.
        let named = side.as_ref().and_then(|s| Some((s, frames_of(s, wanted, &untagged)?)));
        let map = if named.is_some() { Mapped::scattered } else { Mapped::map };
        let bytes = map(&file).map_err(at(&path))?;
        let mut bad = 0;
        let mut take = |head: FrameHead, frame: &[u8]| {
            if head.first >= to || head.last < from {
                report.skipped += 1;
                return;
            }
            if !head.holds(frame) {
                bad += frame.len() as u64;
                return;
            }
            if !wanted.in_frame(&head, frame) {
                report.skipped += 1;
                return;
            }
            report.frames += 1;
            let Some(receipts) = head.receipts(frame) else {
                bad += frame.len() as u64;
                return;
            };
            for r in receipts.iter().filter(|r| r.first < to && r.last >= from) {
                let mine =
                    |keys: &HashSet<Key>| keys.contains(&r.key) || !head.vlan_in_key && untagged.contains(&r.key);
                if wanted.keys().is_none_or(mine) {
                    each(r, head.vlan_in_key);
                }
            }
        };
        if let Some((_, frames)) = &named {
            let place = |f: &FrameAt| usize::try_from(f.offset).unwrap_or(usize::MAX);
            frames
                .iter()
                .map(place)
                .for_each(|at| bytes.will_need(at..at.saturating_add(FRAME_AHEAD).min(bytes.len())));
        }
        match named {
            Some((side, frames)) => frames.iter().filter_map(|f| side.frame(&bytes, f)).for_each(|(h, f)| take(h, f)),
            None => bad += each_frame(&bytes, &mut |_, head, frame| take(head, frame)),
        }
        report.bad_bytes += bad;
    }
    Ok(report)
}

/// The frames that a side file names for these keys; `None`: it can't say, or there are too many.
fn frames_of(side: &Side, wanted: &Wanted<'_>, untagged: &HashSet<Key>) -> Option<Vec<FrameAt>> {
    let keys = wanted.keys().filter(|k| k.len() <= FILTERED_KEYS)?;
    let mut numbers = HashSet::new();
    side.expect(keys.union(untagged));
    for key in keys.union(untagged) {
        side.find(key, &mut numbers)?;
    }
    let frames = side.frames()?;
    let mut numbers: Vec<u16> = numbers.into_iter().collect();
    numbers.sort_unstable();
    numbers.iter().map(|&n| frames.get(usize::from(n)).copied()).collect()
}

/// The same for all connections, or for one.
pub fn lookup(
    dir: &Path,
    from: u64,
    to: u64,
    key: Option<&Key>,
    mut each: impl FnMut(&Receipt),
) -> Result<ReceiptsReport, LedgerError> {
    let keys: HashSet<Key> = key.into_iter().copied().collect();
    let wanted = if keys.is_empty() { Wanted::All } else { Wanted::Keys(&keys) };
    search(dir, from, to, &wanted, |r, _| each(r))
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
