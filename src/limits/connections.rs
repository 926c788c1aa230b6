//! Connections and their classes: how many there are, how long one is remembered, what a flood may take.

/// Storage classes.
pub const CLASSES_MAX: usize = 64;
/// The least `snaplen` of a class: link, IP and transport headers without options.
pub const CLASS_SNAPLEN_MIN: u32 = 64;
/// Past the cutoff of a sampled class one packet in so many is stored, at most.
pub const SAMPLE_MAX: u32 = 1_000_000;
/// Tracked IPv4 connections unless configured, all workers together.
pub const CONNECTIONS_IPV4: usize = 1_000_000;
/// Tracked connections of IPv6 and what is not IP unless configured.
pub const CONNECTIONS_IPV6: usize = 250_000;
/// The same at a wire: 22 thousand new connections/s (10 Gbps of the lab mix) that are kept for up to 300 s after their last packet.
pub const CONNECTIONS_LIVE_IPV4: usize = 4_000_000;
/// The same at a wire.
pub const CONNECTIONS_LIVE_IPV6: usize = 1_000_000;
/// Past the cutoff this many SYN, FIN and RST of a connection are still stored.
pub const CONTROL_PACKETS_MAX: u8 = 16;
/// A first fragment is remembered this long for the fragments that follow it.
pub const FRAGMENT_NS: u64 = 30_000_000_000;
/// After its end a connection lingers this long: packets count on.
pub const LINGER_NS: u64 = 30_000_000_000;
/// After this silence a SYN with a new sequence number starts a new connection.
pub const SYN_SILENCE_NS: u64 = 60_000_000_000;
/// Share of the places of a connection table that are filled, in percent, when it holds as many as it was made for.
pub const TABLE_LOAD_PERCENT: usize = 96;
/// Connections of one size that one worker's table can be made for.
pub const CONNECTIONS_MAX: usize = 1 << 28;
/// One first fragment is remembered for so many connections of the table.
pub const CONNECTIONS_PER_FRAGMENT: usize = 128;
/// First fragments that are remembered at a time, at least.
pub const FRAGMENTS_MIN: usize = 64;
/// Packets that find the connection table full and are stored all the same, in one second and by one worker.
pub const UNTRACKED_PER_SECOND: u32 = 20_000;
/// Places in which one-sided connections are counted by their source.
pub const FLOOD_PLACES: usize = 65_536;
/// Above a flood's limits one new connection in so many is tracked; a power of two.
pub const FLOOD_SAMPLE: u64 = 64;
/// Unless configured one source may have this part of the IPv4 table in one-sided connections open, at a wire ...
pub const FLOOD_TABLE_PART: usize = 40;
/// ... but so many in any case.
pub const FLOOD_LIMIT_MIN: usize = 10_000;
/// The least that can be configured: a busy host has more connections under way at any time.
pub const FLOOD_LIMIT_LEAST: usize = 100;
/// All one-sided connections together may take this much of a table.
pub const FLOOD_TABLE_PERCENT: usize = 75;
/// A flood is over when there was none for this long.
pub const FLOOD_CALM_NS: u64 = 10_000_000_000;
/// Retiring slots among which a look-up searches for a connection's.
pub const RETIRING_SEARCHED_MAX: usize = 1024;
/// Receipts that wait in a tracker at most.
pub const RECEIPTS_WAITING: usize = 8192;
/// A packet may be this much older than those before it and still find its connection.
pub const DISORDER_NS: u64 = 4_000_000_000;
/// Connections that last are given a receipt once in each such span of Unix time.
pub const HOUR_NS: u64 = 3_600_000_000_000;
/// Places of the shunt unless configured, all workers together.
pub const SHUNT_SLOTS: u32 = 65_536;
/// A connection that found no place in the shunt tries again after this many seconds.
pub const SHUNT_RETRY_SECONDS: u32 = 2;
/// A shunted connection without a hit for this long gives its slot to another that needs it.
pub const SHUNT_COLD_NS: u64 = 2_000_000_000;
/// Cold connections of the shunt that the sweep keeps in mind.
pub const SHUNT_COLD_MAX: usize = 32;

const _: () = assert!(FLOOD_SAMPLE.is_power_of_two());
