//! What both capture formats share: reading integers of either byte order, and what a reader says of the bytes at the
//! front of the window. Called by the format readers; never reads past the slice it is given.

use crate::limits::IFACES_FILE_MAX;
use crate::source::{Interface, Packet};
use std::collections::HashMap;

/// What is at the front of the window. `len` is the length of the whole record and may exceed the window.
#[derive(Debug)]
pub enum Record<'a> {
    /// A packet.
    Packet { len: u64, packet: Packet<'a> },
    /// Something else, well formed.
    Other { len: u64 },
    /// A record that could not be read; the next one can be found.
    Lost { len: u64, why: String },
    /// Nothing can be read from here on.
    Broken { why: String },
    /// At least this many bytes are needed to tell.
    Need(usize),
}

/// Integers in the byte order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Little,
    Big,
}

impl Order {
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

/// All interfaces of all files, each name and link type once: a file of a thousand sections that all describe `eth0`
/// has one.
#[derive(Debug, Default)]
pub struct Interfaces {
    list: Vec<Interface>,
    index: HashMap<(String, u16), u16>,
}

impl Interfaces {
    /// In the order of their first appearance.
    pub fn list(&self) -> &[Interface] {
        &self.list
    }

    /// The index of an interface. When there are [`IFACES_FILE_MAX`], one of the same link type stands in for the rest;
    /// `None` if there is none.
    pub fn intern(&mut self, name: &str, link_type: u16) -> Option<u16> {
        if let Some(&i) = self.index.get(&(name.to_owned(), link_type)) {
            return Some(i);
        }
        if self.list.len() >= IFACES_FILE_MAX {
            return self.list.iter().position(|i| i.link_type == link_type).and_then(|i| u16::try_from(i).ok());
        }
        let i = u16::try_from(self.list.len()).ok()?;
        self.list.push(Interface { name: name.to_owned(), link_type });
        self.index.insert((name.to_owned(), link_type), i);
        Some(i)
    }
}
