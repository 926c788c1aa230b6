//! Counts and sizes: integers. A number up to 2^53, which every reader of JSON takes exactly; above that its decimal text, since many
//! readers keep numbers as 64-bit floats and would round it without a word.

use super::adapter::{Adapter, serde_with};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};
use std::borrow::Cow;
use std::fmt;

/// The largest integer that is written as a number: 2^53.
pub const EXACT_MAX: u64 = 1 << 53;

/// A count, or a size in bytes.
pub struct Count;

serde_with!(Count);

impl Adapter for Count {
    fn write<S: Serializer>(n: u64, to: S) -> Result<S::Ok, S::Error> {
        if n <= EXACT_MAX { to.serialize_u64(n) } else { to.collect_str(&n) }
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        from.deserialize_any(NumberOrText)
    }
}

struct NumberOrText;

impl Visitor<'_> for NumberOrText {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count: a number, or above 2^53 its decimal text")
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<u64, E> {
        Ok(n)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        text.parse().map_err(|_| E::custom(format!("{text:?} is no count")))
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An integer: a number up to 2^53, above that its decimal text.",
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": EXACT_MAX },
                { "type": "string", "pattern": "^[0-9]{16,20}$" }
            ]
        })
    }
}
