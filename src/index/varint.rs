//! LEB128 numbers, as everywhere in the index. Reading takes any bytes: what is cut off or too long is `None`.

/// Appends a number.
pub fn put(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Appends a difference, which may be negative (zigzag).
pub fn put_signed(out: &mut Vec<u8>, v: i64) {
    put(out, ((v << 1) ^ (v >> 63)) as u64);
}

/// Appends a 128-bit number.
pub fn put_wide(out: &mut Vec<u8>, mut v: u128) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Takes bytes from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next number.
    #[inline]
    pub fn get(&mut self) -> Option<u64> {
        let (mut v, mut shift) = (0u64, 0);
        loop {
            let (&b, rest) = self.0.split_first()?;
            self.0 = rest;
            let low = u64::from(b & 0x7f);
            // Nothing may be shifted out.
            if shift > 63 || low << shift >> shift != low {
                return None;
            }
            v |= low << shift;
            if b < 0x80 {
                return Some(v);
            }
            shift += 7;
        }
    }

    /// The next number, if it fits 32 bits.
    pub fn get32(&mut self) -> Option<u32> {
        u32::try_from(self.get()?).ok()
    }

    /// The next difference.
    pub fn signed(&mut self) -> Option<i64> {
        let v = self.get()?;
        Some((v >> 1) as i64 ^ -((v & 1) as i64))
    }

    /// The next number of up to 128 bits.
    pub fn wide(&mut self) -> Option<u128> {
        let mut v = 0u128;
        for shift in (0..128).step_by(7) {
            let (&b, rest) = self.0.split_first()?;
            self.0 = rest;
            v |= u128::from(b & 0x7f).checked_shl(shift)?;
            if b < 0x80 {
                return Some(v);
            }
        }
        None
    }

    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_put_is_got(a in any::<u64>(), b in any::<i64>(), c in any::<u128>()) {
            let mut out = Vec::new();
            put(&mut out, a);
            put_signed(&mut out, b);
            put_wide(&mut out, c);
            let mut cur = Cursor(&out);
            prop_assert_eq!((cur.get(), cur.signed(), cur.wide()), (Some(a), Some(b), Some(c)));
            prop_assert!(cur.0.is_empty());
        }

        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut cur = Cursor(&bytes);
            while cur.wide().is_some() {}
        }
    }
}
