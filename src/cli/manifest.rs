//! A manifest as a command writes it, beside the packets; and its check, as `verify` shows it.

use super::file::NewFile;
use super::plain::plain;
use super::{Exit, Failure, say, show};
use crate::evidence::{Checked, EvidenceError, Manifest, check};
use crate::units;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes one that was begun, and gives it its name.
pub fn keep(manifest: &Manifest, to: NewFile) -> Result<(), Failure> {
    let mut out = BufWriter::new(to.file());
    manifest.write(&mut out).and_then(|()| out.flush()).map_err(Failure::cannot)?;
    drop(out);
    to.keep()
}

/// Where the manifest of this file of packets goes, if nobody says otherwise.
pub fn beside(packets: &Path) -> PathBuf {
    let mut name = packets.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

/// The name of a file of packets as its manifest has it: without a folder.
pub fn name_of(packets: &Path) -> Option<String> {
    packets.file_name().map(|n| n.to_string_lossy().into_owned())
}

/// What an error of evidence is to the command line.
pub fn failure(e: EvidenceError) -> Failure {
    match &e {
        EvidenceError::NoManifest { .. } => Failure::usage(e),
        _ => Failure::cannot(e),
    }
}

/// Checks one and says what was found.
pub fn verify(path: &Path, packets: Option<&Path>, store: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    crate::query::priority::idle();
    let (manifest, c) = check(path, packets, store).map_err(failure)?;
    if json {
        show::json_line(&c);
    } else {
        let _ = say::out().write_all(plain(&text(&manifest, &c)).as_bytes());
    }
    Ok(if c.problems.is_empty() { Exit::Done } else { Exit::Incomplete })
}

fn text(m: &Manifest, c: &Checked) -> String {
    let mut lines: Vec<String> = c.problems.iter().map(|p| format!("NOT AS IT WAS: {p}")).collect();
    let file = c.file.display();
    if c.problems.is_empty() {
        lines.push(format!("{file}: {}, sha256 {}", units::several(c.packets, "packet"), c.sha256));
        lines.push("the file is the one that the manifest was made of".to_owned());
    }
    match (c.segments_same, c.segments_gone) {
        (Some(same), Some(gone)) => lines.push(format!(
            "of {} in the store: {} what {} when the packets were taken, {} not there any more",
            units::several(c.segments, "segment"),
            if same == 1 { "1 is".to_owned() } else { format!("{same} are") },
            if same == 1 { "it was" } else { "they were" },
            if gone == 1 { "1 is".to_owned() } else { format!("{gone} are") },
        )),
        _ => lines.push("the store was not looked at (--store DIR)".to_owned()),
    }
    if c.segments_unsummed + m.origin.segments.left_out > 0 {
        lines.push(format!(
            "{} without a sum",
            units::several(c.segments_unsummed + m.origin.segments.left_out, "segment")
        ));
    }
    match m.complete {
        true => lines.push("the answer was complete".to_owned()),
        false => {
            lines.push("the answer was not complete:".to_owned());
            lines.extend(m.missing.iter().map(|line| format!("  {line}")));
        }
    }
    lines.join("\n") + "\n"
}
