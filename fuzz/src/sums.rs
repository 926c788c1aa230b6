//! Puts checksums right, so that what a reader does with a file whose sums hold is tried as well: a mutation breaks them, and who means harm
//! writes them anew. Knows where each format has its sums, by its FORMAT.md; believes no length.

use retrotap::index::file::PAGE_BYTES;

const SECTOR: usize = 4096;
const STRIPE: usize = 64 << 10;

fn word(b: &[u8], at: usize) -> Option<usize> {
    b.get(at..)?.first_chunk().map(|w| u32::from_le_bytes(*w) as usize)
}

fn long(b: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*b.get(at..)?.first_chunk()?)).ok()
}

fn put(b: &mut [u8], at: usize, sum: u32) {
    if let Some(place) = b.get_mut(at..at.saturating_add(4)) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

/// Of a segment: its header, and each block that begins at a multiple of 4096.
pub fn segment(b: &mut [u8]) {
    const CRC: usize = 36;
    if let Some(len) = word(b, 40).filter(|len| *len <= b.len() && *len > CRC + 4) {
        put(b, CRC, 0);
        let sum = crc32c::crc32c(&b[..len]);
        put(b, CRC, sum);
    }
    for at in (0..b.len()).step_by(SECTOR) {
        if word(b, at) == Some(0x8052_5401) {
            block(&mut b[at..]);
        }
    }
}

/// Of a block of a segment.
pub fn block(b: &mut [u8]) -> Option<()> {
    let (len, trailer) = (word(b, 12)?, word(b, 60)?);
    let sum = crc32c::crc32c(b.get(..68)?);
    put(b, 68, sum);
    if len > b.len() || trailer.checked_add(72)? > len {
        return None;
    }
    for i in 0..trailer.div_ceil(STRIPE) {
        let sum = crc32c::crc32c(b.get(i * STRIPE..((i + 1) * STRIPE).min(trailer))?);
        let at = trailer + 64 + 4 * i;
        if at + 4 <= len - 8 {
            put(b, at, sum);
        }
    }
    let sum = crc32c::crc32c(b.get(trailer..len - 8)?);
    put(b, len - 8, sum);
    Some(())
}

/// Of an index, from version 2 on: the sum of each page, that of the sums, that of the head.
pub fn index(b: &mut [u8]) -> Option<()> {
    const HEAD: usize = 256;
    let version = word(b, 8)?;
    let sections = if version == 2 { 8 } else { 9 };
    let body: usize = (0..sections - 1).try_fold(0usize, |all, n| all.checked_add(long(b, 96 + 8 * n)?))?;
    let sums = HEAD.checked_add(body).filter(|at| *at <= b.len())?;
    for page in 0..body.div_ceil(PAGE_BYTES) {
        let sum = crc32c::crc32c(&b[HEAD + page * PAGE_BYTES..(HEAD + (page + 1) * PAGE_BYTES).min(sums)]);
        put(b, sums + 4 * page, sum);
    }
    let sum = crc32c::crc32c(&b[sums..]);
    put(b, 96 + 8 * sections, sum);
    let sum = crc32c::crc32c(b.get(..HEAD - 4)?);
    put(b, HEAD - 4, sum);
    Some(())
}

/// Of the files of filters: each entry, and in it those of the filters that it names.
pub fn filters(entries: &mut [u8], heaps: [&[u8]; 2]) -> Option<()> {
    const ENTRY: usize = 112;
    let mut at = 32;
    while let Some(entry) = entries.get_mut(at..at + ENTRY) {
        for (heap, (len, place)) in heaps.iter().zip([(64, 80), (72, 88)]) {
            let start = long(entry, place)?;
            let of = start.checked_add(word(entry, len)?).and_then(|end| heap.get(start..end));
            put(entry, len + 4, crc32c::crc32c(of.unwrap_or_default()));
        }
        let sum = crc32c::crc32c(&entry[..ENTRY - 4]);
        put(entry, ENTRY - 4, sum);
        at += word(entry, 4)?.max(ENTRY);
    }
    Some(())
}

/// Of a file of receipts: each frame.
pub fn receipts(b: &mut [u8]) {
    let mut at = 0;
    while let Some(frame) = b.get_mut(at..) {
        let Some(found) = frame.windows(4).position(|w| w == b"RTRC") else { return };
        let frame = &mut frame[found..];
        let len = word(frame, 4).filter(|len| (40..=frame.len()).contains(len)).unwrap_or(4);
        if let Some(sum) = frame.get(40..len).map(crc32c::crc32c) {
            put(frame, 8, sum);
        }
        if frame.len() >= 40 {
            let sum = crc32c::crc32c_append(crc32c::crc32c(&frame[..20]), &frame[24..40]);
            put(frame, 20, sum);
        }
        at += found + len;
    }
}

/// Of a side file of receipts that are so long: its pages, its sums, its head.
pub fn side(b: &mut [u8], receipts: usize) -> Option<()> {
    const HEAD: usize = 64;
    b.get_mut(24..32)?.copy_from_slice(&(receipts as u64).to_le_bytes());
    let body = word(b, 12)? * 24 + word(b, 16)? * 6 + word(b, 20)?;
    let sums = HEAD.checked_add(body).filter(|at| *at <= b.len())?;
    for page in 0..body.div_ceil(PAGE_BYTES) {
        let sum = crc32c::crc32c(&b[HEAD + page * PAGE_BYTES..(HEAD + (page + 1) * PAGE_BYTES).min(sums)]);
        put(b, sums + 4 * page, sum);
    }
    let sum = crc32c::crc32c(&b[sums..]);
    put(b, 48, sum);
    let sum = crc32c::crc32c(b.get(..HEAD - 4)?);
    put(b, HEAD - 4, sum);
    Some(())
}
