//! A stretch of time: from a time to another, the end not in it.

use super::Time;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

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

/// Stretches of time, kept as pairs of Unix ns; a list that says nothing else but from and to of each.
pub struct Periods;

impl Periods {
    /// For serde.
    pub fn serialize<S: Serializer>(pairs: &[(u64, u64)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(pairs.iter().map(|pair| Period::from(*pair)))
    }

    /// For serde.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(u64, u64)>, D::Error> {
        Ok(Vec::<Period>::deserialize(from)?.into_iter().map(|p| (p.from, p.to)).collect())
    }
}

impl JsonSchema for Periods {
    fn schema_name() -> Cow<'static, str> {
        "Periods".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(of: &mut SchemaGenerator) -> Schema {
        of.subschema_for::<Vec<Period>>()
    }
}
