//! The check of a manifest: the file of packets is the one that was summed, it has in it what the manifest says, and the segments that it came from are
//! still what they were, or have expired. Reads files only; changes nothing. Called by `retrotap verify`.

use super::manifest::stamp;
use super::sources::SourceSegment;
use super::{EvidenceError, Manifest, at, packets, sum};
use crate::shape::{Count, Maybe};
use crate::store::reader::SegmentReader;
use crate::store::{ReadError, SegmentRef, segments, store_id};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What was found. What is wrong is in `problems`; none: all is as the manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CheckedManifest")]
pub struct Checked {
    /// The file of packets that was read.
    pub file: PathBuf,
    /// Its length.
    #[serde(rename = "file_bytes", with = "Count")]
    pub bytes: u64,
    /// Its sum.
    pub sha256: String,
    /// Packets in it.
    #[serde(with = "Count")]
    pub packets: u64,
    /// Segments that the manifest names.
    #[serde(with = "Count")]
    pub segments: u64,
    /// Of these, still what they were; null: no store was looked at.
    #[serde(with = "Maybe::<Count>")]
    pub segments_same: Option<u64>,
    /// Not in the store any more.
    #[serde(with = "Maybe::<Count>")]
    pub segments_gone: Option<u64>,
    /// Named without a sum.
    #[serde(with = "Count")]
    pub segments_unsummed: u64,
    /// What is not as the manifest says.
    pub problems: Vec<String>,
}

/// Checks the manifest at `path`. `file`: the packets, where they do not lie beside it under their name; `store`: look at the segments, too.
pub fn check(path: &Path, file: Option<&Path>, store: Option<&Path>) -> Result<(Manifest, Checked), EvidenceError> {
    let manifest = Manifest::read(path)?;
    let file = match (file, &manifest.file.name) {
        (Some(file), _) => file.to_owned(),
        (None, Some(name)) => beside(path, name)?,
        (None, None) => {
            let why = "its packets went through a pipe: name the file that they are in now (--packets FILE)".to_owned();
            return Err(EvidenceError::NoManifest { path: path.to_owned(), why });
        }
    };
    let mut c = Checked { file, segments: manifest.origin.segments.list.len() as u64, ..Checked::default() };
    c.segments_unsummed = manifest.origin.segments.list.iter().filter(|s| s.sum.is_none()).count() as u64;
    c.the_file(&manifest)?;
    if let Some(store) = store {
        c.the_segments(&manifest, store)?;
    }
    Ok((manifest, c))
}

/// The file of this name in the manifest's folder, and nowhere else.
fn beside(path: &Path, name: &str) -> Result<PathBuf, EvidenceError> {
    if Path::new(name).file_name().is_none_or(|n| n != name) {
        let why = format!("the name of its file of packets, {name:?}, is none");
        return Err(EvidenceError::NoManifest { path: path.to_owned(), why });
    }
    Ok(path.with_file_name(name))
}

impl Checked {
    fn the_file(&mut self, m: &Manifest) -> Result<(), EvidenceError> {
        (self.bytes, self.sha256) = sum::sum_of(&self.file).map_err(at(&self.file))?;
        if self.bytes != m.file.bytes {
            self.problems.push(format!("the file has {} bytes, the manifest says {}", self.bytes, m.file.bytes));
        }
        if !self.sha256.eq_ignore_ascii_case(&m.file.sha256) {
            self.problems
                .push(format!("the file has the SHA-256 {}, the manifest says {}", self.sha256, m.file.sha256));
        }
        let counted = packets::count(&self.file)?;
        self.packets = counted.packets;
        self.problems.extend(counted.broken.map(|why| format!("the file can't be read to its end: {why}")));
        let time = |t: Option<u64>| t.map_or("none".to_owned(), stamp);
        let says = |t: &Option<String>| t.clone().unwrap_or("none".to_owned());
        for (what, is, says) in [
            ("packets", counted.packets.to_string(), m.packets.to_string()),
            ("bytes on the wire", counted.wire_bytes.to_string(), m.bytes.to_string()),
            ("first packet", time(counted.first), says(&m.first)),
            ("last packet", time(counted.last), says(&m.last)),
        ] {
            if is != says {
                self.problems.push(format!("{what}: the file has {is}, the manifest says {says}"));
            }
        }
        Ok(())
    }

    fn the_segments(&mut self, m: &Manifest, store: &Path) -> Result<(), EvidenceError> {
        let id = store_id(store)?;
        if id != m.origin.store {
            self.problems.push(format!("the store is {id}, the packets come from {}", m.origin.store));
            return Ok(());
        }
        let there: HashMap<u64, SegmentRef> = segments(store)?.into_iter().map(|s| (s.number, s)).collect();
        let (mut same, mut gone) = (0, 0);
        for s in m.origin.segments.list.iter().filter(|s| s.sum.is_some()) {
            let opened = there.get(&s.number).map_or(Ok(None), SegmentRef::open);
            match opened {
                Ok(None) => gone += 1,
                Ok(Some(reader)) => match differs(s, &reader)? {
                    None => same += 1,
                    Some(why) => self.problems.push(format!("{}: {why}", reader.path().display())),
                },
                Err(e @ ReadError::Damaged { .. }) => self.problems.push(e.to_string()),
                Err(e) => return Err(e.into()),
            }
        }
        (self.segments_same, self.segments_gone) = (Some(same), Some(gone));
        Ok(())
    }
}

/// Why a segment is not what it was. Its blocks are read: that their sums hold makes the sum over these sums worth something.
fn differs(s: &SourceSegment, reader: &SegmentReader) -> Result<Option<String>, EvidenceError> {
    if !s.is(reader) {
        return Ok(Some("another segment has this number".into()));
    }
    let digest = reader.digest(s.upto)?;
    if digest.sha256 != s.sum.as_deref().unwrap_or_default() {
        return Ok(Some("its blocks are not those that the packets came from".into()));
    }
    for block in reader.blocks().iter().take_while(|b| b.offset + b.len as u64 <= s.upto) {
        match reader.block(block) {
            Ok(_) => {}
            Err(ReadError::Damaged { offset, why, .. }) => return Ok(Some(format!("at byte {offset}: {why}"))),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(None)
}
