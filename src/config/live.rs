//! What of the settings a running recorder takes over, and what of them only a start does. Owns that line, key by key, and the
//! comparison of two settings; asked by a reload. What is new in [`Settings`] belongs into one of the two lists here.

use super::{From, Settings};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A key whose value is another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// As in the file: `class.dns.cutoff`.
    pub key: String,
    /// What it was; null: it was not said, or its class was not there.
    pub from: Value,
    /// What it is.
    pub to: Value,
}

/// The differences between two settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Changes {
    /// What holds from now on.
    pub changed: Vec<Change>,
    /// What the file says and only a restart brings.
    pub needs_restart: Vec<Change>,
    /// Workers that did not answer: they have what was in force until they do, and then this.
    pub waiting_workers: Vec<usize>,
}

impl Settings {
    /// What a reload changes.
    fn live(&self) -> Value {
        let classes: serde_json::Map<String, Value> =
            self.classes.iter().map(|c| (c.name.clone(), c.to_json())).collect();
        let api = &self.api_limits;
        json!({
            "filter": self.filter, "snaplen": self.snaplen, "dedup_ns": self.dedup_ns, "flood_limit": self.flood_limit, "disk": self.disk,
            "segment_size": self.segment_bytes, "class": classes,
            "api": { "queries": api.queries, "query_time_ns": api.time_ns, "query_bytes": api.bytes },
        })
    }

    /// What a reload can't: memory is taken, threads and sockets are made at the start.
    fn fixed(&self) -> Value {
        let (files, interfaces) = match &self.from {
            From::Files { paths, .. } => (json!(paths), Value::Null),
            From::Interfaces { names, choice } => (Value::Null, json!([names, format!("{choice:?}").to_lowercase()])),
        };
        json!({
            "files": files, "interfaces": interfaces, "workers": self.workers, "worker_cpus": self.worker_cpus,
            "store": self.store, "buffers": self.buffer_bytes, "frames": self.frames, "vlan_in_key": self.vlan_in_key,
            "connections_ipv4": self.connections.first(), "connections_ipv6": self.connections.get(1),
            "metrics": self.metrics.as_ref().map(|m| format!("{m:?}")), "duration_ns": self.duration_ns,
            "log_interval_ns": self.log_interval_ns, "memory": self.memory,
            "api": { "socket": format!("{:?}", self.api), "access": format!("{:?}", self.api_access) },
        })
    }

    /// These with what of `new` a reload changes, and what that is.
    pub fn adopt(&self, new: Settings) -> (Settings, Changes) {
        let changes = Changes {
            changed: differences(&self.live(), &new.live()),
            needs_restart: differences(&self.fixed(), &new.fixed()),
            waiting_workers: Vec::new(),
        };
        let settings = Settings {
            filter: new.filter,
            snaplen: new.snaplen,
            dedup_ns: new.dedup_ns,
            flood_limit: new.flood_limit,
            disk: new.disk,
            segment_bytes: new.segment_bytes,
            classes: new.classes,
            api_limits: new.api_limits,
            ..self.clone()
        };
        (settings, changes)
    }
}

fn differences(from: &Value, to: &Value) -> Vec<Change> {
    let (mut was, mut is) = (BTreeMap::new(), BTreeMap::new());
    flatten(String::new(), from, &mut was);
    flatten(String::new(), to, &mut is);
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let value = |of: &BTreeMap<String, Value>, key: &String| of.get(key).cloned().unwrap_or(Value::Null);
    keys.into_iter()
        .map(|key| Change { key: key.clone(), from: value(&was, key), to: value(&is, key) })
        .filter(|c| c.from != c.to)
        .collect()
}

fn flatten(name: String, value: &Value, to: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(format!("{name}{dot}{key}"), value, to);
            }
        }
        other => drop(to.insert(name, other.clone())),
    }
}
