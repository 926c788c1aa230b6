//! A stretch of time: from a time to another, the end not in it.

use super::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stretch of time, Unix ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// When it begins.
    #[serde(with = "Time")]
    pub from: u64,
    /// When it ends; this moment is not in it.
    #[serde(with = "Time")]
    pub to: u64,
}

impl From<(u64, u64)> for Period {
    fn from((from, to): (u64, u64)) -> Period {
        Period { from, to }
    }
}
