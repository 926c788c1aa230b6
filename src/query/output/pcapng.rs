//! pcapng (draft-ietf-opsawg-pcapng) as an answer has it: little-endian, nanoseconds. Owns the encoding of each block; appends to a buffer
//! and does no I/O.

use super::place::{UNFINISHED, place};
use crate::limits::SNAPLEN;
use crate::query::Answer;
use crate::source::Interface;

/// Type of the block that begins a section.
pub const SECTION: u32 = 0x0a0d_0d0a;
/// Type of an interface's statistics.
pub const STATISTICS: u32 = 5;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;

/// Option codes.
pub mod code {
    pub const COMMENT: u16 = 1;
    pub const IF_NAME: u16 = 2;
    pub const USERAPPL: u16 = 4;
    pub const IF_TSRESOL: u16 = 9;
}

/// Begins a section, with the place for what the answer says of itself.
pub fn section(to: &mut Vec<u8>) {
    block(to, SECTION, |b| {
        b.extend(0x1a2b_3c4du32.to_le_bytes());
        b.extend([1, 0, 0, 0]);
        b.extend(u64::MAX.to_le_bytes());
        b.extend(place(UNFINISHED));
        option(b, code::USERAPPL, concat!("retrotap ", env!("CARGO_PKG_VERSION")).as_bytes());
        end_of_options(b);
    });
}

/// The next interface of the section.
pub fn interface(to: &mut Vec<u8>, i: &Interface) {
    block(to, INTERFACE, |b| {
        b.extend(i.link_type.to_le_bytes());
        b.extend([0, 0]);
        b.extend(SNAPLEN.to_le_bytes());
        option(b, code::IF_NAME, i.name.as_bytes());
        option(b, code::IF_TSRESOL, &[9]);
        end_of_options(b);
    });
}

/// A packet of the interface with this number.
pub fn packet(to: &mut Vec<u8>, interface: u32, p: &Answer<'_>) {
    block(to, PACKET, |b| {
        for v in [interface, (p.time >> 32) as u32, p.time as u32, p.data.len() as u32, p.wire_len] {
            b.extend(v.to_le_bytes());
        }
        b.extend(p.data);
        b.resize(b.len().next_multiple_of(4), 0);
    });
}

/// Statistics of the first interface, as of this time, with a comment.
pub fn statistics(to: &mut Vec<u8>, time: u64, comment: &str) {
    block(to, STATISTICS, |b| {
        for v in [0, (time >> 32) as u32, time as u32] {
            b.extend(v.to_le_bytes());
        }
        option(b, code::COMMENT, comment.as_bytes());
        end_of_options(b);
    });
}

fn block(to: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = to.len();
    to.extend(kind.to_le_bytes());
    to.extend([0; 4]);
    body(to);
    let len = (to.len() - start + 4) as u32;
    to.extend(len.to_le_bytes());
    if let Some(field) = to.get_mut(start + 4..start + 8) {
        field.copy_from_slice(&len.to_le_bytes());
    }
}

/// Appends an option; at most 65,535 bytes of it.
pub fn option(b: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..0xffff).unwrap_or(value);
    b.extend(code.to_le_bytes());
    b.extend((value.len() as u16).to_le_bytes());
    b.extend(value);
    let pad = value.len().next_multiple_of(4) - value.len();
    b.extend(std::iter::repeat_n(0, pad));
}

fn end_of_options(b: &mut Vec<u8>) {
    b.extend([0; 4]);
}
