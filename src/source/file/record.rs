//! What both capture formats share: reading integers of either byte order, and what a reader says of the bytes at the
//! front of the window. Called by the format readers; never reads past the slice it is given.

use crate::limits::IFACES_FILE_MAX;
use crate::source::{Interface, Packet};
use std::collections::HashMap;

/// What is at the front of the window. `len` is the length of the whole record and may exceed the window.
#[derive(Debug)]
pub enum Record<'a> {
    /// A packet, and what of it is not as it stood.
    Packet { len: u64, packet: Packet<'a>, odd: Odd },
    /// Something else, well formed.
    Other { len: u64 },
    /// A record that could not be read; the next one can be found.
    Lost { len: u64, why: String },
    /// Nothing can be read from here on.
    Broken { why: String },
    /// At least this many bytes are needed to tell.
    Need(usize),
}

/// What of one packet could not be kept as it stood: a bit for each of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Odd(u8);

impl Odd {
    /// Its time is before 1970.
    pub const BEFORE_1970: u8 = 1;
    /// Its time is after 2554.
    pub const AFTER_2554: u8 = 2;
    /// More bytes are captured than it is said to have.
    pub const LONGER_THAN_WIRE: u8 = 4;
    /// More bytes are captured than the snap length allows.
    pub const BEYOND_SNAPLEN: u8 = 8;
    /// Its block gives no time.
    pub const WITHOUT_TIME: u8 = 16;
    /// Options that take too much room.
    pub const OPTIONS_LARGE: u8 = 32;
    /// Options that break off.
    pub const OPTIONS_BROKEN: u8 = 64;

    /// Sets a bit if this is so.
    #[inline]
    pub fn set_if(&mut self, so: bool, bit: u8) {
        self.0 |= if so { bit } else { 0 };
    }

    /// Nothing is odd.
    #[inline]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether a bit is set.
    pub fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// Integers in the byte order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Little,
    Big,
}

impl Order {
    /// Whether the larger part comes first.
    #[inline]
    pub fn is_big(self) -> bool {
        self == Order::Big
    }

    /// Two bytes at `at`; 0 where there are none (callers check lengths first).
    pub fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let b = bytes.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
        match self {
            Order::Little => u16::from_le_bytes(b),
            Order::Big => u16::from_be_bytes(b),
        }
    }

    /// Four bytes at `at`; 0 where there are none.
    #[inline]
    pub fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let b = bytes.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
        match self {
            Order::Little => u32::from_le_bytes(b),
            Order::Big => u32::from_be_bytes(b),
        }
    }

    /// Eight bytes at `at`; 0 where there are none.
    pub fn u64(self, bytes: &[u8], at: usize) -> u64 {
        let b = bytes.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
        match self {
            Order::Little => u64::from_le_bytes(b),
            Order::Big => u64::from_be_bytes(b),
        }
    }
}

/// All interfaces of all files, each once that is the same in every word: a file of a thousand sections that all describe `eth0`
/// has one.
#[derive(Debug, Default)]
pub struct Interfaces {
    list: Vec<Interface>,
    /// By name and link type.
    index: HashMap<(String, u16), Vec<u16>>,
    /// Interfaces for which another stands in.
    pub stood_in: u64,
}

impl Interfaces {
    /// In the order of their first appearance.
    pub fn list(&self) -> &[Interface] {
        &self.list
    }

    /// The index of an interface. When there are [`IFACES_FILE_MAX`], one of the same link type stands in for the rest, and is
    /// counted; `None` if there is none.
    pub fn intern(&mut self, new: &Interface) -> Option<u16> {
        let alike = self.index.entry((new.name.clone(), new.link_type)).or_default();
        let same = |i: &&u16| self.list.get(usize::from(**i)).is_some_and(|known| known == new);
        if let Some(&i) = alike.iter().find(same) {
            return Some(i);
        }
        if self.list.len() >= IFACES_FILE_MAX {
            self.stood_in += 1;
            return self.list.iter().position(|i| i.link_type == new.link_type).and_then(|i| u16::try_from(i).ok());
        }
        let i = u16::try_from(self.list.len()).ok()?;
        alike.push(i);
        self.list.push(new.clone());
        Some(i)
    }
}
