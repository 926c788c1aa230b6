//! What an answer had, so that it can be compared with what was sent: how many packets, and a sum of their bytes. The file has a line for each
//! answer: connection, packets, sum, how many packets there must be at least, and whether it calls itself complete; between them tabulators.
//! `load --check` reads it.

use super::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// One answer.
pub struct Answered {
    /// The connection.
    pub conn: Arc<str>,
    /// Its packets.
    pub packets: u64,
    /// Sum of what [`frame`] makes of each, so that a part of a connection can be found in the whole.
    pub sum: u64,
    /// So many had been seen when it was drawn.
    pub least: u64,
    /// It says that nothing is missing.
    pub complete: bool,
}

impl Answered {
    /// Writes the file.
    pub fn write(all: &[Answered], path: &Path) -> Result<(), Error> {
        let mut out = BufWriter::new(File::create(path)?);
        for a in all {
            let complete = if a.complete { "complete" } else { "incomplete" };
            writeln!(out, "{}\t{}\t{:016x}\t{}\t{complete}", a.conn, a.packets, a.sum, a.least)?;
        }
        Ok(out.flush()?)
    }
}

/// Packets of a pcapng answer, and the sum of their frames. Reads enhanced packet blocks and passes over all others.
pub fn sum(mut answer: &[u8]) -> Result<(u64, u64), Error> {
    let (mut packets, mut sum) = (0, 0u64);
    while !answer.is_empty() {
        let word = |at: usize| -> Result<usize, Error> {
            let bytes: [u8; 4] = answer.get(at..at + 4).ok_or("an answer that is cut short")?.try_into()?;
            Ok(u32::from_le_bytes(bytes) as usize)
        };
        let (kind, length) = (word(0)?, word(4)?);
        if kind == 6 {
            let bytes = answer.get(28..28 + word(20)?).ok_or("a packet that is cut short")?;
            packets += 1;
            sum = sum.wrapping_add(frame(bytes));
        }
        answer = answer.get(length.max(12)..).ok_or("a block that is cut short")?;
    }
    Ok((packets, sum))
}

/// One frame's part of the sum; `examples/load/check.rs` has the same.
fn frame(bytes: &[u8]) -> u64 {
    let crc = u64::from(crc32c::crc32c(bytes)) | (bytes.len() as u64) << 32;
    crc.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
