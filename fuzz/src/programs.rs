//! What comes from another process of ours: replies of the compiler of filters, and the programs in them. The compiler reads strangers' words, so what it
//! says is looked at like theirs: no program that is taken reads outside of a packet, or goes on without end.

use retrotap::filter::Filter;
use retrotap::filter::apart::wire::{self, Reply, Task};

/// Input: what it is; a reply, a request, or a program with a packet behind it.
pub fn run(data: &[u8]) {
    let (what, bytes) = crate::options(data);
    match what % 3 {
        0 => {
            let mut from = bytes;
            if let Ok(reply) = wire::replied(&mut from) {
                let mut again = Vec::new();
                wire::reply(&mut again, &reply).expect("room");
                assert_eq!(wire::replied(&mut &again[..]).expect("what was written"), reply);
                if let Reply::Program(program) = &reply {
                    judge(program, &[]);
                }
            }
        }
        1 => {
            let mut from = bytes;
            if let Ok(Some((task, link_type, text))) = wire::asked(&mut from) {
                let mut again = Vec::new();
                wire::ask(&mut again, task, link_type, &text).expect("room");
                assert_eq!(again, bytes[..again.len()]);
            }
        }
        _ => {
            let [program, packet] = crate::parts(bytes);
            judge(program, packet);
        }
    }
}

fn judge(program: &[u8], packet: &[u8]) {
    if let Some(filter) = Filter::checked(program) {
        assert_eq!(filter.bytes(), program);
        let frame = crate::made::tcp([10, 0, 0, 1], [10, 0, 0, 2], 2);
        for data in [packet, &frame] {
            let first = filter.matches(data, data.len() as u32);
            assert_eq!(filter.matches(data, data.len() as u32), first);
        }
    }
}

/// Programs of libpcap, requests and replies.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let frame = crate::made::tcp([10, 0, 0, 1], [10, 0, 0, 2], 2);
    for text in [
        "tcp port 80",
        "ip protochain 6",
        "ip6 protochain 17",
        "vlan and host 10.0.0.1",
        "tcp[tcpflags] & tcp-syn != 0",
        "ip[2:2] / 3 > 5",
    ] {
        let filter = Filter::compile(text, 1).expect("a filter");
        add([&[2], &crate::joined(&[&filter.bytes(), &frame])[..]].concat());
        let mut message = vec![0];
        wire::reply(&mut message, &Reply::Program(filter.bytes())).expect("room");
        add(message);
        let mut message = vec![1];
        wire::ask(&mut message, Task::Compile, 1, text).expect("room");
        add(message);
    }
    for reply in [Reply::Refused("syntax error".into()), Reply::Place(3, 5), Reply::Nowhere] {
        let mut message = vec![0];
        wire::reply(&mut message, &reply).expect("room");
        add(message);
    }
}
