//! AF_PACKET: every packet once, with its tags, and what its ring had no room for.

use crate::net::{Sender, in_namespace, udp, veth};
use crate::{bytes, mixed_frames, plan, split, start_on, stop, take};
use retrotap::iface::Request;
use retrotap::metrics::account::SourceKind;
use retrotap::source::live::LivePlan;

#[test]
fn packet_brings_every_packet_and_puts_tags_back() {
    in_namespace("live-packet", || {
        veth("s0", "t0", 1, 1500);
        for workers in [1, 2] {
            let mut live = start_on(&["t0"], Request::Packet, &LivePlan { workers: Some(workers), ..plan() });
            let mut sources = split(&mut live);
            let mut got = vec![Vec::new(); workers];
            let frames = mixed_frames();
            let sender = Sender::new("s0");
            frames.iter().for_each(|f| sender.send(f));
            for (source, got) in sources.iter_mut().zip(&mut got) {
                take(source, got);
            }
            let from = stop(&mut live, &mut sources, &mut got);
            let mut all = got.concat();
            if workers == 1 {
                assert_eq!(bytes(&all), frames);
            } else {
                assert!(got.iter().all(|g| !g.is_empty()), "both workers had some");
                let mut sent = frames.clone();
                sent.sort();
                all.sort_by(|a, b| a.data.cmp(&b.data));
                assert_eq!(bytes(&all), sent);
            }
            assert!(all.iter().all(|g| g.wire_len as usize == g.data.len()));
            assert_eq!(from.seen.packets, frames.len() as u64);
            assert_eq!(from.seen.bytes, frames.iter().map(|f| f.len() as u64).sum::<u64>());
            assert_eq!(from.lost, 0);
        }
    });
}

#[test]
fn packet_counts_what_its_ring_had_no_room_for() {
    in_namespace("live-lost", || {
        veth("s0", "t0", 1, 1500);
        let mut live = start_on(&["t0"], Request::Packet, &LivePlan { workers: Some(1), frames: 64, ..plan() });
        let (mut sources, mut got) = (split(&mut live), vec![Vec::new()]);
        let sender = Sender::new("s0");
        (0..5000).for_each(|n| sender.send(&udp(1, 2, n, 1400)));
        take(&mut sources[0], &mut got[0]);
        let from = stop(&mut live, &mut sources, &mut got);
        assert_eq!(from.seen.packets, 5000);
        assert!(from.lost > 0, "a ring of 1 MiB can't hold 7 MB");
        assert_eq!(from.lost + got[0].len() as u64, 5000);
    });
}

#[test]
fn the_loopback_shows_each_packet_once() {
    in_namespace("live-lo", || {
        let mut live = start_on(&["lo"], Request::Auto, &LivePlan { workers: Some(1), ..plan() });
        assert_eq!(live.kind, SourceKind::Packet);
        let (mut sources, mut got) = (split(&mut live), vec![Vec::new()]);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = socket.local_addr().unwrap();
        (0..50u8).for_each(|n| assert_eq!(socket.send_to(&[n; 100], to).unwrap(), 100));
        take(&mut sources[0], &mut got[0]);
        let from = stop(&mut live, &mut sources, &mut got);
        assert_eq!((got[0].len(), from.seen.packets), (50, 50));
        assert!(got[0].iter().enumerate().all(|(n, g)| g.data[42..] == [n as u8; 100]));
    });
}

/// Super-frames of the offloads come as they are, and all the bytes of a TCP stream with them.
#[test]
fn super_frames_keep_their_length() {
    use std::io::{Read, Write};
    in_namespace("live-gso", || {
        let mut live = start_on(&["lo"], Request::Auto, &LivePlan { workers: Some(1), ..plan() });
        let (mut sources, mut got) = (split(&mut live), vec![Vec::new()]);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let sent = vec![0x5a; 1 << 20];
        std::thread::scope(|s| {
            s.spawn(|| client.write_all(&sent).unwrap());
            server.read_exact(&mut vec![0; sent.len()]).unwrap();
        });
        take(&mut sources[0], &mut got[0]);
        stop(&mut live, &mut sources, &mut got);
        assert!(got[0].iter().all(|g| g.wire_len as usize == g.data.len()));
        assert!(got[0].iter().any(|g| g.data.len() > 20_000), "lo has super-frames");
        let payload: usize = got[0].iter().map(|g| g.data.iter().filter(|b| **b == 0x5a).count()).sum();
        assert!(payload >= sent.len(), "{payload}");
    });
}
