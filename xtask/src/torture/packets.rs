//! The packets of two pcapng files, compared one by one. Reads enhanced packet blocks and passes over all others.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

/// A block that is longer is none of ours.
const BLOCK_MAX: usize = 64 << 20;
const PACKET: u32 = 6;

/// A sum of each packet: its time, lengths and bytes; not the number of its interface, nor what is said of it.
pub fn read(path: &Path) -> Result<Vec<u64>, String> {
    let wrong = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut file = BufReader::with_capacity(1 << 20, std::fs::File::open(path).map_err(wrong)?);
    let (mut all, mut head, mut body) = (Vec::new(), [0; 8], Vec::new());
    loop {
        match file.read_exact(&mut head) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(all),
            other => other.map_err(wrong)?,
        }
        let (kind, len) = (word(&head, 0), word(&head, 4) as usize);
        if !(12..=BLOCK_MAX).contains(&len) {
            return Err(format!("{}: a block of {len} bytes", path.display()));
        }
        body.resize(len - 8, 0);
        file.read_exact(&mut body).map_err(wrong)?;
        if kind == PACKET {
            all.push(sum(&body).ok_or_else(|| format!("{}: a packet that is cut", path.display()))?);
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn sum(block: &[u8]) -> Option<u64> {
    let data = block.get(20..20usize.checked_add(word(block, 12) as usize)?)?;
    let mut hasher = DefaultHasher::new();
    (block.get(4..20)?, data).hash(&mut hasher);
    Some(hasher.finish())
}

/// How one file differs from another.
#[derive(Debug, PartialEq)]
pub struct Differences {
    /// Of the second that the first lacks.
    pub missing: u64,
    /// Of the first that the second has not, or not so often.
    pub more: u64,
    /// The same, in the same order.
    pub in_order: bool,
}

/// Compares.
pub fn compare(first: &[u64], second: &[u64]) -> Differences {
    let in_order = first == second;
    let (mut a, mut b) = (first.to_vec(), second.to_vec());
    a.sort_unstable();
    b.sort_unstable();
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    let (mut missing, mut more) = (0, 0);
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return Differences { missing, more, in_order },
            (Some(x), Some(y)) => x.cmp(y),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
        };
        more += u64::from(order.is_lt());
        missing += u64::from(order.is_gt());
        if order.is_le() {
            a.next();
        }
        if order.is_ge() {
            b.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_is_double() {
        let all = |missing, more, in_order| Differences { missing, more, in_order };
        assert_eq!(compare(&[3, 1, 2], &[3, 1, 2]), all(0, 0, true));
        assert_eq!(compare(&[1, 3, 2], &[3, 1, 2]), all(0, 0, false));
        assert_eq!(compare(&[1, 2, 2], &[1, 2, 3, 4]), all(2, 1, false));
        assert_eq!(compare(&[], &[7]), all(1, 0, false));
    }

    #[test]
    fn packets_of_a_file() {
        let block = |kind: u32, body: &[u8]| {
            let len = (body.len() as u32 + 12).to_le_bytes();
            [&kind.to_le_bytes()[..], &len, body, &len].concat()
        };
        let packet = |n: u8, interface: u8| {
            block(6, &[&[interface, 0, 0, 0, 0, 0, 0, 0, n, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0][..], &[n; 4]].concat())
        };
        let path = std::env::temp_dir().join(format!("retrotap-xtask-{}.pcapng", std::process::id()));
        std::fs::write(&path, [block(1, &[0; 8]), packet(1, 0), packet(2, 0), packet(1, 9)].concat()).unwrap();
        let sums = read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((sums.len(), sums[0] == sums[2], sums[0] == sums[1]), (3, true, false));
    }
}
