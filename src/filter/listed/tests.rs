//! Our interpreter against libpcap's: the same program, the same packet, the same answer.

use super::machine::Machine;
use super::*;
use crate::filter::bpf::{self, Form, Program};
use proptest::prelude::*;

fn machine(program: &Program) -> Machine {
    Machine::plain(program.instructions())
}

/// What the language has, by the instructions that it is made of.
const EXPRESSIONS: &[&str] = &[
    "host 10.0.0.1",
    "net 10.0.0.0/9 or ip6 net 2001:db8::/33",
    "host 2001:db8:0:1::1 and port 53",
    "tcp port 80 or udp portrange 50-60",
    "vlan and mpls and host 10.0.0.2",
    "geneve and vlan and udp",
    "geneve and ip6",
    "ip6 protochain 17",
    "ip protochain 6",
    "len > 100 and less 600",
    "ip[0] & 0xf > 5 and (ip[2:2] - (ip[0] & 0xf) * 4) / 3 % 7 = 1",
    "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x01010101",
    "ether[0] & 1 = 0 and not (ip[8] ^ 64 = 0 or ip[8] | 1 = 65)",
    "1 << (ip[9] & 7) > 64",
    "udp[4:2] - len > 3 or -ip[1] = 0",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compiled_programs(
        expression in prop::sample::select(EXPRESSIONS),
        link_type in prop::sample::select(vec![1u16, 1, 1, 101, 113, 0, 105, 127]),
        plain in any::<bool>(),
        packet in crate::index::tests::frame(),
        wire_len in 0u32..2000,
    ) {
        let form = if plain { Form::Plain } else { Form::Optimised };
        if let Ok(program) = bpf::compile(expression, link_type, form).unwrap() {
            let ours = machine(&program).run(&[], &packet, wire_len);
            prop_assert_eq!(ours, program.run(&packet, wire_len), "{}", expression);
        }
    }

    /// Programs that no compiler makes: any instructions that libpcap's interpreter knows, jumping forward.
    #[test]
    fn programs_at_random(
        steps in prop::collection::vec((prop::sample::select(CODES), 0u8..4, 0u8..4, constants()), 0..30),
        packet in prop::collection::vec(any::<u8>(), 0..80),
        wire_len in any::<u32>(),
    ) {
        let end = [(0x16, 0, 0, 0), (0x16, 0, 0, 0), (0x16, 0, 0, 0), (0x06, 0, 0, 1), (0x16, 0, 0, 0), (0x16, 0, 0, 0)];
        // What is in A and in memory at the beginning, libpcap does not say.
        let begin = (0..16).map(|n| (0x02u16, 0u8, 0u8, n));
        let all = std::iter::once((0x00, 0, 0, 0)).chain(begin).chain(steps).chain(end);
        let bytes: Vec<u8> = all
            .flat_map(|(code, yes, no, k): (u16, u8, u8, u32)| {
                let k = match code {
                    // Memory, shifts and jumps within what there is.
                    0x02 | 0x03 | 0x60 | 0x61 => k % 16,
                    0x64 | 0x74 => k % 32,
                    0x05 => k % 4,
                    0x34 | 0x94 => k.max(1),
                    _ => k,
                };
                let ([a, b], [k0, k1, k2, k3]) = (code.to_ne_bytes(), k.to_ne_bytes());
                [a, b, yes, no, k0, k1, k2, k3]
            })
            .collect();
        let program = Program::checked(&bytes);
        prop_assert!(program.is_some(), "a program that libpcap takes");
        let program = program.unwrap();
        prop_assert_eq!(machine(&program).run(&[], &packet, wire_len), program.run(&packet, wire_len));
    }
}

const CODES: &[u16] = &[
    0x06, 0x16, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61, 0xb1, 0x02, 0x03, 0x05, 0x15,
    0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c,
    0x64, 0x6c, 0x74, 0x7c, 0x94, 0x9c, 0xa4, 0xac, 0x84, 0x07, 0x87,
];

fn constants() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..90, 1 => any::<u32>(), 1 => Just(u32::MAX), 1 => Just(u32::MAX - 3)]
}

/// What fits no list is an error, never a filter.
#[test]
fn lists_of_too_many_kinds_and_words_that_libpcap_refuses() {
    let list = |ones| List::new("net".into(), false, Kind::V6(ones), vec![1 << 127]);
    let of = |lists: Vec<List>, before: &str| {
        let mut listed = Listed::default();
        listed.text(0, before);
        listed.lists(lists);
        ListFilter::compile_placed(&Arc::new(listed), 1).map(drop)
    };
    assert_eq!(of((1..=128).map(list).collect(), "udp or "), Ok(()));
    let many = (0..3).flat_map(|_| (1..=100).map(list)).collect();
    assert_eq!(of(many, ""), Err(FilterError::TooManyLists { lists: 300 }));
    let error = of(vec![list(64)], "tcp prt 80 and ").unwrap_err();
    assert!(matches!(&error, FilterError::Name { place } if place.word == "prt"), "{error}");
    let error = of(vec![list(64)], "port 80 80 and ").unwrap_err();
    assert!(matches!(&error, FilterError::Refused { near: Some(place), .. } if place.offset == 8), "{error}");
}
