//! An answer on its way from a query thread to the server: chunks through a bounded channel, the last with the summary. Owns when
//! a chunk goes: at once when it is large, and after a few milliseconds however small it is, so that the first packet is
//! not kept back. A client that reads slowly stops the query thread, never the server; one that does not read ends its answer ([`Sending`]).

use super::frames::FollowerStands;
use super::send::{Sending, unread};
use crate::evidence::Origin;
use crate::limits::{CURSOR_EACH, FIRST_CHUNK_NS};
use crate::query::output::{Format, Output, Writer};
use crate::query::pace::Stopped;
use crate::query::{Answer, Cursor, OutputError, PacketSink, SoFar, Statement, Summary};
use crate::shape;
use axum::body::Bytes;
use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What comes out of a query thread.
pub enum Message {
    /// Bytes of the answer; more come.
    Chunk(Bytes),
    /// Where its packets come from, JSON; the end comes.
    Origin(Bytes),
    /// Where a follower stands behind what came, JSON; more comes.
    Stands(Bytes),
    /// The rest of it.
    End(Bytes, Box<Summary>),
    /// The rest of a list that has no summary.
    Lines(Bytes),
    /// It came to an end; after chunks, with what makes them a readable file.
    Failed(Bytes, Refusal),
}

/// Why there is no answer, or not all of it.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// For whoever asked.
    pub error: String,
}

/// What the writer writes to.
pub struct Chunks {
    to: Sending,
    /// Keeps back what is small: it may be the last.
    hold: Rc<Cell<bool>>,
    held: Vec<u8>,
    /// Bytes so far.
    sent: Rc<Cell<u64>>,
    most: u64,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.sent.get() + bytes.len() as u64;
        if sent > self.most {
            return Err(ErrorKind::QuotaExceeded.into());
        }
        if self.hold.get() && bytes.len() < CHUNK_BYTES {
            self.held.extend_from_slice(bytes);
            self.sent.set(sent);
            return Ok(bytes.len());
        }
        let chunk = match self.held.is_empty() {
            true => Bytes::copy_from_slice(bytes),
            false => [&std::mem::take(&mut self.held), bytes].concat().into(),
        };
        self.to.send(Message::Chunk(chunk)).map_err(|why| match why {
            Stopped::Unread => ErrorKind::TimedOut,
            _ => ErrorKind::BrokenPipe,
        })?;
        self.sent.set(sent);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Chunks {}

/// At most this much is kept back for the end.
const CHUNK_BYTES: usize = 1 << 17;

/// Takes the packets of an answer and sends them as a file.
pub struct Stream {
    writer: Writer<Chunks>,
    to: Sending,
    hold: Rc<Cell<bool>>,
    sent: Rc<Cell<u64>>,
    last: Instant,
    statement: Statement,
    /// Whether a follower is to say where it stands; when it did last, and behind how many bytes.
    cursors: bool,
    told: (Option<Instant>, u64),
}

impl Stream {
    /// `most`: bytes that the answer may have; `statement`: what it will say of itself.
    pub fn new(to: Sending, format: Format, most: u64, statement: Statement) -> Stream {
        let (hold, sent) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0)));
        let chunks = Chunks { to: to.clone(), hold: hold.clone(), held: Vec::new(), sent: sent.clone(), most };
        let writer = Writer::new(chunks, "the socket", format);
        Stream { writer, to, hold, sent, last: Instant::now(), statement, cursors: false, told: (None, 0) }
    }

    /// The same of a follower that says where it stands.
    pub fn with_cursors(self, cursors: bool) -> Stream {
        Stream { cursors, ..self }
    }

    /// A follower stands here: said behind packets, and now and then where there are none.
    pub fn stands(&mut self, at: &dyn Fn() -> Option<(Cursor, SoFar)>) -> Result<(), OutputError> {
        let waits = self.told.0.is_some_and(|told| told.elapsed() < CURSOR_EACH);
        if !self.cursors || self.sent.get() == self.told.1 && waits {
            return Ok(());
        }
        let (cursor, so_far) = at().map(|(cursor, so_far)| (cursor.text(), so_far)).unwrap_or_default();
        let text = shape::text(&FollowerStands { cursor, so_far });
        self.told = (Some(Instant::now()), self.sent.get());
        // Whether anybody takes it the next packets find out, or the end.
        let _ = self.to.send(Message::Stands(text.into()));
        Ok(())
    }

    /// Sends where the packets come from.
    pub fn origin(&mut self, origin: &Origin) {
        // Whether anybody takes it the end finds out.
        let _ = self.to.send(Message::Origin(serde_json::to_vec(origin).unwrap_or_default().into()));
    }

    /// Sends what waits, however little.
    pub fn push(&mut self) -> Result<(), OutputError> {
        self.hold.set(false);
        let pushed = self.writer.flush();
        self.hold.set(true);
        self.last = Instant::now();
        pushed
    }

    /// Sends the summary, or why there is none. What came of it, and how many bytes were sent in all.
    pub fn last_words(self, answer: Result<Summary, Refusal>) -> (Result<Summary, Refusal>, u64) {
        let (text, message): (_, Box<dyn FnOnce(Bytes) -> Message>) = match answer.clone() {
            Ok(s) => (self.statement.text(&s), Box::new(|rest| Message::End(rest, s.into()))),
            Err(r) => (self.statement.cut_short(&r.error), Box::new(|rest| Message::Failed(rest, r))),
        };
        self.hold.set(true);
        let rest = match self.writer.finish(&text) {
            Ok(chunks) => Bytes::from(chunks.held),
            Err(_) => Bytes::new(),
        };
        (last_sent(answer, self.to.send(message(rest))), self.sent.get())
    }
}

/// What came of an answer whose end was sent so: one that nobody read was not given.
pub fn last_sent<T>(answer: Result<T, Refusal>, sent: Result<(), Stopped>) -> Result<T, Refusal> {
    match sent {
        Err(Stopped::Unread) => answer.and_then(|_| Err(unread())),
        _ => answer,
    }
}

impl PacketSink for Stream {
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
        self.writer.packet(p)?;
        if self.last.elapsed() >= Duration::from_nanos(FIRST_CHUNK_NS) { self.push() } else { Ok(()) }
    }

    fn given(&mut self, stands: &dyn Fn() -> Option<(Cursor, SoFar)>) -> Result<(), OutputError> {
        if !self.cursors || self.sent.get() == self.told.1 {
            return Ok(());
        }
        // What was sent may end before this packet.
        self.push()?;
        self.stands(stands)
    }
}
