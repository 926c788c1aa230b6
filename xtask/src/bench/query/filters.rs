//! One host, asked of the address filters of 10,000 segments: as many as 1.3 TB have.

use super::disk::{STORE, make};
use crate::bench::Options;
use crate::bench::results::{Results, columns, median, ran_on, short};
use crate::bench::tool::last;
use crate::json::{Value, object};
use crate::shell;
use std::fs;
use std::process::Command;

/// Makes a store of a few segments, whose filters are repeated.
pub fn measure(options: &Options, results: &Results) -> Result<(), String> {
    make(options, if options.smoke { "2" } else { "150" })?;
    let asked = ask(options, results);
    let _ = fs::remove_dir_all(STORE);
    asked
}

fn ask(options: &Options, results: &Results) -> Result<(), String> {
    for round in 1..=options.rounds() {
        let mut filters = Command::new(options.programs().join("examples/filters"));
        filters.args(["--store", STORE, "--segments", if options.smoke { "100" } else { "10000" }]);
        let said = last(&shell::output(&mut filters)?).ok_or("filters said nothing")?;
        let line = [("bench", "query".into()), ("part", "filters".into()), ("round", u64::from(round).into())];
        let (Value::Object(line), Value::Object(said)) = (object(line), said) else { return Err("no line".into()) };
        results.add(Value::Object(line.into_iter().chain(said).collect()))?;
    }
    Ok(())
}

/// One row.
pub fn table(lines: &[Value]) -> String {
    let head = ["address filters", "MB held", "p50 ms", "p99 ms", "first ms", "passed wrongly, of a million"];
    let of = |field: &str| median(lines.iter().filter_map(|l| l.float(field)).collect());
    let wrong = of("passed") / (of("segments") * of("hosts")) * 1e6;
    let row = [
        short(of("segments")),
        short(of("filter_bytes") / 1e6),
        short(of("p50_ms")),
        short(of("p99_ms")),
        short(of("first_ms")),
        short(wrong),
    ];
    format!(
        "{}\nOne host, asked of all of them; the first question also checks their sums. {}\n",
        columns(&[head.map(String::from).to_vec(), row.to_vec()]),
        ran_on(lines)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row() {
        let line = |ms: f64| {
            object([
                ("segments", 10_000u64.into()),
                ("hosts", 100u64.into()),
                ("passed", 4_000u64.into()),
                ("p50_ms", Some(ms).into()),
                ("p99_ms", Some(2.0 * ms).into()),
            ])
        };
        let text = table(&[line(3.0), line(4.0)]);
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!((row[0], row[2], row[3], row[5]), ("10000", "3.50", "7.00", "4000"), "{text}");
    }
}
