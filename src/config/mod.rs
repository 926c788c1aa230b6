//! The configuration: a TOML file, the options of `record` laid over it, and the [`Settings`] that come out, checked.
//! Owns key names and their meaning. Called by the command line before anything starts; must never guess: a key that it
//! does not know, or a value that makes no sense, is an error with its place and the way out.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod api;
mod classes;
pub(crate) mod data;
pub mod import;
mod live;
pub mod plan;
mod settings;
mod value;

pub use api::ApiConfig;
pub use classes::{ClassConfig, ClassSettings};
pub use live::{Change, Changes};
pub use settings::{From, Settings};
pub use value::{Cutoff, Dedup, Every, Recorded, Size, SourceChoice, Span};

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// What a configuration file or the command line may say; `None`: nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Interfaces to record from.
    pub interfaces: Vec<String>,
    /// Capture files to read instead; only from the command line.
    #[serde(skip)]
    pub read: Vec<PathBuf>,
    /// Multiple of the files' own pace; only from the command line.
    #[serde(skip)]
    pub pace: Option<f64>,
    /// How packets are taken from the interfaces.
    pub source: Option<SourceChoice>,
    /// Longest part of a packet that is kept, bytes.
    pub snaplen: Option<Size>,
    /// Worker threads.
    pub workers: Option<usize>,
    /// CPUs of the workers, in their order.
    pub worker_cpus: Option<Vec<usize>>,
    /// Directory of the store.
    pub store: Option<PathBuf>,
    /// Disk budget of all classes together.
    pub disk: Option<Size>,
    /// Size of a segment file.
    pub segment_size: Option<Size>,
    /// Memory of each worker's blocks on their way to the disk.
    pub buffers: Option<Size>,
    /// Frames of each worker's rings; what a pause of the worker may take.
    pub frames: Option<u32>,
    /// Whether VLAN ids tell connections apart.
    pub vlan_in_key: Option<bool>,
    /// Connections that are tracked at a time, all workers together: IPv4.
    pub connections_ipv4: Option<usize>,
    /// The same: IPv6 and what is not IP.
    pub connections_ipv6: Option<usize>,
    /// Connections that one source may have open without an answer; 0: any number.
    pub flood_limit: Option<usize>,
    /// The global filter.
    pub filter: Option<Spanned<String>>,
    /// Duplicates from a mirror port are dropped within this time.
    pub dedup: Option<Dedup>,
    /// Time after which it stops by itself.
    pub duration: Option<Span>,
    /// Interval of the statistics where standard error is not a terminal.
    pub log_interval: Option<Span>,
    /// Where metrics are served.
    pub metrics: Option<String>,
    /// Memory in which the latest packets stay readable; 0: none.
    pub memory: Option<Size>,
    /// Questions to the running recorder.
    pub api: ApiConfig,
    /// Storage classes by name; `all` is the one of everything that no other matches.
    pub class: BTreeMap<String, ClassConfig>,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration {path}: {why}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        why: std::io::Error,
    },
    /// It is not TOML, or has a key or value that is not one; `message` has line and column.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
    /// A combination or value that makes no sense; says what to write instead.
    #[error("{0}")]
    Nonsense(String),
}

impl Config {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|why| ConfigError::Read { path: path.to_owned(), why })?;
        Config::parse(&text, path)
    }

    /// Reads a text; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let syntax = |message: String| ConfigError::Syntax { path: path.to_owned(), message };
        let config: Config = toml::from_str(text).map_err(|e| syntax(e.to_string().trim_end().to_owned()))?;
        let filters = config.class.iter().filter_map(|(name, c)| Some((name.as_str(), c.filter.as_ref()?)));
        for (name, filter) in config.filter.iter().map(|f| ("", f)).chain(filters) {
            settings::check_filter(filter.get_ref()).map_err(|why| {
                let (line, column) = place(text, filter.span().start);
                let of = if name.is_empty() { String::new() } else { format!(", class {name}") };
                syntax(format!("line {line}, column {column}{of}: {why}"))
            })?;
        }
        Ok(config)
    }

    /// Lays `over` on this: what it says wins.
    pub fn overlay(self, over: Config) -> Config {
        let mut class = self.class;
        for (name, c) in over.class {
            let under = class.remove(&name).unwrap_or_default();
            class.insert(name, under.overlay(c));
        }
        let list = |under: Vec<String>, over: Vec<String>| if over.is_empty() { under } else { over };
        Config {
            interfaces: if over.read.is_empty() { list(self.interfaces, over.interfaces) } else { Vec::new() },
            read: over.read,
            pace: over.pace,
            source: over.source.or(self.source),
            snaplen: over.snaplen.or(self.snaplen),
            workers: over.workers.or(self.workers),
            worker_cpus: over.worker_cpus.or(self.worker_cpus),
            store: over.store.or(self.store),
            disk: over.disk.or(self.disk),
            segment_size: over.segment_size.or(self.segment_size),
            buffers: over.buffers.or(self.buffers),
            frames: over.frames.or(self.frames),
            vlan_in_key: over.vlan_in_key.or(self.vlan_in_key),
            connections_ipv4: over.connections_ipv4.or(self.connections_ipv4),
            connections_ipv6: over.connections_ipv6.or(self.connections_ipv6),
            flood_limit: over.flood_limit.or(self.flood_limit),
            filter: over.filter.or(self.filter),
            dedup: over.dedup.or(self.dedup),
            duration: over.duration.or(self.duration),
            log_interval: over.log_interval.or(self.log_interval),
            metrics: over.metrics.or(self.metrics),
            memory: over.memory.or(self.memory),
            api: self.api.overlay(over.api),
            class,
        }
    }
}

/// Line and column, from 1, of a byte offset.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests;
