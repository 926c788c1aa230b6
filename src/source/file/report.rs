//! What became of each file: packets, records that could not be read, and why. Written by the file source, read by
//! `record` for its progress line, its account, its message and its exit code.

use crate::limits::FILE_FAULTS_MAX;
use crate::metrics::account::{SourceCounts, Tally};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Something in a file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where: offset in bytes.
    pub offset: u64,
    /// Why.
    pub why: String,
}

/// One file at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The file; `-` for standard input.
    pub path: PathBuf,
    /// Packets read.
    pub packets: u64,
    /// Records that could not be read, as far as they can be told apart.
    pub lost: u64,
    /// The first [`FILE_FAULTS_MAX`] faults.
    pub faults: Vec<Fault>,
    /// How many more there were.
    pub more_faults: u64,
    /// The last fault ended the reading; so many bytes of the file follow it, where its size is known.
    pub broke_off: Option<u64>,
}

impl FileReport {
    pub(super) fn new(path: &Path) -> FileReport {
        FileReport { path: path.to_owned(), packets: 0, lost: 0, faults: Vec::new(), more_faults: 0, broke_off: None }
    }

    /// Everything was read.
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn fault(&mut self, offset: u64, why: String) {
        if self.faults.len() < FILE_FAULTS_MAX {
            self.faults.push(Fault { offset, why });
        } else {
            self.more_faults += 1;
        }
    }
}

/// Shared with the thread that shows how far the files are. Counts are written by the threads of the sources only.
#[derive(Debug, Default)]
pub struct Progress {
    packets: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
    read: AtomicU64,
    /// Bytes of all files whose size is known.
    total: u64,
    reports: Mutex<Vec<FileReport>>,
}

impl Progress {
    pub(super) fn new(total: u64) -> Progress {
        Progress { total, ..Progress::default() }
    }

    /// The source's line of the account: `seen = received + lost`.
    pub fn counts(&self) -> SourceCounts {
        let lost = self.lost.load(Relaxed);
        let packets = self.packets.load(Relaxed) + lost;
        SourceCounts { seen: Tally { packets, bytes: self.bytes.load(Relaxed) }, lost, ..SourceCounts::default() }
    }

    /// Bytes read so far and bytes in all; 0 in all: not known (a pipe).
    pub fn read(&self) -> (u64, u64) {
        (self.read.load(Relaxed), self.total)
    }

    /// The files that are done.
    pub fn reports(&self) -> Vec<FileReport> {
        self.reports.lock().map(|r| r.clone()).unwrap_or_default()
    }

    /// Counts what a source has given out, records that it could not read, and bytes of its file.
    pub fn add(&self, packets: Tally, lost: u64, read: u64) {
        self.packets.fetch_add(packets.packets, Relaxed);
        self.bytes.fetch_add(packets.bytes, Relaxed);
        self.lost.fetch_add(lost, Relaxed);
        self.read.fetch_add(read, Relaxed);
    }

    pub(super) fn done(&self, report: FileReport) {
        if let Ok(mut reports) = self.reports.lock() {
            reports.push(report);
        }
    }
}
