//! The tracker as the worker drives it, with a shunt that behaves as the kernel's. A file for each part of the promise; here is what
//! they share.

mod began;
mod capacity;
mod flood;
mod kernel;
mod property;
mod sampled;
mod shunted;
mod steer;

use super::receipt::{End, Receipt};
use super::shunt::{NoShunt, RETIRE_NS, Shunt, ShuntCounts, ShuntSlot};
use super::verdict::{Mark, Verdict};
use super::*;
use crate::class::{Class, ClassSet, Policy};
use crate::limits::*;
use crate::packet::key::{Key, Key4, Key6};
use crate::packet::{Fragment, Hasher, Parsed};
use crate::source::{InputOptions, Packet};
use proptest::prelude::*;
use std::collections::HashMap;

use kernel::Kernel;

const S: u64 = 1_000_000_000;
/// Some time in 2026, at a full hour.
const START: u64 = 495_000 * HOUR_NS;
const SYN: u8 = 2;
const FIN: u8 = 1;
const RST: u8 = 4;
const ACK: u8 = 16;

fn parsed(n: u8, tcp: bool, from_one: bool, flags: u8, seq: u32) -> Parsed {
    let proto = if tcp { 6 } else { 17 };
    let key = if n.is_multiple_of(2) {
        let mut key = Key4 { addr: [[10, 0, 0, n], [10, 0, 1, n]], ..Key4::default() };
        key.tail.proto = proto;
        Key::V4(key)
    } else {
        let mut key = Key6 { addr: [[n; 16], [0xFE; 16]], ..Key6::default() };
        key.tail.proto = proto;
        Key::V6(key)
    };
    let (tcp_flags, tcp_seq) = if tcp { (flags, seq) } else { (0, 0) };
    let hash = Hasher::new(3).hash(&key);
    Parsed { key, hash, swapped: from_one, tcp_flags, tcp_seq, fragment: Fragment::None, l3: 14, renamed: false }
}

fn packet(time: u64, wire_len: u32) -> Packet<'static> {
    Packet { time, wire_len, iface: 0, hash: None, data: &[], options: InputOptions::NONE }
}

fn tracker(policy: Policy, connections: usize, shunt_slots: usize) -> Tracker {
    let plan = TrackerPlan { connections_v4: connections, connections_v6: connections, shunt_slots };
    Tracker::new(&plan, ClassSet::only(policy), [5; 16]).unwrap()
}

fn drain(tracker: &mut Tracker, into: &mut Vec<Receipt>) {
    into.extend(std::iter::from_fn(|| tracker.next_receipt()));
}

fn finish(tracker: &mut Tracker, now: u64, shunt: &mut impl Shunt, into: &mut Vec<Receipt>) {
    while !tracker.finish(now, shunt) {
        drain(tracker, into);
    }
    drain(tracker, into);
    let stats = tracker.stats();
    assert_eq!((stats.live_v4 + stats.live_v6, stats.shunt_live, stats.shunt_retiring), (0, 0, 0));
    assert_eq!(stats.begun, stats.ended);
    assert_eq!(tracker.core.floods.open(), 0, "every place is given back");
    assert_eq!(stats.receipts_lost, 0);
}

fn small_policy() -> Policy {
    Policy { cutoff_bytes: Some(300), renew_other_ns: Some(40 * S), ..Policy::default() }
}

/// Sends one packet straight to the tracker.
fn send(t: &mut Tracker, shunt: &mut impl Shunt, time: u64, p: &Parsed, len: u32) -> Verdict {
    t.judge(p, &packet(time, len), 1, shunt)
}

fn sweep_to(t: &mut Tracker, kernel: &mut Kernel, from: u64, to: u64) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for now in (from..=to).step_by(S as usize) {
        kernel.now = now;
        t.sweep(now, 4096, kernel);
        drain(t, &mut receipts);
    }
    receipts
}
