//! What is to be held, as it comes over the socket: the question of [`Ask`], and name, reason and what it is about. The command line and the
//! NIDSs' hand make one, the daemon takes it apart.

use super::ask::Ask;
use super::ask_time::{Long, When};
use crate::hold::HoldTerms;
use crate::query::Query;
use crate::shape::Count;
use crate::units;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What is to be held, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HoldAsk {
    /// What it is called.
    pub name: String,
    /// Why it is kept.
    pub reason: String,
    /// What it is about, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<serde_json::Value>,
    /// pcap-filter expression.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// Of these addresses, or of these networks, one at either end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// See `hosts`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nets: Vec<String>,
    /// Also inside tags and tunnels.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_layer: bool,
    /// One connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn: Option<String>,
    /// The connection with this community ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub community_id: Option<String>,
    /// Only these classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Only what came in by these interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// From this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<When>,
    /// Before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<When>,
    /// The last so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Long>,
    /// What comes, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
    /// So long.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<Long>,
    /// It is let go after this time; without, only by whoever releases it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_for: Option<Long>,
    /// It takes so many bytes at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_bytes: Option<u64>,
    /// With all others that have a `keep_for` it takes so many bytes at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_bytes: Option<u64>,
}

/// How much all holds may take together.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldsLimitAsk {
    /// From now on; what is held stays, also above it.
    #[serde(with = "Count")]
    pub limit_bytes: u64,
}

impl HoldAsk {
    /// How much it may take, and how long it is kept; the error is for whoever asked.
    pub fn terms(&self) -> Result<HoldTerms, String> {
        let kept = self.keep_for.as_ref().map(|long| long.ns().map_err(|e| format!("keep_for: {e}"))).transpose()?;
        if kept == Some(0) {
            return Err("keep_for: a hold that is kept no time; write \"30d\"".into());
        }
        if self.share_bytes.is_some() && kept.is_none() {
            return Err("share_bytes is that of holds that are let go by themselves: say keep_for too".into());
        }
        let until = kept.map(|ns| units::now().saturating_add(ns));
        Ok(HoldTerms { most: self.most_bytes, until, share: self.share_bytes })
    }

    /// The query that it is, and until when it follows, Unix ns; the error is for whoever asked.
    pub fn query(&self, store: &Path) -> Result<(Query, Option<u64>), String> {
        if self.reason.trim().is_empty() {
            return Err("reason is empty: whoever finds the hold later wants to know why it is kept".into());
        }
        let ask = Ask {
            filter: self.filter.clone(),
            hosts: self.hosts.clone(),
            nets: self.nets.clone(),
            any_layer: self.any_layer,
            conn: self.conn.clone(),
            community_id: self.community_id.clone(),
            classes: self.classes.clone(),
            interfaces: self.interfaces.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            last: self.last.clone(),
            follow: self.follow,
            lasting: self.lasting.clone(),
            ..Ask::default()
        };
        let (query, lasting, now) = (ask.query(store)?, ask.lasting()?, units::now());
        if lasting.is_some() && query.until.is_some() {
            return Err("for and until say the same: how long to follow".into());
        }
        let until = lasting.map(|ns| now.saturating_add(ns)).or(query.until);
        match until {
            Some(until) if self.follow && until <= now => Err("until is past: there is nothing to follow".into()),
            _ => Ok((query, until)),
        }
    }
}
