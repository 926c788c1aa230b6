//! Points in time: RFC 3339 in UTC, always with nine digits of nanoseconds, so that texts sort as times do.

use super::adapter::{Adapter, serde_with};
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A point in time, kept as Unix ns.
pub struct Time;

serde_with!(Time);

/// Of Unix ns: `2026-11-30T10:00:00.123456789Z`.
pub fn rfc3339(unix_ns: u64) -> String {
    // All that 64 bits hold lies before the year 2555.
    Timestamp::from_nanosecond(unix_ns.into()).map_or_else(|_| unix_ns.to_string(), |t| format!("{t:.9}"))
}

impl Adapter for Time {
    fn write<S: Serializer>(ns: u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&rfc3339(ns))
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        from.deserialize_any(TextOrUnixNs)
    }
}

/// Also Unix ns: a hold.json of version 1 has times so.
struct TextOrUnixNs;

impl Visitor<'_> for TextOrUnixNs {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time: 2026-11-30T10:00:00.123456789Z")
    }

    fn visit_u64<E: Error>(self, unix_ns: u64) -> Result<u64, E> {
        Ok(unix_ns)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        let time: Timestamp = text.parse().map_err(|e| E::custom(format!("{text:?} is no time: {e}")))?;
        u64::try_from(time.as_nanosecond()).map_err(|_| E::custom(format!("{text:?} is before 1970")))
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A point in time: RFC 3339, UTC, nine digits of nanoseconds.",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z$"
        })
    }
}
