//! Writes by io_uring: registered files and, where the memory lock limit allows it, registered buffers; several writes with
//! one system call. One ring for each writer, used from its thread only. A filter of system calls does not see what a ring does: the kernel
//! lets this one write to registered files, and nothing else.
#![allow(unsafe_code)]

use super::buffers::Buffer;
use super::{Disk, Done, FileSlot, Slots, Write};
use io_uring::register::Restriction;
use io_uring::types::{Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// A ring and what is under way in it.
pub struct Uring {
    ring: IoUring,
    files: Slots,
    /// Writes in the kernel, by buffer index, which is also the user data.
    flying: Vec<Option<Write>>,
    in_flight: usize,
    fixed_buffers: bool,
    /// Queued but not yet taken by the kernel.
    queued: usize,
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uring").field("in_flight", &self.in_flight).field("fixed_buffers", &self.fixed_buffers).finish()
    }
}

impl Uring {
    /// A ring for these buffers and so many files. Fails where io_uring is off (`kernel.io_uring_disabled`, seccomp).
    pub fn new(buffers: &[Buffer], files: usize) -> io::Result<Uring> {
        let entries = (buffers.len() as u32).next_power_of_two().max(8);
        // Completions wait for the next system call of this thread instead of interrupting it (5.19); older kernels do without. The ring
        // takes nothing before it is restricted.
        let ring = IoUring::builder()
            .setup_clamp()
            .setup_r_disabled()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .build(entries)
            .or_else(|_| IoUring::builder().setup_clamp().setup_r_disabled().build(entries))?;
        let submitter = ring.submitter();
        submitter.register_files_sparse(files as u32)?;
        let iovecs: Vec<libc::iovec> =
            buffers.iter().map(|b| libc::iovec { iov_base: b.as_ptr().cast_mut().cast(), iov_len: b.len() }).collect();
        // SAFETY: each range is a buffer's memory, which stays mapped while any buffer of its region lives: those in flight
        // are kept in `flying`, and `drop` leaks them if the kernel still has them. The kernel only reads from them.
        let fixed_buffers = unsafe { submitter.register_buffers(&iovecs) }.is_ok();
        submitter.register_restrictions(&mut restrictions(fixed_buffers))?;
        submitter.register_enable_rings()?;
        Ok(Uring {
            ring,
            files: Slots::new(files),
            flying: buffers.iter().map(|_| None).collect(),
            in_flight: 0,
            fixed_buffers,
            queued: 0,
        })
    }

    fn enter(&mut self) {
        // EAGAIN, EBUSY, EINTR: what is queued stays queued and goes with the next call.
        if let Ok(n) = self.ring.submit() {
            self.queued = self.queued.saturating_sub(n);
        }
    }
}

impl Disk for Uring {
    fn attach(&mut self, file: Arc<File>) -> io::Result<FileSlot> {
        let fd = file.as_raw_fd();
        let slot = self.files.attach(file)?;
        match self.ring.submitter().register_files_update(slot.0.into(), &[fd]) {
            Ok(_) => Ok(slot),
            Err(e) => {
                self.files.detach(slot);
                Err(e)
            }
        }
    }

    fn detach(&mut self, slot: FileSlot) {
        // The kernel's own reference goes with the next update of the slot at the latest.
        let _ = self.ring.submitter().register_files_update(slot.0.into(), &[-1]);
        self.files.detach(slot);
    }

    fn write(&mut self, write: Write) {
        let index = write.buffer.index();
        let bytes = &write.buffer[write.from..write.to];
        let (at, len, fd) = (bytes.as_ptr(), bytes.len() as u32, Fixed(write.file.0.into()));
        let entry = if self.fixed_buffers {
            opcode::WriteFixed::new(fd, at, len, index).offset(write.offset).build()
        } else {
            opcode::Write::new(fd, at, len).offset(write.offset).build()
        };
        let entry = entry.user_data(index.into());
        self.flying[usize::from(index)] = Some(write);
        // SAFETY: the entry's memory belongs to the buffer that now lies in `flying` and stays there until the completion is
        // reaped, so that nobody writes to it or unmaps it; the file slot stays attached while writes to it are under way.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.enter();
        }
        self.in_flight += 1;
        self.queued += 1;
    }

    fn submit(&mut self) {
        if self.queued > 0 {
            self.enter();
        }
    }

    fn reap(&mut self, done: &mut Vec<Done>) {
        if self.in_flight == 0 {
            return;
        }
        if self.ring.submission().taskrun() {
            // Finished writes whose completions wait for a system call of ours.
            let _ = self.ring.submitter().submit_with_args(0, &SubmitArgs::new().timespec(&Timespec::new()));
        }
        for cqe in self.ring.completion() {
            let Some(write) = self.flying.get_mut(cqe.user_data() as usize).and_then(Option::take) else { continue };
            self.in_flight -= 1;
            let result = usize::try_from(cqe.result()).map_err(|_| io::Error::from_raw_os_error(-cqe.result()));
            done.push(Done { write, result });
        }
    }

    fn wait(&mut self, timeout: Duration) {
        if self.in_flight > 0 {
            let timespec = Timespec::from(timeout);
            if let Ok(n) = self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timespec)) {
                self.queued = self.queued.saturating_sub(n);
            }
        }
    }
}

/// IORING_REGISTER_FILES_UPDATE: another file in a slot. The `io-uring` crate has no name for it.
const FILES_UPDATE: u8 = 6;

/// All that the ring may do from now on: this one kind of write, to registered files; and files are registered. Never undone: the kernel takes
/// no second list.
fn restrictions(fixed_buffers: bool) -> [Restriction; 3] {
    let write = if fixed_buffers { opcode::WriteFixed::CODE } else { opcode::Write::CODE };
    [
        Restriction::sqe_op(write),
        Restriction::sqe_flags_required(squeue::Flags::FIXED_FILE.bits()),
        Restriction::register_op(FILES_UPDATE),
    ]
}

impl Drop for Uring {
    fn drop(&mut self) {
        // The kernel may still read from these: their memory must outlive us.
        self.flying.drain(..).flatten().for_each(|w| std::mem::forget(w.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BLOCK_BYTES;
    use io_uring::types::Fd;
    use rustix::io::Errno;
    use std::os::unix::fs::FileExt;

    /// What the kernel says to an operation.
    fn answer(uring: &mut Uring, entry: &squeue::Entry) -> i32 {
        // SAFETY: what an entry of these tests names are constants, or memory that lives until the answer is here.
        unsafe { uring.ring.submission().push(entry) }.expect("room in the ring");
        uring.ring.submit_and_wait(1).expect("the kernel takes it");
        uring.ring.completion().next().expect("an answer").result()
    }

    #[test]
    fn a_ring_writes_to_its_files_and_does_nothing_else() {
        let buffers = Buffer::allocate(2).expect("memory");
        let mut uring = match Uring::new(&buffers, 2) {
            Ok(uring) => uring,
            Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::PERM | Errno::NOSYS)) => {
                println!("skipped: io_uring is not allowed here: {e}");
                return;
            }
            Err(e) => panic!("{e}"),
        };
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        let slot = uring.attach(file.clone()).expect("a slot");
        let mut buffer = buffers.into_iter().next().expect("a buffer");
        buffer[..4096].fill(7);
        uring.write(Write { file: slot, offset: 4096, buffer, from: 0, to: 4096 });
        uring.submit();
        let mut done = Vec::new();
        while done.is_empty() {
            uring.wait(Duration::from_secs(1));
            uring.reap(&mut done);
        }
        assert_eq!(done[0].result.as_ref().expect("it is written"), &4096);
        let mut read = [0; 4096];
        file.read_exact_at(&mut read, 4096).expect("what was written");
        assert_eq!(read, [7; 4096]);

        let buffer = &done[0].write.buffer;
        assert!(buffer.len() == BLOCK_BYTES);
        let (at, fixed, fd) = (buffer.as_ptr(), Fixed(slot.0.into()), Fd(file.as_raw_fd()));
        let mut into = [0u8; 16];
        let refused = -Errno::ACCESS.raw_os_error();
        // Another file, though it is open in this process.
        assert_eq!(answer(&mut uring, &opcode::Write::new(fd, at, 512).build()), refused);
        assert_eq!(answer(&mut uring, &opcode::WriteFixed::new(fd, at, 512, 0).build()), refused);
        let others = [
            opcode::Nop::new().build(),
            opcode::Read::new(fixed, into.as_mut_ptr(), 16).build(),
            opcode::Fsync::new(fixed).build(),
            opcode::OpenAt::new(Fd(libc::AT_FDCWD), c"/etc/passwd".as_ptr()).build(),
            opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).build(),
        ];
        for entry in others {
            assert_eq!(answer(&mut uring, &entry), refused, "{entry:?}");
        }
        // Nor is the list taken back, or anything else registered.
        let submitter = uring.ring.submitter();
        assert!(submitter.register_restrictions(&mut [Restriction::sqe_op(opcode::Read::CODE)]).is_err());
        assert!(submitter.unregister_files().is_err());
        let eventfd = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).expect("an eventfd");
        assert!(submitter.register_eventfd(eventfd.as_raw_fd()).is_err());
        // What it may do it still does.
        uring.detach(slot);
        uring.attach(file).expect("a slot");
    }
}
