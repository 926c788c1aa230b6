//! `verify`: reads everything that a store holds and names what is broken. Called by the CLI and the API; takes no lock, changes nothing.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::StoreError;
use super::layout::Layout;
use super::list::segments;
use super::reader::{ReadError, SegmentReader};
use super::scan::BlockRef;
use crate::ledger;
use crate::shape::Count;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Something that is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Broken")]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    #[serde(rename = "offset_bytes", with = "Count")]
    pub offset: u64,
    /// What.
    pub what: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Verified")]
pub struct Report {
    /// Segments read.
    #[serde(with = "Count")]
    pub segments: u64,
    /// Of these, unsealed: being written, or left by a killed recorder and recovered at the next start.
    #[serde(with = "Count")]
    pub unsealed: u64,
    /// Good blocks.
    #[serde(with = "Count")]
    pub blocks: u64,
    /// Packets in them.
    #[serde(with = "Count")]
    pub packets: u64,
    /// Bytes of segments read.
    #[serde(rename = "read_bytes", with = "Count")]
    pub bytes: u64,
    /// Indexes that are there and agree with their segments.
    #[serde(with = "Count")]
    pub indexes: u64,
    /// What is broken.
    pub problems: Vec<Problem>,
}

impl Report {
    fn problem(&mut self, file: &Path, offset: u64, what: impl ToString) {
        self.problems.push(Problem { file: file.to_owned(), offset, what: what.to_string() });
    }

    fn error(&mut self, e: ReadError) {
        match e {
            ReadError::Io { path, source } => self.problem(&path, 0, source),
            ReadError::Damaged { path, offset, why } => self.problem(&path, offset, why),
        }
    }
}

/// Says what is wrong with the index (second path) of a segment (first path), if anything is.
type IndexCheck<'a> = dyn Fn(&Path, &Path) -> Result<(), String> + 'a;

/// Checks a store.
pub fn verify(store: &Path, index: &IndexCheck<'_>) -> Result<Report, StoreError> {
    verify_while(store, index, &|| true).map(Option::unwrap_or_default)
}

/// The same; asked before each segment, `go_on` may end it: then there is no report.
pub fn verify_while(
    store: &Path,
    index: &IndexCheck<'_>,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Report>, StoreError> {
    let mut r = Report::default();
    let layout = Layout::new(store);
    let mut known = BTreeSet::new();
    for s in segments(store)? {
        if !go_on() {
            return Ok(None);
        }
        known.insert(s.path.clone());
        let reader = match s.open() {
            // Expired meanwhile, or an unused spare.
            Ok(None) => continue,
            Ok(Some(reader)) => reader,
            Err(e) => {
                r.error(e);
                continue;
            }
        };
        r.segments += 1;
        r.unsealed += u64::from(!reader.sealed());
        check_segment(&reader, &mut r);
        if reader.sealed() {
            check_index(&reader, index, &mut r);
        }
    }
    orphans(&layout, &known, &mut r);
    let receipts = layout.receipts();
    match ledger::lookup(&receipts, 0, u64::MAX, None, |_| {}) {
        Ok(report) if report.bad_bytes > 0 => {
            r.problem(&receipts, 0, format!("{} bytes of receipts are damaged or cut off", report.bad_bytes));
        }
        Ok(_) => {}
        Err(e) => r.problem(&e.path, 0, e.source),
    }
    Ok(Some(r))
}

fn check_segment(reader: &SegmentReader, r: &mut Report) {
    r.bytes += reader.end();
    for bad in reader.bad() {
        r.problem(reader.path(), bad.offset, format!("{} bytes are no good block: {}", bad.len, bad.why));
    }
    for block in reader.blocks() {
        match check_block(reader, block) {
            Ok(()) => {
                r.blocks += 1;
                r.packets += u64::from(block.totals.packets);
            }
            Err(e) => r.error(e),
        }
    }
}

/// Checksums, and that the trailer says of the packets what they say of themselves.
fn check_block(reader: &SegmentReader, block: &BlockRef) -> Result<(), ReadError> {
    let mut seen = super::format::BlockTotals { first: u64::MAX, stalled: block.totals.stalled, ..Default::default() };
    let mut latest = 0;
    for p in reader.block(block)?.packets() {
        let p = p?;
        seen.runs += u32::from(seen.packets == 0 || p.time < latest);
        latest = p.time;
        seen.packets += 1;
        seen.first = seen.first.min(p.time);
        seen.last = seen.last.max(p.time);
        seen.wire_bytes += u64::from(p.wire_len);
        seen.data_bytes += p.data.len() as u64;
    }
    if seen == block.totals {
        return Ok(());
    }
    let why = super::format::Damage::Structure("the trailer");
    Err(ReadError::Damaged { path: reader.path().to_owned(), offset: block.offset, why })
}

fn check_index(reader: &SegmentReader, index: &IndexCheck<'_>, r: &mut Report) {
    let path = reader.index();
    if !path.exists() {
        // Expired meanwhile, or not yet built.
        if reader.path().exists() {
            r.problem(&path, 0, "the index is missing; queries scan this segment until the next recording builds it");
        }
        return;
    }
    match index(reader.path(), &path) {
        Ok(()) => r.indexes += 1,
        Err(what) => r.problem(&path, 0, what),
    }
}

/// Indexes without a segment.
fn orphans(layout: &Layout, known: &BTreeSet<PathBuf>, r: &mut Report) {
    let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
    for dir in entries(layout.root()).filter(|d| d.is_dir()) {
        for path in entries(&dir).filter(|p| p.extension().is_some_and(|e| e == "idx")) {
            let segment = path.with_extension("pcapng");
            if !known.contains(&segment) && !segment.exists() {
                r.problem(&path, 0, "an index without its segment");
            }
        }
    }
}
