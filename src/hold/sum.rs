//! What a hold writes: a file that does not grow past what is allowed, and its sum, taken when the file is whole. Called by [`held`](super::held),
//! [`make`](super::make) and [`slice`](super::slice).

use crate::query::output::{Output, fill_in};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The file, and what it may still take.
pub struct Bounded<'a> {
    file: &'a File,
    written: u64,
    room: u64,
}

impl Bounded<'_> {
    /// `room`: bytes that it may take from here on.
    pub fn new(file: &File, room: u64) -> Bounded<'_> {
        Bounded { file, written: 0, room }
    }
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written.saturating_add(bytes.len() as u64) > self.room {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let n = self.file.write(bytes)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Output for Bounded<'_> {
    fn settle(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// The section that begins at `begin` is written: fills in what its header says of it, and brings it to the disk. Its length, and the sum of
/// all, `before` being that of the bytes before it. They are read again: the header, which comes first, is known last.
pub fn ended(mut file: &File, begin: u64, before: Sha256) -> io::Result<(u64, Sha256)> {
    fill_in(file, begin)?;
    file.sync_all()?;
    file.seek(SeekFrom::Start(begin))?;
    let summed = summed(file, before, &mut |_| true)?;
    Ok(summed.unwrap_or_default())
}

/// A sum in 64 hexadecimal digits.
pub fn hex(sum: &Sha256) -> String {
    sum.clone().finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Length and sum of a file, up to so many bytes, which are given to `each`; `None`: it said no.
pub fn sum_upto(path: &Path, most: u64, each: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<Option<(u64, Sha256)>> {
    summed(File::open(path)?.take(most), Sha256::new(), each)
}

fn summed(
    mut from: impl Read,
    mut sum: Sha256,
    each: &mut dyn FnMut(&[u8]) -> bool,
) -> io::Result<Option<(u64, Sha256)>> {
    let (mut buffer, mut len) = (vec![0; 1 << 18], 0);
    loop {
        let n = from.read(&mut buffer)?;
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
