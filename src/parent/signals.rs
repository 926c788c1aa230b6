//! The parent's signals: SIGINT and SIGTERM end, SIGHUP asks for other settings. Each comes as a byte of a socket, so that none is lost between
//! two looks and the parent can wait for them beside everything else. Halves have none of it: [`ignored`].

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What was heard since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// How often it was asked to end.
    pub stops: usize,
    /// By which signal last.
    pub signal: i32,
    /// It was asked for other settings.
    pub reload: bool,
}

/// The signals of this process, and whatever else is to wake it.
#[derive(Debug)]
pub struct Signals {
    of: Vec<(i32, UnixStream)>,
    wake: (UnixStream, UnixStream),
}

impl Signals {
    /// Takes them over, for good.
    pub fn new() -> io::Result<Signals> {
        let mut of = Vec::new();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let (here, there) = UnixStream::pair()?;
            here.set_nonblocking(true)?;
            pipe::register(signal, there)?;
            of.push((signal, here));
        }
        let wake = UnixStream::pair()?;
        wake.0.set_nonblocking(true)?;
        wake.1.set_nonblocking(true)?;
        Ok(Signals { of, wake })
    }

    /// What can be waited for.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.of.iter().map(|(_, socket)| socket).chain([&self.wake.0]).map(AsFd::as_fd)
    }

    /// For another thread, to wake whoever waits.
    pub fn waker(&self) -> io::Result<impl FnOnce() + Send + use<>> {
        let mut socket = self.wake.1.try_clone()?;
        Ok(move || drop(socket.write(&[0])))
    }

    /// What has come.
    pub fn heard(&mut self) -> Heard {
        let mut heard = Heard::default();
        let mut bytes = [0; 64];
        let _ = self.wake.0.read(&mut bytes);
        for (signal, socket) in &mut self.of {
            let n = socket.read(&mut bytes).unwrap_or(0);
            match (*signal, n) {
                (_, 0) => {}
                (SIGHUP, _) => heard.reload = true,
                (signal, n) => (heard.stops, heard.signal) = (heard.stops + n, signal),
            }
        }
        heard
    }
}

/// A half: a terminal and a service manager tell all processes of a recorder, and the parent is the one that acts.
pub fn ignored() -> io::Result<()> {
    let nobody = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, nobody.clone())?;
    }
    Ok(())
}
