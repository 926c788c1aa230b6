//! Names and secrets at the end of a pcapng file, where Wireshark writes the names that it has looked up: no packet follows that could bring
//! them along. Owns the walk from the end of the file to its last packet, by the lengths that blocks end with. Called when a file is opened,
//! before it is read; of what comes through a pipe nothing is known. Bounded; what looks like no block ends the walk.

use super::pcapng::{FRAME, INTERFACE, NAMES, PACKET_ENHANCED, PACKET_OLD, PACKET_SIMPLE, SECRETS, SECTION};
use super::record::Order;
use crate::limits::{BEHIND_BLOCKS_MAX, NAMES_MAX, SECRETS_MAX};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// A block behind the last packet.
#[derive(Debug, PartialEq, Eq)]
pub struct Behind {
    /// Secrets; else names.
    pub secrets: bool,
    /// Byte order of its section.
    pub order: Order,
    /// Without type and lengths.
    pub body: Vec<u8>,
}

/// The blocks behind the last packet of a file of so many bytes, in the file's order. A file of another format has none but by a
/// coincidence that no reader of that format sees.
pub fn read(file: &File, size: u64) -> Vec<Behind> {
    let mut found = Vec::new();
    let mut end = size;
    for _ in 0..BEHIND_BLOCKS_MAX {
        let Some((order, kind, len)) = last(file, end) else { break };
        if matches!(kind, SECTION | INTERFACE | PACKET_ENHANCED | PACKET_OLD | PACKET_SIMPLE) {
            break;
        }
        end -= len;
        if matches!(kind, NAMES | SECRETS) && len <= (NAMES_MAX + SECRETS_MAX) as u64 {
            let mut body = vec![0; len as usize - FRAME];
            if file.read_exact_at(&mut body, end + 8).is_err() {
                break;
            }
            found.push(Behind { secrets: kind == SECRETS, order, body });
        }
    }
    found.reverse();
    found
}

/// Byte order, type and length of the block that ends there.
fn last(file: &File, end: u64) -> Option<(Order, u32, u64)> {
    let mut word = [0; 4];
    file.read_exact_at(&mut word, end.checked_sub(4)?).ok()?;
    [Order::Little, Order::Big].into_iter().find_map(|order| {
        let len = u64::from(order.u32(&word, 0));
        let begin = end.checked_sub(len).filter(|_| len >= FRAME as u64 && len % 4 == 0)?;
        let mut head = [0; 8];
        file.read_exact_at(&mut head, begin).ok()?;
        (u64::from(order.u32(&head, 4)) == len).then(|| (order, order.u32(&head, 0), len))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let len = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &len, body, &len].concat()
    }

    fn of(bytes: &[u8]) -> Vec<(bool, Vec<u8>)> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        read(&file, bytes.len() as u64).into_iter().map(|b| (b.secrets, b.body)).collect()
    }

    #[test]
    fn back_to_the_last_packet() {
        let file = [
            block(NAMES, b"in front"),
            block(PACKET_ENHANCED, b"a packet...."),
            block(NAMES, b"one."),
            block(5, b"statistics.."),
            block(SECRETS, b"two."),
        ];
        assert_eq!(of(&file.concat()), [(false, b"one.".to_vec()), (true, b"two.".to_vec())]);
        assert_eq!(of(&[file.concat(), vec![1]].concat()), []);
        assert_eq!(of(&block(PACKET_OLD, b"a packet....")), []);
        for short in [&b""[..], b"abc", b"\x0c\0\0\0", &[0xff; 40]] {
            assert_eq!(of(short), []);
        }
    }

    #[test]
    fn both_byte_orders() {
        let len = 16u32.to_be_bytes();
        let block = [&NAMES.to_be_bytes()[..], &len, b"name", &len].concat();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&block).unwrap();
        assert_eq!(read(&file, 16), [Behind { secrets: false, order: Order::Big, body: b"name".to_vec() }]);
    }
}
