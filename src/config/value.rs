//! Values of the configuration: sizes, durations, cutoffs and choices, read from TOML strings (or whole numbers) and from
//! command-line words alike.

use crate::limits::DEDUP_NS;
use crate::units::{parse_duration, parse_size};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::fmt;
use std::str::FromStr;

/// How packets are taken from interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SourceChoice {
    /// xdp where the interface serves nothing but the tap, else packet; file with --read
    #[default]
    Auto,
    /// AF_XDP: takes the packets from the host, for tap ports
    Xdp,
    /// AF_PACKET: takes nothing from the host
    Packet,
    /// Capture files
    File,
}

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// Nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub u64);

/// An interval in nanoseconds, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every(pub Option<u64>);

/// A cutoff in bytes, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutoff(pub Option<u64>);

/// The time within which a copy of a frame is a duplicate, ns; or that none is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dedup(pub Option<u64>);

/// Whether a class is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded(pub bool);

impl FromStr for Dedup {
    type Err = String;
    fn from_str(word: &str) -> Result<Dedup, String> {
        match word {
            "off" | "false" => Ok(Dedup(None)),
            "true" => Ok(Dedup(Some(DEDUP_NS))),
            _ => parse_duration(word).map(|ns| Dedup(Some(ns))).map_err(|e| format!("{e}, or off")),
        }
    }
}

impl FromStr for Recorded {
    type Err = String;
    fn from_str(word: &str) -> Result<Recorded, String> {
        match word {
            "all" | "true" => Ok(Recorded(true)),
            "none" | "false" => Ok(Recorded(false)),
            _ => Err(format!("{word:?}: record is \"all\" or \"none\"")),
        }
    }
}

impl FromStr for Size {
    type Err = String;
    fn from_str(word: &str) -> Result<Size, String> {
        parse_size(word).map(Size).map_err(|e| e.to_string())
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(word: &str) -> Result<Span, String> {
        parse_duration(word).map(Span).map_err(|e| e.to_string())
    }
}

impl FromStr for Every {
    type Err = String;
    fn from_str(word: &str) -> Result<Every, String> {
        match word {
            "never" => Ok(Every(None)),
            _ => parse_duration(word).map(|ns| Every(Some(ns))).map_err(|e| format!("{e}, or never")),
        }
    }
}

impl FromStr for Cutoff {
    type Err = String;
    fn from_str(word: &str) -> Result<Cutoff, String> {
        match word {
            "none" => Ok(Cutoff(None)),
            _ => parse_size(word).map(|n| Cutoff(Some(n))).map_err(|e| format!("{e}, or none")),
        }
    }
}

/// Reads a string through [`FromStr`]; a whole number as its decimal word, so that `cutoff = 15360` works.
struct Word<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes or a whole number")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<T, E> {
        word.parse().map_err(E::custom)
    }

    fn visit_bool<E: de::Error>(self, word: bool) -> Result<T, E> {
        word.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

macro_rules! deserialize_as_word {
    ($($t:ty),+) => {$(
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<$t, D::Error> {
                d.deserialize_any(Word(std::marker::PhantomData))
            }
        }
    )+};
}
deserialize_as_word!(Size, Span, Every, Cutoff, Dedup, Recorded);
