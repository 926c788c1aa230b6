//! Names in a store's directory. Owns every path; used by all parts of the store and by readers.
//!
//! ```text
//! STORE/  store.toml  lock  catalog  filters  filters-address  filters-joint  classes.json  api.sock  api.at
//!         open/<n>.open                            unsealed segments: preallocated, being written, or left by a killed recorder
//!         <class>/<first-time>-<worker>-<n>.pcapng sealed ones, and .idx beside each
//!         ledger/  receipts/  held/
//! ```
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::format::CLASS_NAME_MAX;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A store's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout(PathBuf);

/// Directories that are no classes.
const NOT_CLASSES: [&str; 4] = ["open", "ledger", "receipts", "held"];

/// Whether a class may have this name: it becomes a directory.
pub fn valid_class(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
    !name.is_empty() && name.len() <= CLASS_NAME_MAX && name.bytes().all(plain) && !NOT_CLASSES.contains(&name)
}

impl Layout {
    /// Of the store at this path.
    pub fn new(store: &Path) -> Layout {
        Layout(store.to_owned())
    }
    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.0
    }
    /// Version and identity.
    pub fn identity(&self) -> PathBuf {
        self.0.join("store.toml")
    }
    /// Held by the one recorder.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }
    /// What is published of open segments.
    pub fn catalog(&self) -> PathBuf {
        self.0.join("catalog")
    }
    /// Times and address filters of all sealed segments; beside it, `filters-address` and `filters-joint`.
    pub fn filters(&self) -> PathBuf {
        self.0.join("filters")
    }
    /// Names of the classes, by id.
    pub fn class_names(&self) -> PathBuf {
        self.0.join("classes.json")
    }
    /// Unsealed segments.
    pub fn open(&self) -> PathBuf {
        self.0.join("open")
    }
    /// Losses, events, heartbeats.
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger")
    }
    /// What is known of connections.
    pub fn receipts(&self) -> PathBuf {
        self.0.join("receipts")
    }
    /// What an operator keeps.
    pub fn held(&self) -> PathBuf {
        self.0.join("held")
    }
    /// Sealed segments of a class.
    pub fn class(&self, class: &str) -> PathBuf {
        self.0.join(class)
    }
    /// One unsealed segment.
    pub fn open_segment(&self, number: u64) -> PathBuf {
        self.open().join(format!("{number}.open"))
    }
    /// One sealed segment; `first`: Unix ns.
    pub fn sealed_segment(&self, class: &str, first: u64, worker: u16, number: u64) -> PathBuf {
        let time = jiff::Timestamp::from_nanosecond(i128::from(first))
            .map_or_else(|_| first.to_string(), |t| t.strftime("%Y%m%dT%H%M%S.%9fZ").to_string());
        self.class(class).join(format!("{time}-{worker}-{number}.pcapng"))
    }
}

/// Number of an unsealed segment by its file's name.
pub fn open_number(path: &Path) -> Option<u64> {
    (path.extension()? == "open").then(|| path.file_stem()?.to_str()?.parse().ok()).flatten()
}

/// Worker and number of a sealed segment by its file's name.
pub fn sealed_number(path: &Path) -> Option<(u16, u64)> {
    if path.extension()? != "pcapng" {
        return None;
    }
    let mut parts = path.file_stem()?.to_str()?.rsplitn(3, '-');
    let (number, worker, _time) = (parts.next()?, parts.next()?, parts.next()?);
    Some((worker.parse().ok()?, number.parse().ok()?))
}

/// Packet time of a sealed segment's first packet by its file's name, Unix ns.
pub fn first_time(path: &Path) -> Option<u64> {
    let time = path.file_stem()?.to_str()?.rsplitn(3, '-').nth(2)?;
    match time.parse() {
        Ok(ns) => Some(ns),
        Err(_) => {
            let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S.%fZ", time).ok()?;
            u64::try_from(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_nanosecond()).ok()
        }
    }
}

/// Where the index of a sealed segment lies.
pub fn index_of(segment: &Path) -> PathBuf {
    segment.with_extension("idx")
}

/// Makes a folder of a store, for its owner and their group: who else may see what is in it, the API's roles say.
pub fn make_private(dir: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o750).create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_time_worker_and_number() {
        let l = Layout::new(Path::new("/s"));
        for first in [0, 1, 1_700_000_000_123_456_789, u64::MAX] {
            let path = l.sealed_segment("a-b", first, 7, 12);
            assert_eq!((first_time(&path), sealed_number(&path)), (Some(first), Some((7, 12))), "{}", path.display());
        }
        assert_eq!(first_time(Path::new("/s/all/x.pcapng")), None);
        assert_eq!(first_time(Path::new("/s/all/x-1-2.pcapng")), None);
    }
}
