//! One host, and a pair of hosts, asked of the filters of 10,000 segments: as many as 1.3 TB have.

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
        let said = shell::output(&mut filters)?;
        for said in said.lines() {
            let line = [("bench", "query".into()), ("part", "filters".into()), ("round", u64::from(round).into())];
            let (Value::Object(line), Some(Value::Object(said))) = (object(line), last(said)) else {
                return Err("filters said no object".into());
            };
            results.add(Value::Object(line.into_iter().chain(said).collect()))?;
        }
    }
    Ok(())
}

/// A row for each kind of question.
pub fn table(lines: &[Value]) -> String {
    let head = ["filters of", "asked for", "MB held", "p50 ms", "p99 ms", "first ms", "passed wrongly, of a million"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for (question, name) in [("host", "a host that none has"), ("pair", "two hosts, never together")] {
        let mine: Vec<&Value> = lines.iter().filter(|l| l.text("question") == Some(question)).collect();
        let of = |field: &str| median(mine.iter().filter_map(|l| l.float(field)).collect());
        let wrong = of("passed") / (of("segments") * of("questions")) * 1e6;
        let (p50, p99, first) = (short(of("p50_ms")), short(of("p99_ms")), short(of("first_ms")));
        let (segments, bytes) = (short(of("segments")), short(of("filter_bytes") / 1e6));
        rows.push(vec![segments, name.into(), bytes, p50, p99, first, short(wrong)]);
    }
    format!("{}\nThe first question also checks the sums. {}\n", columns(&rows), ran_on(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_question() {
        let line = |question: &str, ms: f64| {
            object([
                ("question", question.into()),
                ("segments", 10_000u64.into()),
                ("questions", 100u64.into()),
                ("passed", 4_000u64.into()),
                ("p50_ms", Some(ms).into()),
                ("p99_ms", Some(2.0 * ms).into()),
            ])
        };
        let text = table(&[line("host", 3.0), line("host", 4.0), line("pair", 8.0)]);
        let row = |n: usize| text.lines().nth(n).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(row(1).starts_with("10000 a host that none has ") && row(1).contains(" 3.50 7.00 "), "{text}");
        assert!(row(2).contains(" 8.00 16.0 "), "{text}");
    }
}
