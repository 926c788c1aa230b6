//! Recovery: what a killed recorder left unsealed is sealed at the next start, with every good block that it holds. Called
//! when a store is opened for recording; can itself be killed and done again.

use super::event::StoreEvent;
use super::format::StoreId;
use super::layout::{self, Layout};
use super::scan::Depth;
use super::seal::{self, SealedSegment, Unsealed};
use super::{StoreError, at};
use std::fs;

/// What there is after recovery.
#[derive(Debug)]
pub struct Found {
    /// All sealed segments.
    pub sealed: Vec<SealedSegment>,
    /// Above every number in use.
    pub next_number: u64,
    /// Numbers of those that could not be sealed.
    pub unsealed: Vec<u64>,
}

/// Recovers and lists.
pub fn recover(layout: &Layout, store: &StoreId, tell: &dyn Fn(StoreEvent)) -> Result<Found, StoreError> {
    let (mut next_number, mut unsealed) = (0, Vec::new());
    let open = layout.open();
    for entry in fs::read_dir(&open).map_err(at(&open))? {
        let path = entry.map_err(at(&open))?.path();
        let Some(number) = layout::open_number(&path) else { continue };
        next_number = next_number.max(number + 1);
        let left = Unsealed { number, limit: u64::MAX, header: None };
        match seal::seal(layout, store, &left, Depth::Whole) {
            // Spares leave no trace.
            Ok(None) => {}
            Ok(Some(s)) => {
                tell(StoreEvent::Recovered { path: Some(s.path), packets: s.packets, bad_bytes: s.bad_bytes });
            }
            // It stays as it is, and readable; recording goes on.
            Err(e) => {
                unsealed.push(number);
                tell(StoreEvent::SealFailed { segment: number, error: e.to_string() });
            }
        }
    }
    let sealed = list_sealed(layout)?;
    let next_number = sealed.iter().map(|s| s.number + 1).fold(next_number, u64::max);
    Ok(Found { sealed, next_number, unsealed })
}

/// All sealed segments in the directories of classes; counts of packets are not known here.
fn list_sealed(layout: &Layout) -> Result<Vec<SealedSegment>, StoreError> {
    let mut list = Vec::new();
    for entry in fs::read_dir(layout.root()).map_err(at(layout.root()))? {
        let entry = entry.map_err(at(layout.root()))?;
        let class = entry.file_name().to_string_lossy().into_owned();
        if !layout::valid_class(&class) || !entry.path().is_dir() {
            continue;
        }
        for file in fs::read_dir(entry.path()).map_err(at(&entry.path()))? {
            let path = file.map_err(at(&entry.path()))?.path();
            if path.extension().is_some_and(|e| e == "idx") && !path.with_extension("pcapng").exists() {
                // Its segment expired, and the recorder was killed before it could remove this too.
                fs::remove_file(&path).map_err(at(&path))?;
            } else if let Some((_, number)) = layout::sealed_number(&path) {
                let bytes = fs::metadata(&path).map_err(at(&path))?.len();
                list.push(SealedSegment {
                    path,
                    class: class.clone(),
                    number,
                    bytes,
                    packets: 0,
                    times: None,
                    bad_bytes: 0,
                });
            }
        }
    }
    list.sort_by_key(|s| s.number);
    Ok(list)
}
