//! Side files of receipts: `<name>.rix` beside a file that is finished, so that receipts of a connection are found without a look at
//! every frame, and files without an address are skipped whole. Owns their bytes; made by a thread of their own (`sides`), read by
//! look-ups. A side file that is missing, stale or damaged costs time only: the frames are looked through.

use super::codec::FrameHead;
use crate::index::{address_filter, filter_contains, term::Term};
use crate::new_file;
use crate::packet::key::Key;
use crate::store::disk::mmap::Mapped;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"rtreceix";
const HEAD_BYTES: usize = 64;
const FRAME_BYTES: usize = 24;
/// Key's sum (4) and frame (2).
const ENTRY_BYTES: usize = 6;
const PAGE: usize = 4096;

/// The side file of a file of receipts.
pub fn side_of(receipts: &Path) -> PathBuf {
    receipts.with_extension("rix")
}

/// What the side file says of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameAt {
    /// Where it begins.
    pub offset: u64,
    /// Earliest first time, Unix ns.
    pub first: u64,
    /// Latest last time.
    pub last: u64,
}

/// Makes the side file of a finished file of receipts. Fails where the file is too large for it: then it has none.
pub fn make(receipts: &Path) -> io::Result<()> {
    let bytes = Mapped::map(&File::open(receipts)?)?;
    let (mut frames, mut entries, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    let (mut first, mut last) = (u64::MAX, 0);
    super::receipts::each_frame(&bytes, &mut |offset, head, frame| {
        let Some(all) = Some(frame).filter(|f| head.holds(f)).and_then(|f| head.receipts(f)) else { return };
        let number = frames.len() as u16;
        frames.push(FrameAt { offset, first: head.first, last: head.last });
        (first, last) = (head.first.min(first), head.last.max(last));
        for r in &all {
            entries.push((sum_of(&r.key), number));
            let both = r.key.addrs().into_iter().flatten();
            addresses.extend(both.filter_map(|a| Term::addr(a).filter_key()));
        }
    });
    if frames.len() > usize::from(u16::MAX) {
        return Err(io::Error::other("too many frames"));
    }
    entries.sort_unstable();
    entries.dedup();
    let filter = address_filter(addresses).map_err(io::Error::other)?;
    let mut body = Vec::with_capacity(frames.len() * FRAME_BYTES + entries.len() * ENTRY_BYTES + filter.len());
    for f in &frames {
        [f.offset, f.first, f.last].iter().for_each(|v| body.extend(v.to_le_bytes()));
    }
    for (sum, frame) in &entries {
        body.extend(sum.to_le_bytes());
        body.extend(frame.to_le_bytes());
    }
    body.extend(&filter);
    let sums: Vec<u8> = body.chunks(PAGE).flat_map(|p| crc32c::crc32c(p).to_le_bytes()).collect();
    let mut out = MAGIC.to_vec();
    out.extend(1u32.to_le_bytes());
    for n in [frames.len(), entries.len(), filter.len()] {
        out.extend((n as u32).to_le_bytes());
    }
    [bytes.len() as u64, first, last].iter().for_each(|v| out.extend(v.to_le_bytes()));
    out.extend(crc32c::crc32c(&sums).to_le_bytes());
    out.resize(HEAD_BYTES - 4, 0);
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    out.extend(body);
    out.extend(sums);
    let (side, tmp) = (side_of(receipts), receipts.with_extension("rix.new"));
    new_file::write(&tmp, new_file::SHARED, out).and_then(|()| fs::rename(&tmp, side))
}

/// What keys are found by.
fn sum_of(key: &Key) -> u32 {
    super::codec::key_sum(key)
}

/// An open side file.
pub struct Side {
    bytes: Mapped,
    frames: usize,
    entries: usize,
    filter: usize,
    first: u64,
    last: u64,
}

impl Side {
    /// Opens the side file of a file of receipts that is `len` long. `None`: it has none that is its own.
    pub fn open(receipts: &Path, len: u64) -> Option<Side> {
        let bytes = Mapped::scattered(&File::open(side_of(receipts)).ok()?).ok()?;
        let head = bytes.get(..HEAD_BYTES)?;
        let u32_at = |at: usize| head.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b));
        let u64_at = |at: usize| head.get(at..)?.first_chunk().map(|b| u64::from_le_bytes(*b));
        let sound = crc32c::crc32c(head.get(..HEAD_BYTES - 4)?) == u32_at(HEAD_BYTES - 4)?;
        if !sound || head.get(..8)? != MAGIC || u32_at(8)? != 1 || u64_at(24)? != len {
            return None;
        }
        let [frames, entries, filter] = [u32_at(12)? as usize, u32_at(16)? as usize, u32_at(20)? as usize];
        let side = Side { frames, entries, filter, first: u64_at(32)?, last: u64_at(40)?, bytes };
        let sums = side.bytes.get(HEAD_BYTES + side.body()..)?;
        side.bytes.will_need(HEAD_BYTES + side.body()..side.bytes.len());
        let whole = sums.len() == side.body().div_ceil(PAGE) * 4 && u32_at_of(&side.bytes, 48)? == crc32c::crc32c(sums);
        whole.then_some(side)
    }

    fn body(&self) -> usize {
        self.frames * FRAME_BYTES + self.entries * ENTRY_BYTES + self.filter
    }

    /// Bytes of the body, once the pages that they lie in match their sums.
    fn part(&self, from: usize, len: usize) -> Option<&[u8]> {
        let body = self.bytes.get(HEAD_BYTES..HEAD_BYTES + self.body())?;
        let sums = self.bytes.get(HEAD_BYTES + self.body()..)?;
        if len > PAGE {
            self.bytes.will_need(HEAD_BYTES + from..HEAD_BYTES + from + len);
        }
        for page in from / PAGE..(from + len).div_ceil(PAGE) {
            let bytes = body.get(page * PAGE..((page + 1) * PAGE).min(body.len()))?;
            if u32_at_of(sums, page * 4)? != crc32c::crc32c(bytes) {
                return None;
            }
        }
        body.get(from..from + len)
    }

    /// Latest last time of the file.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Whether a receipt of the file can overlap `from..to`.
    pub fn overlaps(&self, from: u64, to: u64) -> bool {
        self.first < to && self.last >= from
    }

    /// False only if no receipt has this address. Damaged: true.
    pub fn may_have(&self, address: Term) -> bool {
        let Some(key) = address.filter_key() else { return true };
        let filter = self.part(self.frames * FRAME_BYTES + self.entries * ENTRY_BYTES, self.filter);
        filter.and_then(|f| filter_contains(f, key)).unwrap_or(true)
    }

    /// Every frame. `None`: damaged.
    pub fn frames(&self) -> Option<Vec<FrameAt>> {
        let all = self.part(0, self.frames * FRAME_BYTES)?;
        let word = |b: &[u8], at: usize| b.get(at..)?.first_chunk().map(|b| u64::from_le_bytes(*b));
        all.chunks_exact(FRAME_BYTES)
            .map(|f| Some(FrameAt { offset: word(f, 0)?, first: word(f, 8)?, last: word(f, 16)? }))
            .collect()
    }

    /// Where the entries of this sum are, to within a page or so: sums are spread evenly.
    fn guess(&self, sum: u32) -> usize {
        ((u64::from(sum) * self.entries as u64) >> 32) as usize
    }

    /// These keys are going to be looked for: their pages are read together, not one after another.
    pub fn expect<'a>(&self, keys: impl Iterator<Item = &'a Key>) {
        let start = HEAD_BYTES + self.frames * FRAME_BYTES;
        for key in keys {
            let at = start + self.guess(sum_of(key)) * ENTRY_BYTES;
            let end = start + self.entries * ENTRY_BYTES;
            self.bytes.will_need(at.saturating_sub(PAGE)..(at + PAGE).min(end));
        }
    }

    /// Adds the numbers of the frames that may have receipts of a key. `None`: damaged.
    pub fn find(&self, key: &Key, found: &mut HashSet<u16>) -> Option<()> {
        let (wanted, start) = (sum_of(key), self.frames * FRAME_BYTES);
        let at = |i: usize| -> Option<(u32, u16)> {
            let (sum, frame) = self.part(start + i * ENTRY_BYTES, ENTRY_BYTES)?.split_first_chunk()?;
            Some((u32::from_le_bytes(*sum), u16::from_le_bytes(*frame.first_chunk()?)))
        };
        // From the guess in growing steps to both sides of it, then between.
        let (mut low, mut high, mut step) = (self.guess(wanted), self.guess(wanted), PAGE / ENTRY_BYTES / 2);
        while low > 0 && at(low)?.0 >= wanted {
            (low, step) = (low.saturating_sub(step), step * 2);
        }
        while high < self.entries && at(high)?.0 < wanted {
            (high, step) = ((high + step).min(self.entries), step * 2);
        }
        while low < high {
            let mid = low + (high - low) / 2;
            if at(mid)?.0 < wanted { low = mid + 1 } else { high = mid }
        }
        while low < self.entries {
            let (sum, frame) = at(low)?;
            if sum != wanted {
                break;
            }
            found.insert(frame);
            low += 1;
        }
        Some(())
    }

    /// The frame that a side file names, in the bytes of its file.
    pub fn frame<'a>(&self, bytes: &'a [u8], at: &FrameAt) -> Option<(FrameHead, &'a [u8])> {
        let rest = bytes.get(usize::try_from(at.offset).ok()?..)?;
        let head = FrameHead::decode(rest)?;
        Some((head, rest.get(..head.len)?))
    }
}

fn u32_at_of(b: &[u8], at: usize) -> Option<u32> {
    b.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}
