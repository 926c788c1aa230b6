//! What parent and halves say to each other: sixteen bytes and descriptors, over a socket that keeps messages apart. Owns their form; each is
//! checked where it comes in, and nobody waits for anybody here.
//!
//! Kind (4 bytes), number (4), zeros (8), in this machine's byte order: both ends are the same program.

use crate::limits::HANDED_MAX;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const BYTES: usize = 16;
const CONTROL: usize = rustix::cmsg_space!(ScmRights(HANDED_MAX));

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// To a half, first: the document that it begins with, and what it is handed.
    Begin = 1,
    /// To a half: other settings, or why there are none; the number of whoever asked. To serve beside it: what capture said to that.
    Rules = 2,
    /// To capture: end in order.
    Stop = 3,
    /// From a half: it works. From capture: what serve is to be handed.
    Ready = 4,
    /// From serve: it lives.
    Beat = 5,
    /// From a half: somebody asks for other settings, under this number.
    Ask = 6,
    /// From capture: it has them; its words as a document.
    Taken = 7,
    /// From capture: all is as it was; why, as a document.
    Refused = 8,
    /// To capture: serve is dead and reaped; what is the next one to be handed?
    Again = 9,
}

impl Kind {
    fn of(number: u32) -> Option<Kind> {
        use Kind::*;
        [Begin, Rules, Stop, Ready, Beat, Ask, Taken, Refused, Again].into_iter().find(|k| *k as u32 == number)
    }
}

/// One message.
#[derive(Debug)]
pub struct Message {
    pub kind: Kind,
    pub number: u32,
    pub fds: Vec<OwnedFd>,
}

/// What there is to read.
#[derive(Debug)]
pub enum Received {
    /// One.
    Message(Message),
    /// Nothing now.
    Nothing,
    /// The other side has gone.
    Gone,
}

/// Sends; an error where there is no room for it now.
pub fn send(to: impl AsFd, kind: Kind, number: u32, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut bytes = [0; BYTES];
    let words = [kind as u32, number].map(u32::to_ne_bytes).concat();
    bytes.iter_mut().zip(words).for_each(|(to, from)| *to = from);
    let mut space = [MaybeUninit::uninit(); CONTROL];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more descriptors than one message takes"));
    }
    sendmsg(to, &[IoSlice::new(&bytes)], &mut control, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next; with `trusted` also its descriptors. Of who is not trusted none are taken: the kernel closes them.
pub fn receive(from: impl AsFd, trusted: bool) -> io::Result<Received> {
    let mut bytes = [0; BYTES];
    let mut space = [MaybeUninit::uninit(); CONTROL];
    let mut control = if trusted { RecvAncillaryBuffer::new(&mut space) } else { RecvAncillaryBuffer::default() };
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let got = loop {
        match recvmsg(&from, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(Received::Nothing),
            Err(Errno::CONNRESET) => return Ok(Received::Gone),
            other => break other?,
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            fds.extend(some);
        }
    }
    let wrong = || Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is none"));
    let cut = got.flags.contains(ReturnFlags::TRUNC) || trusted && got.flags.contains(ReturnFlags::CTRUNC);
    match (got.bytes, cut) {
        (0, _) => Ok(Received::Gone),
        (BYTES, false) => {
            let word = |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u32::from_ne_bytes(*b));
            let zeros = word(8) == Some(0) && word(12) == Some(0);
            match (word(0).and_then(Kind::of), word(4)) {
                (Some(kind), Some(number)) if zeros => Ok(Received::Message(Message { kind, number, fds })),
                _ => wrong(),
            }
        }
        _ => wrong(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::os::fd::AsRawFd;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn messages_come_apart_and_with_their_descriptors() {
        let (a, b) = pair();
        let file = tempfile::tempfile().unwrap();
        send(&a, Kind::Begin, 0, &[file.as_fd(), file.as_fd()]).unwrap();
        send(&a, Kind::Rules, 77, &[]).unwrap();
        let Received::Message(first) = receive(&b, true).unwrap() else { panic!() };
        assert_eq!((first.kind, first.fds.len()), (Kind::Begin, 2));
        let inherited = rustix::io::fcntl_getfd(&first.fds[0]).unwrap();
        assert!(inherited.contains(rustix::io::FdFlags::CLOEXEC));
        let Received::Message(second) = receive(&b, true).unwrap() else { panic!() };
        assert_eq!((second.kind, second.number, second.fds.len()), (Kind::Rules, 77, 0));
        assert!(matches!(receive(&b, true).unwrap(), Received::Nothing));
        drop(a);
        assert!(matches!(receive(&b, true).unwrap(), Received::Gone));
    }

    #[test]
    fn of_who_is_not_trusted_no_descriptor_is_taken() {
        let (a, b) = pair();
        let file = tempfile::tempfile().unwrap();
        let open =
            || std::fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|f| std::fs::read_link(f.path()).ok());
        let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        send(&a, Kind::Beat, 0, &[file.as_fd()]).unwrap();
        let Received::Message(got) = receive(&b, false).unwrap() else { panic!() };
        assert_eq!((got.kind, got.fds.len()), (Kind::Beat, 0));
        assert_eq!(open().filter(|l| *l == link).count(), 1);
    }

    #[test]
    fn anything_else_is_an_error_and_nobody_waits() {
        for wrong in
            [&[0; 16][..], &[9; 16], &[5, 0, 0, 0], &[5; 40], &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]]
        {
            let (a, b) = pair();
            rustix::net::send(&a, wrong, SendFlags::NOSIGNAL).unwrap();
            assert!(receive(&b, true).is_err(), "{wrong:?}");
        }
        let (a, b) = pair();
        let full = (0..1_000_000).find_map(|n| send(&a, Kind::Beat, n, &[]).err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert!(matches!(receive(&b, false).unwrap(), Received::Message(_)));
    }
}
