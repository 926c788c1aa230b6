//! What a pcapng input says beside its packets: of an interface and of its section, and the blocks that tell names of addresses and secrets
//! to decrypt with. Made by the file source, kept in the headers of segments, given back in answers. Bounded where it is made.

use super::options::each;
use sha2::{Digest, Sha256};
use std::fmt;

/// Of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Options of its Interface Description Block, little-endian, without name and times' resolution and offset: times are Unix ns here.
    pub options: Vec<u8>,
    /// Options of its Section Header Block, little-endian.
    pub section: Vec<u8>,
}

impl Description {
    /// Comments, operating system, hardware and the program that wrote the section: `(code, value)` as in a Section Header Block.
    pub fn of_section(&self) -> impl Iterator<Item = (u16, &[u8])> {
        each(&self.section)
    }

    /// Whether an option is in the interface's own list.
    pub fn has(&self, code: u16) -> bool {
        each(&self.options).any(|(c, _)| c == code)
    }
}

/// Name Resolution and Decryption Secrets Blocks of a section, whole, little-endian, one after another.
#[derive(Clone, PartialEq, Eq)]
pub struct NamesAndSecrets {
    bytes: Vec<u8>,
    sum: [u8; 32],
}

impl NamesAndSecrets {
    /// Of these blocks.
    pub fn new(bytes: Vec<u8>) -> NamesAndSecrets {
        let sum = Sha256::digest(&bytes).into();
        NamesAndSecrets { bytes, sum }
    }

    /// The blocks.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Each of them, up to the first that is none.
    pub fn each(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let len = u32::from_le_bytes(*rest.get(4..)?.first_chunk()?) as usize;
            let (block, more) = rest.split_at_checked(len).filter(|(block, _)| block.len() >= 12)?;
            rest = more;
            Some(block)
        })
    }

    /// Names them: the same blocks have the same.
    pub fn sum(&self) -> [u8; 32] {
        self.sum
    }
}

/// Secrets belong in no log.
impl fmt::Debug for NamesAndSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamesAndSecrets({} bytes)", self.bytes.len())
    }
}
