//! The block table: where the segment's blocks lie, when their packets were, and the sums of their pieces, so that a reader that
//! has the index reads nothing of the segment but its header and what it needs. Owns the table's bytes.

use super::varint::{Cursor, put, put_signed};
use crate::limits::{BLOCK_BYTES, PIECE_BYTES, SECTOR_BYTES, STRIPE_BYTES};
use crate::store::format::BlockTotals;
use crate::store::reader::BlockTable;
use crate::store::scan::BlockRef;

const SECTOR: u64 = SECTOR_BYTES as u64;

/// The bytes of a table.
pub fn put_blocks(table: &BlockTable) -> Vec<u8> {
    let (mut out, mut end, mut time, mut sums) = (Vec::new(), 0, 0u64, table.sums.iter());
    for b in &table.blocks {
        let t = &b.totals;
        put(&mut out, (b.offset - end) / SECTOR);
        put(&mut out, b.len as u64 / SECTOR);
        put(&mut out, b.trailer_at as u64 / 4);
        put(&mut out, t.packets.into());
        put(&mut out, t.runs.into());
        put_signed(&mut out, t.first.wrapping_sub(time) as i64);
        put(&mut out, t.last.saturating_sub(t.first));
        put(&mut out, t.wire_bytes);
        put(&mut out, t.data_bytes);
        for crc in sums.by_ref().take(b.trailer_at.div_ceil(table.piece)) {
            out.extend(crc.to_le_bytes());
        }
        end = b.offset + b.len as u64;
        time = t.first;
    }
    out
}

/// Takes a table of so many blocks apart, as this version has it. `None`: it is none.
pub fn take_blocks(bytes: &[u8], count: u32, version: u32) -> Option<BlockTable> {
    let (mut c, mut end, mut time) = (Cursor(bytes), 0u64, 0u64);
    let mut table = BlockTable::new(if version < 4 { STRIPE_BYTES } else { PIECE_BYTES });
    for _ in 0..count {
        let offset = end.checked_add(c.get()?.checked_mul(SECTOR)?)?;
        let len = usize::try_from(c.get()?.checked_mul(SECTOR)?).ok().filter(|&n| n <= BLOCK_BYTES)?;
        let trailer_at = usize::try_from(c.get()?.checked_mul(4)?).ok().filter(|&n| n < len)?;
        let (packets, runs) = (c.get32()?, c.get32()?);
        let first = time.wrapping_add(c.signed()? as u64);
        let last = first.checked_add(c.get()?)?;
        let (wire_bytes, data_bytes) = (c.get()?, c.get()?);
        let totals = BlockTotals { packets, runs, first, last, wire_bytes, data_bytes, stalled: 0 };
        table.push(BlockRef { offset, len, trailer_at, totals }, || c.array().map(u32::from_le_bytes))?;
        end = offset.checked_add(len as u64)?;
        time = first;
    }
    c.0.is_empty().then_some(table)
}
