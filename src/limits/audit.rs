//! The audit log.

/// Bytes of the audit log that wait for a disk that refuses them.
pub const AUDIT_BYTES_WAITING: usize = 4 << 20;
/// A longer question is entered in the audit log with its length and this much of its beginning.
pub const AUDIT_ASK_BYTES: usize = 16 << 10;
/// Longest path, and longest error, that the audit log has whole.
pub const AUDIT_TEXT_BYTES: usize = 512;
/// A file of the audit log holds so much; then the day has another.
pub const AUDIT_FILE_BYTES: u64 = 32 << 20;
/// All files of the audit log together.
pub const AUDIT_BYTES: u64 = 512 << 20;
/// Of each address, or user, that may nothing so many requests of a minute have a line of their own.
pub const AUDIT_REFUSED_LINES: u64 = 10;
/// So many of them are told apart.
pub const AUDIT_REFUSED_WHO: usize = 1024;
/// At the end, what was entered in the audit log must be on the disk within this time.
pub const AUDIT_LAST: std::time::Duration = std::time::Duration::from_secs(5);
/// Requests that wait for the audit log's disk.
pub const AUDIT_WAITING: usize = 4096;
/// Longest note for the audit log.
pub const NOTE_BYTES_MAX: usize = 4096;
