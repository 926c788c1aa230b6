//! Looking for receipts in the files of a store. Called by queries, while the scribe writes; sums every frame that it opens. Of few
//! connections it opens the frames that side files name; of many it opens all frames of the window, on as many threads as there are
//! processors, since that is work for them and not for the disk.

use super::codec::FrameHead;
use super::lookup::{FrameAt, Side};
use super::receipts::each_frame;
use super::{LedgerError, at, files_of};
use crate::conn::receipt::Receipt;
use crate::index::term::Term;
use crate::limits::{FRAMES_SEARCHED, RECEIPT_FILES_AT_ONCE, SEARCH_THREADS};
use crate::packet::key::Key;
use crate::store::disk::mmap::Mapped;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

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

/// Most frames are no longer: so much of each is read at once.
const FRAME_AHEAD: usize = 64 << 10;
/// So many keys are looked for in the filters of frames and in side files; for more all frames of the window are read.
const FILTERED_KEYS: usize = 256;

/// What frames are asked for; shared by threads.
struct Sought<'a> {
    from: u64,
    to: u64,
    keys: Option<&'a HashSet<Key>>,
    /// The same without VLAN ids, once that is asked for.
    untagged: OnceLock<HashSet<Key>>,
}

/// What a frame has of it.
enum Frame {
    Skipped,
    Bad,
    Read(Vec<Receipt>),
}

impl Sought<'_> {
    fn untagged(&self) -> &HashSet<Key> {
        self.untagged.get_or_init(|| self.keys.into_iter().flatten().map(|k| k.untagged()).collect())
    }

    fn few(&self) -> Option<&HashSet<Key>> {
        self.keys.filter(|k| k.len() <= FILTERED_KEYS)
    }

    fn frame(&self, head: &FrameHead, frame: &[u8]) -> Frame {
        if head.first >= self.to || head.last < self.from {
            return Frame::Skipped;
        }
        if !head.holds(frame) {
            return Frame::Bad;
        }
        // Of many keys the filter of a frame can't rule out all.
        let may = |k: &Key| head.may_have(frame, k) || !head.vlan_in_key && head.may_have(frame, &k.untagged());
        if self.few().is_some_and(|keys| !keys.iter().any(may)) {
            return Frame::Skipped;
        }
        let mut found = Vec::new();
        let whole = head.each(frame, |_, r| {
            if r.first < self.to && r.last >= self.from && self.wants(&r.key, head.vlan_in_key) {
                found.push(*r);
            }
        });
        if whole { Frame::Read(found) } else { Frame::Bad }
    }

    fn wants(&self, key: &Key, tagged: bool) -> bool {
        self.keys.is_none_or(|keys| keys.contains(key) || !tagged && self.untagged().contains(key))
    }

    /// Several, in their order.
    fn frames(&self, frames: &[(FrameHead, &[u8])]) -> Vec<Frame> {
        let each = |some: &[(FrameHead, &[u8])]| some.iter().map(|(h, f)| self.frame(h, f)).collect::<Vec<_>>();
        if self.few().is_some() || frames.len() < FRAMES_SEARCHED / 4 {
            return each(frames);
        }
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(SEARCH_THREADS));
        let mut parts = frames.chunks(frames.len().div_ceil(threads));
        let own = parts.next().unwrap_or_default();
        std::thread::scope(|scope| {
            // Where no more threads are to be had this one does their part.
            let spawn = |part| {
                (part, std::thread::Builder::new().name("receipts".into()).spawn_scoped(scope, move || each(part)))
            };
            let others: Vec<_> = parts.map(spawn).collect();
            let mut all = each(own);
            for (part, other) in others {
                let found = other.ok().and_then(|t| t.join().ok());
                all.extend(found.unwrap_or_else(|| each(part)));
            }
            all
        })
    }
}

/// Gives `each` the receipts that are wanted of connections that overlap `from..to` (Unix ns), the oldest file first, with whether VLAN
/// ids are in their keys.
pub fn search(
    dir: &Path,
    from: u64,
    to: u64,
    wanted: &Wanted<'_>,
    each: impl FnMut(&Receipt, bool),
) -> Result<ReceiptsReport, LedgerError> {
    search_while(dir, (from, to), wanted, || true, each)
}

/// The same as long as `go_on` holds, which is asked before each file and each few frames.
pub fn search_while(
    dir: &Path,
    (from, to): (u64, u64),
    wanted: &Wanted<'_>,
    go_on: impl Fn() -> bool,
    mut each: impl FnMut(&Receipt, bool),
) -> Result<ReceiptsReport, LedgerError> {
    let mut report = ReceiptsReport::default();
    let keys = match wanted {
        Wanted::Keys(keys) => Some(*keys),
        _ => None,
    };
    let sought = Sought { from, to, keys, untagged: OnceLock::new() };
    for paths in files_of(dir, "receipts")?.chunks(RECEIPT_FILES_AT_ONCE) {
        let mut files = Vec::with_capacity(paths.len());
        for path in paths.iter().take_while(|_| go_on()) {
            files.extend(Opened::open(path, &sought, wanted, &mut report)?);
        }
        // Of all files what is going to be read is asked for before any of it is waited for.
        for file in files.iter_mut().take_while(|_| go_on()) {
            file.name(&sought)?;
        }
        files.iter().take_while(|_| go_on()).for_each(|file| file.search(&sought, &go_on, &mut report, &mut each));
    }
    Ok(report)
}

/// A file of receipts that may have some.
struct Opened {
    file: File,
    path: PathBuf,
    side: Option<Side>,
    bytes: Option<Mapped>,
    /// Frames that its side file names; `None`: all of them.
    frames: Option<Vec<FrameAt>>,
}

impl Opened {
    /// `None`: there is nothing in it.
    fn open(
        path: &Path,
        sought: &Sought<'_>,
        wanted: &Wanted<'_>,
        report: &mut ReceiptsReport,
    ) -> Result<Option<Opened>, LedgerError> {
        let file = match File::open(path) {
            // The budget may have taken it since the listing.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(at(path))?,
        };
        let len = file.metadata().map_err(at(path))?.len();
        if len == 0 {
            return Ok(None);
        }
        let side = Side::open(path, len);
        if let Some(side) = &side {
            let may = |ask: &MayHave<'_>| ask(&mut |t| side.may_have(t));
            if !side.overlaps(sought.from, sought.to) || matches!(wanted, Wanted::Files(ask) if !may(ask)) {
                report.skipped_files += 1;
                return Ok(None);
            }
            if let Some(keys) = sought.few() {
                side.expect(keys.union(sought.untagged()));
            }
        }
        Ok(Some(Opened { file, path: path.to_owned(), side, bytes: None, frames: None }))
    }

    /// Has its side file name frames, and has these read.
    fn name(&mut self, sought: &Sought<'_>) -> Result<(), LedgerError> {
        self.frames = self.side.as_ref().and_then(|side| frames_of(side, sought));
        // Mapped, so that of skipped frames little more than the head is read.
        let map = if self.frames.is_some() { Mapped::scattered } else { Mapped::map };
        let bytes = map(&self.file).map_err(at(&self.path))?;
        for frame in self.frames.iter().flatten() {
            let at = usize::try_from(frame.offset).unwrap_or(usize::MAX);
            bytes.will_need(at..at.saturating_add(FRAME_AHEAD).min(bytes.len()));
        }
        self.bytes = Some(bytes);
        Ok(())
    }

    fn search(
        &self,
        sought: &Sought<'_>,
        go_on: &dyn Fn() -> bool,
        report: &mut ReceiptsReport,
        each: &mut impl FnMut(&Receipt, bool),
    ) {
        let Some(bytes) = &self.bytes else { return };
        let mut ended = false;
        let mut take = |frames: &mut Vec<(FrameHead, &[u8])>| {
            ended |= !go_on();
            if ended {
                // The rest is gone through by its heads alone.
                return frames.clear();
            }
            for ((head, frame), found) in frames.iter().zip(sought.frames(frames)) {
                match found {
                    Frame::Skipped => report.skipped += 1,
                    Frame::Bad => report.bad_bytes += frame.len() as u64,
                    Frame::Read(found) => {
                        report.frames += 1;
                        found.iter().for_each(|r| each(r, head.vlan_in_key));
                    }
                }
            }
            frames.clear();
        };
        let mut some = Vec::new();
        let mut none = 0;
        if let (Some(side), Some(frames)) = (&self.side, &self.frames) {
            some.extend(frames.iter().filter_map(|f| side.frame(bytes, f)));
        } else {
            none = each_frame(bytes, &mut |_, head, frame| {
                some.push((head, frame));
                if some.len() >= FRAMES_SEARCHED {
                    take(&mut some);
                }
            });
        }
        take(&mut some);
        report.bad_bytes += none;
    }
}

/// The frames that a side file names for these keys; `None`: it can't say, or there are too many.
fn frames_of(side: &Side, sought: &Sought<'_>) -> Option<Vec<FrameAt>> {
    let (keys, untagged) = (sought.few()?, sought.untagged());
    let mut numbers = HashSet::new();
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
