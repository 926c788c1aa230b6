//! Capture files that are read: what is kept of them beside packets, and how much of their faults is told.

use super::SNAPLEN;

/// Interfaces of all imported files together, and of one pcapng section.
pub const IFACES_FILE_MAX: usize = 4096;
/// The file source's only buffer.
pub const FILE_WINDOW_BYTES: usize = 1 << 20;
/// Options of one packet block of a pcapng file that are kept: a comment of the greatest length and others.
pub const PACKET_OPTIONS_MAX: usize = 68 << 10;
/// Options of one interface's description, or of one section's header, that are kept.
pub const INTERFACE_OPTIONS_MAX: usize = 8 << 10;
/// Such options of all interfaces of one segment; more go to another segment.
pub const SEGMENT_OPTIONS_MAX: usize = 96 << 10;
/// Decryption secrets of one section that are kept: each segment of its packets has them.
pub const SECRETS_MAX: usize = 288 << 10;
/// The same of name resolution.
pub const NAMES_MAX: usize = 96 << 10;
/// So many blocks behind the last packet of a file are looked at.
pub const BEHIND_BLOCKS_MAX: usize = 64;
/// Secrets that come among the packets take effect so often in a section, each time in new segments.
pub const SECRETS_RENEWED_MAX: u32 = 64;
/// Faults of one file that are named; more are only counted.
pub const FILE_FAULTS_MAX: usize = 8;
/// An import waits this long for room before it gives up.
pub const IMPORT_FULL_NS: u64 = 5_000_000_000;

// An option's length has 16 bits.
const _: () = assert!(INTERFACE_OPTIONS_MAX < 1 << 16);
// A record of the largest snap length fits the window of the file source, up to twice over.
const _: () = assert!(FILE_WINDOW_BYTES > 2 * SNAPLEN as usize + 64);
