//! A hold as it is said: a line of `holds`, the answer of `hold`. Owns its fields; made of hold.json, which is a format of the store.

use super::record::moment;
use super::{Hold, HoldError, Who};
use crate::query::lang::lists::told;
use crate::query::{ConnSpec, Summary};
use crate::shape::{Count, Ends, Maybe, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A hold. Of one whose record can't be read there is its name, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Hold")]
pub struct HoldLine {
    /// Its name.
    pub name: String,
    /// Why its record can't be read, or its packets are not those that were held; null: nothing is known to be wrong.
    pub damaged: Option<String>,
    /// What its record says.
    #[serde(flatten)]
    pub record: Option<HoldRecord>,
}

/// What the record of a hold says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HoldRecord {
    /// Why it is kept.
    pub reason: String,
    /// Who made it.
    pub by: Who,
    /// When.
    #[serde(with = "Time")]
    pub made: u64,
    /// Which packets were asked for: a pcap-filter expression, its long lists by number and SHA-256; empty: all of the window.
    pub filter: String,
    /// From this time on; null: from the beginning.
    #[serde(with = "Maybe::<Time>")]
    pub since: Option<u64>,
    /// Before this time; null: to the end of then.
    #[serde(with = "Maybe::<Time>")]
    pub until: Option<u64>,
    /// Packets in it.
    #[serde(with = "Count")]
    pub packets: u64,
    /// Their bytes on the wire.
    #[serde(with = "Count")]
    pub bytes: u64,
    /// Length of its file.
    #[serde(with = "Count")]
    pub file_bytes: u64,
    /// SHA-256 of its file, 64 hexadecimal digits.
    pub sha256: String,
    /// What was missing from the answer when it was made.
    pub summary: Summary,
    /// It is let go at this time; null: only by whoever releases it.
    #[serde(with = "Maybe::<Time>")]
    pub kept_until: Option<u64>,
    /// It takes no more than so many bytes; null: as all holds together may.
    #[serde(with = "Maybe::<Count>")]
    pub most_bytes: Option<u64>,
    /// What it is about, as a program gave it: an alert of a NIDS, in that program's own shape; null: nothing.
    pub about: Option<serde_json::Value>,
    /// What it follows, and how far it is; null: all that it was made of was there.
    pub follows: Option<FollowsLine>,
}

/// What a hold follows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Follows")]
pub struct FollowsLine {
    /// Also inside tags and tunnels.
    pub any_layer: bool,
    /// One connection; null: whatever the filter says.
    pub connection: Option<Ends>,
    /// The connection with this community ID.
    pub community_id: Option<String>,
    /// Only these classes; empty: all.
    pub classes: Vec<String>,
    /// Only what came in by these interfaces; empty: all.
    pub interfaces: Vec<String>,
    /// Packets before this time; null: until it is released.
    #[serde(with = "Maybe::<Time>")]
    pub until: Option<u64>,
    /// All packets before this time are in it.
    #[serde(with = "Time")]
    pub done: u64,
    /// Why it follows no more; null: it does.
    pub ended: Option<String>,
}

/// What all holds of a store take together, and may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HoldsLimit {
    /// Bytes that all holds take.
    #[serde(with = "Count")]
    pub held_bytes: u64,
    /// Bytes that they may take.
    #[serde(with = "Count")]
    pub limit_bytes: u64,
}

impl HoldLine {
    /// Of what its record says.
    pub fn new(hold: Hold) -> HoldLine {
        let name = hold.name.clone();
        HoldLine { name, damaged: None, record: Some(HoldRecord::from(hold)) }
    }

    /// The same for somebody who may not see packets: what it is about may be an alert, and that has packets in it.
    pub fn hide_alert(&mut self) {
        if let Some(record) = &mut self.record {
            record.about = None;
        }
    }

    /// Of one that can't be read.
    pub fn unreadable(why: &HoldError) -> HoldLine {
        let folder = |path: &Path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned());
        let name = match why {
            HoldError::Damaged { name, .. } => Some(name.clone()),
            HoldError::Io { path, .. } => folder(path),
            _ => None,
        };
        HoldLine { name: name.unwrap_or_default(), damaged: Some(why.to_string()), record: None }
    }
}

impl From<Hold> for HoldRecord {
    fn from(h: Hold) -> HoldRecord {
        let time = |text: &Option<String>| text.as_deref().and_then(moment);
        HoldRecord {
            reason: h.reason,
            by: h.who,
            made: moment(&h.made).unwrap_or_default(),
            filter: told(&h.filter),
            since: time(&h.since),
            until: time(&h.until),
            packets: h.packets,
            bytes: h.wire_bytes,
            file_bytes: h.bytes,
            sha256: h.sha256,
            // One of an older version has fewer figures.
            summary: serde_json::from_value(h.summary).unwrap_or_default(),
            kept_until: time(&h.kept_until),
            most_bytes: h.most_bytes,
            about: h.about,
            follows: h.follow.map(|f| FollowsLine {
                any_layer: f.any_layer,
                connection: f.conn.and_then(|c| c.parse::<ConnSpec>().ok()).map(|c| c.ends()),
                community_id: f.community_id,
                classes: f.classes,
                interfaces: f.interfaces,
                until: f.until,
                done: f.done,
                ended: f.ended,
            }),
        }
    }
}
