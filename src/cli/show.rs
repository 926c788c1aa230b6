//! How a recording shows itself: a line each second on a terminal, a log line each interval elsewhere, JSON objects for
//! programs, a progress line for files. Owns the observers; called by the control loop.

use super::say;
use crate::metrics::status::ReportKind;
use crate::record::Observer;
use crate::record::statistics::Sample;
use crate::shape;
use crate::units;
use std::io::{IsTerminal, Write};

const SECOND: u64 = 1_000_000_000;

/// The observer for these circumstances.
pub fn observer(json: bool, files: bool, log_interval_ns: u64) -> Box<dyn Observer> {
    let terminal = std::io::stderr().is_terminal();
    match (json, terminal, files) {
        (true, ..) => Box::new(Json { interval_ns: log_interval_ns, started: None }),
        (_, true, true) => Box::new(Progress { shown: false }),
        (_, true, false) => Box::new(Lines),
        // Off a terminal an import says nothing on its way, only at its end.
        (_, false, true) => Box::new(Silent),
        (_, false, false) => Box::new(Log { interval_ns: log_interval_ns }),
    }
}

/// One object for each interval on standard output.
struct Json {
    interval_ns: u64,
    started: Option<u64>,
}

impl Observer for Json {
    fn interval_ns(&self) -> u64 {
        self.interval_ns
    }

    fn interval(&mut self, before: &Sample, now: &Sample, _: Option<(u64, u64)>) {
        let started = *self.started.get_or_insert(before.mono_ns);
        json_line(&now.report(ReportKind::Interval, started));
    }
}

/// An object that stands alone, or a line of a list, on standard output. Nothing that happens to it is a reason to stop recording.
pub fn json_line(value: &impl serde::Serialize) {
    let line = shape::text(value) + "\n";
    let _ = say::out().write_all(line.as_bytes()).and_then(|()| say::out().flush());
}

/// A line each second.
struct Lines;

impl Observer for Lines {
    fn interval_ns(&self) -> u64 {
        SECOND
    }

    fn interval(&mut self, before: &Sample, now: &Sample, _: Option<(u64, u64)>) {
        let clock = units::local_time(now.unix_ns);
        let _ = writeln!(std::io::stderr(), "{} {}", clock.get(11..).unwrap_or(&clock), now.line(before));
    }
}

/// A log line each interval.
struct Log {
    interval_ns: u64,
}

impl Observer for Log {
    fn interval_ns(&self) -> u64 {
        self.interval_ns
    }

    fn interval(&mut self, before: &Sample, now: &Sample, _: Option<(u64, u64)>) {
        tracing::info!("{}", now.line(before));
    }
}

/// Nothing.
struct Silent;

impl Observer for Silent {
    fn interval_ns(&self) -> u64 {
        u64::MAX
    }

    fn interval(&mut self, _: &Sample, _: &Sample, _: Option<(u64, u64)>) {}
}

/// One line that is written over, for files on a terminal.
struct Progress {
    shown: bool,
}

impl Observer for Progress {
    fn interval_ns(&self) -> u64 {
        SECOND
    }

    fn interval(&mut self, before: &Sample, now: &Sample, read: Option<(u64, u64)>) {
        let (read, total) = read.unwrap_or_default();
        let far = match total {
            0 => units::size(read),
            _ => format!("{:3}% of {}", (read as u128 * 100 / u128::from(total)).min(100), units::size(total)),
        };
        self.shown = true;
        let line = now.line(before);
        let short: String = line.split(" · ").take(4).collect::<Vec<_>>().join(" · ");
        let _ = write!(std::io::stderr(), "\r{far} · {short}\x1b[K");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
