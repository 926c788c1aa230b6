//! A tap: interfaces, their queues and rings, and what the parsers read of a packet. Some are those of the kernel's programs (`ebpf/retrotap.h`).

/// Snap length written in every interface description: libpcap refuses a file whose interfaces differ in it.
pub const SNAPLEN: u32 = 262_144;
/// Packets of one batch through the worker's step.
pub const BATCH_PACKETS: usize = 64;
/// Interfaces of one recorder (RT_IFACES_MAX of ebpf/retrotap.h).
pub const IFACES_MAX: usize = 8;
/// Queues of one interface (RT_QUEUES_MAX).
pub const QUEUES_MAX: usize = 64;
/// Frames of one worker's AF_XDP rings unless configured: at 300 thousand packets/s more than 400 ms.
pub const FRAMES: u32 = 131_072;
/// Bytes of a frame unless configured; 256 of them are the kernel's.
pub const FRAME_BYTES: u32 = 2048;
/// Largest frame.
pub const FRAME_BYTES_MAX: u32 = 4096;
/// An interface or queue that is still held, by a recorder that has just died, is tried again for this long: the kernel
/// lets go of it a little later.
pub const BUSY_NS: u64 = 1_000_000_000;
/// CPUs that a set of them can name.
pub const CPUS_MAX: usize = 1024;
/// Within this time a copy of a frame is a duplicate, unless configured ...
pub const DEDUP_NS: u64 = 10_000_000;
/// ... and at most this: what is further apart was sent twice.
pub const DEDUP_NS_MAX: u64 = 1_000_000_000;
/// Frames that one worker remembers to find duplicates: 16 bytes each.
pub const DEDUP_FRAMES: usize = 1 << 16;
/// VLAN tags of one Ethernet header that are read (RT_VLANS_MAX).
pub const VLANS_MAX: usize = 2;
/// MPLS labels of one stack (RT_MPLS_MAX).
pub const MPLS_MAX: usize = 6;
/// IPv6 extension headers of one IPv6 header (RT_EXT_MAX).
pub const EXT_MAX: usize = 8;
/// IP and tunnel headers of one packet (RT_LAYERS_MAX).
pub const LAYERS_MAX: usize = 6;
/// Header bytes that the parsers look at (RT_PARSE_BYTES).
pub const PARSE_BYTES: usize = 512;
