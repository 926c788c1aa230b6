//! Something long from one process to another: memory that nobody can change or shorten any more, handed over as a descriptor. Owns how it is
//! made and what is checked before it is read. memfd_create(2), F_ADD_SEALS in fcntl(2).

use crate::limits::DOCUMENT_BYTES_MAX;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// What makes it safe to read: it stays as it is.
const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW);

/// Of these bytes.
pub fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"document", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SEALS | SealFlags::SEAL)?;
    Ok(file.into())
}

/// Its bytes.
pub fn read(document: &OwnedFd) -> io::Result<Vec<u8>> {
    let wrong = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    if !fcntl_get_seals(document.as_fd()).is_ok_and(|seals| seals.contains(SEALS)) {
        return wrong("a document that its sender could change");
    }
    let file = File::from(document.try_clone()?);
    let len = file.metadata()?.len();
    if len > DOCUMENT_BYTES_MAX {
        return wrong("a document longer than anything that is sent");
    }
    let mut bytes = vec![0; len as usize];
    // Whoever sent it has the same place in it.
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_read_and_nobody_can_change_it() {
        let document = sealed(b"some settings").unwrap();
        assert_eq!(read(&document).unwrap(), b"some settings");
        assert_eq!(read(&document).unwrap(), b"some settings", "twice");
        let file = File::from(document.try_clone().unwrap());
        assert!(file.write_at(b"x", 0).is_err());
        assert!(file.set_len(3).is_err() && file.set_len(300).is_err());
        assert_eq!(read(&sealed(b"").unwrap()).unwrap(), b"");
    }

    #[test]
    fn what_can_still_be_changed_is_not_read() {
        let open = memfd_create(c"open", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        assert!(read(&open).is_err());
        let file: OwnedFd = tempfile::tempfile().unwrap().into();
        assert!(read(&file).is_err());
    }
}
