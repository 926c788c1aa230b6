//! Which segments the packets of an answer come from: noted as they go by. Called by whoever answers with a manifest; costs a comparison a
//! packet.

use crate::query::{Answer, Cursor, OutputError, PacketSink, SoFar};
use crate::store::format::SegmentHeader;
use std::collections::BTreeMap;

/// A segment that packets of the answer come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedSegment {
    /// Tells it from another of the same number.
    pub generation: u64,
    /// Name of its class.
    pub class: String,
    /// The worker that wrote it.
    pub worker: u16,
    /// Packets of the answer.
    pub packets: u64,
}

/// All of them, by number.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    /// By number.
    pub segments: BTreeMap<u64, NotedSegment>,
    /// The last one and its packets that are not in the map yet.
    last: Option<(u64, u64)>,
}

impl Noted {
    fn note(&mut self, h: &SegmentHeader) {
        if let Some((number, packets)) = &mut self.last
            && *number == h.number
        {
            *packets += 1;
            return;
        }
        self.settle();
        self.segments.entry(h.number).or_insert_with(|| NotedSegment {
            generation: h.generation,
            class: h.class.clone(),
            worker: h.worker,
            packets: 0,
        });
        self.last = Some((h.number, 1));
    }

    /// What was noted last is counted, too.
    pub fn settle(&mut self) {
        if let Some((number, packets)) = self.last.take()
            && let Some(segment) = self.segments.get_mut(&number)
        {
            segment.packets += packets;
        }
    }
}

/// A sink that notes where packets come from and hands them on.
pub struct Noting<'a> {
    to: &'a mut dyn PacketSink,
    noted: &'a mut Noted,
}

impl<'a> Noting<'a> {
    /// In front of this one; what is noted is added.
    pub fn new(to: &'a mut dyn PacketSink, noted: &'a mut Noted) -> Noting<'a> {
        Noting { to, noted }
    }
}

impl PacketSink for Noting<'_> {
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
        self.to.packet(p)?;
        self.noted.note(p.segment);
        Ok(())
    }

    fn given(&mut self, stands: &dyn Fn() -> Option<(Cursor, SoFar)>) -> Result<(), OutputError> {
        self.to.given(stands)
    }
}
