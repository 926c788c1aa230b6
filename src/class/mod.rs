//! Storage classes: which connections, how much of each, for how long. Owns the class as the worker reads it, built
//! from the configuration before the start. Called by the tracker at a connection's first packet.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod keep;
mod roster;
mod set;

use crate::limits::SNAPLEN;
use crate::packet::key::{Kind, Tail};
use serde::{Deserialize, Serialize};

pub use keep::Keep;
pub use roster::Roster;
pub use set::{Class, ClassError, ClassSet};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Index of a class in the plan; [`ALL`] is always there.
pub type ClassId = u8;

/// The class of what no other class matches.
pub const ALL: ClassId = 0;

/// Idle timeouts by protocol, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    /// TCP.
    pub tcp_ns: u64,
    /// UDP.
    pub udp_ns: u64,
    /// ICMP and ICMPv6.
    pub icmp_ns: u64,
    /// All else, ARP and fragments of unknown ports included.
    pub other_ns: u64,
}

impl Idle {
    /// The timeout of a connection with this name.
    #[inline]
    pub fn ns(&self, of: &Tail) -> u64 {
        match (of.kind(), of.proto) {
            (Kind::Ip, TCP) => self.tcp_ns,
            (Kind::Ip, UDP) => self.udp_ns,
            (Kind::Ip, ICMP | ICMPV6) => self.icmp_ns,
            _ => self.other_ns,
        }
    }
}

/// What is stored of link types, tunnels and encapsulations that the parser does not follow
/// ([`Key::aggregate`](crate::packet::key::Key::aggregate)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownCutoff {
    /// Everything.
    Whole,
    /// So many bytes.
    Bytes(u64),
    /// As much as of a connection.
    Same,
}

/// How much of each connection of a class is kept, and when a connection has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Bytes after which a connection is no longer stored; `None`: everything is stored.
    pub cutoff_bytes: Option<u64>,
    /// The same in packets; the first limit reached wins.
    pub cutoff_packets: Option<u64>,
    /// The same of what is no connection but may carry many, in place of both.
    pub cutoff_unknown: UnknownCutoff,
    /// A random amount of 0 to this many bytes is added to `cutoff_bytes` for each connection.
    pub cutoff_jitter: u64,
    /// Past the cutoff one packet in so many is stored; 0: none is.
    pub sample: u32,
    /// Bytes kept of each packet at most.
    pub snaplen: u32,
    /// When a silent connection has ended.
    pub idle: Idle,
    /// Interval at which the count of a lasting TCP connection starts anew, ns; `None`: never.
    pub renew_tcp_ns: Option<u64>,
    /// The same for all others.
    pub renew_other_ns: Option<u64>,
    /// False: counted, never stored.
    pub record: bool,
}

impl Policy {
    const S: u64 = 1_000_000_000;

    /// The definition's own figures.
    pub const STANDARD: Policy = Policy {
        cutoff_bytes: Some(15 << 10),
        cutoff_packets: None,
        cutoff_unknown: UnknownCutoff::Whole,
        cutoff_jitter: 0,
        sample: 0,
        snaplen: SNAPLEN,
        idle: Idle { tcp_ns: 300 * Self::S, udp_ns: 180 * Self::S, icmp_ns: 180 * Self::S, other_ns: 180 * Self::S },
        renew_tcp_ns: None,
        renew_other_ns: Some(600 * Self::S),
        record: true,
    };

    /// Interval at which its count starts anew, ns.
    #[inline]
    pub fn renew_ns(&self, tcp: bool) -> Option<u64> {
        if tcp { self.renew_tcp_ns } else { self.renew_other_ns }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::STANDARD
    }
}
