//! The way out: a value as one line of JSON, with the version in front. Whatever a type says, no integer above 2^53 leaves as a number.

use super::{EXACT_MAX, FORMAT};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use std::io::{self, Write};

/// An object that stands alone: `{"format":1,...}`.
#[derive(Serialize)]
pub struct Line<'a, T: Serialize> {
    format: u32,
    #[serde(flatten)]
    of: &'a T,
}

impl<'a, T: Serialize> Line<'a, T> {
    /// Of an object.
    pub fn new(of: &'a T) -> Line<'a, T> {
        Line { format: FORMAT, of }
    }

    /// Writes it; no end of line.
    pub fn write(&self, to: impl Write) -> serde_json::Result<()> {
        self.serialize(&mut serde_json::Serializer::with_formatter(to, Exact))
    }
}

/// An object that stands alone as text, without an end of line. An object of ours can always be written; what can't (a map whose keys
/// are no texts) is a bug, and said as an error is.
pub fn text(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    match Line::new(value).write(&mut text) {
        Ok(()) => String::from_utf8(text).unwrap_or_default(),
        Err(e) => text_of_error(&e),
    }
}

fn text_of_error(e: &serde_json::Error) -> String {
    let message = format!("an answer cannot be written as JSON: {e}");
    serde_json::json!({ "format": FORMAT, "error": { "kind": "internal", "message": message } }).to_string()
}

/// Writes large integers as texts.
struct Exact;

/// An integer as JSON, quoted where readers would round it.
fn integer<W: ?Sized + Write>(to: &mut W, n: impl std::fmt::Display, exact: bool) -> io::Result<()> {
    if exact { write!(to, "{n}") } else { write!(to, "\"{n}\"") }
}

impl Formatter for Exact {
    fn write_u64<W: ?Sized + Write>(&mut self, to: &mut W, n: u64) -> io::Result<()> {
        match n <= EXACT_MAX {
            true => CompactFormatter.write_u64(to, n),
            false => integer(to, n, false),
        }
    }

    fn write_i64<W: ?Sized + Write>(&mut self, to: &mut W, n: i64) -> io::Result<()> {
        integer(to, n, n.unsigned_abs() <= EXACT_MAX)
    }

    fn write_u128<W: ?Sized + Write>(&mut self, to: &mut W, n: u128) -> io::Result<()> {
        integer(to, n, n <= u128::from(EXACT_MAX))
    }

    fn write_i128<W: ?Sized + Write>(&mut self, to: &mut W, n: i128) -> io::Result<()> {
        integer(to, n, n.unsigned_abs() <= u128::from(EXACT_MAX))
    }
}
