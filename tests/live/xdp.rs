//! AF_XDP: every packet, byte for byte, and every loss by its cause.

use crate::net::{self, Sender, in_namespace, ip, pin, udp, veth};
use crate::{bytes, mixed_frames, parser, plan, split, start_on, stop, take};
use retrotap::iface::Request;
use retrotap::metrics::account::SourceKind;
use retrotap::source::Source;
use retrotap::source::live::LivePlan;
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn xdp_brings_every_packet_byte_for_byte() {
    in_namespace("live-bytes", || {
        veth("s0", "t0", 1, 1500);
        let mut live = start_on(&["t0"], Request::Auto, &plan());
        assert_eq!(live.kind, SourceKind::Xdp);
        let (mut sources, mut got) = (split(&mut live), vec![Vec::new()]);
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let frames = mixed_frames();
        let sender = Sender::new("s0");
        frames.iter().for_each(|f| sender.send(f));
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        take(&mut sources[0], &mut got[0]);
        let from = stop(&mut live, &mut sources, &mut got);
        assert_eq!(bytes(&got[0]), frames);
        assert_eq!(from.seen.packets, frames.len() as u64);
        assert_eq!(from.seen.bytes, frames.iter().map(|f| f.len() as u64).sum::<u64>());
        for g in &got[0] {
            assert_eq!(g.iface, "t0");
            assert_eq!(g.wire_len as usize, g.data.len());
            assert_eq!(g.hash, Some(parser().parse(1, &g.data).hash as u32));
            let slack = 1_000_000;
            assert!((before - slack..=after + slack).contains(&g.time), "{} {before} {after}", g.time);
        }
        assert!(got[0].is_sorted_by_key(|g| g.time));
    });
}

#[test]
fn xdp_joins_packets_of_several_frames() {
    in_namespace("live-jumbo", || {
        veth("s0", "t0", 1, 9000);
        let mut live = start_on(&["t0"], Request::Xdp, &plan());
        let (mut sources, mut got) = (split(&mut live), vec![Vec::new()]);
        let sender = Sender::new("s0");
        let frames: Vec<_> =
            (0..300).map(|n| udp(9, 9, n, [8972, 1750, 1751, 1790, 4000, 18][n as usize % 6])).collect();
        frames.iter().for_each(|f| sender.send(f));
        take(&mut sources[0], &mut got[0]);
        let from = stop(&mut live, &mut sources, &mut got);
        assert_eq!(bytes(&got[0]), frames);
        assert_eq!(from.seen.bytes, frames.iter().map(|f| f.len() as u64).sum::<u64>());
    });
}

#[test]
fn each_queue_has_its_worker() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        eprintln!("skipped: each_queue_has_its_worker: it takes two processors");
        return;
    }
    in_namespace("live-queues", || {
        veth("s0", "t0", 2, 1500);
        let mut live = start_on(&["t0"], Request::Xdp, &plan());
        let (mut sources, mut got) = (split(&mut live), vec![Vec::new(), Vec::new()]);
        assert_eq!(sources.len(), 2);
        let names: Vec<_> = sources[1].interfaces().iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["t0:0", "t0:1"]);
        let sender = Sender::new("s0");
        let frames: Vec<_> = (0..400).map(|n| udp(n as u16, 80, n, 64)).collect();
        for (i, half) in frames.chunks(200).enumerate() {
            pin(i);
            half.iter().for_each(|f| sender.send(f));
        }
        for (source, got) in sources.iter_mut().zip(&mut got) {
            take(source, got);
        }
        let from = stop(&mut live, &mut sources, &mut got);
        assert_eq!(from.seen.packets, 400);
        assert!(!got[0].is_empty() && !got[1].is_empty(), "both queues were used");
        for (i, got) in got.iter().enumerate() {
            assert!(got.iter().all(|g| g.iface == format!("t0:{i}")));
        }
        let mut all = bytes(&got.concat());
        let mut sent = frames;
        all.sort();
        sent.sort();
        assert_eq!(all, sent);
    });
}

#[test]
fn two_interfaces_come_out_of_one_worker() {
    in_namespace("live-two", || {
        veth("s0", "t0", 1, 1500);
        veth("s1", "t1", 1, 1500);
        let mut live = start_on(&["t0", "t1"], Request::Xdp, &plan());
        let (mut sources, mut got) = (split(&mut live), vec![Vec::new()]);
        assert_eq!(sources.len(), 1);
        let senders = [Sender::new("s0"), Sender::new("s1")];
        // One connection, its directions split over the two ports of a tap.
        for n in 0..100 {
            senders[0].send(&udp(4000, 53, n, 40));
            senders[1].send(&udp(53, 4000, n, 400));
        }
        take(&mut sources[0], &mut got[0]);
        let from = stop(&mut live, &mut sources, &mut got);
        assert_eq!(from.seen.packets, 200);
        for (name, source) in [("t0", 4000u16), ("t1", 53)] {
            let mine: Vec<_> = got[0].iter().filter(|g| g.iface == name).collect();
            assert_eq!(mine.len(), 100);
            assert!(mine.iter().all(|g| g.data[34..36] == source.to_be_bytes()));
        }
    });
}

#[test]
fn a_starved_fill_ring_is_counted_exactly() {
    in_namespace("live-starved", || {
        veth("s0", "t0", 1, 1500);
        let mut live = start_on(&["t0"], Request::Xdp, &LivePlan { frames: 64, ..plan() });
        let (mut sources, mut got) = (split(&mut live), vec![Vec::new()]);
        let sender = Sender::new("s0");
        (0..1000).for_each(|n| sender.send(&udp(1, 2, n, 100)));
        let resting = live.account().unwrap();
        assert_eq!((resting.seen.packets, resting.in_ring), (1000, 64));
        take(&mut sources[0], &mut got[0]);
        assert_eq!(got[0].len(), 64);
        // Frames came back: it goes on by itself.
        (0..50).for_each(|n| sender.send(&udp(1, 2, n, 100)));
        take(&mut sources[0], &mut got[0]);
        let from = stop(&mut live, &mut sources, &mut got);
        assert_eq!(from.redirected.packets, 1050);
        assert_eq!(from.redirect_failed.no_frame, 1000 - 64);
        assert_eq!(from.redirect_failed.total(), 1000 - 64);
        assert_eq!(got[0].len(), 64 + 50);
    });
}

#[test]
fn a_full_rx_ring_is_counted_exactly() {
    in_namespace("live-full", || {
        veth("s0", "t0", 1, 1500);
        let mut live = start_on(&["t0"], Request::Xdp, &LivePlan { rx_entries: Some(64), ..plan() });
        let (mut sources, mut got) = (split(&mut live), vec![Vec::new()]);
        let sender = Sender::new("s0");
        (0..500).for_each(|n| sender.send(&udp(1, 2, n, 100)));
        take(&mut sources[0], &mut got[0]);
        let from = stop(&mut live, &mut sources, &mut got);
        assert_eq!((got[0].len(), from.redirect_failed.ring_full), (64, 500 - 64));
        assert_eq!(from.redirect_failed.total(), 500 - 64);
    });
}

#[test]
fn a_driver_without_xdp_gets_the_generic_one() {
    in_namespace("live-generic", || {
        veth("s0", "p0", 1, 1600);
        ip("link set p0 address 02:00:00:00:00:02");
        ip("addr add 10.0.0.1/24 dev p0");
        ip("link add t0 type vxlan id 5 local 10.0.0.1 remote 10.0.0.9 dstport 4789 dev p0");
        ip("link set t0 up");
        let wrapped = |inner: &[u8]| {
            let payload = [&[8, 0, 0, 0, 0, 0, 5, 0][..], inner].concat();
            let outer = etherparse::PacketBuilder::ethernet2(net::A, net::B).ipv4([10, 0, 0, 9], [10, 0, 0, 1], 9);
            let mut frame = Vec::new();
            outer.udp(7777, 4789).write(&mut frame, &payload).unwrap();
            frame
        };
        let mut live = start_on(&["t0"], Request::Xdp, &LivePlan { frames: 64, ..plan() });
        assert!(live.notes.iter().any(|n| n.contains("generic")), "{:?}", live.notes);
        let (mut sources, mut got) = (split(&mut live), vec![Vec::new()]);
        let frames: Vec<_> = (0..40).map(|n| udp(1, 2, n, 100)).collect();
        let sender = Sender::new("s0");
        frames.iter().for_each(|f| sender.send(&wrapped(f)));
        take(&mut sources[0], &mut got[0]);
        assert_eq!(bytes(&got[0]), frames);
        (0..100).for_each(|_| sender.send(&wrapped(&frames[0])));
        let from = stop(&mut live, &mut sources, &mut got);
        assert_eq!((from.seen.packets, from.redirect_failed.no_frame), (140, 36));
    });
}

/// Without the tracepoint it says so, and the sockets' own statistics close the account.
#[test]
fn without_tracing_the_account_closes_all_the_same() {
    in_namespace("live-untraced", || {
        veth("s0", "t0", 1, 1500);
        let mut live = start_on(&["t0"], Request::Xdp, &LivePlan { frames: 64, tracepoint: false, ..plan() });
        assert!(live.notes.iter().any(|n| n.contains("counted by the sockets")), "{:?}", live.notes);
        let (mut sources, mut got) = (split(&mut live), vec![Vec::new()]);
        let sender = Sender::new("s0");
        (0..300).for_each(|n| sender.send(&udp(1, 2, n, 100)));
        take(&mut sources[0], &mut got[0]);
        let from = stop(&mut live, &mut sources, &mut got);
        assert_eq!((from.seen.packets, got[0].len()), (300, 64));
        assert_eq!((from.redirect_failed.no_frame, from.redirect_failed.unbound), (236, 0));
    });
}
