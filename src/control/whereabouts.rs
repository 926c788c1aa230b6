//! Where the API of a store is: `api.at` in the store, one line with the path of the socket, locked by whoever answers as long as that process lives.
//! So every command finds a socket that is not in the store; what a killed process left, and what was copied with a store, is not locked and counts
//! for nothing. The lock also says who alone may answer for a store. It is a way to a socket and no more: whoever can write it could as well put
//! a link to another socket into the store.

use super::SOCKET;
use crate::limits::SOCKET_PATH_MAX;
use crate::new_file;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Name of the file in a store. A class can't have it.
const FILE: &str = "api.at";
/// How often it is tried again.
const AGAIN: Duration = Duration::from_millis(5);

/// The word of who answers: it holds as long as this is there.
#[derive(Debug)]
pub struct Whereabouts {
    _locked: File,
}

impl Whereabouts {
    /// Says that the store is answered for at this socket. `Ok(None)`: somebody else does so, and has not ended within this time.
    pub fn say(store: &Path, socket: &Path, patience: Duration) -> io::Result<Option<Whereabouts>> {
        let line = line(store, socket)?;
        let mut file = new_file::keep(&store.join(FILE), new_file::SHARED)?;
        let until = Instant::now() + patience;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                // Also who only looks has it for a moment.
                Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(AGAIN),
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(e) => return Err(e.into()),
            }
        }
        file.set_len(0)?;
        file.write_all(&line)?;
        Ok(Some(Whereabouts { _locked: file }))
    }
}

/// Where the API of a store is to be asked: where whoever answers says, else at its usual place.
pub fn socket_of(store: &Path) -> PathBuf {
    said(store).unwrap_or_else(|| store.join(SOCKET))
}

/// What whoever answers has said. `None`: nobody has who lives, or not so that it makes sense.
pub fn said(store: &Path) -> Option<PathBuf> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(store.join(FILE)).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    // Let go of at once, when the file is closed.
    if flock(&file, FlockOperation::NonBlockingLockShared) != Err(Errno::WOULDBLOCK) {
        return None;
    }
    let mut text = Vec::new();
    file.take(SOCKET_PATH_MAX as u64 + 2).read_to_end(&mut text).ok()?;
    let path = text.strip_suffix(b"\n").filter(|path| path.len() <= SOCKET_PATH_MAX)?;
    let makes_sense = path.first() == Some(&b'/') || path == SOCKET.as_bytes();
    let plain = !path.iter().any(u8::is_ascii_control);
    (makes_sense && plain).then(|| store.join(OsStr::from_bytes(path)))
}

/// The usual place is told without the store's, which may have another name for whoever reads it.
fn line(store: &Path, socket: &Path) -> io::Result<Vec<u8>> {
    let path = if socket == store.join(SOCKET) { PathBuf::from(SOCKET) } else { std::path::absolute(socket)? };
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() > SOCKET_PATH_MAX || bytes.iter().any(u8::is_ascii_control) {
        return Err(io::Error::other("the path of the socket makes no line"));
    }
    Ok([bytes, b"\n"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_lives_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (store, copy) = (dir.path().join("store"), dir.path().join("copy"));
        std::fs::create_dir(&store).unwrap();
        std::fs::create_dir(&copy).unwrap();
        let say = |socket: &Path| Whereabouts::say(&store, socket, Duration::ZERO).unwrap();
        assert_eq!(said(&store), None);
        let first = say(Path::new("/run/elsewhere/retrotap.sock"));
        assert_eq!(socket_of(&store), Path::new("/run/elsewhere/retrotap.sock"));
        assert!(first.is_some() && say(&store.join(SOCKET)).is_none(), "one at a time");
        std::fs::copy(store.join(FILE), copy.join(FILE)).unwrap();
        assert_eq!(socket_of(&copy), copy.join(SOCKET), "nobody answers for a copy");
        drop(first);
        assert_eq!(said(&store), None, "who has said so is gone");
        let _second = say(&store.join(SOCKET));
        std::fs::rename(&store, dir.path().join("moved")).unwrap();
        assert_eq!(said(&dir.path().join("moved")), Some(dir.path().join("moved/api.sock")));
    }

    #[test]
    fn what_makes_no_sense_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (store, path) = (dir.path(), dir.path().join(FILE));
        let locked = Whereabouts::say(store, Path::new("/x"), Duration::ZERO).unwrap();
        let long = format!("/{}\n", "x".repeat(SOCKET_PATH_MAX));
        for text in ["", "\n", "/x", "x.sock\n", "../api.sock\n", "/a\n/b\n", "/a\u{1b}[2J\n", "/a\0b\n", &long] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(said(store), None, "{text:?}");
        }
        std::fs::write(&path, "/y\n").unwrap();
        assert_eq!(said(store), Some("/y".into()), "else nothing is wrong");
        std::fs::rename(&path, store.join("z")).unwrap();
        std::os::unix::fs::symlink(store.join("z"), &path).unwrap();
        assert_eq!(said(store), None, "a link");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(said(store), None, "no file");
        assert!(Whereabouts::say(store, Path::new("/a\nb"), Duration::ZERO).is_err());
        drop(locked);
    }
}
