//! `cargo fuzz run packet`: see `fuzz/src/packet.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(packet);
