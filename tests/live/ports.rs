//! A tap with two ports, one for each direction: whatever comes between a SYN and the answer to it, and whoever is read first, who began
//! is right, and so is the class of a filter with a direction.

use crate::net::{Sender, in_namespace, pin, veth};
use crate::{parser, plan, rig, start_on};
use retrotap::iface::Request;
use retrotap::metrics::account::SourceKind;
use retrotap::source::live::LivePlan;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const CONNECTIONS: u16 = 300;
/// Direction, flags, sequence number.
const PACKETS: [(bool, u8, u32); 7] = [
    (false, 0x02, 1),
    (true, 0x12, 9),
    (false, 0x10, 2),
    (false, 0x18, 2),
    (true, 0x18, 10),
    (false, 0x11, 3),
    (true, 0x11, 11),
];

/// Sends from both ports, from a processor each where there are two; `gap` lies between a SYN and its answer.
fn send(gap: Duration) {
    let ports = [Sender::new("s0"), Sender::new("s1")];
    for connection in 0..CONNECTIONS {
        for (n, (back, flags, seq)) in PACKETS.into_iter().enumerate() {
            pin(usize::from(back));
            ports[usize::from(back)].send(&rig::tcp(connection, back, flags, seq));
            let sent = Instant::now();
            while n == 0 && sent.elapsed() < gap {
                std::hint::spin_loop();
            }
        }
    }
}

fn two_ports(name: &str, request: Request, kind: SourceKind, workers: usize) {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        eprintln!("skipped: {name}: it takes two processors");
        return;
    }
    in_namespace(name, move || {
        veth("s0", "t0", workers as u32, 1500);
        veth("s1", "t1", workers as u32, 1500);
        let offered = u64::from(CONNECTIONS) * PACKETS.len() as u64;
        for micros in [0, 100, 1_000, 5_000] {
            let mut live = start_on(&["t0", "t1"], request, &LivePlan { workers: Some(workers), ..plan() });
            assert_eq!((live.kind, live.workers.len()), (kind, workers));
            let sources = live.workers.drain(..).collect();
            let (kept, receipts, counts) = rig::run(parser(), rig::classes_with_web, sources, None, |lines| {
                send(Duration::from_micros(micros));
                let (start, received) = (Instant::now(), || lines.iter().map(|l| l.tallies.total().received.packets));
                while received().sum::<u64>() < offered && start.elapsed() < crate::DEADLINE {
                    std::thread::sleep(Duration::from_millis(5));
                }
                lines.iter().for_each(|l| l.stop.store(true, Relaxed));
            });
            assert_eq!((counts.received.packets, counts.stored.packets), (offered, kept.len() as u64), "{counts:?}");
            // 192.0.2.1 is endpoint 0: the client is the other. `web` is class 1.
            let right = receipts.iter().filter(|r| (r.originator, r.class) == (1, 1)).count();
            assert_eq!((receipts.len(), right), (300, 300), "{micros} us between SYN and SYN-ACK");
        }
    });
}

#[test]
fn xdp_one_worker_reads_both_ports() {
    two_ports("live-ports-x1", Request::Xdp, SourceKind::Xdp, 1);
}

#[test]
fn xdp_two_workers_hand_over() {
    two_ports("live-ports-x2", Request::Xdp, SourceKind::Xdp, 2);
}

#[test]
fn packet_one_worker_reads_both_ports() {
    two_ports("live-ports-p1", Request::Packet, SourceKind::Packet, 1);
}

#[test]
fn packet_two_workers_hand_over() {
    two_ports("live-ports-p2", Request::Packet, SourceKind::Packet, 2);
}
