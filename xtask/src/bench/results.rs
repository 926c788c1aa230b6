//! The file of results of a bench: one JSON line for each single measurement, only ever appended to. And what tables are
//! made with: medians, columns.

use super::{Options, facts};
use crate::json::Value;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

/// The results of one bench in one folder.
pub struct Results {
    path: PathBuf,
    facts: Value,
    json: bool,
}

impl Results {
    /// Opens the file; what is in it stays.
    pub fn open(bench: &str, options: &Options) -> Result<Results, String> {
        let folder = match &options.into {
            Some(folder) => folder.clone(),
            None if options.smoke => format!("target/bench/{bench}-{}", std::process::id()).into(),
            None => format!("benches/results/{}-{}", facts::date(), facts::kind()).into(),
        };
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let path = folder.join(format!("{bench}.jsonl"));
        Ok(Results { path, facts: facts::object_of(&options.command), json: options.json })
    }

    /// Appends a measurement, with the facts behind it.
    pub fn add(&self, line: Value) -> Result<(), String> {
        let (Value::Object(mut members), Value::Object(facts)) = (line, self.facts.clone()) else {
            return Err("a result is an object".into());
        };
        members.extend(facts);
        let line = Value::Object(members);
        if self.json {
            println!("{line}");
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .map_err(|e| format!("{}: {e}", self.path.display()))?;
        writeln!(file, "{line}").map_err(|e| format!("{}: {e}", self.path.display()))
    }

    /// All measurements in the file.
    pub fn all(&self) -> Result<Vec<Value>, String> {
        let text = fs::read_to_string(&self.path).map_err(|e| format!("{}: {e}", self.path.display()))?;
        text.lines().map(Value::parse).collect()
    }

    /// The measurements of the commit that was measured last, and a word about the others.
    pub fn newest(&self) -> Result<(Vec<Value>, String), String> {
        self.newest_where(|_| true)
    }

    /// The same of those that are wanted.
    pub fn newest_where(&self, wanted: impl Fn(&Value) -> bool) -> Result<(Vec<Value>, String), String> {
        let mut lines = self.all()?;
        lines.retain(|l| wanted(l));
        let count = lines.len();
        let commit = lines.last().and_then(|l| l.text("commit")).unwrap_or_default().to_string();
        lines.retain(|l| l.text("commit") == Some(&commit));
        let others = match count - lines.len() {
            0 => String::new(),
            n => format!("({n} measurements of other commits are in the file.)\n"),
        };
        Ok((lines, others))
    }

    /// Keeps the table beside the results and prints it.
    pub fn table(&self, text: &str) -> Result<(), String> {
        let path = self.path.with_extension("txt");
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        if !self.json {
            println!("{text}\n({} from {})", path.display(), self.path.display());
        }
        Ok(())
    }
}

/// The median; NaN of nothing.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|v| v.is_finite());
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// Rows of cells, the first left-aligned, the others right-aligned; the first row is the head.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(c, (cell, &w))| if c == 0 { format!("{cell:w$}") } else { format!("{cell:>w$}") });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// The distinct values of a text field, in the order of their first appearance.
pub fn distinct(lines: &[Value], field: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for text in lines.iter().filter_map(|l| l.text(field)) {
        if !found.iter().any(|f| f == text) {
            found.push(text.to_string());
        }
    }
    found
}

/// What the lines were measured on, for the end of a table.
pub fn ran_on(lines: &[Value]) -> String {
    let all = |field| distinct(lines, field).join(", ");
    format!("Linux {}; {}; commit {}", all("kernel"), all("cpu"), all("commit"))
}

/// A number with as many digits as say something; a dash for NaN.
pub fn short(n: f64) -> String {
    match n.abs() {
        _ if n.is_nan() => "-".into(),
        a if a >= 100.0 => format!("{n:.0}"),
        a if a >= 10.0 => format!("{n:.1}"),
        _ => format!("{n:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{columns, median};

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, f64::NAN, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn aligned() {
        let rows = [vec!["a".into(), "10".into()], vec!["bcd".into(), "7".into()]];
        assert_eq!(columns(&rows), "a    10\nbcd   7\n");
    }
}
