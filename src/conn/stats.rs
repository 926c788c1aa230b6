//! Counters and gauges of a tracker. Published with the worker's counts.

/// What a tracker tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackerStats {
    /// IPv4 connections in the table.
    pub live_v4: u64,
    /// IPv6 connections and those that are not IP.
    pub live_v6: u64,
    /// Connections begun; `begun = ended + live_v4 + live_v6`.
    pub begun: u64,
    /// Connections that left the table.
    pub ended: u64,
    /// Counts that started anew.
    pub renewed: u64,
    /// Connections that had ended and were removed at once to make room for another.
    pub made_room: u64,
    /// Times that a running connection's count was set right under new orders.
    pub recounted: u64,
    /// Packets of connections that a flood's limits kept out: dropped, or stored untracked.
    pub flood_refused: u64,
    /// Sources that have as many one-sided connections open as they may.
    pub flooding: u64,
    /// Connections that nobody has answered.
    pub one_sided: u64,
    /// 1: these take what they may of a table.
    pub crowded: u64,
    /// Packets whose connection found no place.
    pub table_full: u64,
    /// Stored although their connection is not tracked.
    pub untracked: u64,
    /// Connections in the shunt.
    pub shunt_live: u64,
    /// Slots on their way out of it.
    pub shunt_retiring: u64,
    /// Connections put into it.
    pub shunt_inserted: u64,
    /// Tries that found no slot free.
    pub shunt_full: u64,
    /// Tries that the kernel refused, an old slot of the same connection included.
    pub shunt_failed: u64,
    /// Connections that had to leave it for hotter ones.
    pub shunt_evicted: u64,
    /// Receipts made.
    pub receipts: u64,
    /// Receipts for which there was no room.
    pub receipts_lost: u64,
}

crate::words!(
    TrackerStats: live_v4, live_v6, begun, ended, renewed, made_room, recounted, flood_refused, flooding, one_sided, crowded, table_full, untracked, shunt_live, shunt_retiring,
    shunt_inserted, shunt_full, shunt_failed, shunt_evicted, receipts, receipts_lost
);
