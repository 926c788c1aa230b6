//! libpcap: compiling an expression into instructions and running them. The only unsafe module of the filter; it knows
//! nothing of the language. Called by `filter` only.
//!
//! An expression is compiled on a handle of a savefile (an empty one, through a pipe), not on a "dead" one: so libpcap
//! itself maps LINKTYPE_ to DLT_ and refuses what a savefile can't answer (`inbound`), exactly as under `tcpdump -r`.
#![allow(unsafe_code)]

use super::FilterError;
use crate::limits::SNAPLEN;
use pcap::{Capture, Offline};
use std::io::Write;
use std::os::fd::IntoRawFd;

/// `struct bpf_insn` of `<pcap/bpf.h>`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jump_true: u8,
    pub(super) jump_false: u8,
    pub(super) k: u32,
}

const _: () = assert!(size_of::<Instruction>() == 8 && align_of::<Instruction>() == 4);
const _: () = assert!(size_of::<pcap::BpfInstruction>() == 8 && align_of::<pcap::BpfInstruction>() == 4);

unsafe extern "C" {
    /// `int bpf_validate(const struct bpf_insn *, int len)`: whether a program ends in a return on every path, with jumps inside.
    fn bpf_validate(program: *const Instruction, len: i32) -> i32;
    /// `u_int bpf_filter(const struct bpf_insn *, const u_char *, u_int wirelen, u_int buflen)`, of the libpcap that the
    /// `pcap` crate links.
    fn bpf_filter(program: *const Instruction, packet: *const u8, wire_len: u32, captured: u32) -> u32;
}

/// What the interpreter knows: at any other code it ends the process, and `bpf_validate` lets some through.
const KNOWN: &[u16] = &[
    // Returns.
    0x06, 0x16, // Loads from the packet, of its length, of constants and memory, into A and X.
    0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61, 0xb1, // Stores.
    0x02, 0x03, // Jumps.
    0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, // Arithmetic, with a constant and with X.
    0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0x94, 0x9c, 0xa4,
    0xac, 0x84, // From A to X, and back.
    0x07, 0x87,
];

/// `BPF_RET | BPF_K`.
const RETURN_CONSTANT: u16 = 0x06;

/// `BPF_JMP | BPF_JA`: the only jump that can go back.
const JUMP: u16 = 0x05;

/// Instructions as `pcap_compile` made them, here or in another process: validated, ending in a return on every path. Read-only from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program(Box<[Instruction]>);

/// A pcap file header of version 2.4 in this machine's byte order, without packets
/// (draft-ietf-opsawg-pcap, section 4).
fn empty_savefile(link_type: u16) -> [u8; 24] {
    let mut header = [0; 24];
    let words = [
        0xA1B2_3C4D_u32.to_ne_bytes(),
        [0; 4],
        [0; 4],
        [0; 4],
        SNAPLEN.to_ne_bytes(),
        u32::from(link_type).to_ne_bytes(),
    ];
    for (to, word) in header.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word);
    }
    for (to, half) in header.chunks_exact_mut(2).skip(2).zip([2u16, 4]) {
        to.copy_from_slice(&half.to_ne_bytes());
    }
    header
}

fn open(link_type: u16) -> Result<Capture<Offline>, FilterError> {
    let setup = |e: &dyn std::fmt::Display| FilterError::Setup(e.to_string());
    let (reader, mut writer) = std::io::pipe().map_err(|e| setup(&e))?;
    writer.write_all(&empty_savefile(link_type)).map_err(|e| setup(&e))?;
    drop(writer);
    // SAFETY: the descriptor is open and given away: libpcap's FILE is its only owner and closes it.
    unsafe { Capture::from_raw_fd(reader.into_raw_fd()) }.map_err(|e| setup(&e))
}

/// What libpcap calls a link type.
pub(super) fn name(link_type: u16) -> Option<String> {
    open(link_type).ok()?.get_datalink().get_name().ok()
}

/// What libpcap's compiler is to make of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// What `tcpdump` runs.
    Optimised,
    /// What `tcpdump -O` runs: each primitive asks all that it asks, whatever was asked before.
    Plain,
}

/// Compiles `expression`; the inner error is libpcap's message.
pub(super) fn compile(expression: &str, link_type: u16, form: Form) -> Result<Result<Program, String>, FilterError> {
    let handle = open(link_type)?;
    let program = match handle.compile(expression, form == Form::Optimised) {
        Ok(program) => program,
        Err(pcap::Error::PcapError(message)) => return Ok(Err(message)),
        Err(other) => return Ok(Err(other.to_string())),
    };
    let made = program.get_instructions();
    if made.is_empty() {
        return Ok(Err("libpcap made an empty program".into()));
    }
    // SAFETY: `BpfInstruction` is a transparent `struct bpf_insn`, which `Instruction` mirrors (sizes asserted above);
    // the slice lives as long as `program`, and is copied.
    let copied = unsafe { std::slice::from_raw_parts(made.as_ptr().cast::<Instruction>(), made.len()) };
    Ok(Ok(Program(copied.into())))
}

impl Program {
    /// As it goes from one process of this program to another.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let one = |i: &Instruction| {
            let [a, b] = i.code.to_ne_bytes();
            let [k0, k1, k2, k3] = i.k.to_ne_bytes();
            [a, b, i.jump_true, i.jump_false, k0, k1, k2, k3]
        };
        self.0.iter().flat_map(one).collect()
    }

    /// The other way; `None`: that is no program.
    pub(super) fn checked(bytes: &[u8]) -> Option<Program> {
        let (all, rest) = bytes.as_chunks::<8>();
        let one = |&[a, b, jump_true, jump_false, k0, k1, k2, k3]: &[u8; 8]| Instruction {
            code: u16::from_ne_bytes([a, b]),
            jump_true,
            jump_false,
            k: u32::from_ne_bytes([k0, k1, k2, k3]),
        };
        let program: Box<[Instruction]> = all.iter().map(one).collect();
        let len = i32::try_from(program.len()).ok().filter(|n| *n > 0 && rest.is_empty())?;
        if !program.iter().all(|i| KNOWN.contains(&i.code)) {
            return None;
        }
        // SAFETY: the instructions are readable, `len` of them.
        let valid = unsafe { bpf_validate(program.as_ptr(), len) } != 0;
        valid.then_some(Program(program))
    }

    /// Whether it jumps back somewhere, as `protochain` does: then it may never end.
    pub(super) fn jumps_back(&self) -> bool {
        self.0.iter().any(|i| i.code == JUMP && i.k.cast_signed() < 0)
    }

    pub(super) fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    #[inline]
    pub(super) fn run(&self, data: &[u8], wire_len: u32) -> bool {
        let captured = u32::try_from(data.len()).unwrap_or(u32::MAX);
        // SAFETY: the instructions come from `pcap_compile`, or were checked by `bpf_validate`: every path ends in a return,
        // with jumps inside; they are not changed, and none goes back ([`Filter`](super::Filter) has others run by its own
        // interpreter). `data` is readable for `captured` bytes, and the interpreter checks
        // every load against that.
        unsafe { bpf_filter(self.0.as_ptr(), data.as_ptr(), wire_len, captured) != 0 }
    }

    pub(super) fn accepts_all(&self) -> bool {
        matches!(*self.0, [Instruction { code: RETURN_CONSTANT, k: 1.., .. }])
    }
}
