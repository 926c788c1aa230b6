//! The account of what happens before the worker, put together from the kernel programs' counters, the rings and the
//! sockets. At rest (after [`Feed::cut`](super::Feed::cut), rings read empty) it is exact.

use super::start::{Engine, PacketEngine, XdpEngine};
use super::{Error, Live};
use crate::iface::{Link, NicCounters};
use crate::metrics::account::SourceCounts;
use std::sync::atomic::Ordering;

impl Live {
    /// All interfaces together.
    pub fn account(&self) -> Result<SourceCounts, Error> {
        let mut sum = SourceCounts::default();
        match &self.engine {
            Engine::Xdp(engine) => {
                for iface in 0..self.tapped.len() {
                    sum += engine.program.counters.read(iface)?;
                }
                sum.in_ring = engine.in_ring();
                if !engine.program.counters.counts_failures() {
                    self.failures_of_sockets(engine, &mut sum);
                }
            }
            Engine::Packet(engine) => {
                for iface in 0..self.tapped.len() {
                    sum += engine.program.counters.read(iface)?;
                }
                sum.lost = engine.lost();
            }
        }
        Ok(sum)
    }

    /// Redirect failures without the tracepoint: from XDP_STATISTICS. There `rx_dropped` is a frame that was wanting or a
    /// packet that did not fit (with several frames a packet it always fits), `rx_ring_full` a full RX ring; a
    /// socket that was not (or no longer) bound is counted nowhere, and is what is missing once nothing moves any more.
    fn failures_of_sockets(&self, engine: &XdpEngine, sum: &mut SourceCounts) {
        for port in &engine.ports {
            let Some(Ok(s)) = port.statistics.as_ref().map(rustix::net::sockopt::xdp_statistics) else { continue };
            sum.redirect_failed.ring_full += s.rx_ring_full.unwrap_or(0);
            if port.scatter_gather {
                sum.redirect_failed.no_frame += s.rx_dropped;
            } else {
                let no_frame = s.rx_fill_ring_empty_descs.unwrap_or(s.rx_dropped).min(s.rx_dropped);
                sum.redirect_failed.no_frame += no_frame;
                sum.redirect_failed.too_big += s.rx_dropped - no_frame;
            }
        }
        if self.feed.is_cut() {
            let received: u64 = engine.received.iter().map(|r| r.load(Ordering::Relaxed)).sum();
            sum.redirect_failed.unbound =
                sum.redirected.packets.saturating_sub(received + sum.in_ring + sum.redirect_failed.total());
        }
    }

    /// What each interface's NIC dropped before anyone saw it, since the capture began: shown beside the account.
    pub fn nic_losses(&self) -> Vec<(String, NicCounters)> {
        self.tapped
            .iter()
            .filter_map(|t| {
                let now = Link::by_index(t.link.index).ok()??.counters;
                let then = t.link.counters;
                Some((
                    t.link.name.clone(),
                    NicCounters {
                        rx_packets: now.rx_packets.saturating_sub(then.rx_packets),
                        rx_dropped: now.rx_dropped.saturating_sub(then.rx_dropped),
                        rx_missed: now.rx_missed.saturating_sub(then.rx_missed),
                        rx_over: now.rx_over.saturating_sub(then.rx_over),
                        rx_fifo: now.rx_fifo.saturating_sub(then.rx_fifo),
                        rx_errors: now.rx_errors.saturating_sub(then.rx_errors),
                    },
                ))
            })
            .collect()
    }
}

impl XdpEngine {
    /// Descriptors in all RX rings.
    fn in_ring(&self) -> u64 {
        self.ports.iter().map(|p| u64::from(p.level.descriptors())).sum()
    }
}

impl PacketEngine {
    /// Packets that the rings had no room for, since the start.
    fn lost(&self) -> u64 {
        let mut sum = self.lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for socket in &self.sockets {
            *sum += socket.statistics().map_or(0, |s| s.drops);
        }
        *sum
    }
}
