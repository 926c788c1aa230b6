//! A half's side: what it begins with, and what it and the parent say to each other from then on. Owns the socket to the parent; nothing here
//! waits but the beginning.

use super::document;
use super::message::{self, Kind, Message, Received};
use super::signals;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a half begins with.
#[derive(Debug)]
pub struct Begun {
    /// What it is to do.
    pub document: Vec<u8>,
    /// What it is handed, in an order that both know.
    pub handed: Vec<OwnedFd>,
    /// Who started it.
    pub parent: ToParent,
}

/// The way to the parent.
#[derive(Debug)]
pub struct ToParent(OwnedFd);

/// What the parent says.
#[derive(Debug, PartialEq, Eq)]
pub enum FromParent {
    /// Other settings.
    Rules {
        /// Who asked for them; 0: a signal.
        number: u32,
        /// They, or why there are none.
        document: Vec<u8>,
        /// What capture said to that, where it is another process.
        answer: Option<Vec<u8>>,
    },
    /// To capture: serve is dead, its memory is gone. To be answered by [`ready`](ToParent::ready) with what the next one is handed.
    ServeAgain,
    /// End in order: it was told to, or is gone.
    End,
}

/// Takes over what the parent has given, before anything else: from now on signals are the parent's, and standard input is empty.
/// An error: this process is nobody's half.
pub fn begin() -> io::Result<Begun> {
    signals::ignored()?;
    let parent = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    // By hand it is a terminal, or a file.
    rustix::net::sockopt::socket_type(&parent)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    while poll(&mut [PollFd::new(&parent, PollFlags::IN)], None) == Err(Errno::INTR) {}
    let wrong = |why| io::Error::new(io::ErrorKind::InvalidData, why);
    let Received::Message(Message { kind: Kind::Begin, fds, .. }) = message::receive(&parent, true)? else {
        return Err(wrong("the parent does not say how to begin"));
    };
    let mut fds = fds.into_iter();
    let first = fds.next().ok_or_else(|| wrong("the parent does not say what to do"))?;
    Ok(Begun { document: document::read(&first)?, handed: fds.collect(), parent: ToParent(parent) })
}

/// Serve: where memory is short it goes before capture. Before the process closes itself to others: then it may not.
pub fn first_to_go() {
    let path = "/proc/self/oom_score_adj";
    let now = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<i32>().ok()).unwrap_or(0);
    if let Err(e) = std::fs::write(path, now.saturating_add(500).min(1000).to_string()) {
        tracing::debug!("{path}: {e}");
    }
}

impl ToParent {
    /// It works; capture hands over what serve is to have.
    pub fn ready(&self, handed: &[BorrowedFd<'_>]) -> io::Result<()> {
        message::send(&self.0, Kind::Ready, 0, handed)
    }

    /// It lives. To be said each second; one that finds no room is one too many.
    pub fn beat(&self) {
        let _ = message::send(&self.0, Kind::Beat, 0, &[]);
    }

    /// Somebody asks for other settings: they come under this number, which is not 0.
    pub fn ask(&self, number: u32) {
        let _ = message::send(&self.0, Kind::Ask, number, &[]);
    }

    /// What became of settings that came under this number: they are in force, or why they are not.
    pub fn answer(&self, number: u32, taken: bool, words: &[u8]) -> io::Result<()> {
        let kind = if taken { Kind::Taken } else { Kind::Refused };
        message::send(&self.0, kind, number, &[document::sealed(words)?.as_fd()])
    }

    /// The next that the parent says; once it has gone, always that it is to end.
    pub fn hear(&self) -> Option<FromParent> {
        let message = match message::receive(&self.0, true) {
            Ok(Received::Message(message)) => message,
            Ok(Received::Nothing) => return None,
            Ok(Received::Gone) => return Some(FromParent::End),
            Err(e) => {
                tracing::error!("the parent: {e}");
                return None;
            }
        };
        match message.kind {
            Kind::Stop => Some(FromParent::End),
            Kind::Again => Some(FromParent::ServeAgain),
            Kind::Rules => {
                let mut documents = message.fds.iter().map(document::read);
                let read = documents.next()?.and_then(|document| Ok((document, documents.next().transpose()?)));
                let told = |(document, answer)| FromParent::Rules { number: message.number, document, answer };
                read.map(told).inspect_err(|e| tracing::error!("the parent: {e}")).ok()
            }
            _ => None,
        }
    }
}
