//! A block sifted: read and checked, and each packet of it that can match put to the sieve. Depends on nothing but the block and the
//! question, so that it can be done on any thread, before the merge needs it (`ahead`), or by the merge itself. What was met on the way
//! is told to the summary when the merge takes the block, in its order.

use super::judge::Sieve;
use super::summary::Summary;
use crate::conn::verdict::Mark;
use crate::limits::STRIPE_BYTES;
use crate::packet::key::Key;
use crate::store::disk::buffers::Aligned;
use crate::store::reader::{FoundPacket, ReadError, SegmentReader};
use crate::store::scan::BlockRef;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// A packet that matched.
struct Found {
    time: u64,
    offset: u64,
    iface: u32,
    wire_len: u32,
    mark: Mark,
    key: Option<Key>,
    /// Where its bytes begin among those that were kept, how many they are, and how many of options follow.
    at: (usize, usize, usize),
}

/// The same; with the bytes of all hits of its block, where reading it again would cost a read of the disk.
pub struct Hit {
    found: Found,
    kept: Option<Arc<Vec<u8>>>,
}

impl Hit {
    /// What hits of one segment are ordered by: time and offset.
    pub fn place(&self) -> (u64, u64) {
        (self.found.time, self.found.offset)
    }

    /// The packet; `reader` is asked for it where it was not kept.
    pub fn packet<'a>(&'a self, reader: &'a SegmentReader) -> Result<FoundPacket<'a>, ReadError> {
        let Found { time, offset, iface, wire_len, mark, key, at: (start, len, said) } = self.found;
        match &self.kept {
            Some(kept) => {
                let data = Cow::Borrowed(kept.get(start..start + len).unwrap_or_default());
                let options = Cow::Borrowed(kept.get(start + len..start + len + said).unwrap_or_default());
                Ok(FoundPacket { offset, time, iface, wire_len, data, mark, key, options })
            }
            None => reader.packet_at(offset),
        }
    }
}

/// What is asked of a segment's packets.
#[derive(Clone)]
pub struct Asked {
    /// libpcap's part.
    pub sieve: Arc<Sieve>,
    /// Times, Unix ns.
    pub window: Range<u64>,
}

/// What was found in a block.
#[derive(Default)]
pub struct Sifted {
    found: Vec<Found>,
    kept: Option<Vec<u8>>,
    candidates: u64,
    bytes_read: u64,
    damaged_block: bool,
    /// It was in memory, and its segment has been deleted since.
    pub expired: bool,
    damaged_packets: Vec<u64>,
}

impl Sifted {
    /// Tells the summary and hands on the hits.
    pub fn settle(self, reader: &SegmentReader, block: &BlockRef, summary: &mut Summary) -> impl Iterator<Item = Hit> {
        summary.pruning.candidates += self.candidates;
        summary.pruning.bytes_read += self.bytes_read;
        if self.damaged_block {
            summary.damaged_blocks += 1;
            summary.damaged_at(reader.path(), block.offset);
        }
        for offset in self.damaged_packets {
            summary.damaged_packets += 1;
            summary.damaged_at(reader.path(), offset);
        }
        let kept = self.kept.map(Arc::new);
        self.found.into_iter().map(move |found| Hit { found, kept: kept.clone() })
    }
}

/// A segment that is there no more.
fn expired(e: &ReadError) -> bool {
    matches!(e, ReadError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// A block being sifted. `at`: offsets of the packets that can match; `None`: any.
pub struct Sifting<'a> {
    reader: &'a SegmentReader,
    block: &'a BlockRef,
    asked: &'a Asked,
    out: Sifted,
}

impl<'a> Sifting<'a> {
    /// Nothing is read yet.
    pub fn new(reader: &'a SegmentReader, block: &'a BlockRef, asked: &'a Asked) -> Sifting<'a> {
        let out = Sifted { kept: reader.costly().then(Vec::new), ..Sifted::default() };
        Sifting { reader, block, asked, out }
    }

    /// Reads past the page cache into `buffer`; only of readers that are [sparse](SegmentReader::sparse).
    pub fn fetched(mut self, at: Option<&[u64]>, buffer: &mut Aligned) -> Sifted {
        let read = match at {
            Some(at) => self.reader.fetch_at(self.block, at, buffer),
            None => self.reader.fetch(self.block, u64::MAX, buffer),
        };
        match (read, at) {
            (Ok(bytes), Some(at)) => {
                self.out.bytes_read += bytes;
                for &offset in at {
                    let found = self.reader.packet_in(buffer, self.block, offset);
                    self.one(offset, found);
                }
            }
            (Ok(bytes), None) => {
                self.out.bytes_read += bytes;
                self.all(self.reader.packets_in(buffer, self.block));
            }
            // One by one: what is not in the damaged stripe is found.
            (Err(_), Some(at)) => return self.picked(at),
            (Err(_), None) => self.salvaged(),
        }
        self.out
    }

    /// Packets that have been read.
    pub fn gathered(mut self, packets: Vec<FoundPacket<'static>>) -> Sifted {
        packets.into_iter().for_each(|p| self.put(p));
        self.out
    }

    /// Reads as the reader has it: these packets one by one, or the whole block.
    pub fn read(self, at: Option<&[u64]>) -> Sifted {
        match at {
            Some(at) => self.picked(at),
            None => self.scanned(),
        }
    }

    fn picked(mut self, at: &[u64]) -> Sifted {
        let mut stripe = u64::MAX;
        // Of memory once: what is read stays until it is sifted.
        let whole = match self.reader.memory_block(self.block) {
            Some(Err(e)) if expired(&e) => {
                self.out.expired = true;
                return self.out;
            }
            other => other.and_then(Result::ok),
        };
        for &offset in at {
            let here = offset / STRIPE_BYTES as u64;
            if here != stripe {
                self.out.bytes_read += STRIPE_BYTES as u64;
                stripe = here;
            }
            let packet = match &whole {
                Some(block) => block.packet(offset),
                None => self.reader.packet_at(offset),
            };
            self.one(offset, packet);
        }
        self.out
    }

    fn scanned(mut self) -> Sifted {
        self.out.bytes_read += self.block.len as u64;
        match self.reader.block(self.block) {
            Ok(whole) => self.all(whole.found()),
            Err(e) if expired(&e) => self.out.expired = true,
            Err(_) => self.salvaged(),
        }
        self.out
    }

    /// The block is damaged: what of it can be had.
    fn salvaged(&mut self) {
        self.out.damaged_block = true;
        self.reader.salvage(self.block).into_iter().for_each(|p| self.put(p));
    }

    fn all<'p>(&mut self, packets: impl Iterator<Item = Result<FoundPacket<'p>, ReadError>>) {
        for p in packets {
            let ended = p.is_err();
            self.one(self.block.offset, p);
            if ended {
                break;
            }
        }
    }

    fn one(&mut self, offset: u64, p: Result<FoundPacket<'_>, ReadError>) {
        match p {
            Ok(p) => self.put(p),
            Err(_) => self.out.damaged_packets.push(offset),
        }
    }

    fn put(&mut self, p: FoundPacket<'_>) {
        self.out.candidates += 1;
        if !self.asked.window.contains(&p.time) || !self.asked.sieve.passes(&p.data, p.wire_len) {
            return;
        }
        let FoundPacket { time, offset, iface, wire_len, mark, key, .. } = p;
        let start = self.out.kept.as_ref().map_or(0, Vec::len);
        if let Some(kept) = &mut self.out.kept {
            kept.extend_from_slice(&p.data);
            kept.extend_from_slice(&p.options);
        }
        let at = (start, p.data.len(), p.options.len());
        self.out.found.push(Found { time, offset, iface, wire_len, mark, key, at });
    }
}
