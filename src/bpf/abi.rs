//! What kernel and process read in each other's memory, as Rust sees `ebpf/retrotap.h`. Owns the layouts; sizes and
//! offsets are asserted against the header's own types, as the compiler of the programs wrote them down (BTF).

use super::skel::{packet, redirect_err, xdp};
use crate::limits::{IFACES_MAX, QUEUES_MAX};
use crate::packet::HASH_WORDS;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, AtomicU64};

pub use redirect_err::types::rt_redirect_failed as RawRedirectFailed;
pub use xdp::types::rt_counts as RawCounts;

/// `struct rt_meta`: what the XDP program says of a packet, in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// CLOCK_MONOTONIC, ns.
    pub time: u64,
    /// Low half of the flow hash.
    pub hash: u32,
}

impl Meta {
    /// Reads the bytes in front of a packet. `None`: the driver had no room for them.
    #[inline]
    pub fn read(bytes: &[u8; crate::xsk::socket::META_BYTES]) -> Option<Meta> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = *bytes;
        let time = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        (time != 0).then(|| Meta { time, hash: u32::from_ne_bytes([i, j, k, l]) })
    }
}

/// `struct rt_shunt_slot`: a shunted connection, whose packets the kernel counts and its worker reads.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Slot {
    /// Packets dropped.
    pub packets: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// CLOCK_MONOTONIC of the last, ns; up to a tick behind.
    pub last: AtomicU64,
    /// [`PASS`], [`DROP`] or [`SAMPLE`].
    pub state: AtomicU32,
    /// 1: the key is a `Key6`.
    pub wide: AtomicU32,
    /// [`Key::words`](crate::packet::key::Key::words).
    pub key: [AtomicU64; HASH_WORDS],
    /// [`SAMPLE`]: one packet in so many goes up.
    pub sample: AtomicU32,
    zero: u32,
    /// [`SAMPLE`]: packets so far, those that went up included.
    pub hits: AtomicU64,
    /// Of those that went up, how many the worker has met.
    pub taken: AtomicU64,
    pad: [u64; 3],
}

/// Places of a bucket (RT_SHUNT_PLACES).
pub const PLACES: usize = 8;

/// `struct rt_shunt_bucket`: each place 0, or the tag in the high half and the slot's number plus 1 in the low.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Bucket(pub [AtomicU64; PLACES]);

/// RT_SHUNT_PASS: free or retiring.
pub const PASS: u32 = 0;
/// RT_SHUNT_DROP.
pub const DROP: u32 = 1;
/// RT_SHUNT_SAMPLE: dropped, but for one packet in so many.
pub const SAMPLE: u32 = 2;

/// Index of a queue in the maps `xsks`, `counts` and `redirect_failed`.
pub fn queue_index(iface: usize, queue: u32) -> u32 {
    (iface * QUEUES_MAX) as u32 + queue
}

const _: () = {
    use xdp::types::rt_shunt_slot as Raw;
    assert!(size_of::<Slot>() == size_of::<Raw>() && size_of::<Slot>() == 128);
    assert!(offset_of!(Slot, wide) == offset_of!(Raw, wide) && offset_of!(Slot, key) == offset_of!(Raw, key));
    assert!(size_of::<Bucket>() == size_of::<xdp::types::rt_shunt_bucket>());
    assert!(size_of::<packet::types::rt_shunt_bucket>() == 64);
    assert!(offset_of!(Slot, packets) == offset_of!(Raw, packets));
    assert!(offset_of!(Slot, bytes) == offset_of!(Raw, bytes));
    assert!(offset_of!(Slot, last) == offset_of!(Raw, last));
    assert!(offset_of!(Slot, state) == offset_of!(Raw, state));
    assert!(offset_of!(Slot, sample) == offset_of!(Raw, sample) && offset_of!(Slot, hits) == offset_of!(Raw, hits));
    assert!(offset_of!(Slot, taken) == offset_of!(Raw, taken));
    assert!(size_of::<packet::types::rt_shunt_slot>() == 128);
    assert!(size_of::<packet::types::rt_counts>() == size_of::<RawCounts>());
    assert!(size_of::<crate::packet::key::Key6>() == size_of::<xdp::types::rt_key6>());
    assert!(size_of::<RawCounts>() == 72 && size_of::<RawRedirectFailed>() == 32);
    assert!(IFACES_MAX == 8 && QUEUES_MAX == 64);
};
