//! `bench table`: the connection table alone against hashbrown and the kernel's LRU map, by `benches/table.rs`, which
//! measures; here are the rounds and the table.

use super::Options;
use super::results::{Results, columns, distinct, median, ran_on, short};
use crate::json::Value;
use crate::shell;
use std::process::Command;

const FIELDS: [(&str, &str); 6] = [
    ("insert_ns", "ns/insert"),
    ("hit_ns", "ns/hit"),
    ("million_hits_per_s", "million hits/s"),
    ("full_ns", "ns when full"),
    ("expire_ns", "ns/end"),
    ("bytes_per_connection", "B/connection"),
];

/// Measures, or only makes the table.
pub fn run(options: &Options) -> Result<(), String> {
    let results = Results::open("table", options)?;
    for round in 1..=options.rounds() {
        if options.table {
            break;
        }
        let mut command = Command::new("cargo");
        match options.smoke {
            true => command.args(["test", "--quiet", "--bench", "table", "--", "--json", "--smoke"]),
            false => command.args(["bench", "--quiet", "--bench", "table", "--", "--json"]),
        };
        if !options.sizes.is_empty() {
            let sizes: Vec<String> = options.sizes.iter().map(u64::to_string).collect();
            command.args(["--size", &sizes.join(",")]);
        }
        let out = shell::output(&mut command)?;
        for line in out.lines().filter(|l| l.starts_with('{')) {
            let Value::Object(mut members) = Value::parse(line)? else { continue };
            members.insert(0, ("bench".into(), "table".into()));
            members.insert(1, ("round".into(), u64::from(round).into()));
            results.add(Value::Object(members))?;
        }
    }
    let (lines, others) = results.newest()?;
    results.table(&(make(&lines) + &others))
}

fn make(lines: &[Value]) -> String {
    let mut rows = vec![vec!["table".to_string(), "connections".into()]];
    rows[0].extend(FIELDS.map(|(_, head)| head.to_string()));
    let mut sizes: Vec<u64> = lines.iter().filter_map(|l| l.number("connections").ok()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for size in sizes {
        for family in distinct(lines, "family") {
            for table in distinct(lines, "table") {
                let own = |l: &&Value| {
                    l.number("connections") == Ok(size)
                        && l.text("family") == Some(&family)
                        && l.text("table") == Some(&table)
                };
                let own: Vec<&Value> = lines.iter().filter(own).collect();
                if own.is_empty() {
                    continue;
                }
                let mut row = vec![format!("{table}, {family}"), size.to_string()];
                let middle = |field| median(own.iter().map(|l| l.float(field).unwrap_or(f64::NAN)).collect());
                row.extend(FIELDS.map(|(field, _)| short(middle(field))));
                rows.push(row);
            }
        }
    }
    format!(
        "{}\nMedian of the rounds, processor time. Random access to all connections; ours in batches that are prefetched. ns/end: the sweep, with the receipt of each \
         connection (hashbrown: emptying it). The LRU map: in the kernel, above a program that only drops.\n{}\n",
        columns(&rows),
        ran_on(lines)
    )
}
