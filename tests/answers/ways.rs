//! The ways in: what each gives for a question. The library over the files as `--direct` has it, with and without indexes, and the HTTP API
//! of the running recorder.

use crate::pcapng;
use crate::questions::Question;
use retrotap::control::{Client, ClientError};
use retrotap::query::pace::Freely;
use retrotap::query::{Answer, Engine, Found, OutputError, PacketSink, Query, QueryError, Summary, run};
use std::path::{Path, PathBuf};
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
    pub summary: Summary,
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
    /// The same: the packets are held, read from the hold, and let go.
    Hold(PathBuf),
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Way::Direct => "files",
            Way::Scan => "files, full scan",
            Way::Api(_) => "recorder",
            Way::Count(_) => "recorder, count",
            Way::Hold(_) => "recorder, hold",
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

/// Asks. An `Err` is a refusal with its reason.
pub fn ask(way: &Way, store: &Path, q: &Question) -> Result<Reply, String> {
    match way {
        Way::Direct | Way::Scan => {
            let query = Query { full_scan: matches!(way, Way::Scan), ..q.query(store) };
            let mut got = Collect::default();
            let summary = run(&query, &mut got).map_err(|e| e.to_string())?;
            Ok(Reply { packets: Some(got.0), summary })
        }
        Way::Api(socket) => {
            let mut bytes = Vec::new();
            let summary = client(socket)?.query(&q.ask(), &mut bytes, &AtomicBool::new(false)).map_err(words)?;
            Ok(Reply { packets: Some(pcapng::read(&bytes)?), summary })
        }
        // A hold takes no limit.
        Way::Hold(socket) if q.limit.is_none() => hold(socket, q),
        Way::Hold(socket) => ask(&Way::Api(socket.clone()), store, q),
        Way::Count(socket) => Ok(Reply { packets: None, summary: client(socket)?.count(&q.ask()).map_err(words)? }),
    }
}

/// Holds what answers and gives it back.
fn hold(socket: &Path, q: &Question) -> Result<Reply, String> {
    let mut body = serde_json::to_value(q.ask()).map_err(|e| e.to_string())?;
    (body["name"], body["reason"]) = ("case".into(), "a test".into());
    match client(socket)?.post_json("/v1/holds", &body) {
        Ok(_) => {}
        // What matches nothing is not held: an answer like another.
        Err(ClientError::Refused(404, _)) => return ask(&Way::Api(socket.to_owned()), Path::new(""), q),
        Err(e) => return Err(words(e)),
    }
    let mut bytes = Vec::new();
    let summary = client(socket)?.file("/v1/holds/case/packets", &mut bytes, &|| false).map_err(words);
    let reason = serde_json::json!({ "reason": "it is over" });
    let gone: serde_json::Value = client(socket)?.ask("DELETE", "/v1/holds/case", &reason).map_err(words)?;
    drop(gone);
    Ok(Reply { packets: Some(pcapng::read(&bytes)?), summary: summary? })
}

/// All that answers until the recorder ends.
pub fn follow(socket: &Path, q: &Question) -> Result<Reply, String> {
    let mut bytes = Vec::new();
    let ask = retrotap::control::Ask { follow: true, ..q.ask() };
    let summary = client(socket)?.query(&ask, &mut bytes, &AtomicBool::new(false)).map_err(words)?;
    Ok(Reply { packets: Some(pcapng::read(&bytes)?), summary })
}

/// Asks the recorder to read its settings again.
pub fn reload(socket: &Path) -> Result<(), String> {
    client(socket)?.post_json("/v1/reload", &serde_json::json!({})).map(|_| ()).map_err(words)
}

/// The connections that answer, of the files.
pub fn connections(store: &Path, q: &Question) -> Result<Found, QueryError> {
    Engine::new(store).connections(&q.query(store), &[], &Freely)
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
