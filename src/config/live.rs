//! What of the settings a running recorder takes over, and what of them only a start does. Owns that line, key by key, and the
//! comparison of two settings; asked by a reload. What is new in [`Settings`] belongs into one of the two lists here.

use super::{From, Settings};
use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A key whose value is another one. Sizes are bytes, lengths of time seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ConfigurationChange")]
pub struct Change {
    /// As in the file: `class.dns.cutoff`.
    pub key: String,
    /// What it was; null: it was not said, or its class was not there.
    pub from: Value,
    /// What it is.
    pub to: Value,
    /// What a number counts; null: it is none, or of things.
    pub unit: Option<Unit>,
}

/// What the number of a setting counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// The differences between two settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Reloaded")]
pub struct Changes {
    /// What holds from now on.
    pub changed: Vec<Change>,
    /// What the file says and only a restart brings.
    pub needs_restart: Vec<Change>,
    /// Workers that did not answer: they have what was in force until they do, and then this.
    pub waiting_workers: Vec<usize>,
    /// Assignments to classes that are there no more: they are taken back.
    pub unassigned: usize,
    /// The API's certificate is another now.
    pub certificate: bool,
}

impl Changes {
    /// What has changed, in words: a line for each key, and one for a class that came or went.
    pub fn changed_in_words(&self) -> Vec<String> {
        let name = |c: &Change| Some(c.key.strip_prefix("class.")?.strip_suffix(".name")?.to_owned());
        let whole: BTreeSet<String> = self.changed.iter().filter_map(name).collect();
        let of_whole = |c: &Change| {
            c.key.strip_prefix("class.").is_some_and(|k| whole.iter().any(|n| k.split('.').next() == Some(n)))
        };
        let one = |c: &Change| match name(c) {
            Some(class) if c.from.is_null() => Some(format!("class {class} is new")),
            Some(class) => Some(format!("class {class} is gone")),
            None if of_whole(c) => None,
            None => Some(format!("{}: {} instead of {}", c.key, c.value(&c.to), c.value(&c.from))),
        };
        let certificate = self.certificate.then(|| "the API's certificate is another".to_owned());
        self.changed.iter().filter_map(one).chain(certificate).collect()
    }

    /// What only a restart brings.
    pub fn needs_restart_in_words(&self) -> Vec<String> {
        let one =
            |c: &Change| format!("{}: {} needs a restart; it is still {}", c.key, c.value(&c.to), c.value(&c.from));
        self.needs_restart.iter().map(one).collect()
    }

    /// That assignments have gone with their classes.
    pub fn unassigned_in_words(&self) -> Option<String> {
        let n = self.unassigned;
        (n > 0).then(|| format!("{} of classes that are gone: taken back", units::several(n as u64, "assignment")))
    }
}

/// Settings whose numbers are sizes, by the last word of their keys.
const SIZES: &[&str] =
    &["disk", "memory", "segment_size", "cutoff", "cutoff_jitter", "snaplen", "buffers", "query_bytes"];

impl Change {
    /// Of a setting as it is kept: a key that ends in `_ns` counts nanoseconds.
    fn new(key: &str, from: Value, to: Value) -> Change {
        let seconds = |v: Value| v.as_u64().map_or(v, |ns| json!(ns as f64 / 1e9));
        let last = key.rsplit('.').next().unwrap_or_default();
        match key.strip_suffix("_ns") {
            Some(name) => Change { key: name.into(), from: seconds(from), to: seconds(to), unit: Some(Unit::Seconds) },
            None => Change { key: key.into(), from, to, unit: SIZES.contains(&last).then_some(Unit::Bytes) },
        }
    }

    /// As in the file, or nearly.
    fn value(&self, value: &Value) -> String {
        match value {
            Value::Null => "none".into(),
            Value::String(text) => text.clone(),
            Value::Number(n) => match (self.unit, n.as_u64(), n.as_f64()) {
                (Some(Unit::Seconds), _, Some(seconds)) => units::duration((seconds * 1e9).round() as u64),
                (Some(Unit::Bytes), Some(bytes), _) => units::size(bytes),
                _ => n.to_string(),
            },
            other => other.to_string(),
        }
    }
}

impl Settings {
    /// What a reload changes.
    fn live(&self) -> Value {
        let classes: serde_json::Map<String, Value> =
            self.classes.iter().map(|c| (c.name.clone(), c.to_json())).collect();
        let (api, access) = (&self.api_limits, &self.api_access);
        json!({
            "filter": self.filter, "snaplen": self.snaplen, "dedup_ns": self.dedup_ns, "flood_limit": self.flood_limit, "disk": self.disk,
            "segment_size": self.segment_bytes, "class": classes,
            "api": {
                "queries": api.queries, "query_time_ns": api.time_ns, "query_bytes": api.bytes, "roles": access.roles,
                "certificate": access.tcp.as_ref().map(|t| &t.certificate), "key": access.tcp.as_ref().map(|t| &t.key),
            },
        })
    }

    /// What a reload can't: memory is taken, threads and sockets are made at the start.
    fn fixed(&self) -> Value {
        let (files, interfaces) = match &self.from {
            From::Files { paths, .. } => (json!(paths), Value::Null),
            From::Interfaces { names, choice } => (Value::Null, json!([names, format!("{choice:?}").to_lowercase()])),
        };
        // A reload takes roles, and what TLS has in files.
        let tcp = self.api_access.tcp.as_ref().map(|t| (t.listen, &t.tokens));
        json!({
            "files": files, "interfaces": interfaces, "workers": self.workers, "worker_cpus": self.worker_cpus,
            "store": self.store, "buffers": self.buffer_bytes, "frames": self.frames, "vlan_in_key": self.vlan_in_key,
            "connections_ipv4": self.connections.first(), "connections_ipv6": self.connections.get(1),
            "metrics": self.metrics.as_ref().map(|m| format!("{m:?}")), "duration_ns": self.duration_ns,
            "log_interval_ns": self.log_interval_ns, "memory": self.memory,
            "api": { "socket": format!("{:?}", self.api), "group": self.api_access.group, "tcp": tcp.map(|t| format!("{t:?}")) },
        })
    }

    /// These with what of `new` a reload changes, and what that is.
    pub fn adopt(&self, new: Settings) -> (Settings, Changes) {
        let needs_restart = differences(&self.fixed(), &new.fixed());
        let settings = Settings {
            filter: new.filter,
            snaplen: new.snaplen,
            dedup_ns: new.dedup_ns,
            flood_limit: new.flood_limit,
            disk: new.disk,
            segment_bytes: new.segment_bytes,
            classes: new.classes,
            api_limits: new.api_limits,
            api_access: self.api_access.adopt(new.api_access),
            ..self.clone()
        };
        let changes = Changes {
            changed: differences(&self.live(), &settings.live()),
            needs_restart,
            waiting_workers: Vec::new(),
            unassigned: 0,
            certificate: false,
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
    keys.into_iter().map(|key| Change::new(key, value(&was, key), value(&is, key))).filter(|c| c.from != c.to).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_in_words() {
        let was = json!({ "disk": null, "dedup_ns": null, "class": {
            "all": { "name": "all", "cutoff": 15360, "idle_tcp_ns": 300_000_000_000u64, "record": true },
            "dns": { "name": "dns", "filter": "port 53", "cutoff": null } } });
        let is = json!({ "disk": 1u64 << 30, "dedup_ns": 50_000_000, "class": {
            "all": { "name": "all", "cutoff": null, "idle_tcp_ns": 60_000_000_000u64, "record": true },
            "dns2": { "name": "dns2", "filter": "port 53 or port 5353", "cutoff": null } } });
        let mut changes = Changes { changed: differences(&was, &is), ..Changes::default() };
        let words = [
            "class.all.cutoff: none instead of 15.0 KiB",
            "class.all.idle_tcp: 1m instead of 5m",
            "class dns is gone",
            "class dns2 is new",
            "dedup: 50 ms instead of none",
            "disk: 1.00 GiB instead of none",
        ];
        assert_eq!(changes.changed_in_words(), words);
        assert_eq!(changes.unassigned_in_words(), None);
        changes.unassigned = 1;
        assert!(changes.unassigned_in_words().is_some_and(|w| w.starts_with("1 assignment of")));
    }
}
