//! `cargo fuzz run records`: see `fuzz/src/records.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(records);
