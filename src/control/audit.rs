//! The audit log: one line of JSON for each request, refused ones too: who, what, what came of it, how much went out. Appended to
//! `STORE/audit/<day>.jsonl` by a thread of its own, so that no request waits for the disk; a file is only ever opened to append. Of those who
//! may nothing only the first requests of a minute have lines of their own, the others are counted; all files together have a budget, and the
//! oldest goes. What the disk refuses waits and is tried again; meanwhile nothing is answered but statistics. Synced once a second, and at the end.

use super::audit_files::AuditFiles;
use super::audit_refused::RefusedRequests;
use super::caller::Caller;
use crate::limits::{AUDIT_ASK_BYTES, AUDIT_BYTES_WAITING, AUDIT_TEXT_BYTES, AUDIT_WAITING};
use crate::privilege;
use crate::shape::{self, Count, Seconds, Time};
use crate::store::layout::make_private;
use axum::body::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One request.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditLine")]
pub struct Line {
    /// When it came.
    #[serde(with = "Time")]
    pub time: u64,
    /// Who asked: name, role, and what the kernel says of the process.
    #[serde(flatten)]
    pub caller: Caller,
    /// `POST /v1/query`.
    pub request: String,
    /// The body, if it was a question: JSON. Of a long one the log has the beginning.
    #[serde(skip_serializing_if = "Bytes::is_empty", serialize_with = "asked")]
    #[schemars(with = "serde_json::Value")]
    pub ask: Bytes,
    /// HTTP status.
    pub status: u16,
    /// Packets that were given out.
    #[serde(with = "Count")]
    pub packets: u64,
    /// Bytes that were given out.
    #[serde(with = "Count")]
    pub bytes: u64,
    /// How long it took.
    #[serde(rename = "took_seconds", with = "Seconds")]
    pub took_ns: u64,
    /// What was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

// What follows is made by the log's own thread.

fn asked<S: serde::Serializer>(ask: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    let value = match ask.get(..AUDIT_ASK_BYTES) {
        Some(begins) if ask.len() > AUDIT_ASK_BYTES => {
            serde_json::json!({ "length": ask.len(), "begins": String::from_utf8_lossy(begins) })
        }
        _ => serde_json::from_slice(ask).unwrap_or_default(),
    };
    value.serialize(to)
}

impl Line {
    /// Of a request that comes now.
    pub fn new(caller: &Caller, request: String) -> Line {
        let (time, caller, ask) = (crate::units::now(), caller.clone(), Bytes::new());
        let request = cut(request);
        let (status, packets, bytes, took_ns, error) = (0, 0, 0, 0, None);
        Line { time, caller, request, ask, status, packets, bytes, took_ns, error }
    }
}

/// No text of a stranger's takes more.
fn cut(mut text: String) -> String {
    if text.len() > AUDIT_TEXT_BYTES {
        let end = (0..=AUDIT_TEXT_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// What comes to the log's thread.
#[derive(Debug)]
enum Entry {
    Line(Box<Line>),
    /// Whoever waits until all before this is on the disk.
    Settle(SyncSender<()>),
}

/// The log's side that everybody writes to.
#[derive(Clone, Debug)]
pub struct Audit {
    /// `None`: nothing is entered anywhere.
    to: Option<SyncSender<Entry>>,
    failing: Arc<Mutex<Option<String>>>,
}

impl Audit {
    /// None, about a store that can't be written.
    pub fn off() -> Audit {
        Audit { to: None, failing: Arc::default() }
    }

    /// There is none.
    pub fn is_off(&self) -> bool {
        self.to.is_none()
    }

    /// Enters a request. Where more wait than the disk takes, whoever asks waits too: nothing is answered unseen.
    pub fn enter(&self, mut line: Line) {
        let Some(to) = &self.to else { return };
        line.error = line.error.map(cut);
        let _ = to.send(Entry::Line(line.into()));
    }

    /// Waits until all that was entered is on the disk, at most so long; false: it is not.
    pub fn settle(&self, most: Duration) -> bool {
        let Some(to) = &self.to else { return true };
        let (tell, told) = sync_channel(1);
        to.try_send(Entry::Settle(tell)).is_ok() && told.recv_timeout(most).is_ok()
    }

    /// Why the log can't be written just now.
    pub fn failing(&self) -> Option<String> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts the log in `dir`. It ends when the last [`Audit`] is dropped.
pub fn start(dir: &Path) -> std::io::Result<Audit> {
    make_private(dir)?;
    let (to, lines) = sync_channel(AUDIT_WAITING);
    let failing = Arc::default();
    let mut log = Log {
        files: AuditFiles::new(dir),
        waiting: Vec::new(),
        left_out: 0,
        refused: RefusedRequests::default(),
        failing: Arc::clone(&failing),
        synced: Instant::now(),
        settling: Vec::new(),
    };
    // The first file now: a log that cannot be written must show at the start.
    log.files.of(&day())?;
    std::thread::Builder::new().name("audit".into()).spawn(move || {
        privilege::without_capabilities();
        log.run(&lines);
    })?;
    Ok(Audit { to: Some(to), failing })
}

struct Log {
    files: AuditFiles,
    /// Lines that are not on the disk yet.
    waiting: Vec<u8>,
    /// Lines for which there was no room while the disk refused.
    left_out: u64,
    refused: RefusedRequests,
    failing: Arc<Mutex<Option<String>>>,
    synced: Instant,
    /// Who waits for the disk.
    settling: Vec<SyncSender<()>>,
}

/// How often a disk that refuses is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// How often what was written is brought to the disk.
const SYNC: Duration = Duration::from_secs(1);

fn day() -> String {
    crate::units::time(crate::units::now()).chars().take(10).collect()
}

impl Log {
    fn run(&mut self, lines: &Receiver<Entry>) {
        loop {
            let last = match lines.recv_timeout(AGAIN) {
                Ok(first) => {
                    let all = std::iter::once(first).chain(lines.try_iter().take(AUDIT_WAITING));
                    all.for_each(|entry| match entry {
                        Entry::Line(line) => self.take(&line),
                        Entry::Settle(waits) => self.settling.push(waits),
                    });
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            let settles = last || !self.settling.is_empty();
            self.count(if settles { u64::MAX } else { crate::units::now() });
            if !self.waiting.is_empty() {
                self.write();
            }
            if settles || self.synced.elapsed() >= SYNC {
                self.synced = Instant::now();
                let synced = self.files.sync();
                // Who waits for what the disk refuses is told nothing.
                if self.waiting.is_empty() && synced.is_ok() {
                    for waits in self.settling.drain(..) {
                        let _ = waits.try_send(());
                    }
                }
                self.settling.clear();
            }
            if last {
                return;
            }
            // Lines gather while this one sleeps: a thousand requests are one write.
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn take(&mut self, line: &Line) {
        if !self.refused.takes(line) {
            return;
        }
        if self.waiting.len() >= AUDIT_BYTES_WAITING {
            self.left_out += 1;
        } else if shape::Line::new(line).write(&mut self.waiting).is_ok() {
            self.waiting.push(b'\n');
        }
    }

    /// Enters the numbers of those that have no line of their own.
    fn count(&mut self, now: u64) {
        for more in self.refused.past(now) {
            self.waiting.extend(format!("{}\n", shape::text(&more)).as_bytes());
        }
    }

    /// Writes what waits; what the disk refuses goes on waiting.
    fn write(&mut self) {
        if self.left_out > 0 && self.waiting.len() < AUDIT_BYTES_WAITING {
            let time = shape::rfc3339(crate::units::now());
            let text =
                shape::text(&serde_json::json!({ "time": time, "left_out": std::mem::take(&mut self.left_out) }));
            self.waiting.extend(format!("{text}\n").as_bytes());
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut result = Ok(());
        while !waiting.is_empty() && result.is_ok() {
            result = match self.files.of(&day()).and_then(|f| f.write(&waiting)) {
                Ok(0) => Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    waiting.drain(..n);
                    self.files.wrote(n as u64);
                    Ok(())
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => Ok(()),
                Err(e) => Err(e),
            };
        }
        self.waiting = waiting;
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match (result, failing.is_some()) {
            (Ok(()), true) => {
                tracing::info!("the audit log is written again");
                *failing = None;
            }
            (Ok(()), false) => {}
            (Err(e), before) => {
                if !before {
                    tracing::warn!("the audit log cannot be written: {e}; until it can, only statistics are answered");
                }
                *failing = Some(e.to_string());
                // Perhaps another file can.
                self.files.close();
            }
        }
    }
}
