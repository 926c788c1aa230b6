//! What operators have ordered for addresses and for connections: the class that an address gives, cutoffs and timeouts that are
//! suspended. Owns one worker's copy, of fixed size: looked at once a connection, at its first packet, and by the walk over
//! those that run; changed between batches. How long an order holds is not known here: who gave it takes it back.

use super::cutoff::Secret;
use super::fixed::{Fixed, Full, Words};
use crate::class::ClassId;
use crate::limits::{ORDERS_ADDRESSES, ORDERS_CONNECTIONS};
use crate::packet::key::{Key, Kind};
use std::net::IpAddr;

/// Bits of an address in here: IPv4 is what IPv6 maps it to.
const BITS: u8 = 128;
/// Of which an IPv4 address has these in front of it.
const MAPPED: u8 = 96;

/// An address, or a net.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    addr: [u8; 16],
    len: u8,
}

impl Prefix {
    /// The first `len` bits of an address; `None`: it has fewer.
    pub fn new(addr: IpAddr, len: u8) -> Option<Prefix> {
        let (wide, front) = match addr {
            IpAddr::V4(a) => (a.to_ipv6_mapped(), MAPPED),
            IpAddr::V6(a) => (a, 0),
        };
        let len = len.checked_add(front).filter(|l| *l <= BITS)?;
        Some(Prefix::of(u128::from(wide), len))
    }

    /// One address.
    pub fn host(addr: IpAddr) -> Prefix {
        let wide = match addr {
            IpAddr::V4(a) => a.to_ipv6_mapped(),
            IpAddr::V6(a) => a,
        };
        Prefix::of(u128::from(wide), BITS)
    }

    #[inline]
    fn of(addr: u128, len: u8) -> Prefix {
        let mask = u128::MAX.checked_shl(u32::from(BITS - len)).unwrap_or(0);
        Prefix { addr: (addr & mask).to_be_bytes(), len }
    }

    /// Its 16 bytes and how many of their bits count, IPv4 as IPv6 maps it.
    pub fn bits(&self) -> ([u8; 16], u8) {
        (self.addr, self.len)
    }

    /// The same back; `None`: there are no so many bits, or others are set.
    pub fn of_bits(addr: [u8; 16], len: u8) -> Option<Prefix> {
        let prefix = (len <= BITS).then(|| Prefix::of(u128::from_be_bytes(addr), len))?;
        (prefix.addr == addr).then_some(prefix)
    }

    /// The address and how many of its bits count.
    pub fn parts(&self) -> (IpAddr, u8) {
        let addr = IpAddr::from(self.addr);
        match addr.to_canonical() {
            IpAddr::V4(a) if self.len >= MAPPED => (IpAddr::V4(a), self.len - MAPPED),
            _ => (addr, self.len),
        }
    }
}

impl std::fmt::Display for Prefix {
    /// An address, or `10.0.0.0/8`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.parts() {
            (addr, _) if self.len == BITS => write!(f, "{addr}"),
            (addr, len) => write!(f, "{addr}/{len}"),
        }
    }
}

impl Words for Prefix {
    const NONE: Prefix = Prefix { addr: [0; 16], len: 0 };
    #[inline]
    fn fold(&self, mix: impl Fn(u64, u64) -> u64, seed: u64) -> u64 {
        let wide = u128::from_le_bytes(self.addr);
        mix(mix(seed ^ u64::from(self.len), wide as u64), (wide >> 64) as u64)
    }
}

/// For which end of a connection an address gives its class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Either.
    #[default]
    Either,
    /// Only where it began the connection.
    Originator,
    /// Only where the other did.
    Responder,
}

/// What is ordered for an address or a net.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressOrder {
    /// The class of its connections.
    pub class: Option<ClassId>,
    /// Of which of them.
    pub role: Role,
    /// All of its connections are stored whole, whatever their role.
    pub suspend_cutoff: bool,
    /// None of them ends by being idle.
    pub suspend_timeout: bool,
}

/// What is ordered for a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnOrder {
    /// It is stored whole.
    pub suspend_cutoff: bool,
    /// It does not end by being idle.
    pub suspend_timeout: bool,
}

/// A connection whatever VLAN or tunnel it is in: its key without these. Where no port is given, every connection of the pair
/// and protocol (ICMP: every echo id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Plain(Key);

impl Plain {
    /// `None`: it is not IP, or a fragment's.
    #[inline]
    pub fn of(key: &Key) -> Option<Plain> {
        let mut key = *key;
        let t = match &mut key {
            Key::V4(k) => &mut k.tail,
            Key::V6(k) => &mut k.tail,
        };
        if t.kind() != Kind::Ip {
            return None;
        }
        (t.net, t.vlan, t.kind) = (0, [0; 2], Kind::Ip as u8);
        Some(Plain(key))
    }

    /// The key of the connection that is in no VLAN and no tunnel.
    pub fn key(&self) -> Key {
        self.0
    }

    fn portless(mut self) -> Plain {
        match &mut self.0 {
            Key::V4(k) => k.tail.port = [0; 2],
            Key::V6(k) => k.tail.port = [0; 2],
        }
        self
    }
}

impl Words for Plain {
    const NONE: Plain = Plain(Key::V4(crate::packet::key::Key4 { addr: [[0; 4]; 2], tail: super::table::NO_TAIL }));
    #[inline]
    fn fold(&self, mix: impl Fn(u64, u64) -> u64, seed: u64) -> u64 {
        self.0.words().into_iter().fold(seed, mix)
    }
}

/// What holds for one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ordered {
    pub(super) class: Option<ClassId>,
    pub(super) suspend_cutoff: bool,
    pub(super) suspend_timeout: bool,
}

/// All that is ordered.
#[derive(Debug)]
pub(super) struct Orders {
    addresses: Fixed<Prefix, AddressOrder>,
    conns: Fixed<Plain, ConnOrder>,
    /// How many prefixes there are of each length.
    lens: [u32; BITS as usize + 1],
}

impl Orders {
    pub(super) fn new(secret: &Secret) -> Orders {
        Orders {
            addresses: Fixed::new(ORDERS_ADDRESSES, secret),
            conns: Fixed::new(ORDERS_CONNECTIONS, secret),
            lens: [0; BITS as usize + 1],
        }
    }

    /// Bytes that [`new`](Orders::new) takes.
    pub(super) fn bytes() -> usize {
        Fixed::<Prefix, AddressOrder>::bytes(ORDERS_ADDRESSES) + Fixed::<Plain, ConnOrder>::bytes(ORDERS_CONNECTIONS)
    }

    /// Puts an order for an address in the place of what there was; one that orders nothing takes it away.
    pub(super) fn address(&mut self, prefix: Prefix, order: AddressOrder) -> Result<(), Full> {
        let nothing = AddressOrder { role: order.role, ..AddressOrder::default() };
        let (before, now) = match order == nothing {
            true => (self.addresses.take(&prefix).is_some(), false),
            false => (self.addresses.set(prefix, order)?.is_some(), true),
        };
        if let Some(n) = self.lens.get_mut(usize::from(prefix.len)) {
            *n = *n + u32::from(now) - u32::from(before);
        }
        Ok(())
    }

    /// The same for a connection.
    pub(super) fn conn(&mut self, name: Plain, order: ConnOrder) -> Result<(), Full> {
        match order == ConnOrder::default() {
            true => drop(self.conns.take(&name)),
            false => drop(self.conns.set(name, order)?),
        }
        Ok(())
    }

    /// What holds for a connection. The longest prefix gives the class; where both addresses have one as long, the originator's.
    #[inline]
    pub(super) fn of(&self, key: &Key, from_one: bool) -> Ordered {
        if self.addresses.len() + self.conns.len() == 0 { Ordered::default() } else { self.look(key, from_one) }
    }

    #[inline(never)]
    fn look(&self, key: &Key, from_one: bool) -> Ordered {
        let mut found = Ordered::default();
        if self.addresses.len() > 0
            && let Some([a, b]) = wide(key)
        {
            let [originator, responder] = if from_one { [b, a] } else { [a, b] };
            for len in (0..=BITS).rev().filter(|l| self.lens.get(usize::from(*l)).is_some_and(|n| *n > 0)) {
                for (addr, not) in [(originator, Role::Responder), (responder, Role::Originator)] {
                    let Some(order) = self.addresses.get(&Prefix::of(addr, len)) else { continue };
                    found.class = found.class.or(order.class.filter(|_| order.role != not));
                    found.suspend_cutoff |= order.suspend_cutoff;
                    found.suspend_timeout |= order.suspend_timeout;
                }
            }
        }
        if self.conns.len() > 0
            && let Some(name) = Plain::of(key)
        {
            for order in [self.conns.get(&name), self.conns.get(&name.portless())].into_iter().flatten() {
                found.suspend_cutoff |= order.suspend_cutoff;
                found.suspend_timeout |= order.suspend_timeout;
            }
        }
        found
    }
}

/// The two addresses, IPv4 mapped.
#[inline]
fn wide(key: &Key) -> Option<[u128; 2]> {
    match key {
        Key::V4(k) => Some(k.addr.map(|a| 0xFFFF_0000_0000 | u128::from(u32::from_be_bytes(a)))),
        Key::V6(k) if matches!(k.tail.kind(), Kind::Ip | Kind::Fragment) => Some(k.addr.map(u128::from_be_bytes)),
        Key::V6(_) => None,
    }
}
