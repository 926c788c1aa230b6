//! `bench query`: answers. Its parts measure one setting each and append to the same results: `disk`, a store with a cold page cache; `filters`, what is asked before any index; `memory`, a recorder that has
//! nothing else to do; `beside` and `scans`, one at 10 Gbit/s.
//! Owns the list of parts; each part makes what it asks, cleans up after itself, and has its own table.

mod beside;
mod disk;
mod filters;
mod live;
mod memory;

use super::Options;
use super::results::Results;
use crate::json::Value;

/// A part.
struct Part {
    /// Its word for `--part`, and what its lines say as `part`.
    name: &'static str,
    /// Measures and appends.
    measure: fn(&Options, &Results) -> Result<(), String>,
    /// The table of its lines.
    table: fn(&[Value]) -> String,
}

const PARTS: &[Part] = &[
    Part { name: "disk", measure: disk::measure, table: disk::table },
    Part { name: "filters", measure: filters::measure, table: filters::table },
    Part { name: "memory", measure: memory::measure, table: memory::table },
    Part { name: "beside", measure: beside::measure_connections, table: beside::table_connections },
    Part { name: "scans", measure: beside::measure_scans, table: beside::table_scans },
];

/// Measures the parts that are asked for, and makes the tables of all that there are.
pub fn run(options: &Options) -> Result<(), String> {
    let results = Results::open("query", options)?;
    if let Some(unknown) = options.parts.iter().find(|p| !PARTS.iter().any(|q| q.name == **p)) {
        let names: Vec<&str> = PARTS.iter().map(|p| p.name).collect();
        return Err(format!("--part {unknown}: bench query has {}", names.join(", ")));
    }
    if !options.table {
        options.build(&["-p", "retrotap", "--bin", "retrotap", "--examples"])?;
        for part in PARTS.iter().filter(|p| options.parts.is_empty() || options.parts.iter().any(|n| n == p.name)) {
            (part.measure)(options, &results)?;
        }
    }
    let mut text = String::new();
    for part in PARTS {
        let (lines, others) = results.newest_where(|l| l.text("part") == Some(part.name))?;
        if !lines.is_empty() {
            text += &format!("{}{others}\n", (part.table)(&lines));
        }
    }
    results.table(text.trim_end())
}
