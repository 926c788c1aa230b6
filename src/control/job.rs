//! One query on a query thread: its pace (cancelled, too long, braked), its sink, its end. Called by the routes; what it sends, they
//! turn into a response.

use super::ask::Form;
use super::brake::Brake;
use super::engine::Engine;
use super::send::{Sending, unread};
use super::stream::{Message, Refusal, Stream, last_sent};
use crate::evidence::{Asker, Noted, Noting, Origin};
use crate::limits::{AT_ONCE_BYTES, AT_ONCE_CANDIDATES, AT_ONCE_NS, FILTER_BYTES_MAX, FOLLOW_NS};
use crate::query::output::{Format, Nothing, Output, Writer};
use crate::query::pace::{Pace, Stopped};
use crate::query::{Cursor, OutputError, PacketSink, Query, QueryError, Sort, Summary, listed, prunes};
use crate::shape;
use crate::units;
use axum::body::Bytes;
use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Says to a running query that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// From now on.
    pub fn cancel(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether.
    pub fn cancelled(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Asked before each block is read.
pub struct Measure {
    cancel: Cancel,
    ending: Cancel,
    brake: Brake,
    until: Option<Instant>,
    stopped: Cell<Option<Stopped>>,
}

impl Measure {
    /// `ending`: the recorder's; `time_ns`: how long it may take.
    pub fn new(cancel: Cancel, ending: Cancel, time_ns: Option<u64>, brake: Brake) -> Measure {
        let until = time_ns.and_then(|ns| Instant::now().checked_add(Duration::from_nanos(ns)));
        Measure { cancel, ending, brake, until, stopped: Cell::new(None) }
    }
}

impl Pace for Measure {
    fn go_on(&self) -> bool {
        let late = || self.until.is_some_and(|t| Instant::now() >= t);
        self.brake.wait(|| !self.cancel.cancelled() && !self.ending.cancelled() && !late());
        if self.cancel.cancelled() {
            self.stopped.set(Some(Stopped::Gone));
        } else if self.ending.cancelled() {
            self.stopped.set(Some(Stopped::Ending));
        } else if late() {
            self.stopped.set(Some(Stopped::Time));
        }
        self.stopped.get().is_none()
    }

    fn stopped(&self) -> Option<Stopped> {
        self.stopped.get()
    }
}

/// Of an answer that is made at once, on one of the API's threads: it looks at a few blocks, or another thread does it. Goes by the processor
/// time of this thread: how busy the machine is makes no question a longer one.
pub struct Brief {
    until_ns: u64,
    over: Cell<bool>,
}

impl Brief {
    /// From now on.
    pub fn new() -> Brief {
        Brief { until_ns: processor_ns() + AT_ONCE_NS, over: Cell::new(false) }
    }
}

/// Processor time that this thread has had.
fn processor_ns() -> u64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

impl Pace for Brief {
    fn go_on(&self) -> bool {
        self.over.set(self.over.get() || processor_ns() >= self.until_ns);
        !self.over.get()
    }

    fn may_take_long(&self) -> bool {
        self.over.set(true);
        false
    }

    fn most(&self) -> usize {
        AT_ONCE_CANDIDATES
    }

    fn stopped(&self) -> Option<Stopped> {
        self.over.get().then_some(Stopped::NotAtHand)
    }
}

/// Whether memory finds it by an index: the rest is a look at all of it. Not one with a list that takes time to read.
pub fn memory_finds(query: &Query) -> bool {
    let one = query.conn.is_some() || query.community.is_some();
    let short = query.filter.len() <= FILTER_BYTES_MAX;
    query.memory_only && !query.any_layer && !query.full_scan && short && (one || prunes(&query.filter))
}

/// Answers at once, if memory has the answer and it is small. `None`: it takes a query thread.
pub fn at_once(engine: &Engine, query: &Query, form: Option<Form>, bytes: u64) -> Option<(Bytes, Summary)> {
    if !memory_finds(query) {
        return None;
    }
    let pace = Brief::new();
    let Some(form) = form else {
        let summary = engine.at_once(query, &pace, &mut Nothing)?;
        return Some((Bytes::new(), summary));
    };
    let most = usize::try_from(bytes).unwrap_or(usize::MAX).min(AT_ONCE_BYTES);
    let mut writer = Writer::new(Small { bytes: Vec::new(), most }, "the socket", form.into());
    let summary = engine.at_once(query, &pace, &mut writer)?;
    let small = writer.finish(&engine.statement(query).text(&summary)).ok()?;
    Some((small.bytes.into(), summary))
}

/// An answer in one piece.
struct Small {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Small {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > self.most {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Small {
    fn take(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        if self.bytes.is_empty() && bytes.len() <= self.most {
            std::mem::swap(&mut self.bytes, bytes);
            return Ok(());
        }
        self.write_all(bytes)?;
        bytes.clear();
        Ok(())
    }
}

/// What is asked of a job.
pub struct Job {
    /// The question.
    pub query: Query,
    /// Format of the packets; `None`: only count them.
    pub form: Option<Form>,
    /// Bytes that the answer may have.
    pub bytes: u64,
    /// Its pace.
    pub measure: Measure,
    /// Who wants to know where the packets come from.
    pub origin: Option<Asker>,
    /// Where the answer goes.
    pub to: Sending,
}

impl Job {
    /// Answers. Returns the summary or why there is none, and the bytes that were sent.
    pub fn run(self, engine: &Engine) -> (Result<Summary, Refusal>, u64) {
        let Job { query, form, bytes, measure, origin, to } = self;
        let Some(form) = form else {
            let answer = engine.answer(&query, &measure, &mut Nothing).map_err(|e| refusal(&e));
            let last = match &answer {
                Ok(summary) => Message::End(Default::default(), summary.clone().into()),
                Err(refusal) => Message::Failed(Default::default(), refusal.clone()),
            };
            return (last_sent(answer, to.send(last)), 0);
        };
        let mut stream = Stream::new(to, form.into(), bytes, engine.statement(&query));
        let (answer, mut noted) = match origin {
            None => (engine.answer(&query, &measure, &mut stream), Noted::default()),
            Some(_) => {
                let mut noted = Noted::default();
                (engine.answer(&query, &measure, &mut Noting::new(&mut stream, &mut noted)), noted)
            }
        };
        let answer = answer.map_err(|e| refusal(&e));
        let answer = told(engine, answer, origin, &mut noted, &measure, &mut stream);
        stream.last_words(answer)
    }
}

/// Sends where the packets of an answer come from, where somebody wants to know.
fn told(
    engine: &Engine,
    answer: Result<Summary, Refusal>,
    asker: Option<Asker>,
    noted: &mut Noted,
    pace: &Measure,
    stream: &mut Stream,
) -> Result<Summary, Refusal> {
    let (Ok(_), Some(asker)) = (&answer, asker) else { return answer };
    let origin = Origin::of(engine.store(), noted, Some(asker), &|| pace.go_on());
    stream.origin(&origin.map_err(|e| Refusal { status: 500, error: e.to_string() })?);
    answer
}

/// A list of connections.
pub struct Listing {
    /// The question.
    pub query: Query,
    /// What comes first.
    pub sort: Sort,
    /// Only so many.
    pub top: Option<usize>,
    /// Its pace.
    pub measure: Measure,
    /// Bytes that the answer may have.
    pub most: u64,
    /// Where the answer goes.
    pub to: Sending,
}

impl Listing {
    /// Answers. Returns as [`Job::run`]; of the summary `connections` says how many there are, also if not all are listed.
    pub fn run(self, engine: &Engine) -> (Result<Summary, Refusal>, u64) {
        let mut sent = 0;
        let answer = self.list(engine, &mut sent).map_err(|e| refusal(&e));
        let last = match &answer {
            Ok((rest, summary)) => Message::End(rest.clone(), summary.clone().into()),
            Err(refusal) => Message::Failed(Bytes::new(), refusal.clone()),
        };
        (last_sent(answer.map(|(_, summary)| summary), self.to.send(last)), sent)
    }

    fn list(&self, engine: &Engine, sent: &mut u64) -> Result<(Bytes, Summary), QueryError> {
        let mut found = engine.connections(&self.query, &self.measure)?;
        let (connections, mut summary) = (std::mem::take(&mut found.connections), std::mem::take(&mut found.summary));
        summary.connections = connections.len() as u64;
        summary.limited = self.top.is_some_and(|top| top < connections.len());
        let summary = summary.concluded();
        let mut text = Vec::new();
        for c in listed(connections, self.sort, self.top) {
            let before = text.len();
            let _ = shape::Line::new(&c).write(&mut text);
            text.push(b'\n');
            *sent += (text.len() - before) as u64;
            if *sent > self.most {
                return Err(QueryError::Stopped(Stopped::Bytes));
            }
            if text.len() >= LINES_BYTES {
                self.to.send(Message::Chunk(std::mem::take(&mut text).into())).map_err(QueryError::Stopped)?;
            }
        }
        Ok((text.into(), summary))
    }
}

/// Lines are sent so many bytes at a time.
pub(super) const LINES_BYTES: usize = 1 << 16;

/// A follower on a thread of its own.
pub struct Following {
    /// The question.
    pub query: Query,
    /// Format of the packets.
    pub form: Form,
    /// Where another one stood, from which it goes on.
    pub after: Option<Cursor>,
    /// It says where it stands.
    pub cursors: bool,
    /// Bytes that the answer may have.
    pub bytes: u64,
    /// How long, ns.
    pub lasting: Option<u64>,
    /// Nobody waits for it any more.
    pub cancel: Cancel,
    /// The recorder ends: what has come is given out, then the follower ends in order.
    pub ending: Cancel,
    /// What slows it down.
    pub brake: Brake,
    /// Who wants to know where the packets come from.
    pub origin: Option<Asker>,
    /// Where the answer goes.
    pub to: Sending,
}

impl Following {
    /// Follows. Returns as [`Job::run`].
    pub fn run(mut self, engine: &Engine) -> (Result<Summary, Refusal>, u64) {
        let (origin, mut noted) = (self.origin.take(), Noted::default());
        let stream = Stream::new(self.to.clone(), self.form.into(), self.bytes, engine.statement(&self.query));
        let mut stream = stream.with_cursors(self.cursors);
        let answer = self.follow(engine, &mut stream, origin.is_some().then_some(&mut noted));
        let answer = answer.map_err(|e| refusal(&e));
        // As long as it takes: that it is over was asked for.
        let measure = Measure::new(self.cancel.clone(), Cancel::default(), None, self.brake.clone());
        let answer = told(engine, answer, origin, &mut noted, &measure, &mut stream);
        stream.last_words(answer)
    }

    fn follow(
        &self,
        engine: &Engine,
        stream: &mut Stream,
        mut noted: Option<&mut Noted>,
    ) -> Result<Summary, QueryError> {
        let until = self.lasting.and_then(|ns| Instant::now().checked_add(Duration::from_nanos(ns)));
        let measure = Measure::new(self.cancel.clone(), Cancel::default(), None, self.brake.clone());
        let mut follower = engine.follow(&self.query, self.after.as_ref())?;
        stream.stands(&|| follower.cursor())?;
        loop {
            let over = until.is_some_and(|t| Instant::now() >= t);
            let ending = self.ending.cancelled();
            let mut round = |out: &mut dyn PacketSink| engine.round(&mut follower, &self.query, ending, &measure, out);
            let last = match &mut noted {
                Some(noted) => round(&mut Noting::new(stream, noted))?,
                None => round(stream)?,
            };
            // Also when nothing was found: the client sees that it is being served.
            stream.push()?;
            stream.stands(&|| follower.cursor())?;
            if last || over || ending {
                let summary = engine.finish(follower, &measure)?;
                let full = self.query.limit.is_some_and(|limit| summary.packets >= limit);
                let past = self.query.until.is_some_and(|until| units::now() >= until);
                return Ok(Summary { recorder_ended: !(over || full || past), ..summary }.concluded());
            }
            if !measure.go_on() {
                return Err(QueryError::Stopped(Stopped::Gone));
            }
            std::thread::sleep(Duration::from_nanos(FOLLOW_NS));
        }
    }
}

impl From<Form> for Format {
    fn from(form: Form) -> Format {
        match form {
            Form::Pcapng => Format::PcapngStream,
            Form::PcapngFile => Format::Pcapng,
            Form::Pcap => Format::Pcap,
        }
    }
}

/// Why a job was ended.
pub fn stopped(measure: &Measure) -> Refusal {
    refusal(&QueryError::Stopped(measure.stopped().unwrap_or(Stopped::Gone)))
}

/// What an error is in HTTP.
pub fn refusal(e: &QueryError) -> Refusal {
    let (status, error) = match e {
        QueryError::Filter(_)
        | QueryError::Class { .. }
        | QueryError::Interface { .. }
        | QueryError::TooMany(..)
        | QueryError::Cursor(_)
        | QueryError::Output(OutputError::LinkTypes(..) | OutputError::Time(_)) => (400, e.to_string()),
        QueryError::Output(OutputError::Io { source, .. }) if source.kind() == std::io::ErrorKind::QuotaExceeded => {
            (413, Stopped::Bytes.to_string())
        }
        QueryError::Output(OutputError::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => {
            (503, Stopped::Gone.to_string())
        }
        QueryError::Output(OutputError::Io { source, .. }) if source.kind() == std::io::ErrorKind::TimedOut => {
            return unread();
        }
        QueryError::Stopped(Stopped::Unread) => return unread(),
        QueryError::Stopped(Stopped::Time | Stopped::Bytes) => (413, e.to_string()),
        QueryError::Stopped(_) | QueryError::NoRoom => (503, e.to_string()),
        _ => (500, e.to_string()),
    };
    Refusal { status, error }
}
