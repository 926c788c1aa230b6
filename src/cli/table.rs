//! Aligned columns for people: text to the left, numbers to the right.

use super::plain::cell;

/// Rows of cells; every row has as many as the heading.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with these headings; one that begins with `>` is a column of numbers.
    pub fn new(headings: &[&str]) -> Table {
        let right = headings.iter().map(|h| h.starts_with('>')).collect();
        let rows = match headings.iter().all(|h| h.trim_start_matches('>').is_empty()) {
            true => Vec::new(),
            false => vec![headings.iter().map(|h| h.trim_start_matches('>').to_owned()).collect()],
        };
        Table { rows, right }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|text| cell(&text)).collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |c: usize| self.rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                match right {
                    true => line.push_str(&format!("{cell:>width$}  ")),
                    false => line.push_str(&format!("{cell:<width$}  ")),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut t = Table::new(&["what", ">packets"]);
        t.row(["stored".into(), "1 234".into()]);
        t.row(["cut".into(), "5".into()]);
        assert_eq!(t.to_string(), "what    packets\nstored    1 234\ncut           5\n");
    }
}
