//! Connections of a Zeek conn.log, tab-separated (the `#fields` line names the columns) or JSON lines. Called by `plan --zeek`.
//!
//! Fields: <https://docs.zeek.org/en/master/scripts/base/protocols/conn/main.zeek.html> (`Conn::Info`). `*_ip_bytes` are IP lengths as on the
//! wire; a frame has 14 bytes more.

use super::sizes::{Size, Sizes};
use super::{Curve, PlanningError};
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
            size(|i| object.get(FIELDS.get(i)?)?.as_f64())
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
            Some(size) => sizes.add(size),
            None => sizes.leave_out(),
        }
    }
}

/// Where the fields stand.
fn columns_of(names: &str) -> Option<Vec<usize>> {
    let names: Vec<&str> = names.split('\t').collect();
    FIELDS.iter().map(|f| names.iter().position(|n| n == f)).collect()
}

/// A connection from its fields, by their places in [`FIELDS`]. `None`: it has no time or no counts.
fn size(field: impl Fn(usize) -> Option<f64>) -> Option<Size> {
    let seconds = |i| field(i).filter(|s| s.is_finite() && *s >= 0.0);
    let number = |i| field(i).map(|n| n as u64);
    let (ts, duration) = (seconds(0)?, seconds(1).unwrap_or(0.0));
    let packets = number(2)?.saturating_add(number(4)?);
    let bytes = number(3)?.saturating_add(number(5)?);
    let ns = |s: f64| (s * 1e9) as u64;
    Some(Size {
        first: ns(ts),
        last: ns(ts + duration),
        packets,
        bytes: bytes.saturating_add(packets.saturating_mul(ETHERNET)),
        aggregate: false,
    })
}
