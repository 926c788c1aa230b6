//! A file that is summed while it is written, and that does not grow past what is allowed. Called by [`held`](super::held).

use crate::query::output::Output;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The file, its sum so far, and what it may still take.
pub struct Summed {
    file: File,
    sum: Sha256,
    written: u64,
    room: u64,
}

impl Summed {
    /// `room`: bytes that it may take.
    pub fn new(file: File, room: u64) -> Summed {
        Summed { file, sum: Sha256::new(), written: 0, room }
    }

    /// Goes on behind the first `written` bytes, which have this sum; `room`: bytes that it may still take.
    pub fn resume(mut file: File, room: u64, sum: Sha256, written: u64) -> io::Result<Summed> {
        file.seek(SeekFrom::Start(written))?;
        Ok(Summed { file, sum, written: 0, room })
    }

    /// Brings it to the disk; the bytes since it went on, and the sum of all.
    pub fn pause(self) -> io::Result<(u64, Sha256)> {
        self.file.sync_all()?;
        Ok((self.written, self.sum))
    }

    /// A sum so far.
    pub fn hex(sum: &Sha256) -> String {
        hex(&sum.clone().finalize())
    }

    /// Brings it to the disk; its length and sum.
    pub fn close(self) -> io::Result<(u64, String)> {
        self.file.sync_all()?;
        Ok((self.written, hex(&self.sum.finalize())))
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written.saturating_add(bytes.len() as u64) > self.room {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let n = self.file.write(bytes)?;
        self.sum.update(bytes.get(..n).unwrap_or(bytes));
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Output for Summed {
    fn settle(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Length and sum of a file, up to so many bytes, which are given to `each`; `None`: it said no.
pub fn sum_upto(path: &Path, most: u64, each: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<Option<(u64, Sha256)>> {
    let (mut file, mut sum, mut buffer, mut len) = (File::open(path)?.take(most), Sha256::new(), vec![0; 1 << 18], 0);
    loop {
        let n = file.read(&mut buffer)?;
        let bytes = buffer.get(..n).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Some((len, sum)));
        }
        if !each(bytes) {
            return Ok(None);
        }
        sum.update(bytes);
        len += n as u64;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
