//! Orders as they are said: the lines of `assignments` and `suspensions`. Owns their fields; made by the API, read by the command line.

use super::kept::{Assigned, Suspended};
use crate::query::ConnSpec;
use crate::shape::{Ends, Maybe, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An address, or a net, whose connections have a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Assignment")]
pub struct AssignmentLine {
    /// Address, or net as 10.0.0.0/8.
    pub address: String,
    /// The class.
    pub class: String,
    /// Of which connections of the address: `either`, those that it begins (`originator`), those that others begin (`responder`).
    pub role: String,
    /// When it ends.
    #[serde(with = "Time")]
    pub until: u64,
    /// Who ordered it.
    pub by: String,
}

/// A connection, or an address, whose cutoff or idle timeout is suspended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Suspension")]
pub struct SuspensionLine {
    /// The connection, whatever VLAN or tunnel it is in; null: an address.
    pub connection: Option<Ends>,
    /// Address, or net; null: a connection.
    pub address: Option<String>,
    /// Until when its cutoff is suspended; null: it is not.
    #[serde(with = "Maybe::<Time>")]
    pub cutoff_until: Option<u64>,
    /// Until when its idle timeout is suspended; null: it is not.
    #[serde(with = "Maybe::<Time>")]
    pub timeout_until: Option<u64>,
    /// Who ordered it last.
    pub by: String,
}

impl From<Assigned> for AssignmentLine {
    fn from(a: Assigned) -> AssignmentLine {
        AssignmentLine { address: a.address, class: a.class, role: a.role, until: a.until_ns, by: a.by }
    }
}

impl From<Suspended> for SuspensionLine {
    fn from(s: Suspended) -> SuspensionLine {
        let until = |ns: u64| (ns > 0).then_some(ns);
        SuspensionLine {
            connection: s.conn.and_then(|c| c.parse::<ConnSpec>().ok()).map(|c| c.ends()),
            address: s.address,
            cutoff_until: until(s.cutoff_until_ns),
            timeout_until: until(s.timeout_until_ns),
            by: s.by,
        }
    }
}
