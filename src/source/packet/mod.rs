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
use crate::limits::BATCH_PACKETS;
use crate::xsk::wait::Waiter;
use crossbeam_queue::ArrayQueue;
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
        PacketSource { taps, inbox, interfaces, clock, feed, waiter, turn: 0, stopped: None }
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
        for _ in 0..self.taps.len() {
            let turn = self.turn;
            self.turn = if turn + 1 < self.taps.len() { turn + 1 } else { 0 };
            let Some(tap) = self.taps.get_mut(turn) else { continue };
            let interface = tap.interface;
            let Some(block) = tap.ring.block() else { continue };
            let mut packets = [Packet { time: 0, wire_len: 0, iface: interface, hash: None, data: &[] }; BATCH_PACKETS];
            let mut n = 0;
            while let Some((packet, frame)) = packets.get_mut(n).and_then(|p| Some((p, block.next()?))) {
                packet.time = self.clock.corrected(frame.realtime);
                packet.wire_len = frame.wire_len;
                packet.data = frame.data;
                n += 1;
            }
            if n > 0 {
                step(packets.get(..n).unwrap_or(&[]), &self.interfaces);
                return Ok(Polled::Packets(n));
            }
        }
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
        self.waiter.wait(timeout_ns);
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
