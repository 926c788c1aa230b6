//! What a caller may do: four roles, each with all that those before it have. Owns their names and order; the table of requests names the
//! one that each takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A role. Who may see packets may see connections, and who may see those may see statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read statistics: counters, losses, classes. Nothing that names who spoke with whom.
    Statistics,
    /// Query connections: who spoke with whom, when and how much.
    Connections,
    /// Query packets: what was said.
    Packets,
    /// Control: change what is recorded and kept.
    Control,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Role; 4] = [Role::Statistics, Role::Connections, Role::Packets, Role::Control];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Role::Statistics => "statistics",
            Role::Connections => "connections",
            Role::Packets => "packets",
            Role::Control => "control",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Role, String> {
        let known = Role::ALL.map(Role::name).join(", ");
        Role::ALL.into_iter().find(|r| r.name() == word).ok_or(format!("{word:?} is no role; there are {known}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_what_those_before_it_have() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
        assert!("root".parse::<Role>().unwrap_err().contains("statistics, connections, packets, control"));
    }
}
