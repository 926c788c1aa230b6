//! AF_PACKET: the packets of an interface that the host lives on, without taking any from it. Owns the rings of one
//! worker; driven by the worker's loop, made by [`live`](super::live). The socket filter has counted and shunted before a
//! packet comes here; what the ring had no room for is the socket's `lost`.

mod ring;
mod socket;

pub use ring::{Level, Ring};
pub use socket::{Error, Fanout, PacketSocket, Statistics, settle};

use super::clock::Clock;
use super::live::Feed;
use super::{Interface, Packet, Polled, Source};
use crate::limits::{BATCH_PACKETS, IFACES_MAX, NAP_NS};
use crate::xsk::wait::Waiter;
use crossbeam_queue::ArrayQueue;
use std::cell::Cell;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One ring and the interface that its packets come from.
pub struct Tap {
    /// The ring.
    pub ring: Ring,
    /// Index into the list of interfaces.
    pub interface: u16,
}

/// How long a block that is still filling is waited for after a stop.
const STOP: Duration = Duration::from_secs(2);

/// How long one tap's packets wait at most for a block that another one fills: ten times what the kernel takes.
const HOLD: Duration = Duration::from_millis(100);
/// Rings that are read at a time: one of each interface. Where a worker has more, they take turns.
const LANES: usize = IFACES_MAX;

/// A block that is being read, and the time of its next packet.
struct Lane<'a> {
    block: ring::Block<'a>,
    time: Cell<Option<u64>>,
    interface: u16,
}

/// The source of one worker.
pub struct PacketSource {
    taps: Vec<Tap>,
    /// Taps that take the place of one whose interface came back.
    inbox: Arc<ArrayQueue<Tap>>,
    interfaces: Arc<[Interface]>,
    clock: Arc<Clock>,
    feed: Arc<Feed>,
    waiter: Waiter,
    turn: usize,
    /// Since when packets are there, but better wait.
    holding: Option<Instant>,
    /// When it was stopped.
    stopped: Option<Instant>,
}

impl PacketSource {
    /// A source over `taps`.
    pub fn new(
        taps: Vec<Tap>,
        inbox: Arc<ArrayQueue<Tap>>,
        interfaces: Arc<[Interface]>,
        clock: Arc<Clock>,
        feed: Arc<Feed>,
    ) -> PacketSource {
        let mut waiter = Waiter::default();
        waiter.watch(taps.iter().map(|t| t.ring.as_fd()));
        PacketSource { taps, inbox, interfaces, clock, feed, waiter, turn: 0, holding: None, stopped: None }
    }

    /// One tap has handed packets over, another one has some in a block that it still fills: what these are of, connections that
    /// the first goes on with, may begin there. The kernel hands them over within some ms; full rings wait for nobody.
    fn better_waits(&self) -> bool {
        let any = |is: fn(&Ring) -> bool| self.taps.iter().any(|t| is(&t.ring));
        any(|r| !r.is_ready() && !r.is_empty()) && any(Ring::is_ready) && !any(Ring::is_pressed)
    }

    /// Takes over the taps of an interface that came back; called only when nothing was left in the old ones.
    fn take_new_taps(&mut self) {
        while let Some(new) = self.inbox.pop() {
            match self.taps.iter_mut().find(|t| t.interface == new.interface) {
                Some(old) => *old = new,
                None => self.taps.push(new),
            }
            self.waiter.watch(self.taps.iter().map(|t| t.ring.as_fd()));
        }
    }
}

impl Source for PacketSource {
    type Error = super::xdp::Never;

    fn poll(&mut self, step: impl FnOnce(&[Packet<'_>], &[Interface])) -> Result<Polled, Self::Error> {
        if self.stopped.is_none() && self.better_waits() {
            if self.holding.get_or_insert_with(Instant::now).elapsed() < HOLD {
                return Ok(Polled::Idle);
            }
        } else {
            self.holding = None;
        }
        self.turn = if self.turn + 1 < self.taps.len() { self.turn + 1 } else { 0 };
        let mut lanes: [Option<Lane<'_>>; LANES] = [const { None }; LANES];
        let mut filled = 0;
        let (later, first) = self.taps.split_at_mut(self.turn);
        for tap in first.iter_mut().chain(later) {
            let Some(lane) = lanes.get_mut(filled) else { break };
            if let Some(block) = tap.ring.block() {
                *lane = Some(Lane { time: block.time().into(), block, interface: tap.interface });
                filled += 1;
            }
        }
        let mut packets = [Packet {
            time: 0,
            wire_len: 0,
            iface: 0,
            hash: None,
            data: &[],
            options: crate::source::InputOptions::NONE,
        }; BATCH_PACKETS];
        let mut n = 0;
        // In order of time, until one block has no more: what its tap hands over next may be earlier than what the others have.
        while let Some(packet) = packets.get_mut(n) {
            let heads = lanes.iter().flatten();
            let Some(lane) = heads.min_by_key(|lane| lane.time.get().unwrap_or(u64::MAX)) else { break };
            let Some(frame) = lane.block.next() else { break };
            packet.time = self.clock.corrected(frame.realtime);
            packet.wire_len = frame.wire_len;
            packet.iface = lane.interface;
            packet.data = frame.data;
            n += 1;
            lane.time.set(lane.block.time());
            if lane.time.get().is_none() {
                break;
            }
        }
        if n > 0 {
            step(packets.get(..n).unwrap_or(&[]), &self.interfaces);
            return Ok(Polled::Packets(n));
        }
        drop(lanes);
        if !self.inbox.is_empty() {
            self.take_new_taps();
        }
        Ok(match self.stopped {
            // A block that is still filling is handed over by the kernel's timer, which can be late on a busy machine.
            Some(since) if self.taps.iter().all(|t| t.ring.is_empty()) || since.elapsed() > STOP => Polled::End,
            _ => Polled::Idle,
        })
    }

    fn wait(&mut self, timeout_ns: u64) -> Result<(), Self::Error> {
        if self.holding.is_some() {
            // The sockets that have packets would end any wait at once.
            std::thread::sleep(Duration::from_nanos(timeout_ns.min(NAP_NS)));
        } else {
            self.waiter.wait(timeout_ns);
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.feed.cut();
        self.stopped.get_or_insert_with(Instant::now);
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn patient(&self) -> bool {
        false
    }
}
