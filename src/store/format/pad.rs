//! Padding that takes the place of what recovery could not read, so that the file stays pcapng for every reader.

use super::{Put, block_type, pcapng_block, u32_at};
use crate::limits::{PAD_BYTES_MAX, SECTOR_BYTES};

/// Covers `region` (a multiple of 4096 long) with padding blocks of at most 64 KiB, zeros inside.
pub fn write_pads(region: &mut [u8]) {
    debug_assert!(region.len().is_multiple_of(SECTOR_BYTES));
    for pad in region.chunks_mut(PAD_BYTES_MAX) {
        let len = pad.len();
        Put::new(pad, 0).u32(block_type::PAD).u32(len as u32).zeros(len - 12).u32(len as u32);
    }
}

/// The length that the first bytes of a padding block claim for it.
pub fn pad_len(b: &[u8]) -> Option<usize> {
    let len = u32_at(b, 4)? as usize;
    let fits = (SECTOR_BYTES..=PAD_BYTES_MAX).contains(&len) && len.is_multiple_of(SECTOR_BYTES);
    (fits && u32_at(b, 0)? == block_type::PAD).then_some(len)
}

/// The length of the padding block that begins at `at` in `b`, if one does.
pub fn is_pad(b: &[u8], at: usize) -> Option<usize> {
    match pcapng_block(b, at)? {
        (block_type::PAD, len) if len.is_multiple_of(SECTOR_BYTES) && len <= PAD_BYTES_MAX => Some(len),
        _ => None,
    }
}
