//! The metrics endpoint: as much of HTTP/1.1 as a scrape needs. Owns the listening socket and a thread of low priority
//! that answers one request a connection; called by `record`. Requests are bounded in size and time; a worker never waits
//! for it, nor it for a worker.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod connections;

use crate::limits::METRICS_REQUEST_BYTES;
use crate::privilege;
use connections::{Connections, Socket};
use std::fmt::{self, Display};
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};

/// Where it listens.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Address {
    /// Host and port; no host: every address of the machine.
    Tcp(String, u16),
    /// A socket in the filesystem.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        if text.starts_with('/') {
            return Ok(Address::Unix(text.into()));
        }
        let wrong = || format!("{text:?} is no address: write HOST:PORT, :PORT, or the absolute path of a socket");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|p| *p > 0).ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        match bare {
            Some(v6) if v6.parse::<std::net::Ipv6Addr>().is_ok() => Ok(Address::Tcp(v6.to_owned(), port)),
            None if !host.contains([':', '[', ']', '/', ' ']) => Ok(Address::Tcp(host.to_owned(), port)),
            _ => Err(wrong()),
        }
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Why it can't listen.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be served at {address}: {source}{hint}")]
pub struct Error {
    address: Address,
    source: io::Error,
    hint: &'static str,
}

/// A bound socket.
#[derive(Debug)]
pub struct Endpoint {
    listener: Listener,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Endpoint {
    /// Binds.
    pub fn bind(address: &Address) -> Result<Endpoint, Error> {
        let bound = match address {
            Address::Tcp(host, port) if host.is_empty() => TcpListener::bind(("::", *port))
                .or_else(|e| match e.kind() {
                    ErrorKind::AddrInUse | ErrorKind::PermissionDenied => Err(e),
                    _ => TcpListener::bind(("0.0.0.0", *port)),
                })
                .map(Listener::Tcp),
            Address::Tcp(host, port) => TcpListener::bind((host.as_str(), *port)).map(Listener::Tcp),
            Address::Unix(path) => unix(path).map(|l| Listener::Unix(l, path.clone())),
        };
        let bound = bound.and_then(|listener| {
            match &listener {
                Listener::Tcp(l) => l.set_nonblocking(true)?,
                Listener::Unix(l, _) => l.set_nonblocking(true)?,
            }
            Ok(listener)
        });
        let listener = bound.map_err(|source| {
            let hint = match source.kind() {
                ErrorKind::AddrInUse => " (something listens there already: choose another with --metrics)",
                ErrorKind::AddrNotAvailable => " (this machine does not have that address; `ip addr` lists them)",
                ErrorKind::PermissionDenied => " (choose a port from 1024 on, or a directory that you may write to)",
                _ => "",
            };
            Error { address: address.clone(), source, hint }
        })?;
        Ok(Endpoint { listener })
    }

    /// Serves what `page` makes, until the server is dropped.
    pub fn serve(self, page: impl Fn() -> String + Send + Sync + 'static) -> io::Result<Server> {
        let stop = Arc::new(AtomicBool::new(false));
        let (listener, stopped) = (self.listener, stop.clone());
        let thread = Builder::new().name("metrics".into()).spawn(move || {
            privilege::without_capabilities();
            // Capture comes first. Refused: it stays as it is.
            let _ = rustix::process::setpriority_process(None, 19);
            let mut all = Connections::default();
            while !stopped.load(Relaxed) {
                if let Err(e) = all.round(&listener, &page) {
                    tracing::debug!("metrics: {e}");
                }
            }
        })?;
        Ok(Server { stop, thread: Some(thread) })
    }
}

/// A socket in the filesystem; one that a dead process left is replaced.
fn unix(path: &PathBuf) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(e) if e.kind() == ErrorKind::AddrInUse => {
            let dead = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket())
                && UnixStream::connect(path).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
            if !dead {
                return Err(e);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        other => other,
    }
}

/// The running thread; dropping it stops it.
pub struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.thread.take().into_iter().for_each(|t| drop(t.join()));
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(l) => l.as_fd(),
            Listener::Unix(l, _) => l.as_fd(),
        }
    }

    /// The next connection; it waits for nothing.
    fn accept(&self) -> io::Result<Box<dyn Socket>> {
        match self {
            Listener::Tcp(l) => {
                let (socket, _) = l.accept()?;
                socket.set_nonblocking(true)?;
                Ok(Box::new(socket))
            }
            Listener::Unix(l, _) => {
                let (socket, _) = l.accept()?;
                socket.set_nonblocking(true)?;
                Ok(Box::new(socket))
            }
        }
    }
}

/// The answer to a request.
fn answer(asked: &Request, page: &impl Fn() -> String) -> Vec<u8> {
    let (status, body, text) = match asked {
        Request::Page { body } => ("200 OK", *body, page()),
        Request::Hint { body } => ("200 OK", *body, "retrotap: metrics are at /metrics\n".to_owned()),
        Request::Wrong(status) => (*status, true, format!("{status}\n")),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n",
        text.len(),
        if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" },
    );
    if body { (head + &text).into_bytes() } else { head.into_bytes() }
}

enum Request {
    Page { body: bool },
    Hint { body: bool },
    Wrong(&'static str),
}

/// Looks at the first line, once the empty one is there; `ended`: no more comes. `None`: it is to come.
fn request(bytes: &[u8], ended: bool) -> Option<Request> {
    if !bytes.windows(4).any(|w| w == b"\r\n\r\n") {
        let long = bytes.len() > METRICS_REQUEST_BYTES;
        let wrong = if long { "431 Request Header Fields Too Large" } else { "400 Bad Request" };
        return (long || ended).then_some(Request::Wrong(wrong));
    }
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    if !version.is_some_and(|v| v.starts_with("HTTP/1.")) || words.next().is_some() {
        return Some(Request::Wrong("400 Bad Request"));
    }
    let body = match method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Some(Request::Wrong("405 Method Not Allowed")),
    };
    Some(match target.and_then(|t| t.split('?').next()) {
        Some("/metrics") => Request::Page { body },
        Some("/") => Request::Hint { body },
        _ => Request::Wrong("404 Not Found"),
    })
}

#[cfg(test)]
mod tests;
