//! A live capture: interfaces prepared, kernel programs loaded and attached, one source and one part of the shunt for each
//! worker, the account of what happens before the worker, and a watch over the interfaces and the clock. Owns all that has
//! to be put back when the capture ends; called by `record`.
//!
//! ```text
//! let survey = Survey::new(&names, Request::Auto)?;          // looks only: which source, how many workers
//! let mut live = Live::start(&survey, &LivePlan::default())?; // all is made
//! for (source, shunt) in live.workers.drain(..) { /* one thread each: Source and Shunt */ }
//! live.begin()?;                                              // from here on packets arrive
//! each second: for event in live.tick() { /* the ledger */ }
//! live.account()                                              // SourceCounts, any time
//! each worker: source.stop(), then poll until Polled::End     // the first stop cuts the feed for all
//! live.account()                                              // exact: in_ring is 0
//! drop(live)                                                  // interfaces are put back
//! ```

mod account;
mod feed;
mod rejoin;
mod start;
mod survey;
mod watch;

pub use feed::Feed;
pub use start::LivePlan;
pub use survey::{Survey, Tapped};
pub use watch::Event;

use super::clock::Clock;
use super::packet::PacketSource;
use super::xdp::{Never, XdpSource};
use super::{Interface, Packet, Polled, Source};
use crate::bpf::shunt::KernelShunt;
use crate::iface::prepare::Prepared;
use crate::metrics::account::SourceKind;
use std::sync::Arc;

/// Why a capture could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An interface is not there, or can't be made ready.
    #[error(transparent)]
    Interface(#[from] crate::iface::Error),
    /// `--source xdp` where it would cut the host off.
    #[error(transparent)]
    Refused(#[from] crate::iface::Refused),
    /// The kernel programs.
    #[error(transparent)]
    Program(#[from] crate::bpf::Error),
    /// An AF_XDP socket.
    #[error("{interface}: {source}")]
    Xsk {
        /// The interface.
        interface: String,
        /// What went wrong.
        source: crate::xsk::socket::Error,
    },
    /// A packet socket.
    #[error(transparent)]
    Packet(#[from] super::packet::Error),
    /// No interface, or too many.
    #[error("{0} interfaces: it takes from 1 to {max}", max = crate::limits::IFACES_MAX)]
    Count(usize),
    /// Twice the same.
    #[error("interface {0} is given twice")]
    Twice(String),
    /// It came back, but not so that the capture can go on with it.
    #[error("interface {0} is not what it was: it is recorded again after a restart")]
    Gone(String),
    /// Frames that are not packets of a kind that a capture file has a name for.
    #[error("{interface}: frames of hardware type {hardware} (ARPHRD) can't be recorded")]
    Hardware {
        /// The interface.
        interface: String,
        /// ARPHRD_*.
        hardware: u16,
    },
}

/// The source of one worker, of either kind.
// One a worker, never moved while it runs: the size does not matter.
#[allow(clippy::large_enum_variant)]
pub enum LiveSource {
    /// AF_XDP.
    Xdp(XdpSource),
    /// AF_PACKET.
    Packet(PacketSource),
}

impl Source for LiveSource {
    type Error = Never;

    #[inline]
    fn poll(&mut self, step: impl FnOnce(&[Packet<'_>], &[Interface])) -> Result<Polled, Never> {
        match self {
            LiveSource::Xdp(s) => s.poll(step),
            LiveSource::Packet(s) => s.poll(step),
        }
    }

    fn wait(&mut self, timeout_ns: u64) -> Result<(), Never> {
        match self {
            LiveSource::Xdp(s) => s.wait(timeout_ns),
            LiveSource::Packet(s) => s.wait(timeout_ns),
        }
    }

    fn nap_ns(&self) -> u64 {
        match self {
            LiveSource::Xdp(s) => s.nap_ns(),
            LiveSource::Packet(s) => s.nap_ns(),
        }
    }

    fn stop(&mut self) {
        match self {
            LiveSource::Xdp(s) => s.stop(),
            LiveSource::Packet(s) => s.stop(),
        }
    }

    fn interfaces(&self) -> &[Interface] {
        match self {
            LiveSource::Xdp(s) => s.interfaces(),
            LiveSource::Packet(s) => s.interfaces(),
        }
    }

    fn patient(&self) -> bool {
        false
    }
}

/// A running capture.
pub struct Live {
    /// One source and its part of the shunt for each worker; the caller takes them.
    pub workers: Vec<(LiveSource, KernelShunt)>,
    /// Which first line of the sum law holds.
    pub kind: SourceKind,
    /// What the user should be told, one line each: the source and why, modes, what could not be had.
    pub notes: Vec<String>,
    /// Packet time.
    pub clock: Arc<Clock>,
    /// Interfaces as packets name them, the same list in every source.
    pub interfaces: Arc<[Interface]>,
    tapped: Vec<Tapped>,
    /// Detaches when the last holder is gone; before `prepared`, which puts the interfaces back.
    feed: Arc<Feed>,
    engine: start::Engine,
    prepared: Prepared,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.feed.cut();
    }
}
