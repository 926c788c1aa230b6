//! Which source suits the interfaces: `xdp` takes packets from the host, so what the host lives on gets `packet`.
//! Owns the rule of design section 4; called once, before the capture.

use super::{Addresses, Link};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::IpAddr;

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Request {
    /// `xdp` where it does no harm, else `packet`.
    #[default]
    Auto,
    /// `xdp` or nothing.
    Xdp,
    /// `packet`.
    Packet,
}

/// The source for all interfaces of a recorder: there is one account and one first line of the sum law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// AF_XDP.
    Xdp,
    /// AF_PACKET; empty reasons: it was asked for.
    Packet(Vec<Reason>),
}

/// Why an interface does not get `xdp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Its name.
    pub interface: String,
    /// What it is.
    pub why: Why,
}

/// What keeps `xdp` away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It carries an address.
    Address(IpAddr),
    /// It carries a default route.
    DefaultRoute,
    /// It is the master of others: `bridge`, `bond` or `team`.
    Master(String),
    /// It is a bridge port: the host forwards what arrives here.
    BridgePort(u32),
    /// Another interface, which the host lives on, sits on it (VLAN, MACVLAN, tunnel).
    Carries(Box<Reason>),
    /// It is the loopback.
    Loopback,
    /// Its frames are not Ethernet (ARPHRD_*).
    NotEthernet(u16),
    /// It has more queues than the XDP program's socket map has places for.
    Queues(u32),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reason { interface, why } = self;
        match why {
            Why::Address(a) => write!(f, "{interface} carries the address {a}"),
            Why::DefaultRoute => write!(f, "{interface} carries a default route"),
            Why::Master(kind) => write!(f, "{interface} is a {kind}"),
            Why::BridgePort(master) => write!(f, "{interface} is a port of the bridge or bond with index {master}"),
            Why::Carries(above) => write!(f, "{interface} carries {}, and {above}", above.interface),
            Why::Loopback => write!(f, "{interface} is the loopback"),
            Why::NotEthernet(hardware) => write!(f, "{interface} is not Ethernet (ARPHRD {hardware})"),
            Why::Queues(n) => write!(f, "{interface} has {n} queues, more than {}", crate::limits::QUEUES_MAX),
        }
    }
}

/// `--source xdp` on what the host lives on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--source xdp takes every packet away from the host, and {}: give a tap port, or leave --source out to record with \
     `packet`, which takes nothing", reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
)]
pub struct Refused {
    /// Why, for each interface that it holds for.
    pub reasons: Vec<Reason>,
}

/// What the host does with its interfaces.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// All interfaces.
    pub links: Vec<Link>,
    /// Their addresses.
    pub addresses: Addresses,
    /// Which of them carry a default route.
    pub default_routes: BTreeSet<String>,
}

impl Host {
    /// As it is now, in this network namespace.
    pub fn now() -> io::Result<Host> {
        Ok(Host { links: Link::all()?, addresses: super::addresses()?, default_routes: super::default_routes() })
    }

    /// Why the host needs the packets of `link`; `depth` bounds the search upwards.
    fn lives_on(&self, link: &Link, depth: u32) -> Option<Why> {
        if link.loopback {
            return Some(Why::Loopback);
        }
        if let Some(address) = self.addresses.of_host(&link.name) {
            return Some(Why::Address(address));
        }
        if self.default_routes.contains(&link.name) {
            return Some(Why::DefaultRoute);
        }
        if let Some(kind) = link.kind.as_ref().filter(|_| link.is_master()) {
            return Some(Why::Master(kind.clone()));
        }
        if let Some(master) = link.master {
            return Some(Why::BridgePort(master));
        }
        let above = self.links.iter().filter(|l| depth > 0 && l.lower == Some(link.index));
        above.into_iter().find_map(|l| {
            let why = self.lives_on(l, depth - 1)?;
            Some(Why::Carries(Box::new(Reason { interface: l.name.clone(), why })))
        })
    }
}

/// Interfaces that sit on each other: more than this is not looked at.
const DEPTH_MAX: u32 = 8;

/// Chooses the source for `links`, each with its number of queues.
pub fn choose(request: Request, links: &[(Link, u32)], host: &Host) -> Result<Choice, Refused> {
    if request == Request::Packet {
        return Ok(Choice::Packet(Vec::new()));
    }
    let why = |(link, queues): &(Link, u32)| -> Option<Why> {
        if let Some(why) = host.lives_on(link, DEPTH_MAX) {
            return Some(why);
        }
        if link.hardware != libc::ARPHRD_ETHER {
            return Some(Why::NotEthernet(link.hardware));
        }
        (*queues > crate::limits::QUEUES_MAX as u32).then_some(Why::Queues(*queues))
    };
    let reasons: Vec<Reason> =
        links.iter().filter_map(|l| why(l).map(|why| Reason { interface: l.0.name.clone(), why })).collect();
    match (reasons.is_empty(), request) {
        (true, _) => Ok(Choice::Xdp),
        (false, Request::Xdp) => Err(Refused { reasons }),
        (false, _) => Ok(Choice::Packet(reasons)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str) -> (Link, u32) {
        (Link { name: name.into(), hardware: libc::ARPHRD_ETHER, ..Link::default() }, 1)
    }

    #[test]
    fn only_what_the_host_does_not_live_on_gets_xdp() {
        let mut vlan = link("trunk0.5");
        vlan.0.lower = Some(42);
        let mut upper = link("trunk0.5.7");
        (upper.0.lower, upper.0.master) = (Some(43), Some(7));
        vlan.0.index = 43;
        let mut trunk = link("trunk0");
        trunk.0.index = 42;
        let host = Host {
            links: vec![vlan.0, upper.0, trunk.0.clone()],
            addresses: Addresses::default(),
            default_routes: BTreeSet::from(["up0".to_owned()]),
        };
        let carried = |interface: &str, why| Why::Carries(Box::new(Reason { interface: interface.into(), why }));
        let mut bridge = link("br0");
        bridge.0.kind = Some("bridge".into());
        let mut port = link("p0");
        port.0.master = Some(7);
        let mut lo = link("lo");
        lo.0.loopback = true;
        let mut tun = link("tun0");
        tun.0.hardware = libc::ARPHRD_NONE;
        let mut wide = link("wide0");
        wide.1 = 65;
        assert_eq!(choose(Request::Auto, &[link("tap0"), link("tap1")], &host), Ok(Choice::Xdp));
        assert_eq!(choose(Request::Xdp, &[link("tap0")], &host), Ok(Choice::Xdp));
        for (odd, why) in [
            (link("up0"), Why::DefaultRoute),
            (bridge, Why::Master("bridge".into())),
            (port, Why::BridgePort(7)),
            (lo, Why::Loopback),
            (tun, Why::NotEthernet(libc::ARPHRD_NONE)),
            (wide, Why::Queues(65)),
            (trunk, carried("trunk0.5", carried("trunk0.5.7", Why::BridgePort(7)))),
        ] {
            let reasons = vec![Reason { interface: odd.0.name.clone(), why }];
            let links = [link("tap0"), odd];
            assert_eq!(choose(Request::Auto, &links, &host), Ok(Choice::Packet(reasons.clone())));
            assert_eq!(choose(Request::Xdp, &links, &host), Err(Refused { reasons }));
            assert_eq!(choose(Request::Packet, &links, &host), Ok(Choice::Packet(vec![])));
        }
    }
}
