//! Where an answer goes, and how what was written is brought to the disk on the way: an answer must not fill the page cache with dirty
//! pages that capture's own writes would have to wait for. Used by the writer and, where the daemon made the file, by the client.

use std::fs::File;
use std::io::{self, Write};

/// Written so far since the last flush to the disk, at most.
pub(super) const DIRTY_BYTES_MAX: u64 = 16 << 20;

/// Where an answer goes.
pub trait Output: Write {
    /// Writes all of it; what is left in `bytes` is empty. Who keeps an answer in memory may keep the buffer itself.
    fn take(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.write_all(bytes)?;
        bytes.clear();
        Ok(())
    }

    /// Brings what was written to the disk, if it is a file.
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for File {
    fn settle(&mut self) -> io::Result<()> {
        (&*self).settle()
    }
}
impl Output for &File {
    fn settle(&mut self) -> io::Result<()> {
        // A pipe or a device has nothing to sync.
        if self.metadata()?.is_file() { self.sync_data() } else { Ok(()) }
    }
}
impl<T: Output + ?Sized> Output for &mut T {
    fn take(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        (**self).take(bytes)
    }
    fn settle(&mut self) -> io::Result<()> {
        (**self).settle()
    }
}
impl<T: Output + ?Sized> Output for Box<T> {
    fn take(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        (**self).take(bytes)
    }
    fn settle(&mut self) -> io::Result<()> {
        (**self).settle()
    }
}
impl Output for io::Stdout {}
impl Output for Vec<u8> {}

/// An output that brings what was written to the disk as it goes.
pub struct Settling<'a, W: Output> {
    to: &'a mut W,
    dirty: u64,
}

impl<'a, W: Output> Settling<'a, W> {
    /// Nothing is written yet.
    pub fn new(to: &'a mut W) -> Settling<'a, W> {
        Settling { to, dirty: 0 }
    }
}

impl<W: Output> Write for Settling<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.dirty += n as u64;
        if self.dirty >= DIRTY_BYTES_MAX {
            self.to.settle()?;
            self.dirty = 0;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
