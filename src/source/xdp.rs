//! AF_XDP: the packets of a tap port, one queue of each interface. Owns the sockets of one worker; driven by the worker's
//! loop, made by [`live`](super::live). It parses nothing: time and hash come with the packet from the XDP program.

use super::clock::{Clock, monotonic};
use super::live::Feed;
use super::{Interface, Packet, Polled, Source};
use crate::bpf::abi::Meta;
use crate::limits::{BATCH_PACKETS, FRAME_BYTES_MAX, IFACES_MAX, NAP_FRAME_NS, NAP_NS, SNAPLEN, SPIN_NS};
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
/// Sockets that are read at a time: one of each interface. Where a worker has more, they take turns.
const LANES: usize = IFACES_MAX;

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
        self.turn = if self.turn + 1 < self.ports.len() { self.turn + 1 } else { 0 };
        // All sockets are looked at before the first packet is judged: those of one connection may be on two of them.
        let mut lanes: [Option<Lane<'_>>; LANES] = [const { None }; LANES];
        let mut filled = 0;
        let (later, first) = self.ports.split_at_mut(self.turn);
        for port in first.iter_mut().chain(later) {
            let Some(lane) = lanes.get_mut(filled) else { break };
            let batch = port.socket.receive(DESCRIPTORS);
            if !batch.is_empty() {
                batch.prefetch(BATCH_PACKETS as u32);
                *lane = Some(Lane { batch, interface: port.interface, received: &port.received });
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
        let mut reading = Reading { room: &mut self.join, offset: None, clock: &self.clock };
        let mut taken = [Taken::default(); LANES];
        let n = match (lanes.get(..filled).unwrap_or(&[]), &mut taken) {
            ([Some(only)], [taken, ..]) => only.read(taken, &mut packets, &mut reading),
            (several, taken) => merge(several, taken, &mut packets, &mut reading),
        };
        if n > 0 {
            step(packets.get(..n).unwrap_or(&[]), &self.interfaces);
            for (lane, taken) in lanes.iter_mut().flatten().zip(taken) {
                lane.received.store(lane.received.load(Ordering::Relaxed) + taken.packets, Ordering::Relaxed);
                lane.batch.done(taken.frames);
            }
            return Ok(Polled::Packets(n));
        }
        drop(lanes);
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

/// A socket that has packets.
struct Lane<'a> {
    batch: Batch<'a>,
    interface: u16,
    received: &'a AtomicU64,
}

/// What was read of a lane.
#[derive(Clone, Copy, Default)]
struct Taken {
    packets: u64,
    frames: u32,
}

/// What it takes to make packets of frames.
struct Reading<'a, 'c> {
    /// Room to join packets of several frames.
    room: &'a mut [u8],
    /// One for the batch: what it changes by within one is far below a nanosecond.
    offset: Option<i64>,
    clock: &'c Clock,
}

impl Lane<'_> {
    /// Packets in the order of the socket.
    #[inline]
    fn read<'a>(&'a self, taken: &mut Taken, packets: &mut [Packet<'a>], reading: &mut Reading<'a, '_>) -> usize {
        for packet in packets.iter_mut() {
            if !self.next(taken, packet, reading) {
                break;
            }
        }
        taken.packets as usize
    }

    /// Monotonic time of the packet after those taken; `None`: there is none.
    #[inline]
    fn time(&self, taken: &Taken) -> Option<u64> {
        let first = self.batch.frame(taken.frames)?;
        Some(Meta::read(&first.meta).map_or_else(monotonic, |m| m.time))
    }

    /// Reads the packet after those taken. False: it is not there, or not whole.
    #[inline]
    fn next<'a>(&'a self, taken: &mut Taken, packet: &mut Packet<'a>, reading: &mut Reading<'a, '_>) -> bool {
        let Some(first) = self.batch.frame(taken.frames) else { return false };
        let (data, frames) = if first.continues {
            let room = std::mem::take(&mut reading.room);
            let Some((bytes, rest, frames)) = joined(&self.batch, taken.frames, room) else { return false };
            reading.room = rest;
            (&*bytes, frames)
        } else {
            (first.data, 1)
        };
        let meta = Meta::read(&first.meta);
        let time = meta.map_or_else(monotonic, |m| m.time);
        let offset = *reading.offset.get_or_insert_with(|| reading.clock.offset(time));
        *packet = Packet {
            time: time.saturating_add_signed(offset),
            wire_len: data.len() as u32,
            iface: self.interface,
            hash: meta.map(|m| m.hash),
            data: data.get(..SNAPLEN as usize).unwrap_or(data),
            options: crate::source::InputOptions::NONE,
        };
        *taken = Taken { packets: taken.packets + 1, frames: taken.frames + frames };
        true
    }
}

/// Packets of several sockets in order of time, until one of them has no more: what it gets next may be earlier than what others have.
fn merge<'a>(
    lanes: &'a [Option<Lane<'_>>],
    taken: &mut [Taken; LANES],
    packets: &mut [Packet<'a>],
    reading: &mut Reading<'a, '_>,
) -> usize {
    let (mut n, mut times) = (0, [None; LANES]);
    for ((lane, taken), time) in lanes.iter().flatten().zip(&*taken).zip(&mut times) {
        *time = lane.time(taken);
    }
    while let Some(packet) = packets.get_mut(n) {
        let heads = lanes.iter().flatten().zip(taken.iter_mut()).zip(&mut times);
        let Some(((lane, taken), time)) = heads.min_by_key(|(_, time)| time.unwrap_or(u64::MAX)) else { break };
        if !lane.next(taken, packet, reading) {
            break;
        }
        n += 1;
        *time = lane.time(taken);
        if time.is_none() {
            break;
        }
    }
    n
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
