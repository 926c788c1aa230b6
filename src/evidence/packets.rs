//! What is in a capture file, counted again: by the reader of imports, which knows every format and takes no word of a manifest for it.

use super::EvidenceError;
use crate::source::file::FileSource;
use crate::source::{Polled, Source};
use std::path::{Path, PathBuf};

/// What a file has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub wire_bytes: u64,
    /// Time of the earliest, Unix ns.
    pub first: Option<u64>,
    /// Time of the latest.
    pub last: Option<u64>,
    /// What could not be read.
    pub broken: Option<String>,
}

/// Counts.
pub fn count(path: &Path) -> Result<Counted, EvidenceError> {
    let no =
        |e: crate::source::file::FileError| EvidenceError::NoManifest { path: path.to_owned(), why: e.to_string() };
    let mut source = FileSource::open(&[PathBuf::from(path)], None).map_err(no)?;
    let mut all = Counted::default();
    loop {
        let polled = source.poll(|packets, _| {
            for p in packets {
                all.packets += 1;
                all.wire_bytes += u64::from(p.wire_len);
                all.first = Some(all.first.map_or(p.time, |t| t.min(p.time)));
                all.last = Some(all.last.map_or(p.time, |t| t.max(p.time)));
            }
        });
        if polled.map_err(no)? == Polled::End {
            break;
        }
    }
    let report = source.progress().reports().into_iter().next();
    all.broken = report.and_then(|r| r.faults.first().map(|f| format!("at byte {}: {}", f.offset, f.why)));
    Ok(all)
}
