//! Generators and properties of the index.

use proptest::prelude::*;

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
