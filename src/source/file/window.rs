//! A sliding window over an input of any length: a file, a pipe or standard input. Owns the one buffer of the file
//! source, whose size never changes, whatever a length field claims. Called by the file source only.

use crate::limits::FILE_WINDOW_BYTES;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, ErrorKind, Read};

/// What a fill brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// As many bytes as asked for are there.
    Ready,
    /// Not yet: the writer at the other end of the pipe has not written them.
    Wait,
    /// There will never be as many.
    End,
}

/// The window: `bytes()` are the next bytes of the input that are not consumed.
#[derive(Debug)]
pub struct Window {
    input: File,
    /// A pipe or terminal: reading could block.
    live: bool,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the input of `buffer[start]`.
    offset: u64,
    /// Bytes to drop before the next that count: the rest of something larger than the window.
    skip: u64,
    eof: bool,
}

impl Window {
    /// A window at the start of `input`. `buffer` comes from [`Window::buffer`] or [`Window::into_buffer`].
    pub fn new(input: File, buffer: Vec<u8>) -> Window {
        let live = input.metadata().is_ok_and(|m| !m.is_file());
        Window { input, live, buffer, start: 0, end: 0, offset: 0, skip: 0, eof: false }
    }

    /// The memory of a window.
    pub fn buffer() -> Vec<u8> {
        vec![0; FILE_WINDOW_BYTES]
    }

    /// Gives the memory back for the next file.
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// What is there.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Offset in the input of the first of [`bytes`](Window::bytes).
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that [`consume`](Window::consume) promised to drop and that the input has not brought yet.
    pub fn owed(&self) -> u64 {
        self.skip
    }

    /// Drops `n` bytes, those to come included.
    pub fn consume(&mut self, n: u64) {
        let here = n.min((self.end - self.start) as u64);
        self.start += here as usize;
        self.offset += here;
        self.skip += n - here;
    }

    /// Reads until `need` bytes are there. `need` is at most the size of the window: more is answered by
    /// [`Fill::End`]. Blocks on a file's disk, never on the writer of a pipe.
    pub fn fill(&mut self, need: usize) -> io::Result<Fill> {
        loop {
            if self.skip == 0 && self.end - self.start >= need {
                return Ok(Fill::Ready);
            }
            if self.eof || need > self.buffer.len() {
                return Ok(Fill::End);
            }
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.live && !self.readable(0)? {
                return Ok(Fill::Wait);
            }
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.input.read(room) {
                Ok(0) => self.eof = true,
                Ok(n) => {
                    self.end += n;
                    let owed = std::mem::take(&mut self.skip);
                    self.consume(owed);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Fill::Wait),
                Err(e) => return Err(e),
            }
        }
    }

    /// Sleeps until the input has more, at most `timeout_ns`. Files always have.
    pub fn readable(&self, timeout_ns: u64) -> io::Result<bool> {
        if !self.live {
            return Ok(true);
        }
        let timeout =
            Timespec { tv_sec: (timeout_ns / 1_000_000_000) as i64, tv_nsec: (timeout_ns % 1_000_000_000) as i64 };
        let mut fds = [PollFd::new(&self.input, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(n) => Ok(n > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}
