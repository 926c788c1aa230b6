//! The lock: one recorder writes to a store. Readers take none; they only ask whether it is held.

use super::layout::Layout;
use super::{StoreError, at};
use crate::new_file;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{self, Read, Write};

/// The lock, as long as this lives. The system lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Whether somebody records into the store; true also where this can't be found out.
pub fn held(layout: &Layout) -> bool {
    let Ok(file) = File::open(layout.lock()) else { return true };
    // Let go of at once, when the file is closed.
    flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}

/// Who records into the store, as the lock says; `None`: nobody. An error: that can't be found out.
pub fn holder(layout: &Layout) -> io::Result<Option<String>> {
    let mut file = match File::open(layout.lock()) {
        // Nobody ever has, into this copy.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(name(&mut file))),
        Err(e) => Err(e.into()),
    }
}

/// What the holder has written, which is anybody's text.
fn name(file: &mut File) -> String {
    let mut text = Vec::new();
    let _ = file.take(HOLDER_BYTES).read_to_end(&mut text);
    match String::from_utf8_lossy(&text).trim() {
        "" => "another process".to_owned(),
        name => name.to_owned(),
    }
}

/// So much of its text is looked at.
const HOLDER_BYTES: u64 = 256;

impl Lock {
    /// Takes the lock and writes into it who holds it. Fails with the holder's name if somebody else does.
    pub fn take(layout: &Layout) -> Result<Lock, StoreError> {
        let path = layout.lock();
        let mut file = new_file::keep(&path, new_file::SHARED).map_err(at(&path))?;
        let mut taken = flock(&file, FlockOperation::NonBlockingLockExclusive);
        // A reader that asks whether somebody records holds it for a moment.
        for _ in 0..20 {
            if taken != Err(rustix::io::Errno::WOULDBLOCK) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
            taken = flock(&file, FlockOperation::NonBlockingLockExclusive);
        }
        match taken {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StoreError::Locked { path: layout.root().to_owned(), holder: name(&mut file) });
            }
            Err(e) => return Err(at(&path)(e.into())),
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let now = jiff::Timestamp::now().strftime("%FT%TZ");
        let text = format!("process {} on {}, since {now}\n", std::process::id(), host.trim());
        file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(at(&path))?;
        Ok(Lock { _file: file })
    }
}
