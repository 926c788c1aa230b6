//! The curve of connections of which only the sizes are known. An estimate: the packet that crosses a cutoff is taken to lie with
//! its middle on it, and packets of a connection to be of equal length. Called with the connections of a log or of receipts.

use super::{Curve, LeftOut, Point};
use crate::store::format::{PacketOptions, packet_bytes};

/// One connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Unix ns.
    pub first: u64,
    /// Unix ns.
    pub last: u64,
    /// Both directions.
    pub packets: u64,
    /// Frame lengths on the wire.
    pub bytes: u64,
    /// Not followed, and so without a cutoff.
    pub aggregate: bool,
}

/// Adds connections up.
pub struct Sizes {
    curve: Curve,
    first: u64,
    last: u64,
}

impl Sizes {
    /// For these cutoffs, bytes.
    pub fn new(cutoffs: &[u64]) -> Sizes {
        Sizes { curve: Curve::new(cutoffs, false), first: u64::MAX, last: 0 }
    }

    /// One connection.
    pub fn add(&mut self, c: Size) {
        (self.first, self.last) = (self.first.min(c.first), self.last.max(c.last));
        self.curve.connections += 1;
        // A log may say what it likes: what is too much for a sum stays the largest number.
        self.curve.packets = self.curve.packets.saturating_add(c.packets);
        self.curve.bytes = self.curve.bytes.saturating_add(c.bytes);
        if c.packets == 0 {
            return;
        }
        let mean = c.bytes as f64 / c.packets as f64;
        // A block per packet around its bytes.
        let around = packet_bytes(0, &PacketOptions::default(), 0) as f64 + 1.5;
        for point in &mut self.curve.points {
            let kept = match c.aggregate || c.bytes <= point.cutoff {
                true => c.bytes as f64,
                false => (point.cutoff as f64 + mean / 2.0).min(c.bytes as f64),
            };
            let packets = kept / mean.max(1.0);
            let Point { whole, packets: p, bytes, disk_bytes, .. } = point;
            // What is cut is at least a packet.
            *whole += u64::from(c.bytes as f64 - kept < mean / 2.0);
            *p = p.saturating_add(packets.round() as u64);
            *bytes = bytes.saturating_add(kept as u64);
            *disk_bytes = disk_bytes.saturating_add(((kept + packets * around) * super::OVERHEAD) as u64);
        }
    }

    /// One that can't be taken into account: why, once.
    pub fn leave_out(&mut self, why: LeftOut) {
        let of = &mut self.curve.left_out_because;
        self.curve.left_out += 1;
        of.without_time += why.without_time;
        of.without_counts += why.without_counts;
    }

    /// All are in.
    pub fn finish(mut self) -> Curve {
        self.curve.span_ns = self.last.saturating_sub(self.first);
        self.curve
    }
}
