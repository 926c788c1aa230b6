//! The account: every packet ends in exactly one counter, and the sums hold (the sum law). Owns the counters' names,
//! which are the keys of `--json`, of the metrics and of the ledger. Workers add to their own copy; the control thread
//! adds the copies up and checks the law at rest.

use crate::shape::Count;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// Packets and bytes (frame length on the wire).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Packets.
    #[serde(with = "Count")]
    pub packets: u64,
    /// Bytes on the wire.
    #[serde(with = "Count")]
    pub bytes: u64,
}

impl Tally {
    /// Counts one packet.
    #[inline]
    pub fn add(&mut self, wire_len: u32) {
        self.packets += 1;
        self.bytes += u64::from(wire_len);
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, o: Tally) {
        self.packets += o.packets;
        self.bytes += o.bytes;
    }
}

/// Redirects into a socket that failed, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedirectFailed {
    /// The RX ring was full.
    #[serde(with = "Count")]
    pub ring_full: u64,
    /// The fill ring was empty.
    #[serde(with = "Count")]
    pub no_frame: u64,
    /// The frame did not fit.
    #[serde(with = "Count")]
    pub too_big: u64,
    /// No bound socket.
    #[serde(with = "Count")]
    pub unbound: u64,
}

impl RedirectFailed {
    /// All causes.
    pub fn total(&self) -> u64 {
        self.ring_full + self.no_frame + self.too_big + self.unbound
    }
}

/// What happened before the worker. `xdp`: `seen = shunted + redirected + passed`,
/// `redirected = received + in_ring + redirect_failed`; `packet` and `file`: `seen = shunted + received + lost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceCounts {
    /// All that the source saw.
    pub seen: Tally,
    /// Found in the shunt and dropped in the kernel.
    pub shunted: Tally,
    /// `xdp`: sent to a socket.
    pub redirected: Tally,
    /// `xdp`: given to the host because no socket serves the queue.
    pub passed: Tally,
    /// `xdp`: in a ring, not yet received.
    #[serde(with = "Count")]
    pub in_ring: u64,
    /// `xdp`: not taken by the socket.
    pub redirect_failed: RedirectFailed,
    /// `packet`: dropped by the socket; `file`: records that could not be read.
    #[serde(with = "Count")]
    pub lost: u64,
    /// `xdp`: part of `redirected`; the kernel's parser reached no connection.
    #[serde(with = "Count")]
    pub not_understood: u64,
}

/// Losses in the recorder, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    /// No free block: the disk did not keep up.
    pub disk_stall: Tally,
    /// The ring to the connection's owner was full.
    pub handoff_full: Tally,
    /// Of connections that are not tracked: their source had too many that nobody answers; or the table was full, or the share of
    /// such connections, and the cap on untracked packets reached.
    pub flood: Tally,
}

impl Dropped {
    /// All causes.
    pub fn total(&self) -> Tally {
        let mut t = self.disk_stall;
        t += self.handoff_full;
        t += self.flood;
        t
    }
}

/// What a worker did with what it received:
/// `received = stored + cut + filtered + class_discard + sampled_out + duplicate + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerCounts {
    /// Taken from the source.
    pub received: Tally,
    /// Appended to a block.
    pub stored: Tally,
    /// Past the cutoff.
    pub cut: Tally,
    /// Not matched by the global filter.
    pub filtered: Tally,
    /// Of a class that records nothing.
    pub class_discard: Tally,
    /// Past the cutoff of a sampled class and not drawn.
    pub sampled_out: Tally,
    /// Copies that a mirror port made.
    pub duplicate: Tally,
    /// Lost, by cause.
    pub dropped: Dropped,
    /// Part of `stored`: of connections that are not tracked, since the table was full or a flood took its share of it.
    pub untracked: Tally,
    /// Part of `received`: handed over to the worker that owns the connection.
    pub handed_over: Tally,
    /// Part of `received`, without copies: of link types, tunnels and encapsulations that are not followed, many connections under one name.
    #[serde(default)]
    pub unfollowed: Tally,
}

/// What became of stored packets: `stored = durable + pending + write_failed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreCounts {
    /// On disk, with all that precedes them in their segment.
    #[serde(with = "Count")]
    pub durable: u64,
    /// In memory or in flight.
    #[serde(with = "Count")]
    pub pending: u64,
    /// Given up after a write error.
    #[serde(with = "Count")]
    pub write_failed: u64,
}

macro_rules! add_fields {
    ($t:ty: $($f:ident),+) => {
        impl AddAssign for $t {
            fn add_assign(&mut self, o: $t) { $(self.$f += o.$f;)+ }
        }
        crate::words!($t: $($f),+);
    };
}
crate::words!(Tally: packets, bytes);
add_fields!(RedirectFailed: ring_full, no_frame, too_big, unbound);
add_fields!(SourceCounts: seen, shunted, redirected, passed, in_ring, redirect_failed, lost, not_understood);
add_fields!(Dropped: disk_stall, handoff_full, flood);
add_fields!(WorkerCounts: received, stored, cut, filtered, class_discard, sampled_out, duplicate, dropped, untracked, handed_over, unfollowed);
add_fields!(StoreCounts: durable, pending, write_failed);

/// Which first line of the law holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// AF_XDP.
    Xdp,
    /// AF_PACKET.
    Packet,
    /// A capture file.
    File,
}

impl SourceKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            SourceKind::Xdp => "xdp",
            SourceKind::Packet => "packet",
            SourceKind::File => "file",
        }
    }
}

/// The whole account of a recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// Which source.
    pub source: SourceKind,
    /// Before the worker.
    #[serde(flatten)]
    pub from: SourceCounts,
    /// In the worker.
    #[serde(flatten)]
    pub worker: WorkerCounts,
    /// After the worker.
    #[serde(flatten)]
    pub store: StoreCounts,
}

/// An equation of the law that does not hold, with both sides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account is off: {equation}: {left} is not {right}")]
pub struct Broken {
    /// The equation, in the counters' names.
    pub equation: &'static str,
    /// Its left side.
    pub left: u64,
    /// Its right side.
    pub right: u64,
}

impl Account {
    /// Packets that were lost, wherever, those that only the host has included; policy is no loss.
    pub fn lost_total(&self) -> u64 {
        self.from.lost
            + self.from.passed.packets
            + self.from.redirect_failed.total()
            + self.worker.dropped.total().packets
            + self.store.write_failed
    }

    /// Checks every equation, in packets; exact only at rest.
    pub fn check(&self) -> Result<(), Broken> {
        let eq = |equation, left: u64, right: u64| {
            if left == right { Ok(()) } else { Err(Broken { equation, left, right }) }
        };
        let (f, w, s) = (&self.from, &self.worker, &self.store);
        match self.source {
            SourceKind::Xdp => {
                eq(
                    "seen = shunted + redirected + passed",
                    f.seen.packets,
                    f.shunted.packets + f.redirected.packets + f.passed.packets,
                )?;
                eq(
                    "redirected = received + in_ring + redirect_failed",
                    f.redirected.packets,
                    w.received.packets + f.in_ring + f.redirect_failed.total(),
                )?;
            }
            SourceKind::Packet | SourceKind::File => {
                eq("seen = shunted + received + lost", f.seen.packets, f.shunted.packets + w.received.packets + f.lost)?
            }
        }
        eq(
            "received = stored + cut + filtered + class_discard + sampled_out + duplicate + dropped",
            w.received.packets,
            w.stored.packets
                + w.cut.packets
                + w.filtered.packets
                + w.class_discard.packets
                + w.sampled_out.packets
                + w.duplicate.packets
                + w.dropped.total().packets,
        )?;
        eq("stored = durable + pending + write_failed", w.stored.packets, s.durable + s.pending + s.write_failed)
    }
}
