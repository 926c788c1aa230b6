//! Named packets and what the parser must say of them, for every layer and many odd cases: the expectation is written from the
//! formats' definitions, as text. Used by `parse.rs` (Rust parser) and `bpf_run.rs` (kernel parser).
#![allow(dead_code)]

use retrotap::packet::key::{Key, Kind};
use retrotap::packet::{Fragment, Parsed};
use std::fmt::Write;

pub const A: [u8; 4] = [10, 0, 0, 1];
pub const B: [u8; 4] = [10, 0, 0, 2];
/// Ends of the tunnels.
pub const X: [u8; 4] = [192, 0, 2, 1];
pub const Y: [u8; 4] = [192, 0, 2, 2];
pub const A6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub const B6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// A packet and what it is.
pub struct Case {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub expect: &'static str,
}

pub fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn be16(v: u16) -> [u8; 2] {
    v.to_be_bytes()
}

/// An Ethernet frame from MAC ..:0a to ..:0b.
pub fn eth(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&[2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa], &be16(ethertype), payload])
}

pub fn tag(tci: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&be16(tci), &be16(ethertype), payload])
}

/// IPv4 with the 16 bits of flags and offset, and options (a multiple of 4 bytes).
pub fn ip4_with(src: [u8; 4], dst: [u8; 4], proto: u8, frag: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let ihl = 5 + options.len() / 4;
    let len = (ihl * 4 + payload.len()) as u16;
    let head = [0x40 | ihl as u8, 0];
    cat(&[&head, &be16(len), &be16(7), &be16(frag), &[64, proto, 0, 0], &src, &dst, options, payload])
}

pub fn ip4(src: [u8; 4], dst: [u8; 4], proto: u8, payload: &[u8]) -> Vec<u8> {
    ip4_with(src, dst, proto, 0, &[], payload)
}

pub fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    cat(&[&[0x60, 0, 0, 0], &be16(payload.len() as u16), &[next, 64], &A6, &B6, payload])
}

pub fn tcp(sport: u16, dport: u16, flags: u8) -> Vec<u8> {
    cat(&[&be16(sport), &be16(dport), &99u32.to_be_bytes(), &[0; 4], &[0x50, flags, 1, 0, 0, 0, 0, 0]])
}

pub fn udp(sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&be16(sport), &be16(dport), &be16(8 + payload.len() as u16), &[0, 0], payload])
}

pub fn echo(kind: u8, id: u16) -> Vec<u8> {
    cat(&[&[kind, 0, 0, 0], &be16(id), &be16(1), b"ping"])
}

/// The innermost packet of the tunnel cases: 10.0.0.1:1000 to 10.0.0.2:80.
fn inner() -> Vec<u8> {
    ip4(A, B, 6, &tcp(1000, 80, 0x10))
}

fn inner6() -> Vec<u8> {
    ip6(6, &tcp(1000, 80, 0x10))
}

fn inner_eth() -> Vec<u8> {
    eth(0x0800, &inner())
}

fn outer(proto: u8, payload: &[u8]) -> Vec<u8> {
    eth(0x0800, &ip4(X, Y, proto, payload))
}

fn over_udp(dport: u16, payload: &[u8]) -> Vec<u8> {
    outer(17, &udp(5555, dport, payload))
}

fn vxlan(vni: u32, frame: &[u8]) -> Vec<u8> {
    cat(&[&[8, 0, 0, 0], &(vni << 8).to_be_bytes(), frame])
}

fn geneve(options: usize, ethertype: u16, vni: u32, payload: &[u8]) -> Vec<u8> {
    cat(&[&[options as u8, 0], &be16(ethertype), &(vni << 8).to_be_bytes(), &vec![0; options * 4], payload])
}

fn gre(flags: u16, ethertype: u16, fields: &[u8], payload: &[u8]) -> Vec<u8> {
    cat(&[&be16(flags), &be16(ethertype), fields, payload])
}

fn label(n: u32, bottom: bool) -> [u8; 4] {
    (n << 12 | u32::from(bottom) << 8 | 64).to_be_bytes()
}

fn pppoe(protocol: &[u8], payload: &[u8]) -> Vec<u8> {
    eth(0x8864, &cat(&[&[0x11, 0, 0, 9, 0, 0], protocol, payload]))
}

fn gtp(flags: u8, kind: u8, fields: &[u8], payload: &[u8]) -> Vec<u8> {
    over_udp(2152, &cat(&[&[flags, kind, 0, 0, 0, 0, 0, 1], fields, payload]))
}

const INNER: &str = "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10";
const INNER6: &str = "tcp [2001:db8::1]:1000 > [2001:db8::2]:80 flags 10";

/// All cases with an Ethernet link.
#[rustfmt::skip]
pub fn cases() -> Vec<Case> {
    let c = |name, bytes, expect| Case { name, bytes, expect };
    let mut deep = inner();
    for _ in 0..5 { deep = ip4(X, Y, 4, &deep); }
    let deeper = ip4(X, Y, 4, &deep);
    vec![
        // Link.
        c("no bytes", vec![], "opaque 1"),
        c("runt", vec![0; 13], "opaque 1"),
        c("header only", eth(0x88b5, &[]), "ether 88b5 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("arp", eth(0x0806, &[0; 28]), "ether 0806 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("arp in a vlan", eth(0x8100, &tag(5, 0x0806, &[0; 28])), "ether 0806 02:00:00:00:00:0a > 02:00:00:00:00:0b vlan 5"),
        c("lldp", eth(0x88cc, &[2, 7, 4]), "ether 88cc 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("spanning tree", eth(38, &[0x42, 0x42, 3, 0, 0]), "llc 4242 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("llc cut off", eth(38, &[0x42]), "llc 0000 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("novell raw", eth(1500, &[0xff, 0xff, 0, 30]), "llc ffff 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("snap ip", eth(60, &cat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &inner()])), INNER),
        c("snap of cisco", eth(60, &[0xaa, 0xaa, 3, 0, 0, 0xc, 0x20, 0, 1, 2]), "llc aaaa 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("snap cut off", eth(60, &[0xaa, 0xaa, 3, 0, 0, 0, 8]), "llc aaaa 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("snap in a vlan", eth(0x8100, &tag(5, 60, &cat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &inner()]))), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vlan 5"),
        // Tags.
        c("vlan", eth(0x8100, &tag(0x6123, 0x0800, &inner())), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vlan 291"),
        c("priority tag", eth(0x8100, &tag(0x6000, 0x0800, &inner())), INNER),
        c("priority tag in a vlan", eth(0x88a8, &tag(9, 0x8100, &tag(0, 0x0800, &inner()))), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vlan 9"),
        c("qinq", eth(0x88a8, &tag(9, 0x8100, &tag(5, 0x86dd, &inner6()))), "tcp [2001:db8::1]:1000 > [2001:db8::2]:80 flags 10 vlan 9.5"),
        c("old qinq", eth(0x9100, &tag(9, 0x8100, &tag(5, 0x0800, &inner()))), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vlan 9.5"),
        c("three tags", eth(0x8100, &tag(1, 0x8100, &tag(2, 0x8100, &tag(3, 0x0800, &inner())))), "ether 8100 02:00:00:00:00:0a > 02:00:00:00:00:0b vlan 1.2"),
        c("tag cut off", eth(0x8100, &[0, 5, 8]), "ether 8100 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        // IPv4.
        c("syn", eth(0x0800, &ip4(A, B, 6, &tcp(1000, 80, 2))), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 02"),
        c("the other way", eth(0x0800, &ip4(B, A, 6, &tcp(80, 1000, 0x12))), "tcp 10.0.0.2:80 > 10.0.0.1:1000 flags 12"),
        c("to itself", eth(0x0800, &ip4(A, A, 17, &udp(9, 8, &[]))), "udp 10.0.0.1:9 > 10.0.0.1:8"),
        c("options", eth(0x0800, &ip4_with(A, B, 17, 0, &[1; 40], &udp(9, 8, &[]))), "udp 10.0.0.1:9 > 10.0.0.2:8"),
        c("padding", eth(0x0800, &cat(&[&ip4(A, B, 17, &udp(9, 8, &[])), &[0; 18]])), "udp 10.0.0.1:9 > 10.0.0.2:8"),
        c("don't fragment", eth(0x0800, &ip4_with(A, B, 17, 0x4000, &[], &udp(9, 8, &[]))), "udp 10.0.0.1:9 > 10.0.0.2:8"),
        c("first fragment", eth(0x0800, &ip4_with(A, B, 17, 0x2000, &[], &udp(9, 8, &[1; 8]))), "udp 10.0.0.1:9 > 10.0.0.2:8 first 7"),
        c("later fragment", eth(0x0800, &ip4_with(A, B, 17, 0x2002, &[], &[0, 9, 0, 8, 0, 0])), "later udp 10.0.0.1 > 10.0.0.2 id 7"),
        c("last fragment", eth(0x0800, &ip4_with(A, B, 6, 0x0002, &[], &tcp(1, 2, 7))), "later tcp 10.0.0.1 > 10.0.0.2 id 7"),
        c("tunnel in fragments", eth(0x0800, &ip4_with(X, Y, 4, 0x2000, &[], &inner())), "proto 4 192.0.2.1:0 > 192.0.2.2:0 first 7"),
        c("vxlan in fragments", eth(0x0800, &ip4_with(X, Y, 17, 0x2000, &[], &udp(5, 4789, &vxlan(1, &inner_eth())))), "udp 192.0.2.1:5 > 192.0.2.2:4789 first 7"),
        c("ip header cut off", eth(0x0800, &inner()[..19]), "ether 0800 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("wrong version", eth(0x0800, &cat(&[&[0x55], &inner()[1..]])), "ether 0800 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("header too short", eth(0x0800, &cat(&[&[0x44], &inner()[1..]])), "ether 0800 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("ports cut off", eth(0x0800, &inner()[..23]), "tcp 10.0.0.1:0 > 10.0.0.2:0"),
        c("ports only", eth(0x0800, &inner()[..24]), "tcp 10.0.0.1:1000 > 10.0.0.2:80"),
        c("flags cut off", eth(0x0800, &ip4(A, B, 6, &tcp(1000, 80, 2)[..15])), "tcp 10.0.0.1:1000 > 10.0.0.2:80"),
        c("options cut off", eth(0x0800, &ip4_with(A, B, 6, 0, &[1; 40], &[])[..40]), "tcp 10.0.0.1:0 > 10.0.0.2:0"),
        c("sctp", eth(0x0800, &ip4(A, B, 132, &udp(9, 8, &[0; 8]))), "proto 132 10.0.0.1:9 > 10.0.0.2:8"),
        c("dccp", eth(0x0800, &ip4(A, B, 33, &udp(9, 8, &[0; 8]))), "proto 33 10.0.0.1:9 > 10.0.0.2:8"),
        c("udp-lite", eth(0x0800, &ip4(A, B, 136, &udp(9, 8, &[0; 8]))), "proto 136 10.0.0.1:9 > 10.0.0.2:8"),
        c("ospf", eth(0x0800, &ip4(A, B, 89, &[2; 44])), "proto 89 10.0.0.1:0 > 10.0.0.2:0"),
        c("echo", eth(0x0800, &ip4(A, B, 1, &echo(8, 77))), "proto 1 10.0.0.1:77 > 10.0.0.2:77"),
        c("echo reply", eth(0x0800, &ip4(B, A, 1, &echo(0, 77))), "proto 1 10.0.0.2:77 > 10.0.0.1:77"),
        c("echo cut off", eth(0x0800, &ip4(A, B, 1, &echo(8, 77)[..7])), "proto 1 10.0.0.1:0 > 10.0.0.2:0"),
        c("unreachable", eth(0x0800, &ip4(A, B, 1, &cat(&[&[3, 3, 0, 0, 0, 0, 0, 0], &inner()]))), "proto 1 10.0.0.1:0 > 10.0.0.2:0"),
        // IPv6.
        c("ipv6", eth(0x86dd, &inner6()), INNER6),
        c("ipv6 header cut off", eth(0x86dd, &inner6()[..39]), "ether 86dd 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("ipv6 of version 4", eth(0x86dd, &inner()), "ether 86dd 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("echo 6", eth(0x86dd, &ip6(58, &echo(128, 77))), "proto 58 [2001:db8::1]:77 > [2001:db8::2]:77"),
        c("neighbour solicitation", eth(0x86dd, &ip6(58, &[135; 24])), "proto 58 [2001:db8::1]:0 > [2001:db8::2]:0"),
        c("hop by hop", eth(0x86dd, &ip6(0, &cat(&[&[6, 1], &[0; 14], &tcp(1000, 80, 0x10)]))), INNER6),
        c("routing, options, tcp", eth(0x86dd, &ip6(43, &cat(&[&[60, 0, 0, 0, 0, 0, 0, 0], &[6, 0, 0, 0, 0, 0, 0, 0], &tcp(1000, 80, 0x10)]))), INNER6),
        c("authentication", eth(0x86dd, &ip6(51, &cat(&[&[6, 4], &[0; 22], &tcp(1000, 80, 0x10)]))), INNER6),
        c("esp", eth(0x86dd, &ip6(50, &[1; 24])), "proto 50 [2001:db8::1]:0 > [2001:db8::2]:0"),
        c("no next header", eth(0x86dd, &ip6(59, &[])), "proto 59 [2001:db8::1]:0 > [2001:db8::2]:0"),
        c("extension cut off", eth(0x86dd, &ip6(0, &[6, 0, 0, 0])), "proto 0 [2001:db8::1]:0 > [2001:db8::2]:0"),
        c("eight extensions", eth(0x86dd, &ip6(60, &cat(&[&[60, 0, 0, 0, 0, 0, 0, 0].repeat(7), &[6, 0, 0, 0, 0, 0, 0, 0], &tcp(1000, 80, 0x10)]))), INNER6),
        c("nine extensions", eth(0x86dd, &ip6(60, &cat(&[&[60, 0, 0, 0, 0, 0, 0, 0].repeat(8), &[6, 0, 0, 0, 0, 0, 0, 0], &tcp(1000, 80, 0x10)]))), "proto 60 [2001:db8::1]:0 > [2001:db8::2]:0"),
        c("first fragment 6", eth(0x86dd, &ip6(44, &cat(&[&[17, 0, 0, 1, 0, 1, 0, 9], &udp(9, 8, &[])]))), "udp [2001:db8::1]:9 > [2001:db8::2]:8 first 65545"),
        c("first fragment 6 with options", eth(0x86dd, &ip6(44, &cat(&[&[60, 0, 0, 1, 0, 1, 0, 9], &[17, 0, 0, 0, 0, 0, 0, 0], &udp(9, 8, &[])]))), "udp [2001:db8::1]:9 > [2001:db8::2]:8 first 65545"),
        c("later fragment 6", eth(0x86dd, &ip6(44, &cat(&[&[17, 0, 0, 0xb9, 0, 1, 0, 9], &udp(9, 8, &[])]))), "later udp 2001:db8::1 > 2001:db8::2 id 65545"),
        c("atomic fragment", eth(0x86dd, &ip6(44, &cat(&[&[17, 0, 0, 0, 0, 1, 0, 9], &udp(9, 8, &[])]))), "udp [2001:db8::1]:9 > [2001:db8::2]:8"),
        // IP in IP.
        c("4 in 4", outer(4, &inner()), INNER),
        c("6 in 4", outer(41, &inner6()), INNER6),
        c("4 in 6", eth(0x86dd, &ip6(4, &inner())), INNER),
        c("6 in 6 with options", eth(0x86dd, &ip6(60, &cat(&[&[41, 0, 1, 4, 0, 0, 0, 0], &inner6()]))), INNER6),
        c("4 in 4, broken", outer(4, &[0x45, 0, 0]), "proto 4 192.0.2.1:0 > 192.0.2.2:0"),
        c("six layers", eth(0x0800, &deep), INNER),
        c("seven layers", eth(0x0800, &deeper), "proto 4 192.0.2.1:0 > 192.0.2.2:0"),
        // GRE.
        c("gre", outer(47, &gre(0, 0x0800, &[], &inner())), INNER),
        c("gre with all", outer(47, &gre(0xb000, 0x86dd, &[0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 9], &inner6())), "tcp [2001:db8::1]:1000 > [2001:db8::2]:80 flags 10 gre 257"),
        c("gre key 0", outer(47, &gre(0x2000, 0x0800, &[0; 4], &inner())), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 gre 0"),
        c("gre, teb, vlan", outer(47, &gre(0, 0x6558, &[], &eth(0x8100, &tag(5, 0x0800, &inner())))), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vlan 5"),
        c("gre, mpls", outer(47, &gre(0, 0x8847, &[], &cat(&[&label(3, true), &inner()]))), INNER),
        c("gre routing", outer(47, &gre(0x4000, 0x0800, &[0; 8], &inner())), "proto 47 192.0.2.1:0 > 192.0.2.2:0"),
        c("gre of version 2", outer(47, &gre(2, 0x0800, &[], &inner())), "proto 47 192.0.2.1:0 > 192.0.2.2:0"),
        c("gre keepalive", outer(47, &gre(0, 0, &[], &[])), "proto 47 192.0.2.1:0 > 192.0.2.2:0"),
        c("gre key cut off", outer(47, &gre(0x2000, 0x0800, &[0, 0], &[])), "proto 47 192.0.2.1:0 > 192.0.2.2:0"),
        c("pptp", outer(47, &gre(0x3081, 0x880b, &[0, 44, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0], &cat(&[&[0xff, 3, 0, 0x21], &inner()]))), INNER),
        c("pptp, short protocol", outer(47, &gre(0x3001, 0x880b, &[0, 44, 0, 9, 0, 0, 0, 1], &cat(&[&[0x21], &inner()]))), INNER),
        c("erspan 1", outer(47, &gre(0, 0x88be, &[], &inner_eth())), INNER),
        c("erspan 2", outer(47, &gre(0x1000, 0x88be, &[0, 0, 0, 1], &cat(&[&[0x10, 0, 0, 0, 0, 0, 0, 0], &inner_eth()]))), INNER),
        c("erspan 3", outer(47, &gre(0x1000, 0x22eb, &[0, 0, 0, 1], &cat(&[&[0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &inner_eth()]))), INNER),
        c("erspan 3 with more", outer(47, &gre(0x1000, 0x22eb, &[0, 0, 0, 1], &cat(&[&[0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], &[0; 8], &inner_eth()]))), INNER),
        // Overlays.
        c("vxlan", over_udp(4789, &vxlan(100, &inner_eth())), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vxlan 100"),
        c("vxlan in a vlan", eth(0x8100, &tag(5, 0x0800, &ip4(X, Y, 17, &udp(5, 4789, &vxlan(100, &inner_eth()))))), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vxlan 100"),
        c("vlan in vxlan in a vlan", eth(0x8100, &tag(5, 0x0800, &ip4(X, Y, 17, &udp(5, 4789, &vxlan(100, &eth(0x8100, &tag(6, 0x0800, &inner()))))))), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vlan 6 vxlan 100"),
        c("arp in vxlan in a vlan", eth(0x8100, &tag(5, 0x0800, &ip4(X, Y, 17, &udp(5, 4789, &vxlan(100, &eth(0x0806, &[0; 28])))))), "udp 192.0.2.1:5 > 192.0.2.2:4789 vlan 5"),
        c("vxlan without an id", over_udp(4789, &cat(&[&[0; 8], &inner_eth()])), "udp 192.0.2.1:5555 > 192.0.2.2:4789"),
        c("from the vxlan port", outer(17, &udp(4789, 5555, &vxlan(1, &inner_eth()))), "udp 192.0.2.1:4789 > 192.0.2.2:5555"),
        c("vxlan in ipv6", eth(0x86dd, &ip6(17, &udp(5, 4789, &vxlan(1, &inner_eth())))), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vxlan 1"),
        c("gre without a key in vxlan", over_udp(4789, &vxlan(100, &outer(47, &gre(0, 0x0800, &[], &inner())))), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vxlan 100"),
        c("gre with a key in vxlan", over_udp(4789, &vxlan(100, &outer(47, &gre(0x2000, 0x0800, &[0, 0, 0, 7], &inner())))), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 gre 7"),
        c("broken gre with a key in vxlan", over_udp(4789, &vxlan(100, &outer(47, &gre(0x2000, 0x0800, &[0, 0, 0, 7], &[0])))), "proto 47 192.0.2.1:0 > 192.0.2.2:0 vxlan 100"),
        c("geneve", over_udp(6081, &geneve(0, 0x6558, 200, &inner_eth())), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 geneve 200"),
        c("geneve with options", over_udp(6081, &geneve(63, 0x6558, 200, &inner_eth())), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 geneve 200"),
        c("geneve with ip", over_udp(6081, &geneve(1, 0x86dd, 200, &inner6())), "tcp [2001:db8::1]:1000 > [2001:db8::2]:80 flags 10 geneve 200"),
        c("geneve of version 1", over_udp(6081, &geneve(64, 0x0800, 200, &inner())), "udp 192.0.2.1:5555 > 192.0.2.2:6081"),
        c("gtp", gtp(0x30, 0xff, &[], &inner()), INNER),
        c("gtp with a sequence number", gtp(0x32, 0xff, &[0, 1, 0, 0], &inner6()), INNER6),
        c("gtp with extensions", gtp(0x34, 0xff, &[0, 0, 0, 0x85, 1, 0, 0, 0xc0, 2, 0, 0, 0, 0, 0, 0, 0], &inner()), INNER),
        c("gtp sequenced, extension type without flag", gtp(0x32, 0xff, &[0, 0, 0, 0x85], &inner()), INNER),
        c("gtp extension of no length", gtp(0x34, 0xff, &[0, 0, 0, 0x85, 0, 0, 0, 0], &inner()), "udp 192.0.2.1:5555 > 192.0.2.2:2152"),
        c("gtp echo", gtp(0x32, 1, &[0, 1, 0, 0], &[]), "udp 192.0.2.1:5555 > 192.0.2.2:2152"),
        c("gtp prime", gtp(0x20, 0xff, &[], &inner()), "udp 192.0.2.1:5555 > 192.0.2.2:2152"),
        c("gtp with something", gtp(0x30, 0xff, &[], &[0x5a; 40]), "udp 192.0.2.1:5555 > 192.0.2.2:2152"),
        // Labels and PPP.
        c("mpls", eth(0x8847, &cat(&[&label(16, true), &inner()])), INNER),
        c("mpls multicast, stack, ipv6", eth(0x8848, &cat(&[&label(16, false), &label(17, true), &inner6()])), INNER6),
        c("mpls in a vlan", eth(0x8100, &tag(5, 0x8847, &cat(&[&label(16, true), &inner()]))), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vlan 5"),
        c("six labels", eth(0x8847, &cat(&[&label(16, false).repeat(5), &label(17, true), &inner()])), INNER),
        c("seven labels", eth(0x8847, &cat(&[&label(16, false).repeat(6), &label(17, true), &inner()])), "ether 8847 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("pseudowire", eth(0x8847, &cat(&[&label(16, true), &[0; 4], &eth(0x8100, &tag(5, 0x0800, &inner()))])), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vlan 5"),
        c("pseudowire with arp in a vlan", eth(0x8100, &tag(9, 0x8847, &cat(&[&label(16, true), &[0; 4], &eth(0x0806, &[0; 28])]))), "ether 8847 02:00:00:00:00:0a > 02:00:00:00:00:0b vlan 9"),
        c("labels only", eth(0x8847, &label(16, true)), "ether 8847 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("pppoe", pppoe(&[0, 0x21], &inner()), INNER),
        c("pppoe ipv6", pppoe(&[0, 0x57], &inner6()), INNER6),
        c("pppoe, short protocol", pppoe(&[0x21], &inner()), INNER),
        c("pppoe in qinq", eth(0x88a8, &tag(9, 0x8100, &tag(5, 0x8864, &cat(&[&[0x11, 0, 0, 9, 0, 0, 0, 0x21], &inner()])))), "tcp 10.0.0.1:1000 > 10.0.0.2:80 flags 10 vlan 9.5"),
        c("pppoe lcp", pppoe(&[0xc0, 0x21], &[1, 1, 0, 4]), "ether 8864 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        c("pppoe discovery", eth(0x8863, &[0x11, 9, 0, 0, 0, 0]), "ether 8863 02:00:00:00:00:0a > 02:00:00:00:00:0b"),
        // The bound.
        c("past the bound", eth(0x86dd, &ip6(60, &cat(&[&[17, 57], &[0; 462], &udp(9, 8, &[])]))), "udp [2001:db8::1]:0 > [2001:db8::2]:0"),
        c("up to the bound", eth(0x86dd, &ip6(60, &cat(&[&[60, 55], &[0; 446], &[17, 0, 0, 0, 0, 0, 0, 0], &udp(9, 8, &[])[..2]]))), "udp [2001:db8::1]:0 > [2001:db8::2]:0"),
    ]
}

/// What the parser said, as text; source first. The sequence number is checked apart.
pub fn describe(p: &Parsed) -> String {
    let t = p.key.tail();
    let order = |[a, b]: [String; 2]| if p.swapped { format!("{b} > {a}") } else { format!("{a} > {b}") };
    let mut s = String::new();
    match t.kind() {
        Kind::Opaque => write!(s, "opaque {}", t.port[0]).unwrap(),
        Kind::Ether | Kind::Llc => {
            let Key::V6(k) = p.key else { panic!("{:?}", p.key) };
            let macs = k.addr.map(|a| a[..6].iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"));
            let what = if t.kind() == Kind::Ether { "ether" } else { "llc" };
            write!(s, "{what} {:04x} {}", t.port[0], order(macs)).unwrap();
        }
        kind => {
            let [a, b] = p.key.addrs().unwrap();
            let proto = match t.proto {
                6 => "tcp".to_string(),
                17 => "udp".to_string(),
                n => format!("proto {n}"),
            };
            if kind == Kind::Fragment {
                let Fragment::Later(id) = p.fragment else { panic!("{p:?}") };
                write!(s, "later {proto} {} id {id}", order([a.to_string(), b.to_string()])).unwrap();
            } else {
                let ends = [(a, t.port[0]), (b, t.port[1])].map(|(a, p)| std::net::SocketAddr::new(a, p).to_string());
                write!(s, "{proto} {}", order(ends)).unwrap();
            }
        }
    }
    if let Fragment::First(id) = p.fragment {
        write!(s, " first {id}").unwrap();
    }
    if p.tcp_flags != 0 {
        write!(s, " flags {:02x}", p.tcp_flags).unwrap();
    }
    match t.vlan.map(|v| v & 0xfff) {
        [0, 0] => {}
        [v, 0] => write!(s, " vlan {v}").unwrap(),
        [v, w] => write!(s, " vlan {v}.{w}").unwrap(),
    }
    let net = ["", " vxlan", " geneve", " gre"][usize::from(t.kind >> 4)];
    if !net.is_empty() {
        write!(s, "{net} {}", t.net).unwrap();
    }
    s
}
