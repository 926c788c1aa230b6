//! A sample in its parts: by interface, queue, class and worker. Made each second by the control thread; what a scrape shows
//! is this and nothing else, so that a scrape asks neither a worker nor the kernel.

use crate::conn::TrackerStats;
use crate::metrics::account::{SourceCounts, StoreCounts};
use crate::metrics::latency::Distribution;
use crate::metrics::status::{Latency, RecentBlocks};
use crate::metrics::tallies::Row;
use crate::recent::Shares;
use crate::store::KeeperCounts;
use crate::store::sink::WriterStats;
use crate::window::HeldOfClass;
use std::collections::BTreeMap;

/// One queue of an interface (`xdp`), one interface (`packet`), all files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// The interface; empty for files.
    pub interface: String,
    /// The queue; empty where the source knows none.
    pub queue: String,
    /// Before the worker.
    pub from: SourceCounts,
    /// Places of the ring, packets; 0: it has no such ring.
    pub ring_size: u64,
    /// In the worker, by class.
    pub row: Row,
}

/// What the counters of an interface itself call lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicLoss {
    /// The interface.
    pub interface: String,
    /// `rx_missed` and kin.
    pub cause: &'static str,
    /// Packets since the start.
    pub packets: u64,
    /// What its counter said last; begins at 0 again when the interface comes back.
    pub reading: u64,
}

/// Distributions of times, ns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// A worker's work on a batch.
    pub step: Distribution,
    /// From arrival to durable, the oldest packet of each block.
    pub durable: Distribution,
    /// From arrival until a question finds it: the oldest packet of each block that comes into memory; without memory, of what is
    /// published for other processes at a time.
    pub queryable: Distribution,
}

impl Times {
    /// The quantiles.
    pub fn latency(&self) -> Latency {
        Latency {
            step: self.step.quantiles(),
            durable: self.durable.quantiles(),
            queryable: self.queryable.quantiles(),
        }
    }
}

/// One worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerDetail {
    /// What became of what it stored.
    pub store: StoreCounts,
    /// Its blocks.
    pub writer: WriterStats,
}

/// Everything that the totals of a sample are made of, and what has no total.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// By interface and queue.
    pub ports: Vec<Port>,
    /// By worker.
    pub workers: Vec<WorkerDetail>,
    /// The connection tables and the shunt, all workers together.
    pub tracker: TrackerStats,
    /// The keeper.
    pub keeper: KeeperCounts,
    /// Memory; `None`: there is none.
    pub memory: Option<RecentBlocks>,
    /// What is in it, by class.
    pub held: BTreeMap<String, HeldOfClass>,
    /// By interface and cause.
    pub nic: Vec<NicLoss>,
    /// Interfaces, and whether they have a link.
    pub links: Vec<(String, bool)>,
    /// Latencies.
    pub times: Times,
    /// The filesystem of the store: size and what is free of it, bytes.
    pub filesystem: Option<(u64, u64)>,
}

/// What does not change while a recording runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `xdp`, `packet`, `file`.
    pub source: &'static str,
    /// Unix ns.
    pub started: u64,
    /// Classes by id, each with its disk budget.
    pub classes: Vec<(String, Option<u64>)>,
    /// `min_age` of the classes that have one, ns.
    pub min_ages: Vec<(String, u64)>,
    /// The memory of recent packets, and what classes have of it.
    pub shares: Shares,
    /// Disk budget of the store.
    pub budget: Option<u64>,
    /// Connections that the tables are made for: IPv4; IPv6 and others.
    pub connections: [u64; 2],
    /// Places of the shunt.
    pub shunt_slots: u64,
    /// Memory that was set aside at the start, by part, bytes.
    pub memory: Vec<(&'static str, u64)>,
}
