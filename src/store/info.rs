//! `info`: what a store holds, from headers and trailers alone, and from the receipts how many connections these are. Called by the CLI and the API; takes no lock.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::StoreError;
use super::catalog::Catalog;
use super::keeper::unix_now;
use super::layout::Layout;
use super::list::segments;
use super::open::Identity;
use super::reader::SegmentReader;
use std::path::Path;

/// What a class, or the whole store, holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Segments with packets in them.
    pub segments: u64,
    /// Of these, not yet sealed.
    pub unsealed: u64,
    /// Packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub wire_bytes: u64,
    /// Their captured bytes.
    pub data_bytes: u64,
    /// Bytes of segments on disk, without preallocated space.
    pub disk_bytes: u64,
    /// Bytes of indexes.
    pub index_bytes: u64,
    /// Connections that have a receipt: each once, those included whose packets have expired.
    pub connections: u64,
    /// Of these, those that had not ended by their hourly receipt.
    pub lasting: u64,
    /// Segments without an index.
    pub unindexed: u64,
    /// Time of the earliest packet, Unix ns.
    pub first: Option<u64>,
    /// Time of the latest packet, Unix ns.
    pub last: Option<u64>,
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Identity.
    pub id: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Whether a recorder writes to it now.
    pub recording: bool,
    /// All classes together.
    pub total: Holding,
    /// Each class, by name.
    pub classes: Vec<(String, Holding)>,
    /// Age of the earliest packet, ns.
    pub oldest_age: Option<u64>,
    /// Bytes of the ledger.
    pub ledger_bytes: u64,
    /// Bytes of the receipts.
    pub receipts_bytes: u64,
    /// Connections that run, as the recorder counts them, lasting ones included; they get their receipts when they end. `None`: only a recorder knows.
    pub running: Option<u64>,
    /// Segments that could not be read.
    pub unreadable: Vec<String>,
}

/// Looks at a store. `connections`: by class, how many the receipts tell of, and how many of these last.
pub fn info(store: &Path, connections: &[(String, [u64; 2])]) -> Result<Info, StoreError> {
    Ok(info_while(store, connections, &|| true)?.unwrap_or_default())
}

/// The same as long as `go_on` says so before each segment; `None`: it did not.
pub fn info_while(
    store: &Path,
    connections: &[(String, [u64; 2])],
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Info>, StoreError> {
    let layout = Layout::new(store);
    let identity = Identity::read(&layout)?;
    let mut classes: std::collections::BTreeMap<String, Holding> = Default::default();
    let (mut total, mut unreadable) = (Holding::default(), Vec::new());
    for s in segments(store)? {
        if !go_on() {
            return Ok(None);
        }
        match s.open() {
            Ok(None) => {}
            Ok(Some(reader)) => {
                let one = holding(&reader);
                if one.packets > 0 {
                    classes.entry(reader.header().class.clone()).or_default().add(&one);
                    total.add(&one);
                }
            }
            Err(e) => unreadable.push(e.to_string()),
        }
    }
    for (class, [all, lasting]) in connections {
        let one = Holding { connections: *all, lasting: *lasting, ..Holding::default() };
        classes.entry(class.clone()).or_default().add(&one);
        total.add(&one);
    }
    let now = unix_now();
    Ok(Some(Info {
        id: identity.id,
        created: identity.created,
        recording: Catalog::open(&layout).is_some_and(|c| c.alive(&layout, now)),
        oldest_age: total.first.map(|t| now.saturating_sub(t)),
        total,
        classes: classes.into_iter().collect(),
        ledger_bytes: bytes_in(&layout.ledger()),
        receipts_bytes: bytes_in(&layout.receipts()),
        running: None,
        unreadable,
    }))
}

fn holding(reader: &SegmentReader) -> Holding {
    let mut h =
        Holding { segments: 1, unsealed: u64::from(!reader.sealed()), disk_bytes: reader.end(), ..Default::default() };
    for b in reader.blocks() {
        h.packets += u64::from(b.totals.packets);
        h.wire_bytes += b.totals.wire_bytes;
        h.data_bytes += b.totals.data_bytes;
        h.first = Some(h.first.map_or(b.totals.first, |f| f.min(b.totals.first)));
        h.last = h.last.max(Some(b.totals.last));
    }
    let index = reader.index();
    match std::fs::metadata(&index) {
        Ok(m) if reader.sealed() => {
            h.index_bytes = m.len();
        }
        _ => h.unindexed = 1,
    }
    h
}

impl Holding {
    fn add(&mut self, o: &Holding) {
        self.segments += o.segments;
        self.unsealed += o.unsealed;
        self.packets += o.packets;
        self.wire_bytes += o.wire_bytes;
        self.data_bytes += o.data_bytes;
        self.disk_bytes += o.disk_bytes;
        self.index_bytes += o.index_bytes;
        self.connections += o.connections;
        self.lasting += o.lasting;
        self.unindexed += o.unindexed;
        self.first = [self.first, o.first].into_iter().flatten().min();
        self.last = self.last.max(o.last);
    }
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum()
}
