//! The ledger's files: one for each day (UTC), `2026-11-21.jsonl`, and `alive`, which holds the last sign of life.

use super::{LedgerError, files_of};
use std::path::{Path, PathBuf};

const DAY_NS: u64 = 86_400_000_000_000;

/// Number of the day that a time is in, since 1970.
pub fn day_of(t: u64) -> u64 {
    t / DAY_NS
}

/// When a day ends, Unix ns.
pub fn end_of(day: u64) -> u64 {
    (day + 1).saturating_mul(DAY_NS)
}

/// The file of a day.
pub fn file_of(dir: &Path, day: u64) -> PathBuf {
    let nanos = i128::from(day) * i128::from(DAY_NS);
    let name =
        jiff::Timestamp::from_nanosecond(nanos).map_or_else(|_| day.to_string(), |t| t.strftime("%F").to_string());
    dir.join(name + ".jsonl")
}

/// The days that there are files of, in order.
pub fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, LedgerError> {
    let day = |p: &Path| {
        let date: jiff::civil::Date = p.file_stem()?.to_str()?.parse().ok()?;
        let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        u64::try_from(start.as_nanosecond()).ok().map(day_of)
    };
    Ok(files_of(dir, "jsonl")?.into_iter().filter_map(|p| Some((day(&p)?, p))).collect())
}

/// Where the last sign of life stands.
pub fn alive(dir: &Path) -> PathBuf {
    dir.join("alive")
}
