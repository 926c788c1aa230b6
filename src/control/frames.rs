//! Frames: an answer whose body has several things in it: packets, where they come from, where a follower stands. Each frame is a byte that says which, its
//! length (32 bits, big-endian), and its bytes. Owns both ends; used where a question asks for a manifest or for cursors.

use crate::limits::CURSOR_TEXT_MAX;
use crate::query::SoFar;
use axum::body::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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
    /// Where a follower stands behind the packets that came: JSON, whole.
    Cursor,
}

/// Where a follower stands behind all packets that came before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FollowerStands {
    /// To be given as `after` by whoever goes on from here; null: nobody can, since it stands in too many segments.
    pub cursor: Option<String>,
    /// What it has given until here.
    pub so_far: SoFar,
}

const HEAD: usize = 5;

impl FrameKind {
    fn byte(self) -> u8 {
        match self {
            FrameKind::Packets => b'P',
            FrameKind::Origin => b'O',
            FrameKind::Cursor => b'C',
        }
    }

    fn of(byte: u8) -> Option<FrameKind> {
        [FrameKind::Packets, FrameKind::Origin, FrameKind::Cursor].into_iter().find(|k| k.byte() == byte)
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

/// Who takes what is in the frames.
pub trait TakesFrames {
    /// Bytes of the file of packets.
    fn packets(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Where the follower stands behind them.
    fn stands(&mut self, at: FollowerStands) -> io::Result<()>;
    /// What came so far is to be seen now, where that can be.
    fn flush(&mut self) -> io::Result<()>;
}

/// Packets go here, and nothing else comes.
pub struct OnlyPackets<'a>(pub &'a mut dyn Write);

impl TakesFrames for OnlyPackets<'_> {
    fn packets(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn stands(&mut self, _: FollowerStands) -> io::Result<()> {
        Err(no_frame())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Takes frames apart as they come: packets go on, the rest is kept until it is whole.
pub struct Unframing<'a> {
    to: &'a mut dyn TakesFrames,
    origin: Vec<u8>,
    cursor: Vec<u8>,
    head: Vec<u8>,
    /// Of the frame that is being read: its kind, and what is still to come.
    now: Option<(FrameKind, usize)>,
    /// Longest origin that is kept.
    most: usize,
}

/// Longest JSON of where a follower stands.
const CURSOR_FRAME_MAX: usize = CURSOR_TEXT_MAX + 4096;

fn no_frame() -> io::Error {
    io::Error::other("the answer has a frame that is none")
}

impl<'a> Unframing<'a> {
    /// What comes goes here; of the origin at most so many bytes are kept, more is an error.
    pub fn new(to: &'a mut dyn TakesFrames, most: usize) -> Unframing<'a> {
        Unframing { to, origin: Vec::new(), cursor: Vec::new(), head: Vec::new(), now: None, most }
    }

    /// Where the packets come from, as it was sent; empty: that was not said. `None`: the frames ended in the midst of one.
    pub fn origin(self) -> Option<Vec<u8>> {
        (self.now.is_none() && self.head.is_empty()).then_some(self.origin)
    }

    fn begin(&mut self, byte: u8) -> io::Result<()> {
        self.head.push(byte);
        let &[kind, a, b, c, d] = self.head.as_slice() else { return Ok(()) };
        let kind = FrameKind::of(kind).ok_or_else(no_frame)?;
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if kind == FrameKind::Origin && self.origin.len().saturating_add(len) > self.most {
            return Err(io::Error::other("what the answer says of its origin is too long"));
        }
        if kind == FrameKind::Cursor && !(1..=CURSOR_FRAME_MAX).contains(&len) {
            return Err(no_frame());
        }
        self.head.clear();
        self.now = (len > 0).then_some((kind, len));
        Ok(())
    }

    fn take(&mut self, kind: FrameKind, bytes: &[u8], last: bool) -> io::Result<()> {
        match kind {
            FrameKind::Packets => self.to.packets(bytes),
            FrameKind::Origin => {
                self.origin.extend_from_slice(bytes);
                Ok(())
            }
            FrameKind::Cursor => {
                self.cursor.extend_from_slice(bytes);
                if !last {
                    return Ok(());
                }
                let stands = serde_json::from_slice(&self.cursor).map_err(|_| no_frame())?;
                self.cursor.clear();
                self.to.stands(stands)
            }
        }
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
            let left = left - now.len();
            self.now = Some((kind, left)).filter(|_| left > 0);
            self.take(kind, now, left == 0)?;
            rest = later;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came, in order.
    #[derive(Default)]
    struct Came(Vec<u8>, Vec<(usize, Option<String>)>);

    impl TakesFrames for Came {
        fn packets(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn stands(&mut self, at: FollowerStands) -> io::Result<()> {
            self.1.push((self.0.len(), at.cursor));
            Ok(())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn frames_come_apart_wherever_they_are_cut() {
        let parts = [
            (FrameKind::Cursor, &b"{}"[..]),
            (FrameKind::Packets, b"abc"),
            (FrameKind::Cursor, br#"{"cursor": "7"}"#),
            (FrameKind::Origin, b"{}"),
            (FrameKind::Packets, b""),
            (FrameKind::Packets, b"defg"),
        ];
        let all: Vec<u8> = parts.iter().flat_map(|(kind, bytes)| frame(*kind, bytes)).collect();
        for at in 0..=all.len() {
            let mut came = Came::default();
            let mut unframing = Unframing::new(&mut came, 10);
            for piece in [&all[..at], &all[at..]] {
                unframing.write_all(piece).unwrap();
            }
            assert_eq!(unframing.origin().unwrap(), b"{}");
            assert_eq!((came.0, came.1), (b"abcdefg".to_vec(), vec![(0, None), (3, Some("7".to_owned()))]));
        }
        let mut nowhere = Came::default();
        let mut cut = Unframing::new(&mut nowhere, 10);
        cut.write_all(&all[..all.len() - 1]).unwrap();
        assert_eq!(cut.origin(), None);
        let long = [b"C", &(CURSOR_FRAME_MAX as u32 + 1).to_be_bytes()[..]].concat();
        let cursors = [&b"C\0\0\0\0"[..], b"C\0\0\0\x01x", &long];
        for wrong in cursors.into_iter().chain([&b"X\0\0\0\0"[..], &frame(FrameKind::Origin, b"{}")]) {
            assert!(Unframing::new(&mut nowhere, 1).write_all(wrong).is_err(), "{wrong:?}");
        }
        let mut out = Vec::new();
        let mut only = OnlyPackets(&mut out);
        assert!(Unframing::new(&mut only, 1).write_all(&all).is_err(), "nobody asked for a cursor");
    }
}
