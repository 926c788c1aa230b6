//! The socket in the file system: made, guarded, removed. Owns its path and rights; called by the server at start and stop.

use super::tls::FileError;
use crate::limits::SOCKET_PATH_MAX;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The system refused.
    #[error("the API's socket {path}: {source}; name another place with --api PATH (or record without: --api off)", path = path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else is there.
    #[error("the API's socket {path}: there is a file of another kind; name another place with --api PATH", path = path.display())]
    Taken {
        /// The path.
        path: PathBuf,
    },
    /// Another process answers there.
    #[error("the API's socket {path}: another process answers there; name another place with --api PATH", path = path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Another process answers for the store, at another place.
    #[error("{store}: another process answers for it already, at {at}", store = store.display(), at = at.display())]
    Answered {
        /// The store.
        store: PathBuf,
        /// Where.
        at: PathBuf,
    },
    /// A store that can't be written has no audit log, and over TCP nobody is answered without.
    #[error("{store}: there is no room for the audit log ({why}), and over TCP nobody is answered without one", store = store.display())]
    Unaudited {
        /// The store.
        store: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// TCP.
    #[error("the API at {listen}: {source}")]
    Tcp {
        /// Where.
        listen: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate or key.
    #[error("the API over TCP: {0}")]
    File(#[from] FileError),
    /// Who may ask.
    #[error("{0}")]
    Access(String),
}

/// Makes the socket, for its owner and this group; one that a killed recorder left is replaced.
pub fn listen(path: &Path, group: u32) -> Result<UnixListener, SocketError> {
    let io = |source| SocketError::Io { path: path.to_owned(), source };
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(io(io::Error::other(format!("its path is longer than the {SOCKET_PATH_MAX} bytes of a socket"))));
    }
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(io(e)),
        Ok(m) if !m.file_type().is_socket() => return Err(SocketError::Taken { path: path.to_owned() }),
        Ok(_) if UnixStream::connect(path).is_ok() => return Err(SocketError::InUse { path: path.to_owned() }),
        Ok(_) => std::fs::remove_file(path).map_err(io)?,
    }
    let listener = UnixListener::bind(path).map_err(io)?;
    if group != rustix::process::getegid().as_raw() {
        std::os::unix::fs::lchown(path, None, Some(group)).map_err(io)?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(io)?;
    listener.set_nonblocking(true).map_err(io)?;
    Ok(listener)
}

/// Takes it away.
pub fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}
