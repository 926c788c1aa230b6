//! What a section of a pcapng file tells beside its packets and interfaces: names of addresses and secrets to decrypt with. Owns the blocks
//! of the current section, turned to little-endian; what is no whole block is left out, since readers of segments would stop
//! there. Called by the pcapng reader; bounded.

use super::record::Order;
use super::report::Changed;
use crate::limits::{NAMES_MAX, SECRETS_MAX, SECRETS_RENEWED_MAX};
use crate::source::described::NamesAndSecrets;
use crate::source::options::{self, Of};
use std::sync::Arc;

const NAMES: u32 = 4;
const SECRETS: u32 = 10;
/// nrb_record_end.
const END: u16 = 0;

/// Blocks of the current section.
#[derive(Debug, Default)]
pub struct Beside {
    blocks: Vec<Block>,
    names: usize,
    secrets: usize,
    /// What packets from now on are given out with, and how often that has changed in all sections.
    now: Option<Arc<NamesAndSecrets>>,
    changes: u32,
    /// So many blocks have come since.
    new: u64,
    /// How often it was made anew in this section.
    renewed: u32,
}

/// A block in the byte order of segments.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    bytes: Vec<u8>,
}

impl Beside {
    /// A section begins: it has none yet.
    pub fn begin(&mut self) {
        if !self.blocks.is_empty() {
            self.changes += 1;
        }
        let changes = self.changes;
        *self = Beside { changes, ..Beside::default() };
    }

    /// Rises whenever [`now`](Beside::now) gives something else.
    #[inline]
    pub fn changes(&self) -> u32 {
        self.changes
    }

    /// All blocks so far.
    pub fn now(&mut self) -> Option<Arc<NamesAndSecrets>> {
        if std::mem::take(&mut self.new) > 0 {
            let all = self.blocks.iter().flat_map(|b| b.bytes.iter().copied()).collect();
            self.now = Some(Arc::new(NamesAndSecrets::new(all)));
        }
        self.now.clone()
    }

    /// Blocks that no packet has been given out with; asked at the end of a section.
    pub fn late(&mut self) -> u64 {
        std::mem::take(&mut self.new)
    }

    /// A Name Resolution Block: records, then options.
    pub fn names(&mut self, body: &[u8], order: Order, changed: &mut Changed) {
        let mut block = begin(NAMES);
        let mut at = 0;
        loop {
            let Some(head) = body.get(at..at + 4) else {
                changed.blocks_broken += 1;
                return;
            };
            let (kind, len) = (order.u16(head, 0), usize::from(order.u16(head, 2)));
            let Some(value) = body.get(at + 4..at + 4 + len) else {
                changed.blocks_broken += 1;
                return;
            };
            options::push(&mut block, kind, value);
            at += 4 + len.next_multiple_of(4);
            if kind == END {
                break;
            }
        }
        let left = NAMES_MAX.saturating_sub(self.names);
        let block = end(block, body.get(at..).unwrap_or_default(), order, changed);
        let len = block.bytes.len();
        if self.add(block, left, changed, false) {
            self.names += len;
        }
    }

    /// A Decryption Secrets Block: type, length, the secrets, options.
    pub fn secrets(&mut self, body: &[u8], order: Order, changed: &mut Changed) {
        let mut block = begin(SECRETS);
        let len = order.u32(body, 4) as usize;
        let Some(secrets) = body.get(8..).and_then(|b| b.get(..len)) else {
            changed.blocks_broken += 1;
            return;
        };
        block.extend(order.u32(body, 0).to_le_bytes());
        block.extend((len as u32).to_le_bytes());
        block.extend(secrets);
        block.resize(block.len().next_multiple_of(4), 0);
        let left = SECRETS_MAX.saturating_sub(self.secrets);
        let block = end(block, body.get(8 + len.next_multiple_of(4)..).unwrap_or_default(), order, changed);
        let len = block.bytes.len();
        if self.add(block, left, changed, true) {
            self.secrets += len;
        }
    }

    /// True: it is new, and there was room.
    fn add(&mut self, block: Block, left: usize, changed: &mut Changed, secrets: bool) -> bool {
        if self.blocks.contains(&block) {
            return false;
        }
        // The first change of a run of blocks takes effect with the next packet; each run makes segments of its own.
        if block.bytes.len() > left || self.new == 0 && self.renewed >= SECRETS_RENEWED_MAX {
            changed.too_large(secrets, block.bytes.len() as u64);
            return false;
        }
        self.blocks.push(block);
        self.new += 1;
        if self.new == 1 {
            self.changes += 1;
            self.renewed += 1;
        }
        true
    }
}

fn begin(kind: u32) -> Vec<u8> {
    let mut block = Vec::from(kind.to_le_bytes());
    block.extend([0; 4]);
    block
}

/// Adds what is good of its options, and the lengths.
fn end(mut block: Vec<u8>, list: &[u8], order: Order, changed: &mut Changed) -> Block {
    let (options, dropped) = options::kept(Of::Section, list, order.is_big(), &[], NAMES_MAX);
    changed.of_options(dropped);
    if !options.is_empty() {
        block.extend(options);
        block.extend([0; 4]);
    }
    let len = (block.len() as u32 + 4).to_le_bytes();
    block.extend(len);
    if let Some(field) = block.get_mut(4..8) {
        field.copy_from_slice(&len);
    }
    Block { bytes: block }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(big: bool, text: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        for n in [0x544c_534b, text.len() as u32] {
            body.extend(if big { n.to_be_bytes() } else { n.to_le_bytes() });
        }
        body.extend(text);
        body.resize(body.len().next_multiple_of(4), 0);
        body
    }

    #[test]
    fn both_byte_orders_are_the_same_block() {
        let (mut one, mut changed) = (Beside::default(), Changed::default());
        one.secrets(&secrets(true, b"CLIENT_RANDOM x y"), Order::Big, &mut changed);
        let first = one.now().unwrap();
        one.secrets(&secrets(false, b"CLIENT_RANDOM x y"), Order::Little, &mut changed);
        assert_eq!(one.now().unwrap(), first, "the same once more is no other");
        assert_eq!((one.changes(), changed), (1, Changed::default()));
        let bytes = first.bytes();
        assert_eq!((bytes.len(), &bytes[..8]), (40, &[10, 0, 0, 0, 40, 0, 0, 0][..]));
        assert_eq!((&bytes[16..33], &bytes[36..]), (&b"CLIENT_RANDOM x y"[..], &[40, 0, 0, 0][..]));
    }

    #[test]
    fn what_is_too_much_or_broken_is_told() {
        let (mut b, mut changed) = (Beside::default(), Changed::default());
        b.secrets(&secrets(false, &vec![b'a'; SECRETS_MAX]), Order::Little, &mut changed);
        assert!(b.now().is_none() && changed.secrets_dropped as usize > SECRETS_MAX);
        let mut body = secrets(false, b"abcd");
        body[4] = 200;
        b.secrets(&body, Order::Little, &mut changed);
        b.names(&[1, 0, 200, 0, 1, 2, 3, 4], Order::Little, &mut changed);
        assert_eq!((changed.blocks_broken, b.now().is_none()), (2, true));
        for n in 0..2 * SECRETS_RENEWED_MAX {
            b.secrets(&secrets(false, format!("secret {n}").as_bytes()), Order::Little, &mut changed);
            b.now();
        }
        assert_eq!(b.changes(), SECRETS_RENEWED_MAX);
    }
}
