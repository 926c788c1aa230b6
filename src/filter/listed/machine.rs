//! Runs libpcap's programs as its own interpreter does (`pcap_filter` of `bpf_filter.c`), with one instruction more: whether a list has what is
//! compared. Safe by construction: every load and jump is checked, and steps are counted. What ends a program in any other way than by a return
//! rejects the packet. Programs that jump back are run by it, too: libpcap's interpreter would run one that never ends for ever.

use super::{Kind, List};
use crate::filter::bpf::Instruction;

/// Words of scratch memory.
const MEMORY: usize = 16;
/// Steps for each byte of a packet: `protochain` goes eight bytes on or more with each turn of its loop, of some dozen steps.
const STEPS_A_BYTE: usize = 64;

/// Where an instruction compares with the entries of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its number.
    pub(super) list: usize,
    /// Which word of an entry.
    pub(super) word: u32,
}

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::filter) struct Step {
    /// As libpcap made it, with an example.
    pub(super) instruction: Instruction,
    /// It compares with a list, and not with the example.
    pub(super) member: Option<Member>,
}

/// A program.
#[derive(Clone, Debug)]
pub(in crate::filter) struct Machine(Box<[Step]>);

/// The packet as it is loaded from.
struct Packet<'a> {
    data: &'a [u8],
    wire_len: u32,
}

impl Packet<'_> {
    fn word(&self, at: u32, more: u32) -> Option<u32> {
        let at = at.checked_add(more)? as usize;
        self.data.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
    }

    fn half(&self, at: u32, more: u32) -> Option<u32> {
        let at = at.checked_add(more)? as usize;
        self.data.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b).into())
    }

    fn byte(&self, at: u32, more: u32) -> Option<u32> {
        self.data.get(at.checked_add(more)? as usize).map(|b| (*b).into())
    }
}

impl Machine {
    pub(super) fn new(steps: Vec<Step>) -> Machine {
        Machine(steps.into())
    }

    /// Without lists, as libpcap's interpreter would run it.
    pub(in crate::filter) fn plain(instructions: &[Instruction]) -> Machine {
        Machine(instructions.iter().map(|i| Step { instruction: *i, member: None }).collect())
    }

    /// Whether it accepts the packet.
    pub(in crate::filter) fn run(&self, lists: &[List], data: &[u8], wire_len: u32) -> bool {
        self.returned(lists, &Packet { data, wire_len }).is_some_and(|value| value != 0)
    }

    /// What it returns; `None`: it loads what is not there, divides by nothing, or goes round and round.
    fn returned(&self, lists: &[List], packet: &Packet<'_>) -> Option<u32> {
        let (mut a, mut x, mut memory) = (0u32, 0u32, [0u32; MEMORY]);
        // Words of the entry that is being compared.
        let mut words = [0u32; 4];
        let mut at = 0usize;
        for _ in 0..self.0.len() + (packet.data.len() + 1) * STEPS_A_BYTE {
            let Step { instruction: Instruction { code, jump_true, jump_false, k }, member } = *self.0.get(at)?;
            at += 1;
            let mut jump = |yes: bool| at += usize::from(if yes { jump_true } else { jump_false });
            match code {
                // Returns.
                0x06 => return Some(k),
                0x16 => return Some(a),
                // Loads.
                0x20 => a = packet.word(k, 0)?,
                0x28 => a = packet.half(k, 0)?,
                0x30 => a = packet.byte(k, 0)?,
                0x40 => a = packet.word(x, k)?,
                0x48 => a = packet.half(x, k)?,
                0x50 => a = packet.byte(x, k)?,
                0x80 => a = packet.wire_len,
                0x81 => x = packet.wire_len,
                0x00 => a = k,
                0x01 => x = k,
                0x60 => a = *memory.get(k as usize)?,
                0x61 => x = *memory.get(k as usize)?,
                0xb1 => x = (packet.byte(k, 0)? & 15) << 2,
                // Stores.
                0x02 => *memory.get_mut(k as usize)? = a,
                0x03 => *memory.get_mut(k as usize)? = x,
                // Jumps; `protochain` jumps back.
                0x05 => at = at.checked_add_signed(k.cast_signed() as isize)?,
                0x15 => jump(match member.and_then(|m| Some((m.word, lists.get(m.list)?))) {
                    None => a == k,
                    Some((word, list)) if matches!(list.kind, Kind::V6(_)) => {
                        *words.get_mut(word as usize)? = a;
                        list.begins(&words, word + 1)
                    }
                    Some((_, list)) => list.has(a),
                }),
                0x1d => jump(a == x),
                0x25 => jump(a > k),
                0x2d => jump(a > x),
                0x35 => jump(a >= k),
                0x3d => jump(a >= x),
                0x45 => jump(a & k != 0),
                0x4d => jump(a & x != 0),
                // Arithmetic.
                0x04 => a = a.wrapping_add(k),
                0x0c => a = a.wrapping_add(x),
                0x14 => a = a.wrapping_sub(k),
                0x1c => a = a.wrapping_sub(x),
                0x24 => a = a.wrapping_mul(k),
                0x2c => a = a.wrapping_mul(x),
                0x34 => a = a.checked_div(k)?,
                0x3c => a = a.checked_div(x)?,
                0x94 => a = a.checked_rem(k)?,
                0x9c => a = a.checked_rem(x)?,
                0x44 => a |= k,
                0x4c => a |= x,
                0x54 => a &= k,
                0x5c => a &= x,
                0xa4 => a ^= k,
                0xac => a ^= x,
                0x64 => a = a.checked_shl(k).unwrap_or(0),
                0x6c => a = a.checked_shl(x).unwrap_or(0),
                0x74 => a = a.checked_shr(k).unwrap_or(0),
                0x7c => a = a.checked_shr(x).unwrap_or(0),
                0x84 => a = a.wrapping_neg(),
                // From A to X, and back.
                0x07 => x = a,
                0x87 => a = x,
                _ => return None,
            }
        }
        None
    }
}
