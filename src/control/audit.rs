//! The audit log: one line of JSON for each request, refused ones too: who, what, what came of it, how much went out. Appended to
//! `STORE/audit/<day>.jsonl` by a thread of its own, so that no request waits for the disk. What the disk refuses is counted and said.

use super::caller::Caller;
use crate::limits::{AUDIT_ASK_BYTES, AUDIT_WAITING};
use axum::body::Bytes;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// When it came, Unix ns; in the log RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub time: u64,
    /// Who asked: name, role, and what the kernel says of the process.
    #[serde(flatten)]
    pub caller: Caller,
    /// `POST /v1/query`.
    pub request: String,
    /// The body, if it was a question: JSON. Of a long one the log has the beginning.
    #[serde(skip_serializing_if = "Bytes::is_empty", serialize_with = "asked")]
    pub ask: Bytes,
    /// HTTP status.
    pub status: u16,
    /// Packets that were given out.
    pub packets: u64,
    /// Bytes that were given out.
    pub bytes: u64,
    /// How long it took, ns.
    pub took_ns: u64,
    /// What was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

// What follows is made by the log's own thread.

fn rfc3339<S: serde::Serializer>(time: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&crate::units::time(*time))
}

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
        let (status, packets, bytes, took_ns, error) = (0, 0, 0, 0, None);
        Line { time, caller, request, ask, status, packets, bytes, took_ns, error }
    }
}

/// The log's side that everybody writes to.
#[derive(Clone, Debug)]
pub struct Audit(SyncSender<Line>);

impl Audit {
    /// Enters a request. Where more wait than the disk takes, whoever asks waits too: nothing is answered unseen.
    pub fn enter(&self, line: Line) {
        let _ = self.0.send(line);
    }
}

/// Starts the log in `dir`. It ends when the last [`Audit`] is dropped.
pub fn start(dir: &Path) -> std::io::Result<(Audit, JoinHandle<()>)> {
    std::fs::create_dir_all(dir)?;
    let (tell, lines) = sync_channel(AUDIT_WAITING);
    let mut log = Log { dir: dir.to_owned(), file: None, failing: false };
    // The first file now: a log that cannot be written must show at the start.
    log.file_of(&day())?;
    let thread = std::thread::Builder::new().name("audit".into()).spawn(move || log.run(&lines))?;
    Ok((Audit(tell), thread))
}

struct Log {
    dir: PathBuf,
    file: Option<(String, File)>,
    failing: bool,
}

fn day() -> String {
    crate::units::time(crate::units::now()).chars().take(10).collect()
}

impl Log {
    fn run(&mut self, lines: &Receiver<Line>) {
        let mut text = Vec::new();
        while let Ok(line) = lines.recv() {
            text.clear();
            for line in std::iter::once(line).chain(lines.try_iter().take(AUDIT_WAITING)) {
                if serde_json::to_writer(&mut text, &line).is_ok() {
                    text.push(b'\n');
                }
            }
            let written = self.file_of(&day()).and_then(|f| f.write_all(&text));
            match written {
                Ok(()) => self.failing = false,
                Err(e) if !std::mem::replace(&mut self.failing, true) => {
                    tracing::warn!("the audit log cannot be written: {e}");
                }
                Err(_) => {}
            }
            // Lines gather while this one sleeps: a thousand requests are one write.
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn file_of(&mut self, day: &str) -> std::io::Result<&mut File> {
        let fresh = match self.file.take() {
            Some((of, file)) if of == day => (of, file),
            _ => {
                use std::os::unix::fs::OpenOptionsExt;
                let path = self.dir.join(format!("{day}.jsonl"));
                (day.to_owned(), OpenOptions::new().create(true).append(true).mode(0o640).open(path)?)
            }
        };
        Ok(&mut self.file.insert(fresh).1)
    }
}
