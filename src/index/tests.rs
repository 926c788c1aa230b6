//! Generators and properties of the index.

use crate::limits::{BLOCK_BYTES, STRIPE_BYTES};
use crate::source::{InputOptions, Interface, Packet};
use crate::store::SegmentReader;
use crate::store::format::{
    BlockName, BlockTotals, HEAD_BYTES, PacketOptions, SegmentHeader, packet_bytes, trailer_bytes, write_head,
    write_packet, write_trailer,
};
use crate::store::reader::SharedBlocks;
use proptest::prelude::*;
use std::sync::Arc;

/// A segment in memory, a block for each list of frames, a packet a millisecond.
pub fn segment(link_type: u16, blocks: &[Vec<Vec<u8>>]) -> SegmentReader {
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
    let (mut all, mut offset, mut time) = (Vec::new(), 4096, 0);
    let mut shared = SharedBlocks::new(blocks.len());
    for (number, frames) in (0..).zip(blocks) {
        let mut bytes = vec![0; BLOCK_BYTES];
        let (mut end, mut totals) = (HEAD_BYTES, BlockTotals { first: u64::MAX, runs: 1, ..BlockTotals::default() });
        for data in frames {
            time += 1_000_000;
            let (wire_len, options) = (data.len() as u32, PacketOptions::default());
            let packet = Packet { time, wire_len, iface: 0, hash: None, data, options: InputOptions::NONE };
            let next = end + packet_bytes(data.len(), &options, 0);
            write_packet(&mut bytes[end..next], 0, &packet, data, &options);
            end = next;
            totals.packets += 1;
            totals.first = totals.first.min(time);
            totals.last = time;
            totals.wire_bytes += u64::from(wire_len);
            totals.data_bytes += data.len() as u64;
        }
        bytes.truncate(end + trailer_bytes(end));
        let name = BlockName { store: header.store, segment: 1, generation: 1, offset, number, worker: 0, link_type };
        write_head(&mut bytes, &name, end);
        let sums: Vec<u32> = bytes[..end].chunks(STRIPE_BYTES).map(crc32c::crc32c).collect();
        write_trailer(&mut bytes, end, &totals, &sums);
        offset += bytes.len() as u64;
        all.push(shared.put(&bytes));
    }
    SegmentReader::in_memory(Arc::new(header), all, None)
}

/// A frame of so many bytes from this host: IPv4 and UDP to Geneve's port within each other so many times, then labels to its end, which hardly
/// any other frame has.
pub fn crafted(number: u32, host: [u8; 4], nested: usize, len: usize) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    for depth in 0..nested.max(1) {
        f.extend([0x45, 0, 5, 0xc0, 0, 9, 0, 0, 64, 17, 0, 0]);
        f.extend([host, [10, 1, 0, depth as u8]].concat());
        f.extend([0x17, 0xc1, 0x17, 0xc1, 5, 0xac, 0, 0, 0, 0]);
        f.extend(if depth + 1 < nested { [8, 0] } else { [0x88, 0x47] });
        f.extend([0, 0, 7, 0]);
    }
    let mut label = number.wrapping_mul(0x9e37_79b9);
    while f.len() + 4 <= len {
        // The bit for the last label stays away.
        f.extend(((label & 0xf_ffff) << 12 | 64).to_be_bytes());
        label = label.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
    }
    f
}

/// A frame of headers put together at random, with values from small sets so that filters meet them, now and then cut
/// off or with a byte flipped.
pub fn frame() -> impl Strategy<Value = Vec<u8>> {
    let ether = any::<[u8; 2]>().prop_map(|m| vec![2, 0, 0, 0, 0, m[0] & 3, 2, 0, 0, 0, 0, m[1] & 3]);
    let l3 = prop_oneof![6 => ip4(2), 3 => ip6(2), 1 => arp()];
    let layers = prop::collection::vec(prop::sample::select(vec![0u8, 0, 1, 2, 3, 4]), 0..4);
    (
        ether,
        layers,
        l3,
        any::<[u8; 4]>(),
        prop::option::weighted(0.15, 0usize..120),
        prop::option::weighted(0.15, (0usize..100, any::<u8>())),
    )
        .prop_map(|(mut f, layers, (ty, body), r, cut, flip)| {
            wrap(&mut f, &layers, ty, &body, r);
            if let Some(c) = cut {
                f.truncate(c);
            }
            if let Some((at, v)) = flip
                && let Some(b) = f.get_mut(at)
            {
                *b = v;
            }
            f
        })
}

fn wrap(f: &mut Vec<u8>, layers: &[u8], ty: u16, body: &[u8], r: [u8; 4]) {
    let put = |f: &mut Vec<u8>, v: u16| f.extend(v.to_be_bytes());
    let mut pppoe = false;
    let mut mpls = false;
    for (i, l) in layers.iter().enumerate() {
        match l {
            1 if !pppoe && !mpls => {
                put(f, [0x8100, 0x88a8, 0x9100][usize::from(r[i % 4]) % 3]);
                put(f, u16::from(r[i % 4] & 7));
            }
            2 if !pppoe => {
                if !mpls {
                    put(f, 0x8847);
                }
                mpls = true;
                f.extend([0, 0, (r[i % 4] & 3) << 4, 64]);
            }
            3 if !pppoe && !mpls => {
                put(f, 0x8864);
                f.extend([0x11, 0, 0, 1, 0, 100]);
                pppoe = true;
            }
            _ => {}
        }
    }
    if mpls {
        let n = f.len();
        f[n - 2] |= 1;
    } else if pppoe {
        put(
            f,
            match ty {
                0x0800 => 0x21,
                0x86dd => 0x57,
                t => t,
            },
        );
    } else {
        put(f, ty);
    }
    f.extend(body);
}

fn addr4() -> impl Strategy<Value = [u8; 4]> {
    prop::sample::select(vec![[10, 0, 0, 1], [10, 0, 0, 2], [10, 1, 0, 1], [192, 168, 8, 0], [8, 0, 8, 6]])
}

/// Transport headers; `depth` Geneve tunnels within each other at most.
fn transport(depth: u32) -> BoxedStrategy<(u8, Vec<u8>)> {
    let port = || prop::sample::select(vec![53u16, 80, 443, 6081, 6081, 2048, 4789, 33000]);
    let l4 = (prop::sample::select(vec![6u8, 17, 17, 132]), port(), port()).prop_map(|(p, a, b)| {
        let mut v = a.to_be_bytes().to_vec();
        v.extend(b.to_be_bytes());
        v.extend([0, 40, 0, 0]);
        (p, v)
    });
    let plain = prop::collection::vec(any::<u8>(), 0..24).boxed();
    let tail = if depth == 0 {
        plain
    } else {
        let inner = prop_oneof![ip4(depth - 1), ip6(depth - 1), arp()];
        let types = prop::sample::select(vec![0x6558u16, 0x0800, 0x86dd, 0x8100, 0x8847]);
        let geneve = (types, 0u8..3, inner).prop_map(|(t, opt, (ty, b))| {
            let mut v = vec![opt, 0];
            v.extend(t.to_be_bytes());
            v.extend([0, 8, 0, 0]);
            v.extend(vec![0; usize::from(opt) * 4]);
            if t == 0x6558 {
                v.extend([2; 12]);
                v.extend(ty.to_be_bytes());
            }
            v.extend(b);
            v
        });
        prop_oneof![2 => plain, 3 => geneve].boxed()
    };
    let other = prop_oneof![Just((1u8, vec![8, 0, 0, 0, 0, 7, 0, 1])), Just((47u8, vec![0, 0, 8, 0]))];
    (prop_oneof![6 => l4, 1 => other], tail)
        .prop_map(|((p, mut v), t)| {
            v.extend(t);
            (p, v)
        })
        .boxed()
}

fn ip4(depth: u32) -> BoxedStrategy<(u16, Vec<u8>)> {
    let ihl = prop::sample::select(vec![5u8, 5, 5, 6, 0, 3, 15]);
    let frag = prop::sample::select(vec![0u16, 0, 0, 0x2000, 0x2005, 5]);
    let version = prop::sample::select(vec![4u8, 4, 4, 6]);
    (addr4(), addr4(), ihl, frag, version, transport(depth))
        .prop_map(|(s, d, ihl, frag, version, (p, l4))| {
            let mut v = vec![version << 4 | ihl, 0, 8, 0, 0, 9];
            v.extend(frag.to_be_bytes());
            v.extend([64, p, 0, 0]);
            v.extend(s);
            v.extend(d);
            v.extend(vec![1; usize::from(ihl).saturating_sub(5) * 4]);
            v.extend(l4);
            (0x0800, v)
        })
        .boxed()
}

fn ip6(depth: u32) -> BoxedStrategy<(u16, Vec<u8>)> {
    let a =
        || prop::sample::select(vec![1u8, 2, 3]).prop_map(|n| [0x20, 1, 0xd, 0xb8, 0, 0, 0, n, 0, 0, 0, 0, 0, 0, 0, n]);
    let ext = prop::sample::select(vec![None, None, None, Some(44u8), Some(0)]);
    (a(), a(), ext, transport(depth))
        .prop_map(|(s, d, ext, (p, l4))| {
            let mut v = vec![0x60, 0, 0, 0, 0, 40, ext.unwrap_or(p), 64];
            v.extend(s);
            v.extend(d);
            if ext.is_some() {
                v.extend([p, 0, 0, 0, 0, 0, 0, 1]);
            }
            v.extend(l4);
            (0x86dd, v)
        })
        .boxed()
}

fn arp() -> BoxedStrategy<(u16, Vec<u8>)> {
    (addr4(), addr4(), prop::sample::select(vec![0x0806u16, 0x8035]))
        .prop_map(|(s, d, ty)| {
            let mut v = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1];
            v.extend(s);
            v.extend([2, 0, 0, 0, 0, 2]);
            v.extend(d);
            (ty, v)
        })
        .boxed()
}
