//! Room on the store's filesystem. Owns how much of it is left free for others and for ledger and receipts, and what is to go so that the
//! next segment can be made. Asked by the keeper before each segment; it never deletes what would give no room back.

use super::shelf::Shelved;
use crate::limits::{RESERVE_BYTES, RESERVE_PERCENT, RESERVE_PERCENT_MAX};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A filesystem: bytes in all, and those that are free to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// In all.
    pub size: u64,
    /// Free.
    pub free: u64,
}

impl Room {
    /// Of the filesystem that a path is on.
    pub fn of(path: &Path) -> io::Result<Room> {
        let fs = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(fs.f_frsize);
        Ok(Room { size: bytes(fs.f_blocks), free: bytes(fs.f_bavail) })
    }

    /// What is left free while the store has something that can go.
    pub fn reserve(&self) -> u64 {
        let part = |percent| self.size / 100 * percent;
        part(RESERVE_PERCENT).max(RESERVE_BYTES).min(part(RESERVE_PERCENT_MAX))
    }

    /// What is lacking for so many bytes more beside the reserve.
    pub fn lacks(&self, bytes: u64) -> u64 {
        bytes.saturating_add(self.reserve()).saturating_sub(self.free)
    }
}

/// True of the error of a filesystem, or a quota, that is used up.
pub fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether deleting a segment gives its room back: what a hold has a link to stays.
pub fn gives_room(s: &Shelved) -> bool {
    std::fs::metadata(&s.path).is_ok_and(|m| m.nlink() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_fits_filesystems_of_any_size() {
        const GIB: u64 = 1 << 30;
        let reserve = |size| Room { size, free: 0 }.reserve();
        assert_eq!(reserve(1000 * GIB), 1000 * GIB / 100 * 2);
        assert_eq!(reserve(40 * GIB), GIB);
        assert_eq!(reserve(64 << 20), (64 << 20) / 100 * 5);
        assert_eq!(reserve(0), 0);
        let room = Room { size: 40 * GIB, free: 3 * GIB };
        assert_eq!((room.lacks(GIB), room.lacks(3 * GIB), room.lacks(u64::MAX)), (0, GIB, u64::MAX - 3 * GIB));
    }
}
