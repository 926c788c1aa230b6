//! What lies between head and trailer: Enhanced Packet Blocks and Interface Statistics Blocks. The encoder is on the
//! packet path; the decoder is every reader's.

use super::{Damage, Put, block_type, option, pcapng_block, u16_at, u32_at};
use crate::conn::verdict::Mark;
use crate::limits::SNAPLEN;

/// An EPB without data and options.
const EPB_FIXED: usize = 32;
/// The mark option and the end of options.
const MARK_BYTES: usize = 12;
/// Bound of one packet's bytes in a block.
pub const EPB_BYTES_MAX: usize = EPB_FIXED + SNAPLEN as usize + MARK_BYTES;
/// Length of one statistics block.
pub const ISB_BYTES: usize = 20 + 2 * 12 + 4 + 4;

/// What an interface has received and lost since the start; written in each block that has packets of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IfaceDrops {
    /// Packets that came in.
    pub received: u64,
    /// Packets lost before the store, whatever the cause.
    pub dropped: u64,
}

/// A packet as a segment holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPacket<'a> {
    /// Where its EPB begins: in the file (readers) or in the block ([`walk`]).
    pub offset: u64,
    /// Unix time, ns.
    pub time: u64,
    /// Index into the segment's interfaces.
    pub iface: u32,
    /// Length on the wire.
    pub wire_len: u32,
    /// Captured bytes.
    pub data: &'a [u8],
    /// What the recorder said of it.
    pub mark: Mark,
}

/// Bytes that a packet takes in a block.
#[inline]
pub fn packet_bytes(data_len: usize, mark: Mark) -> usize {
    EPB_FIXED + data_len.next_multiple_of(4) + if matches!(mark, Mark::None) { 0 } else { MARK_BYTES }
}

/// Writes one EPB at the start of `to`, which is exactly [`packet_bytes`] long.
#[inline]
pub fn write_packet(to: &mut [u8], iface: u32, time: u64, wire_len: u32, data: &[u8], mark: Mark) {
    let len = to.len() as u32;
    let mut put = Put::new(to, 0);
    put.u32(block_type::EPB).u32(len).u32(iface).u32((time >> 32) as u32).u32(time as u32);
    put.u32(data.len() as u32).u32(wire_len).bytes(data).zeros(data.len().next_multiple_of(4) - data.len());
    if let Some(code) = mark_code(mark) {
        put.option(option::MARK, &[code]).u16(option::END).u16(0);
    }
    put.u32(len);
    debug_assert_eq!(put.end(), len as usize);
}

/// Writes one ISB at the start of `to`; takes [`ISB_BYTES`].
pub fn write_statistics(to: &mut [u8], iface: u32, time: u64, drops: IfaceDrops) {
    let mut put = Put::new(to, 0);
    put.u32(block_type::ISB).u32(ISB_BYTES as u32).u32(iface).u32((time >> 32) as u32).u32(time as u32);
    put.option(option::ISB_IFRECV, &drops.received.to_le_bytes());
    put.option(option::ISB_IFDROP, &drops.dropped.to_le_bytes());
    put.u16(option::END).u16(0).u32(ISB_BYTES as u32);
    debug_assert_eq!(put.end(), ISB_BYTES);
}

fn mark_code(mark: Mark) -> Option<u8> {
    match mark {
        Mark::None => None,
        Mark::CutHere => Some(1),
        Mark::Untracked => Some(2),
    }
}

/// One pcapng block inside a block of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A packet; its offset counts from the start of the bytes given.
    Packet(StoredPacket<'a>),
    /// Statistics of an interface.
    Statistics {
        /// Index into the segment's interfaces.
        iface: u32,
        /// Unix time, ns.
        time: u64,
    },
}

/// The packet whose EPB begins at `at` in `b`, and its length there.
pub fn packet_at(b: &[u8], at: usize) -> Result<(StoredPacket<'_>, usize), Damage> {
    let bad = Damage::Structure("a packet block");
    match pcapng_block(b, at) {
        Some((block_type::EPB, len)) => Ok((epb(b, at, len).ok_or(bad)?, len)),
        _ => Err(bad),
    }
}

fn epb(b: &[u8], at: usize, len: usize) -> Option<StoredPacket<'_>> {
    let e = b.get(at..at + len)?;
    let time = u64::from(u32_at(e, 12)?) << 32 | u64::from(u32_at(e, 16)?);
    let captured = u32_at(e, 20)? as usize;
    let data = e.get(28..28usize.checked_add(captured)?)?;
    let options = 28 + captured.next_multiple_of(4);
    let mark = match len.checked_sub(4)?.checked_sub(options)? {
        0 => Mark::None,
        _ if u16_at(e, options)? == option::MARK && u16_at(e, options + 2)? == 1 => match e.get(options + 4)? {
            1 => Mark::CutHere,
            2 => Mark::Untracked,
            _ => return None,
        },
        _ => return None,
    };
    Some(StoredPacket { offset: at as u64, time, iface: u32_at(e, 8)?, wire_len: u32_at(e, 24)?, data, mark })
}

/// Walks what lies in `b[from..to]`: between head and trailer. Ends after the first error.
pub fn walk(b: &[u8], from: usize, to: usize) -> impl Iterator<Item = Result<Item<'_>, Damage>> {
    let mut at = from;
    let b = b.get(..to).unwrap_or_default();
    std::iter::from_fn(move || {
        if at >= to {
            return None;
        }
        let bad = Damage::Structure("a block's contents");
        let item = match pcapng_block(b, at) {
            Some((block_type::EPB, len)) => epb(b, at, len).ok_or(bad).map(|p| (Item::Packet(p), len)),
            Some((block_type::ISB, len)) => match (u32_at(b, at + 8), u32_at(b, at + 12), u32_at(b, at + 16)) {
                (Some(iface), Some(high), Some(low)) => {
                    Ok((Item::Statistics { iface, time: u64::from(high) << 32 | u64::from(low) }, len))
                }
                _ => Err(bad),
            },
            _ => Err(bad),
        };
        match item {
            Ok((item, len)) => {
                at += len;
                Some(Ok(item))
            }
            Err(e) => {
                at = to;
                Some(Err(e))
            }
        }
    })
}
