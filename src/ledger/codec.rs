//! The bytes of a receipt and of a frame of receipts, as FORMAT.md tells them. Never does I/O, never panics on bytes.

use crate::conn::receipt::{End, Receipt};
use crate::packet::key::{Key, Key4, Key6, Tail};

/// `RTRC`: begins a frame.
pub const MAGIC: [u8; 4] = *b"RTRC";
/// Length of a frame's head.
pub const HEAD_BYTES: usize = 40;
/// Receipts of one frame, at most.
pub const FRAME_RECEIPTS: usize = 1024;
/// A frame is never longer: more is damage.
pub const FRAME_BYTES_MAX: usize = HEAD_BYTES + FRAME_RECEIPTS * (128 + 1);

/// In the count of a frame: its keys have no VLAN ids.
const NO_VLANS: u32 = 1 << 31;

const V6: u8 = 1;
const NET: u8 = 2;
const VLAN: u8 = 4;
const CUT: u8 = 8;
const SECOND: u8 = 16;

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Length of the frame, head included.
    pub len: usize,
    /// CRC32C of what follows the head.
    crc: u32,
    /// Receipts in it.
    pub count: usize,
    /// VLAN ids tell its connections apart.
    pub vlan_in_key: bool,
    /// Length of the key filter.
    pub filter: usize,
    /// Earliest first time, Unix ns.
    pub first: u64,
    /// Latest last time, Unix ns.
    pub last: u64,
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    b.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    b.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

impl FrameHead {
    /// Reads a head: its checksum holds.
    pub fn decode(b: &[u8]) -> Option<FrameHead> {
        let head = FrameHead {
            len: u32_at(b, 4)? as usize,
            crc: u32_at(b, 8)?,
            count: (u32_at(b, 12)? & !NO_VLANS) as usize,
            vlan_in_key: u32_at(b, 12)? & NO_VLANS == 0,
            filter: u32_at(b, 16)? as usize,
            first: u64_at(b, 24)?,
            last: u64_at(b, 32)?,
        };
        let fits = (HEAD_BYTES..=FRAME_BYTES_MAX).contains(&head.len) && head.count <= FRAME_RECEIPTS;
        let sum = head_sum(b.get(..HEAD_BYTES)?) == u32_at(b, 20)?;
        (sum && b.get(..4)? == MAGIC && fits && head.filter <= head.len - HEAD_BYTES).then_some(head)
    }

    /// Whether what follows the head is what was written.
    pub fn holds(&self, frame: &[u8]) -> bool {
        frame.get(HEAD_BYTES..self.len).is_some_and(|b| crc32c::crc32c(b) == self.crc)
    }

    /// The receipts of a frame that holds.
    pub fn receipts(&self, frame: &[u8]) -> Option<Vec<Receipt>> {
        let mut rest = frame.get(HEAD_BYTES + self.filter..self.len)?;
        (0..self.count).map(|_| decode(&mut rest, self.first)).collect()
    }

    /// Calls `each` with every receipt of a frame that holds and where in it that begins; false: it is damaged.
    pub fn each(&self, frame: &[u8], mut each: impl FnMut(usize, &Receipt)) -> bool {
        let Some(mut rest) = frame.get(HEAD_BYTES + self.filter..self.len) else { return false };
        (0..self.count).all(|_| {
            let at = self.len - rest.len();
            decode(&mut rest, self.first).inspect(|r| each(at, r)).is_some()
        })
    }

    /// Whether a frame that holds may have a receipt of this connection.
    pub fn may_have(&self, frame: &[u8], key: &Key) -> bool {
        let filter = frame.get(HEAD_BYTES..HEAD_BYTES + self.filter).unwrap_or_default();
        filter.is_empty() || probes(key, filter.len()).all(|(byte, bit)| filter.get(byte).is_some_and(|b| b & bit != 0))
    }
}

/// One frame of at most [`FRAME_RECEIPTS`].
pub fn encode_frame(receipts: &[Receipt], vlan_in_key: bool) -> Vec<u8> {
    let first = receipts.iter().map(|r| r.first).min().unwrap_or(0);
    let last = receipts.iter().map(|r| r.last).max().unwrap_or(0);
    // Eight bits and three probes a key: 3 % false hits.
    let mut filter = vec![0u8; receipts.len().next_multiple_of(8)];
    let size = filter.len();
    for (byte, bit) in receipts.iter().flat_map(|r| probes(&r.key, size)) {
        if let Some(b) = filter.get_mut(byte) {
            *b |= bit;
        }
    }
    let mut out = Vec::with_capacity(HEAD_BYTES + filter.len() + receipts.len() * 48);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 8]);
    let count = receipts.len() as u32 | if vlan_in_key { 0 } else { NO_VLANS };
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&(filter.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&last.to_le_bytes());
    out.extend_from_slice(&filter);
    receipts.iter().for_each(|r| encode(r, first, &mut out));
    let (len, crc) = (out.len() as u32, crc32c::crc32c(out.get(HEAD_BYTES..).unwrap_or_default()));
    put_u32(&mut out, 4, len);
    put_u32(&mut out, 8, crc);
    let sum = head_sum(out.get(..HEAD_BYTES).unwrap_or_default());
    put_u32(&mut out, 20, sum);
    out
}

fn put_u32(out: &mut [u8], at: usize, value: u32) {
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

/// CRC32C of a head without its own place, bytes 20 to 23.
fn head_sum(head: &[u8]) -> u32 {
    let (before, after) = (head.get(..20).unwrap_or_default(), head.get(24..).unwrap_or_default());
    crc32c::crc32c_append(crc32c::crc32c(before), after)
}

/// The three bits of a key in a filter of `bytes` bytes.
fn probes(key: &Key, bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let mut b = Vec::with_capacity(52);
    encode_key(key, &mut b);
    let (one, two) = (crc32c::crc32c(&b), crc32c::crc32c_append(0x5254_5243, &b) | 1);
    let bits = (bytes as u32 * 8).max(1);
    (0..3u32).map(move |i| {
        let bit = one.wrapping_add(i.wrapping_mul(two)) % bits;
        (bit as usize / 8, 1 << (bit % 8))
    })
}

/// Sum of a key: what side files find it by.
pub fn key_sum(key: &Key) -> u32 {
    let mut b = Vec::with_capacity(52);
    encode_key(key, &mut b);
    crc32c::crc32c(&b)
}

fn encode_key(key: &Key, out: &mut Vec<u8>) {
    let t = key.tail();
    out.extend_from_slice(&[t.proto, t.kind]);
    match key {
        Key::V4(k) => k.addr.iter().for_each(|a| out.extend_from_slice(a)),
        Key::V6(k) => k.addr.iter().for_each(|a| out.extend_from_slice(a)),
    }
    t.port.iter().for_each(|p| out.extend_from_slice(&p.to_le_bytes()));
    if t.net != 0 {
        out.extend_from_slice(&t.net.to_le_bytes());
    }
    if t.vlan != [0; 2] {
        t.vlan.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    }
}

fn encode(r: &Receipt, base: u64, out: &mut Vec<u8>) {
    let t = r.key.tail();
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let flags = flag(matches!(r.key, Key::V6(_)), V6)
        | flag(t.net != 0, NET)
        | flag(t.vlan != [0; 2], VLAN)
        | flag(r.cut, CUT)
        | flag(r.originator != 0, SECOND);
    out.extend_from_slice(&[flags, r.end as u8, r.class]);
    encode_key(&r.key, out);
    let counts = [r.seen_packets, r.seen_bytes, r.stored_packets, r.stored_bytes];
    for n in [r.first.wrapping_sub(base), r.last.wrapping_sub(r.first)].into_iter().chain(counts) {
        put_varint(n, out);
    }
}

/// The receipt that `b` begins with; `base`: the earliest first time of its frame.
pub fn decode(b: &mut &[u8], base: u64) -> Option<Receipt> {
    let [flags, end, class, proto, kind] = take::<5>(b)?;
    let end = match end {
        0 => End::Lasting,
        1 => End::Reset,
        2 => End::Closed,
        3 => End::Idle,
        4 => End::Replaced,
        5 => End::Stopped,
        _ => return None,
    };
    let mut addr = [[0; 16]; 2];
    if flags & V6 == 0 {
        for a in &mut addr {
            a.get_mut(..4)?.copy_from_slice(&take::<4>(b)?);
        }
    } else {
        addr = [take(b)?, take(b)?];
    }
    let mut tail = Tail { proto, kind, ..Tail::default() };
    tail.port = [u16::from_le_bytes(take(b)?), u16::from_le_bytes(take(b)?)];
    if flags & NET != 0 {
        tail.net = u32::from_le_bytes(take(b)?);
    }
    if flags & VLAN != 0 {
        tail.vlan = [u16::from_le_bytes(take(b)?), u16::from_le_bytes(take(b)?)];
    }
    let key = if flags & V6 == 0 {
        Key::V4(Key4 { addr: addr.map(|[a, b, c, d, ..]| [a, b, c, d]), tail })
    } else {
        Key::V6(Key6 { addr, tail })
    };
    let first = base.wrapping_add(varint(b)?);
    Some(Receipt {
        key,
        first,
        last: first.wrapping_add(varint(b)?),
        seen_packets: varint(b)?,
        seen_bytes: varint(b)?,
        stored_packets: varint(b)?,
        stored_bytes: varint(b)?,
        end,
        class,
        originator: u8::from(flags & SECOND != 0),
        cut: flags & CUT != 0,
    })
}

fn take<const N: usize>(b: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = b.split_first_chunk::<N>()?;
    *b = rest;
    Some(*head)
}

/// LEB128: seven bits a byte, the lowest first.
fn put_varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn varint(b: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take::<1>(b)?;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}
