//! What is known of a hold: hold.json, and a line of the log. Written once, read for ever.

use super::Follows;
use crate::evidence::Who;
use crate::units;
use serde::{Deserialize, Serialize};

/// A hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Of this file: 2. Of version 1 the summary has other names and times as Unix ns; it is read.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// Why it is kept.
    pub reason: String,
    /// Who made it.
    pub who: Who,
    /// When, RFC 3339.
    pub made: String,
    /// Which packets were asked for.
    pub filter: String,
    /// From, RFC 3339; none: from the beginning.
    pub since: Option<String>,
    /// Until, RFC 3339; none: to the end of then.
    pub until: Option<String>,
    /// Packets in it.
    pub packets: u64,
    /// Their bytes on the wire.
    pub wire_bytes: u64,
    /// Length of packets.pcapng.
    pub bytes: u64,
    /// SHA-256 of packets.pcapng, 64 hexadecimal digits.
    pub sha256: String,
    /// What was missing from the answer when it was made: the query's summary.
    pub summary: serde_json::Value,
    /// It is let go at this time, RFC 3339; none: only by whoever releases it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_until: Option<String>,
    /// It takes no more than so many bytes; none: as all together may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_bytes: Option<u64>,
    /// What it is about, as a program had it: an alert of a NIDS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<serde_json::Value>,
    /// What it follows, and how far it is; none: all that it was made of was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follows>,
}

/// Why a hold is made, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Why<'a> {
    /// For people.
    pub reason: &'a str,
    /// Who makes it.
    pub who: &'a Who,
    /// For programs: kept as it is.
    pub about: Option<&'a serde_json::Value>,
    /// How much it may take, and how long it is kept.
    pub terms: HoldTerms,
}

/// How much a hold may take, and how long it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HoldTerms {
    /// So many bytes at most; none: as all together may.
    pub most: Option<u64>,
    /// It is let go at this time, Unix ns; none: only by whoever releases it.
    pub until: Option<u64>,
    /// With all others that are let go by themselves it takes so many bytes at most; none: as all together may.
    pub share: Option<u64>,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Line<'a> {
    /// When, RFC 3339.
    pub time: String,
    /// `hold`, `follow`, `ended`, `release` or `limit`.
    pub what: &'a str,
    /// Which hold; empty for a limit.
    pub name: &'a str,
    /// Who.
    pub who: &'a Who,
    /// Why.
    pub reason: &'a str,
    /// Bytes held, released or allowed.
    pub bytes: u64,
    /// SHA-256 of what was held or released.
    pub sha256: &'a str,
}

/// A time as it stands in a hold.
pub(super) fn time(ns: u64) -> String {
    units::time(ns)
}

/// The same, read.
pub(super) fn moment(text: &str) -> Option<u64> {
    units::parse_time(text, 0).ok()
}
