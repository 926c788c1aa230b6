//! What of the past each answer must know, whatever its window: what has expired of each class, by packet time, and which imports did not read
//! all of their files. A small file beside the days of the ledger, so that a query reads no entry of a year. Written by the ledger before the
//! entry that says so; where it is missing (stores of version 0.1) it is made of the entries. FORMAT.md tells it.

use super::timeline::Timeline;
use super::{LedgerError, What, at, days};
use crate::limits::{BROKEN_IMPORTS, EXPIRED_RANGES};
use crate::new_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Times of a class of which packets have expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredSpan {
    /// The class; `None`: nobody knows which (entries of version 0.1).
    pub class: Option<String>,
    /// First packet, Unix ns.
    pub first: u64,
    /// Last packet, Unix ns; `None`: not known.
    pub last: Option<u64>,
}

/// What has expired, by class, and imports that were cut short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSummary {
    /// Of this file: 1.
    version: u32,
    /// By class, first and last packet of what expired: ascending, apart from each other, at most [`EXPIRED_RANGES`].
    classes: BTreeMap<String, Vec<(u64, u64)>>,
    /// First packet of the segment that began the earliest, of those whose class or end is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unknown: Option<u64>,
    /// When imports began that did not read all of their files, Unix ns: the latest [`BROKEN_IMPORTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    broken_imports: Vec<u64>,
}

fn file(dir: &Path) -> PathBuf {
    dir.join("summary.json")
}

impl LedgerSummary {
    /// What a ledger knows; reads one small file, or all entries where there is none.
    pub fn read(dir: &Path) -> Result<LedgerSummary, LedgerError> {
        match LedgerSummary::held(dir)? {
            Some(times) => Ok(times),
            None => LedgerSummary::of_entries(dir, usize::MAX),
        }
    }

    /// For whoever goes on writing: with what a crash kept from the file.
    pub(super) fn resume(dir: &Path) -> Result<LedgerSummary, LedgerError> {
        let Some(mut times) = LedgerSummary::held(dir)? else { return LedgerSummary::of_entries(dir, usize::MAX) };
        let latest = LedgerSummary::of_entries(dir, 2)?;
        for (class, ranges) in latest.classes {
            ranges.into_iter().for_each(|(first, last)| times.take(Some(&class), first, Some(last)));
        }
        latest.unknown.into_iter().for_each(|first| times.take(None, first, None));
        latest.broken_imports.into_iter().for_each(|since| times.broken_import(since));
        Ok(times)
    }

    /// The file; `None`: there is none that can be read.
    fn held(dir: &Path) -> Result<Option<LedgerSummary>, LedgerError> {
        let path = file(dir);
        match std::fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            other => Ok(serde_json::from_slice(&other.map_err(at(&path))?).ok()),
        }
    }

    fn of_entries(dir: &Path, newest: usize) -> Result<LedgerSummary, LedgerError> {
        let mut times = LedgerSummary { version: 1, ..LedgerSummary::default() };
        let (days, mut timeline) = (days::list(dir)?, Timeline::new());
        for (_, path) in days.iter().skip(days.len().saturating_sub(newest)) {
            super::coverage::read_day(path, |e| {
                if let (What::Killed { .. } | What::Unread { .. }, Some(since)) = (&e.what, timeline.importing()) {
                    times.broken_import(since);
                }
                if let What::Expired { class, first, last } = &e.what {
                    times.take(class.as_deref(), *first, *last);
                }
                timeline.take(&e);
            })?;
        }
        Ok(times)
    }

    /// An import that began then did not read all of its files.
    pub fn broken_import(&mut self, since: u64) {
        if !self.broken_imports.contains(&since) {
            self.broken_imports.push(since);
            let more = self.broken_imports.len().saturating_sub(BROKEN_IMPORTS);
            self.broken_imports.drain(..more);
        }
    }

    /// When imports began that did not read all of their files.
    pub fn broken_imports(&self) -> &[u64] {
        &self.broken_imports
    }

    /// A segment has expired.
    pub fn take(&mut self, class: Option<&str>, first: u64, last: Option<u64>) {
        let (Some(class), Some(last)) = (class, last) else {
            self.unknown = Some(self.unknown.map_or(first, |u| u.min(first)));
            return;
        };
        let ranges = self.classes.entry(class.to_owned()).or_default();
        let (mut first, mut last) = (first.min(last), last);
        ranges.retain(|&(a, b)| {
            let apart = b < first || a > last;
            if !apart {
                (first, last) = (first.min(a), last.max(b));
            }
            apart
        });
        let place = ranges.partition_point(|&(a, _)| a < first);
        ranges.insert(place, (first, last));
        if ranges.len() > EXPIRED_RANGES {
            join_nearest(ranges);
        }
    }

    /// Writes the file: whole or not at all.
    pub(super) fn write(&self, dir: &Path) -> Result<(), LedgerError> {
        let (path, new) = (file(dir), dir.join("summary.json.new"));
        let text =
            serde_json::to_vec(&LedgerSummary { version: 1, ..self.clone() }).map_err(|e| at(&path)(e.into()))?;
        new_file::write(&new, new_file::SHARED, text).map_err(at(&new))?;
        std::fs::rename(&new, &path).map_err(at(&path))
    }

    /// Of each class what of `from..to` has expired, from its first to its last packet; of unknown classes only where that begins.
    pub fn spans(&self, from: u64, to: u64) -> Vec<ExpiredSpan> {
        let mut all = Vec::new();
        for (class, ranges) in &self.classes {
            let mut inside = ranges.iter().filter(|(a, b)| *a < to && *b >= from);
            if let Some((first, mut last)) = inside.next().copied() {
                last = inside.next_back().map_or(last, |(_, b)| *b);
                let (first, last) = (first.max(from), last.min(to.saturating_sub(1)));
                all.push(ExpiredSpan { class: Some(class.clone()), first, last: Some(last) });
            }
        }
        let unknown = self.unknown.filter(|&first| first < to);
        all.extend(unknown.map(|first| ExpiredSpan { class: None, first: first.max(from), last: None }));
        all
    }
}

/// Makes one of the two ranges that are nearest to each other: too much may be said to have expired, never too little.
fn join_nearest(ranges: &mut Vec<(u64, u64)>) {
    let gap = |pair: &[(u64, u64)]| match pair {
        [(_, b), (a, _)] => a.saturating_sub(*b),
        _ => u64::MAX,
    };
    let Some(at) = (0..ranges.len().saturating_sub(1)).min_by_key(|&i| ranges.get(i..i + 2).map_or(u64::MAX, gap))
    else {
        return;
    };
    let (_, last) = ranges.remove(at + 1);
    if let Some(range) = ranges.get_mut(at) {
        range.1 = range.1.max(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{LEDGER_BYTES, Ledger, broken_imports};

    const S: u64 = 1_000_000_000;

    fn span(class: &str, first: u64, last: u64) -> ExpiredSpan {
        ExpiredSpan { class: Some(class.into()), first, last: Some(last) }
    }

    #[test]
    fn each_class_has_its_own_times_and_an_old_trace_may_go_after_a_new_one() {
        let mut t = LedgerSummary::default();
        t.take(Some("dns"), 4_000, Some(4_100));
        t.take(Some("dns"), 100, Some(200));
        t.take(Some("dns"), 200, Some(300));
        t.take(Some("all"), 1_000, Some(1_001));
        assert_eq!(t.spans(0, 10_000), [span("all", 1_000, 1_001), span("dns", 100, 4_100)]);
        assert_eq!(t.spans(250, 4_050), [span("all", 1_000, 1_001), span("dns", 250, 4_049)]);
        assert_eq!(t.spans(301, 1_000), [], "between two traces nothing was");
        assert_eq!(t.spans(300, 301), [span("dns", 300, 300)]);
        t.take(None, 50, None);
        let unknown = ExpiredSpan { class: None, first: 60, last: None };
        assert_eq!(t.spans(60, 90), [unknown]);
        assert_eq!(t.spans(0, 50), []);
    }

    #[test]
    fn ranges_are_bounded_and_never_say_too_little() {
        let mut t = LedgerSummary::default();
        let all: Vec<u64> = (0..10 * EXPIRED_RANGES as u64).map(|n| n * 100 + n % 7).collect();
        all.iter().for_each(|&n| t.take(Some("a"), n, Some(n + 10)));
        assert_eq!(t.classes["a"].len(), EXPIRED_RANGES);
        for n in all {
            assert_eq!(t.spans(n, n + 1), [span("a", n, n)]);
        }
    }

    #[test]
    fn what_expired_is_known_when_its_entries_have_gone_and_where_the_file_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let expired = |class: Option<&str>, first, last| What::Expired { class: class.map(str::to_owned), first, last };
        let mut l = Ledger::open(dir.path(), 2_000, S).unwrap();
        l.append(S, expired(Some("dns"), 7, Some(9))).unwrap();
        let day = 86_400 * S;
        for n in 1..40 {
            l.append(n * day, What::Note { text: "x".repeat(100) }).unwrap();
        }
        assert!(days::list(dir.path()).unwrap()[0].0 > 0, "the first day is gone");
        assert_eq!(LedgerSummary::read(dir.path()).unwrap().spans(0, 100), [span("dns", 7, 9)]);
        drop(l);
        let mut l = Ledger::open(dir.path(), 2_000, 40 * day).unwrap();
        l.append(40 * day, expired(Some("all"), 20, Some(30))).unwrap();
        assert_eq!(LedgerSummary::read(dir.path()).unwrap().spans(0, 100), [span("all", 20, 30), span("dns", 7, 9)]);
        for damaged in [true, false] {
            match damaged {
                true => std::fs::write(file(dir.path()), "{").unwrap(),
                false => std::fs::remove_file(file(dir.path())).unwrap(),
            }
            assert_eq!(LedgerSummary::read(dir.path()).unwrap().spans(0, 100), [span("all", 20, 30)], "{damaged}");
        }
    }

    #[test]
    fn an_import_that_was_killed_or_stopped_is_not_whole() {
        let dir = tempfile::tempdir().unwrap();
        let started = || {
            let (version, source) = ("0".to_owned(), "file".to_owned());
            What::Started { version, source, config: serde_json::Value::Null }
        };
        let mut l = Ledger::open(dir.path(), LEDGER_BYTES, S).unwrap();
        l.append(S, started()).unwrap();
        l.append(2 * S, What::Stopped).unwrap();
        l.append(3 * S, started()).unwrap();
        assert_eq!(LedgerSummary::read(dir.path()).unwrap().broken_imports(), [0u64; 0]);
        assert_eq!(broken_imports(dir.path()).unwrap(), [3 * S], "nobody records, and it has no end");
        drop(l);
        let mut l = Ledger::open(dir.path(), LEDGER_BYTES, 5 * S).unwrap();
        l.append(5 * S, started()).unwrap();
        l.append(6 * S, What::Unread { text: "2 of 3".into() }).unwrap();
        l.append(6 * S, What::Stopped).unwrap();
        assert_eq!(broken_imports(dir.path()).unwrap(), [3 * S, 5 * S]);
        std::fs::remove_file(file(dir.path())).unwrap();
        assert_eq!(broken_imports(dir.path()).unwrap(), [3 * S, 5 * S], "the entries say the same");
    }

    #[test]
    fn entries_of_version_0_1_are_of_any_class() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("2026-11-21.jsonl"), "{\"t\":5,\"what\":\"expired\",\"first\":77}\n").unwrap();
        let spans = LedgerSummary::read(dir.path()).unwrap().spans(0, 1_000);
        assert_eq!(spans, [ExpiredSpan { class: None, first: 77, last: None }]);
        assert_eq!(Ledger::open(dir.path(), LEDGER_BYTES, S).map(|_| ()).unwrap(), ());
    }
}
