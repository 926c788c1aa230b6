//! Files of our own in folders that others may write to. Owns how such a file comes to be: a new one, which no link leads to, with the rights that it is to
//! have from the start. Used for whatever is written beside its place and then renamed, and for what is opened again and again.

use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What a store's files may: its owner reads and writes, its group reads.
pub const SHARED: u32 = 0o640;
/// Nobody else's affair.
pub const PRIVATE: u32 = 0o600;

/// Makes a file; what one of this name was that a killed process left goes, a link itself and not what it leads to.
pub fn create(path: &Path, mode: u32) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)
}

/// The same with these bytes.
pub fn write(path: &Path, mode: u32, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    create(path, mode)?.write_all(bytes.as_ref())
}

/// Opens a file to append to it, a new one where there is none; not what a link leads to.
pub fn append(path: &Path, mode: u32) -> io::Result<File> {
    let options = &mut OpenOptions::new();
    options.read(true).append(true).create(true).mode(mode).custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path)
}

/// Opens a file to read and write it as it is, a new one where there is none; not what a link leads to.
pub fn keep(path: &Path, mode: u32) -> io::Result<File> {
    let options = &mut OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(mode);
    options.custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_a_link_leads_to_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, path) = (dir.path().join("victim"), dir.path().join("x.new"));
        std::fs::write(&victim, "kept").unwrap();
        symlink(&victim, &path).unwrap();
        assert!(append(&path, SHARED).is_err() && keep(&path, SHARED).is_err());
        write(&path, PRIVATE, "ours").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ours");
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        assert_eq!(path.symlink_metadata().unwrap().permissions().mode() & 0o777, PRIVATE);
        create(&path, SHARED).unwrap();
        assert_eq!(path.metadata().unwrap().len(), 0, "a new one");
        append(&path, SHARED).unwrap().write_all(b"more").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "more");
    }
}
