//! What is said as JSON, one entry for each object: who says it, and its schema. Owns the entry; the lists are the API's and the command
//! line's.

use super::schema;
use schemars::JsonSchema;
use serde_json::Value;

/// An object that stands alone.
#[derive(Clone, Copy)]
pub struct Described {
    /// What it is called, in the API's description too.
    pub name: &'static str,
    /// Commands that say it.
    pub commands: &'static [&'static str],
    /// Requests that answer it; of those that answer packets, in their header or trailer.
    pub requests: &'static [&'static str],
    /// Where it comes as a list: JSON lines, one object a line; nothing where there is none.
    pub lines: &'static [&'static str],
    schema: fn() -> Value,
}

impl Described {
    /// Of a type.
    pub const fn new<T: JsonSchema>(name: &'static str) -> Described {
        Described { name, commands: &[], requests: &[], lines: &[], schema: schema::of::<T> }
    }

    /// Said by these commands.
    pub const fn by(self, commands: &'static [&'static str]) -> Described {
        Described { commands, ..self }
    }

    /// Answered to these requests.
    pub const fn to(self, requests: &'static [&'static str]) -> Described {
        Described { requests, ..self }
    }

    /// A list there.
    pub const fn listed(self, lines: &'static [&'static str]) -> Described {
        Described { lines, ..self }
    }

    /// Its JSON Schema.
    pub fn schema(&self) -> Value {
        (self.schema)()
    }
}
