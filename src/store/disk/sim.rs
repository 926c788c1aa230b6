//! A disk that fails on command: short and torn writes, EIO, ENOSPC, delay, a crash at any write. Used by tests of the writer
//! and of recovery. It writes to real files, so that what recovery then reads went through the real filesystem.

use super::{Disk, Done, FileSlot, Slots, Write};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing wrong.
    None,
    /// Only so many bytes are written, and the count says so.
    Short(usize),
    /// The machine dies: so many bytes reach the disk, and no later write does. Nothing is reported any more.
    Crash(usize),
    /// Fails with this errno.
    Errno(i32),
    /// Finishes only so many reaps later.
    Delay(u32),
}

type Plan = Box<dyn FnMut(u64, &Write) -> Fault + Send>;

/// The disk; `plan` is asked for the fate of each write, counted from 0.
pub struct Sim {
    plan: Plan,
    files: Slots,
    count: u64,
    flying: VecDeque<(u32, Done)>,
    crashed: bool,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("count", &self.count).field("crashed", &self.crashed).finish()
    }
}

impl Sim {
    /// A disk with this plan.
    pub fn new(files: usize, plan: impl FnMut(u64, &Write) -> Fault + Send + 'static) -> Sim {
        Sim { plan: Box::new(plan), files: Slots::new(files), count: 0, flying: VecDeque::new(), crashed: false }
    }

    /// Whether the plan's crash has come.
    pub fn crashed(&self) -> bool {
        self.crashed
    }
}

impl Disk for Sim {
    fn attach(&mut self, file: Arc<File>) -> io::Result<FileSlot> {
        self.files.attach(file)
    }

    fn detach(&mut self, slot: FileSlot) {
        self.files.detach(slot);
    }

    fn write(&mut self, write: Write) {
        let fault = (self.plan)(self.count, &write);
        self.count += 1;
        let bytes = &write.buffer[write.from..write.to];
        let file = self.files.get(write.file);
        if self.crashed {
            return self.flying.push_back((u32::MAX, Done { write, result: Ok(0) }));
        }
        let put = |n: usize| file.write_all_at(&bytes[..n.min(bytes.len())], write.offset).map(|()| n.min(bytes.len()));
        let (later, result) = match fault {
            Fault::None => (0, put(bytes.len())),
            Fault::Short(n) => (0, put(n)),
            Fault::Crash(n) => {
                self.crashed = true;
                (u32::MAX, put(n))
            }
            Fault::Errno(e) => (0, Err(io::Error::from_raw_os_error(e))),
            Fault::Delay(n) => (n, put(bytes.len())),
        };
        self.flying.push_back((later, Done { write, result }));
    }

    fn submit(&mut self) {}

    fn reap(&mut self, done: &mut Vec<Done>) {
        for _ in 0..self.flying.len() {
            match self.flying.pop_front() {
                Some((0, d)) => done.push(d),
                Some((u32::MAX, d)) => self.flying.push_back((u32::MAX, d)),
                Some((n, d)) => self.flying.push_back((n - 1, d)),
                None => {}
            }
        }
    }

    fn wait(&mut self, _: Duration) {}
}
