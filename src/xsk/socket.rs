//! One receive-only AF_XDP socket: user memory, FILL and RX rings, bound to one queue of one interface. Owns the
//! passage of frames between kernel and process; called by `source::xdp`.

use super::map::Mapping;
use super::memlock;
use super::ring::{Consumer, Place, Producer};
use super::umem::{HEADROOM, Umem};
use crate::{limits, memory};
use rustix::io::Errno;
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, XDP_PGOFF_RX_RING, XDP_UMEM_PGOFF_FILL_RING, XdpDesc, XdpDescOptions,
    XdpOptionsFlags, XdpRingOffset, XdpStatistics, XdpUmemReg, XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with, sockopt};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of metadata in front of each packet (`struct rt_meta` of ebpf/retrotap.h).
pub const META_BYTES: usize = 16;

/// Why a socket could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A size that the kernel would refuse.
    #[error("{what} is {value}: it has to be a power of two from {min} to {max}")]
    Size {
        /// Which.
        what: &'static str,
        /// What it is.
        value: u32,
        /// Smallest.
        min: u32,
        /// Largest.
        max: u32,
    },
    /// The frames did not fit into memory.
    #[error("cannot map {bytes} bytes for the frames of one socket: {source}; lower the frames per ring")]
    Memory {
        /// Bytes wanted.
        bytes: u64,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Locked memory is limited.
    #[error(
        "the frames of one socket need {bytes} bytes of locked memory and the limit is {limit}: raise it (ulimit -l, \
         LimitMEMLOCK=infinity), give the process CAP_IPC_LOCK, or lower the frames per ring"
    )]
    Memlock {
        /// Bytes wanted.
        bytes: u64,
        /// RLIMIT_MEMLOCK.
        limit: u64,
    },
    /// Another AF_XDP socket has the queue.
    #[error("queue {queue} of interface {ifindex} is in use by another AF_XDP socket")]
    Busy {
        /// The interface.
        ifindex: u32,
        /// The queue.
        queue: u32,
    },
    /// The kernel refused.
    #[error("AF_XDP socket on queue {queue} of interface {ifindex}: {step}: {source}")]
    Kernel {
        /// What was asked of it.
        step: &'static str,
        /// The interface.
        ifindex: u32,
        /// The queue.
        queue: u32,
        /// Its answer.
        source: Errno,
    },
}

/// Sizes and wishes of a socket.
#[derive(Clone, Debug)]
pub struct Config {
    /// Frames of user memory, all given to the kernel: a power of two.
    pub frames: u32,
    /// Bytes of a frame: 2048 or 4096.
    pub frame_size: u32,
    /// Places of the RX ring: a power of two; with as many as there are frames it is never the first to be full.
    pub rx_entries: u32,
    /// Never try zero-copy (generic XDP).
    pub copy: bool,
}

impl Config {
    /// Bytes of memory that one socket takes: frames, FILL and RX ring.
    pub fn bytes(&self) -> u64 {
        u64::from(self.frames) * u64::from(self.frame_size)
            + u64::from(self.fill_entries()) * 8
            + u64::from(self.rx_entries) * 16
    }

    /// Places of the FILL ring: two for each frame. The kernel shows packets in the RX ring before it moves its cursor
    /// in FILL past their frames (xsk_flush: xskq_prod_submit, then __xskq_cons_release), so that for a moment a frame
    /// counts in both.
    fn fill_entries(&self) -> u32 {
        self.frames * 2
    }

    fn check(&self) -> Result<(), Error> {
        let size = |what, value: u32, min, max| {
            if value.is_power_of_two() && (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(Error::Size { what, value, min, max })
            }
        };
        size("frames per ring", self.frames, 64, 1 << 24)?;
        size("the RX ring", self.rx_entries, 64, 1 << 24)?;
        size("the frame size", self.frame_size, 2048, 4096)
    }
}

/// How a socket came to be bound: what the kernel says, not what was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Packets are DMAed into the frames.
    pub zero_copy: bool,
    /// Packets larger than a frame arrive in several.
    pub scatter_gather: bool,
    /// SO_PREFER_BUSY_POLL is on.
    pub busy_poll: bool,
}

/// A bound socket.
pub struct Socket {
    // Fields drop in this order: the socket lets go of rings and memory before they are unmapped.
    fd: OwnedFd,
    rx: Consumer<XdpDesc>,
    fill: Producer<u64>,
    umem: Umem,
    mode: Mode,
}

// SAFETY: the frames are reached only through `&mut Socket` (`receive`), so the socket may move to another thread.
unsafe impl Send for Socket {}

impl Socket {
    /// Makes a socket for one queue and gives all frames to the kernel.
    pub fn bind(ifindex: u32, queue: u32, config: &Config) -> Result<Socket, Error> {
        config.check()?;
        let at = |step| move |source| Error::Kernel { step, ifindex, queue, source };
        let umem = Umem::new(config.frames, config.frame_size)
            .map_err(|source| Error::Memory { bytes: config.bytes(), source })?;
        let fd = socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None).map_err(at("socket"))?;
        register(&fd, &umem).map_err(|source| match (source, memlock::raise()) {
            (Errno::NOBUFS, Some(limit)) => Error::Memlock { bytes: umem.bytes(), limit },
            _ => at("registering the frames")(source),
        })?;
        sockopt::set_xdp_umem_fill_ring_size(&fd, config.fill_entries()).map_err(at("FILL ring"))?;
        // Nothing is ever sent; the kernel wants the ring all the same.
        sockopt::set_xdp_umem_completion_ring_size(&fd, 64).map_err(at("COMPLETION ring"))?;
        sockopt::set_xdp_rx_ring_size(&fd, config.rx_entries).map_err(at("RX ring"))?;
        let offsets = sockopt::xdp_mmap_offsets(&fd).map_err(at("ring offsets"))?;
        // SAFETY: FILL holds u64 and RX struct xdp_desc (if_xdp.h); each is mapped once, here, and the kernel is the
        // other end of both. The COMPLETION ring is never mapped: the kernel never writes it without a TX ring.
        let (fill, rx) = unsafe {
            (
                map_ring::<u64>(fd.as_fd(), &offsets.fr, config.fill_entries(), XDP_UMEM_PGOFF_FILL_RING),
                map_ring::<XdpDesc>(fd.as_fd(), &offsets.rx, config.rx_entries, XDP_PGOFF_RX_RING),
            )
        };
        let mut fill = Producer::new(fill.map_err(at("mapping the FILL ring"))?);
        let rx = Consumer::new(rx.map_err(at("mapping the RX ring"))?);
        let frame_size = u64::from(config.frame_size);
        fill.push((0..config.frames as usize).map(|i| i as u64 * frame_size));
        let mode = attach(&fd, ifindex, queue, config.copy).map_err(|source| match source {
            Errno::BUSY => Error::Busy { ifindex, queue },
            source => at("bind")(source),
        })?;
        Ok(Socket { fd, rx, fill, umem, mode })
    }

    /// How it is bound.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The frames.
    pub fn umem(&self) -> &Umem {
        &self.umem
    }

    /// The kernel's own statistics of this socket.
    pub fn statistics(&self) -> Result<XdpStatistics, Errno> {
        sockopt::xdp_statistics(&self.fd)
    }

    /// A view of how full the RX ring is, for another thread.
    pub fn level(&self) -> Level {
        Level(self.rx.place().clone())
    }

    /// Up to `max` frames that hold packets. Never blocks.
    #[inline]
    pub fn receive(&mut self, max: u32) -> Batch<'_> {
        let mut filled = self.rx.available(max);
        if filled == 0 && self.mode.busy_poll {
            // Runs the driver's receive loop here and now. An error (link down) shows in poll.
            let _ = recv(&self.fd, &mut [0u8; 0], RecvFlags::DONTWAIT);
            filled = self.rx.available(max);
        }
        Batch { socket: self, filled, used: 0 }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How full one RX ring is.
pub struct Level(Place<XdpDesc>);

impl Level {
    /// Descriptors in the ring: packets, or parts of packets larger than a frame.
    pub fn descriptors(&self) -> u32 {
        self.0.level()
    }
}

/// Frames with packets, lent by [`Socket::receive`]. Those that [`done`](Batch::done) counted go back to the kernel when
/// the batch ends; the others are there again in the next.
pub struct Batch<'a> {
    socket: &'a mut Socket,
    filled: u32,
    used: u32,
}

/// One frame of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The packet, or a part of one.
    pub data: &'a [u8],
    /// What the XDP program wrote in front of it; not initialised by it if the frame is not the first of its packet.
    pub meta: [u8; META_BYTES],
    /// The packet goes on in the next frame.
    pub continues: bool,
}

impl Batch<'_> {
    /// Frames in it.
    pub fn len(&self) -> u32 {
        self.filled
    }

    /// True if nothing was there.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Frame `i`; an empty one if the descriptor points outside the frames, which no sane kernel does. `None` past the end.
    #[inline]
    pub fn frame(&self, i: u32) -> Option<Frame<'_>> {
        if i >= self.filled {
            return None;
        }
        let desc = self.socket.rx.peek(i)?;
        let continues = desc.options.contains(XdpDescOptions::XDP_PKT_CONTD);
        let Some(at) = self.socket.umem.checked(desc.addr, desc.len) else {
            return Some(Frame { data: &[], meta: [0; META_BYTES], continues });
        };
        // SAFETY: `checked` says that `len` bytes at `at` and META_BYTES before it lie within one frame. The kernel
        // gave the frame up when it published the descriptor and gets it back only when this batch ends, which needs
        // every borrow of it to have ended.
        let (data, meta) = unsafe {
            (
                std::slice::from_raw_parts(at.as_ptr(), desc.len as usize),
                at.sub(META_BYTES).cast::<[u8; META_BYTES]>().read(),
            )
        };
        Some(Frame { data, meta, continues })
    }

    /// Starts to load the metadata and the headers of the first `n` frames.
    #[inline]
    pub fn prefetch(&self, n: u32) {
        for i in 0..n.min(self.filled) {
            let at = self.socket.rx.peek(i).and_then(|d| self.socket.umem.checked(d.addr, d.len));
            if let Some(at) = at.map(NonNull::as_ptr) {
                memory::prefetch(at.wrapping_sub(META_BYTES));
                memory::prefetch(at);
                memory::prefetch(at.wrapping_add(64));
            }
        }
    }

    /// The first `n` frames have been read: they go back when the batch ends.
    #[inline]
    pub fn done(&mut self, n: u32) {
        self.used = n.min(self.filled);
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let Socket { fd, rx, fill, umem, .. } = &mut *self.socket;
        let used = self.used;
        if used == 0 {
            return;
        }
        // Metadata is erased so that a frame without any (a driver that has no room for it) is never taken for the
        // packet that was here before.
        for i in 0..used {
            let Some(desc) = rx.peek(i) else { continue };
            if let Some(at) = umem.checked(desc.addr, desc.len) {
                // SAFETY: as in `frame`; the borrows have ended, since they borrow from the batch.
                unsafe { at.sub(META_BYTES).cast::<[u8; META_BYTES]>().write([0; META_BYTES]) };
            }
        }
        let back = (0..used as usize).map(|i| rx.peek(i as u32).map_or(0, |d| umem.frame_of(d.addr)));
        let given = fill.push(back);
        debug_assert_eq!(given, used, "the FILL ring has a place for every frame");
        rx.release(used);
        if fill.place().needs_wakeup() {
            // Tells the driver that there are frames again. An error (link down) shows in poll.
            let _ = recv(&*fd, &mut [0u8; 0], RecvFlags::DONTWAIT);
        }
    }
}

fn register(fd: &OwnedFd, umem: &Umem) -> Result<(), Errno> {
    let reg = XdpUmemReg {
        addr: umem.base().as_ptr() as u64,
        len: umem.bytes(),
        chunk_size: umem.frame_size(),
        headroom: 0,
        flags: XdpUmemRegFlags::empty(),
        tx_metadata_len: 0,
    };
    match sockopt::set_xdp_umem_reg(fd, reg) {
        Err(Errno::NOBUFS) => {
            memlock::raise();
            sockopt::set_xdp_umem_reg(fd, reg)
        }
        other => other,
    }
}

/// Binds, giving up one wish after the other: packets of several frames, then need_wakeup (Linux before 5.4).
/// Zero-copy is the kernel's choice; it is asked afterwards.
fn attach(fd: &OwnedFd, ifindex: u32, queue: u32, copy: bool) -> Result<Mode, Errno> {
    use SocketAddrXdpFlags as F;
    let base = if copy { F::XDP_COPY } else { F::empty() };
    let mut wishes =
        [F::XDP_USE_NEED_WAKEUP | F::XDP_USE_SG, F::XDP_USE_NEED_WAKEUP, F::empty()].into_iter().peekable();
    let mut patience = limits::BUSY_NS / BUSY_PAUSE.as_nanos() as u64;
    while let Some(extra) = wishes.peek().copied() {
        match bind(fd, &SocketAddrXdp::new(base | extra, ifindex, queue)) {
            Ok(()) => {
                let zero_copy = sockopt::xdp_options(fd)?.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY);
                let busy_poll = zero_copy && prefer_busy_poll(fd);
                return Ok(Mode { zero_copy, scatter_gather: extra.contains(F::XDP_USE_SG), busy_poll });
            }
            Err(Errno::BUSY) if patience > 0 => {
                patience -= 1;
                std::thread::sleep(BUSY_PAUSE);
            }
            Err(Errno::INVAL | Errno::OPNOTSUPP) => drop(wishes.next()),
            Err(e) => return Err(e),
        }
    }
    Err(Errno::OPNOTSUPP)
}

/// Between two tries of a queue that is still held.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Lets the worker, not the interrupt, drive the driver's receive loop. False where the kernel has no such thing.
fn prefer_busy_poll(fd: &OwnedFd) -> bool {
    // include/uapi/asm-generic/socket.h: SO_PREFER_BUSY_POLL, SO_BUSY_POLL (microseconds), SO_BUSY_POLL_BUDGET (packets).
    [(69, 1i32), (46, 20), (70, limits::BATCH_PACKETS as i32)].into_iter().all(|(option, value)| {
        // SAFETY: the option's value is an int, passed by pointer with its size; the fd is open.
        let rc = unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const value).cast(),
                size_of::<i32>() as u32,
            )
        };
        rc == 0
    })
}

/// # Safety
/// The ring at `page` holds `entries` values of `T`, and is mapped only once for use as an end.
unsafe fn map_ring<T: Copy>(
    fd: BorrowedFd<'_>,
    offsets: &XdpRingOffset,
    entries: u32,
    page: u64,
) -> Result<Place<T>, Errno> {
    let len = offsets.desc as usize + entries as usize * size_of::<T>();
    let map = Mapping::of_fd(fd, len, page).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::NOMEM))?;
    let base = map.base();
    // SAFETY: the kernel's offsets lie within the ring that it maps, aligned for their types; the caller vouches for
    // `T` and for the only end; the mapping lives in the place.
    unsafe {
        let word = |offset: u64| -> NonNull<_> { base.add(offset as usize).cast() };
        Ok(Place::new(
            word(offsets.producer),
            word(offsets.consumer),
            offsets.flags.map(word),
            base.add(offsets.desc as usize).cast(),
            entries,
            Arc::new(map),
        ))
    }
}

const _: () = assert!(META_BYTES < HEADROOM as usize);
