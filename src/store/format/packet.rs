//! What lies between head and trailer: Enhanced Packet Blocks and Interface Statistics Blocks. The encoder is on the
//! packet path; the decoder is every reader's.

use super::{Damage, Put, block_type, option, pcapng_block, u16_at, u32_at};
use crate::conn::verdict::Mark;
use crate::limits::{PACKET_OPTIONS_MAX, SNAPLEN};
use crate::packet::key::{Key, Key4, Key6, Tail};
use crate::source::{InputOptions, Packet};

/// An EPB without data and options.
const EPB_FIXED: usize = 32;
/// The end of options.
const END_BYTES: usize = 4;
/// The mark option.
const MARK_BYTES: usize = 8;
/// The key option without its value.
const KEY_HEAD: usize = 4;
/// Bound of one packet's bytes in a block.
pub const EPB_BYTES_MAX: usize =
    EPB_FIXED + SNAPLEN as usize + MARK_BYTES + KEY_HEAD + size_of::<Key6>() + PACKET_OPTIONS_MAX + END_BYTES;
/// Length of one statistics block.
pub const ISB_BYTES: usize = 20 + 2 * 12 + 4 + 4;

/// What an interface has received and lost since the start; written in each block that has packets of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IfaceDrops {
    /// Packets that came in.
    pub received: u64,
    /// Packets lost before the store, whatever the cause.
    pub dropped: u64,
}

/// A packet as a segment holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPacket<'a> {
    /// Where its EPB begins: in the file (readers) or in the block ([`walk`]).
    pub offset: u64,
    /// Unix time, ns.
    pub time: u64,
    /// Index into the segment's interfaces.
    pub iface: u32,
    /// Length on the wire.
    pub wire_len: u32,
    /// Captured bytes.
    pub data: &'a [u8],
    /// What the recorder said of it.
    pub mark: Mark,
    /// Its connection, where its bytes name another.
    pub key: Option<Key>,
    /// What its block in the input said of it: whole options, little-endian, without the end.
    pub options: &'a [u8],
}

/// What the recorder says of a packet beside its bytes: options of its block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketOptions {
    /// Its place in its connection's record.
    pub mark: Mark,
    /// Its connection, where the stored bytes name another: a later fragment, or headers that a snap length cut.
    pub key: Option<Key>,
}

impl From<Mark> for PacketOptions {
    fn from(mark: Mark) -> PacketOptions {
        PacketOptions { mark, key: None }
    }
}

impl PacketOptions {
    /// Bytes that they take.
    #[inline]
    fn bytes(&self) -> usize {
        let mark = if matches!(self.mark, Mark::None) { 0 } else { MARK_BYTES };
        let key = match &self.key {
            None => 0,
            Some(Key::V4(_)) => KEY_HEAD + size_of::<Key4>(),
            Some(Key::V6(_)) => KEY_HEAD + size_of::<Key6>(),
        };
        mark + key
    }
}

/// Bytes that a packet takes in a block; `options`: those of its options.
#[inline]
pub fn packet_bytes(data_len: usize, options: &PacketOptions, input: usize) -> usize {
    let all = options.bytes() + input;
    EPB_FIXED + data_len.next_multiple_of(4) + all + if all == 0 { 0 } else { END_BYTES }
}

/// Writes one EPB with this data of the packet at the start of `to`, which is exactly [`packet_bytes`] long.
#[inline]
pub fn write_packet(to: &mut [u8], iface: u32, packet: &Packet<'_>, data: &[u8], options: &PacketOptions) {
    let (len, time) = (to.len() as u32, packet.time);
    let mut put = Put::new(to, 0);
    put.u32(block_type::EPB).u32(len).u32(iface).u32((time >> 32) as u32).u32(time as u32);
    put.u32(data.len() as u32).u32(packet.wire_len).bytes(data);
    put.zeros(data.len().next_multiple_of(4) - data.len());
    if options.bytes() > 0 || !packet.options.is_empty() {
        write_options(&mut put, options, packet.options);
    }
    put.u32(len);
    debug_assert_eq!(put.end(), len as usize);
}

/// Writes one ISB at the start of `to`; takes [`ISB_BYTES`].
pub fn write_statistics(to: &mut [u8], iface: u32, time: u64, drops: IfaceDrops) {
    let mut put = Put::new(to, 0);
    put.u32(block_type::ISB).u32(ISB_BYTES as u32).u32(iface).u32((time >> 32) as u32).u32(time as u32);
    put.option(option::ISB_IFRECV, &drops.received.to_le_bytes());
    put.option(option::ISB_IFDROP, &drops.dropped.to_le_bytes());
    put.u16(option::END).u16(0).u32(ISB_BYTES as u32);
    debug_assert_eq!(put.end(), ISB_BYTES);
}

#[cold]
fn write_options(put: &mut Put<'_>, options: &PacketOptions, input: InputOptions<'_>) {
    if let Some(code) = mark_code(options.mark) {
        put.option(option::MARK, &[code]);
    }
    if let Some(key) = &options.key {
        let t = key.tail();
        put.u16(option::KEY);
        match key {
            Key::V4(k) => put.u16(size_of::<Key4>() as u16).bytes(k.addr.as_flattened()),
            Key::V6(k) => put.u16(size_of::<Key6>() as u16).bytes(k.addr.as_flattened()),
        };
        let ([v0, v1], [p0, p1]) = (t.vlan, t.port);
        put.u32(t.net).u16(v0).u16(v1).u16(p0).u16(p1).bytes(&[t.proto, t.kind]).u16(0);
    }
    input.write_to(put.take(input.len()));
    put.u16(option::END).u16(0);
}

fn mark_code(mark: Mark) -> Option<u8> {
    match mark {
        Mark::None => None,
        Mark::CutHere => Some(1),
        Mark::Untracked => Some(2),
    }
}

/// One pcapng block inside a block of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A packet; its offset counts from the start of the bytes given.
    Packet(StoredPacket<'a>),
    /// Statistics of an interface.
    Statistics {
        /// Index into the segment's interfaces.
        iface: u32,
        /// Unix time, ns.
        time: u64,
    },
}

/// The packet whose EPB begins at `at` in `b`, and its length there.
pub fn packet_at(b: &[u8], at: usize) -> Result<(StoredPacket<'_>, usize), Damage> {
    let bad = Damage::Structure("a packet block");
    match pcapng_block(b, at) {
        Some((block_type::EPB, len)) => Ok((epb(b, at, len).ok_or(bad)?, len)),
        _ => Err(bad),
    }
}

fn epb(b: &[u8], at: usize, len: usize) -> Option<StoredPacket<'_>> {
    let e = b.get(at..at + len)?;
    let time = u64::from(u32_at(e, 12)?) << 32 | u64::from(u32_at(e, 16)?);
    let captured = u32_at(e, 20)? as usize;
    let data = e.get(28..28usize.checked_add(captured)?)?;
    let list = e.get(28 + captured.next_multiple_of(4)..len.checked_sub(4)?)?;
    let (PacketOptions { mark, key }, options) = read_options(list)?;
    let (offset, iface, wire_len) = (at as u64, u32_at(e, 8)?, u32_at(e, 24)?);
    Some(StoredPacket { offset, time, iface, wire_len, data, mark, key, options })
}

/// Ours, and the input's behind them. Of ours those that this version does not know say nothing.
fn read_options(list: &[u8]) -> Option<(PacketOptions, &[u8])> {
    let (mut options, mut at, mut input) = (PacketOptions::default(), 0, None);
    while let Some(b) = list.get(at..).filter(|b| !b.is_empty()) {
        let (code, len) = (u16_at(b, 0)?, usize::from(u16_at(b, 2)?));
        let value = b.get(4..4 + len)?;
        match code {
            option::END if b.len() == END_BYTES && len == 0 => break,
            option::END => return None,
            option::MARK => {
                options.mark = match value {
                    [1] => Mark::CutHere,
                    [2] => Mark::Untracked,
                    _ => return None,
                }
            }
            option::KEY => options.key = Some(read_key(value)?),
            _ if option::OURS.contains(&code) => {}
            _ => {
                input.get_or_insert(at);
            }
        }
        at += 4 + len.next_multiple_of(4);
        list.get(..at)?;
    }
    Some((options, list.get(input.unwrap_or(at)..at)?))
}

fn read_key(b: &[u8]) -> Option<Key> {
    let (addr, t) = b.split_at_checked(b.len().checked_sub(size_of::<Tail>())?)?;
    let half = |at: usize| u16_at(t, at);
    let tail = Tail {
        net: u32_at(t, 0)?,
        vlan: [half(4)?, half(6)?],
        port: [half(8)?, half(10)?],
        proto: *t.get(12)?,
        kind: *t.get(13)?,
        zero: 0,
    };
    let (a, b) = addr.split_at_checked(addr.len() / 2)?;
    match addr.len() {
        8 => Some(Key::V4(Key4 { addr: [a.try_into().ok()?, b.try_into().ok()?], tail })),
        32 => Some(Key::V6(Key6 { addr: [a.try_into().ok()?, b.try_into().ok()?], tail })),
        _ => None,
    }
}

/// Walks what lies in `b[from..to]`: between head and trailer. Ends after the first error.
pub fn walk(b: &[u8], from: usize, to: usize) -> impl Iterator<Item = Result<Item<'_>, Damage>> {
    let mut at = from;
    let b = b.get(..to).unwrap_or_default();
    std::iter::from_fn(move || {
        if at >= to {
            return None;
        }
        let bad = Damage::Structure("a block's contents");
        let item = match pcapng_block(b, at) {
            Some((block_type::EPB, len)) => epb(b, at, len).ok_or(bad).map(|p| (Item::Packet(p), len)),
            Some((block_type::ISB, len)) => match (u32_at(b, at + 8), u32_at(b, at + 12), u32_at(b, at + 16)) {
                (Some(iface), Some(high), Some(low)) => {
                    Ok((Item::Statistics { iface, time: u64::from(high) << 32 | u64::from(low) }, len))
                }
                _ => Err(bad),
            },
            _ => Err(bad),
        };
        match item {
            Ok((item, len)) => {
                at += len;
                Some(Ok(item))
            }
            Err(e) => {
                at = to;
                Some(Err(e))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a packet comes back; what is unknown says nothing; what is cut or contradicts itself is damage.
    #[test]
    fn options_come_back() {
        let tail = Tail { net: 7, vlan: [0x8001, 2], port: [1, 53], proto: 17, kind: 0x10, zero: 0 };
        let four = Key::V4(Key4 { addr: [[10, 0, 0, 1], [10, 0, 0, 2]], tail });
        let six = Key::V6(Key6 { addr: [[1; 16], [2; 16]], tail });
        for mark in [Mark::None, Mark::CutHere, Mark::Untracked] {
            for key in [None, Some(four), Some(six)] {
                let said = &[2, 0, 4, 0, 9, 0, 0, 0][..];
                for said in [said, &[]] {
                    let options = PacketOptions { mark, key };
                    let mut epb = vec![0; packet_bytes(61, &options, said.len())];
                    let (input, _) = InputOptions::of_packet(said, false, 100);
                    let packet = Packet { time: 5, wire_len: 90, iface: 0, hash: None, data: &[], options: input };
                    write_packet(&mut epb, 3, &packet, &[9; 61], &options);
                    let (p, len) = packet_at(&epb, 0).unwrap();
                    let got = (p.mark, p.key, p.data, p.options, p.wire_len, len);
                    assert_eq!(got, (mark, key, &[9; 61][..], said, 90, epb.len()));
                }
            }
        }
        let read = |b: &[u8]| read_options(b).map(|(ours, _)| ours);
        let unknown = [[1, 0, 2, 0, b'h', b'i', 0, 0], [3, 0xd2, 1, 0, 2, 0, 0, 0]].concat();
        assert_eq!(read(&[&unknown[..], &[0; 4]].concat()), Some(Mark::Untracked.into()));
        for bad in
            [&[3, 0xd2, 1, 0, 9, 0, 0, 0][..], &[5, 0xd2, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8], &[1, 0, 200, 0], &[0; 8]]
        {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
