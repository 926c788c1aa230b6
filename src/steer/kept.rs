//! Orders as the store's file `orders.json` has them: a format of the store, written and read by `keep`. What is said of orders is in `said`.

use super::registry::{Assignment, Suspension};
use crate::conn::orders::Prefix;
use crate::messages::{Target, name, role_name, target};
use crate::units;
use serde::{Deserialize, Serialize};

/// An assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// Address or net.
    pub address: String,
    /// Class.
    pub class: String,
    /// `either`, `originator`, `responder`.
    pub role: String,
    /// Unix time of its end, ns.
    pub until_ns: u64,
    /// The same, RFC 3339.
    pub until: String,
    /// Who ordered it.
    pub by: String,
}

impl Assigned {
    /// Of the registry's.
    pub fn of(prefix: &Prefix, a: &Assignment) -> Assigned {
        Assigned {
            address: prefix.to_string(),
            class: a.class.clone(),
            role: role_name(a.role).into(),
            until_ns: a.until,
            until: units::time(a.until),
            by: a.by.clone(),
        }
    }
}

/// A suspension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Suspended {
    /// The connection, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn: Option<String>,
    /// Else the address or net.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Unix time until which its cutoff is suspended, ns; 0: it is not.
    pub cutoff_until_ns: u64,
    /// The same of its idle timeout.
    pub timeout_until_ns: u64,
    /// Who ordered it last.
    pub by: String,
}

impl Suspended {
    /// Of the registry's.
    pub fn of(target: &Target, s: &Suspension) -> Suspended {
        let (conn, address) = match target {
            Target::Address(prefix) => (None, Some(prefix.to_string())),
            Target::Connection(plain) => (Some(name(plain)), None),
        };
        Suspended { conn, address, cutoff_until_ns: s.cutoff, timeout_until_ns: s.timeout, by: s.by.clone() }
    }

    /// Whom it is for.
    pub fn target(&self) -> Result<Target, String> {
        target(self.conn.as_deref(), self.address.as_deref())
    }
}
