//! The roll of classes as the store knows them: names by id, and where their segments end. An id keeps its name as long as the store is
//! open, so that writers read without a lock what the control thread adds to.

use crate::class::ClassId;
use crate::limits::CLASSES_MAX;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug, Default)]
struct Place {
    name: OnceLock<String>,
    segment_bytes: AtomicU64,
}

/// Classes by id.
#[derive(Debug)]
pub struct Roll {
    places: [Place; CLASSES_MAX],
}

impl Default for Roll {
    fn default() -> Roll {
        Roll { places: std::array::from_fn(|_| Place::default()) }
    }
}

impl Roll {
    /// Says what a class is called, once, and where its segments end from now on. False: the id has another name, or is none.
    pub fn set(&self, id: ClassId, name: &str, segment_bytes: u64) -> bool {
        let Some(place) = self.places.get(usize::from(id)) else { return false };
        place.segment_bytes.store(segment_bytes, Relaxed);
        place.name.get_or_init(|| name.to_owned()) == name
    }

    /// Name of a class; an unknown one is `all`.
    pub fn name(&self, id: ClassId) -> &str {
        self.places.get(usize::from(id)).and_then(|p| p.name.get()).map_or("all", String::as_str)
    }

    /// Where a segment of the class ends.
    pub fn segment_bytes(&self, id: ClassId) -> u64 {
        match self.places.get(usize::from(id)).map_or(0, |p| p.segment_bytes.load(Relaxed)) {
            0 => u64::MAX,
            bytes => bytes,
        }
    }

    /// All names, by id.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map_while(|p| p.name.get()).map(String::as_str)
    }
}
