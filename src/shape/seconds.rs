//! Lengths of time: seconds as a number. Exact to the nanosecond up to twelve days, to the microsecond up to three decades.

use super::adapter::{Adapter, serde_with};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};
use std::borrow::Cow;

/// A length of time, kept as ns.
pub struct Seconds;

serde_with!(Seconds);

const SECOND: f64 = 1e9;

impl Adapter for Seconds {
    fn write<S: Serializer>(ns: u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(ns as f64 / SECOND)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let seconds = f64::deserialize(from)?;
        // Above what 64 bits of ns hold the cast would be wrong, not large.
        if (0.0..u64::MAX as f64 / SECOND).contains(&seconds) {
            return Ok((seconds * SECOND).round() as u64);
        }
        Err(Error::custom(format!("{seconds} s is no length of time")))
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "description": "A length of time, seconds." })
    }
}
