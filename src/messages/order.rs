//! An order, as serve sends it and capture keeps it: 64 bytes, whatever it is. Owns its form, and who ordered it.

use super::wire::{Malformed, Reading, Writing};
use crate::class::ClassId;
use crate::conn::orders::{Plain, Prefix, Role};
use crate::limits::{CLASSES_MAX, ORDERED_BY_BYTES};
use crate::packet::key::{Key, Key4, Key6, Tail};

/// What is ordered for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The connections of an address or a net.
    Address(Prefix),
    /// One connection.
    Connection(Plain),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Address(prefix) => prefix.fmt(f),
            Target::Connection(plain) => f.write_str(&super::words::name(plain)),
        }
    }
}

/// An order. Times are Unix times of its end, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The connections of an address or a net get a class.
    Assign {
        /// Whose.
        prefix: Prefix,
        /// Which class.
        class: ClassId,
        /// Of which end.
        role: Role,
        /// Until when; not 0.
        until: u64,
    },
    /// An assignment is taken back.
    Unassign(Prefix),
    /// Cutoff and idle timeout are suspended; 0 leaves what there is, and not both are 0.
    Suspend {
        /// Whose.
        target: Target,
        /// Of the cutoff.
        cutoff: u64,
        /// Of the idle timeout.
        timeout: u64,
    },
    /// What is suspended is taken back, one of the two or both.
    Resume {
        /// Whose.
        target: Target,
        /// The cutoff's.
        cutoff: bool,
        /// The idle timeout's.
        timeout: bool,
    },
}

/// Whom an order comes from: a name for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderedBy(String);

/// What is in force, and who ordered it: [`Order::Assign`] or [`Order::Suspend`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// As it was ordered.
    pub order: Order,
    /// Who ordered it last.
    pub by: OrderedBy,
}

impl OrderedBy {
    /// Of a name; of a long one the beginning, without control characters.
    pub fn new(name: &str) -> OrderedBy {
        let mut plain: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let end = (0..=ORDERED_BY_BYTES.min(plain.len())).rev().find(|at| plain.is_char_boundary(*at));
        plain.truncate(end.unwrap_or(0));
        OrderedBy(plain)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn write(&self, to: &mut Writing) {
        to.text::<ORDERED_BY_BYTES>(&self.0);
    }

    pub(super) fn read(from: &mut Reading<'_>) -> Result<OrderedBy, Malformed> {
        from.text::<ORDERED_BY_BYTES>().map(OrderedBy)
    }
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Order::Assign { prefix, .. } => write!(f, "a class for {prefix}"),
            Order::Unassign(prefix) => write!(f, "no class for {prefix}"),
            Order::Suspend { target, .. } => write!(f, "a suspension for {target}"),
            Order::Resume { target, .. } => write!(f, "no suspension for {target}"),
        }
    }
}

/// The fields of an order in their places.
#[derive(Default)]
struct Fields {
    kind: u8,
    /// 0: address, 1: IPv4 connection, 2: IPv6 connection.
    whose: u8,
    class: u8,
    role: u8,
    /// Bits of the address that count.
    bits: u8,
    proto: u8,
    addresses: [[u8; 16]; 2],
    ports: [u16; 2],
    times: [u64; 2],
}

impl Fields {
    fn of(kind: u8, target: Target) -> Fields {
        let mut fields = Fields { kind, ..Fields::default() };
        match target {
            Target::Address(prefix) => {
                let (address, bits) = prefix.bits();
                (fields.addresses, fields.bits) = ([address, [0; 16]], bits);
            }
            Target::Connection(plain) => {
                let key = plain.key();
                let Tail { port, proto, .. } = *key.tail();
                (fields.ports, fields.proto) = (port, proto);
                (fields.whose, fields.addresses) = match key {
                    Key::V4(k) => (1, k.addr.map(wide)),
                    Key::V6(k) => (2, k.addr),
                };
            }
        }
        fields
    }

    /// Whom it is for; every field that says nothing of it is zero.
    fn target(&self) -> Result<Target, Malformed> {
        let [a, b] = self.addresses;
        if self.whose == 0 {
            if (b, self.ports, self.proto) != ([0; 16], [0; 2], 0) {
                return Err(Malformed("an address has fields of a connection"));
            }
            let prefix = Prefix::of_bits(a, self.bits).ok_or(Malformed("bits behind the length of a net"))?;
            return Ok(Target::Address(prefix));
        }
        if self.bits != 0 || (a, self.ports[0]) > (b, self.ports[1]) {
            return Err(Malformed("the ends of a connection are not in order"));
        }
        let tail = Tail { port: self.ports, proto: self.proto, ..Tail::default() };
        let key = match self.whose {
            1 => Key::V4(Key4 { addr: [narrow(a)?, narrow(b)?], tail }),
            2 => Key::V6(Key6 { addr: [a, b], tail }),
            _ => return Err(Malformed("an order is for nobody")),
        };
        Plain::of(&key).map(Target::Connection).ok_or(Malformed("an order is for no connection"))
    }

    fn address(&self) -> Result<Prefix, Malformed> {
        match self.target()? {
            Target::Address(prefix) => Ok(prefix),
            Target::Connection(_) => Err(Malformed("a class is for an address")),
        }
    }
}

fn wide([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn narrow(wide: [u8; 16]) -> Result<[u8; 4], Malformed> {
    match wide {
        [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => Ok([a, b, c, d]),
        _ => Err(Malformed("an IPv4 address has more than four bytes")),
    }
}

impl Order {
    pub(super) fn write(&self, to: &mut Writing) {
        let f = match *self {
            Order::Assign { prefix, class, role, until } => Fields {
                class,
                role: match role {
                    Role::Either => 0,
                    Role::Originator => 1,
                    Role::Responder => 2,
                },
                times: [until, 0],
                ..Fields::of(1, Target::Address(prefix))
            },
            Order::Unassign(prefix) => Fields::of(2, Target::Address(prefix)),
            Order::Suspend { target, cutoff, timeout } => Fields { times: [cutoff, timeout], ..Fields::of(3, target) },
            Order::Resume { target, cutoff, timeout } => {
                Fields { times: [cutoff, timeout].map(u64::from), ..Fields::of(4, target) }
            }
        };
        to.bytes(&[f.kind, f.whose, f.class, f.role, f.bits, f.proto]).zero(2).bytes(f.addresses.as_flattened());
        let ([a, b], [c, d]) = (f.ports, f.times);
        to.u16(a).u16(b).zero(4).u64(c).u64(d);
    }

    pub(super) fn read(from: &mut Reading<'_>) -> Result<Order, Malformed> {
        let [kind, whose, class, role, bits, proto] = from.array()?;
        from.zero::<2>()?;
        let addresses = [from.array()?, from.array()?];
        let ports = [from.u16()?, from.u16()?];
        from.zero::<4>()?;
        let times = [from.u64()?, from.u64()?];
        let f = Fields { kind, whose, class, role, bits, proto, addresses, ports, times };
        if kind != 1 && (class, role) != (0, 0) {
            return Err(Malformed("only an assignment has a class"));
        }
        match (kind, times) {
            (1, [until, 0]) if until > 0 && usize::from(class) < CLASSES_MAX => {
                let role = match role {
                    0 => Role::Either,
                    1 => Role::Originator,
                    2 => Role::Responder,
                    _ => return Err(Malformed("an assignment is for no role")),
                };
                Ok(Order::Assign { prefix: f.address()?, class, role, until })
            }
            (2, [0, 0]) => f.address().map(Order::Unassign),
            (3, [cutoff, timeout]) if cutoff > 0 || timeout > 0 => {
                Ok(Order::Suspend { target: f.target()?, cutoff, timeout })
            }
            (4, [cutoff @ (0 | 1), timeout @ (0 | 1)]) if cutoff > 0 || timeout > 0 => {
                Ok(Order::Resume { target: f.target()?, cutoff: cutoff > 0, timeout: timeout > 0 })
            }
            _ => Err(Malformed("no order")),
        }
    }
}

impl InForce {
    /// Its bytes in a list.
    pub(super) const BYTES: usize = 64 + 1 + ORDERED_BY_BYTES;

    pub(super) fn write(&self, to: &mut Writing) {
        self.order.write(to);
        self.by.write(to);
    }

    pub(super) fn read(from: &mut Reading<'_>) -> Result<InForce, Malformed> {
        let (order, by) = (Order::read(from)?, OrderedBy::read(from)?);
        match order {
            Order::Assign { .. } | Order::Suspend { .. } => Ok(InForce { order, by }),
            Order::Unassign(_) | Order::Resume { .. } => Err(Malformed("what takes something back is not in force")),
        }
    }
}
