//! The account of what happens before the worker, put together from the kernel programs' counters, the rings and the
//! sockets. At rest (after [`Feed::cut`](super::Feed::cut), rings read empty) it is exact.

use super::start::{Engine, PacketEngine, XdpEngine};
use super::{Error, Live, Tapped};
use crate::iface::{Link, NicCounters};
use crate::limits::QUEUES_MAX;
use crate::metrics::account::SourceCounts;
use std::sync::atomic::Ordering;

impl Live {
    /// All interfaces together.
    pub fn account(&self) -> Result<SourceCounts, Error> {
        Ok(self.ports()?.into_iter().fold(SourceCounts::default(), |mut sum, port| {
            sum += port;
            sum
        }))
    }

    /// By interface, in the order of [`Live::interfaces`]: each queue (`xdp`), each interface (`packet`).
    pub fn ports(&self) -> Result<Vec<SourceCounts>, Error> {
        match &self.engine {
            Engine::Xdp(engine) => {
                let mut ports = Vec::with_capacity(self.interfaces.len());
                for (slot, t) in self.tapped.iter().enumerate() {
                    for queue in 0..t.queues {
                        ports.push(engine.program.counters.read(slot, queue)?);
                    }
                    // Queues that came into use since: without sockets, theirs is what passes.
                    for queue in t.queues..QUEUES_MAX as u32 {
                        let more = engine.program.counters.read(slot, queue)?;
                        ports.iter_mut().last().into_iter().for_each(|p| *p += more);
                    }
                }
                for (port, level) in ports.iter_mut().zip(engine.levels(self.interfaces.len())) {
                    port.in_ring = level;
                }
                if !engine.program.counters.counts_failures() {
                    self.failures_of_sockets(engine, &mut ports);
                }
                Ok(ports)
            }
            Engine::Packet(engine) => {
                let lost = engine.lost();
                let read = |(slot, lost)| Ok(SourceCounts { lost, ..engine.program.counters.read(slot, 0)? });
                lost.into_iter().enumerate().map(read).collect()
            }
        }
    }

    /// Interface and queue by name, in the order of [`Live::interfaces`]; `packet` knows no queues.
    pub fn port_names(&self) -> Vec<(String, Option<u32>)> {
        let xdp = matches!(self.engine, Engine::Xdp(_));
        let queues =
            |t: &Tapped| -> Vec<Option<u32>> { if xdp { (0..t.queues).map(Some).collect() } else { vec![None] } };
        self.tapped.iter().flat_map(|t| queues(t).into_iter().map(|q| (t.link.name.clone(), q))).collect()
    }

    /// The interfaces and whether they had a link at the last look.
    pub fn links(&self) -> Vec<(String, bool)> {
        let up = |l: &Link| l.index != 0 && l.up && l.carrier;
        self.tapped.iter().map(|t| (t.link.name.clone(), up(&t.link))).collect()
    }

    /// Places of each interface's ring in packets, in the order of [`Live::interfaces`]; `packet` has rings of bytes and none.
    pub fn ring_sizes(&self) -> Vec<u64> {
        match &self.engine {
            Engine::Xdp(engine) => vec![u64::from(engine.config.rx_entries); self.interfaces.len()],
            Engine::Packet(_) => Vec::new(),
        }
    }

    /// How full the fullest ring is, as a part of 1.
    pub fn ring_fill(&self) -> f64 {
        match &self.engine {
            Engine::Xdp(engine) => {
                let places = f64::from(engine.config.rx_entries.max(1));
                engine.ports.iter().map(|p| f64::from(p.level.descriptors()) / places).fold(0.0, f64::max)
            }
            Engine::Packet(engine) => engine.levels.iter().map(|(_, level)| level.fill()).fold(0.0, f64::max),
        }
    }

    /// Redirect failures without the tracepoint: from XDP_STATISTICS. There `rx_dropped` is a frame that was wanting or a
    /// packet that did not fit (with several frames a packet it always fits), `rx_ring_full` a full RX ring; a
    /// socket that was not (or no longer) bound is counted nowhere, and is what is missing once nothing moves any more.
    fn failures_of_sockets(&self, engine: &XdpEngine, ports: &mut [SourceCounts]) {
        for view in &engine.ports {
            let Some(Ok(s)) = view.statistics.as_ref().map(rustix::net::sockopt::xdp_statistics) else { continue };
            let Some(port) = ports.get_mut(usize::from(view.interface)) else { continue };
            port.redirect_failed.ring_full += s.rx_ring_full.unwrap_or(0);
            if view.scatter_gather {
                port.redirect_failed.no_frame += s.rx_dropped;
            } else {
                let no_frame = s.rx_fill_ring_empty_descs.unwrap_or(s.rx_dropped).min(s.rx_dropped);
                port.redirect_failed.no_frame += no_frame;
                port.redirect_failed.too_big += s.rx_dropped - no_frame;
            }
        }
        if self.feed.is_cut() {
            for (port, received) in ports.iter_mut().zip(&engine.received) {
                let known = received.load(Ordering::Relaxed) + port.in_ring + port.redirect_failed.total();
                port.redirect_failed.unbound = port.redirected.packets.saturating_sub(known);
            }
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
    /// Descriptors in the RX rings of each of so many interfaces.
    fn levels(&self, interfaces: usize) -> Vec<u64> {
        let mut levels = vec![0; interfaces];
        for port in &self.ports {
            if let Some(level) = levels.get_mut(usize::from(port.interface)) {
                *level += u64::from(port.level.descriptors());
            }
        }
        levels
    }
}

impl PacketEngine {
    /// Packets that the rings had no room for, since the start, by interface.
    fn lost(&self) -> Vec<u64> {
        let mut lost = self.lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (interface, socket) in &self.sockets {
            if let Some(lost) = lost.get_mut(*interface) {
                *lost += socket.statistics().map_or(0, |s| s.drops);
            }
        }
        lost.clone()
    }
}
