//! The ways in: what each gives for a question. The library over the files as `--direct` has it, with and without indexes, and the HTTP API
//! of the running recorder.

use crate::pcapng;
use crate::questions::{Question, Wanted};
use retrotap::control::{Ask, Client, ClientError, When};
use retrotap::query::pace::Freely;
use retrotap::query::{Answer, Engine, Found, OutputError, PacketSink, Query, QueryError, Summary};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

/// A packet of an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Got {
    pub time: u64,
    pub wire: u32,
    pub link: u16,
    pub data: Vec<u8>,
}

/// An answer: packets where the way gives any, and the summary; or the refusal.
#[derive(Debug)]
pub struct Reply {
    pub packets: Option<Vec<Got>>,
    /// `None`: the way tells it otherwise.
    pub summary: Option<Summary>,
}

/// Who is asked.
#[derive(Clone, Debug)]
pub enum Way {
    /// The files.
    Direct,
    /// The files without their indexes.
    Scan,
    /// The recorder at this socket.
    Api(PathBuf),
    /// The same, for the summary alone.
    Count(PathBuf),
    /// The same: what its memory has of them.
    Memory(PathBuf),
    /// The same: the packets are held, read from the hold, and let go.
    Hold(PathBuf),
    /// The program, as a user runs it: over the files, or of the recorder at this socket. It writes here.
    Program(Option<PathBuf>, PathBuf),
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Way::Direct => "files",
            Way::Scan => "files, full scan",
            Way::Api(_) => "recorder",
            Way::Count(_) => "recorder, count",
            Way::Memory(_) => "recorder, memory only",
            Way::Hold(_) => "recorder, hold",
            Way::Program(None, _) => "program, files",
            Way::Program(Some(_), _) => "program, recorder",
        })
    }
}

#[derive(Default)]
struct Collect(Vec<Got>);

impl PacketSink for Collect {
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
        let link = p.interface.link_type;
        self.0.push(Got { time: p.time, wire: p.wire_len, link, data: p.data.to_vec() });
        Ok(())
    }
}

/// A store's files, and what is kept of them between questions.
pub struct FilesAlone {
    store: PathBuf,
    engine: Engine,
}

impl FilesAlone {
    pub fn new(store: &Path) -> FilesAlone {
        FilesAlone { store: store.to_owned(), engine: Engine::new(store) }
    }

    /// The connections that answer.
    pub fn connections(&self, q: &Question) -> Result<Found, QueryError> {
        self.engine.connections(&q.query(&self.store), &[], &Freely)
    }
}

/// Asks. An `Err` is a refusal with its reason.
pub fn ask(way: &Way, files: &FilesAlone, q: &Question) -> Result<Reply, String> {
    match way {
        Way::Direct | Way::Scan => {
            let query = Query { full_scan: matches!(way, Way::Scan), ..q.query(&files.store) };
            let mut got = Collect::default();
            let summary = files.engine.answer(&query, &[], &Freely, &mut got).map_err(|e| e.to_string())?;
            Ok(Reply { packets: Some(got.0), summary: Some(summary) })
        }
        Way::Api(socket) | Way::Memory(socket) => {
            let mut bytes = Vec::new();
            let asked = Ask { memory_only: matches!(way, Way::Memory(_)), ..q.ask() };
            let summary = client(socket)?.query(&asked, &mut bytes, &AtomicBool::new(false)).map_err(words)?;
            Ok(Reply { packets: Some(pcapng::read(&bytes)?), summary: Some(summary) })
        }
        // A hold takes no limit.
        Way::Hold(socket) if q.limit.is_none() => hold(socket, files, q),
        Way::Hold(socket) => ask(&Way::Api(socket.clone()), files, q),
        Way::Program(socket, out) => program(&files.store, socket.as_deref(), out, q),
        Way::Count(socket) => {
            Ok(Reply { packets: None, summary: Some(client(socket)?.count(&q.ask()).map_err(words)?) })
        }
    }
}

/// Holds what answers and gives it back.
fn hold(socket: &Path, files: &FilesAlone, q: &Question) -> Result<Reply, String> {
    let mut body = serde_json::to_value(q.ask()).map_err(|e| e.to_string())?;
    (body["name"], body["reason"]) = ("case".into(), "a test".into());
    match client(socket)?.post_json("/v1/holds", &body) {
        Ok(_) => {}
        // What matches nothing is not held: an answer like another.
        Err(ClientError::Refused(404, _)) => return ask(&Way::Api(socket.to_owned()), files, q),
        Err(e) => return Err(words(e)),
    }
    let mut bytes = Vec::new();
    let summary = client(socket)?.file("/v1/holds/case/packets", &mut bytes, &|| false).map_err(words);
    let reason = serde_json::json!({ "reason": "it is over" });
    let gone: serde_json::Value = client(socket)?.ask("DELETE", "/v1/holds/case", &reason).map_err(words)?;
    drop(gone);
    Ok(Reply { packets: Some(pcapng::read(&bytes)?), summary: Some(summary?) })
}

/// `retrotap query`. Its summary is in words: of it only what a pcapng tells too.
fn program(store: &Path, socket: Option<&Path>, out: &Path, q: &Question) -> Result<Reply, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retrotap"));
    command.args(["query", &q.filter, "--force", "--store"]).arg(store).arg("-w").arg(out).stdin(Stdio::null());
    match socket {
        Some(socket) => command.arg("--api").arg(socket),
        None => command.arg("--direct"),
    };
    let query = q.query(store);
    let time = |ns: u64| retrotap::units::time(ns);
    q.last.iter().for_each(|t| {
        command.args(["--last", &format!("{t}ns")]);
    });
    query.since.iter().for_each(|t| {
        command.args(["--since", &time(*t)]);
    });
    q.until.iter().for_each(|t| {
        command.args(["--until", &time(*t)]);
    });
    q.classes.iter().for_each(|c| {
        command.args(["--class", c]);
    });
    query.conn.iter().for_each(|c| {
        command.args(["--conn", &c.to_string()]);
    });
    q.conn.filter(|_| query.community.is_some()).iter().for_each(|c| {
        command.args(["--community-id", &c.id()]);
    });
    q.limit.iter().for_each(|n| {
        command.args(["--limit", &n.to_string()]);
    });
    if q.any_layer {
        command.arg("--any-layer");
    }
    let ran = command.output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&ran.stderr);
    if !matches!(ran.status.code(), Some(0 | 1)) {
        return Err(format!("{}: {said}", ran.status));
    }
    let packets = pcapng::read(&std::fs::read(out).map_err(|e| e.to_string())?)?;
    Ok(Reply { packets: Some(packets), summary: None })
}

/// All that answers until the recorder ends.
pub fn follow(socket: &Path, q: &Question) -> Result<Reply, String> {
    let mut bytes = Vec::new();
    let ask = Ask { follow: true, ..q.ask() };
    let summary = client(socket)?.query(&ask, &mut bytes, &AtomicBool::new(false)).map_err(words)?;
    Ok(Reply { packets: Some(pcapng::read(&bytes)?), summary: Some(summary) })
}

/// Questions that make no sense must be refused; which of them are not.
pub fn nonsense(socket: &Path, time: u64, wanted: Option<Wanted>) -> Result<Vec<String>, String> {
    let at = |ns: u64| Some(When::Ns(ns));
    let empty = Ask { since: at(time), until: at(time), ..Ask::default() };
    let backwards = Ask { since: at(time + 1), until: at(time), ..Ask::default() };
    let nowhere = Ask { classes: vec!["nobody".to_owned()], ..Ask::default() };
    let mut asked = vec![empty, backwards, nowhere];
    asked.extend(wanted.map(|w| Ask { conn: Some(w.to_string()), community_id: Some(w.id()), ..Ask::default() }));
    let mut taken = Vec::new();
    for ask in asked {
        match client(socket)?.count(&ask) {
            Err(ClientError::Refused(400, _)) => {}
            other => taken.push(format!("{ask:?}: {:?}", other.map(|s| s.packets).map_err(words))),
        }
    }
    Ok(taken)
}

/// Asks the recorder to read its settings again.
pub fn reload(socket: &Path) -> Result<(), String> {
    client(socket)?.post_json("/v1/reload", &serde_json::json!({})).map(|_| ()).map_err(words)
}

/// How many connections the recorder lists, and their summary.
pub fn listed(socket: &Path, q: &Question) -> Result<(Vec<serde_json::Value>, Summary), String> {
    let mut lines = Vec::new();
    let summary = client(socket)?.lines("/v1/connections", &q.ask(), &mut |l| lines.push(l)).map_err(words)?;
    Ok((lines, summary))
}

pub fn client(socket: &Path) -> Result<Client, String> {
    Client::connect(socket).map_err(words)?.ok_or_else(|| "nobody answers at the socket".to_owned())
}

fn words(e: ClientError) -> String {
    e.to_string()
}
