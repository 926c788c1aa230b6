//! The Unix socket that Suricata's EVE output connects to, as often as it likes: at its start, after a rotation, once for each capture in
//! unix-socket mode. Owns the socket's file and a thread for each connection. Called by the command line.

use super::event::Trouble;
use super::lines::{Line, Lines};
use super::{Hub, LOOK, eve};
use crate::limits::NIDS_PEERS_MAX;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why nobody can connect.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a socket.
    #[error("{path}: there is a file of another kind; name another place with --listen, or read it with --follow", path = path.display())]
    Taken {
        /// The path.
        path: PathBuf,
    },
    /// Another process answers there.
    #[error("{path}: another process answers there; name another place with --listen", path = path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
}

/// The socket; removed when dropped.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Makes it; one that a killed process left is replaced. Its user and group may connect.
    pub fn bind(path: &Path) -> Result<Listener, ListenError> {
        let io = |source| ListenError::Io { path: path.to_owned(), source };
        match std::fs::symlink_metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(io(e)),
            Ok(m) if !m.file_type().is_socket() => return Err(ListenError::Taken { path: path.to_owned() }),
            Ok(_) if UnixStream::connect(path).is_ok() => return Err(ListenError::InUse { path: path.to_owned() }),
            Ok(_) => std::fs::remove_file(path).map_err(io)?,
        }
        let listener = UnixListener::bind(path).map_err(io)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(io)?;
        listener.set_nonblocking(true).map_err(io)?;
        Ok(Listener { listener, path: path.to_owned() })
    }

    /// Serves until the hub's end.
    pub fn run(&self, hub: &Hub) {
        std::thread::scope(|scope| {
            let mut peers = Vec::new();
            while !hub.stop().is_set() {
                peers.retain(|p: &std::thread::ScopedJoinHandle<'_, ()>| !p.is_finished());
                match self.listener.accept() {
                    Ok(_) if peers.len() >= NIDS_PEERS_MAX => {
                        hub.trouble(Trouble::Crowded, &format!("{NIDS_PEERS_MAX} connections are open already"));
                    }
                    Ok((stream, _)) => {
                        let named = std::thread::Builder::new().name("nids-eve".into());
                        match named.spawn_scoped(scope, move || peer(stream, hub)) {
                            Ok(thread) => peers.push(thread),
                            Err(e) => hub.trouble(Trouble::Crowded, &e.to_string()),
                        }
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => hub.stop().wait(LOOK),
                    Err(e) => {
                        tracing::warn!("{}: {e}", self.path.display());
                        hub.stop().wait(LOOK * 20);
                    }
                }
            }
        });
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn peer(mut stream: UnixStream, hub: &Hub) {
    hub.peer("suricata", true, "");
    let ready = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(LOOK)));
    let end = ready.and_then(|()| lines(&mut stream, hub));
    let why = end.err().map(|e| e.to_string()).unwrap_or_default();
    hub.peer("suricata", false, &why);
}

fn lines(stream: &mut UnixStream, hub: &Hub) -> io::Result<()> {
    let (mut lines, mut piece) = (Lines::default(), vec![0; 1 << 16]);
    while !hub.stop().is_set() {
        match stream.read(&mut piece) {
            Ok(0) => {
                if lines.is_partial() {
                    hub.bad(Trouble::Malformed, "a connection ended within a line");
                }
                return Ok(());
            }
            Ok(n) => lines.push(piece.get(..n).unwrap_or_default(), |line| record(line, hub)),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// One line, from wherever it came.
pub fn record(line: Line<'_>, hub: &Hub) {
    let Line::Text(text) = line else {
        return hub.bad(Trouble::TooLong, "a line is longer than is taken");
    };
    match eve::read(text) {
        Ok(eve::Eve::Alert(alert)) => drop(hub.alert(*alert)),
        Ok(eve::Eve::Other) => hub.other(),
        Err(why) => hub.bad(Trouble::Malformed, &why),
    }
}
