//! What became of each file: packets, records that could not be read, and why. Written by the file source, read by
//! `record` for its progress line, its account, its message and its exit code.

use super::record::Odd;
use crate::limits::FILE_FAULTS_MAX;
use crate::metrics::account::{SourceCounts, Tally};
use crate::shape::{Count, Maybe};
use crate::source::options::Dropped;
use crate::units::{count, several, size};
use schemars::JsonSchema;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Something in a file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "CaptureFault")]
pub struct Fault {
    /// Where in the file.
    #[serde(rename = "offset_bytes", with = "Count")]
    pub offset: u64,
    /// Why.
    pub why: String,
}

/// What of a file was read and yet could not be kept as it stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "CaptureChanges")]
pub struct Changed {
    /// Packets from before 1970: they have the time 1970-01-01T00:00:00Z.
    #[serde(with = "Count")]
    pub before_1970: u64,
    /// Packets from after 2554: they have its last time.
    #[serde(with = "Count")]
    pub after_2554: u64,
    /// Packets without a time (simple packet blocks): they have the time 1970-01-01T00:00:00Z.
    #[serde(with = "Count")]
    pub without_time: u64,
    /// Packets with more captured bytes than they are said to have: as long as what was captured.
    #[serde(with = "Count")]
    pub longer_than_wire: u64,
    /// Packets with more captured bytes than the snap length: cut to it.
    #[serde(with = "Count")]
    pub beyond_snaplen: u64,
    /// Packets of which options were left out for their size.
    #[serde(with = "Count")]
    pub options_large: u64,
    /// Lists of options that break off: what is in front is kept.
    #[serde(with = "Count")]
    pub options_broken: u64,
    /// Options of sections and interfaces that were left out for their size.
    #[serde(with = "Count")]
    pub descriptions_large: u64,
    /// Interfaces whose names were shortened, or cleaned of what can't be shown.
    #[serde(with = "Count")]
    pub names: u64,
    /// Bytes of name resolution that were left out: too much, or too often anew.
    #[serde(rename = "names_dropped_bytes", with = "Count")]
    pub names_dropped: u64,
    /// The same of decryption secrets.
    #[serde(rename = "secrets_dropped_bytes", with = "Count")]
    pub secrets_dropped: u64,
    /// Names and secrets that are no whole blocks.
    #[serde(with = "Count")]
    pub blocks_broken: u64,
    /// Blocks of names and secrets that no packet of their section follows, in what came through a pipe or in the midst of a file.
    #[serde(with = "Count")]
    pub blocks_late: u64,
    /// Blocks of kinds that are passed over.
    #[serde(with = "Count")]
    pub other_blocks: u64,
    /// Interfaces beyond the number that can be kept: another of their link type stands in.
    #[serde(with = "Count")]
    pub stood_in: u64,
    /// Packets that the capture itself says it lost before they could be written.
    #[serde(with = "Count")]
    pub lost_before: u64,
}

impl Changed {
    pub(super) fn of_packet(&mut self, odd: Odd) {
        for (bit, n) in [
            (Odd::BEFORE_1970, &mut self.before_1970),
            (Odd::AFTER_2554, &mut self.after_2554),
            (Odd::WITHOUT_TIME, &mut self.without_time),
            (Odd::LONGER_THAN_WIRE, &mut self.longer_than_wire),
            (Odd::BEYOND_SNAPLEN, &mut self.beyond_snaplen),
            (Odd::OPTIONS_LARGE, &mut self.options_large),
            (Odd::OPTIONS_BROKEN, &mut self.options_broken),
        ] {
            *n += u64::from(odd.has(bit));
        }
    }

    pub(super) fn of_options(&mut self, dropped: Dropped) {
        self.descriptions_large += dropped.large;
        self.options_broken += u64::from(dropped.broken);
    }

    pub(super) fn too_large(&mut self, secrets: bool, bytes: u64) {
        *(if secrets { &mut self.secrets_dropped } else { &mut self.names_dropped }) += bytes;
    }

    /// Adds what a reader counted beside the packets.
    pub(super) fn add(&mut self, o: &Changed) {
        self.options_broken += o.options_broken;
        self.descriptions_large += o.descriptions_large;
        self.names += o.names;
        self.names_dropped += o.names_dropped;
        self.secrets_dropped += o.secrets_dropped;
        self.blocks_broken += o.blocks_broken;
        self.blocks_late += o.blocks_late;
        self.other_blocks += o.other_blocks;
        self.lost_before = self.lost_before.saturating_add(o.lost_before);
    }

    /// A sentence for each.
    pub fn lines(&self) -> Vec<String> {
        let packets = |n: u64, what: &str| (n, format!("{} {what}", several(n, "packet")));
        let all = [
            packets(self.before_1970, "from before 1970: stored with the time 1970-01-01T00:00:00Z"),
            packets(self.after_2554, "from after 2554: stored with its last time"),
            packets(self.without_time, "without a time: stored with the time 1970-01-01T00:00:00Z"),
            packets(self.longer_than_wire, "with more captured bytes than the length they claim: the larger counts"),
            packets(self.beyond_snaplen, "with more captured bytes than the snap length: cut to it"),
            packets(self.options_large, "with more options than are kept: some were left out"),
            (self.options_broken, format!("{} that break off", several(self.options_broken, "list of options"))),
            (
                self.descriptions_large,
                format!(
                    "{} of sections and interfaces left out: too large",
                    several(self.descriptions_large, "option")
                ),
            ),
            (self.names, format!("{} shortened", several(self.names, "interface name"))),
            (self.names_dropped, format!("{} of name resolution left out: too much", size(self.names_dropped))),
            (self.secrets_dropped, format!("{} of decryption secrets left out: too much", size(self.secrets_dropped))),
            (
                self.blocks_broken,
                format!("{} or secrets that break off, left out", several(self.blocks_broken, "block of names")),
            ),
            (
                self.blocks_late,
                format!("{} or secrets behind the last packet, left out", several(self.blocks_late, "block of names")),
            ),
            (self.other_blocks, format!("{} of kinds that are not kept", several(self.other_blocks, "block"))),
            (
                self.stood_in,
                format!(
                    "{} more than can be kept: their packets stand under another",
                    several(self.stood_in, "interface")
                ),
            ),
            (
                self.lost_before,
                format!("the capture says that it lost {} packets before they were written", count(self.lost_before)),
            ),
        ];
        all.into_iter().filter(|(n, _)| *n > 0).map(|(_, line)| line).collect()
    }
}

/// One file at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "CaptureFile")]
pub struct FileReport {
    /// The file; `-` for standard input.
    pub path: PathBuf,
    /// Packets read.
    #[serde(with = "Count")]
    pub packets: u64,
    /// Their lengths on the wire.
    #[serde(skip)]
    pub bytes: u64,
    /// Earliest and latest packet, Unix ns; `None`: there is none.
    #[serde(skip)]
    pub times: Option<(u64, u64)>,
    /// Records that could not be read, as far as they can be told apart.
    #[serde(with = "Count")]
    pub lost: u64,
    /// The first faults.
    pub faults: Vec<Fault>,
    /// How many more there were.
    #[serde(with = "Count")]
    pub more_faults: u64,
    /// The last fault ended the reading; so many bytes of the file follow it, where its size is known.
    #[serde(rename = "broke_off_bytes", with = "Maybe::<Count>")]
    pub broke_off: Option<u64>,
    /// What was not kept as it stood.
    pub changed: Changed,
}

impl FileReport {
    pub(super) fn new(path: &Path) -> FileReport {
        FileReport {
            path: path.to_owned(),
            packets: 0,
            bytes: 0,
            times: None,
            lost: 0,
            faults: Vec::new(),
            more_faults: 0,
            broke_off: None,
            changed: Changed::default(),
        }
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
