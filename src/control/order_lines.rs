//! Orders as they are said: the lines of `assignments` and `suspensions`. Owns their fields; made by the API, read by the command line.

use crate::messages::{self, InForce, Order, Target};
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

impl AssignmentLine {
    /// Of what is in force; `classes`: names by id. `None`: it is no assignment, or its class is gone by now.
    pub fn of(of: &InForce, classes: &[Option<String>]) -> Option<AssignmentLine> {
        let Order::Assign { prefix, class, role, until } = of.order else { return None };
        Some(AssignmentLine {
            address: prefix.to_string(),
            class: classes.get(usize::from(class)).cloned().flatten()?,
            role: messages::role_name(role).to_owned(),
            until,
            by: of.by.as_str().to_owned(),
        })
    }
}

impl SuspensionLine {
    /// Of what is in force. `None`: it is no suspension.
    pub fn of(of: &InForce) -> Option<SuspensionLine> {
        let Order::Suspend { target, cutoff, timeout } = of.order else { return None };
        let until = |ns: u64| (ns > 0).then_some(ns);
        let (connection, address) = match target {
            Target::Address(prefix) => (None, Some(prefix.to_string())),
            Target::Connection(plain) => {
                (messages::name(&plain).parse::<ConnSpec>().ok().map(|spec| spec.ends()), None)
            }
        };
        Some(SuspensionLine {
            connection,
            address,
            cutoff_until: until(cutoff),
            timeout_until: until(timeout),
            by: of.by.as_str().to_owned(),
        })
    }
}
