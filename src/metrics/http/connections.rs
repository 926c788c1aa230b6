//! The endpoint's connections, all on one thread that waits for none of them: slow clients keep nobody else waiting, and there are never more than a few.
//! When one more comes the one that is there longest goes. Owns the sockets and how far each is.

use super::{Listener, Request, answer, request};
use crate::limits::{METRICS_CONNECTIONS, METRICS_TIMEOUT};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How long the thread waits before it looks whether to stop, and whose time is over.
const ROUND: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// A socket that waits for nothing.
pub trait Socket: Read + Write + AsFd {}

impl<T: Read + Write + AsFd> Socket for T {}

/// One client.
struct Connection {
    socket: Box<dyn Socket>,
    /// Since when what is under way is: the request, then the answer.
    since: Instant,
    asked: Vec<u8>,
    /// The answer, and how much of it has gone.
    answer: Option<(Vec<u8>, usize)>,
}

/// All of them, the oldest first.
#[derive(Default)]
pub struct Connections(VecDeque<Connection>);

impl Connections {
    /// Waits a little for something to do, and does it.
    pub fn round(&mut self, listener: &Listener, page: &impl Fn() -> String) -> io::Result<()> {
        let door = listener.as_fd();
        let flags = |c: &Connection| if c.answer.is_some() { PollFlags::OUT } else { PollFlags::IN };
        let mut fds: Vec<PollFd<'_>> = vec![PollFd::from_borrowed_fd(door, PollFlags::IN)];
        fds.extend(self.0.iter().map(|c| PollFd::from_borrowed_fd(c.fd(), flags(c))));
        poll(&mut fds, Some(&ROUND)).map_err(io::Error::from)?;
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>().into_iter();
        drop(fds);
        let knocks = ready.next().unwrap_or(false);
        self.0.retain_mut(|c| c.step(ready.next().unwrap_or(false), page));
        if knocks { self.take(listener) } else { Ok(()) }
    }

    fn take(&mut self, listener: &Listener) -> io::Result<()> {
        for _ in 0..METRICS_CONNECTIONS {
            match listener.accept() {
                Ok(socket) => {
                    self.0.push_back(Connection { socket, since: Instant::now(), asked: Vec::new(), answer: None })
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                // Out of descriptors, say: not to be asked again at once.
                Err(e) => {
                    std::thread::sleep(Duration::from_millis(10));
                    return Err(e);
                }
            }
        }
        let more = self.0.len().saturating_sub(METRICS_CONNECTIONS);
        self.0.drain(..more);
        Ok(())
    }
}

impl Connection {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Goes on as far as it can; false: it is over.
    fn step(&mut self, ready: bool, page: &impl Fn() -> String) -> bool {
        // Looked at first what there is: how late this thread comes is no fault of the client's.
        let late = self.since.elapsed() > METRICS_TIMEOUT;
        if self.answer.is_none() {
            let asked = if ready { self.read() } else { None };
            let Some(asked) = asked.or(late.then_some(Request::Wrong("408 Request Timeout"))) else { return true };
            self.answer = Some((answer(&asked, page), 0));
            self.since = Instant::now();
            return self.write();
        }
        self.write() && !late
    }

    /// The request, once all of it is there.
    fn read(&mut self) -> Option<Request> {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(n) => {
                    self.asked.extend(buffer.iter().take(n));
                    if let Some(asked) = request(&self.asked, n == 0) {
                        return Some(asked);
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return None,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Some(Request::Wrong("400 Bad Request")),
            }
        }
    }

    fn write(&mut self) -> bool {
        let Some((bytes, done)) = &mut self.answer else { return true };
        while let Some(rest) = bytes.get(*done..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(n) if n > 0 => *done += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                _ => return false,
            }
        }
        false
    }
}
