//! The product's parser and tracker, driven packet by packet like a worker does, with or without a shunt; and a shunt that
//! is a plain model of the kernel's.
#![allow(dead_code)] // each test binary uses its part

use std::collections::HashMap;

use retrotap::class::{Class, ClassSet, Idle, Policy, UnknownCutoff};
use retrotap::conn::receipt::{End, Receipt};
use retrotap::conn::shunt::{NoShunt, Shunt, ShuntCounts, ShuntSlot};
use retrotap::conn::verdict::Verdict;
use retrotap::conn::{Tracker, TrackerPlan};
use retrotap::packet::key::{Key, Key4, Key6, Tail};
use retrotap::packet::{Fragment, Parser};
use retrotap::source::{InputOptions, Packet};

use super::oracle::frame::ETHERNET;
use super::oracle::model::{Connection, Rules, S};
use super::oracle::page::Web;
use super::oracle::parse::{Name, Net};

/// FIN, SYN and RST: the kernel never drops them.
const CONTROL: u8 = 7;
/// Steps of the sweep's clock: fine enough that nothing waits for it.
const STEP: u64 = 2 * S;

/// The product's settings for the oracle's rules.
pub fn policy(rules: &Rules) -> Policy {
    Policy {
        cutoff_bytes: rules.cutoff_bytes,
        cutoff_packets: rules.cutoff_packets,
        cutoff_unknown: if rules.whole_unknown { UnknownCutoff::Whole } else { UnknownCutoff::Same },
        cutoff_jitter: 0,
        sample: 0,
        snaplen: u32::MAX,
        idle: Idle {
            tcp_ns: rules.idle_tcp,
            udp_ns: rules.idle_other,
            icmp_ns: rules.idle_other,
            other_ns: rules.idle_other,
        },
        renew_tcp_ns: rules.renew_tcp,
        renew_other_ns: rules.renew_other,
        record: true,
    }
}

/// One worker's share of the product.
pub struct Product<S> {
    parser: Parser,
    tracker: Tracker,
    shunt: S,
    receipts: Vec<Receipt>,
    now: u64,
    /// Name and hash of the last packet's connection, and the class that it was judged by.
    last: (Key, u64, u8),
}

impl Product<NoShunt> {
    /// As it is for files, with room for so many connections.
    pub fn new(rules: &Rules, connections: usize) -> Product<NoShunt> {
        Product::with(rules, None, NoShunt, 0, connections)
    }

    /// The same with a class beside `all`.
    pub fn classed(rules: &Rules, web: Option<Web>, connections: usize) -> Product<NoShunt> {
        Product::with(rules, web, NoShunt, 0, connections)
    }
}

impl Product<ModelShunt> {
    /// As it is behind XDP, with a shunt of so many places.
    pub fn shunted(rules: &Rules, slots: usize, connections: usize) -> Product<ModelShunt> {
        Product::with(rules, None, ModelShunt::new(slots), slots, connections)
    }

    /// One packet: true if it is stored. The kernel comes first.
    pub fn packet_through_kernel(&mut self, time: u64, wire: u32, link_type: u16, data: &[u8]) -> bool {
        self.sweep_until(time);
        let parsed = self.parser.parse(link_type, data);
        let goes_up = parsed.fragment != Fragment::None || parsed.tcp_flags & CONTROL != 0;
        if !goes_up && self.shunt.hit(&parsed.key, time, wire) {
            return false;
        }
        self.packet(time, wire, link_type, data)
    }

    /// Packets that the kernel has dropped.
    pub fn dropped(&self) -> u64 {
        self.shunt.dropped
    }
}

impl<T: Shunt> Product<T> {
    fn with(rules: &Rules, web: Option<Web>, shunt: T, shunt_slots: usize, connections: usize) -> Product<T> {
        let plan = TrackerPlan { connections_v4: connections, connections_v6: connections, shunt_slots };
        let class =
            |name: &str, filter: String, precedence, policy| Class { name: name.into(), filter, precedence, policy };
        let mut classes = vec![class("all", String::new(), 0, policy(rules))];
        if let Some(web) = web {
            let policy = Policy { cutoff_bytes: web.cutoff_bytes, ..policy(rules) };
            classes.push(class("web", format!("dst port {}", web.port), 1, policy));
        }
        let mut tracker = Tracker::new(&plan, ClassSet::new(classes).expect("classes"), [7; 16]).expect("a tracker");
        tracker.prepare(ETHERNET);
        let last = (Key::V4(Key4::default()), 0, 0);
        Product { parser: Parser::new(1, rules.vlans), tracker, shunt, receipts: Vec::new(), now: 0, last }
    }

    /// One packet that the worker gets: true if it is stored.
    pub fn packet(&mut self, time: u64, wire_len: u32, link_type: u16, data: &[u8]) -> bool {
        self.now = self.now.max(time);
        let mut parsed = self.parser.parse(link_type, data);
        self.tracker.prefetch(&parsed);
        self.tracker.resolve_fragment(&mut parsed, time);
        let packet = Packet { time, wire_len, iface: 0, hash: None, data, options: InputOptions::NONE };
        let verdict = self.tracker.judge(&parsed, &packet, link_type, &mut self.shunt);
        let (stored, class) = match verdict {
            Verdict::Store { class, .. } => (true, class),
            Verdict::Cut { class } => (false, class),
            Verdict::SampledOut { .. } | Verdict::Discard { .. } | Verdict::Flood => {
                panic!("{verdict:?} of packet at {time}")
            }
        };
        self.last = (parsed.key, parsed.hash, class);
        self.tracker.sweep(self.now, 64, &mut self.shunt);
        self.fetch();
        stored
    }

    /// Of the last packet: the endpoint that began its connection, as far as is known now, and the class that it was judged by.
    pub fn began(&self) -> (usize, usize) {
        let (key, hash, class) = &self.last;
        let running = self.tracker.totals(key, *hash, &self.shunt).expect("a connection");
        (running.originator.into(), (*class).into())
    }

    /// The worker's idle time until `time`.
    fn sweep_until(&mut self, time: u64) {
        while self.now < time {
            // Of a long silence only the beginning and the end matter.
            let rest = time - self.now;
            self.now += if rest > 2000 * S { rest - 1000 * S } else { STEP.min(rest) };
            self.tracker.sweep(self.now, usize::MAX, &mut self.shunt);
            self.fetch();
        }
    }

    fn fetch(&mut self) {
        while let Some(receipt) = self.tracker.next_receipt() {
            if receipt.end != End::Lasting {
                self.receipts.push(receipt);
            }
        }
    }

    /// No more packets: the receipts of all connections there were.
    pub fn finish(mut self) -> Vec<Receipt> {
        while !self.tracker.finish(self.now, &mut self.shunt) {
            self.fetch();
        }
        self.fetch();
        self.receipts
    }
}

/// What is wrong with the receipts, if anything: there must be one for each connection, with its totals.
pub fn compare_receipts(connections: &[Connection], receipts: &[Receipt]) -> Result<(), String> {
    let mut expected: Vec<_> = connections.iter().map(of_connection).collect();
    let mut got: Vec<_> = receipts.iter().map(of_receipt).collect();
    expected.sort();
    got.sort();
    if expected == got {
        return Ok(());
    }
    let lacking: Vec<_> = expected.iter().filter(|e| !got.contains(e)).collect();
    let wrong: Vec<_> = got.iter().filter(|g| !expected.contains(g)).collect();
    Err(format!("receipts that should be: {lacking:?}\nthat should not: {wrong:?}"))
}

type Totals = (Key, u64, u64, [u64; 4], bool, Option<bool>, (usize, usize));

fn of_connection(c: &Connection) -> Totals {
    let totals = [c.seen_packets, c.seen_bytes, c.stored_packets, c.stored_bytes];
    (key(&c.name), c.first, c.last, totals, c.cut, c.ended.map(|(_, reset)| reset), (c.originator, c.class))
}

fn of_receipt(r: &Receipt) -> Totals {
    let totals = [r.seen_packets, r.seen_bytes, r.stored_packets, r.stored_bytes];
    let ended = match r.end {
        End::Reset => Some(true),
        End::Closed => Some(false),
        _ => None,
    };
    (r.key, r.first, r.last, totals, r.cut, ended, (r.originator.into(), r.class.into()))
}

/// The key that the product must give to a name: the layout of `ebpf/retrotap.h`.
pub fn key(name: &Name) -> Key {
    let tail = |kind: u8, proto: u8, port: [u16; 2], vlans: &[u16], net: Net| {
        let (net_kind, net) = net.map_or((0, 0), |(kind, id)| match kind {
            "vxlan" => (1, id),
            "geneve" => (2, id),
            _ => (3, id),
        });
        let mut vlan = [0; 2];
        for (place, id) in vlan.iter_mut().zip(vlans) {
            *place = id | 0x8000;
        }
        Tail { net, vlan, port, proto, kind: kind | net_kind << 4, zero: 0 }
    };
    let of_ip = |addrs: [std::net::IpAddr; 2], tail: Tail| match addrs {
        [std::net::IpAddr::V4(a), std::net::IpAddr::V4(b)] => Key::V4(Key4 { addr: [a.octets(), b.octets()], tail }),
        [std::net::IpAddr::V6(a), std::net::IpAddr::V6(b)] => Key::V6(Key6 { addr: [a.octets(), b.octets()], tail }),
        _ => panic!("{addrs:?}"),
    };
    let of_macs = |macs: [[u8; 6]; 2], tail: Tail| {
        let addr = macs.map(|mac| std::array::from_fn(|i| mac.get(i).copied().unwrap_or(0)));
        Key::V6(Key6 { addr, tail })
    };
    match name {
        Name::Ip { ends: [(a, p), (b, q)], proto, vlans, net } => {
            of_ip([*a, *b], tail(0, *proto, [*p, *q], vlans, *net))
        }
        Name::Portless { pair, proto, vlans, net } => of_ip(*pair, tail(1, *proto, [0; 2], vlans, *net)),
        Name::Ether { macs, ethertype, vlans } => of_macs(*macs, tail(2, 0, [*ethertype; 2], vlans, None)),
        Name::Llc { macs, dsap, ssap, vlans } => {
            of_macs(*macs, tail(3, 0, [u16::from_be_bytes([*dsap, *ssap]); 2], vlans, None))
        }
        Name::Opaque { link_type } => of_macs([[0; 6]; 2], tail(4, 0, [*link_type; 2], &[], None)),
    }
}

/// The kernel's shunt as a plain map; times of hits are packet times.
pub struct ModelShunt {
    slots: Vec<Option<Place>>,
    of: HashMap<Key, usize>,
    dropped: u64,
}

#[derive(Clone, Copy)]
struct Place {
    dropping: bool,
    counts: ShuntCounts,
}

impl ModelShunt {
    fn new(slots: usize) -> ModelShunt {
        ModelShunt { slots: vec![None; slots], of: HashMap::new(), dropped: 0 }
    }

    /// A packet that may be dropped: true if it is.
    fn hit(&mut self, key: &Key, time: u64, wire: u32) -> bool {
        let Some(place) = self.of.get(key).and_then(|&slot| self.slots[slot].as_mut()).filter(|p| p.dropping) else {
            return false;
        };
        place.counts.packets += 1;
        place.counts.bytes += u64::from(wire);
        place.counts.last = time;
        self.dropped += 1;
        true
    }
}

impl Shunt for ModelShunt {
    fn insert(&mut self, key: &Key) -> Option<ShuntSlot> {
        if self.of.contains_key(key) {
            return None;
        }
        let slot = self.slots.iter().position(Option::is_none)?;
        self.slots[slot] = Some(Place { dropping: true, counts: ShuntCounts::default() });
        self.of.insert(*key, slot);
        Some(ShuntSlot(slot as u32))
    }

    fn sample(&mut self, _: ShuntSlot, one_in: u32) {
        assert_eq!(one_in, 0, "no class here is sampled");
    }

    fn drawn(&mut self, _: ShuntSlot) -> bool {
        false
    }

    fn counts(&self, slot: ShuntSlot) -> ShuntCounts {
        self.slots[slot.0 as usize].expect("a slot in use").counts
    }

    fn pass(&mut self, slot: ShuntSlot) {
        self.slots[slot.0 as usize].as_mut().expect("a slot in use").dropping = false;
    }

    fn remove(&mut self, key: &Key, slot: ShuntSlot) -> ShuntCounts {
        assert_eq!(self.of.remove(key), Some(slot.0 as usize), "the key's own slot");
        let place = self.slots[slot.0 as usize].take().expect("a slot in use");
        assert!(!place.dropping, "only after pass");
        place.counts
    }

    fn capacity(&self) -> usize {
        self.slots.len()
    }
}
