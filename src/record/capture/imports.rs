//! Which traces a store has got before: one that is imported twice is in every answer twice, and no answer can tell. Owns what makes two the
//! same: as many packets and bytes, from the same first to the same last. Used by the books; reads the ledger once, when the first file is done.

use crate::ledger::{What, entries};
use crate::source::file::FileReport;
use crate::units;
use std::collections::HashMap;
use std::path::Path;

/// Packets, bytes, earliest and latest time.
type Trace = (u64, u64, u64, u64);

/// The imports of a store.
#[derive(Debug, Default)]
pub struct Imports {
    /// When, and the file's name then; `None`: the ledger has not been read yet.
    known: Option<HashMap<Trace, (u64, String)>>,
}

impl Imports {
    /// A file is done: what the ledger is to have of it, and a warning if it had it before. `None`: it had no packets.
    pub fn done(&mut self, ledger: &Path, now: u64, file: &FileReport) -> Option<(What, Option<String>)> {
        let (first, last) = file.times?;
        let (name, trace) = (file.path.display().to_string(), (file.packets, file.bytes, first, last));
        let known = self.known.get_or_insert_with(|| read(ledger));
        let again = known.get(&trace).map(|(t, before)| {
            let what = if *before == name { "it".to_owned() } else { format!("the same trace as {before}") };
            format!("{name}: {what} was imported before, {}: its packets are in the store twice", units::time(*t))
        });
        known.entry(trace).or_insert_with(|| (now, name.clone()));
        Some((What::Imported { file: name, packets: file.packets, bytes: file.bytes, first, last }, again))
    }
}

/// What can't be read is not known.
fn read(ledger: &Path) -> HashMap<Trace, (u64, String)> {
    let mut known = HashMap::new();
    for e in entries(ledger, 0, u64::MAX).unwrap_or_default() {
        if let What::Imported { file, packets, bytes, first, last } = e.what {
            known.entry((packets, bytes, first, last)).or_insert((e.t, file));
        }
    }
    known
}
