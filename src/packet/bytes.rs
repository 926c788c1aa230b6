//! Reading of headers: the one way in which the parsers touch a packet. Owns the rule that nothing past
//! [`PARSE_BYTES`] is looked at; never panics.

use crate::limits::PARSE_BYTES;

/// The part of a packet that parsers look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    #[inline]
    pub(super) fn new(data: &'a [u8]) -> Bytes<'a> {
        Bytes(data.get(..PARSE_BYTES).unwrap_or(data))
    }

    /// `N` bytes at `off`, if all of them are there.
    #[inline]
    pub(super) fn at<const N: usize>(self, off: usize) -> Option<[u8; N]> {
        self.0.get(off..).and_then(|rest| rest.first_chunk::<N>()).copied()
    }

    /// One byte.
    #[inline]
    pub(super) fn u8(self, off: usize) -> Option<u8> {
        self.0.get(off).copied()
    }

    /// A big-endian 16-bit number.
    #[inline]
    pub(super) fn u16(self, off: usize) -> Option<u16> {
        self.at(off).map(u16::from_be_bytes)
    }

    /// A big-endian 32-bit number.
    #[inline]
    pub(super) fn u32(self, off: usize) -> Option<u32> {
        self.at(off).map(u32::from_be_bytes)
    }
}
