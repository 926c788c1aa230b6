//! One end of the socket pair. Sending never waits and raises no signal. Capture's end receives without room for files: the kernel closes what
//! comes with a message. Each end is a file of its own, so the other side can't change how this one waits.

use crate::limits::MESSAGE_BYTES;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recv, recvmsg, sendmsg, shutdown, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One end.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// There is no room: the other side does not read.
    Full,
    /// There is no other side.
    Gone,
}

/// What a look for a message found.
pub(super) enum SocketRead<'b> {
    /// One, and the file that came with it; one that is longer than any of ours is empty.
    Message(&'b [u8], Option<OwnedFd>),
    /// None just now.
    Nothing,
    /// There is no other side any more.
    Gone,
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> OwnedFd {
        socket.0
    }
}

impl Socket {
    /// Both ends.
    pub fn pair() -> io::Result<(Socket, Socket)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Socket(a), Socket(b)))
    }

    /// Sends a message, with a file or without.
    pub(super) fn send(&self, bytes: &[u8], file: Option<BorrowedFd<'_>>) -> Result<(), Unsent> {
        let files = file.map(|file| [file]);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut with = SendAncillaryBuffer::new(&mut space);
        if let Some(files) = &files {
            // There is room for one.
            let _ = with.push(SendAncillaryMessage::ScmRights(files));
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(bytes)], &mut with, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN | Errno::CONNREFUSED) => return Err(Unsent::Gone),
                // Too many files under way, no memory: as if there were no room.
                Err(_) => return Err(Unsent::Full),
            }
        }
    }

    /// Waits for the next message; one that is longer than any of ours is empty. `None`: there is no other side any more.
    pub fn receive<'b>(&self, buffer: &'b mut [u8; MESSAGE_BYTES]) -> Option<&'b [u8]> {
        let len = loop {
            match recv(&self.0, buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Ok((_, 0)) => return None,
                Ok((_, len)) => break len,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        };
        Some(buffer.get(..len).unwrap_or_default())
    }

    /// The next message, if there is one, with the file that comes with it.
    pub(super) fn next_with_file<'b>(&self, buffer: &'b mut [u8; MESSAGE_BYTES]) -> SocketRead<'b> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut with = RecvAncillaryBuffer::new(&mut space);
        let (len, whole) = loop {
            let mut parts = [IoSliceMut::new(buffer.as_mut_slice())];
            match recvmsg(&self.0, &mut parts, &mut with, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT) {
                Ok(got) if got.bytes == 0 => return SocketRead::Gone,
                Ok(got) => break (got.bytes, !got.flags.contains(ReturnFlags::TRUNC)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return SocketRead::Nothing,
                Err(_) => return SocketRead::Gone,
            }
        };
        let file = with.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        SocketRead::Message(if whole { buffer.get(..len).unwrap_or_default() } else { &[] }, file)
    }

    /// Waits until there is a message, or no other side any more.
    pub(super) fn wait(&self) {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        while let Err(Errno::INTR) = poll(&mut fds, None) {}
    }

    /// Ends both directions: whoever waits here or at the other end goes on.
    pub fn close(&self) {
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Socket {
        Socket(fd)
    }
}
