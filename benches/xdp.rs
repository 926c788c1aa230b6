//! What the XDP program costs a packet: nanoseconds above a program that only drops, measured in turns with it by
//! BPF_PROG_TEST_RUN (`cargo bench --bench xdp`, as root). The same packet over and over: caches and branch predictors
//! are warm, so this is the work of the program, not of its cache misses. No statement about a NIC.
#![allow(unsafe_code)] // The skeleton's own blocks; none is written here.

#[path = "../tests/kernel/mod.rs"]
mod kernel;
#[path = "../tests/packets/mod.rs"]
mod packets;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, ProgramInput, ProgramMut};
use packets::{A, B, cat, eth, ip4, ip6, tag, tcp, udp};
use retrotap::bpf::skel::xdp::XdpSkelBuilder;
use retrotap::packet::Parser;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

#[allow(missing_docs, clippy::all, clippy::undocumented_unsafe_blocks)]
mod bare {
    include!(concat!(env!("OUT_DIR"), "/bare.skel.rs"));
}

const ROUNDS: usize = 40;
const REPEAT: u32 = 100_000;
/// Other connections in the shunt.
const OTHERS: u32 = 50_000;

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let parser = Parser::new(0x5eed, true);
    let mut bare_object = MaybeUninit::uninit();
    let bare = bare::BareSkelBuilder::default().open(&mut bare_object).expect("open").load().expect("load");
    let mut object = MaybeUninit::uninit();
    let mut open = XdpSkelBuilder::default().open(&mut object).expect("open");
    let rodata = open.maps.rodata_data.as_deref_mut().expect("rodata");
    rodata.rt_hash_key = parser.hash_keys();
    rodata.rt_ifindex[0] = 1;
    let xdp = open.load().expect("load");

    let socket =
        rustix::net::socket(rustix::net::AddressFamily::XDP, rustix::net::SocketType::RAW, None).expect("AF_XDP");
    let value = (socket.as_raw_fd() as u32).to_ne_bytes();
    xdp.maps.xsks.update(&0u32.to_ne_bytes(), &value, MapFlags::ANY).expect("xsks");

    let mut slot = 0;
    let mut shunt = |frame: &[u8]| {
        slot += 1;
        kernel::shunt(&xdp.maps.buckets, &xdp.maps.slots, &parser.parse(1, frame), slot, 1)
    };
    for i in 0..OTHERS {
        let i = i.to_be_bytes();
        // One in some thousands finds its bucket full.
        let _ = shunt(&eth(0x0800, &ip4([10, 9, i[2], i[3]], B, 6, &tcp(1000, 443, 0x10))));
    }

    let bulk = |sport| cat(&[&tcp(sport, 443, 0x10), &[0; 1000]]);
    let qinq = |payload: &[u8]| eth(0x88a8, &tag(9, 0x8100, &tag(5, 0x86dd, payload)));
    let vxlan = |sport| {
        let inner = eth(0x0800, &ip4(A, B, 6, &bulk(sport)));
        eth(0x0800, &ip4(A, B, 17, &udp(5, 4789, &cat(&[&[8, 0, 0, 0, 0, 0, 1, 0], &inner]))))
    };
    let frames = [
        ("IPv4 TCP, hit", eth(0x0800, &ip4(A, B, 6, &bulk(1))), true),
        ("IPv4 TCP, miss", eth(0x0800, &ip4(A, B, 6, &bulk(2))), false),
        ("IPv4 UDP, miss", eth(0x0800, &ip4(A, B, 17, &udp(9, 8, &[0; 100]))), false),
        ("two VLAN tags, IPv6 TCP, hit", qinq(&ip6(6, &bulk(1))), true),
        ("two VLAN tags, IPv6 TCP, miss", qinq(&ip6(6, &bulk(2))), false),
        ("VXLAN, IPv4 TCP, hit", vxlan(1), true),
        ("VXLAN, IPv4 TCP, miss", vxlan(2), false),
        ("ARP, miss", eth(0x0806, &[0; 28]), false),
    ];
    for (_, frame, _) in frames.iter().filter(|f| f.2) {
        assert!(shunt(frame), "another seed");
    }

    let mut floor = Vec::new();
    let mut costs = vec![Vec::new(); frames.len()];
    for _ in 0..ROUNDS {
        for ((_, frame, hit), cost) in frames.iter().zip(&mut costs) {
            floor.push(nanoseconds(&bare.progs.bare_drop, frame, 1));
            cost.push(nanoseconds(&xdp.progs.retrotap_xdp, frame, if *hit { 1 } else { 4 }));
        }
    }
    let floor = least(&floor);
    println!("{:32} {floor:6.1} ns", "bare XDP_DROP");
    for ((name, ..), cost) in frames.iter().zip(costs) {
        let cost = least(&cost);
        println!("{name:32} {cost:6.1} ns, {:5.1} above bare", cost - floor);
    }
}

/// Mean time of one run; the kernel rounds it to whole nanoseconds.
fn nanoseconds(program: &ProgramMut<'_>, frame: &[u8], verdict: u32) -> f64 {
    let input = ProgramInput { data_in: Some(frame), repeat: REPEAT, ..ProgramInput::default() };
    let output = program.test_run(input).expect("test run");
    assert_eq!(output.return_value, verdict);
    output.duration.as_nanos() as f64
}

/// The least: what the work takes when nothing else disturbs it.
fn least(v: &[f64]) -> f64 {
    v.iter().copied().fold(f64::INFINITY, f64::min)
}
