//! Sleeping until one of several sockets has packets. Owns the poll(2) call and its array, which is made once.

use std::os::fd::{AsRawFd, BorrowedFd};

/// Sockets to sleep on.
#[derive(Default)]
pub struct Waiter {
    fds: Vec<libc::pollfd>,
}

impl Waiter {
    /// Replaces the sockets. They should stay open while this sleeps on them: a closed one is ignored, or stands for
    /// whatever file got its number, which only costs a wake-up.
    pub fn watch<'a>(&mut self, fds: impl Iterator<Item = BorrowedFd<'a>>) {
        self.fds.clear();
        self.fds.extend(fds.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }));
    }

    /// Sleeps until a socket is readable, at most `timeout_ns`. A socket in error (its interface is gone) is not watched
    /// any longer, so that it can't keep the caller awake.
    pub fn wait(&mut self, timeout_ns: u64) {
        let timeout = libc::timespec {
            tv_sec: (timeout_ns / 1_000_000_000) as libc::time_t,
            tv_nsec: (timeout_ns % 1_000_000_000) as libc::c_long,
        };
        // SAFETY: the array is valid for its length, the timeout is read only, and no signal mask is given.
        let ready = unsafe {
            libc::ppoll(self.fds.as_mut_ptr(), self.fds.len() as libc::nfds_t, &raw const timeout, std::ptr::null())
        };
        if ready > 0 {
            for p in &mut self.fds {
                if p.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 {
                    p.fd = -1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_in_error_is_dropped_and_a_readable_one_is_not() {
        let (mut a, b) = UnixStream::pair().unwrap();
        let (c, d) = UnixStream::pair().unwrap();
        let mut waiter = Waiter::default();
        waiter.watch([b.as_fd(), d.as_fd()].into_iter());
        a.write_all(b"x").unwrap();
        drop(c);
        waiter.wait(1_000_000_000);
        assert_eq!(waiter.fds.iter().map(|p| p.fd >= 0).collect::<Vec<_>>(), [true, false]);
        waiter.wait(u64::MAX / 2);
    }
}
