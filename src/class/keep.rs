//! How long a class is kept, and in what: read by the store's keeper. Plain numbers; knows nothing of files.

/// What is kept of a class on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Keep {
    /// Disk budget of the class, bytes; `None`: what the others leave of the store's.
    pub disk: Option<u64>,
    /// What was recorded longer ago goes, ns.
    pub max_age_ns: Option<u64>,
    /// What the budget should hold at least, ns: only watched.
    pub min_age_ns: Option<u64>,
    /// Where its segments end, bytes; `None`: as those of the store.
    pub segment_bytes: Option<u64>,
}
