//! A half that runs, as the parent sees it: how it is started, what it says, how it ended. Owns its process, which ends with this. No fork: the
//! standard library starts it by posix_spawn, since nothing is to be done between.

use super::message::{self, Kind, Received};
use super::{document, inherit};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

/// One that runs, or has ended and is not reaped.
#[derive(Debug)]
pub struct Running {
    process: OwnChild,
    /// Readable once it has ended.
    pidfd: OwnedFd,
    /// None: there is nothing more to say.
    socket: Option<OwnedFd>,
    /// It may hand something over, and has the standard output.
    trusted: bool,
    /// When it was started.
    pub since: Instant,
    /// It has said that it works.
    pub ready: bool,
    /// Looks, a second apart, since it was heard last.
    pub silent: u32,
    /// It has been heard.
    pub heard: bool,
}

/// Killed and reaped when dropped.
#[derive(Debug)]
struct OwnChild(Child);

impl Drop for OwnChild {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts it with a document and what it is handed.
    pub fn start(word: &str, trusted: bool, begin: &[u8], handed: &[OwnedFd]) -> io::Result<Running> {
        let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let document = document::sealed(begin)?;
        let fds: Vec<BorrowedFd<'_>> = [&document].into_iter().chain(handed).map(AsFd::as_fd).collect();
        // Before it is there: it finds it at its first look.
        message::send(&socket, Kind::Begin, 0, &fds)?;
        // The program as it was started, also where its file has been replaced since.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("retrotap").arg(word).env_clear().envs(inherit::environment());
        let out = if trusted { Stdio::inherit() } else { Stdio::null() };
        let process = OwnChild(command.stdin(Stdio::from(theirs)).stdout(out).spawn()?);
        let gone = || io::Error::other("no process");
        let pid = i32::try_from(process.0.id()).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
        // It is not reaped before, so that the number is its own.
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let since = Instant::now();
        Ok(Running { process, pidfd, socket: Some(socket), trusted, since, ready: false, silent: 0, heard: false })
    }

    /// Its number, for the log.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// What can be waited for: its end, and its words while there can be some.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [Some(&self.pidfd), self.socket.as_ref()].into_iter().flatten().map(AsFd::as_fd)
    }

    /// Says something; false: it does not read, or has gone.
    pub fn tell(&self, kind: Kind, number: u32, documents: &[&OwnedFd]) -> bool {
        let fds: Vec<BorrowedFd<'_>> = documents.iter().map(|d| d.as_fd()).collect();
        self.socket.as_ref().is_some_and(|socket| message::send(socket, kind, number, &fds).is_ok())
    }

    /// What it says next. Who says nonsense is ended: it is not what was started.
    pub fn hear(&mut self) -> Option<message::Message> {
        match message::receive(self.socket.as_ref()?, self.trusted) {
            Ok(Received::Message(message)) => {
                (self.silent, self.heard) = (0, true);
                Some(message)
            }
            Ok(Received::Nothing) => None,
            Ok(Received::Gone) => {
                self.leave();
                None
            }
            Err(e) => {
                tracing::error!("process {} says what nobody understands, and is ended: {e}", self.pid());
                self.kill();
                self.leave();
                None
            }
        }
    }

    /// Nothing more is said: it reads the end of its socket, and ends.
    pub fn leave(&mut self) {
        self.socket = None;
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.process.0.kill();
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.0.try_wait().ok().flatten()
    }
}
