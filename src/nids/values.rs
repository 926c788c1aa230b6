//! Values of a rules file that no other configuration has: a rate, a pattern. Read through serde, so that a wrong one is told with its line
//! and column.

use crate::units;
use regex::Regex;
use serde::de::{Deserialize, Deserializer, Error};
use std::str::FromStr;

/// So many in a time, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In so long, ns.
    pub time: u64,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(word: &str) -> Result<Rate, String> {
        let wrong = || format!("{word:?} is not a rate: write 60/1m, 5/10s or 1000/1h");
        let (count, time) = word.split_once('/').ok_or_else(wrong)?;
        let count = count.trim().parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
        let time = units::parse_duration(time).ok().filter(|t| *t > 0).ok_or_else(wrong)?;
        Ok(Rate { count, time })
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.count, units::duration(self.time))
    }
}

/// A regular expression, searched for anywhere in a text.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Whether it is in this text; none: no.
    pub fn is_in(&self, text: Option<&str>) -> bool {
        text.is_some_and(|t| self.0.is_match(t))
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(word: &str) -> Result<Pattern, String> {
        // The last line of the library's message says why; the ones before it draw a picture.
        Regex::new(word).map(Pattern).map_err(|e| {
            let why = e.to_string();
            format!("{word:?} is no regular expression: {}", why.lines().last().unwrap_or_default())
        })
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Rate, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Pattern, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}
