//! Planning: what a range of cutoffs would keep of some traffic, before anybody commits disks to it. From packets it is exact,
//! by the recorder's own tracker; from sizes of connections (Zeek's conn.log, a store's receipts) an estimate that says so. Called by the CLI; never on the
//! packet path.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod packets;
pub mod plot;
pub mod receipts;
pub mod sizes;
#[cfg(test)]
mod tests;
pub mod zeek;

use crate::units;

/// Most cutoffs of one plan: a connection remembers in a word which of them cut it.
pub const CUTOFFS_MAX: usize = 32;

/// The cutoffs of a plan that names none, bytes.
pub const CUTOFFS: [u64; 14] = [
    1 << 10,
    2 << 10,
    4 << 10,
    8 << 10,
    15 << 10,
    20 << 10,
    32 << 10,
    64 << 10,
    128 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
];

/// Bytes of index, ledger and receipts for each byte of segments: the index's own bar, the rest is far below it.
const OVERHEAD: f64 = 1.02;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanningError {
    /// A capture.
    #[error(transparent)]
    File(#[from] crate::source::file::FileError),
    /// The tracker's memory.
    #[error(transparent)]
    Tracker(#[from] crate::conn::TrackerError),
    /// A store that is none.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The receipts of a store.
    #[error(transparent)]
    Ledger(#[from] crate::ledger::LedgerError),
    /// A conn.log can't be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A conn.log is none.
    #[error("{path}: line {line}: {why}", path = path.display())]
    Zeek {
        /// The file.
        path: std::path::PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong and what would be right.
        why: String,
    },
}

/// What could not be taken into account, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Lines of a log without a time that can be read.
    pub without_time: u64,
    /// Lines of a log without counts of packets and bytes.
    pub without_counts: u64,
    /// Packets that found the table of connections full.
    pub untracked: u64,
}

impl LeftOut {
    /// For people: `3 without counts`.
    pub fn reasons(&self) -> String {
        let all = [
            (self.without_time, "without a time that can be read"),
            (self.without_counts, "without counts of packets and bytes"),
            (self.untracked, "packets for which the table of connections was full"),
        ];
        let named: Vec<String> =
            all.iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("{} {why}", units::count(*n))).collect();
        named.join(", ")
    }
}

/// What one cutoff keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Bytes.
    pub cutoff: u64,
    /// Connections of which nothing is cut.
    pub whole: u64,
    /// Packets stored.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// What they take on disk, index and receipts included.
    pub disk_bytes: u64,
}

/// What the traffic was, and what each cutoff keeps of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Connections begun.
    pub connections: u64,
    /// Packets seen.
    pub packets: u64,
    /// Bytes seen, on the wire.
    pub bytes: u64,
    /// From the first to the last, ns.
    pub span_ns: u64,
    /// True: each packet was judged as the recorder would. False: estimated from the connections' sizes.
    pub exact: bool,
    /// Connections, lines or packets that could not be taken into account.
    pub left_out: u64,
    /// The same by reason.
    pub left_out_because: LeftOut,
    /// Ascending by cutoff.
    pub points: Vec<Point>,
}

impl Curve {
    /// With nothing in it yet; `cutoffs` sorted, without doubles, at most [`CUTOFFS_MAX`].
    fn new(cutoffs: &[u64], exact: bool) -> Curve {
        let mut cutoffs = cutoffs.to_vec();
        cutoffs.sort_unstable();
        cutoffs.dedup();
        cutoffs.truncate(CUTOFFS_MAX);
        let points = cutoffs.into_iter().map(|cutoff| Point { cutoff, ..Point::default() }).collect();
        Curve { exact, points, ..Curve::default() }
    }

    /// Seconds that the traffic lasted, at least a moment, so that rates are numbers.
    pub fn seconds(&self) -> f64 {
        (self.span_ns as f64 / 1e9).max(1e-3)
    }

    /// How much more traffic is expected than was seen; 1 without an expectation. `bits`: expected mean rate, bit/s.
    pub fn scale(&self, bits: Option<f64>) -> f64 {
        let seen = self.bytes as f64 * 8.0 / self.seconds();
        bits.filter(|_| seen > 0.0).map_or(1.0, |b| b / seen)
    }
}

impl Point {
    /// Disk for a day of such traffic, bytes.
    pub fn disk_a_day(&self, curve: &Curve, scale: f64) -> f64 {
        self.disk_bytes as f64 * scale * 86_400.0 / curve.seconds()
    }

    /// Days that fit into `disk` bytes; `None`: nothing is stored.
    pub fn days_in(&self, disk: u64, curve: &Curve, scale: f64) -> Option<f64> {
        let a_day = self.disk_a_day(curve, scale);
        (a_day > 0.0).then(|| disk as f64 / a_day)
    }
}

/// A share for people: `91.3 %`.
pub fn percent(part: u64, of: u64) -> String {
    match of {
        0 => "-".into(),
        _ => format!("{:.1} %", part as f64 * 100.0 / of as f64),
    }
}

/// A number of days for people.
pub fn days(days: f64) -> String {
    match days {
        d if d >= 3650.0 => format!("{} years", units::count((d / 365.0) as u64)),
        d if d >= 10.0 => format!("{} d", units::count(d as u64)),
        d if d >= 1.0 => format!("{d:.1} d"),
        d => format!("{:.1} h", d * 24.0),
    }
}
