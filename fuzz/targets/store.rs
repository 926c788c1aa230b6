//! `cargo fuzz run store`: see `fuzz/src/store.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(store);
