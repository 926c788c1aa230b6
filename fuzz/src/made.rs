//! First inputs: the stores of every version that the repository keeps, the captures where they are, and what is made here. Small ones: a mutation of
//! a few bytes shall matter.

use retrotap::source::{InputOptions, Interface, Packet};
use retrotap::store::format::{
    BlockName, BlockTotals, HEAD_BYTES, PacketOptions, SegmentHeader, header_bytes, packet_bytes, trailer_bytes,
    write_head, write_header, write_packet, write_trailer,
};
use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// Files of this extension below a folder, by name.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Files of this extension of the stores that are kept.
pub fn golden(extension: &str) -> Vec<Vec<u8>> {
    files(&root().join("tests/golden"), extension).iter().filter_map(|p| std::fs::read(p).ok()).collect()
}

/// The captures, where RETROTAP_TRACES says that there are some; those that are small.
pub fn captures() -> Vec<Vec<u8>> {
    let Some(folder) = std::env::var_os("RETROTAP_TRACES") else { return Vec::new() };
    let folder = Path::new(&folder);
    let all = ["pcap", "pcapng"].into_iter().flat_map(|e| files(folder, e));
    all.filter(|p| p.metadata().is_ok_and(|m| m.len() <= 256 << 10)).filter_map(|p| std::fs::read(p).ok()).collect()
}

/// Frames of many kinds with their link types: made ones, and the first of each capture.
pub fn frames() -> Vec<(u16, Vec<u8>)> {
    let mut all = vec![
        (1, tcp([10, 0, 0, 1], [10, 0, 0, 2], 2)),
        (1, dns()),
        (101, tcp([10, 0, 0, 1], [10, 0, 0, 2], 16)[14..].into()),
    ];
    all.extend(tunnels().into_iter().map(|f| (1, f)));
    for capture in captures() {
        all.extend(crate::capture::packets(&capture).into_iter().take(4).filter(|(_, data)| data.len() <= 2048));
    }
    all
}

fn ether(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &kind.to_be_bytes(), payload].concat()
}

fn ip(from: [u8; 4], to: [u8; 4], proto: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    [&[0x45, 0][..], &len.to_be_bytes(), &[0, 9, 0, 0, 64, proto, 0, 0], &from, &to, payload].concat()
}

/// A TCP frame.
pub fn tcp(from: [u8; 4], to: [u8; 4], flags: u8) -> Vec<u8> {
    let segment = [&[0x9c, 0x40, 0, 80, 0, 0, 0, 99, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0][..], b"GET /"].concat();
    ether(0x0800, &ip(from, to, 6, &segment))
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
}

fn dns() -> Vec<u8> {
    ether(0x0800, &ip([10, 0, 0, 1], [10, 0, 0, 53], 17, &udp(5353, 53, b"\0\x07\x01\0\0\x01\0\0\0\0\0\0")))
}

/// One frame of each thing that a parser follows.
fn tunnels() -> Vec<Vec<u8>> {
    let inner = tcp([192, 168, 0, 1], [192, 168, 0, 2], 24);
    let of_ip = &inner[14..];
    let ip6 = |next: u8, payload: &[u8]| {
        let len = payload.len() as u16;
        let ends = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].repeat(2);
        ether(0x86dd, &[&[0x60, 0, 0, 0][..], &len.to_be_bytes(), &[next, 64], &ends, payload].concat())
    };
    let over =
        |port, head: &[u8]| ether(0x0800, &ip([1, 1, 1, 1], [2, 2, 2, 2], 17, &udp(9, port, &[head, &inner].concat())));
    vec![
        ether(0x8100, &[&[0, 5, 0x81, 0, 0, 6, 8, 0][..], of_ip].concat()),
        ether(0x8847, &[&[0, 1, 0x10, 64, 0, 2, 0x11, 64][..], of_ip].concat()),
        ether(0x8864, &[&[0x11, 0, 0, 1, 0, 60, 0, 0x21][..], of_ip].concat()),
        ether(0x0806, &[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]),
        over(4789, &[8, 0, 0, 0, 0, 0, 7, 0]),
        over(6081, &[0, 0, 0x65, 0x58, 0, 0, 7, 0]),
        ether(
            0x0800,
            &ip([1, 1, 1, 1], [2, 2, 2, 2], 17, &udp(9, 2152, &[&[0x30, 255, 0, 40, 0, 0, 0, 7], of_ip].concat())),
        ),
        ether(0x0800, &ip([1, 1, 1, 1], [2, 2, 2, 2], 47, &[&[0x20, 0, 0x65, 0x58, 0, 0, 0, 7][..], &inner].concat())),
        ether(0x0800, &ip([1, 1, 1, 1], [2, 2, 2, 2], 4, of_ip)),
        ether(0x0800, &ip([10, 0, 0, 1], [10, 0, 0, 2], 1, &[8, 0, 0, 0, 0, 7, 0, 1])),
        ip6(0, &[&[44, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 9][..], &of_ip[20..]].concat()),
        ip6(17, &udp(9, 53, b"x")),
        ether(0x0010, &[0x42, 0x42, 3, 0, 0, 0, 0, 0]),
    ]
}

/// A small segment, as a recorder writes it: frames of one link type, a block for each list.
pub fn segment(link_type: u16, blocks: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let header = SegmentHeader {
        version: 2,
        vlan_in_key: true,
        store: [7; 16],
        number: 1,
        generation: 1,
        created: 0,
        worker: 0,
        class: "all".into(),
        interfaces: vec![Interface::new("eth0", link_type)],
    };
    let mut file = vec![0; header_bytes(&header.interfaces)];
    write_header(&mut file, &header);
    let mut time = 1_700_000_000_000_000_000;
    for (number, frames) in (0..).zip(blocks) {
        let mut bytes = vec![0; HEAD_BYTES];
        let mut totals = BlockTotals { first: u64::MAX, runs: 1, ..BlockTotals::default() };
        for data in frames {
            time += 1_000_000;
            let (wire_len, options) = (data.len() as u32, PacketOptions::default());
            let packet = Packet { time, wire_len, iface: 0, hash: None, data, options: InputOptions::NONE };
            let start = bytes.len();
            bytes.resize(start + packet_bytes(data.len(), &options, 0), 0);
            write_packet(&mut bytes[start..], 0, &packet, data, &options);
            totals.packets += 1;
            totals.first = totals.first.min(time);
            totals.last = time;
            totals.wire_bytes += u64::from(wire_len);
            totals.data_bytes += data.len() as u64;
        }
        let end = bytes.len();
        bytes.resize(end + trailer_bytes(end), 0);
        let offset = file.len() as u64;
        let name = BlockName { store: header.store, segment: 1, generation: 1, offset, number, worker: 0, link_type };
        write_head(&mut bytes, &name, end);
        let sums: Vec<u32> = bytes[..end].chunks(64 << 10).map(crc32c::crc32c).collect();
        write_trailer(&mut bytes, end, &totals, &sums);
        file.extend(bytes);
    }
    file
}

/// Small segments of made frames.
pub fn segments() -> Vec<Vec<u8>> {
    let made: Vec<Vec<u8>> = frames().into_iter().filter(|(link, _)| *link == 1).map(|(_, f)| f).take(24).collect();
    let some = |from: usize, to: usize| made[from.min(made.len())..to.min(made.len())].to_vec();
    vec![segment(1, &[some(0, 2)]), segment(1, &[some(2, 6), some(6, 12)]), segment(1, &[some(0, 24)]), segment(1, &[])]
}
