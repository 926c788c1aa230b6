//! The disk, as the writer sees it: it takes whole block buffers and gives them back when they are written. Owns the trait
//! and its implementations: [`uring`] (the real one), [`psync`] (where io_uring is not allowed), [`sim`] (faults, for tests);
//! the buffers, and how files are opened. Called by the writer only; nothing here knows what a packet is.

pub mod buffers;
pub mod fault;
pub mod files;
pub mod mmap;
pub mod psync;
pub mod sim;
pub mod uring;

use buffers::Buffer;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A file that a disk has taken in; valid until it is detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSlot(pub u16);

/// One write: `buffer[from..to]` to `offset`; all three are multiples of 4096. The disk owns the buffer until it is done.
#[derive(Debug)]
pub struct Write {
    /// Where to.
    pub file: FileSlot,
    /// Offset in the file.
    pub offset: u64,
    /// What.
    pub buffer: Buffer,
    /// First byte of the buffer to write.
    pub from: usize,
    /// End of the bytes to write.
    pub to: usize,
}

/// A finished write, given back with what came of it: bytes written, perhaps fewer than asked, or the error.
#[derive(Debug)]
pub struct Done {
    /// As it was submitted.
    pub write: Write,
    /// Bytes written or why not.
    pub result: io::Result<usize>,
}

/// Where blocks go. No call blocks but [`wait`](Disk::wait), or allocates but [`attach`](Disk::attach).
pub trait Disk {
    /// Takes a file in. Fails when all slots are taken.
    fn attach(&mut self, file: Arc<File>) -> io::Result<FileSlot>;
    /// Gives the slot back; no write to it may be under way.
    fn detach(&mut self, slot: FileSlot);
    /// Queues a write. There is room for as many as there are buffers.
    fn write(&mut self, write: Write);
    /// Starts what is queued.
    fn submit(&mut self);
    /// Finished writes, in any order.
    fn reap(&mut self, done: &mut Vec<Done>);
    /// Sleeps until a write finishes, at most this long.
    fn wait(&mut self, timeout: Duration);
}

/// The disk that a recorder gets: io_uring where it is allowed, else a helper thread.
#[derive(Debug)]
pub enum AnyDisk {
    /// io_uring.
    Uring(Box<uring::Uring>),
    /// A helper thread.
    Psync(psync::Psync),
}

impl AnyDisk {
    /// Tries io_uring; the error says why it is not, and is worth telling once.
    pub fn new(buffers: &[Buffer], files: usize) -> (AnyDisk, Option<io::Error>) {
        match uring::Uring::new(buffers, files) {
            Ok(uring) => (AnyDisk::Uring(Box::new(uring)), None),
            Err(why) => (AnyDisk::Psync(psync::Psync::new(buffers.len(), files)), Some(why)),
        }
    }
}

macro_rules! each {
    ($self:ident, $d:ident => $e:expr) => {
        match $self {
            AnyDisk::Uring($d) => $e,
            AnyDisk::Psync($d) => $e,
        }
    };
}

impl Disk for AnyDisk {
    fn attach(&mut self, file: Arc<File>) -> io::Result<FileSlot> {
        each!(self, d => d.attach(file))
    }
    fn detach(&mut self, slot: FileSlot) {
        each!(self, d => d.detach(slot))
    }
    fn write(&mut self, write: Write) {
        each!(self, d => d.write(write))
    }
    fn submit(&mut self) {
        each!(self, d => d.submit())
    }
    fn reap(&mut self, done: &mut Vec<Done>) {
        each!(self, d => d.reap(done))
    }
    fn wait(&mut self, timeout: Duration) {
        each!(self, d => d.wait(timeout))
    }
}

/// Files by slot; shared by the implementations.
#[derive(Debug)]
pub(crate) struct Slots {
    files: Vec<Option<Arc<File>>>,
}

impl Slots {
    pub(crate) fn new(n: usize) -> Slots {
        Slots { files: (0..n).map(|_| None).collect() }
    }

    pub(crate) fn attach(&mut self, file: Arc<File>) -> io::Result<FileSlot> {
        let free = self.files.iter().position(Option::is_none).ok_or(io::ErrorKind::QuotaExceeded)?;
        self.files[free] = Some(file);
        Ok(FileSlot(free as u16))
    }

    pub(crate) fn detach(&mut self, slot: FileSlot) {
        self.files[usize::from(slot.0)] = None;
    }

    pub(crate) fn get(&self, slot: FileSlot) -> &Arc<File> {
        self.files[usize::from(slot.0)].as_ref().expect("a slot is used between attach and detach")
    }
}
