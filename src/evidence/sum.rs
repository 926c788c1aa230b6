//! SHA-256 of a file: of one that is there, and of one that goes by. Owns no file.

use crate::query::output::Output;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// A sum in 64 hexadecimal digits.
fn hex(sum: Sha256) -> String {
    sum.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Length and sum of a file, from its beginning.
pub fn sum_of(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut sum, mut buffer, mut len) = (File::open(path)?, Sha256::new(), vec![0; 1 << 18], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((len, hex(sum))),
            n => {
                sum.update(buffer.get(..n).unwrap_or_default());
                len += n as u64;
            }
        }
    }
}

/// An output whose bytes are summed as they go by: for pipes and devices.
pub struct Summing<W> {
    to: W,
    sum: Sha256,
    bytes: u64,
}

impl<W> Summing<W> {
    /// Nothing has gone by yet.
    pub fn new(to: W) -> Summing<W> {
        Summing { to, sum: Sha256::new(), bytes: 0 }
    }

    /// Length and sum.
    pub fn summed(self) -> (u64, String) {
        (self.bytes, hex(self.sum))
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.sum.update(bytes.get(..n).unwrap_or(bytes));
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: Output> Output for Summing<W> {
    fn settle(&mut self) -> io::Result<()> {
        self.to.settle()
    }
}
