//! The few ethtool commands that capture needs, by ioctl: driver, queues, offloads. Owns the unsafe calls; the names of
//! the features are ethtool's own.
//!
//! Commands and structures: include/uapi/linux/ethtool.h.
#![allow(unsafe_code)]

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// An offload that hides packets or tags from capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Feature {
    /// Large receive offload: merges packets in hardware.
    Lro,
    /// Generic receive offload: merges packets in the driver.
    Gro,
    /// VLAN tags are taken out of the packet.
    RxVlan,
}

impl Feature {
    /// All of them.
    pub const ALL: [Feature; 3] = [Feature::Lro, Feature::Gro, Feature::RxVlan];
}

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_SFLAGS: u32 = 0x26;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETHTOOL_SGRO: u32 = 0x2c;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;
const ETH_FLAG_LRO: u32 = 1 << 15;

#[repr(C)]
struct Value {
    cmd: u32,
    data: u32,
}

#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    cmd: u32,
    max: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

const _: () = assert!(size_of::<DriverInfo>() == 196 && size_of::<Channels>() == 36);

/// An interface request for `name`.
pub(super) fn ifreq(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// An ioctl on an interface request.
pub(super) fn ioctl(socket: &OwnedFd, command: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: the callers in this module pass commands that take a `struct ifreq`; where it holds a pointer, that
    // points to a live value of the size that the ethtool command reads and writes.
    match unsafe { libc::ioctl(socket.as_raw_fd(), command as _, &raw mut *request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs the ethtool command at the head of `data`.
pub(super) fn command<T>(name: &str, data: &mut T) -> io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut request = ifreq(name)?;
    request.ifr_ifru.ifru_data = (&raw mut *data).cast();
    ioctl(&socket, libc::SIOCETHTOOL as _, &mut request)
}

/// Name of the driver; `None` where the device has none to tell (loopback).
pub fn driver(name: &str) -> Option<String> {
    let mut info = DriverInfo { cmd: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    command(name, &mut info).ok()?;
    CStr::from_bytes_until_nul(&info.driver).ok().map(|s| s.to_string_lossy().into_owned())
}

/// Receive queues in use (combined and receive-only channels); `None` if the driver has no channels to set.
pub fn queues(name: &str) -> Option<u32> {
    let mut channels = Channels { cmd: ETHTOOL_GCHANNELS, ..Channels::default() };
    command(name, &mut channels).ok()?;
    Some(channels.rx + channels.combined).filter(|n| *n > 0)
}

fn get(name: &str, cmd: u32) -> io::Result<u32> {
    let mut value = Value { cmd, data: 0 };
    command(name, &mut value)?;
    Ok(value.data)
}

/// Whether a feature is on.
pub fn feature(name: &str, feature: Feature) -> io::Result<bool> {
    Ok(match feature {
        Feature::Gro => get(name, ETHTOOL_GGRO)? != 0,
        Feature::Lro => get(name, ETHTOOL_GFLAGS)? & ETH_FLAG_LRO != 0,
        Feature::RxVlan => get(name, ETHTOOL_GFLAGS)? & ETH_FLAG_RXVLAN != 0,
    })
}

/// Turns a feature on or off. `Ok` is not proof: some drivers accept and ignore it, so read it back.
pub fn set_feature(name: &str, feature: Feature, on: bool) -> io::Result<()> {
    let flag = match feature {
        Feature::Gro => return command(name, &mut Value { cmd: ETHTOOL_SGRO, data: on.into() }),
        Feature::Lro => ETH_FLAG_LRO,
        Feature::RxVlan => ETH_FLAG_RXVLAN,
    };
    let flags = get(name, ETHTOOL_GFLAGS)?;
    command(name, &mut Value { cmd: ETHTOOL_SFLAGS, data: if on { flags | flag } else { flags & !flag } })
}
