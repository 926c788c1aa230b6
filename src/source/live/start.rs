//! Starting a capture: what is wanted ([`LivePlan`]), and the order in which it is made, so that no packet is redirected
//! before somebody takes it and everything is undone if a later step fails.

use super::feed::Feed;
use super::{Error, Live, LiveSource, Survey, Tapped};
use crate::bpf::attach::{Mode, attach};
use crate::bpf::programs::{PacketProgram, Settings, XdpProgram};
use crate::bpf::shunt::{KernelShunt, ShuntMaps};
use crate::iface::Link;
use crate::iface::prepare::{Prepared, Wish, restore};
use crate::limits::{FRAME_BYTES, FRAMES, SHUNT_SLOTS, WORKERS_MAX};
use crate::memory::near;
use crate::metrics::account::SourceKind;
use crate::packet::Parser;
use crate::source::Interface;
use crate::source::clock::Clock;
use crate::source::packet::{self, Fanout, PacketSocket, PacketSource, Ring, Tap};
use crate::source::xdp::{Port, XdpSource};
use crate::xsk::socket::{Config, Level, Socket};
use crate::xsk::umem::Pages;
use crossbeam_queue::ArrayQueue;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

/// What is wanted of a capture.
#[derive(Clone, Debug)]
pub struct LivePlan {
    /// Workers; `None`: [`Survey::workers`]. More than there are queues do not help `xdp` and are left out.
    pub workers: Option<usize>,
    /// Frames of one worker, all its rings together (rounded down to powers of two a ring).
    pub frames: u32,
    /// Bytes of a frame: 2048 or 4096.
    pub frame_size: u32,
    /// Places of each RX ring; `None`: as many as there are frames, so that it is never the first to be full.
    pub rx_entries: Option<u32>,
    /// Places of the shunt, all workers together; 0: none.
    pub shunt_slots: u32,
    /// The worker's parser: the kernel's uses the same seed and settings.
    pub parser: Parser,
    /// CPU of each worker, where it is known: its rings lie in memory near it.
    pub cpus: Vec<Option<usize>>,
    /// Count redirect failures by cause with a tracepoint; without (or where the kernel forbids tracing) the sockets' own
    /// statistics have to do.
    pub tracepoint: bool,
    /// Where the way back of the interfaces is written; it survives the process.
    pub state: Option<PathBuf>,
}

impl LivePlan {
    /// The defaults, with a parser.
    pub fn new(parser: Parser) -> LivePlan {
        LivePlan {
            workers: None,
            frames: FRAMES,
            frame_size: FRAME_BYTES,
            rx_entries: None,
            shunt_slots: SHUNT_SLOTS,
            parser,
            cpus: Vec::new(),
            tracepoint: true,
            state: None,
        }
    }

    /// Workers that a capture of `survey` has.
    pub fn workers(&self, survey: &Survey) -> usize {
        let wanted = self.workers.unwrap_or_else(|| survey.workers()).clamp(1, WORKERS_MAX);
        let queues = survey.tapped.iter().map(|t| t.queues as usize).max().unwrap_or(1);
        if survey.xdp { wanted.min(queues) } else { wanted }
    }

    /// Memory of a capture of `survey`, by part, in bytes.
    pub fn memory(&self, survey: &Survey) -> Vec<(&'static str, u64)> {
        let workers = self.workers(survey);
        let rings = if survey.xdp {
            let sockets: usize = survey.tapped.iter().map(|t| t.queues as usize).sum();
            self.xsk(&survey.tapped, workers).bytes() * sockets as u64
        } else {
            let each = self.packet_ring_bytes(survey.tapped.len()).max(1 << 20);
            (each * survey.tapped.len() * workers) as u64
        };
        vec![("rings", rings), ("shunt (kernel)", ShuntMaps::bytes(self.shunt_slots))]
    }

    /// Sizes of each AF_XDP socket: a worker's frames over the most sockets that a worker has.
    fn xsk(&self, tapped: &[Tapped], workers: usize) -> Config {
        let sockets: usize = tapped.iter().map(|t| (t.queues as usize).div_ceil(workers)).sum();
        let each = (self.frames / sockets.max(1) as u32).max(64);
        let frames = 1 << each.ilog2();
        let rx_entries = self.rx_entries.unwrap_or(frames);
        Config { frames, frame_size: self.frame_size, rx_entries, copy: false }
    }

    pub(super) fn packet_ring_bytes(&self, interfaces: usize) -> usize {
        self.frames as usize * self.frame_size as usize / interfaces.max(1)
    }

    pub(super) fn settings(&self, tapped: &[Tapped]) -> Settings {
        // The socket filter parses Ethernet: what has another header must not look its keys up.
        let ethernet = tapped.iter().all(|t| link_type(&t.link).is_ok_and(|l| l == 1));
        Settings {
            hash_keys: self.parser.hash_keys(),
            vlan_in_key: self.parser.vlan_in_key(),
            ifindex: tapped.iter().map(|t| t.link.index).collect(),
            loopback: tapped.iter().map(|t| t.link.loopback).collect(),
            shunt_slots: if ethernet { self.shunt_slots } else { 0 },
        }
    }
}

/// What the control thread keeps of a running capture.
pub(super) enum Engine {
    Xdp(XdpEngine),
    Packet(PacketEngine),
}

pub(super) struct XdpEngine {
    pub(super) program: XdpProgram,
    pub(super) ports: Vec<PortView>,
    /// By interface of the list: packets that its source has lent.
    pub(super) received: Vec<Arc<AtomicU64>>,
    pub(super) inboxes: Vec<Arc<ArrayQueue<Port>>>,
    pub(super) config: Config,
    pub(super) plan: LivePlan,
}

/// What the control thread sees of a worker's socket.
pub(super) struct PortView {
    /// Index into the list of interfaces.
    pub(super) interface: u16,
    pub(super) level: Level,
    /// The socket itself, where its statistics are needed.
    pub(super) statistics: Option<OwnedFd>,
    pub(super) scatter_gather: bool,
}

pub(super) struct PacketEngine {
    pub(super) program: PacketProgram,
    /// Each with the index of its interface.
    pub(super) sockets: Vec<(usize, PacketSocket)>,
    /// How full their rings are.
    pub(super) levels: Vec<(usize, packet::Level)>,
    pub(super) inboxes: Vec<Arc<ArrayQueue<Tap>>>,
    pub(super) plan: LivePlan,
    /// By interface: the sockets forget what they have told.
    pub(super) lost: Mutex<Vec<u64>>,
}

/// The pcap link type of an interface's frames.
pub(super) fn link_type(link: &Link) -> Result<u16, Error> {
    const LINKTYPE_ETHERNET: u16 = 1;
    const LINKTYPE_RAW: u16 = 101;
    match link.hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Ok(LINKTYPE_ETHERNET),
        libc::ARPHRD_NONE | libc::ARPHRD_TUNNEL | libc::ARPHRD_TUNNEL6 | libc::ARPHRD_SIT | libc::ARPHRD_IPGRE => {
            Ok(LINKTYPE_RAW)
        }
        hardware => Err(Error::Hardware { interface: link.name.clone(), hardware }),
    }
}

impl Live {
    /// Makes all ready: sockets, rings, programs. No packet arrives yet.
    pub fn start(survey: &Survey, plan: &LivePlan) -> Result<Live, Error> {
        let mut notes = Vec::new();
        if let Some(state) = &plan.state {
            let restored = restore(state)?;
            if !restored.is_empty() {
                notes.push(format!("put back what a killed recorder left changed: {}", restored.join(", ")));
            }
        }
        for reason in &survey.reasons {
            notes.push(format!("source packet, because {reason} and xdp would take its packets from the host"));
        }
        let links: Vec<Link> = survey.tapped.iter().map(|t| t.link.clone()).collect();
        let wish = Wish { promiscuous: true, offloads_off: survey.xdp };
        let prepared = Prepared::new(&links, wish, plan.state.as_deref())?;
        notes.extend(prepared.warnings.iter().cloned());
        let clock = Arc::new(Clock::start());
        let parts =
            if survey.xdp { start_xdp(survey, plan, &clock, &mut notes)? } else { start_packet(survey, plan, &clock)? };
        let kind = if survey.xdp { SourceKind::Xdp } else { SourceKind::Packet };
        let Parts { workers, interfaces, feed, engine } = parts;
        Ok(Live { workers, kind, notes, clock, interfaces, tapped: survey.tapped.clone(), feed, engine, prepared })
    }

    /// From here on packets arrive, in the sources' rings: of each interface at once. Until then none was taken from the host, and none
    /// counted.
    pub fn begin(&self) -> Result<(), Error> {
        let name = |i: usize| self.tapped.get(i).map(|t| t.link.name.as_str()).unwrap_or_default();
        match &self.engine {
            Engine::Xdp(engine) => {
                for (slot, attached) in &self.feed.open().attached {
                    attached.replace(engine.program.program(), name(*slot))?;
                }
            }
            Engine::Packet(engine) => {
                for (i, socket) in &engine.sockets {
                    let failed =
                        |source| packet::Error { interface: name(*i).to_owned(), step: "socket filter", source };
                    socket.filter(engine.program.program()).map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}

struct Parts {
    workers: Vec<(LiveSource, KernelShunt)>,
    interfaces: Arc<[Interface]>,
    feed: Arc<Feed>,
    engine: Engine,
}

fn start_xdp(survey: &Survey, plan: &LivePlan, clock: &Arc<Clock>, notes: &mut Vec<String>) -> Result<Parts, Error> {
    let tapped = &survey.tapped;
    let count = plan.workers(survey);
    let program = XdpProgram::load(&plan.settings(tapped), plan.tracepoint)?;
    if let Some(e) = &program.no_tracepoint {
        notes.push(format!("redirect failures are counted by the sockets, not by cause ({e})"));
    }
    // Attached first: zero-copy binds only under a program of the driver. It lets all go by until [`Live::begin`].
    let feed = Arc::new(Feed::default());
    let mut native = Vec::new();
    for (slot, t) in tapped.iter().enumerate() {
        let attached = attach(program.waiting(), &t.link.name, t.link.index)?;
        native.push(matches!(attached.mode, Mode::Native));
        if let Mode::Generic(why) = &attached.mode {
            notes.push(format!("{}: XDP above the driver (generic): {why}", t.link.name));
        }
        feed.open().attached.push((slot, attached));
    }
    let config = plan.xsk(tapped, count);
    let mut interfaces = Vec::new();
    let mut ports: Vec<Vec<Port>> = (0..count).map(|_| Vec::new()).collect();
    let (mut views, mut received) = (Vec::new(), Vec::new());
    for (slot, (t, native)) in tapped.iter().zip(&native).enumerate() {
        let mut mode = None;
        for queue in 0..t.queues {
            let name = if t.queues == 1 { t.link.name.clone() } else { format!("{}:{queue}", t.link.name) };
            let lent = Arc::<AtomicU64>::default();
            received.push(lent.clone());
            let place = Place { slot, queue, interface: interfaces.len() as u16 };
            let cpu = plan.cpus.get(queue as usize % count).copied().flatten();
            let (port, view) = near(cpu, || open_port(&program, t, place, lent, &config, *native))?;
            interfaces.push(Interface::new(name, 1));
            mode = Some((port.socket.mode(), port.socket.umem().pages()));
            views.push(view);
            if let Some(worker) = ports.get_mut(queue as usize % count) {
                worker.push(port);
            }
        }
        if let Some((mode, pages)) = mode {
            // As it is, not as it was asked for.
            let copy = match (mode.zero_copy, mode.busy_poll) {
                (true, true) => "zero-copy, busy polling",
                (true, false) => "zero-copy, woken by interrupts (the kernel has no SO_PREFER_BUSY_POLL)",
                (false, _) => "copy mode",
            };
            let driver = t.driver.as_deref().unwrap_or("?");
            let queues = t.queues;
            let pages = match pages {
                Pages::Huge => "huge pages",
                Pages::Transparent => {
                    "no reserved huge pages (vm.nr_hugepages): transparent ones where they are allowed"
                }
            };
            notes.push(format!("{}: AF_XDP, {copy}, {queues} queue(s), {pages}, driver {driver}", t.link.name));
        }
    }
    let interfaces: Arc<[Interface]> = interfaces.into();
    let inboxes: Vec<Arc<ArrayQueue<Port>>> = ports.iter().map(|p| Arc::new(ArrayQueue::new(p.len().max(1)))).collect();
    let sources = ports.into_iter().zip(&inboxes).map(|(ports, inbox)| {
        LiveSource::Xdp(XdpSource::new(ports, inbox.clone(), interfaces.clone(), clock.clone(), feed.clone()))
    });
    let workers = sources.zip(program.shunt.partition(count, clock)).collect();
    let engine = XdpEngine { program, ports: views, received, inboxes, config, plan: plan.clone() };
    Ok(Parts { workers, interfaces, feed, engine: Engine::Xdp(engine) })
}

/// A queue: of which interface slot, and its index in the list of interfaces.
pub(super) struct Place {
    pub(super) slot: usize,
    pub(super) queue: u32,
    pub(super) interface: u16,
}

/// Binds a socket to a queue and sends the queue's packets to it.
pub(super) fn open_port(
    program: &XdpProgram,
    tapped: &Tapped,
    place: Place,
    received: Arc<AtomicU64>,
    config: &Config,
    native: bool,
) -> Result<(Port, PortView), Error> {
    let config = Config { copy: config.copy || !native, ..config.clone() };
    let socket = Socket::bind(tapped.link.index, place.queue, &config)
        .map_err(|source| Error::Xsk { interface: tapped.link.name.clone(), source })?;
    program.serve(place.slot, place.queue, socket.as_fd())?;
    let interface = place.interface;
    let view = PortView {
        interface,
        level: socket.level(),
        statistics: if program.counters.counts_failures() { None } else { socket.as_fd().try_clone_to_owned().ok() },
        scatter_gather: socket.mode().scatter_gather,
    };
    Ok((Port { socket, interface, received }, view))
}

fn start_packet(survey: &Survey, plan: &LivePlan, clock: &Arc<Clock>) -> Result<Parts, Error> {
    let tapped = &survey.tapped;
    let count = plan.workers(survey);
    let program = PacketProgram::load(&plan.settings(tapped))?;
    let bytes = plan.packet_ring_bytes(tapped.len());
    let mut taps: Vec<Vec<Tap>> = (0..count).map(|_| Vec::new()).collect();
    let (mut sockets, mut levels) = (Vec::new(), Vec::new());
    let mut interfaces = Vec::new();
    for (i, t) in tapped.iter().enumerate() {
        interfaces.push(Interface::new(t.link.name.clone(), link_type(&t.link)?));
        for (worker, (tap, socket)) in taps.iter_mut().zip(open_taps(t, i, count, bytes)?) {
            levels.push((i, tap.ring.level()));
            worker.push(tap);
            sockets.push((i, socket));
        }
    }
    // All are bound and share their interfaces' packets; none lets one through until [`Live::begin`].
    let feed = Arc::new(Feed::default());
    for (_, socket) in &sockets {
        if let Ok(another) = socket.another() {
            feed.open().sockets.push(another);
        }
    }
    let interfaces: Arc<[Interface]> = interfaces.into();
    let inboxes: Vec<Arc<ArrayQueue<Tap>>> = taps.iter().map(|t| Arc::new(ArrayQueue::new(t.len().max(1)))).collect();
    let sources = taps.into_iter().zip(&inboxes).map(|(taps, inbox)| {
        let (interfaces, clock, feed) = (interfaces.clone(), clock.clone(), feed.clone());
        LiveSource::Packet(PacketSource::new(taps, inbox.clone(), interfaces, clock, feed))
    });
    let workers = sources.zip(program.shunt.partition(count, clock)).collect();
    let engine =
        PacketEngine { program, sockets, levels, inboxes, plan: plan.clone(), lost: Mutex::new(vec![0; tapped.len()]) };
    Ok(Parts { workers, interfaces, feed, engine: Engine::Packet(engine) })
}

/// Sockets on one interface, one a worker, bound and sharing its packets; none lets anything through yet.
pub(super) fn open_taps(
    tapped: &Tapped,
    interface: usize,
    workers: usize,
    bytes: usize,
) -> Result<Vec<(Tap, PacketSocket)>, packet::Error> {
    let at = |step| move |source: io::Error| packet::Error { interface: tapped.link.name.clone(), step, source };
    let mut group: Option<Fanout> = None;
    (0..workers)
        .map(|_| {
            let socket = PacketSocket::new().map_err(at("socket"))?;
            let view = socket.another().map_err(at("dup"))?;
            let ring = Ring::new(socket, bytes).map_err(at("ring"))?;
            view.bind(tapped.link.index).map_err(at("bind"))?;
            if workers > 1 {
                group = Some(view.join(group).map_err(at("fanout"))?);
            }
            Ok((Tap { ring, interface: interface as u16 }, view))
        })
        .collect()
}
