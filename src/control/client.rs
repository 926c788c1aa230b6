//! The client: one question over the socket, the answer's bytes to a writer as they come, and the summary. Called by the command line;
//! runs on the caller's thread.

use super::ask::Ask;
use super::reply::{ERROR, SUMMARY};
use crate::query::Summary;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon refused; status and its words.
    #[error("{1}")]
    Refused(u16, String),
    /// The answer broke off: the daemon's words.
    #[error("{0}")]
    Broken(String),
    /// The connection.
    #[error("{path}: {why}", path = path.display())]
    Connection {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The user has seen enough.
    #[error("interrupted: what was written is a whole file")]
    Interrupted,
    /// Where the answer goes.
    #[error("cannot write the answer: {0}")]
    Write(io::Error),
}

/// How often it looks whether the user has had enough.
const LOOK: Duration = Duration::from_millis(100);

/// Longest time of a call that is no query.
const CALL: Duration = Duration::from_secs(60);

/// A connection to a daemon.
pub struct Client {
    path: PathBuf,
    runtime: Runtime,
    stream: UnixStream,
}

impl Client {
    /// Connects. `Ok(None)`: nobody answers there.
    pub fn connect(path: &Path) -> Result<Option<Client>, ClientError> {
        let wrong = |e: io::Error| ClientError::Connection { path: path.to_owned(), why: e.to_string() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(wrong)?;
        match runtime.block_on(UnixStream::connect(path)) {
            Ok(stream) => Ok(Some(Client { path: path.to_owned(), runtime, stream })),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
            Err(e) => Err(wrong(e)),
        }
    }

    /// Packets: the file's bytes go to `out`, until the answer ends or `enough` is set.
    pub fn query(self, ask: &Ask, out: &mut dyn Write, enough: &AtomicBool) -> Result<Summary, ClientError> {
        self.post("/v1/query", ask, out, Some(enough))
    }

    /// Only the summary.
    pub fn count(self, ask: &Ask) -> Result<Summary, ClientError> {
        self.post("/v1/count", ask, &mut io::sink(), None)
    }

    /// A command: its answer, JSON.
    pub fn post_json(self, uri: &str, body: &serde_json::Value) -> Result<serde_json::Value, ClientError> {
        let Client { path, runtime, stream } = self;
        let wrong = |why: String| ClientError::Connection { path: path.clone(), why };
        let call = async {
            let broken = |e: hyper::Error| wrong(e.to_string());
            let (mut send, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
            tokio::spawn(connection);
            let request = Request::builder()
                .method(Method::POST)
                .uri(uri)
                .header(header::HOST, "retrotap")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(Bytes::from(body.to_string())))
                .map_err(|e| wrong(e.to_string()))?;
            let (parts, body) = send.send_request(request).await.map_err(broken)?.into_parts();
            let text = body.collect().await.map_err(broken)?.to_bytes();
            match parts.status.is_success() {
                true if text.is_empty() => Ok(serde_json::Value::Null),
                true => serde_json::from_slice(&text).map_err(|e| wrong(format!("the answer is no JSON: {e}"))),
                false => Err(ClientError::Refused(parts.status.as_u16(), error_of(&text))),
            }
        };
        runtime.block_on(async {
            let done = tokio::time::timeout(CALL, call).await;
            done.unwrap_or_else(|_| Err(wrong(format!("no answer within {} s", CALL.as_secs()))))
        })
    }

    fn post(
        self,
        uri: &str,
        ask: &Ask,
        out: &mut dyn Write,
        packets: Option<&AtomicBool>,
    ) -> Result<Summary, ClientError> {
        let Client { path, runtime, stream } = self;
        let wrong = |why: String| ClientError::Connection { path: path.clone(), why };
        let body = serde_json::to_vec(ask).map_err(|e| wrong(e.to_string()))?;
        runtime.block_on(async {
            let broken = |e: hyper::Error| wrong(e.to_string());
            let (mut send, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
            tokio::spawn(connection);
            let request = Request::builder()
                .method(Method::POST)
                .uri(uri)
                .header(header::HOST, "retrotap")
                .header(header::TE, "trailers")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(Bytes::from(body)))
                .map_err(|e| wrong(e.to_string()))?;
            let response = send.send_request(request).await.map_err(broken)?;
            let (parts, mut body): (_, Incoming) = Response::into_parts(response);
            if !parts.status.is_success() {
                let text = body.collect().await.map_err(broken)?.to_bytes();
                return Err(ClientError::Refused(parts.status.as_u16(), error_of(&text)));
            }
            let mut said = parts.headers;
            let mut text = Vec::new();
            loop {
                let frame = match tokio::time::timeout(LOOK, body.frame()).await {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(_) if packets.is_some_and(|enough| enough.load(Relaxed)) => {
                        return Err(ClientError::Interrupted);
                    }
                    Err(_) => continue,
                };
                if packets.is_some_and(|enough| enough.load(Relaxed)) {
                    return Err(ClientError::Interrupted);
                }
                match frame.map_err(broken)?.into_data() {
                    Ok(data) if packets.is_some() => {
                        out.write_all(&data).and_then(|()| out.flush()).map_err(ClientError::Write)?;
                    }
                    Ok(data) => text.extend_from_slice(&data),
                    Err(frame) => said.extend(frame.into_trailers().unwrap_or_default()),
                }
            }
            summary(&said, &text).unwrap_or_else(|| Err(wrong("the answer broke off: the daemon has gone".into())))
        })
    }
}

fn error_of(text: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    value.get("error").and_then(|e| e.as_str()).map_or_else(|| String::from_utf8_lossy(text).into(), str::to_owned)
}

/// What headers and trailers, or the text, say of the answer.
fn summary(said: &HeaderMap, text: &[u8]) -> Option<Result<Summary, ClientError>> {
    if let Some(error) = said.get(ERROR) {
        return Some(Err(ClientError::Broken(error.to_str().unwrap_or_default().to_owned())));
    }
    let bytes = said.get(SUMMARY).map_or(text, |v| v.as_bytes());
    serde_json::from_slice(bytes).ok().map(Ok)
}
