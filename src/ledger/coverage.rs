//! Reading the ledger: losses of a window, and which times were recorded at all. Called by queries, in any process, while a
//! recorder writes. Lines that can't be read (cut off by a kill, or of a newer version) are skipped.

use super::{Entry, LedgerError, What, at, days};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// An interface without link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDown {
    /// Its name.
    pub interface: String,
    /// From, Unix ns.
    pub from: u64,
    /// To, Unix ns.
    pub to: u64,
}

/// What of a window was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The window, Unix ns: from, to (exclusive).
    pub window: (u64, u64),
    /// Times when a live recorder ran: sorted, apart from each other.
    pub recorded: Vec<(u64, u64)>,
    /// Times in the window when none ran.
    pub gaps: Vec<(u64, u64)>,
    /// Times when one ran but an interface had no link.
    pub link_down: Vec<LinkDown>,
    /// Whether traces were imported: their packets' times are covered by no recorder.
    pub imported: bool,
    /// When the ledger begins: what was before is not known. `None`: it is empty.
    pub known_from: Option<u64>,
}

/// Whether a recorder runs, as the entries so far tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Stopped,
    Running {
        since: u64,
        live: bool,
        /// Time of its latest entry.
        seen: u64,
    },
}

impl State {
    /// Takes in an entry; returns the interval that ends with it.
    pub(super) fn step(&mut self, e: &Entry) -> Option<(u64, u64)> {
        let end = |state: &mut State, at: u64| match std::mem::replace(state, State::Stopped) {
            State::Running { since, live: true, .. } => Some((since, at.max(since))),
            _ => None,
        };
        match (&e.what, &mut *self) {
            (What::Started { source, .. }, _) => {
                // Without an end of the one before: it was killed, and so was the entry that would say when.
                let before = if let State::Running { seen, .. } = self { Some(*seen) } else { None };
                let ended = before.and_then(|seen| end(self, seen));
                *self = State::Running { since: e.t, live: source != "file", seen: e.t };
                ended
            }
            (What::Continues { since, source }, State::Stopped) => {
                *self = State::Running { since: *since, live: source != "file", seen: e.t };
                None
            }
            (What::Stopped, _) => end(self, e.t),
            (What::Killed { alive }, _) => end(self, *alive),
            (_, State::Running { seen, .. }) => {
                *seen = e.t.max(*seen);
                None
            }
            _ => None,
        }
    }
}

/// All readable entries of a day's file.
fn read_day(path: &Path, mut each: impl FnMut(Entry)) -> Result<(), LedgerError> {
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

/// The last sign of life.
pub(super) fn last_alive(dir: &Path) -> Option<u64> {
    std::fs::read_to_string(days::alive(dir)).ok()?.trim().parse().ok()
}

/// What the last file says at its end.
pub(super) fn last_state(dir: &Path) -> Result<State, LedgerError> {
    let mut state = State::Stopped;
    // The last two, because a recorder may have been killed between a new day and the first line of its file.
    for (_, path) in days::list(dir)?.iter().rev().take(2).rev() {
        read_day(path, |e| {
            state.step(&e);
        })?;
    }
    Ok(state)
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

/// Losses in the seconds that overlap the window.
pub fn losses(dir: &Path, from: u64, to: u64) -> Result<Vec<Entry>, LedgerError> {
    let second = 1_000_000_000;
    let mut list = entries(dir, from.saturating_sub(second - 1), to)?;
    list.retain(|e| matches!(e.what, What::Loss { .. }));
    Ok(list)
}

/// Which times of the window `from..to` were recorded.
pub fn coverage(dir: &Path, from: u64, to: u64) -> Result<Coverage, LedgerError> {
    let days = days::list(dir)?;
    // A day's file tells how things stood when it began; the one before is read too, because a recorder may have been killed between
    // a new day and the first line of its file.
    let start = days.iter().position(|(day, _)| days::end_of(*day) > from).unwrap_or(days.len()).saturating_sub(1);
    let c = over(dir, days.get(start..).unwrap_or_default(), from, to)?;
    if start == 0 || !c.recorded.is_empty() {
        return Ok(c);
    }
    over(dir, &days, from, to)
}

fn over(dir: &Path, days: &[(u64, PathBuf)], from: u64, to: u64) -> Result<Coverage, LedgerError> {
    let mut c = Coverage { window: (from, to), ..Coverage::default() };
    let mut state = State::Stopped;
    let mut ran = Vec::new();
    let mut down: Vec<(String, u64)> = Vec::new();
    for (_, path) in days {
        read_day(path, |e| {
            let t = match &e.what {
                What::Continues { since, .. } => *since,
                _ => e.t,
            };
            c.known_from = Some(c.known_from.map_or(t, |k| k.min(t)));
            if let What::Started { source, .. } | What::Continues { source, .. } = &e.what {
                c.imported |= source == "file";
            }
            let mut up = |down: &mut Vec<(String, u64)>, which: &dyn Fn(&str) -> bool, at: u64| {
                down.retain(|(interface, from)| {
                    let ends = which(interface);
                    if ends {
                        c.link_down.push(LinkDown { interface: interface.clone(), from: *from, to: at });
                    }
                    !ends
                });
            };
            match &e.what {
                What::LinkDown { interface } if !down.iter().any(|(i, _)| i == interface) => {
                    down.push((interface.clone(), e.t));
                }
                What::LinkUp { interface } => up(&mut down, &|i| i == interface, e.t),
                _ => {}
            }
            if let Some(interval) = state.step(&e) {
                up(&mut down, &|_| true, interval.1);
                ran.push(interval);
            }
        })?;
    }
    if let State::Running { since, live: true, seen } = state {
        let end = last_alive(dir).map_or(seen, |a| a.max(seen));
        ran.push((since, end.max(since)));
        c.link_down.extend(down.into_iter().map(|(interface, from)| LinkDown { interface, from, to: end }));
    }
    c.recorded = clip(ran, from, to);
    c.gaps = gaps(&c.recorded, from, to);
    c.link_down.retain_mut(|d| {
        (d.from, d.to) = (d.from.max(from), d.to.min(to));
        d.from < d.to
    });
    Ok(c)
}

/// The parts of intervals inside a window, sorted and joined where they touch.
pub(super) fn clip(mut intervals: Vec<(u64, u64)>, from: u64, to: u64) -> Vec<(u64, u64)> {
    intervals.sort_unstable();
    let mut out: Vec<(u64, u64)> = Vec::new();
    for (a, b) in intervals.into_iter().map(|(a, b)| (a.max(from), b.min(to))).filter(|(a, b)| a < b) {
        match out.last_mut() {
            Some(last) if a <= last.1 => last.1 = last.1.max(b),
            _ => out.push((a, b)),
        }
    }
    out
}

/// What is left of a window between sorted intervals.
pub(super) fn gaps(recorded: &[(u64, u64)], from: u64, to: u64) -> Vec<(u64, u64)> {
    let mut at = from;
    let mut out = Vec::new();
    for (a, b) in recorded {
        if at < *a {
            out.push((at, *a));
        }
        at = at.max(*b);
    }
    if at < to {
        out.push((at, to));
    }
    out
}
