//! An answer on its way from a query thread to the server: chunks through a bounded channel, the last with the summary. Owns when
//! a chunk goes: at once when it is large, and after a few milliseconds however small it is, so that the first packet is
//! not kept back. A client that reads slowly stops the query thread, never the server.

use crate::evidence::Origin;
use crate::limits::FIRST_CHUNK_NS;
use crate::query::output::{Format, Output, Writer};
use crate::query::{Answer, OutputError, PacketSink, Statement, Summary};
use axum::body::Bytes;
use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;

/// What comes out of a query thread.
pub enum Message {
    /// Bytes of the answer; more come.
    Chunk(Bytes),
    /// Where its packets come from, JSON; the end comes.
    Origin(Bytes),
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
    to: Sender<Message>,
    /// Keeps back what is small: it may be the last.
    hold: Rc<Cell<bool>>,
    held: Vec<u8>,
    /// Bytes so far.
    sent: Rc<Cell<u64>>,
    most: u64,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent.set(self.sent.get() + bytes.len() as u64);
        if self.sent.get() > self.most {
            return Err(ErrorKind::QuotaExceeded.into());
        }
        if self.hold.get() && bytes.len() < CHUNK_BYTES {
            self.held.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let chunk = match self.held.is_empty() {
            true => Bytes::copy_from_slice(bytes),
            false => [&std::mem::take(&mut self.held), bytes].concat().into(),
        };
        // The receiver is gone when the client is.
        self.to.blocking_send(Message::Chunk(chunk)).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
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
    to: Sender<Message>,
    hold: Rc<Cell<bool>>,
    sent: Rc<Cell<u64>>,
    last: Instant,
    statement: Statement,
}

impl Stream {
    /// `most`: bytes that the answer may have; `statement`: what it will say of itself.
    pub fn new(to: Sender<Message>, format: Format, most: u64, statement: Statement) -> Stream {
        let (hold, sent) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0)));
        let chunks = Chunks { to: to.clone(), hold: hold.clone(), held: Vec::new(), sent: sent.clone(), most };
        let writer = Writer::new(chunks, "the socket", format);
        Stream { writer, to, hold, sent, last: Instant::now(), statement }
    }

    /// Sends where the packets come from.
    pub fn origin(&mut self, origin: &Origin) {
        // Whether anybody takes it the end finds out.
        let _ = self.to.blocking_send(Message::Origin(serde_json::to_vec(origin).unwrap_or_default().into()));
    }

    /// Sends what waits, however little.
    pub fn push(&mut self) -> Result<(), OutputError> {
        self.hold.set(false);
        let pushed = self.writer.flush();
        self.hold.set(true);
        self.last = Instant::now();
        pushed
    }

    /// Sends the summary, or why there is none; how many bytes were sent in all.
    pub fn last_words(self, answer: &Result<Summary, Refusal>) -> u64 {
        match answer {
            Ok(s) => {
                let text = self.statement.text(s);
                self.end(&text, |rest| Message::End(rest, s.clone().into()))
            }
            Err(r) => {
                let text = self.statement.cut_short(&r.error);
                self.end(&text, |rest| Message::Failed(rest, r.clone()))
            }
        }
    }

    /// Sends the end. `comment` is the summary in words.
    fn end(self, comment: &str, last: impl FnOnce(Bytes) -> Message) -> u64 {
        self.hold.set(true);
        let rest = match self.writer.finish(comment) {
            Ok(chunks) => Bytes::from(chunks.held),
            Err(_) => Bytes::new(),
        };
        let _ = self.to.blocking_send(last(rest));
        self.sent.get()
    }
}

impl PacketSink for Stream {
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
        self.writer.packet(p)?;
        if self.last.elapsed() >= Duration::from_nanos(FIRST_CHUNK_NS) { self.push() } else { Ok(()) }
    }
}
