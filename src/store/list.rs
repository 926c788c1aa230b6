//! Which segments a store has, for any reader: no lock, while another process records and drops old ones.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::catalog::Catalog;
use super::format::{SegmentHeader, StoreId};
use super::keeper::unix_now;
use super::layout::{self, Layout};
use super::open::Identity;
use super::reader::{ReadError, SegmentReader};
use super::{StoreError, at};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A segment as the directory shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRef {
    /// The file; an unsealed one moves when it is sealed, see [`open`](SegmentRef::open).
    pub path: PathBuf,
    /// Name of the class; of an unsealed segment it stands in the header only.
    pub class: Option<String>,
    /// The worker; of an unsealed segment it stands in the header only.
    pub worker: Option<u16>,
    /// Unique in the store; rises in the order in which segments were made.
    pub number: u64,
    /// Immutable, plain pcapng, perhaps indexed.
    pub sealed: bool,
    /// Of an unsealed segment that a live recorder writes: readable up to here.
    pub durable: Option<u64>,
}

impl SegmentRef {
    /// A sealed one, by the name of its file alone.
    pub fn sealed(path: &Path) -> Option<SegmentRef> {
        let (worker, number) = layout::sealed_number(path)?;
        let (path, worker) = (path.to_owned(), Some(worker));
        Some(SegmentRef { path, class: None, worker, number, sealed: true, durable: None })
    }

    /// Opens the segment, also if it has been sealed since the listing. `Ok(None)`: it has expired since, or is an unused
    /// spare.
    pub fn open(&self) -> Result<Option<SegmentReader>, ReadError> {
        match self.open_here() {
            Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let store = self.path.parent().and_then(Path::parent).unwrap_or(Path::new("."));
                let moved = if self.sealed { None } else { sealed(&Layout::new(store)).ok() };
                match moved.and_then(|list| list.into_iter().find(|s| s.number == self.number)) {
                    Some(sealed) => sealed.open(),
                    None => Ok(None),
                }
            }
            other => other,
        }
    }

    fn open_here(&self) -> Result<Option<SegmentReader>, ReadError> {
        if self.sealed {
            return SegmentReader::open(&self.path).map(Some);
        }
        if self.durable == Some(0) {
            return Ok(None);
        }
        SegmentReader::open_unsealed(&self.path, self.durable)
    }

    /// Which segment it is, by its first bytes; no block is looked at.
    pub fn header(&self) -> Result<SegmentHeader, ReadError> {
        SegmentReader::header_of(&self.path)
    }

    /// Where its index lies, once it has one.
    pub fn index(&self) -> PathBuf {
        layout::index_of(&self.path)
    }
}

/// A store's identity: 32 hexadecimal digits. Fails if it is no store or one of another version.
pub fn store_id(store: &Path) -> Result<String, StoreError> {
    Identity::read(&Layout::new(store)).map(|identity| identity.id)
}

/// The same as it stands in its segments.
pub fn id_in_segments(layout: &Layout) -> Result<StoreId, StoreError> {
    Identity::read(layout).map(|i| i.id().unwrap_or_default())
}

/// All segments of a store, in the order of their numbers. Fails if it is no store or one of another version.
pub fn segments(store: &Path) -> Result<Vec<SegmentRef>, StoreError> {
    let layout = Layout::new(store);
    // Unsealed ones first: one that is sealed meanwhile is then found in one of the two places, or in both.
    let mut all: BTreeMap<u64, SegmentRef> = unsealed(&layout)?.into_iter().map(|s| (s.number, s)).collect();
    for s in sealed(&layout)? {
        all.insert(s.number, s);
    }
    Ok(all.into_values().collect())
}

/// The unsealed ones, in the order of their numbers. Fails if it is no store or one of another version.
pub fn unsealed(layout: &Layout) -> Result<Vec<SegmentRef>, StoreError> {
    Identity::read(layout)?;
    let live = Catalog::open(layout).filter(|c| c.alive(layout, unix_now()));
    let mut all = BTreeMap::new();
    for path in entries(&layout.open())? {
        let Some(number) = layout::open_number(&path) else { continue };
        all.insert(number, SegmentRef { path, class: None, worker: None, number, sealed: false, durable: None });
    }
    if let Some(catalog) = live {
        // What it has not published is a spare, without a header; or one that it could not seal when it started, and that is read to its end.
        for entry in catalog.open_segments() {
            if let Some(s) = all.get_mut(&entry.number) {
                s.durable = Some(entry.durable);
            }
        }
    }
    Ok(all.into_values().collect())
}

/// The directories whose contents say which segments are sealed: the store's own and those of the classes.
pub fn directories(layout: &Layout) -> Result<Vec<PathBuf>, StoreError> {
    let mut dirs = vec![layout.root().to_owned()];
    for dir in entries(layout.root())? {
        if class_of(&dir).is_some() && dir.is_dir() {
            dirs.push(dir);
        }
    }
    Ok(dirs)
}

fn class_of(dir: &Path) -> Option<&str> {
    dir.file_name().and_then(|n| n.to_str()).filter(|n| layout::valid_class(n))
}

/// The sealed ones.
pub fn sealed(layout: &Layout) -> Result<Vec<SegmentRef>, StoreError> {
    let mut list = Vec::new();
    for dir in entries(layout.root())? {
        let Some(class) = class_of(&dir) else { continue };
        if !dir.is_dir() {
            continue;
        }
        for path in entries(&dir)? {
            let sealed = SegmentRef::sealed(&path);
            list.extend(sealed.map(|s| SegmentRef { class: Some(class.to_owned()), ..s }));
        }
    }
    list.sort_by_key(|s| s.number);
    Ok(list)
}

/// The file of a sealed segment of this class; `None`: there is none any more.
pub(super) fn sealed_file(layout: &Layout, class: &str, number: u64) -> io::Result<Option<PathBuf>> {
    let dir = layout.class(if layout::valid_class(class) { class } else { "all" });
    let all = entries(&dir).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(all.into_iter().find(|path| layout::sealed_number(path).is_some_and(|(_, n)| n == number)))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = match fs::read_dir(dir) {
        // A directory may be missing or vanish; its segments are then gone too.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(at(dir))?,
    };
    read.map(|e| e.map(|e| e.path()).map_err(at(dir))).collect()
}
/// The names of classes that the store has had, by its file of them; none where there is none that can be read.
pub fn class_names(store: &Path) -> Vec<String> {
    let text = std::fs::read(Layout::new(store).class_names()).unwrap_or_default();
    let names: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let names = names.get("names").and_then(|n| n.as_array()).into_iter().flatten();
    names.filter_map(|n| n.as_str().map(str::to_owned)).collect()
}
