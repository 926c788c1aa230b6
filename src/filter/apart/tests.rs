//! The wire between recorder and compiler: what goes in comes out, and whatever a broken compiler sends is an error.

use super::wire::{Reply, Task, ask, asked, replied, reply};
use super::*;
use proptest::prelude::*;

#[test]
fn requests_and_replies_come_as_they_were_sent() {
    let mut bytes = Vec::new();
    ask(&mut bytes, Task::Compile, 113, "host 10.0.0.1").unwrap();
    ask(&mut bytes, Task::Place, 1, "").unwrap();
    ask(&mut bytes, Task::CompilePlain, 1, "tcp").unwrap();
    let mut from = bytes.as_slice();
    assert_eq!(asked(&mut from).unwrap(), Some((Task::Compile, 113, "host 10.0.0.1".into())));
    assert_eq!(asked(&mut from).unwrap(), Some((Task::Place, 1, String::new())));
    assert_eq!(asked(&mut from).unwrap(), Some((Task::CompilePlain, 1, "tcp".into())));
    assert_eq!(asked(&mut from).unwrap(), None);
    for one in [
        Reply::Program(vec![1, 2, 3]),
        Reply::Refused("syntax error".into()),
        Reply::Setup("no".into()),
        Reply::Place(7, 3),
        Reply::Nowhere,
    ] {
        let mut bytes = Vec::new();
        reply(&mut bytes, &one).unwrap();
        assert_eq!(replied(&mut bytes.as_slice()).unwrap(), one);
    }
}

#[test]
fn a_program_goes_through_bytes_unchanged() {
    for expression in ["tcp port 80", "ip6 protochain 6", ""] {
        let program = bpf::compile(expression, 1, Form::Optimised).unwrap().unwrap();
        assert_eq!(Program::checked(&program.bytes()), Some(program));
    }
}

proptest! {
    /// Whatever a broken compiler sends is an error, no panic, no memory without bound, and no program that could run off.
    #[test]
    fn bytes_of_any_kind(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = asked(&mut bytes.as_slice());
        let _ = replied(&mut bytes.as_slice());
        if let Some(program) = Program::checked(&bytes) {
            program.run(&bytes, 1000);
        }
    }
}
