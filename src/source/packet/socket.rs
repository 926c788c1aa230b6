//! A packet socket: made, filtered, bound, joined with those of other workers, and counted. Owns the socket options.
//!
//! packet(7); Documentation/networking/packet_mmap.rst of Linux.
#![allow(unsafe_code)]

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Why a packet socket could not be made.
#[derive(Debug, thiserror::Error)]
#[error("packet socket on {interface}: {step}: {source}{}", hint(.source))]
pub struct Error {
    /// The interface.
    pub interface: String,
    /// What was asked of the kernel.
    pub step: &'static str,
    /// Its answer.
    pub source: io::Error,
}

fn hint(e: &io::Error) -> &'static str {
    match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => " (it takes root, or CAP_NET_RAW)",
        Some(libc::ENOMEM) => " (lower the frames per ring)",
        _ => "",
    }
}

/// A group of sockets that share the packets of one interface by flow hash.
#[derive(Clone, Copy, Debug)]
pub struct Fanout(u16);

/// What one socket counted since the last reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Passed by the filter, dropped ones included.
    pub packets: u64,
    /// No room in the ring.
    pub drops: u64,
}

/// Waits until every path through the kernel's receive code that ran at the call has ended, with what it had in hand: the
/// grace period of RCU, which membarrier(2) waits for. False where the kernel refuses.
pub fn settle() -> bool {
    rustix::thread::membarrier(rustix::thread::MembarrierCommand::Global).is_ok()
}

/// A packet socket.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// A socket that receives nothing yet: it is not bound, and its filter refuses everything.
    pub fn new() -> io::Result<PacketSocket> {
        let socket = PacketSocket(socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?);
        socket.refuse_all()?;
        Ok(socket)
    }

    fn set<T>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
        // SAFETY: the value is passed by pointer with its size and only read; callers pass the option's own type.
        let rc = unsafe {
            libc::setsockopt(self.0.as_raw_fd(), level, option, (&raw const *value).cast(), size_of::<T>() as u32)
        };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn get<T: Default>(&self, option: libc::c_int) -> io::Result<T> {
        let mut value = T::default();
        let mut len = size_of::<T>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `len` bytes; callers pass the option's own type.
        let rc = unsafe {
            libc::getsockopt(self.0.as_raw_fd(), libc::SOL_PACKET, option, (&raw mut value).cast(), &raw mut len)
        };
        if rc == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
    }

    /// Sets a SOL_PACKET option.
    pub(super) fn set_packet<T>(&self, option: libc::c_int, value: &T) -> io::Result<()> {
        self.set(libc::SOL_PACKET, option, value)
    }

    /// Lets nothing through from now on.
    pub fn refuse_all(&self) -> io::Result<()> {
        // Classic BPF: return 0.
        let mut code = libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 };
        let program = libc::sock_fprog { len: 1, filter: &raw mut code };
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// Lets through what `program` lets through; replaces the filter that was there in one step.
    pub fn filter(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_BPF, &program.as_raw_fd())
    }

    /// Binds to an interface, all protocols.
    pub fn bind(&self, ifindex: u32) -> io::Result<()> {
        // SAFETY: zeroes are valid for this struct of integers.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = ifindex as i32;
        // SAFETY: a sockaddr_ll, with its size.
        let rc = unsafe {
            libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
        };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Founds a group, or joins one.
    pub fn join(&self, group: Option<Fanout>) -> io::Result<Fanout> {
        let (id, flags) = match group {
            Some(Fanout(id)) => (id, 0),
            None => (0, libc::PACKET_FANOUT_FLAG_UNIQUEID),
        };
        self.set_packet(libc::PACKET_FANOUT, &(u32::from(id) | (libc::PACKET_FANOUT_HASH | flags) << 16))?;
        Ok(Fanout(self.get::<u32>(libc::PACKET_FANOUT)? as u16))
    }

    /// What was counted since the last call: the kernel starts anew at each.
    pub fn statistics(&self) -> io::Result<Statistics> {
        // struct tpacket_stats_v3: packets, drops, queue freezes.
        let [packets, drops, _] = self.get::<[u32; 3]>(libc::PACKET_STATISTICS)?;
        Ok(Statistics { packets: packets.into(), drops: drops.into() })
    }

    /// Another descriptor of the same socket.
    pub fn another(&self) -> io::Result<PacketSocket> {
        Ok(PacketSocket(self.0.try_clone()?))
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
