//! The Prometheus text format, version 0.0.4: families with help and type, samples with labels. Owns the syntax; what there is
//! to say comes from `record`. Called by the thread that answers a scrape, never by a worker.

use super::latency::Distribution;
use std::fmt::{Display, Write};

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A page under construction.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// One family; its samples follow each other.
pub struct Family<'a> {
    page: &'a mut Page,
    name: &'a str,
}

impl Page {
    /// Begins a family; `help` is one sentence.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        debug_assert!(name.ends_with("_total") == (kind == Kind::Counter), "{name}");
        self.head(name, if kind == Kind::Counter { "counter" } else { "gauge" }, help);
        Family { page: self, name }
    }

    /// A whole histogram of times, in seconds, with bounds at every second power of two of a nanosecond.
    pub fn histogram(&mut self, name: &str, help: &str, d: &Distribution) {
        const BOUNDS: std::ops::RangeInclusive<u32> = 10..=36;
        self.head(name, "histogram", help);
        let all = d.count();
        for bits in BOUNDS.step_by(2) {
            let _ = writeln!(self.text, "{name}_bucket{{le=\"{}\"}} {}", seconds(1 << bits), d.below(bits));
        }
        let _ = writeln!(self.text, "{name}_bucket{{le=\"+Inf\"}} {all}");
        let _ = writeln!(self.text, "{name}_sum {}", seconds(d.sum));
        let _ = writeln!(self.text, "{name}_count {all}");
    }

    /// The page.
    pub fn text(self) -> String {
        self.text
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.text, "# HELP {name} ");
        escape(&mut self.text, help, false);
        let _ = writeln!(self.text, "\n# TYPE {name} {kind}");
    }
}

impl Family<'_> {
    /// A sample; a label that is empty is none.
    pub fn add(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let text = &mut self.page.text;
        text.push_str(self.name);
        let mut open = false;
        for (name, value) in labels.iter().filter(|(_, v)| !v.is_empty()) {
            text.push(if open { ',' } else { '{' });
            open = true;
            let _ = write!(text, "{name}=\"");
            escape(text, value, true);
            text.push('"');
        }
        if open {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

/// Nanoseconds as seconds.
pub fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn escape(to: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '"' if quotes => to.push_str("\\\""),
            c => to.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::latency::Histogram;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        let mut f = page.family("x_packets_total", Kind::Counter, "Packets \\ of x.");
        f.add(&[("interface", "a\"b\\c\nd"), ("queue", "")], 7u64);
        f.add(&[], f64::NAN);
        let h = Histogram::default();
        [500, 2_000_000, u64::MAX].into_iter().for_each(|v| h.record(v));
        let mut d = Distribution::default();
        h.add_to(&mut d);
        page.histogram("t_seconds", "Times.", &d);
        let text = page.text();
        assert!(text.starts_with(
            "# HELP x_packets_total Packets \\\\ of x.\n# TYPE x_packets_total counter\n\
             x_packets_total{interface=\"a\\\"b\\\\c\\nd\"} 7\nx_packets_total NaN\n"
        ));
        for line in [
            "# TYPE t_seconds histogram",
            "t_seconds_bucket{le=\"0.000001024\"} 1",
            "t_seconds_bucket{le=\"0.004194304\"} 2",
            "t_seconds_bucket{le=\"68.719476736\"} 2",
            "t_seconds_bucket{le=\"+Inf\"} 3",
            "t_seconds_count 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
