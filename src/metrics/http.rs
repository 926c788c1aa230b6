//! The metrics endpoint: as much of HTTP/1.1 as a scrape needs. Owns the listening socket and a few threads of low priority
//! that answer one request a connection; called by `record`. Requests are bounded in size and time; a worker never waits
//! for it, nor it for a worker.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

use crate::limits::{METRICS_CONNECTIONS, METRICS_REQUEST_BYTES, METRICS_TIMEOUT};
use crate::privilege;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt::{self, Display};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        let shared = Arc::new((self.listener, page, AtomicBool::new(false)));
        let mut threads = Vec::new();
        for _ in 0..METRICS_CONNECTIONS {
            let shared = shared.clone();
            threads.push(Builder::new().name("metrics".into()).spawn(move || {
                privilege::without_capabilities();
                let (listener, page, stop) = &*shared;
                // Capture comes first. Refused: it stays as it is.
                let _ = rustix::process::setpriority_process(None, 19);
                while !stop.load(Relaxed) {
                    if let Err(e) = listener.one(page) {
                        tracing::debug!("metrics: {e}");
                    }
                }
            })?);
        }
        let stop = Box::new(move || shared.2.store(true, Relaxed));
        Ok(Server { stop, threads })
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

/// The running threads; dropping it stops them.
pub struct Server {
    stop: Box<dyn Fn() + Send + Sync>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        (self.stop)();
        self.threads.drain(..).for_each(|t| drop(t.join()));
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// How long a thread waits for a connection before it looks whether to stop.
const ROUND: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

impl Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(l) => l.as_fd(),
            Listener::Unix(l, _) => l.as_fd(),
        }
    }

    /// Waits a little for a connection and answers it.
    fn one(&self, page: &impl Fn() -> String) -> io::Result<()> {
        let fd = self.as_fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        if poll(&mut fds, Some(&ROUND)).map_err(io::Error::from)? == 0 {
            return Ok(());
        }
        let accepted = match self {
            Listener::Tcp(l) => l.accept().and_then(|(s, _)| {
                s.set_nonblocking(false)?;
                s.set_read_timeout(Some(METRICS_TIMEOUT))?;
                s.set_write_timeout(Some(METRICS_TIMEOUT))?;
                answer(s, page)
            }),
            Listener::Unix(l, _) => l.accept().and_then(|(s, _)| {
                s.set_nonblocking(false)?;
                s.set_read_timeout(Some(METRICS_TIMEOUT))?;
                s.set_write_timeout(Some(METRICS_TIMEOUT))?;
                answer(s, page)
            }),
        };
        match accepted {
            // Another thread was faster.
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(()),
            // Out of descriptors, say: not to be asked again at once.
            Err(e) => {
                std::thread::sleep(Duration::from_millis(10));
                Err(e)
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Reads one request and answers it.
fn answer(mut stream: impl Read + Write, page: &impl Fn() -> String) -> io::Result<()> {
    let (status, body, text) = match request(&mut stream)? {
        Request::Page { body } => ("200 OK", body, page()),
        Request::Hint { body } => ("200 OK", body, "retrotap: metrics are at /metrics\n".to_owned()),
        Request::Wrong(status) => (status, true, format!("{status}\n")),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n",
        text.len(),
        if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" },
    );
    stream.write_all(head.as_bytes())?;
    if body {
        stream.write_all(text.as_bytes())?;
    }
    stream.flush()
}

enum Request {
    Page { body: bool },
    Hint { body: bool },
    Wrong(&'static str),
}

/// Reads up to the empty line and looks at the first.
fn request(stream: &mut impl Read) -> io::Result<Request> {
    let (mut bytes, mut buffer, start) = (Vec::new(), [0; 1024], Instant::now());
    while !bytes.windows(4).any(|w| w == b"\r\n\r\n") {
        if bytes.len() > METRICS_REQUEST_BYTES {
            return Ok(Request::Wrong("431 Request Header Fields Too Large"));
        }
        let n = match stream.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Request::Wrong("408 Request Timeout")),
            other => other?,
        };
        if n == 0 {
            return Ok(Request::Wrong("400 Bad Request"));
        }
        bytes.extend(buffer.iter().take(n));
        // Each read has its own limit; a client that sends byte by byte must not have it for each.
        if start.elapsed() > METRICS_TIMEOUT {
            return Ok(Request::Wrong("408 Request Timeout"));
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    if !version.is_some_and(|v| v.starts_with("HTTP/1.")) || words.next().is_some() {
        return Ok(Request::Wrong("400 Bad Request"));
    }
    let body = match method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Ok(Request::Wrong("405 Method Not Allowed")),
    };
    Ok(match target.and_then(|t| t.split('?').next()) {
        Some("/metrics") => Request::Page { body },
        Some("/") => Request::Hint { body },
        _ => Request::Wrong("404 Not Found"),
    })
}

#[cfg(test)]
mod tests;
