//! The client: one question at a time over the socket or over TLS, the answer's bytes to a writer as they come, and the summary. Called by
//! the command line; runs on the caller's thread.

use super::ask::Ask;
use super::frames::{OnlyPackets, TakesFrames, Unframing};
use super::reply::{ERROR, SUMMARY};
use super::tls;
use super::whereabouts::socket_of;
use crate::evidence::Origin;
use crate::limits::MANIFEST_BYTES_MAX;
use crate::query::Summary;
use crate::shape::ErrorAnswer;
use axum::body::Bytes;
use axum::http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

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
    #[error("{at}: {why}")]
    Connection {
        /// The socket, or the URL.
        at: String,
        /// What is wrong.
        why: String,
    },
    /// The answer is whole, but nobody knows what it says of itself.
    #[error("the answer is whole, but its summary can't be read: {0}")]
    Summary(String),
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
/// Connecting over TCP takes no longer.
const CONNECT: Duration = Duration::from_secs(10);

/// Where a daemon is.
#[derive(Clone, Debug)]
pub enum Address {
    /// On this machine.
    Socket(PathBuf),
    /// Of the store in this folder: where whoever answers for it says, looked for anew with each connection.
    OfStore(PathBuf),
    /// Over TCP with TLS.
    Https {
        /// Name or address of the host, which its certificate has.
        host: String,
        /// Port.
        port: u16,
        /// Bearer token.
        token: String,
        /// PEM file of the authority, or of the server's own certificate.
        ca: PathBuf,
    },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Socket(path) => path.display().fmt(f),
            Address::OfStore(store) => socket_of(store).display().fmt(f),
            Address::Https { host, port, .. } => write!(f, "https://{host}:{port}"),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A client of one daemon; a connection for each request.
pub struct Client {
    address: Address,
    runtime: Runtime,
    /// The connection that showed that somebody is there.
    first: Option<Box<dyn Stream>>,
}

impl Client {
    /// Connects to a socket. `Ok(None)`: nobody answers there.
    pub fn connect(path: &Path) -> Result<Option<Client>, ClientError> {
        Client::at(&Address::Socket(path.to_owned()))
    }

    /// The same wherever it is.
    pub fn at(address: &Address) -> Result<Option<Client>, ClientError> {
        let wrong = |e: io::Error| ClientError::Connection { at: address.to_string(), why: e.to_string() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(wrong)?;
        match runtime.block_on(connect(address)) {
            Ok(stream) => Ok(Some(Client { address: address.clone(), runtime, first: Some(stream) })),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
            Err(e) => Err(wrong(e)),
        }
    }

    /// Where it asks.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Packets: the file's bytes go to `out`, until the answer ends or `enough` is set.
    pub fn query(&mut self, ask: &Ask, out: &mut dyn Write, enough: &AtomicBool) -> Result<Summary, ClientError> {
        let said = self.send("POST", "/v1/query", &json(ask), out, &|| enough.load(Relaxed))?;
        self.summary(&said)
    }

    /// The same, and where the packets come from; `ask` says that it wants to know.
    pub fn query_with_origin(
        &mut self,
        ask: &Ask,
        out: &mut dyn Write,
        enough: &AtomicBool,
    ) -> Result<(Summary, Origin), ClientError> {
        let (summary, origin) = self.follow(ask, &mut OnlyPackets(out), enough)?;
        Ok((summary, origin.ok_or_else(|| self.wrong("the answer does not say where it comes from"))?))
    }

    /// Packets in frames, with what else is in them: where a follower stands, and at the end where the packets come from, as `ask` wants it.
    pub fn follow(
        &mut self,
        ask: &Ask,
        to: &mut dyn TakesFrames,
        enough: &AtomicBool,
    ) -> Result<(Summary, Option<Origin>), ClientError> {
        let mut frames = Unframing::new(to, MANIFEST_BYTES_MAX as usize);
        let said = self.send("POST", "/v1/query", &json(ask), &mut frames, &|| enough.load(Relaxed))?;
        let whole = frames.origin();
        let summary = self.summary(&said)?;
        let origin = whole.ok_or_else(|| self.wrong("the answer broke off in a frame"))?;
        Ok((summary, serde_json::from_slice(&origin).ok()))
    }

    /// A file: its bytes go to `out`, until it ends or `enough` says so. Its summary.
    pub fn file(&mut self, path: &str, out: &mut dyn Write, enough: &dyn Fn() -> bool) -> Result<Summary, ClientError> {
        let said = self.send("GET", path, &[], out, enough)?;
        self.summary(&said)
    }

    /// Only the summary.
    pub fn count(&mut self, ask: &Ask) -> Result<Summary, ClientError> {
        let mut text = Vec::new();
        self.send("POST", "/v1/count", &json(ask), &mut text, &|| false)?;
        serde_json::from_slice(&text).map_err(|e| self.wrong(format!("its answer is no summary: {e}")))
    }

    /// A command: its answer, JSON.
    pub fn post_json(&mut self, path: &str, body: &serde_json::Value) -> Result<serde_json::Value, ClientError> {
        self.ask("POST", path, body)
    }

    /// JSON for JSON.
    pub fn ask<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        ask: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.text(method, path, &json(ask))
    }

    /// The same for what may take long: until `enough` says so.
    pub fn ask_until<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        ask: &impl Serialize,
        enough: &dyn Fn() -> bool,
    ) -> Result<T, ClientError> {
        let mut text = Vec::new();
        self.send(method, path, &json(ask), &mut text, enough)?;
        serde_json::from_slice(&text).map_err(|e| self.wrong(format!("its answer is no JSON of ours: {e}")))
    }

    /// JSON for nothing.
    pub fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        self.text("GET", path, &[])
    }

    /// A list for nothing: JSON lines.
    pub fn list<T: DeserializeOwned>(&mut self, path: &str) -> Result<Vec<T>, ClientError> {
        let mut all = Vec::new();
        let mut each = |one| all.push(one);
        let over = Instant::now() + CALL;
        self.send("GET", path, &[], &mut Lines { rest: Vec::new(), line: &mut each }, &|| Instant::now() >= over)
            .map_err(|e| self.too_late(e))?;
        Ok(all)
    }

    fn too_late(&self, e: ClientError) -> ClientError {
        match e {
            ClientError::Interrupted => self.wrong(format!("no answer within {} s", CALL.as_secs())),
            e => e,
        }
    }

    fn text<T: DeserializeOwned>(&mut self, method: &str, path: &str, body: &[u8]) -> Result<T, ClientError> {
        let (over, mut text) = (Instant::now() + CALL, Vec::new());
        self.send(method, path, body, &mut text, &|| Instant::now() >= over).map_err(|e| self.too_late(e))?;
        let text: &[u8] = if text.is_empty() { b"null" } else { &text };
        serde_json::from_slice(text).map_err(|e| self.wrong(format!("its answer is no JSON of ours: {e}")))
    }

    /// JSON lines: each goes to `line`. The summary of the answer.
    pub fn lines<T: DeserializeOwned>(
        &mut self,
        path: &str,
        ask: &impl Serialize,
        line: &mut dyn FnMut(T),
    ) -> Result<Summary, ClientError> {
        let mut lines = Lines { rest: Vec::new(), line };
        let said = self.send("POST", path, &json(ask), &mut lines, &|| false)?;
        self.summary(&said)
    }

    fn wrong(&self, why: impl ToString) -> ClientError {
        ClientError::Connection { at: self.address.to_string(), why: why.to_string() }
    }

    fn summary(&self, said: &HeaderMap) -> Result<Summary, ClientError> {
        let Some(text) = said.get(SUMMARY) else { return Err(self.wrong("the answer broke off: the daemon has gone")) };
        serde_json::from_slice(text.as_bytes()).map_err(|e| ClientError::Summary(e.to_string()))
    }

    /// Sends a request; the body of the answer goes to `out`. Headers and trailers of an answer that is whole.
    fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        out: &mut dyn Write,
        enough: &dyn Fn() -> bool,
    ) -> Result<HeaderMap, ClientError> {
        let (address, first) = (self.address.clone(), self.first.take());
        let wrong = |why: String| ClientError::Connection { at: address.to_string(), why };
        let broken = |e: hyper::Error| wrong(e.to_string());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::TE, "trailers")
            .header(header::CONTENT_TYPE, "application/json");
        request = match &address {
            Address::Socket(_) | Address::OfStore(_) => request.header(header::HOST, "retrotap"),
            Address::Https { host, token, .. } => {
                request.header(header::HOST, host).header(header::AUTHORIZATION, format!("Bearer {token}"))
            }
        };
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).map_err(|e| wrong(e.to_string()))?;
        self.runtime.block_on(async {
            let stream = match first {
                Some(stream) => stream,
                None => connect(&address).await.map_err(|e| wrong(e.to_string()))?,
            };
            let (mut send, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
            tokio::spawn(connection);
            let mut response = std::pin::pin!(send.send_request(request));
            let response = loop {
                match tokio::time::timeout(LOOK, &mut response).await {
                    Ok(response) => break response.map_err(broken)?,
                    Err(_) if enough() => return Err(ClientError::Interrupted),
                    Err(_) => {}
                }
            };
            let (parts, mut body): (_, Incoming) = Response::into_parts(response);
            if !parts.status.is_success() {
                let text = body.collect().await.map_err(broken)?.to_bytes();
                return Err(ClientError::Refused(parts.status.as_u16(), error_of(&text)));
            }
            let mut said = parts.headers;
            loop {
                let frame = match tokio::time::timeout(LOOK, body.frame()).await {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(_) if enough() => return Err(ClientError::Interrupted),
                    Err(_) => continue,
                };
                if enough() {
                    return Err(ClientError::Interrupted);
                }
                match frame.map_err(broken)?.into_data() {
                    Ok(data) => out.write_all(&data).and_then(|()| out.flush()).map_err(ClientError::Write)?,
                    Err(frame) => said.extend(frame.into_trailers().unwrap_or_default()),
                }
            }
            match said.get(ERROR) {
                Some(error) => Err(ClientError::Broken(error_of(error.as_bytes()))),
                None => Ok(said),
            }
        })
    }
}

async fn connect(address: &Address) -> io::Result<Box<dyn Stream>> {
    match address {
        Address::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::OfStore(store) => Ok(Box::new(UnixStream::connect(socket_of(store)).await?)),
        Address::Https { host, port, ca, .. } => {
            let connector = TlsConnector::from(tls::client(ca).map_err(io::Error::other)?);
            let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(bare.clone()).map_err(io::Error::other)?;
            let connecting = async {
                let stream = TcpStream::connect((bare, *port)).await?;
                connector.connect(name, stream).await.map_err(|e| tls::explained(ca, e))
            };
            Ok(Box::new(tokio::time::timeout(CONNECT, connecting).await.map_err(io::Error::from)??))
        }
    }
}

/// Takes a stream apart into lines.
struct Lines<'a, T> {
    rest: Vec<u8>,
    line: &'a mut dyn FnMut(T),
}

impl<T: DeserializeOwned> Write for Lines<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        for line in self.rest.drain(..whole).as_slice().split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            (self.line)(serde_json::from_slice(line).map_err(io::Error::other)?);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The words of an error. Whatever answers there may be no recorder.
fn error_of(text: &[u8]) -> String {
    let said = serde_json::from_slice::<ErrorAnswer>(text);
    said.map_or_else(|_| String::from_utf8_lossy(text).trim().to_owned(), |e| e.error.message)
}
