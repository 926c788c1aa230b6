//! Frames of the API's stream of packets and their origin, as a client takes them apart: any bytes, in any pieces. Pieces make no difference; what is made
//! of packets and an origin comes apart into these.

use retrotap::control::frames::{FrameKind, OnlyPackets, Unframing, frame};
use std::io::Write;

/// Longest origin that is kept.
const MOST: usize = 1000;

/// Input: the length of pieces, the bytes.
pub fn run(data: &[u8]) {
    let (piece, bytes) = crate::options(data);
    let whole = apart(bytes, bytes.len().max(1));
    assert_eq!(apart(bytes, usize::from(piece).max(1)), whole, "pieces make no difference");
    let (packets, origin) = bytes.split_at(bytes.len() / 2);
    let kind = FrameKind::Packets;
    let made = [frame(kind, packets), frame(FrameKind::Origin, &origin[..origin.len().min(MOST)]), frame(kind, origin)]
        .concat();
    let (got, said) = apart(&made, usize::from(piece).max(1)).expect("what was made");
    assert_eq!((got, said), ([packets, origin].concat(), Some(origin[..origin.len().min(MOST)].to_vec())));
}

/// Packets, and the origin if all of it was there; `None`: they are no frames.
fn apart(bytes: &[u8], piece: usize) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let mut packets = Vec::new();
    let mut only = OnlyPackets(&mut packets);
    let mut unframing = Unframing::new(&mut only, MOST);
    for piece in bytes.chunks(piece) {
        unframing.write_all(piece).ok()?;
    }
    let origin = unframing.origin();
    assert!(origin.as_ref().is_none_or(|o| o.len() <= MOST));
    Some((packets, origin))
}

/// A stream.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let stream =
        [frame(FrameKind::Packets, b"packets"), frame(FrameKind::Origin, b"{}"), frame(FrameKind::Packets, b"")]
            .concat();
    add([&[3], &stream[..]].concat());
    add([&[1], &stream[..stream.len() - 3]].concat());
}
