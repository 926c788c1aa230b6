//! The live sources end to end, in a network namespace of each test: packets sent by a raw socket on one end of a veth pair
//! come out of the source byte for byte, and every one of them is in the account. Needs root; says `skipped` without.

mod begin;
mod interfaces;
#[path = "../net/mod.rs"]
mod net;
mod packet;
mod ports;
#[path = "../rig/mod.rs"]
mod rig;
mod shunt;
mod stop;
mod xdp;

use net::{tagged, udp};
use retrotap::iface::Request;
use retrotap::metrics::account::{Account, SourceCounts, StoreCounts, WorkerCounts};
use retrotap::packet::Parser;
use retrotap::source::live::{Live, LivePlan, LiveSource, Survey};
use retrotap::source::{Interface, Polled, Source};
use std::time::{Duration, Instant};

/// A packet as it came out of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Got {
    time: u64,
    iface: String,
    hash: Option<u32>,
    wire_len: u32,
    data: Vec<u8>,
}

fn parser() -> Parser {
    Parser::new(7, true)
}

fn plan() -> LivePlan {
    LivePlan { frames: 4096, shunt_slots: 64, ..LivePlan::new(parser()) }
}

fn start_on(names: &[&str], request: Request, plan: &LivePlan) -> Live {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let survey = Survey::new(&names, request).unwrap();
    let live = Live::start(&survey, plan).unwrap();
    live.begin().unwrap();
    live
}

fn name_of(interfaces: &[Interface], i: u16) -> String {
    interfaces[usize::from(i)].name.clone()
}

/// What takes longer than this has gone wrong: it fails and says so, instead of going on for ever.
const DEADLINE: Duration = Duration::from_secs(60);

/// Polls until nothing has come for a while.
fn take(source: &mut LiveSource, got: &mut Vec<Got>) {
    let (start, mut quiet) = (Instant::now(), Instant::now());
    while quiet.elapsed() < Duration::from_millis(120) {
        assert!(start.elapsed() < DEADLINE, "packets keep coming: {} so far", got.len());
        let polled = source.poll(|packets, interfaces| {
            got.extend(packets.iter().map(|p| Got {
                time: p.time,
                iface: name_of(interfaces, p.iface),
                hash: p.hash,
                wire_len: p.wire_len,
                data: p.data.to_vec(),
            }));
        });
        match polled.unwrap() {
            Polled::Packets(_) => quiet = Instant::now(),
            Polled::Idle => source.wait(5_000_000).unwrap(),
            Polled::End => return,
        }
    }
}

/// Stops all sources, reads them empty, and checks the first lines of the sum law against what came out.
fn stop(live: &mut Live, sources: &mut [LiveSource], got: &mut [Vec<Got>]) -> SourceCounts {
    let start = Instant::now();
    for (source, got) in sources.iter_mut().zip(got.iter_mut()) {
        source.stop();
        loop {
            assert!(start.elapsed() < DEADLINE, "no end after a stop; {:?}", live.account());
            let polled = source.poll(|packets, interfaces| {
                got.extend(packets.iter().map(|p| Got {
                    time: p.time,
                    iface: name_of(interfaces, p.iface),
                    hash: p.hash,
                    wire_len: p.wire_len,
                    data: p.data.to_vec(),
                }));
            });
            if polled.unwrap() == Polled::End {
                break;
            }
        }
    }
    let from = live.account().unwrap();
    let received: u64 = got.iter().map(|g| g.len() as u64).sum();
    let mut worker = WorkerCounts::default();
    worker.received.packets = received;
    worker.stored.packets = received;
    let store = StoreCounts { durable: received, ..StoreCounts::default() };
    Account { source: live.kind, from, worker, store }.check().unwrap();
    assert_eq!(from.in_ring, 0);
    from
}

fn split(live: &mut Live) -> Vec<LiveSource> {
    live.workers.drain(..).map(|(source, _)| source).collect()
}

fn bytes(got: &[Got]) -> Vec<Vec<u8>> {
    got.iter().map(|g| g.data.clone()).collect()
}

/// Frames of every size and shape that Ethernet with an MTU of 1500 has.
fn mixed_frames() -> Vec<Vec<u8>> {
    let mut frames: Vec<Vec<u8>> = (0..200).map(|n| udp(1000 + n as u16, 53, n, (n as usize * 37) % 1473)).collect();
    frames.push(tagged(&udp(1, 2, 1, 100), &[(0x8100, 0x2064)]));
    frames.push(tagged(&udp(1, 2, 2, 100), &[(0x88a8, 5), (0x8100, 0xe007)]));
    frames.push(tagged(&udp(1, 2, 3, 1472), &[(0x8100, 1)]));
    let mut arp = [&[0xff; 6][..], &net::A, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
    arp.resize(60, 0);
    frames.push(arp);
    frames.push([&net::B[..], &net::A, &[0x88, 0xcc], &[7; 46]].concat());
    frames.push([&net::B[..], &net::A, &[0, 20], &[0x42; 46]].concat());
    frames.push([&net::B[..], &net::A, &[0x08, 0x00], &[0xff; 46]].concat());
    frames
}
