//! The truth about a run: what was offered, and what a cutoff must keep of it. The keys of `load --json`.

use super::Options;
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

/// What was offered before the time that is measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WarmUp {
    pub offered: Tally,
    pub kept: Tally,
    pub begun: u64,
}

/// The truth about one run.
#[derive(Clone, Debug, Serialize)]
pub struct Truth {
    pub mix: String,
    pub seed: u64,
    pub interfaces: Vec<String>,
    /// Of the time after the warm-up; `gbps` and `mpps` are of it too.
    pub elapsed_s: f64,
    /// `attempted = offered + refused + failed`.
    pub attempted: Tally,
    /// Taken by the device: these arrive at the peer's XDP.
    pub offered: Tally,
    /// The part of `offered`, `kept` and `begun` that was the warm-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<WarmUp>,
    /// The device's ring was full.
    pub refused: Tally,
    /// Not even queued: device down or frame too long.
    pub failed: Tally,
    /// Connections of which a packet was offered; of a trace not known, like the next and `kept`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Of these, those whose first packet was: the others were under way when the load started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun: Option<u64>,
    pub cutoff: u64,
    /// What this cutoff must keep of `offered`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Tally>,
    pub gbps: f64,
    pub mpps: f64,
    /// Seconds by which the schedule had to be moved because the load could not keep its pace.
    pub slipped_s: f64,
    /// What the sink counted, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sunk: Option<Tally>,
}

impl Truth {
    /// What is known of any load in a file: all of it is there.
    pub fn of_file(options: &Options, offered: Tally, elapsed_s: f64) -> Truth {
        Truth {
            mix: options.name(),
            seed: options.seed,
            interfaces: Vec::new(),
            elapsed_s,
            warm_up: None,
            attempted: offered,
            offered,
            refused: Tally::default(),
            failed: Tally::default(),
            connections: None,
            begun: None,
            cutoff: options.cutoff,
            kept: None,
            gbps: offered.bytes as f64 * 8.0 / elapsed_s / 1e9,
            mpps: offered.packets as f64 / elapsed_s / 1e6,
            slipped_s: 0.0,
            sunk: None,
        }
    }
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
        write!(f, "offered    {}", t(self.offered))?;
        if let (Some(connections), Some(begun)) = (self.connections, self.begun) {
            write!(f, "  in {connections} connections, {begun} of them new")?;
        }
        if let Some(sunk) = self.sunk {
            write!(f, "\nsunk       {}", t(sunk))?;
        }
        match self.kept {
            Some(kept) => write!(f, "\nkept       {}  by a cutoff of {} bytes", t(kept), self.cutoff),
            None => Ok(()),
        }
    }
}
