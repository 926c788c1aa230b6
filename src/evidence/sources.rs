//! Where an answer comes from, as whoever answers knows it: store, program, who asked as the audit log has it, and the segments with their sums. Made
//! once the answer is given out, from the segments as they are then; a query without a manifest never comes here.

use super::manifest::stamp;
use super::{EvidenceError, Noted, Who};
use crate::limits::MANIFEST_SEGMENTS_MAX;
use crate::shape::{Count, Endpoint, Maybe};
use crate::store::reader::SegmentReader;
use crate::store::{ReadError, SegmentRef, segments, store_id};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;

/// What the sum of a segment is over.
const SUM_OVER: &str =
    "sha256 over head and trailer of each block up to `upto`; a trailer has a CRC32C of each 64 KiB of its block";

/// Who asked, as the recorder knows it: the line of the audit log has the same time and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "AskerOfRecorder")]
pub struct Asker {
    /// A user, or `token NAME`.
    pub name: String,
    /// User id, as the kernel says it.
    pub uid: Option<u32>,
    /// Where the request came from, if not over this machine's socket.
    pub from: Option<Endpoint>,
    /// When the request came, RFC 3339.
    pub at: String,
}

/// A segment that packets of the answer come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceSegment {
    /// Unique in the store.
    #[serde(with = "Count")]
    pub number: u64,
    /// 16 hexadecimal digits, drawn when the segment was made.
    pub generation: String,
    /// Its class.
    pub class: String,
    /// The worker that wrote it.
    pub worker: u16,
    /// Its file in the store; null: it had gone before its sum was taken.
    pub file: Option<String>,
    /// Packets of the answer; null: not counted.
    #[serde(with = "Maybe::<Count>")]
    pub packets: Option<u64>,
    /// The sum is over what lies before this offset of the file.
    #[serde(with = "Count")]
    pub upto: u64,
    /// Blocks until there.
    #[serde(with = "Count")]
    pub blocks: u64,
    /// 64 hexadecimal digits; null: not taken, as where the segment is still being written for a hold that follows.
    pub sum: Option<String>,
}

/// The segments of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "SourceSegments")]
pub struct Segments {
    /// What the sums are over.
    pub sum_over: String,
    /// In the order of their numbers: at most [`MANIFEST_SEGMENTS_MAX`].
    pub list: Vec<SourceSegment>,
    /// How many more there are.
    #[serde(with = "Count")]
    pub left_out: u64,
}

/// Where an answer comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Origin {
    /// Identity of the store: 32 hexadecimal digits.
    pub store: String,
    /// The program that answered.
    pub program: String,
    /// The machine that it ran on.
    pub host: String,
    /// Who asked, where a recorder answered; null: the store's files were read.
    pub asker: Option<Asker>,
    /// Which segments.
    pub segments: Segments,
}

impl Origin {
    /// Of a store, without segments yet.
    pub fn new(store: &Path, asker: Option<Asker>) -> Result<Origin, EvidenceError> {
        let program = concat!("retrotap ", env!("CARGO_PKG_VERSION")).to_owned();
        let host = Who::me().host;
        let segments = Segments { sum_over: SUM_OVER.to_owned(), ..Segments::default() };
        Ok(Origin { store: store_id(store)?, program, host, asker, segments })
    }

    /// Of an answer that is given out; `go_on` may end the taking of sums.
    pub fn of(
        store: &Path,
        noted: &mut Noted,
        asker: Option<Asker>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Origin, EvidenceError> {
        let mut origin = Origin::new(store, asker)?;
        origin.segments.add(noted, true);
        origin.segments.sum(store, false, go_on)?;
        Ok(origin)
    }
}

impl Segments {
    /// Adds what was noted; `counted`: with how many packets.
    pub fn add(&mut self, noted: &mut Noted, counted: bool) {
        noted.settle();
        for (&number, s) in &noted.segments {
            let Err(at) = self.list.binary_search_by_key(&number, |l| l.number) else { continue };
            if self.list.len() >= MANIFEST_SEGMENTS_MAX {
                self.left_out += 1;
                continue;
            }
            let (generation, class) = (format!("{:016x}", s.generation), s.class.clone());
            let (file, upto, blocks, sum) = (None, 0, 0, None);
            let packets = counted.then_some(s.packets);
            let one = SourceSegment { number, generation, class, worker: s.worker, file, packets, upto, blocks, sum };
            self.list.insert(at, one);
        }
    }

    /// Whether some have no sum.
    pub fn lacks_sums(&self) -> bool {
        self.list.iter().any(|s| s.sum.is_none())
    }

    /// Takes the sums that are missing; `sealed`: only of segments that nothing is added to any more.
    pub fn sum(&mut self, store: &Path, sealed: bool, go_on: &dyn Fn() -> bool) -> Result<(), EvidenceError> {
        let there: HashMap<u64, SegmentRef> = segments(store)?.into_iter().map(|s| (s.number, s)).collect();
        for s in self.list.iter_mut().filter(|s| s.sum.is_none()) {
            if !go_on() {
                break;
            }
            let Some(segment) = there.get(&s.number).filter(|t| t.sealed || !sealed) else { continue };
            match segment.open() {
                Ok(Some(reader)) if s.is(&reader) => s.take(&reader, store)?,
                // Expired meanwhile, or another by now.
                Ok(_) | Err(ReadError::Damaged { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

impl SourceSegment {
    /// Whether this is the segment.
    pub fn is(&self, reader: &SegmentReader) -> bool {
        let h = reader.header();
        h.number == self.number && format!("{:016x}", h.generation) == self.generation
    }

    fn take(&mut self, reader: &SegmentReader, store: &Path) -> Result<(), EvidenceError> {
        let digest = reader.digest(reader.end())?;
        let file = reader.path().strip_prefix(store).unwrap_or(reader.path());
        self.file = Some(file.display().to_string());
        (self.upto, self.blocks, self.sum) = (digest.upto, digest.blocks, Some(digest.sha256));
        Ok(())
    }
}

impl Asker {
    /// One whose request came at this time, Unix ns.
    pub fn new(name: &str, uid: Option<u32>, from: Option<SocketAddr>, at: u64) -> Asker {
        let from = from.map(|a| Endpoint::new(a.ip(), Some(a.port())));
        Asker { name: name.to_owned(), uid, from, at: stamp(at) }
    }
}
