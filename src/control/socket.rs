//! The socket in the file system: made, guarded, removed. Owns its path and rights; called by the server at start and stop.

use super::tls::FileError;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The system refused.
    #[error("the API's socket {path}: {source}; name another place with --api PATH, or --api off", path = path.display())]
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

/// Longest path that a Unix socket can have.
const PATH_MAX: usize = 107;

/// Makes the socket, for its owner and this group; one that a killed recorder left is replaced.
pub fn listen(path: &Path, group: u32) -> Result<UnixListener, SocketError> {
    let io = |source| SocketError::Io { path: path.to_owned(), source };
    if path.as_os_str().len() > PATH_MAX {
        return Err(io(io::Error::other(format!("its path is longer than the {PATH_MAX} bytes of a socket"))));
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
