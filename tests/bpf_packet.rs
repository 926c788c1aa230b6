//! The socket filter of the AF_PACKET source says what the Rust parser says. A filter runs on any socket: here on one end of
//! a pair of Unix datagram sockets, so that each message is a packet, of any size and link type, with no device in between.
//! Needs root.
#![allow(unsafe_code)] // setsockopt(SO_ATTACH_BPF), which no crate here wraps.

mod common;
mod kernel;
mod packets;

use kernel::{Found, mutated, root};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags};
use packets::{A, B, cases, eth, ip4, tcp, udp};
use proptest::prelude::*;
use retrotap::bpf::skel::packet::{PacketSkel, PacketSkelBuilder};
use retrotap::packet::Parser;
use retrotap::packet::key::Kind;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixDatagram;

const ETHERNET: u16 = 1;
const RAW: u16 = 101;

type Object = MaybeUninit<libbpf_rs::OpenObject>;

struct Run<'obj> {
    skel: PacketSkel<'obj>,
    parser: Parser,
    link_type: u16,
    send: UnixDatagram,
    receive: UnixDatagram,
}

impl<'obj> Run<'obj> {
    fn new(object: &'obj mut Object, link_type: u16) -> Run<'obj> {
        let parser = Parser::new(7, true);
        let mut open = PacketSkelBuilder::default().open(object).expect("open");
        let rodata = open.maps.rodata_data.as_deref_mut().expect("rodata");
        rodata.rt_hash_key = parser.hash_keys();
        // A packet without a device has index 0, as has slot 0 here.
        rodata.rt_ifindex[0] = 0;
        rodata.rt_link_type[0] = link_type;
        rodata.rt_debug = 1;
        let skel = open.load().expect("load");
        let (send, receive) = UnixDatagram::pair().expect("sockets");
        receive.set_nonblocking(true).expect("non-blocking");
        attach(&receive, skel.progs.retrotap_packet.as_fd().as_raw_fd());
        Run { skel, parser, link_type, send, receive }
    }

    /// True if the filter let the packet through, which is then whole.
    fn passes(&self, frame: &[u8]) -> bool {
        self.send.send(frame).expect("send");
        let mut back = vec![0; frame.len() + 1];
        match self.receive.recv(&mut back) {
            Ok(n) => {
                assert_eq!(back[..n], *frame);
                true
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => false,
            Err(e) => panic!("{e}"),
        }
    }

    fn differs(&self, frame: &[u8]) -> Option<String> {
        if !self.passes(frame) {
            return Some("not passed".into());
        }
        let rust = self.parser.parse(self.link_type, frame);
        // Of what it does not understand the filter makes no key.
        if rust.key.tail().kind() == Kind::Opaque {
            return None;
        }
        let (kernel, rust) = (Found::read(&self.skel.maps.debug_found), Found::of(&rust));
        (kernel != rust).then(|| format!("kernel {kernel:x?}\n  rust {rust:x?}"))
    }

    /// Packets seen and shunted, with their bytes.
    fn counts(&self) -> [u64; 4] {
        let all = self.skel.maps.counts.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY).expect("map").expect("entry");
        let mut sums = [0; 4];
        for cpu in all {
            for (sum, v) in sums.iter_mut().zip(cpu.chunks_exact(8)) {
                *sum += u64::from_ne_bytes(v.try_into().unwrap());
            }
        }
        sums
    }
}

fn attach(socket: &UnixDatagram, program: i32) {
    // SAFETY: both descriptors are open, and the option's value is an int that lives through the call.
    let r = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_BPF,
            (&raw const program).cast(),
            size_of::<i32>() as u32,
        )
    };
    assert_eq!(r, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn named_packets() {
    if !root() {
        return;
    }
    let mut object = Object::uninit();
    let run = Run::new(&mut object, ETHERNET);
    for case in cases() {
        assert_eq!(run.differs(&case.bytes), None, "{}", case.name);
    }
    assert_eq!(run.counts()[0], cases().len() as u64);
}

#[test]
fn generated_packets() {
    if !root() {
        return;
    }
    for (link_type, skip) in [(ETHERNET, 0), (RAW, 14)] {
        let mut object = Object::uninit();
        let run = Run::new(&mut object, link_type);
        let config = ProptestConfig { cases: 5000, failure_persistence: None, ..Default::default() };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        runner
            .run(&mutated(), |frame| {
                let differs = run.differs(&frame[skip..]);
                prop_assert!(differs.is_none(), "{}", differs.unwrap_or_default());
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn captures() {
    if !root() {
        return;
    }
    let (mut ethernet, mut raw) = (Object::uninit(), Object::uninit());
    let runs = [Run::new(&mut ethernet, ETHERNET), Run::new(&mut raw, RAW)];
    let (mut ran, mut raw_ran) = (0, 0);
    let files = common::captures("captures through the socket filter");
    if files.is_empty() {
        return;
    }
    for path in files {
        let Ok(mut capture) = pcap::Capture::from_file(&path) else { continue };
        let run = match capture.get_datalink() {
            pcap::Linktype::ETHERNET => &runs[0],
            // What libpcap makes of LINKTYPE_RAW and LINKTYPE_IPV4.
            pcap::Linktype(12 | 228) => &runs[1],
            _ => continue,
        };
        // A tenth of the large ones: the XDP program runs them whole, and the parser is the same.
        let mut number = 0;
        while let Ok(packet) = capture.next_packet() {
            number += 1;
            if packet.data.len() > 65536 || number > 2000 && number % 10 != 0 {
                continue;
            }
            assert_eq!(run.differs(packet.data), None, "{} packet {number}", path.display());
            if run.link_type == RAW { raw_ran += 1 } else { ran += 1 }
        }
    }
    eprintln!("packets of the captures through the socket filter: {ran} Ethernet, {raw_ran} raw IP");
    assert!(ran > 50_000 && raw_ran > 50, "{ran}, {raw_ran}");
}

#[test]
fn hits_are_counted_and_not_copied() {
    if !root() {
        return;
    }
    let mut object = Object::uninit();
    let run = Run::new(&mut object, ETHERNET);
    let bulk = eth(0x0800, &ip4(A, B, 6, &tcp(1000, 80, 0x10)));
    let fin = eth(0x0800, &ip4(A, B, 6, &tcp(1000, 80, 0x11)));
    let other = eth(0x0800, &ip4(A, B, 17, &udp(1000, 80, &[])));
    let maps = &run.skel.maps;
    assert!(kernel::shunt(&maps.buckets, &maps.slots, &run.parser.parse(ETHERNET, &bulk), 3, 1));

    assert_eq!([&bulk, &fin, &other, &bulk].map(|f| run.passes(f)), [false, true, true, false]);
    let len = bulk.len() as u64;
    assert_eq!(run.counts(), [4, 3 * len + other.len() as u64, 2, 2 * len]);
    assert_eq!(kernel::slot(&maps.slots, 3)[..2], [2, 2 * len]);
}
