//! Reading the ledger's files: losses of a window, and which times were recorded at all. Called by queries, in any process, while a
//! recorder writes. Lines that can't be read (cut off by a kill, or of a newer version) are skipped.

use super::timeline::{Gap, GapCause, LinkDown, Timeline};
use super::{Covered, Entry, LedgerError, LedgerSummary, What, at, days};
use crate::store::catalog::Catalog;
use crate::store::keeper::unix_now;
use crate::store::layout::Layout;
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// What of a window was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The window, Unix ns: from, to (exclusive).
    pub window: (u64, u64),
    /// Times when a live recorder ran: sorted, apart from each other.
    pub recorded: Vec<(u64, u64)>,
    /// Times in the window when none ran, and why.
    pub gaps: Vec<Gap>,
    /// Times when one ran but an interface had no link.
    pub link_down: Vec<LinkDown>,
    /// Whether traces were imported: their packets' times are covered by no recorder.
    pub imported: bool,
    /// When the ledger begins: what was before is not known. `None`: it is empty.
    pub known_from: Option<u64>,
}

/// All readable entries of a day's file.
pub(super) fn read_day(path: &Path, mut each: impl FnMut(Entry)) -> Result<(), LedgerError> {
    let file = match File::open(path) {
        // The budget may have taken it since the listing.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(at(path))?,
    };
    for line in BufReader::new(file).split(b'\n') {
        if let Ok(entry) = serde_json::from_slice(&line.map_err(at(path))?) {
            each(entry);
        }
    }
    Ok(())
}

/// The latest entry that `wanted` takes; reads as few days as it can.
pub fn latest(dir: &Path, mut wanted: impl FnMut(&Entry) -> bool) -> Result<Option<Entry>, LedgerError> {
    for (_, path) in days::list(dir)?.iter().rev() {
        let mut found = None;
        read_day(path, |e| {
            if wanted(&e) {
                found = Some(e);
            }
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Whether the store holds imported traces alone: their packets' times are covered by no recorder.
pub fn only_imported(dir: &Path) -> Result<bool, LedgerError> {
    let source = |e: &Entry| match &e.what {
        What::Started { source, .. } | What::Continues { source, .. } => Some(source != "file"),
        _ => None,
    };
    let any = latest(dir, |e| source(e).is_some())?;
    Ok(any.is_some() && latest(dir, |e| source(e) == Some(true))?.is_none())
}

/// The last sign of life in the ledger.
pub(super) fn last_alive(dir: &Path) -> Option<u64> {
    std::fs::read_to_string(days::alive(dir)).ok()?.trim().parse().ok()
}

/// The last sign of life in the catalog of a recorder that lives and has entered its start in the ledger: some milliseconds old.
fn beating(dir: &Path) -> Option<u64> {
    let layout = Layout::new(dir.parent()?);
    let catalog = Catalog::open(&layout)?;
    (catalog.recording() && catalog.alive(&layout, unix_now())).then(|| catalog.heartbeat())
}

/// What the last file says at its end.
pub(super) fn last_state(dir: &Path) -> Result<Timeline, LedgerError> {
    let mut timeline = Timeline::new();
    // The last two, because a recorder may have been killed between a new day and the first line of its file.
    for (_, path) in days::list(dir)?.iter().rev().take(2).rev() {
        read_day(path, |e| timeline.take(&e))?;
    }
    Ok(timeline)
}

/// When imports began that did not read all of their files.
pub fn broken_imports(dir: &Path) -> Result<Vec<u64>, LedgerError> {
    let mut summary = LedgerSummary::read(dir)?;
    // One that was killed just now: the next start will say so.
    if beating(dir).is_none() {
        last_state(dir)?.importing().into_iter().for_each(|since| summary.broken_import(since));
    }
    Ok(summary.broken_imports().to_vec())
}

/// Entries with `from <= t < to`, in the order of writing.
pub fn entries(dir: &Path, from: u64, to: u64) -> Result<Vec<Entry>, LedgerError> {
    let mut list = Vec::new();
    for (day, path) in days::list(dir)? {
        // A clock that went back writes into a later day's file.
        if days::end_of(day) > from {
            read_day(&path, |e| list.extend((from..to).contains(&e.t).then_some(e)))?;
        }
    }
    Ok(list)
}

/// Losses in the seconds that overlap the window, and those that were entered with other times of their packets.
pub fn losses(dir: &Path, from: u64, to: u64) -> Result<Vec<Entry>, LedgerError> {
    let days = days::list(dir)?;
    // An entry is not older than what it tells of, but for packets of traces that are of times to come.
    let all = days.last().is_none_or(|(day, _)| days::end_of(*day) <= from);
    let mut list = Vec::new();
    for (_, path) in days.iter().filter(|(day, _)| all || days::end_of(*day) > from) {
        read_day(path, |e| {
            let overlaps = e.lost_between().is_some_and(|(first, last)| first < to && last >= from);
            list.extend(overlaps.then_some(e));
        })?;
    }
    Ok(list)
}

/// Which times of the window `from..to` were recorded.
pub fn coverage(dir: &Path, from: u64, to: u64) -> Result<Coverage, LedgerError> {
    let days = days::list(dir)?;
    // A day's file tells how things stood when it began; the one before is read too, because a recorder may have been killed between
    // a new day and the first line of its file.
    let start = days.iter().position(|(day, _)| days::end_of(*day) > from).unwrap_or(days.len()).saturating_sub(1);
    let c = over(dir, days.get(start..).unwrap_or_default(), from, to)?;
    let told = c.gaps.iter().all(|g| g.cause != GapCause::Before) && !c.recorded.is_empty();
    if start == 0 || told { Ok(c) } else { over(dir, &days, from, to) }
}

fn over(dir: &Path, days: &[(u64, PathBuf)], from: u64, to: u64) -> Result<Coverage, LedgerError> {
    let (mut timeline, mut known_from, mut imported) = (Timeline::new(), None, false);
    for (_, path) in days {
        read_day(path, |e| {
            let t = match &e.what {
                What::Continues { since, .. } => *since,
                _ => e.t,
            };
            known_from = Some(known_from.map_or(t, |k: u64| k.min(t)));
            if let What::Started { source, .. } | What::Continues { source, .. } = &e.what {
                imported |= source == "file";
            }
            timeline.take(&e);
        })?;
    }
    let alive = last_alive(dir).max(beating(dir)).unwrap_or(0);
    let Covered { recorded, gaps, link_down } = timeline.covered(from, to, alive);
    Ok(Coverage { window: (from, to), recorded, gaps, link_down, imported, known_from })
}
