//! The configuration resolved: every number there, every combination checked. Read by `record`; nothing is decided later
//! but what only the system knows (queues, drivers, CPUs).

use super::classes::{ClassSettings, check_memory, classes, shadowed};
use super::value::{Dedup, Size, SourceChoice, Span};
use super::{Config, ConfigError};
use crate::control::{Access, Limits, Place};
use crate::filter::Filter;
use crate::limits::{
    BLOCK_BYTES, BUFFERS_BYTES, BUFFERS_FILES_BYTES, CONNECTIONS_IPV4, CONNECTIONS_IPV6, CONNECTIONS_LIVE_IPV4,
    CONNECTIONS_LIVE_IPV6, CPUS_MAX, DEDUP_NS_MAX, FLOOD_LIMIT_LEAST, FLOOD_LIMIT_MIN, FLOOD_TABLE_PART, FRAMES,
    IFACES_MAX, RECENT_BYTES, RECENT_BYTES_MIN, SEGMENT_BYTES, SEGMENT_BYTES_MIN, SNAPLEN, WORKERS_MAX,
};
use crate::metrics::http::Address;
use crate::units;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;

/// Where packets come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum From {
    /// Capture files, at a multiple of their pace.
    Files {
        /// In this order; `-` is standard input.
        paths: Vec<PathBuf>,
        /// Multiple of their own pace; `None`: as fast as they can be read.
        pace: Option<f64>,
    },
    /// Interfaces.
    Interfaces {
        /// Their names.
        names: Vec<String>,
        /// Which source, where the user cares.
        choice: SourceChoice,
    },
}

/// Everything that `record` needs to know. As data it goes to the processes of a recorder, which read no configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Where packets come from.
    pub from: From,
    /// Bytes kept of each packet at most.
    pub snaplen: u32,
    /// Worker threads, where that is said.
    pub workers: Option<usize>,
    /// CPUs of the workers, in their order; with fewer they go round. None: those that the process may use.
    pub worker_cpus: Vec<usize>,
    /// Directory of the store.
    #[serde(with = "super::data")]
    pub store: PathBuf,
    /// Disk budget, bytes; `None`: what the filesystem has, less a reserve (2 %, at least 1 GiB; of a small one 5 %).
    pub disk: Option<u64>,
    /// Size of a segment.
    pub segment_bytes: u64,
    /// Memory of blocks of each worker.
    pub buffer_bytes: u64,
    /// Frames of each worker's rings.
    pub frames: u32,
    /// Whether VLAN ids tell connections apart.
    pub vlan_in_key: bool,
    /// Where metrics are served, if they are.
    pub metrics: Option<Address>,
    /// Tracked connections of all workers: IPv4; IPv6 and others.
    pub connections: [usize; 2],
    /// Connections that one source may have open without an answer, all workers together; `None`: any number.
    pub flood_limit: Option<usize>,
    /// The global filter.
    pub filter: Option<String>,
    /// Duplicates are dropped within this time, ns; `None`: they are kept.
    pub dedup_ns: Option<u64>,
    /// Stops by itself after this time, ns.
    pub duration_ns: Option<u64>,
    /// Interval of the statistics off a terminal, ns.
    pub log_interval_ns: u64,
    /// Memory of recent packets, bytes; 0: none.
    pub memory: u64,
    /// Where the API listens.
    pub api: Place,
    /// What its clients may do.
    pub api_limits: Limits,
    /// Who they are.
    pub api_access: Access,
    /// The classes, `all` first.
    pub classes: Vec<ClassSettings>,
}

/// That libpcap compiles it for a link type that there may be.
pub(super) fn check_filter(expression: &str) -> Result<(), String> {
    Filter::check(expression).map_err(|e| e.to_string())
}

pub(super) fn nonsense<T>(why: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Nonsense(why.into()))
}

impl Settings {
    /// Resolves and checks.
    pub fn new(config: Config) -> Result<Settings, ConfigError> {
        let from = from(&config)?;
        let Some(store) = config.store else {
            return nonsense(
                "no store: say where to record to with --store DIR (or RETROTAP_STORE, or `store` in the configuration)",
            );
        };
        let filter = config.filter.map(|f| f.into_inner()).filter(|f| !f.trim().is_empty());
        if let Some(Err(why)) = filter.as_deref().map(check_filter) {
            return nonsense(why);
        }
        let segment_bytes = bytes(config.segment_size, SEGMENT_BYTES).next_multiple_of(BLOCK_BYTES as u64);
        if segment_bytes < SEGMENT_BYTES_MIN {
            return nonsense(format!("a segment size below {} is not possible", units::size(SEGMENT_BYTES_MIN)));
        }
        let disk = config.disk.map(|d| d.0);
        // The reader of files waits for room, a worker at a wire drops.
        let buffers = if matches!(from, From::Files { .. }) { BUFFERS_FILES_BYTES } else { BUFFERS_BYTES };
        let buffer_bytes = bytes(config.buffers, buffers);
        if buffer_bytes < 4 * BLOCK_BYTES as u64 {
            return nonsense(format!("buffers below {} cannot bridge a write", units::size(4 * BLOCK_BYTES as u64)));
        }
        let snaplen = match config.snaplen {
            None | Some(Size(0)) => SNAPLEN,
            Some(Size(n)) => u32::try_from(n).unwrap_or(SNAPLEN).min(SNAPLEN),
        };
        match config.workers {
            Some(0) => return nonsense("0 workers cannot record: leave workers out to have one for each queue"),
            Some(n) if n > WORKERS_MAX => return nonsense(format!("{n} workers: {WORKERS_MAX} at most")),
            Some(n) if n > 1 && matches!(from, From::Files { .. }) => {
                return nonsense(format!("{n} workers: files are read by one, in their order; leave workers out"));
            }
            _ => {}
        }
        if let Some(cpu) = config.worker_cpus.iter().flatten().find(|cpu| **cpu >= CPUS_MAX) {
            return nonsense(format!("worker_cpus: there is no CPU {cpu}"));
        }
        let log_interval_ns = config.log_interval.map_or(10_000_000_000, |Span(ns)| ns);
        if log_interval_ns < 100_000_000 {
            return nonsense("a log interval below 100ms only floods the log");
        }
        if let Some(Dedup(Some(ns))) = config.dedup
            && !(1..=DEDUP_NS_MAX).contains(&ns)
        {
            let most = units::duration(DEDUP_NS_MAX);
            return nonsense(format!("dedup: {most} at most: what is further apart was sent twice"));
        }
        let frames = config.frames.unwrap_or(FRAMES);
        if !(64..=1 << 24).contains(&frames) {
            return nonsense(format!("{frames} frames: 64 at least, {} at most", 1 << 24));
        }
        let [v4, v6] = match from {
            From::Files { .. } => [CONNECTIONS_IPV4, CONNECTIONS_IPV6],
            From::Interfaces { .. } => [CONNECTIONS_LIVE_IPV4, CONNECTIONS_LIVE_IPV6],
        };
        let connections = [config.connections_ipv4.unwrap_or(v4), config.connections_ipv6.unwrap_or(v6)];
        if connections.iter().any(|n| *n < 1024) {
            return nonsense(
                "room for fewer than 1024 connections is none: raise connections_ipv4 and connections_ipv6",
            );
        }
        let flood_limit = match (config.flood_limit, &from) {
            // Files are taken whole.
            (Some(0), _) | (None, From::Files { .. }) => None,
            (None, From::Interfaces { .. }) => Some((connections[0] / FLOOD_TABLE_PART).max(FLOOD_LIMIT_MIN)),
            (Some(n), _) if n < FLOOD_LIMIT_LEAST => {
                return nonsense(format!("flood_limit: {FLOOD_LIMIT_LEAST} at least, or 0 for no limit"));
            }
            (Some(n), _) => Some(n),
        };
        let metrics = match config.metrics.as_deref().map(str::parse) {
            Some(Err(why)) => return nonsense(format!("metrics: {why}")),
            Some(Ok(address)) => Some(address),
            None => None,
        };
        let (api, api_limits, api_access) = config.api.settle()?;
        let default = if matches!(from, From::Interfaces { .. }) { RECENT_BYTES } else { 0 };
        let memory = bytes(config.memory, default);
        if memory > 0 && memory < RECENT_BYTES_MIN {
            return nonsense(format!(
                "memory below {} holds no more than a few blocks; 0 is none",
                units::size(RECENT_BYTES_MIN)
            ));
        }
        Ok(Settings {
            memory,
            api,
            api_limits,
            api_access,
            from,
            snaplen,
            workers: config.workers,
            worker_cpus: config.worker_cpus.unwrap_or_default(),
            store,
            disk,
            segment_bytes,
            buffer_bytes,
            frames,
            vlan_in_key: config.vlan_in_key.unwrap_or(true),
            connections,
            flood_limit,
            metrics,
            filter,
            dedup_ns: config.dedup.and_then(|Dedup(ns)| ns),
            duration_ns: config.duration.map(|Span(ns)| ns),
            log_interval_ns,
            classes: classes(config.class, disk, memory, snaplen)?,
        })
    }
}

impl Settings {
    /// Whether the memory of recent packets has room for what classes have of it.
    pub fn memory_fits(&self) -> Result<(), ConfigError> {
        check_memory(&self.classes, self.memory)
    }

    /// Classes that no connection ever gets: a line for each.
    pub fn shadowed(&self) -> Vec<String> {
        shadowed(&self.classes)
    }

    /// What was in force, for the ledger.
    pub fn to_json(&self) -> serde_json::Value {
        let from = match &self.from {
            From::Files { paths, pace } => json!({ "files": paths, "pace": pace }),
            From::Interfaces { names, .. } => json!({ "interfaces": names }),
        };
        json!({
            "from": from, "filter": self.filter, "snaplen": self.snaplen, "disk": self.disk,
            "dedup_ns": self.dedup_ns, "flood_limit": self.flood_limit, "segment_size": self.segment_bytes, "memory": self.memory,
            "classes": self.classes.iter().map(ClassSettings::to_json).collect::<Vec<_>>(),
        })
    }
}

pub(super) fn bytes(size: Option<Size>, default: u64) -> u64 {
    size.map_or(default, |Size(n)| n)
}

fn from(config: &Config) -> Result<From, ConfigError> {
    let choice = config.source.unwrap_or_default();
    let (files, interfaces) = (&config.read, &config.interfaces);
    match (files.is_empty(), interfaces.is_empty()) {
        (true, true) => {
            nonsense("nothing to record from: name an interface (-i eth1) or a capture file (-r trace.pcap)")
        }
        (false, false) => nonsense("either interfaces (-i) or files (-r), not both"),
        (false, true) => match choice {
            SourceChoice::Auto | SourceChoice::File if config.pace.is_some_and(|p| !(p > 0.0 && p.is_finite())) => {
                nonsense("--pace must be above 0: 1.0 is the trace's own pace; leave it out to read as fast as it goes")
            }
            SourceChoice::Auto | SourceChoice::File => Ok(From::Files { paths: files.clone(), pace: config.pace }),
            _ => nonsense("files are read by source file: leave --source out, or name an interface (-i)"),
        },
        (true, false) => {
            if config.pace.is_some() {
                return nonsense("--pace is for capture files (--read): an interface has its own pace");
            }
            if choice == SourceChoice::File {
                return nonsense("source file reads files: name them (-r trace.pcap), or leave --source out");
            }
            if interfaces.len() > IFACES_MAX {
                return nonsense(format!("{} interfaces: {IFACES_MAX} at most", interfaces.len()));
            }
            if let Some(twice) =
                interfaces.iter().enumerate().find(|(i, n)| interfaces.iter().take(*i).any(|m| m == *n))
            {
                return nonsense(format!("interface {} is named twice", twice.1));
            }
            Ok(From::Interfaces { names: interfaces.clone(), choice })
        }
    }
}
