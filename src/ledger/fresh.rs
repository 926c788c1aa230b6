//! The latest receipts in memory, found by key: those that queries of recent packets want. Read from the files as they grow, in two
//! generations, of which the older goes as a whole. Owns the line behind which the files must be asked.

use super::codec::{self, FrameHead};
use super::lookup::Side;
use super::receipts::each_frame;
use super::{LedgerError, at, files_of};
use crate::conn::receipt::Receipt;
use crate::limits::RECEIPTS_HELD_BYTES;
use crate::packet::key::Key;
use crate::store::disk::mmap::Mapped;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Sorted lists are merged when they are alike: there are few.
const ALIKE: usize = 2;

/// A part of the receipts' bytes and what finds one in it.
#[derive(Default)]
struct Generation {
    bytes: Vec<u8>,
    /// Of each frame where it begins, its base time, and whether VLAN ids are in its keys.
    frames: Vec<(usize, u64, bool)>,
    /// Sum of the key and place of the receipt: sorted lists, each shorter than the one before.
    found: Vec<Vec<(u32, u32)>>,
    /// Latest last time.
    last: u64,
}

impl Generation {
    fn add(&mut self, head: &FrameHead, frame: &[u8]) {
        let start = self.bytes.len();
        let mut list = Vec::with_capacity(head.count);
        if !head.each(frame, |at, r| list.push((codec::key_sum(&r.key), (start + at) as u32))) {
            return;
        }
        self.bytes.extend_from_slice(frame);
        self.frames.push((start, head.first, head.vlan_in_key));
        self.last = self.last.max(head.last);
        list.sort_unstable();
        while let Some(before) = self.found.pop_if(|before| before.len() < ALIKE * list.len()) {
            list = merged(&before, &list);
        }
        self.found.push(list);
    }

    fn find(&self, key: &Key, each: &mut impl FnMut(&Receipt, bool)) {
        let wanted = codec::key_sum(key);
        for list in &self.found {
            let from = list.partition_point(|(sum, _)| *sum < wanted);
            let same = list.iter().skip(from).take_while(|(sum, _)| *sum == wanted);
            for &(_, at) in same {
                let frame = self.frames.partition_point(|(start, ..)| *start <= at as usize);
                let Some(&(_, base, tagged)) = self.frames.get(frame.wrapping_sub(1)) else { continue };
                let mut bytes = self.bytes.get(at as usize..).unwrap_or_default();
                if let Some(r) = codec::decode(&mut bytes, base).filter(|r| r.key == *key) {
                    each(&r, tagged);
                }
            }
        }
    }
}

/// Two sorted lists as one.
fn merged(a: &[(u32, u32)], b: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut all = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        all.extend(if x <= y { a.next() } else { b.next() });
    }
    all.extend(a.chain(b));
    all
}

/// The latest receipts of a store.
#[derive(Default)]
pub struct Fresh {
    old: Generation,
    young: Generation,
    /// Latest last time of what is not held; `None`: nothing was read yet.
    before: Option<u64>,
    /// The file that is read, and how far.
    file: Option<(PathBuf, u64)>,
}

impl Fresh {
    /// Reads what has come.
    pub fn read_on(&mut self, dir: &Path) -> Result<(), LedgerError> {
        let files = files_of(dir, "receipts")?;
        let first = match (&self.file, files.last()) {
            (Some((path, _)), _) => files.partition_point(|f| f < path),
            // All but the last are left to the files.
            (None, Some(_)) => files.len() - 1,
            (None, None) => 0,
        };
        if self.before.is_none() {
            self.before = Some(files.iter().take(first).map(|f| last_of(f)).max().unwrap_or(0));
        }
        for path in files.iter().skip(first) {
            let from = self.file.as_ref().filter(|(known, _)| known == path).map_or(0, |(_, to)| *to);
            let mut bytes = Vec::new();
            match File::open(path) {
                // The budget may have taken it since the listing.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                other => {
                    let mut file = other.map_err(at(path))?;
                    file.seek(SeekFrom::Start(from)).map_err(at(path))?;
                    file.read_to_end(&mut bytes).map_err(at(path))?;
                }
            }
            let mut whole = 0;
            each_frame(&bytes, &mut |at, head, frame| {
                whole = at + frame.len() as u64;
                if head.holds(frame) {
                    self.add(&head, frame);
                }
            });
            self.file = Some((path.clone(), from + whole));
        }
        Ok(())
    }

    fn add(&mut self, head: &FrameHead, frame: &[u8]) {
        if self.young.bytes.len() + frame.len() > RECEIPTS_HELD_BYTES / 2 {
            self.before = self.before.max(Some(self.old.last));
            self.old = std::mem::take(&mut self.young);
        }
        self.young.add(head, frame);
    }

    /// Whether all receipts that can overlap a time from `from` on are here.
    pub fn has_all_from(&self, from: u64) -> bool {
        self.before.is_some_and(|before| before < from)
    }

    /// Gives `each` the receipts of a key, with whether VLAN ids are in it.
    pub fn find(&self, key: &Key, mut each: impl FnMut(&Receipt, bool)) {
        self.old.find(key, &mut each);
        self.young.find(key, &mut each);
    }
}

/// Latest last time of a file of receipts.
fn last_of(path: &Path) -> u64 {
    let read = || -> Option<u64> {
        let file = File::open(path).ok()?;
        let len = file.metadata().ok()?.len();
        if let Some(side) = Side::open(path, len) {
            return Some(side.last());
        }
        let (bytes, mut last) = (Mapped::map(&file).ok()?, 0);
        each_frame(&bytes, &mut |_, head, _| last = last.max(head.last));
        Some(last)
    };
    read().unwrap_or(0)
}
