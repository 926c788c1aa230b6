//! A follower of the command line: its connection may break and come back, and its packets are those of one that did not. It asks again where it stood, for what
//! is left of limit and time, and sums what each connection said. Owns when it is given up. Called where an answer is written.

use super::Failure;
use super::api::refused;
use crate::control::{Ask, Client, ClientError, FollowerStands, Long, TakesFrames};
use crate::evidence::Origin;
use crate::limits::{FOLLOW_PAUSE, FOLLOW_PAUSE_MAX, FOLLOW_PENDING, FOLLOW_STEADY};
use crate::query::output::{Format, Output, Settling, Splice};
use crate::query::{Cursor, Query, SoFar, Statement, Summary};
use crate::units;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A follower and what it has written.
struct Followed<'a, W: Output> {
    file: Splice<Settling<'a, W>>,
    /// Came behind the last cursor: not written, since it would come again.
    pending: Vec<u8>,
    /// Where it stands; `None`: nothing has come yet. Within: nobody can go on from there.
    stands: Option<Option<String>>,
    /// What this connection has given, and those before it.
    now: SoFar,
    before: SoFar,
    /// The recorder is looked for, since this moment.
    broken: Option<Instant>,
    /// It has been found.
    there: bool,
    /// So long is waited before it is looked for again.
    pause: Duration,
}

impl<W: Output> TakesFrames for Followed<'_, W> {
    fn packets(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.pending.len() + bytes.len() > FOLLOW_PENDING {
            return Err(io::Error::other("the recorder does not say where it stands"));
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    fn stands(&mut self, at: FollowerStands) -> io::Result<()> {
        if let Some(broken) = self.broken.filter(|_| !std::mem::replace(&mut self.there, true)) {
            let took = units::duration(u64::try_from(broken.elapsed().as_nanos()).unwrap_or(u64::MAX));
            tracing::info!("the recorder is there again after {took}: the answer goes on where it stood");
        }
        self.pause = FOLLOW_PAUSE;
        self.file.take(&self.pending)?;
        self.pending.clear();
        (self.stands, self.now) = (Some(at.cursor), at.so_far);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What a follower is asked with.
pub struct Asked<'a> {
    /// The question, for what the answer says of itself.
    pub request: &'a Query,
    /// The same for the recorder.
    pub ask: &'a Ask,
    /// Of the packets.
    pub format: Format,
    /// So long the recorder is looked for again.
    pub patience: Duration,
    /// The user has seen enough.
    pub enough: &'a AtomicBool,
}

/// Follows, and goes on where the connection broke and came back. A failure that says that the answer is not whole leaves a file that can be read
/// and says so, too.
pub fn follow<W: Output>(
    daemon: &mut Client,
    asked: &Asked<'_>,
    out: &mut W,
) -> Result<(Summary, Option<Origin>), Failure> {
    let (begun, file) = (Instant::now(), Splice::new(Settling::new(out), asked.format));
    let (now, before) = (SoFar::default(), SoFar::default());
    let mut f = Followed {
        file,
        pending: Vec::new(),
        stands: None,
        now,
        before,
        broken: None,
        there: true,
        pause: FOLLOW_PAUSE,
    };
    let mut again = false;
    loop {
        let tried = Instant::now();
        let ask = if again { f.rest_of(asked.ask, begun) } else { asked.ask.clone() };
        let why = match daemon.follow(&ask, &mut f, asked.enough) {
            Ok((summary, origin)) => return Ok((f.end(asked, summary, again.then_some(begun))?, origin)),
            Err(why) => why,
        };
        if f.there && (f.now.packets > 0 || tried.elapsed() >= FOLLOW_STEADY) {
            // It was there, and is looked for anew.
            f.broken = None;
        }
        f.before = f.before.and(std::mem::take(&mut f.now));
        if !f.may_go_on(&why, again, asked) {
            return Err(f.cut_short(asked, why));
        }
        f.pending.clear();
        f.file.next_stream();
        f.there = false;
        if f.broken.is_none() {
            let patience = units::duration(asked.patience.as_nanos() as u64);
            tracing::warn!("{why}: the recorder is looked for again, for {patience}");
        }
        f.broken.get_or_insert_with(Instant::now);
        again = true;
        let pause = f.pause;
        f.pause = (pause * 2).min(FOLLOW_PAUSE_MAX);
        if !wait(pause, asked) {
            return Err(f.cut_short(asked, ClientError::Interrupted));
        }
    }
}

/// Waits before the recorder is looked for again. False: the user has seen enough.
fn wait(pause: Duration, asked: &Asked<'_>) -> bool {
    let until = Instant::now() + pause;
    while Instant::now() < until && !asked.enough.load(Relaxed) {
        std::thread::sleep(FOLLOW_PAUSE);
    }
    !asked.enough.load(Relaxed)
}

impl<W: Output> Followed<'_, W> {
    /// What is still to be asked.
    fn rest_of(&self, ask: &Ask, begun: Instant) -> Ask {
        let passed = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let left = |long: &Long| Some(Long::Ns(long.ns().ok()?.saturating_sub(passed)));
        Ask {
            after: self.stands.clone().flatten(),
            since: None,
            last: None,
            limit: ask.limit.map(|limit| limit.saturating_sub(self.before.packets)),
            lasting: ask.lasting.as_ref().and_then(left),
            ..ask.clone()
        }
    }

    /// Whether another connection can bring more.
    fn may_go_on(&self, why: &ClientError, again: bool, asked: &Asked<'_>) -> bool {
        let passes = match why {
            ClientError::Connection { .. } => true,
            // It has all places taken, perhaps by the one that broke, or is just beginning.
            ClientError::Refused(429 | 503, _) => again,
            _ => false,
        };
        let known = matches!(self.stands, Some(Some(_))) && !asked.ask.manifest;
        let late = self.broken.map_or(asked.patience.is_zero(), |since| since.elapsed() >= asked.patience);
        passes && known && !late
    }

    /// All is there.
    fn end(&mut self, asked: &Asked<'_>, summary: Summary, again: Option<Instant>) -> Result<Summary, Failure> {
        let (mut summary, mut comment) = (summary, None);
        if let Some(begun) = again {
            summary = summary.after(self.before);
            summary.elapsed_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            comment = Some(self.statement(asked).text(&summary));
        }
        let written = self.file.take(&self.pending).and_then(|()| self.file.finish(comment.as_deref()));
        written.map_err(|e| refused(ClientError::Write(e)))?;
        Ok(summary)
    }

    /// It ends before its time; what was written is made a whole file, if anything was.
    fn cut_short(&mut self, asked: &Asked<'_>, why: ClientError) -> Failure {
        if self.stands.is_none() || matches!(why, ClientError::Write(_)) {
            return refused(why);
        }
        let failure = match &why {
            ClientError::Interrupted => refused(ClientError::Interrupted),
            ClientError::Connection { .. } if self.broken.is_some() => {
                let patience = units::duration(asked.patience.as_nanos() as u64);
                Failure::incomplete(format_args!(
                    "{why}; the recorder was not found again within {patience}: what it gave is a whole file"
                ))
            }
            _ => Failure::incomplete(format_args!("{why}: what came before is a whole file")),
        };
        let said = match &why {
            ClientError::Interrupted => "it was ended by whoever asked".to_owned(),
            why => why.to_string(),
        };
        let comment = self.statement(asked).cut_short(&said);
        match self.file.finish(Some(&comment)) {
            Ok(()) => failure,
            Err(e) => refused(ClientError::Write(e)),
        }
    }

    fn statement(&self, asked: &Asked<'_>) -> Statement {
        let cursor = self.stands.as_ref().and_then(|cursor| Cursor::parse(cursor.as_deref()?).ok());
        let store = cursor.map_or(String::new(), |c| format!("{:032x}", c.store));
        Statement::of(asked.request, &store)
    }
}
