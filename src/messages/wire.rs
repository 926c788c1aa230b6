//! Numbers and fields of a message: little-endian, one after the other, without gaps. Owns what is wrong with a message. A field that is not
//! used is zero, and is looked at: a message has one form.

/// Bytes that are no message of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no message: {0}")]
pub struct Malformed(pub &'static str);

/// The rest of a message.
pub(super) struct Reading<'a>(&'a [u8]);

impl<'a> Reading<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reading<'a> {
        Reading(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed("it is too short"))?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a flag is neither 0 nor 1")),
        }
    }

    pub(super) fn zero<const N: usize>(&mut self) -> Result<(), Malformed> {
        match self.array::<N>()? == [0; N] {
            true => Ok(()),
            false => Err(Malformed("an unused field is not 0")),
        }
    }

    /// A text of at most `N` bytes, behind its length; zeros fill it up.
    pub(super) fn text<const N: usize>(&mut self) -> Result<String, Malformed> {
        let (len, bytes) = (usize::from(self.u8()?), self.array::<N>()?);
        let (text, rest) = bytes.split_at_checked(len).ok_or(Malformed("a text is too long"))?;
        let text = std::str::from_utf8(text).map_err(|_| Malformed("a text is no UTF-8"))?;
        match rest.iter().any(|b| *b != 0) || text.chars().any(char::is_control) {
            true => Err(Malformed("a text has bytes that it may not have")),
            false => Ok(text.to_owned()),
        }
    }

    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("it is too long")) }
    }
}

/// A message that is being made.
#[derive(Default)]
pub(super) struct Writing(Vec<u8>);

impl Writing {
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Writing {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn u8(&mut self, n: u8) -> &mut Writing {
        self.bytes(&[n])
    }

    pub(super) fn u16(&mut self, n: u16) -> &mut Writing {
        self.bytes(&n.to_le_bytes())
    }

    pub(super) fn u32(&mut self, n: u32) -> &mut Writing {
        self.bytes(&n.to_le_bytes())
    }

    pub(super) fn u64(&mut self, n: u64) -> &mut Writing {
        self.bytes(&n.to_le_bytes())
    }

    pub(super) fn zero(&mut self, n: usize) -> &mut Writing {
        self.0.resize(self.0.len() + n, 0);
        self
    }

    /// As [`Reading::text`] reads it; what is longer is cut.
    pub(super) fn text<const N: usize>(&mut self, text: &str) -> &mut Writing {
        let len = (0..=N.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let bytes = text.as_bytes().get(..len).unwrap_or_default();
        self.u8(len as u8).bytes(bytes).zero(N - len)
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}
