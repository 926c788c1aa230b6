//! pcap (draft-ietf-opsawg-pcap) as an answer has it: little-endian, nanoseconds, one link type. Owns the encoding; appends to a buffer and does
//! no I/O.

use crate::limits::SNAPLEN;
use crate::query::{Answer, OutputError};

/// The file's head.
pub fn head(to: &mut Vec<u8>, link_type: u16) {
    for v in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, SNAPLEN, u32::from(link_type)] {
        to.extend(v.to_le_bytes());
    }
}

/// A packet; an error where its time is after 2106.
pub fn packet(to: &mut Vec<u8>, p: &Answer<'_>) -> Result<(), OutputError> {
    let seconds = u32::try_from(p.time / 1_000_000_000).map_err(|_| OutputError::Time(p.time))?;
    for v in [seconds, (p.time % 1_000_000_000) as u32, p.data.len() as u32, p.wire_len] {
        to.extend(v.to_le_bytes());
    }
    to.extend(p.data);
    Ok(())
}
