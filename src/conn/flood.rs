//! Floods: connections that begin and nobody answers. Owns a count of the open ones by source and of all, in memory of fixed size, and what
//! of those that begin above the limits is refused. Called by the tracker at a connection's first packet, its first answer and its end.
//!
//! - **One source** may have so many open. Sources are counted in places of a table by a secret hash (of IPv6 the /64); those that share a
//!   place share its limit. Above it one connection in [`FLOOD_SAMPLE`] is tracked, always the same ones, and packets of the others
//!   are dropped and counted as `flood`.
//! - **All sources together** may take [`FLOOD_TABLE_PERCENT`] of a table: that is what bounds a flood whose sources are forged. Above it, of
//!   the connections whose first packet anyone can forge (it acknowledges nothing) one in [`FLOOD_SAMPLE`] is tracked; the
//!   packets of others are stored untracked, as where the table is full, within the same cap.
//! - **An answer** gives the place back: a packet of the other side that is no SYN, SYN-ACK or RST. So a scan that is refused, and half-open
//!   connections, count on. So does the shunt: what is past its cutoff there is no flood.
//! - A connection of a refused source that is answered is begun by the answer: what is lost of it is what came before.

use super::cutoff::Secret;
use super::plan::TrackerPlan;
use crate::limits::{FLOOD_PLACES, FLOOD_SAMPLE, FLOOD_TABLE_PERCENT};
use crate::packet::key::Key;
use std::net::IpAddr;

/// Why a connection that begins is not tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its source has too many.
    Source,
    /// There are too many in all.
    Crowd,
}

/// The counts.
#[derive(Debug)]
pub(super) struct Floods {
    open: Box<[u32]>,
    limit: u32,
    /// Of IPv4; of all else.
    all: [usize; 2],
    share: [usize; 2],
    seed: [u64; 2],
    at_limit: u64,
    suspect: Suspect,
}

/// Whom most of what was refused lately came from: the majority's vote of Boyer and Moore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Suspect {
    source: u128,
    votes: u64,
}

impl Floods {
    /// Without limits.
    pub(super) fn new(plan: &TrackerPlan, secret: &Secret) -> Floods {
        // Not zero at first, so that making it touches its memory.
        let mut open = vec![1; FLOOD_PLACES].into_boxed_slice();
        std::hint::black_box(&mut open).fill(0);
        let wide = u128::from_le_bytes(*secret);
        Floods {
            open,
            limit: u32::MAX,
            all: [0; 2],
            share: [plan.connections_v4, plan.connections_v6].map(|n| n * FLOOD_TABLE_PERCENT / 100),
            seed: [(wide >> 64) as u64, wide as u64 | 1],
            at_limit: 0,
            suspect: Suspect::default(),
        }
    }

    /// Bytes that [`new`](Floods::new) takes.
    pub(super) fn bytes() -> usize {
        FLOOD_PLACES * size_of::<u32>()
    }

    /// `None`: none, for the crowd neither.
    pub(super) fn limit(&mut self, limit: Option<u32>) {
        self.limit = limit.unwrap_or(u32::MAX);
        self.at_limit = self.open.iter().filter(|n| **n >= self.limit).count() as u64;
    }

    /// Sources at their limit, or places that they share.
    pub(super) fn at_limit(&self) -> u64 {
        self.at_limit
    }

    /// Connections that are open and nobody has answered.
    pub(super) fn one_sided(&self) -> u64 {
        self.all.iter().sum::<usize>() as u64
    }

    /// They take what they may of a table.
    pub(super) fn crowded(&self) -> bool {
        self.limit != u32::MAX && self.all.iter().zip(self.share).any(|(all, share)| *all >= share)
    }

    /// Whom most of what was refused came from: an IPv6 address, IPv4 mapped into it; 0: nobody, or not IP.
    pub(super) fn suspect(&self) -> u128 {
        self.suspect.source
    }

    /// The place of whoever sent a connection's first packet.
    #[inline]
    fn place(&self, key: &Key, from_one: bool) -> usize {
        let source = match key {
            Key::V4(k) => {
                let [a, b] = k.addr.map(u32::from_ne_bytes);
                u64::from(if from_one { b } else { a })
            }
            Key::V6(k) => {
                let [a, b] = k.addr.map(|a| u128::from_le_bytes(a) as u64);
                if from_one { b } else { a }
            }
        };
        let [add, times] = self.seed;
        let wide = u128::from(source ^ add) * u128::from(times);
        ((wide >> 64) as u64 ^ wide as u64) as usize % FLOOD_PLACES
    }

    #[inline]
    fn table(key: &Key) -> usize {
        usize::from(matches!(key, Key::V6(_)))
    }

    /// Whether a connection that begins is not to be tracked. `forgeable`: its packet acknowledges nothing.
    #[inline]
    pub(super) fn refuses(&mut self, key: &Key, from_one: bool, hash: u64, forgeable: bool) -> Option<Refused> {
        if self.limit == u32::MAX {
            return None;
        }
        let of = |list: &[usize; 2]| list.get(Self::table(key)).copied().unwrap_or(0);
        let open = self.open.get(self.place(key, from_one)).copied().unwrap_or(0);
        let why = match open >= self.limit {
            true => Refused::Source,
            false if forgeable && of(&self.all) >= of(&self.share) => Refused::Crowd,
            false => return None,
        };
        // Bits that neither the table nor the owner goes by.
        if hash.wrapping_mul(0xA076_1D64_78BD_642F) >> 40 & (FLOOD_SAMPLE - 1) == 0 {
            return None;
        }
        if why == Refused::Source {
            self.accuse(key, from_one);
        }
        Some(why)
    }

    #[cold]
    fn accuse(&mut self, key: &Key, from_one: bool) {
        let source = match key.addrs().map(|[a, b]| if from_one { b } else { a }) {
            Some(IpAddr::V4(a)) => a.to_ipv6_mapped().to_bits(),
            Some(IpAddr::V6(a)) => a.to_bits(),
            None => 0,
        };
        let s = &mut self.suspect;
        if s.source == source {
            s.votes += 1;
        } else if s.votes == 0 {
            *s = Suspect { source, votes: 1 };
        } else {
            s.votes -= 1;
        }
    }

    /// What the sources have open, in sum.
    #[cfg(test)]
    pub(super) fn open(&self) -> u64 {
        self.open.iter().map(|n| u64::from(*n)).sum()
    }

    /// A connection has begun.
    #[inline]
    pub(super) fn begin(&mut self, key: &Key, from_one: bool) {
        self.step(key, from_one, true);
    }

    /// It has been answered, or is there no more.
    #[inline]
    pub(super) fn release(&mut self, key: &Key, from_one: bool) {
        self.step(key, from_one, false);
    }

    #[inline]
    fn step(&mut self, key: &Key, from_one: bool, more: bool) {
        let place = self.place(key, from_one);
        if let (Some(n), Some(all)) = (self.open.get_mut(place), self.all.get_mut(Self::table(key))) {
            if more {
                (*n, *all) = (n.saturating_add(1), *all + 1);
                self.at_limit += u64::from(*n == self.limit);
            } else {
                self.at_limit = self.at_limit.saturating_sub(u64::from(*n == self.limit));
                (*n, *all) = (n.saturating_sub(1), all.saturating_sub(1));
            }
        }
    }
}
