//! pcapng (draft-ietf-opsawg-pcapng) as an answer has it: little-endian, nanoseconds. Owns the encoding of each block; appends to a buffer
//! and does no I/O.

use super::place::{UNFINISHED, place};
use crate::limits::SNAPLEN;
use crate::query::Answer;
use crate::source::Interface;
use crate::source::described::{Description, NamesAndSecrets};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Type of the block that begins a section.
pub const SECTION: u32 = 0x0a0d_0d0a;
/// Type of an interface's statistics.
pub const STATISTICS: u32 = 5;
/// Type of an interface's description.
pub const INTERFACE: u32 = 1;
/// Type of a packet.
pub const PACKET: u32 = 6;

/// Option codes.
pub mod code {
    pub const COMMENT: u16 = 1;
    pub const IF_NAME: u16 = 2;
    /// In a section's header.
    pub const HARDWARE: u16 = 2;
    /// In a section's header.
    pub const OS: u16 = 3;
    pub const USERAPPL: u16 = 4;
    pub const IF_TSRESOL: u16 = 9;
    pub const IF_OS: u16 = 12;
    pub const IF_HARDWARE: u16 = 15;
    /// Custom: of text and of bytes, and of those that must not be copied. A section's mean what an interface's do.
    pub const CUSTOM: [u16; 4] = [2988, 2989, 19372, 19373];
}

/// Begins a section; `placed`: with the place for what the answer says of itself.
pub fn section(to: &mut Vec<u8>, placed: bool) {
    block(to, SECTION, |b| {
        b.extend(0x1a2b_3c4du32.to_le_bytes());
        b.extend([1, 0, 0, 0]);
        b.extend(u64::MAX.to_le_bytes());
        if placed {
            b.extend(place(UNFINISHED));
        }
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
        if let Some(d) = &i.description {
            b.extend(&d.options);
            of_section(b, d);
        }
        option(b, code::IF_TSRESOL, &[9]);
        end_of_options(b);
    });
}

/// What the section of the input said, with the interface: the answer's own section is of many inputs.
fn of_section(b: &mut Vec<u8>, d: &Description) {
    for (code, value) in d.of_section() {
        match code {
            code::COMMENT => option(b, code::COMMENT, value),
            code::HARDWARE if !d.has(code::IF_HARDWARE) => option(b, code::IF_HARDWARE, value),
            code::OS if !d.has(code::IF_OS) => option(b, code::IF_OS, value),
            code::HARDWARE | code::OS => {}
            code::USERAPPL => option(b, code::COMMENT, &[b"captured by ", value].concat()),
            code if code::CUSTOM.contains(&code) => option(b, code, value),
            // What else there may be is not defined for an interface.
            _ => {}
        }
    }
}

/// Which names and secrets are in the file: a block that several segments have is there once.
#[derive(Debug, Default)]
pub struct Beside {
    /// Sums: of all that a segment has, and of each block.
    segments: HashSet<[u8; 32]>,
    blocks: HashSet<[u8; 32]>,
    latest: Option<[u8; 32]>,
}

impl Beside {
    /// Writes those blocks that are not there yet: what follows is read with them.
    pub fn write(&mut self, to: &mut Vec<u8>, beside: &NamesAndSecrets) {
        // Mostly the next packet is of the same segment as the last.
        if self.latest.replace(beside.sum()) == Some(beside.sum()) || !self.segments.insert(beside.sum()) {
            return;
        }
        for block in beside.each() {
            if self.blocks.insert(Sha256::digest(block).into()) {
                to.extend(block);
            }
        }
    }
}

/// A packet of the interface with this number.
pub fn packet(to: &mut Vec<u8>, interface: u32, p: &Answer<'_>) {
    block(to, PACKET, |b| {
        for v in [interface, (p.time >> 32) as u32, p.time as u32, p.data.len() as u32, p.wire_len] {
            b.extend(v.to_le_bytes());
        }
        b.extend(p.data);
        b.resize(b.len().next_multiple_of(4), 0);
        if !p.options.is_empty() {
            b.extend(p.options);
            end_of_options(b);
        }
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
