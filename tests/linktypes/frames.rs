//! Packets of any link type: IP, ARP and others behind the headers that libpcap looks through (its `gencode.c`, the link types' own
//! specifications), and for every type some bytes of other shapes.

/// LLC and SNAP for an ethertype.
fn snap(ethertype: u16) -> Vec<u8> {
    let [a, b] = ethertype.to_be_bytes();
    vec![0xaa, 0xaa, 3, 0, 0, 0, a, b]
}

const A: [u8; 6] = [2, 0, 0, 0, 0, 1];
const B: [u8; 6] = [2, 0, 0, 0, 0, 2];
const C: [u8; 6] = [2, 0, 0, 0, 0, 3];

/// PPP's number for an ethertype.
fn ppp(ethertype: u16) -> [u8; 2] {
    match ethertype {
        0x0800 => 0x0021u16,
        0x86dd => 0x0057,
        0x8847 => 0x0281,
        other => other,
    }
    .to_be_bytes()
}

fn ethernet(ethertype: u16) -> Vec<u8> {
    [&B[..], &A, &ethertype.to_be_bytes()].concat()
}

/// An 802.11 header with LLC and SNAP: plain, QoS, four addresses, from a station, not data.
fn wifi(shape: usize, ethertype: u16) -> Option<Vec<u8>> {
    let (control, qos, four) = match shape {
        0 => ([0x08, 0x02], false, false),
        1 => ([0x88, 0x01], true, false),
        2 => ([0x08, 0x03], false, true),
        3 => ([0x88, 0x03], true, true),
        4 => ([0x08, 0x00], false, false),
        // Encrypted: what follows is no header.
        5 => ([0x08, 0x41], false, false),
        // A beacon, a request to send, and a frame of data without data.
        6 => return Some([&[0x80, 0, 0, 0][..], &[0xff; 6], &A, &A, &[0x10, 0], &[0; 12]].concat()),
        7 => return Some([&[0xb4, 0, 0, 0][..], &B, &A].concat()),
        8 => return Some([&[0x48, 1, 0, 0][..], &B, &A, &C, &[0x10, 0]].concat()),
        _ => return None,
    };
    let mut f = [&control[..], &[0, 0], &B, &A, &C, &[0x10, 0]].concat();
    if four {
        f.extend(A);
    }
    if qos {
        f.extend([0, 0]);
    }
    f.extend(snap(ethertype));
    Some(f)
}

/// The header of this link type before what this ethertype says; `None`: there are no more shapes.
fn header(link_type: u16, shape: usize, ethertype: u16) -> Option<Vec<u8>> {
    let [t0, t1] = ethertype.to_be_bytes();
    let only = |h: Vec<u8>| (shape == 0).then_some(h);
    let family = match ethertype {
        0x0800 => Some(2u8),
        0x86dd => Some([10, 24, 28, 30].get(shape % 4).copied().unwrap_or(30)),
        _ => Some(7),
    };
    match link_type {
        1 => only(ethernet(ethertype)),
        // Both byte orders.
        0 => match (shape, family?) {
            (0..4, f) => Some(vec![f, 0, 0, 0]),
            (4..8, f) => Some(vec![0, 0, 0, f]),
            _ => None,
        },
        108 => (shape < 4).then(|| vec![0, 0, 0, family.unwrap_or(7)]),
        // Token Ring: access and frame control, addresses; without and with a route.
        6 => match shape {
            0 => Some([&[0x10, 0x40][..], &B, &A, &snap(ethertype)].concat()),
            1 => {
                Some([&[0x10, 0x40][..], &B, &[0x82, 0, 0, 0, 0, 1, 0x06, 0x30, 0, 1, 0, 2], &snap(ethertype)].concat())
            }
            _ => None,
        },
        10 => only([&[0x50][..], &B, &A, &snap(ethertype)].concat()),
        7 => only(vec![1, 2, 0xd4]),
        129 => only(vec![1, 2, 0, 0, 0xd4]),
        8 => only(vec![0; 16]),
        9 | 50 | 166 => match shape {
            0 => Some([&[0xff, 3][..], &ppp(ethertype)].concat()),
            1 => Some(ppp(ethertype).to_vec()),
            2 => Some([&[0x0f, 0][..], &ppp(ethertype)].concat()),
            _ => None,
        },
        51 => match shape {
            0 => Some([&[0x11, 0, 0, 7, 0, 60][..], &ppp(ethertype)].concat()),
            1 => Some([&[0x11, 9, 0, 7, 0, 60][..], &ppp(ethertype)].concat()),
            _ => None,
        },
        100 | 106 => match shape {
            0 => Some(snap(ethertype)),
            1 => Some(vec![]),
            _ => None,
        },
        123 => match shape {
            0 => Some([&[0x02, 0, 0, 42][..], &snap(ethertype)].concat()),
            1 => Some([&[0x01, 0, 0, 42, 0xff, 0][..], &ethernet(ethertype)].concat()),
            _ => None,
        },
        12 | 14 | 101 | 228 | 229 => only(vec![]),
        104 => match shape {
            0 => Some(vec![0x0f, 0, t0, t1]),
            1 => Some(vec![0x8f, 0, t0, t1]),
            _ => None,
        },
        105 => wifi(shape, ethertype),
        107 => match shape {
            0 => Some(vec![0x18, 0x41, 3, 0xcc]),
            1 => Some([&[0x18, 0x41][..], &snap(ethertype)].concat()),
            _ => None,
        },
        109 => match shape {
            0 => Some([&[family?, 0, 0, 0][..], &[0; 8]].concat()),
            1 => Some([&[0, 0, 0, family?][..], &[0; 8]].concat()),
            _ => None,
        },
        113 => only([&[0, 0, 0, 1, 0, 6][..], &A, &[0, 0, t0, t1]].concat()),
        276 => only([&[t0, t1, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6][..], &A, &[0, 0]].concat()),
        114 => only(vec![]),
        // The length of the header, address family, action, reason, interface, ruleset, numbers, user and process, direction, padding.
        117 => match shape {
            0 | 1 => {
                let len = [61u8, 45].get(shape).copied()?;
                let af = if ethertype == 0x0800 { 2 } else { 24 };
                let mut h = vec![len, af, 0, 0];
                h.extend(b"em0\0\0\0\0\0\0\0\0\0\0\0\0\0");
                h.extend([0; 16]);
                h.extend([0, 0, 0, 5, 0, 0, 0, 0]);
                h.resize(usize::from(len).next_multiple_of(4), 1);
                Some(h)
            }
            _ => None,
        },
        119 => {
            let h = wifi(shape, ethertype)?;
            Some([&[0, 0, 0, 0x44, 0, 0, 0, 144][..], &[0; 136], &h].concat())
        }
        163 => {
            let h = wifi(shape, ethertype)?;
            Some([&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64][..], &[0; 56], &h].concat())
        }
        127 => {
            let (extra, h) = (shape / 9, wifi(shape % 9, ethertype)?);
            let radio: &[u8] = match extra {
                0 => &[0, 0, 8, 0, 0, 0, 0, 0],
                // Flags: the frame check sequence is there; and two words of what is present.
                1 => &[0, 0, 9, 0, 2, 0, 0, 0, 0x10],
                2 => &[0, 0, 18, 0, 0x2e, 0x48, 0, 0x80, 0, 0, 0, 0, 0x10, 2, 0x6c, 9, 0xa0, 0],
                _ => return None,
            };
            Some([radio, &h].concat())
        }
        192 => {
            let h = wifi(shape, ethertype)?;
            Some([&[0, 0, 8, 0, 105, 0, 0, 0][..], &h].concat())
        }
        122 => only([&[0, 1][..], &B, &[0, 2], &A, &snap(ethertype)].concat()),
        138 => only([&[2, 0, 0, 0, 0, 0, 0, 1][..], &[2, 0, 0, 0, 0, 0, 0, 2], &[t0, t1]].concat()),
        143 => only([&[0xc0, 0, 0, 80][..], &[], &ethernet(ethertype)].concat()),
        219 => only(vec![0, 0x12, 0x31, 64]),
        // Netlink's log: family, version, resource; hardware type, mark, then the payload.
        239 => match shape {
            0 => Some(
                [&[if ethertype == 0x0800 { 2u8 } else { 10 }, 0, 0, 1][..], &[8, 0, 3, 0, 0, 0, 0, 9], &[84, 0, 9, 0]]
                    .concat(),
            ),
            1 => Some([&[7, 0, 0, 1][..], &[84, 0, 9, 0]].concat()),
            _ => None,
        },
        240 => only([&[0, 1, 2, 3][..], &ethernet(ethertype)].concat()),
        241 => only([&[0, 1, 2, 3, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xd5][..], &ethernet(ethertype)].concat()),
        242 => only(vec![t0, t1, 0, 0]),
        259 | 274 => only([&[0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xd5][..], &ethernet(ethertype)].concat()),
        226 => only([&[2, if ethertype == 0x0800 { 2u8 } else { 26 }, 0, 0][..], &[0; 20]].concat()),
        _ => None,
    }
}

fn ip4(proto: u8, src: [u8; 4], dst: [u8; 4], l4: &[u8]) -> Vec<u8> {
    let len = (20 + l4.len()) as u16;
    let mut p = vec![0x45, 0];
    p.extend(len.to_be_bytes());
    p.extend([0, 9, 0, 0, 64, proto, 0, 0]);
    p.extend(src);
    p.extend(dst);
    p.extend(l4);
    p
}

fn ip6(next: u8, l4: &[u8]) -> Vec<u8> {
    let mut p = vec![0x60, 0, 0, 0, 0, l4.len() as u8, next, 64];
    p.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    p.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    p.extend(l4);
    p
}

fn ports(src: u16, dst: u16, rest: &[u8]) -> Vec<u8> {
    [&src.to_be_bytes()[..], &dst.to_be_bytes(), rest].concat()
}

/// What lies above the link: ethertype and bytes.
fn contents() -> Vec<(u16, Vec<u8>)> {
    let udp = ip4(17, [10, 1, 2, 3], [10, 9, 8, 7], &ports(5000, 53, &[0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]));
    let tcp_rest = [0, 0, 0, 1, 0, 0, 0, 2, 0x50, 2, 4, 0, 0, 0, 0, 0, b'G', b'E', b'T', b' '];
    let tcp = ip4(6, [192, 168, 5, 6], [10, 1, 2, 3], &ports(40000, 443, &tcp_rest));
    let arp = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 10, 9, 8, 7].to_vec();
    let tagged = [&[0, 5, 0x08, 0x00][..], &udp].concat();
    let labelled = [&[0, 0x12, 0x31, 64][..], &tcp].concat();
    let session = [&[0x11, 0, 0, 7, 0, 70, 0, 0x21][..], &udp].concat();
    let mut fragment = ip4(17, [10, 1, 2, 3], [10, 9, 8, 7], &[0, 53, 0, 53, 9, 9, 9, 9]);
    fragment[7] = 2;
    vec![
        (0x0800, udp.clone()),
        (0x0800, tcp),
        (0x0800, ip4(1, [10, 1, 2, 3], [172, 16, 3, 4], &[8, 0, 0, 0, 0, 1, 0, 2])),
        (0x0800, fragment),
        (0x86dd, ip6(6, &ports(1234, 443, &tcp_rest))),
        (0x86dd, ip6(17, &ports(53, 4321, &[0, 12, 0, 0, 1, 2, 3, 4]))),
        (0x86dd, ip6(58, &[128, 0, 0, 0, 0, 1, 0, 1])),
        (0x0806, arp),
        (0x8100, tagged),
        (0x8847, labelled),
        (0x8864, session),
        (0x88cc, vec![2, 7, 4, 2, 0, 0, 0, 0, 1]),
        // Cut off in the middle.
        (0x0800, udp.into_iter().take(18).collect()),
    ]
}

/// Packets of a link type, with their lengths on the wire.
pub fn packets(link_type: u16) -> Vec<(Vec<u8>, u32)> {
    let mut all = Vec::new();
    for shape in 0.. {
        let mut any = false;
        for (ethertype, content) in contents() {
            let Some(mut p) = header(link_type, shape, ethertype) else { continue };
            any = true;
            p.extend(content);
            all.push(p);
        }
        if !any {
            break;
        }
    }
    // Whatever the type: IP, and IP in Ethernet, at the places where headers of 0 to 24 bytes would end; and bytes that are no such thing.
    let mut noise = u32::from(link_type).wrapping_mul(0x9e37_79b9) | 1;
    let mut byte = || {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        noise as u8
    };
    for at in [0, 4, 14, 16, 24] {
        for (ethertype, content) in contents().into_iter().take(2).chain(contents().into_iter().skip(4).take(1)) {
            let mut p: Vec<u8> = (0..at).map(|_| byte()).collect();
            if at == 14 {
                p.splice(12.., ethertype.to_be_bytes());
            }
            p.extend(content);
            all.push(p);
        }
    }
    for len in [0usize, 1, 3, 8, 20, 40, 64, 100, 300] {
        all.push((0..len).map(|_| byte()).collect());
    }
    // Every ninth was longer on the wire.
    all.into_iter()
        .enumerate()
        .map(|(n, p)| (p.len() as u32 + if n % 9 == 4 { 1000 } else { 0 }, p))
        .map(|(l, p)| (p, l))
        .collect()
}

/// A pcap file of them, nanoseconds, one packet a microsecond from `start` on.
pub fn file(link_type: u16, start: u64) -> Vec<u8> {
    let mut out = 0xA1B2_3C4D_u32.to_le_bytes().to_vec();
    out.extend([2, 0, 4, 0]);
    for word in [0, 0, 262_144, u32::from(link_type)] {
        out.extend(word.to_le_bytes());
    }
    for (n, (data, wire_len)) in packets(link_type).into_iter().enumerate() {
        let time = start + n as u64 * 1000;
        for word in [(time / 1_000_000_000) as u32, (time % 1_000_000_000) as u32, data.len() as u32, wire_len] {
            out.extend(word.to_le_bytes());
        }
        out.extend(data);
    }
    out
}
