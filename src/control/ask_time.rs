//! Times and lengths of time in questions: a time as a text, a length as seconds or a text. Owns what of them is taken, and why a number is no
//! time: nobody could tell whether it counts seconds, milliseconds or nanoseconds.

use crate::shape::rfc3339;
use crate::units;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: a text as the command line takes it. What is said as a time is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Unix ns; written as RFC 3339.
    Ns(u64),
    /// `2026-11-21T13:15:00Z`, `13:15`, `-10m`.
    Text(String),
}

/// A length of time: seconds, or a text as the command line takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Long {
    /// ns; written as seconds.
    Ns(u64),
    /// `10m`.
    Text(String),
}

/// Longest that ns in 64 bits hold, s. What was meant as nanoseconds is beyond it from 19 seconds on.
const SECONDS_MAX: f64 = u64::MAX as f64 / 1e9;

impl When {
    /// Unix ns, where it is `now`.
    pub fn unix_ns(&self, now: u64) -> Result<u64, String> {
        match self {
            When::Ns(ns) => Ok(*ns),
            When::Text(text) => units::parse_time(text, now).map_err(|e| e.to_string()),
        }
    }
}

impl Long {
    /// ns.
    pub fn ns(&self) -> Result<u64, String> {
        match self {
            Long::Ns(ns) => Ok(*ns),
            Long::Text(text) => units::parse_duration(text).map_err(|e| e.to_string()),
        }
    }
}

impl Serialize for When {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            When::Ns(ns) => to.serialize_str(&rfc3339(*ns)),
            When::Text(text) => to.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<When, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a time is a text: \"2026-11-21T13:15:00Z\", \"13:15\", \"-10m\"")]
        enum Given {
            Text(String),
        }
        let Given::Text(text) = Given::deserialize(from)?;
        Ok(When::Text(text))
    }
}

impl Serialize for Long {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Long::Ns(ns) => to.serialize_f64(*ns as f64 / 1e9),
            Long::Text(text) => to.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Long {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Long, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a length of time is seconds as a number, or a text: \"90s\", \"10m\", \"7d\"")]
        enum Given {
            Seconds(f64),
            Text(String),
        }
        match Given::deserialize(from)? {
            Given::Text(text) => Ok(Long::Text(text)),
            Given::Seconds(s) if (0.0..SECONDS_MAX).contains(&s) => Ok(Long::Ns((s * 1e9).round() as u64)),
            Given::Seconds(s) => {
                Err(serde::de::Error::custom(format!("{s} seconds: a length of time is 0 to 584 years, in seconds")))
            }
        }
    }
}
