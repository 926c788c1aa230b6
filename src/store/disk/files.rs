//! How the store's files are opened, preallocated, synced. Called by the keeper, recovery and readers, never by a worker.

use rustix::fs::{FallocateFlags, OFlags};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens without the page cache where the filesystem allows it. The flag says whether it does.
fn open_direct(options: &mut OpenOptions, path: &Path) -> io::Result<(File, bool)> {
    match options.custom_flags(OFlags::DIRECT.bits() as i32).open(path) {
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            options.custom_flags(0).open(path).map(|f| (f, false))
        }
        other => other.map(|f| (f, true)),
    }
}

/// Creates a segment's file and takes its disk space, so that writes into it neither change its length nor allocate:
/// `fallocate` of mode 0 makes ext4 and XFS run io_uring writes inline. Packets, and secrets that decrypt them, are not for everyone to
/// read. Returns whether O_DIRECT is in force.
pub fn create_segment(path: &Path, bytes: u64) -> io::Result<(File, bool)> {
    let (file, direct) = open_direct(OpenOptions::new().read(true).write(true).create_new(true).mode(0o640), path)?;
    let grown = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(bytes),
        other => other.map_err(io::Error::from),
    };
    match grown {
        Ok(()) => Ok((file, direct)),
        Err(e) => {
            // The name would stand for space that was not to be had.
            let _ = std::fs::remove_file(path);
            Err(e)
        }
    }
}

/// Opens an unsealed segment for reading past the page cache.
pub fn read_direct(path: &Path) -> io::Result<File> {
    open_direct(OpenOptions::new().read(true), path).map(|(f, _)| f)
}

/// Makes the names in a directory durable.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Reads as much of `to` as there is from `offset` on.
pub fn read_full(file: &File, mut to: &mut [u8], mut offset: u64) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut total = 0;
    while !to.is_empty() {
        match file.read_at(to, offset) {
            Ok(0) => break,
            Ok(n) => {
                total += n;
                offset += n as u64;
                to = &mut to[n..];
                // O_DIRECT ends unaligned only at the end of the file.
                if n % 4096 != 0 {
                    break;
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(total)
}
