//! The curve of capture files, packet by packet: one tracker that cuts nothing says which connection a packet belongs to and when a count
//! begins, and each cutoff is applied to that count as the recorder applies it. Called by `plan -r`.

use super::{Curve, PlanningError, Point};
use crate::class::{ClassSet, Policy};
use crate::conn::receipt::End;
use crate::conn::shunt::NoShunt;
use crate::conn::verdict::{Mark, Verdict};
use crate::conn::{Tracker, TrackerPlan};
use crate::limits::{CONNECTIONS_IPV4, CONNECTIONS_IPV6, CONTROL_PACKETS_MAX, SWEEP_SLOTS};
use crate::packet::Parser;
use crate::packet::key::Key;
use crate::source::file::{FileSource, Progress};
use crate::source::{Interface, Packet, Polled, Source};
use crate::store::format::{PacketOptions, packet_bytes};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

const CONTROLS: u8 = 1 | 2 | 4; // FIN, SYN, RST

/// A connection as far as it has come.
struct Count {
    first: u64,
    /// Bytes of its earlier packets since its count began.
    bytes: u64,
    /// For each cutoff: SYN, FIN and RST stored past it.
    controls: Vec<u8>,
    /// Bit i: cutoff i has cut a packet.
    cut: u32,
}

/// Judges packets.
pub struct Judge {
    tracker: Tracker,
    parser: Parser,
    open: HashMap<Key, Count>,
    curve: Curve,
    first: u64,
    last: u64,
    prepared: usize,
}

/// Reads the files; `tell` gets the reader's progress before the first packet.
pub fn curve(files: &[PathBuf], cutoffs: &[u64], tell: impl FnOnce(Arc<Progress>)) -> Result<Curve, PlanningError> {
    let mut source = FileSource::open(files, None)?;
    tell(source.progress());
    let mut judge = Judge::new(cutoffs)?;
    loop {
        match source.poll(|packets, interfaces| judge.batch(packets, interfaces))? {
            Polled::End => return Ok(judge.finish()),
            Polled::Packets(_) => {}
            Polled::Idle => source.wait(10_000_000)?,
        }
    }
}

impl Judge {
    /// For these cutoffs, bytes.
    pub fn new(cutoffs: &[u64]) -> Result<Judge, PlanningError> {
        let plan = TrackerPlan { connections_v4: CONNECTIONS_IPV4, connections_v6: CONNECTIONS_IPV6, shunt_slots: 0 };
        let classes = ClassSet::only(Policy { cutoff_bytes: None, ..Policy::STANDARD });
        Ok(Judge {
            tracker: Tracker::new(&plan, classes, Default::default())?,
            parser: Parser::new(0, true),
            open: HashMap::new(),
            curve: Curve::new(cutoffs, true),
            first: u64::MAX,
            last: 0,
            prepared: 0,
        })
    }

    /// One batch of the source.
    pub fn batch(&mut self, packets: &[Packet<'_>], interfaces: &[Interface]) {
        for i in interfaces.get(self.prepared..).unwrap_or_default() {
            self.tracker.prepare(i.link_type);
        }
        self.prepared = interfaces.len();
        for p in packets {
            self.packet(p, interfaces.get(usize::from(p.iface)).map_or(u16::MAX, |i| i.link_type));
        }
        self.tracker.sweep(self.last, SWEEP_SLOTS, &mut NoShunt);
        self.ended();
    }

    fn packet(&mut self, p: &Packet<'_>, link_type: u16) {
        let mut parsed = self.parser.parse(link_type, p.data);
        self.tracker.resolve_fragment(&mut parsed, p.time);
        let before = self.tracker.stats();
        let verdict = self.tracker.judge(&parsed, p, link_type, &mut NoShunt);
        let after = self.tracker.stats();
        (self.first, self.last) = (self.first.min(p.time), self.last.max(p.time));
        self.curve.packets += 1;
        self.curve.bytes += u64::from(p.wire_len);
        let untracked = matches!(verdict, Verdict::Flood | Verdict::Store { mark: Mark::Untracked, .. });
        if untracked {
            self.curve.left_out += 1;
            self.curve.left_out_because.untracked += 1;
            return;
        }
        if after.begun != before.begun {
            self.curve.connections += 1;
            let controls = vec![0; self.curve.points.len()];
            let begun = Count { first: p.time, bytes: 0, controls, cut: 0 };
            if let Some(old) = self.open.insert(parsed.key, begun) {
                whole(&mut self.curve.points, &old);
            }
        }
        let Some(count) = self.open.get_mut(&parsed.key) else { return };
        count.first = count.first.min(p.time);
        if after.renewed != before.renewed {
            count.bytes = 0;
            count.controls.fill(0);
        }
        let disk = packet_bytes(p.data.len(), &PacketOptions::default(), p.options.len()) as u64;
        for (i, (point, controls)) in self.curve.points.iter_mut().zip(&mut count.controls).enumerate() {
            let control = parsed.tcp_flags & CONTROLS != 0 && *controls < CONTROL_PACKETS_MAX;
            if count.bytes >= point.cutoff && !parsed.key.aggregate() {
                if !control {
                    count.cut |= 1 << i;
                    continue;
                }
                *controls += 1;
            }
            point.packets += 1;
            point.bytes += u64::from(p.wire_len);
            point.disk_bytes += disk;
        }
        count.bytes += u64::from(p.wire_len);
    }

    /// Forgets connections that have ended.
    fn ended(&mut self) {
        while let Some(r) = self.tracker.next_receipt() {
            let mine = self.open.get(&r.key).is_some_and(|c| c.first == r.first) && r.end != End::Lasting;
            if let Some(count) = mine.then(|| self.open.remove(&r.key)).flatten() {
                whole(&mut self.curve.points, &count);
            }
        }
    }

    /// Nothing comes any more.
    pub fn finish(mut self) -> Curve {
        for count in self.open.values() {
            whole(&mut self.curve.points, count);
        }
        self.curve.span_ns = self.last.saturating_sub(self.first);
        for point in &mut self.curve.points {
            point.disk_bytes = (point.disk_bytes as f64 * super::OVERHEAD) as u64;
        }
        self.curve
    }
}

fn whole(points: &mut [Point], count: &Count) {
    for (i, point) in points.iter_mut().enumerate() {
        point.whole += u64::from(count.cut & 1 << i == 0);
    }
}
