//! The `[class.NAME]` sections: their keys, and the [`ClassSettings`] that come out, checked. Part of the configuration; knows nothing
//! of a running recorder.

use super::ConfigError;
use super::settings::{bytes, nonsense};
use super::value::{Cutoff, Every, Recorded, Size, Span};
use crate::class::{Idle, Keep, Policy, UnknownCutoff};
use crate::limits::{
    CLASS_NAME_BYTES, CLASS_SNAPLEN_MIN, CLASSES_MAX, MAX_AGE_NS_MIN, RECENT_BYTES_MIN, SAMPLE_MAX, SEGMENT_BYTES_MIN,
};
use crate::units;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use toml::Spanned;

/// Name of the class of what no other matches.
const ALL: &str = "all";

/// What a `[class.NAME]` section may say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassConfig {
    /// Which connections, by the first packet of whoever began them; required but for `all`, where it makes no sense.
    pub filter: Option<Spanned<String>>,
    /// The highest that matches wins.
    pub precedence: Option<i32>,
    /// Bytes kept of each connection, or `none`.
    pub cutoff: Option<Cutoff>,
    /// The same in packets.
    pub cutoff_packets: Option<u64>,
    /// The same of what is no connection but may carry many: link types, tunnels and encapsulations that are not followed.
    pub cutoff_unknown: Option<Cutoff>,
    /// Up to this much is added to the cutoff at random.
    pub cutoff_jitter: Option<Size>,
    /// Past the cutoff one packet in so many is kept; 0: none.
    pub sample: Option<u32>,
    /// Longest part of a packet that is kept.
    pub snaplen: Option<Size>,
    /// A silent TCP connection has ended after this time.
    pub idle_tcp: Option<Span>,
    /// The same for UDP.
    pub idle_udp: Option<Span>,
    /// The same for ICMP and ICMPv6.
    pub idle_icmp: Option<Span>,
    /// The same for all others, and for those two where they say nothing.
    pub idle_other: Option<Span>,
    /// The count of a lasting TCP connection starts anew at this interval.
    pub renew_tcp: Option<Every>,
    /// The same for all others.
    pub renew_other: Option<Every>,
    /// None: counted, never stored.
    pub record: Option<Recorded>,
    /// Disk budget of the class, within that of the store.
    pub disk: Option<Size>,
    /// Memory of the class, within that of recent packets.
    pub memory: Option<Size>,
    /// What was recorded longer ago goes.
    pub max_age: Option<Span>,
    /// What the budget should hold at least.
    pub min_age: Option<Span>,
    /// Where a segment of the class ends.
    pub segment_size: Option<Size>,
}

/// One class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassSettings {
    /// Its name, which is also that of its directory.
    pub name: String,
    /// Which connections; `None` for `all`.
    pub filter: Option<String>,
    /// The highest that matches wins.
    pub precedence: i32,
    /// How much is kept of each connection.
    pub policy: Policy,
    /// How long it is kept, and in what.
    pub keep: Keep,
    /// Memory of its own for its latest packets, bytes; `None`: it shares what the others leave.
    pub memory: Option<u64>,
}

impl ClassConfig {
    pub(super) fn overlay(self, over: ClassConfig) -> ClassConfig {
        ClassConfig {
            filter: over.filter.or(self.filter),
            precedence: over.precedence.or(self.precedence),
            cutoff: over.cutoff.or(self.cutoff),
            cutoff_packets: over.cutoff_packets.or(self.cutoff_packets),
            cutoff_unknown: over.cutoff_unknown.or(self.cutoff_unknown),
            cutoff_jitter: over.cutoff_jitter.or(self.cutoff_jitter),
            sample: over.sample.or(self.sample),
            snaplen: over.snaplen.or(self.snaplen),
            idle_tcp: over.idle_tcp.or(self.idle_tcp),
            idle_udp: over.idle_udp.or(self.idle_udp),
            idle_icmp: over.idle_icmp.or(self.idle_icmp),
            idle_other: over.idle_other.or(self.idle_other),
            renew_tcp: over.renew_tcp.or(self.renew_tcp),
            renew_other: over.renew_other.or(self.renew_other),
            record: over.record.or(self.record),
            disk: over.disk.or(self.disk),
            memory: over.memory.or(self.memory),
            max_age: over.max_age.or(self.max_age),
            min_age: over.min_age.or(self.min_age),
            segment_size: over.segment_size.or(self.segment_size),
        }
    }
}

impl ClassSettings {
    /// What was in force, for the ledger.
    pub fn to_json(&self) -> serde_json::Value {
        let (p, k) = (&self.policy, &self.keep);
        let unknown = match p.cutoff_unknown {
            UnknownCutoff::Whole => None,
            UnknownCutoff::Bytes(n) => Some(n),
            UnknownCutoff::Same => p.cutoff_bytes,
        };
        json!({
            "name": self.name, "filter": self.filter, "precedence": self.precedence, "record": p.record,
            "cutoff": p.cutoff_bytes, "cutoff_packets": p.cutoff_packets, "cutoff_unknown": unknown, "cutoff_jitter": p.cutoff_jitter,
            "sample": p.sample, "snaplen": p.snaplen,
            "idle_tcp_ns": p.idle.tcp_ns, "idle_udp_ns": p.idle.udp_ns, "idle_icmp_ns": p.idle.icmp_ns,
            "idle_other_ns": p.idle.other_ns, "renew_tcp_ns": p.renew_tcp_ns, "renew_other_ns": p.renew_other_ns,
            "disk": k.disk, "memory": self.memory, "max_age_ns": k.max_age_ns, "min_age_ns": k.min_age_ns, "segment_size": k.segment_bytes,
        })
    }
}

/// All of them, `all` first; `disk`, `memory` and `snaplen` are those of all together.
pub(super) fn classes(
    mut config: BTreeMap<String, ClassConfig>,
    disk: Option<u64>,
    memory: u64,
    snaplen: u32,
) -> Result<Vec<ClassSettings>, ConfigError> {
    let all = config.remove(ALL).unwrap_or_default();
    if all.filter.is_some() || all.precedence.is_some() {
        return nonsense("class all matches what no other class does: filter and precedence belong to other classes");
    }
    let mut classes = vec![class(ALL.to_owned(), all, snaplen)?];
    for (name, c) in config {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > CLASS_NAME_BYTES || !name.chars().all(plain) || name.starts_with('-') {
            return nonsense(format!("class name {name:?}: use up to {CLASS_NAME_BYTES} of a-z, 0-9, - and _"));
        }
        if ["open", "ledger", "receipts", "held", "audit", "lock", "catalog"].contains(&name.as_str()) {
            return nonsense(format!("class name {name:?} is taken by the store itself"));
        }
        if c.filter.is_none() {
            return nonsense(format!("class {name} has no filter: say which connections are its own"));
        }
        classes.push(class(name, c, snaplen)?);
    }
    if classes.len() > CLASSES_MAX {
        return nonsense(format!("{} classes: {CLASSES_MAX} at most", classes.len()));
    }
    check_memory(&classes, memory)?;
    let own: u64 = classes.iter().filter_map(|c| c.keep.disk).fold(0, u64::saturating_add);
    match disk {
        Some(disk) if own > disk => nonsense(format!(
            "the classes' disk budgets are {} together and disk = {}: raise disk, or lower them",
            units::size(own),
            units::size(disk)
        )),
        _ => Ok(classes),
    }
}

fn class(name: String, c: ClassConfig, store_snaplen: u32) -> Result<ClassSettings, ConfigError> {
    let default = Policy::default();
    let every = |e: Option<Every>, default| e.map_or(default, |Every(ns)| ns);
    let ns = |s: Option<Span>| s.map(|Span(ns)| ns);
    let other = ns(c.idle_other);
    let idle = Idle {
        tcp_ns: ns(c.idle_tcp).unwrap_or(default.idle.tcp_ns),
        udp_ns: ns(c.idle_udp).or(other).unwrap_or(default.idle.udp_ns),
        icmp_ns: ns(c.idle_icmp).or(other).unwrap_or(default.idle.icmp_ns),
        other_ns: other.unwrap_or(default.idle.other_ns),
    };
    let snaplen = c.snaplen.map_or(store_snaplen, |Size(n)| u32::try_from(n).unwrap_or(u32::MAX).min(store_snaplen));
    let cutoff_bytes = c.cutoff.map_or(default.cutoff_bytes, |Cutoff(n)| n);
    // Who makes a class for some of it means its cutoff.
    let unknown = if name == ALL { UnknownCutoff::Whole } else { UnknownCutoff::Same };
    let policy = Policy {
        cutoff_bytes,
        cutoff_packets: c.cutoff_packets,
        cutoff_unknown: c
            .cutoff_unknown
            .map_or(unknown, |Cutoff(n)| n.map_or(UnknownCutoff::Whole, UnknownCutoff::Bytes)),
        cutoff_jitter: bytes(c.cutoff_jitter, default.cutoff_jitter),
        sample: c.sample.unwrap_or(default.sample),
        snaplen,
        idle,
        renew_tcp_ns: every(c.renew_tcp, default.renew_tcp_ns),
        renew_other_ns: every(c.renew_other, default.renew_other_ns),
        record: c.record.map_or(default.record, |Recorded(r)| r),
    };
    let keep = Keep {
        disk: c.disk.map(|Size(n)| n),
        max_age_ns: ns(c.max_age),
        min_age_ns: ns(c.min_age),
        segment_bytes: c.segment_size.map(|Size(n)| n),
    };
    check(&name, &policy, &keep)?;
    let memory = c.memory.map(|Size(n)| n);
    if memory.is_some_and(|n| n < RECENT_BYTES_MIN) {
        let least = units::size(RECENT_BYTES_MIN);
        return nonsense(format!(
            "class {name}: memory below {least} holds no more than a few blocks; leave it out to share"
        ));
    }
    if c.snaplen.is_some_and(|Size(n)| n < u64::from(CLASS_SNAPLEN_MIN)) {
        return nonsense(format!(
            "class {name}: a snaplen below {CLASS_SNAPLEN_MIN} cuts headers off, without which no query finds a packet"
        ));
    }
    let filter = c.filter.map(|f| f.into_inner());
    Ok(ClassSettings { name, filter, precedence: c.precedence.unwrap_or(0), policy, keep, memory })
}

/// Classes that no connection ever gets, since another with the same filter comes first: a line for each.
pub(super) fn shadowed(classes: &[ClassSettings]) -> Vec<String> {
    let words =
        |c: &ClassSettings| c.filter.as_ref().map(|f| f.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let first = |a: &&ClassSettings, b: &ClassSettings| {
        (-i64::from(a.precedence), &a.name) < (-i64::from(b.precedence), &b.name)
    };
    let one = |c: &ClassSettings| {
        let before = classes.iter().find(|o| c.filter.is_some() && words(o) == words(c) && first(o, c))?;
        let why = match before.precedence == c.precedence {
            true => "has the same filter and precedence, and of these the first by name wins",
            false => "has the same filter and a higher precedence",
        };
        Some(format!("class {}: no connection ever gets it: class {} {why}", c.name, before.name))
    };
    classes.iter().filter_map(one).collect()
}

/// What the classes have of their own leaves something for the others. Where there is no memory there is nothing to share.
pub(super) fn check_memory(classes: &[ClassSettings], memory: u64) -> Result<(), ConfigError> {
    let own: u64 = classes.iter().filter_map(|c| c.memory).fold(0, u64::saturating_add);
    if memory == 0 || own == 0 || own.saturating_add(RECENT_BYTES_MIN) <= memory {
        return Ok(());
    }
    nonsense(format!(
        "the classes' memory is {} together and memory = {}: {} must be left for classes without their own: raise memory, or lower them",
        units::size(own),
        units::size(memory),
        units::size(RECENT_BYTES_MIN)
    ))
}

fn check(name: &str, policy: &Policy, keep: &Keep) -> Result<(), ConfigError> {
    let nothing = [policy.cutoff_bytes, policy.cutoff_packets].contains(&Some(0));
    if nothing || policy.cutoff_unknown == UnknownCutoff::Bytes(0) {
        return nonsense(format!("class {name}: a cutoff of 0 keeps nothing; write record = \"none\""));
    }
    if policy.cutoff_bytes.is_none() && policy.cutoff_jitter > 0 {
        return nonsense(format!("class {name}: cutoff_jitter without a cutoff has nothing to vary"));
    }
    if policy.sample == 1 || policy.sample > SAMPLE_MAX {
        return nonsense(format!(
            "class {name}: sample = {}: one packet in 2 to {SAMPLE_MAX}, or 0 for none; to keep all of them write cutoff = \"none\"",
            policy.sample
        ));
    }
    if policy.sample > 0 && (!policy.record || policy.cutoff_bytes.is_none() && policy.cutoff_packets.is_none()) {
        return nonsense(format!("class {name}: sample is for what is past a cutoff, and this class has none"));
    }
    let idle = &policy.idle;
    for (key, ns) in [
        ("idle_tcp", idle.tcp_ns),
        ("idle_udp", idle.udp_ns),
        ("idle_icmp", idle.icmp_ns),
        ("idle_other", idle.other_ns),
    ] {
        if ns < 1_000_000_000 {
            return nonsense(format!("class {name}: {key} below 1s ends connections between two packets"));
        }
    }
    for (key, ns) in [("renew_tcp", policy.renew_tcp_ns), ("renew_other", policy.renew_other_ns)] {
        if ns.is_some_and(|ns| ns < 1_000_000_000) {
            return nonsense(format!(
                "class {name}: {key} below 1s is no cutoff at all; write never or cutoff = \"none\""
            ));
        }
    }
    if keep.max_age_ns.is_some_and(|ns| ns < MAX_AGE_NS_MIN) {
        return nonsense(format!(
            "class {name}: max_age below {} is less than a segment may take to fill",
            units::duration(MAX_AGE_NS_MIN)
        ));
    }
    if let (Some(max), Some(min)) = (keep.max_age_ns, keep.min_age_ns)
        && min > max
    {
        let (min, max) = (units::duration(min), units::duration(max));
        return nonsense(format!("class {name}: min_age = {min} is more than max_age = {max}: it goes before that"));
    }
    if keep.segment_bytes.is_some_and(|n| n < SEGMENT_BYTES_MIN) {
        let least = units::size(SEGMENT_BYTES_MIN);
        return nonsense(format!("class {name}: a segment size below {least} is not possible"));
    }
    Ok(())
}
