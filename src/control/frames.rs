//! Frames: an answer whose body has two things in it, packets and where they come from. Each frame is a byte that says which, its length (32 bits, big-endian),
//! and its bytes. Owns both ends; used where a question asks for a manifest.

use axum::body::Bytes;
use std::io::{self, Write};

/// Media type of such a body.
pub const FRAMES: &str = "application/vnd.retrotap.frames";

/// What a frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Bytes of the file of packets.
    Packets,
    /// Where they come from: JSON, whole.
    Origin,
}

const HEAD: usize = 5;

impl FrameKind {
    fn byte(self) -> u8 {
        match self {
            FrameKind::Packets => b'P',
            FrameKind::Origin => b'O',
        }
    }

    fn of(byte: u8) -> Option<FrameKind> {
        [FrameKind::Packets, FrameKind::Origin].into_iter().find(|k| k.byte() == byte)
    }
}

/// A frame with these bytes, which are fewer than 4 GiB.
pub fn frame(kind: FrameKind, bytes: &[u8]) -> Bytes {
    let mut all = Vec::with_capacity(HEAD + bytes.len());
    all.push(kind.byte());
    all.extend((bytes.len() as u32).to_be_bytes());
    all.extend_from_slice(bytes);
    all.into()
}

/// Takes frames apart as they come: packets go on, the rest is kept.
pub struct Unframing<'a> {
    packets: &'a mut dyn Write,
    origin: Vec<u8>,
    head: Vec<u8>,
    /// Of the frame that is being read: its kind, and what is still to come.
    now: Option<(FrameKind, usize)>,
    /// Longest origin that is kept.
    most: usize,
}

impl<'a> Unframing<'a> {
    /// Packets go here; of the origin at most so many bytes are kept, more is an error.
    pub fn new(packets: &'a mut dyn Write, most: usize) -> Unframing<'a> {
        Unframing { packets, origin: Vec::new(), head: Vec::new(), now: None, most }
    }

    /// Where the packets come from, as it was sent. `None`: the frames ended in the midst of one.
    pub fn origin(self) -> Option<Vec<u8>> {
        (self.now.is_none() && self.head.is_empty()).then_some(self.origin)
    }

    fn begin(&mut self, byte: u8) -> io::Result<()> {
        self.head.push(byte);
        let &[kind, a, b, c, d] = self.head.as_slice() else { return Ok(()) };
        let kind = FrameKind::of(kind).ok_or_else(|| io::Error::other("the answer has a frame that is none"))?;
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if kind == FrameKind::Origin && self.origin.len().saturating_add(len) > self.most {
            return Err(io::Error::other("what the answer says of its origin is too long"));
        }
        self.head.clear();
        self.now = (len > 0).then_some((kind, len));
        Ok(())
    }
}

impl Write for Unframing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            let Some((kind, left)) = self.now else {
                self.begin(first)?;
                rest = rest.get(1..).unwrap_or_default();
                continue;
            };
            let (now, later) = rest.split_at(left.min(rest.len()));
            match kind {
                FrameKind::Packets => self.packets.write_all(now)?,
                FrameKind::Origin => self.origin.extend_from_slice(now),
            }
            self.now = Some((kind, left - now.len())).filter(|(_, left)| *left > 0);
            rest = later;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.packets.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_apart_wherever_they_are_cut() {
        let parts = [
            (FrameKind::Packets, &b"abc"[..]),
            (FrameKind::Origin, b"{}"),
            (FrameKind::Packets, b""),
            (FrameKind::Packets, b"defg"),
        ];
        let all: Vec<u8> = parts.iter().flat_map(|(kind, bytes)| frame(*kind, bytes)).collect();
        for at in 0..=all.len() {
            let mut packets = Vec::new();
            let mut unframing = Unframing::new(&mut packets, 10);
            for piece in [&all[..at], &all[at..]] {
                unframing.write_all(piece).unwrap();
            }
            assert_eq!(unframing.origin().unwrap(), b"{}");
            assert_eq!(packets, b"abcdefg");
        }
        let mut nowhere = io::sink();
        let mut cut = Unframing::new(&mut nowhere, 10);
        cut.write_all(&all[..all.len() - 1]).unwrap();
        assert_eq!(cut.origin(), None);
        let mut wrong = Unframing::new(&mut nowhere, 1);
        assert!(wrong.write_all(b"X\0\0\0\0").is_err());
        let mut long = Unframing::new(&mut nowhere, 1);
        assert!(long.write_all(&frame(FrameKind::Origin, b"{}")).is_err());
    }
}
