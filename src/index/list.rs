//! A list of connections: ascending numbers, as differences or, where that is shorter, as a bitmap. Owns its bytes; used for
//! every posting.

use super::varint::{Cursor, put};

/// Appends a list of ascending numbers below `of`.
///
/// `count << 1 | form`; form 0: the differences, each less one but the first; form 1: a bit for each number below `of`.
pub fn put_list(out: &mut Vec<u8>, ids: &[u32], of: u32) {
    let mut gaps = Vec::with_capacity(ids.len());
    let mut next = 0;
    for &id in ids {
        put(&mut gaps, u64::from(id - next));
        next = id + 1;
    }
    let bitmap = of.div_ceil(8) as usize;
    if gaps.len() <= bitmap {
        put(out, (ids.len() as u64) << 1);
        out.extend(gaps);
    } else {
        put(out, (ids.len() as u64) << 1 | 1);
        let start = out.len();
        out.resize(start + bitmap, 0);
        for &id in ids {
            if let Some(b) = out.get_mut(start + (id / 8) as usize) {
                *b |= 1 << (id % 8);
            }
        }
    }
}

/// Takes a list of numbers below `of` and appends it to `ids`; its length. `None`: not a list.
pub fn take_list(from: &mut Cursor<'_>, of: u32, ids: &mut Vec<u32>) -> Option<()> {
    let head = from.get()?;
    let count = usize::try_from(head >> 1).ok().filter(|&n| n <= of as usize)?;
    if head & 1 == 0 {
        let mut next = 0u32;
        for _ in 0..count {
            let id = next.checked_add(from.get32()?).filter(|&id| id < of)?;
            ids.push(id);
            next = id + 1;
        }
    } else {
        let start = ids.len();
        for (i, &b) in from.bytes(of.div_ceil(8) as usize)?.iter().enumerate() {
            let set = (0..8).filter(|bit| b & 1 << bit != 0).map(|bit| i as u32 * 8 + bit);
            ids.extend(set);
        }
        if ids.len() - start != count || ids.last().is_some_and(|&id| id >= of) {
            return None;
        }
    }
    Some(())
}

/// Skips a list; its length.
pub fn count_list(from: &mut Cursor<'_>, of: u32) -> Option<usize> {
    let head = Cursor(from.0).get()?;
    skip_list(from, of)?;
    usize::try_from(head >> 1).ok()
}

/// Skips a list.
pub fn skip_list(from: &mut Cursor<'_>, of: u32) -> Option<()> {
    let head = from.get()?;
    if head & 1 == 1 {
        from.bytes(of.div_ceil(8) as usize)?;
    } else {
        for _ in 0..usize::try_from(head >> 1).ok().filter(|&n| n <= of as usize)? {
            from.get()?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_list_comes_back(of in 1u32..3000, picks in proptest::collection::vec(any::<u32>(), 0..600)) {
            let ids: Vec<u32> = picks.iter().map(|p| p % of).collect::<BTreeSet<_>>().into_iter().collect();
            let mut out = Vec::new();
            put_list(&mut out, &ids, of);
            prop_assert!(out.len() <= 5 + of.div_ceil(8) as usize, "never longer than the bitmap");
            out.push(77);
            let mut got = Vec::new();
            let mut cur = Cursor(&out);
            take_list(&mut cur, of, &mut got).unwrap();
            prop_assert_eq!((got, cur.0), (ids, &[77u8][..]));
            let mut cur = Cursor(&out);
            skip_list(&mut cur, of).unwrap();
            prop_assert_eq!(cur.0, &[77u8][..]);
        }

        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..60), of in 0u32..500) {
            let mut ids = Vec::new();
            if take_list(&mut Cursor(&bytes), of, &mut ids).is_some() {
                prop_assert!(ids.windows(2).all(|w| w[0] < w[1]) && ids.iter().all(|&id| id < of));
            }
        }
    }
}
