//! The plan: all memory that a recorder will take, by part, before it takes any. Printed by `record --plan`; each part's
//! number comes from the module that takes it.

use crate::shape::Count;
use crate::units;
use schemars::JsonSchema;
use serde::Serialize;

/// One part of the memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "MemoryPart")]
pub struct Part {
    /// What it is for.
    pub part: &'static str,
    /// How the number comes about.
    pub of: String,
    /// Bytes.
    #[serde(with = "Count")]
    pub bytes: u64,
}

/// All parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "MemoryPlan")]
pub struct Plan {
    /// In the order of the packet's way; taken at the start.
    pub parts: Vec<Part>,
    /// At most, and only where questions are asked, or indexes made.
    pub questions: Vec<Part>,
}

impl Plan {
    /// Adds `count` things of `each` bytes.
    pub fn add(&mut self, part: &'static str, count: usize, what: &str, each: usize) {
        let of = format!("{} {what} of {}", units::count(count as u64), units::size(each as u64));
        self.parts.push(Part { part, of, bytes: (count as u64).saturating_mul(each as u64) });
    }

    /// Adds a part whose make-up its module keeps to itself.
    pub fn add_bytes(&mut self, part: &'static str, bytes: u64) {
        self.parts.push(Part { part, of: String::new(), bytes });
    }

    /// Adds what questions take, at most: `count` things of `each` bytes.
    pub fn add_for_questions(&mut self, part: &'static str, count: u64, what: &str, each: u64) {
        let of = format!("{} {what} of {}", units::count(count), units::size(each));
        self.questions.push(Part { part, of, bytes: count.saturating_mul(each) });
    }

    /// Bytes of all parts that are taken at the start.
    pub fn total(&self) -> u64 {
        self.parts.iter().map(|p| p.bytes).sum()
    }
}
