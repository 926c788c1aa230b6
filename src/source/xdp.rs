//! AF_XDP: the packets of a tap port, one queue of each interface. Owns the sockets of one worker; driven by the worker's
//! loop, made by [`live`](super::live). It parses nothing: time and hash come with the packet from the XDP program.

use super::clock::{Clock, monotonic};
use super::live::Feed;
use super::{Interface, Packet, Polled, Source};
use crate::bpf::abi::Meta;
use crate::limits::{BATCH_PACKETS, FRAME_BYTES_MAX, NAP_FRAME_NS, NAP_NS, SNAPLEN, SPIN_NS};
use crate::xsk::socket::{Batch, Socket};
use crate::xsk::wait::Waiter;
use crossbeam_queue::ArrayQueue;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Descriptors looked at for one batch: those of the largest packet there is (512 KiB, BIG TCP) in the smallest frames.
const DESCRIPTORS: u32 = 512;
/// Room to join packets of several frames, for one batch.
const JOIN_BYTES: usize = 2 << 20;

/// One socket and the interface that its packets are said to come from.
pub struct Port {
    /// The socket.
    pub socket: Socket,
    /// Index into the list of interfaces.
    pub interface: u16,
    /// Where it publishes how many packets of this interface it has lent.
    pub received: Arc<AtomicU64>,
}

/// The source of one worker.
pub struct XdpSource {
    ports: Vec<Port>,
    /// Ports that take the place of one whose interface came back.
    inbox: Arc<ArrayQueue<Port>>,
    interfaces: Arc<[Interface]>,
    clock: Arc<Clock>,
    feed: Arc<Feed>,
    waiter: Waiter,
    join: Box<[u8]>,
    turn: usize,
    stopped: bool,
}

impl XdpSource {
    /// A source over `ports`.
    pub fn new(
        ports: Vec<Port>,
        inbox: Arc<ArrayQueue<Port>>,
        interfaces: Arc<[Interface]>,
        clock: Arc<Clock>,
        feed: Arc<Feed>,
    ) -> XdpSource {
        let joins = ports.iter().any(|p| p.socket.mode().scatter_gather);
        let mut waiter = Waiter::default();
        waiter.watch(ports.iter().map(|p| p.socket.as_fd()));
        XdpSource {
            ports,
            inbox,
            interfaces,
            clock,
            feed,
            waiter,
            join: vec![0; if joins { JOIN_BYTES } else { 0 }].into(),
            turn: 0,
            stopped: false,
        }
    }

    /// Takes over the ports of an interface that came back. The old socket's ring was read empty: its interface is gone,
    /// and this is called only when nothing was left.
    fn take_new_ports(&mut self) {
        while let Some(new) = self.inbox.pop() {
            match self.ports.iter_mut().find(|p| p.interface == new.interface) {
                Some(old) => *old = new,
                None => self.ports.push(new),
            }
            self.waiter.watch(self.ports.iter().map(|p| p.socket.as_fd()));
        }
    }
}

/// A source that can't fail: a lost interface is silence, which `live` reports.
pub type Never = std::convert::Infallible;

impl Source for XdpSource {
    type Error = Never;

    fn poll(&mut self, step: impl FnOnce(&[Packet<'_>], &[Interface])) -> Result<Polled, Never> {
        for _ in 0..self.ports.len() {
            let turn = self.turn;
            self.turn = if turn + 1 < self.ports.len() { turn + 1 } else { 0 };
            let Some(port) = self.ports.get_mut(turn) else { continue };
            let mut batch = port.socket.receive(DESCRIPTORS);
            let mut packets =
                [Packet { time: 0, wire_len: 0, iface: port.interface, hash: None, data: &[] }; BATCH_PACKETS];
            batch.prefetch(BATCH_PACKETS as u32);
            let (n, frames) = read(&batch, &mut packets, &mut self.join, &self.clock);
            if n == 0 {
                continue;
            }
            step(packets.get(..n).unwrap_or(&[]), &self.interfaces);
            port.received.store(port.received.load(Ordering::Relaxed) + n as u64, Ordering::Relaxed);
            batch.done(frames);
            return Ok(Polled::Packets(n));
        }
        if !self.inbox.is_empty() {
            self.take_new_ports();
        }
        Ok(if self.stopped { Polled::End } else { Polled::Idle })
    }

    fn wait(&mut self, timeout_ns: u64) -> Result<(), Never> {
        self.waiter.wait(timeout_ns);
        Ok(())
    }

    fn nap_ns(&self) -> u64 {
        if self.ports.iter().any(|p| p.socket.mode().busy_poll) {
            return 0;
        }
        let frames = self.ports.iter().map(|p| u64::from(p.socket.umem().frames())).min().unwrap_or(0);
        // Below this a nap costs more than it saves.
        Some((frames * NAP_FRAME_NS).min(NAP_NS)).filter(|ns| *ns >= SPIN_NS).unwrap_or(0)
    }

    fn stop(&mut self) {
        self.feed.cut();
        self.stopped = true;
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn patient(&self) -> bool {
        false
    }
}

/// Makes packets of the frames of a batch. Returns how many, and how many frames they took.
#[inline]
fn read<'a>(batch: &'a Batch<'_>, packets: &mut [Packet<'a>], mut join: &'a mut [u8], clock: &Clock) -> (usize, u32) {
    let (mut n, mut used) = (0, 0);
    // One offset for the batch: what it changes by within one is far below a nanosecond.
    let mut offset: Option<i64> = None;
    for packet in packets.iter_mut() {
        let Some(first) = batch.frame(used) else { break };
        let (data, frames) = if first.continues {
            let Some((bytes, rest, frames)) = joined(batch, used, join) else { break };
            join = rest;
            (&*bytes, frames)
        } else {
            (first.data, 1)
        };
        let meta = Meta::read(&first.meta);
        let time = meta.map_or_else(monotonic, |m| m.time);
        let offset = *offset.get_or_insert_with(|| clock.offset(time));
        packet.time = time.saturating_add_signed(offset);
        packet.wire_len = data.len() as u32;
        packet.hash = meta.map(|m| m.hash);
        packet.data = data.get(..SNAPLEN as usize).unwrap_or(data);
        n += 1;
        used += frames;
    }
    (n, used)
}

/// Joins the packet that begins with frame `first` of a batch: its bytes, what is left of the room, and its frames.
/// `None` if its end is not in the batch yet, or the packets before it have used the room up.
fn joined<'a>(batch: &Batch<'_>, first: u32, room: &'a mut [u8]) -> Option<(&'a mut [u8], &'a mut [u8], u32)> {
    let (mut len, mut frames) = (0, 0);
    loop {
        let frame = batch.frame(first + frames)?;
        room.get_mut(len..len + frame.data.len())?.copy_from_slice(frame.data);
        len += frame.data.len();
        frames += 1;
        // The kernel makes no packet of so many frames; were there one, it would end here rather than block the ring.
        if !frame.continues || frames == DESCRIPTORS {
            break;
        }
    }
    let (bytes, rest) = room.split_at_mut_checked(len)?;
    Some((bytes, rest, frames))
}

const _: () = assert!(JOIN_BYTES >= DESCRIPTORS as usize * FRAME_BYTES_MAX as usize);
