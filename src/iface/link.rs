//! One interface as rtnetlink describes it (RTM_GETLINK). Owns the request and the reading of the answer.
//!
//! Format: include/uapi/linux/rtnetlink.h and if_link.h; the answer comes from the kernel but is read as outside bytes.
#![allow(unsafe_code)]

use super::Error;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use std::io;
use std::os::fd::OwnedFd;

/// What an interface is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its index in this network namespace.
    pub index: u32,
    /// ARPHRD_*.
    pub hardware: u16,
    /// Largest payload.
    pub mtu: u32,
    /// Set up by the administrator.
    pub up: bool,
    /// There is a signal.
    pub carrier: bool,
    /// Is the loopback.
    pub loopback: bool,
    /// Index of the bridge, bond or team that it is a member of.
    pub master: Option<u32>,
    /// Index of the interface that it sits on (VLAN, MACVLAN, VXLAN, ...), in this namespace; not for veth, where it is the peer.
    pub lower: Option<u32>,
    /// What kind of virtual device: `veth`, `bridge`, `bond`, `vlan`, ...
    pub kind: Option<String>,
    /// Driver's receive queues.
    pub rx_queues: u32,
    /// An XDP program is attached, by whomever.
    pub xdp: bool,
    /// Losses that the NIC counted.
    pub counters: NicCounters,
}

/// What a NIC dropped before anyone saw it (`struct rtnl_link_stats64`), since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NicCounters {
    /// Packets received.
    pub rx_packets: u64,
    /// Dropped for want of memory or of a protocol.
    pub rx_dropped: u64,
    /// No room in the NIC's ring.
    pub rx_missed: u64,
    /// Receiver overruns.
    pub rx_over: u64,
    /// FIFO overruns.
    pub rx_fifo: u64,
    /// Bad frames: CRC, length, alignment.
    pub rx_errors: u64,
}

impl Link {
    /// Looks an interface up by name.
    pub fn by_name(name: &str) -> Result<Link, Error> {
        get(Some(name), 0).map_err(|e| match e.raw_os_error() {
            Some(libc::ENODEV | libc::EINVAL | libc::ERANGE) => Error::Unknown { name: name.to_owned() },
            _ => Error::kernel(name, "RTM_GETLINK")(e),
        })
    }

    /// Looks an interface up by index; `None` if it has vanished.
    pub fn by_index(index: u32) -> io::Result<Option<Link>> {
        match get(None, index) {
            Ok(link) => Ok(Some(link)),
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// All interfaces of this network namespace.
    pub fn all() -> io::Result<Vec<Link>> {
        let socket = ask(&request(None, 0, libc::NLM_F_DUMP as u16))?;
        let mut links = Vec::new();
        let mut answer = vec![0u8; ANSWER_BYTES];
        loop {
            let (len, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
            let mut left = answer.get(..len).unwrap_or(&[]);
            while let Some(size) = u32_at(left, 0).map(|n| n as usize).filter(|n| *n >= 16) {
                if u16_at(left, 4) == Some(libc::NLMSG_DONE as u16) {
                    return Ok(links);
                }
                links.push(parse(left.get(..size).unwrap_or(left))?);
                left = left.get(size.next_multiple_of(4)..).unwrap_or(&[]);
            }
        }
    }

    /// True for bridges, bonds and teams: their members see the packets first.
    pub fn is_master(&self) -> bool {
        matches!(self.kind.as_deref(), Some("bridge" | "bond" | "team"))
    }
}

/// Room for one answer of the kernel, which sends at most 32 KiB at once.
const ANSWER_BYTES: usize = 64 << 10;

fn get(name: Option<&str>, index: u32) -> io::Result<Link> {
    let socket = ask(&request(name, index, 0))?;
    let mut answer = vec![0u8; ANSWER_BYTES];
    let (len, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    parse(answer.get(..len).unwrap_or(&[]))
}

fn ask(request: &[u8]) -> io::Result<OwnedFd> {
    // Protocol 0 is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sendto(&socket, request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

fn request(name: Option<&str>, index: u32, flags: u16) -> Vec<u8> {
    let mut body = Vec::with_capacity(64);
    body.extend([libc::AF_UNSPEC as u8, 0, 0, 0]);
    body.extend((index as i32).to_ne_bytes());
    body.extend([0; 8]);
    let mut attribute = |kind: u16, value: &[u8]| {
        body.extend((4 + value.len() as u16).to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    };
    if let Some(name) = name {
        let mut z = name.as_bytes().to_vec();
        z.push(0);
        attribute(libc::IFLA_IFNAME, &z);
    }
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(libc::RTM_GETLINK.to_ne_bytes());
    message.extend((libc::NLM_F_REQUEST as u16 | flags).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(b.get(at..at + 8)?.try_into().ok()?))
}

fn text(b: &[u8]) -> String {
    String::from_utf8_lossy(b.split(|c| *c == 0).next().unwrap_or(b)).into_owned()
}

/// The attributes in `b`: type (without its flag bits) and value.
fn attributes(mut b: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (len, kind) = (usize::from(u16_at(b, 0)?), u16_at(b, 2)? & 0x3fff);
        let value = b.get(4..len)?;
        b = b.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

fn parse(message: &[u8]) -> io::Result<Link> {
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "a netlink answer that is not understood");
    if u16_at(message, 4).ok_or_else(odd)? == libc::NLMSG_ERROR as u16 {
        let errno = u32_at(message, 16).ok_or_else(odd)? as i32;
        return Err(io::Error::from_raw_os_error(-errno));
    }
    let flags = u32_at(message, 24).ok_or_else(odd)? as i32;
    let mut link = Link {
        hardware: u16_at(message, 18).ok_or_else(odd)?,
        index: u32_at(message, 20).ok_or_else(odd)?,
        up: flags & libc::IFF_UP != 0,
        carrier: flags & libc::IFF_RUNNING != 0,
        loopback: flags & libc::IFF_LOOPBACK != 0,
        ..Link::default()
    };
    for (kind, value) in attributes(message.get(32..).unwrap_or(&[])) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_MTU => link.mtu = u32_at(value, 0).unwrap_or(0),
            libc::IFLA_LINK => link.lower = u32_at(value, 0).filter(|i| *i != link.index),
            libc::IFLA_MASTER => link.master = u32_at(value, 0),
            libc::IFLA_NUM_RX_QUEUES => link.rx_queues = u32_at(value, 0).unwrap_or(1),
            libc::IFLA_LINKINFO => {
                link.kind = attributes(value).find(|(k, _)| *k == libc::IFLA_INFO_KIND).map(|(_, v)| text(v));
            }
            // IFLA_XDP_ATTACHED (2): a byte, 0 if nothing is attached.
            libc::IFLA_XDP => link.xdp = attributes(value).any(|(k, v)| k == 2 && v.first().is_some_and(|m| *m != 0)),
            libc::IFLA_STATS64 => {
                let n = |i: usize| u64_at(value, 8 * i).unwrap_or(0);
                link.counters = NicCounters {
                    rx_packets: n(0),
                    rx_errors: n(4),
                    rx_dropped: n(6),
                    rx_over: n(11),
                    rx_fifo: n(14),
                    rx_missed: n(15),
                };
            }
            _ => {}
        }
    }
    if link.kind.as_deref() == Some("veth") {
        link.lower = None;
    }
    Ok(link)
}

/// Sets an interface up or down (SIOCSIFFLAGS).
pub fn set_up(name: &str, up: bool) -> io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut request = super::ethtool::ifreq(name)?;
    super::ethtool::ioctl(&socket, libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS filled the flags; every bit pattern is a valid short.
    let mut flags = unsafe { request.ifr_ifru.ifru_flags };
    flags = if up { flags | libc::IFF_UP as i16 } else { flags & !(libc::IFF_UP as i16) };
    request.ifr_ifru.ifru_flags = flags;
    super::ethtool::ioctl(&socket, libc::SIOCSIFFLAGS, &mut request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_loopback_is_known() {
        let lo = Link::by_name("lo").unwrap();
        assert_eq!((lo.name.as_str(), lo.loopback), ("lo", true));
        assert_eq!(lo.hardware, libc::ARPHRD_LOOPBACK);
        assert!(lo.mtu > 0 && lo.rx_queues > 0);
        assert_eq!(Link::by_index(lo.index).unwrap().map(|l| l.name), Some("lo".to_owned()));
    }

    #[test]
    fn what_is_not_there_is_named() {
        for name in ["nosuchif0", "", "a name that is much longer than any interface's"] {
            let e = Link::by_name(name).unwrap_err();
            assert!(matches!(e, Error::Unknown { .. }), "{name:?}: {e}");
        }
        assert!(Link::all().unwrap().iter().any(|l| l.name == "lo"));
        assert_eq!(Link::by_index(0x7fff_fff0).unwrap(), None);
    }

    /// An answer as the kernel lays it out, with these attributes.
    fn answer(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut m = [&[0; 4][..], &libc::RTM_NEWLINK.to_ne_bytes(), &[0; 10], &[0; 4], &43u32.to_ne_bytes()].concat();
        m.resize(32, 0);
        for (kind, value) in attributes {
            m.extend((4 + value.len() as u16).to_ne_bytes());
            m.extend(kind.to_ne_bytes());
            m.extend(*value);
            m.resize(m.len().next_multiple_of(4), 0);
        }
        m
    }

    #[test]
    fn what_an_interface_sits_on_is_read_but_a_veth_has_only_a_peer() {
        let (lower, name) = (42u32.to_ne_bytes(), (libc::IFLA_IFNAME, &b"eth0.5\0"[..]));
        let info = |kind: &[u8]| answer(&[(libc::IFLA_INFO_KIND, kind)])[32..].to_vec();
        for (kind, expected) in [(&b"vlan\0"[..], Some(42)), (b"macvlan\0", Some(42)), (b"veth\0", None)] {
            let nested = info(kind);
            // NLA_F_NESTED is set on some kernels.
            let m = answer(&[name, (libc::IFLA_LINK, &lower), (libc::IFLA_LINKINFO | 0x8000, &nested)]);
            let link = parse(&m).unwrap();
            assert_eq!((link.index, link.name.as_str(), link.lower), (43, "eth0.5", expected));
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
