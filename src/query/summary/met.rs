//! The connections of an answer while its packets are given out: their names, and when each had packets. Owns the memory that they take, which is
//! bounded: of packets that find no room it only keeps the number. What they are in all, `connections` finds out at the end.

use crate::limits::{COUNT_BYTES_SURE, SPAN_SILENCE_NS, SPANS_OF_NAME};
use crate::packet::key::Key;
use crate::query::lives::Span;
use crate::query::room::{AnswerRoom, RoomFull, Share};
use std::collections::HashMap;
use std::sync::Arc;

/// The connections of an answer, by name. Of more than there is memory for it counts the packets, so that the answer can say it.
pub struct Met {
    pub(super) names: HashMap<Key, Packets>,
    pub(super) memory: MetMemory,
    /// Why some packets' connections are not among them, and how many packets.
    pub(super) uncounted: Option<(RoomFull, u64)>,
}

/// Memory of a span.
const SPAN_BYTES: u64 = size_of::<Span>() as u64;
/// Memory of a name: its entry, and what asking for receipts and putting together takes for it.
pub(super) const NAME_BYTES: u64 = 512;

/// What they take: names, with what they make when they are settled, spans, receipts.
pub(super) struct MetMemory {
    share: Share,
    pub bytes: u64,
}

impl MetMemory {
    /// Has room for so many bytes more; a few names have it in any case.
    pub fn fits(&mut self, bytes: u64) -> Result<(), RoomFull> {
        let all = self.bytes + bytes;
        if all > COUNT_BYTES_SURE {
            self.share.up_to(all - COUNT_BYTES_SURE)?;
        }
        self.bytes = all;
        Ok(())
    }
}

/// What the answer has under one name. Connections that follow each other under it are told apart later, by their receipts: until then
/// packets are kept together only if they are surely of one.
pub(super) struct Packets {
    latest: Span,
    before: Vec<Span>,
    /// One of them has reached its connection's cutoff.
    pub cut: bool,
    /// One of them is in no receipt of the name.
    pub moved: bool,
}

impl Packets {
    pub fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        self.before.iter().copied().chain([self.latest])
    }

    pub fn last(&self) -> u64 {
        self.spans().map(|s| s.last).max().unwrap_or(0)
    }
}

/// A packet of an answer.
#[derive(Clone, Copy, Debug)]
pub struct MetPacket {
    /// Its connection's name.
    pub key: Key,
    /// Unix ns.
    pub time: u64,
    /// It may begin a connection: a SYN without ACK.
    pub begins: bool,
    /// Its connection's cutoff was reached with it.
    pub cut: bool,
    /// A fragment that came before its first: the recorder did not know that it is of this connection.
    pub moved: bool,
}

impl Met {
    /// None yet; what they take is of this room.
    pub fn new(room: &Arc<AnswerRoom>) -> Met {
        Met { names: HashMap::new(), memory: MetMemory { share: room.share(), bytes: 0 }, uncounted: None }
    }

    /// How many names they have.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Why they are not all of the answer's, if they are not.
    pub fn full(&self) -> Option<RoomFull> {
        self.uncounted.map(|(full, _)| full)
    }

    /// Notes a packet.
    pub fn note(&mut self, p: MetPacket) {
        let now = Span { first: p.time, last: p.time };
        let Met { names, memory, uncounted } = self;
        let mut left_out = |full| uncounted.get_or_insert((full, 0)).1 += 1;
        let Some(known) = names.get_mut(&p.key) else {
            return match memory.fits(NAME_BYTES) {
                Ok(()) => {
                    let new = Packets { latest: now, before: Vec::new(), cut: p.cut, moved: p.moved };
                    names.insert(p.key, new);
                }
                Err(full) => left_out(full),
            };
        };
        known.cut |= p.cut;
        known.moved |= p.moved;
        let silent = p.time > known.latest.last.saturating_add(SPAN_SILENCE_NS);
        let other = silent || p.begins && p.time > known.latest.last;
        if other && known.before.len() < SPANS_OF_NAME {
            let (has, most) = (known.before.len(), known.before.capacity());
            let fits = if has < most { Ok(()) } else { memory.fits(has.max(4) as u64 * SPAN_BYTES) };
            match fits {
                Ok(()) => return known.before.push(std::mem::replace(&mut known.latest, now)),
                // That it may be of another connection is all that is lost.
                Err(full) => left_out(full),
            }
        }
        known.latest = known.latest.and(now);
    }

    /// Whether there is one of this name.
    pub fn has_name(&self, key: &Key) -> bool {
        self.names.contains_key(key)
    }

    /// Their names.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.names.keys()
    }

    /// Whether the answer has a packet of this name and of these times.
    pub fn has(&self, key: &Key, times: Span) -> bool {
        self.names.get(key).is_some_and(|p| p.spans().any(|s| s.overlaps(times)))
    }
}
