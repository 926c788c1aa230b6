//! Connections of a Zeek conn.log, tab-separated (the `#fields` line names the columns) or JSON lines. Called by `plan --zeek`.
//!
//! Times are seconds since 1970, in JSON also milliseconds or ISO 8601, as `JSON::timestamps` has it (`TS_EPOCH`, `TS_MILLIS`, `TS_ISO8601`).
//!
//! Fields: <https://docs.zeek.org/en/master/scripts/base/protocols/conn/main.zeek.html> (`Conn::Info`). `*_ip_bytes` are IP lengths as on the
//! wire; a frame has 14 bytes more.

use super::sizes::{Size, Sizes};
use super::{Curve, LeftOut, PlanningError};
use jiff::Timestamp;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

const ETHERNET: u64 = 14;
/// Longer lines are no log.
const LINE_MAX: u64 = 1 << 20;
const FIELDS: [&str; 6] = ["ts", "duration", "orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes"];

/// The curve of these logs together.
pub fn curve(paths: &[PathBuf], cutoffs: &[u64]) -> Result<Curve, PlanningError> {
    let mut sizes = Sizes::new(cutoffs);
    for path in paths {
        read(path, &mut sizes)?;
    }
    Ok(sizes.finish())
}

fn read(path: &Path, sizes: &mut Sizes) -> Result<(), PlanningError> {
    let io = |source| PlanningError::Io { path: path.to_owned(), source };
    let mut lines = BufReader::new(File::open(path).map_err(io)?);
    let (mut line, mut number, mut columns) = (Vec::new(), 0, None);
    loop {
        line.clear();
        number += 1;
        let bad = |why: &str| PlanningError::Zeek { path: path.to_owned(), line: number, why: why.to_owned() };
        if std::io::Read::take(&mut lines, LINE_MAX).read_until(b'\n', &mut line).map_err(io)? == 0 {
            return Ok(());
        }
        if line.len() as u64 >= LINE_MAX {
            return Err(bad("a line of more than 1 MiB: this is no conn.log"));
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        let size = if let Some(names) = text.strip_prefix("#fields\t") {
            columns = Some(
                columns_of(names)
                    .ok_or_else(|| bad("it lacks orig_pkts, orig_ip_bytes, resp_pkts or resp_ip_bytes"))?,
            );
            continue;
        } else if text.is_empty() || text.starts_with('#') {
            continue;
        } else if text.starts_with('{') {
            let object = serde_json::from_str::<Value>(text).map_err(|e| bad(&format!("no JSON: {e}")))?;
            size(|i| field_of(object.get(FIELDS.get(i)?)?))
        } else {
            let Some(columns) = &columns else {
                return Err(bad(
                    "neither JSON nor below a #fields line: this is no conn.log (gzip -dc it first if it is packed)",
                ));
            };
            let cells: Vec<&str> = text.split('\t').collect();
            size(|i| cells.get(*columns.get(i)?)?.parse().ok())
        };
        match size {
            Ok(size) => sizes.add(size),
            Err(why) => sizes.leave_out(why),
        }
    }
}

/// Where the fields stand.
fn columns_of(names: &str) -> Option<Vec<usize>> {
    let names: Vec<&str> = names.split('\t').collect();
    FIELDS.iter().map(|f| names.iter().position(|n| n == f)).collect()
}

/// A field of a JSON object: a number, or a time as a text, in seconds since 1970.
fn field_of(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse::<Timestamp>().ok().map(|t| t.as_nanosecond() as f64 / 1e9),
        value => value.as_f64(),
    }
}

/// Seconds since 1970 are below this, up to the year 5138; above it a time is in milliseconds.
const MILLISECONDS: f64 = 1e11;

/// A connection from its fields, by their places in [`FIELDS`]; or why there is none.
fn size(field: impl Fn(usize) -> Option<f64>) -> Result<Size, LeftOut> {
    let seconds = |i| field(i).filter(|s| s.is_finite() && *s >= 0.0);
    let number = |i| field(i).map(|n| n as u64).ok_or(LeftOut { without_counts: 1, ..LeftOut::default() });
    let (ts, duration) =
        (seconds(0).ok_or(LeftOut { without_time: 1, ..LeftOut::default() })?, seconds(1).unwrap_or(0.0));
    let ts = if ts >= MILLISECONDS { ts / 1e3 } else { ts };
    let packets = number(2)?.saturating_add(number(4)?);
    let bytes = number(3)?.saturating_add(number(5)?);
    let ns = |s: f64| (s * 1e9) as u64;
    Ok(Size {
        first: ns(ts),
        last: ns(ts + duration),
        packets,
        bytes: bytes.saturating_add(packets.saturating_mul(ETHERNET)),
        aggregate: false,
    })
}
