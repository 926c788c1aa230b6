//! The truth about a run: what was offered, and what a cutoff must keep of it. The keys of `load --json`.

use serde::Serialize;
use std::fmt;

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Tally {
    /// Packets.
    pub packets: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

impl Tally {
    /// Counts one packet.
    pub fn add(&mut self, len: usize) {
        self.packets += 1;
        self.bytes += len as u64;
    }
}

/// The truth about one run.
#[derive(Clone, Debug, Serialize)]
pub struct Truth {
    pub mix: String,
    pub seed: u64,
    pub interfaces: Vec<String>,
    pub elapsed_s: f64,
    /// `attempted = offered + refused + failed`.
    pub attempted: Tally,
    /// Taken by the device: these arrive at the peer's XDP.
    pub offered: Tally,
    /// The device's ring was full.
    pub refused: Tally,
    /// Not even queued: device down or frame too long.
    pub failed: Tally,
    /// Connections of which a packet was offered.
    pub connections: u64,
    /// Of these, those whose first packet was: the others were under way when the load started.
    pub begun: u64,
    pub cutoff: u64,
    /// What this cutoff must keep of `offered`.
    pub kept: Tally,
    pub gbps: f64,
    pub mpps: f64,
    /// Seconds by which the schedule had to be moved because the load could not keep its pace.
    pub slipped_s: f64,
    /// What the sink counted, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sunk: Option<Tally>,
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = |t: Tally| format!("{:>12} packets {:>15} bytes", t.packets, t.bytes);
        writeln!(
            f,
            "{} (seed {}): {:.2} Gbit/s, {:.3} Mpps for {:.2} s",
            self.mix, self.seed, self.gbps, self.mpps, self.elapsed_s
        )?;
        writeln!(f, "attempted  {}", t(self.attempted))?;
        writeln!(f, "refused    {}", t(self.refused))?;
        writeln!(f, "offered    {}  in {} connections, {} of them new", t(self.offered), self.connections, self.begun)?;
        if let Some(sunk) = self.sunk {
            writeln!(f, "sunk       {}", t(sunk))?;
        }
        write!(f, "kept       {}  by a cutoff of {} bytes", t(self.kept), self.cutoff)
    }
}
