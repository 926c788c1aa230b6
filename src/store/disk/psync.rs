//! Writes by a helper thread with pwrite, where io_uring is not allowed. The writer and the thread talk through two bounded
//! lock-free queues.

use super::{Disk, Done, FileSlot, Slots, Write};
use crossbeam_queue::ArrayQueue;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Shared {
    todo: ArrayQueue<(Arc<File>, Write)>,
    done: ArrayQueue<Done>,
    stop: AtomicBool,
}

/// The thread's owner.
#[derive(Debug)]
pub struct Psync {
    shared: Arc<Shared>,
    files: Slots,
    thread: Option<JoinHandle<()>>,
    in_flight: usize,
    queued: bool,
}

impl Psync {
    /// Starts the thread; `writes`: buffers in all.
    pub fn new(writes: usize, files: usize) -> Psync {
        let shared = Arc::new(Shared {
            todo: ArrayQueue::new(writes),
            done: ArrayQueue::new(writes),
            stop: AtomicBool::new(false),
        });
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("disk".into()).spawn(move || serve(&theirs)).ok();
        Psync { shared, files: Slots::new(files), thread, in_flight: 0, queued: false }
    }
}

fn serve(shared: &Shared) {
    loop {
        while let Some((file, write)) = shared.todo.pop() {
            let result = file.write_at(&write.buffer[write.from..write.to], write.offset);
            // As many places as there are buffers: it can't be full.
            let _ = shared.done.push(Done { write, result });
        }
        if shared.stop.load(Ordering::Acquire) {
            return;
        }
        std::thread::park();
    }
}

impl Disk for Psync {
    fn attach(&mut self, file: Arc<File>) -> io::Result<FileSlot> {
        self.files.attach(file)
    }

    fn detach(&mut self, slot: FileSlot) {
        self.files.detach(slot);
    }

    fn write(&mut self, write: Write) {
        let file = self.files.get(write.file).clone();
        self.in_flight += 1;
        self.queued = true;
        if let Err((_, write)) = self.shared.todo.push((file, write)) {
            let _ = self.shared.done.push(Done { write, result: Err(io::ErrorKind::WouldBlock.into()) });
        }
    }

    fn submit(&mut self) {
        if std::mem::take(&mut self.queued) {
            match &self.thread {
                Some(thread) => thread.thread().unpark(),
                // No thread to be had: the writes are made here.
                None => {
                    while let Some((file, write)) = self.shared.todo.pop() {
                        let result = file.write_at(&write.buffer[write.from..write.to], write.offset);
                        let _ = self.shared.done.push(Done { write, result });
                    }
                }
            }
        }
    }

    fn reap(&mut self, done: &mut Vec<Done>) {
        while let Some(d) = self.shared.done.pop() {
            self.in_flight -= 1;
            done.push(d);
        }
    }

    fn wait(&mut self, timeout: Duration) {
        let until = Instant::now() + timeout;
        while self.in_flight > 0 && self.shared.done.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Psync {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            Thread::unpark(thread.thread());
            let _ = thread.join();
        }
    }
}
