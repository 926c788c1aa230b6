//! Where packets come from. Owns the trait that all sources share and the packet as it is lent to the worker's step.
//! Called by the worker's loop; a source never knows what becomes of a packet.

pub mod clock;
pub mod described;
pub mod file;
pub mod live;
pub mod options;
pub mod packet;
pub mod xdp;

pub use options::InputOptions;

use described::{Description, NamesAndSecrets};
use std::sync::Arc;

/// One packet, lent for the time of one batch.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Unix time, ns.
    pub time: u64,
    /// Bytes on the wire; at least `data.len()`.
    pub wire_len: u32,
    /// Index into the source's [`Interface`] list.
    pub iface: u16,
    /// Low half of the flow hash, where the kernel has computed it.
    pub hash: Option<u32>,
    /// Captured bytes.
    pub data: &'a [u8],
    /// What its block in a pcapng file says beside: comments, direction, hashes. None from a wire.
    pub options: InputOptions<'a>,
}

/// An interface that packets arrive on: becomes an interface description block in each segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// `eth0`, or for a queue of several `eth0:3`; for a file the name in its interface description, else the file's.
    pub name: String,
    /// pcap link type (LINKTYPE_*).
    pub link_type: u16,
    /// What a pcapng file says of it; `None` from a wire and from pcap.
    pub description: Option<Arc<Description>>,
    /// What the section's packets are read with.
    pub beside: Option<Arc<NamesAndSecrets>>,
}

impl Interface {
    /// One of which no more is known.
    pub fn new(name: impl Into<String>, link_type: u16) -> Interface {
        Interface { name: name.into(), link_type, description: None, beside: None }
    }

    /// Whether both are the same interface in the same words; names and secrets that came meanwhile make no other of it.
    pub fn is_same(&self, other: &Interface) -> bool {
        fn words(d: Option<&Arc<Description>>) -> (&[u8], &[u8]) {
            d.map_or((&[], &[]), |d| (&d.options, &d.section))
        }
        // Asked for each packet of an answer: mostly there are no words, or they are the very same.
        let same_words = || match (&self.description, &other.description) {
            (None, None) => true,
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => true,
            (a, b) => words(a.as_ref()) == words(b.as_ref()),
        };
        self.link_type == other.link_type && self.name == other.name && same_words()
    }
}

/// What a poll brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// This many packets went through the step.
    Packets(usize),
    /// Nothing now.
    Idle,
    /// Nothing ever again: the last file is at its end.
    End,
}

/// A source, as its one worker drives it.
pub trait Source {
    /// Why a source gives up.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Lends the next packets, at most [`BATCH_PACKETS`](crate::limits::BATCH_PACKETS), to `step`, and takes their
    /// memory back before it returns. Never blocks.
    fn poll(&mut self, step: impl FnOnce(&[Packet<'_>], &[Interface])) -> Result<Polled, Self::Error>;

    /// Sleeps until packets may be there, at most `timeout_ns`.
    fn wait(&mut self, timeout_ns: u64) -> Result<(), Self::Error>;

    /// How long a worker may sleep while packets come, ns: the memory in which they gather bridges that many times over, at
    /// any rate. 0: it has to go on polling, because that drives the receive loop or because there is no such memory.
    fn nap_ns(&self) -> u64 {
        0
    }

    /// No more packets are wanted: from now on `poll` brings what has arrived already, then [`Polled::End`].
    fn stop(&mut self);

    /// All interfaces known so far, the same list in every worker of a recorder; only ever grows.
    fn interfaces(&self) -> &[Interface];

    /// True for files: the loop waits for room in the store instead of dropping.
    fn patient(&self) -> bool;
}
